/* The level amx on emulated tiles, for test_emulated.c. */
#define PL_TILE_WORDS "kernels/tile_emulation.h"
#define pl_amx_works pl_amx_emulated_works
#define pl_fill_amx pl_fill_amx_emulated
#include "kernels/x86/amx.c"
