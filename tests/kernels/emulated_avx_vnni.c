/* The level avx_vnni with AVX-512's form of its instruction, for test_emulated.c. */
#define PL_VPDPBUSD "vpdpbusd"
#define pl_fill_avx_vnni pl_fill_avx_vnni_evex
#include "kernels/x86/avx_vnni.c"
