/*
 * The words that x86/amx.c is written in, as AMX's instructions. Tiles are named
 * by literal numbers. A test of the same source on other processors puts its
 * own definitions in their place (PL_TILE_WORDS).
 *
 *   tile_configure(config)        shapes of the tiles, which become zero
 *   tile_release()                gives the state back: switches of threads then need not save it
 *   tile_zero(t), tile_load(t, p, stride), tile_store(t, p, stride)   rows `stride` bytes apart
 *   tile_dot_bf16(c, a, b)        c += a b, pairs of bf16
 *   tile_dot_i8(c, a, b)          c += a b, fours of int8, exact
 */
#ifndef PL_KERNELS_X86_TILE_WORDS_H
#define PL_KERNELS_X86_TILE_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* Palette 1 has eight tiles of at most 16 rows of 64 bytes; cpuid describes it, but not under every hypervisor. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/*
 * Written out, as gcc 12's own words do not say what memory they read: stores to a configuration or to a
 * tile's values would be lost or come late.
 */
#define tile_configure(config) __asm__ volatile("ldtilecfg %0" ::"m"(*(config)) : "memory")
#define tile_release() __asm__ volatile("tilerelease" ::: "memory")
#define tile_zero(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
#define tile_load(tile, p, stride) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(p), "r"(stride) : "memory")
#define tile_store(tile, p, stride) __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(p), "r"(stride) : "memory")
#define tile_dot_bf16(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
#define tile_dot_i8(c, a, b) __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)

#endif
