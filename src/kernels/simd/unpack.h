/*
 * Packed weights -> floats, once for every instruction set; the layouts are
 * told in ref/unpack.c. No product rounds, so the bits are those of ref.
 */
#ifndef PL_KERNELS_SIMD_UNPACK_H
#define PL_KERNELS_SIMD_UNPACK_H

#include <string.h>

static void PL_SIMD(unpack_f32)(size_t n, const void *src, float *dst)
{
    memcpy(dst, src, n * sizeof *dst);
}

static void PL_SIMD(unpack_bf16)(size_t n, const void *src, float *dst)
{
    const unsigned char *const from = src;
    size_t i = 0;
    for (; i + VF <= n; i += VF)
        vf_store(dst + i, vf_load_bf16(from + 2 * i));
    pl_unpack_bf16_ref(n - i, from + 2 * i, dst + i);
}

static void PL_SIMD(unpack_f16)(size_t n, const void *src, float *dst)
{
    const unsigned char *const from = src;
    size_t i = 0;
    for (; i + VF <= n; i += VF)
        vf_store(dst + i, vf_load_f16(from + 2 * i));
    pl_unpack_f16_ref(n - i, from + 2 * i, dst + i);
}

static void PL_SIMD(unpack_q8_0)(size_t n, const void *src, float *dst)
{
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 32, block += 34) {
        const vf d = vf_set(load_one_f16(block));
        UNROLL
        for (size_t j = 0; j < 32; j += VF)
            vf_store(dst + i + j, vf_mul(d, vf_from_int(vi_load_i8(block + 2 + j))));
    }
}

static void PL_SIMD(unpack_q4_0)(size_t n, const void *src, float *dst)
{
    const vi low = vi_set(15), zero = vi_set(8);
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 32, block += 18) {
        const vf d = vf_set(load_one_f16(block));
        UNROLL
        for (size_t j = 0; j < 16; j += VF) {
            const vi codes = vi_load_u8(block + 2 + j);
            vf_store(dst + i + j, vf_mul(d, vf_from_int(vi_sub(vi_and(codes, low), zero))));
            vf_store(dst + i + 16 + j, vf_mul(d, vf_from_int(vi_sub(vi_shift_right(codes, 4), zero))));
        }
    }
}

/* Scales and minima of the 8 groups of a Q4_K or Q5_K block, multiplied out. */
static inline void k_groups(const unsigned char *block, float scale[8], float minimum[8])
{
    const float d = load_one_f16(block), dmin = load_one_f16(block + 2);
    const unsigned char *const packed = block + 4;
    for (size_t g = 0; g < 4; g++) {
        scale[g] = d * (float)(packed[g] & 63);
        minimum[g] = dmin * (float)(packed[g + 4] & 63);
        scale[g + 4] = d * (float)((packed[g + 8] & 15) | packed[g] >> 6 << 4);
        minimum[g + 4] = dmin * (float)(packed[g + 8] >> 4 | packed[g + 4] >> 6 << 4);
    }
}

static void PL_SIMD(unpack_q4_k)(size_t n, const void *src, float *dst)
{
    const vi low = vi_set(15);
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 256, block += 144) {
        float scale[8], minimum[8];
        k_groups(block, scale, minimum);
        for (size_t g = 0; g < 8; g += 2) {
            float *const to = dst + i + 32 * g;
            UNROLL
            for (size_t j = 0; j < 32; j += VF) {
                const vi codes = vi_load_u8(block + 16 + 16 * g + j);
                const vf first = vf_from_int(vi_and(codes, low)), second = vf_from_int(vi_shift_right(codes, 4));
                vf_store(to + j, vf_sub(vf_mul(vf_set(scale[g]), first), vf_set(minimum[g])));
                vf_store(to + 32 + j, vf_sub(vf_mul(vf_set(scale[g + 1]), second), vf_set(minimum[g + 1])));
            }
        }
    }
}

static void PL_SIMD(unpack_q5_k)(size_t n, const void *src, float *dst)
{
    const vi low = vi_set(15), fifth = vi_set(16);
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 256, block += 176) {
        float scale[8], minimum[8];
        k_groups(block, scale, minimum);
        for (size_t j = 0; j < 32; j += VF) {
            vi high = vi_shift_left(vi_load_u8(block + 16 + j), 4); /* the bit of group g is brought to 16 in turn */
            for (size_t g = 0; g < 8; g += 2) {
                float *const to = dst + i + 32 * g + j;
                const vi codes = vi_load_u8(block + 48 + 16 * g + j);
                const vi first = vi_or(vi_and(codes, low), vi_and(high, fifth));
                high = vi_shift_right(high, 1);
                const vi second = vi_or(vi_shift_right(codes, 4), vi_and(high, fifth));
                high = vi_shift_right(high, 1);
                vf_store(to, vf_sub(vf_mul(vf_set(scale[g]), vf_from_int(first)), vf_set(minimum[g])));
                vf_store(to + 32, vf_sub(vf_mul(vf_set(scale[g + 1]), vf_from_int(second)), vf_set(minimum[g + 1])));
            }
        }
    }
}

/* The 32 values of a Q6_K block that start at a multiple of 32: quarter q of a half. */
static inline void unpack_q6_k_quarter(const unsigned char *block, size_t half, size_t q, float d, float *dst)
{
    const vi low = vi_set(15), two = vi_set(3), zero = vi_set(32);
    const unsigned char *const lows = block + 64 * half + 32 * (q % 2), *const highs = block + 128 + 32 * half;
    for (size_t j = 0; j < 32; j += VF) {
        const vi codes = vi_load_u8(lows + j), tops = vi_load_u8(highs + j);
        const vi lower = q < 2 ? vi_and(codes, low) : vi_shift_right(codes, 4);
        const vi upper = vi_shift_left(vi_and(vi_shift_right(tops, 2 * (int)q), two), 4);
        const float scale = d * (float)(int8_t)block[192 + 8 * half + 2 * q + j / 16];
        vf_store(dst + j, vf_mul(vf_set(scale), vf_from_int(vi_sub(vi_or(lower, upper), zero))));
    }
}

static void PL_SIMD(unpack_q6_k)(size_t n, const void *src, float *dst)
{
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 256, block += 210) {
        const float d = load_one_f16(block + 208);
        for (size_t part = 0; part < 8; part++)
            unpack_q6_k_quarter(block, part / 4, part % 4, d, dst + i + 32 * part);
    }
}

#endif
