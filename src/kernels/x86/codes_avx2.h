/*
 * The vocabulary of x86/vnni.h for vectors of 8 numbers with AVX2, all but
 * `dot`: for the levels avx_vnni and avx2.
 */
#ifndef PL_KERNELS_X86_CODES_AVX2_H
#define PL_KERNELS_X86_CODES_AVX2_H

#include "kernels/x86/words_avx2.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { VL = 8, PRODUCT_ROWS = 6, INPUTS = 2, ROW_INPUTS = 1 };

static inline vi vi_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

static inline vi vi_xor(vi a, vi b)
{
    return _mm256_xor_si256(a, b);
}

static inline int vi_sum(vi x)
{
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

static inline vf vf_take(const float *p, size_t left)
{
    return left >= VL ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(left));
}

static inline void vf_put(float *p, size_t left, vf x)
{
    if (left >= VL)
        _mm256_storeu_ps(p, x);
    else
        _mm256_maskstore_ps(p, first_lanes(left), x);
}

static inline vi vi_shift_right_4(vi x)
{
    return _mm256_srli_epi16(x, 4);
}

static inline void vi_store_bytes(signed char *p, vi x)
{
    const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(halves, halves));
}

static inline vi vi_high_plane(vi code)
{
    return _mm256_srai_epi32(_mm256_add_epi32(code, vi_set(128)), 8);
}

static inline vi vi_low_plane(vi code, vi high)
{
    return _mm256_sub_epi32(code, _mm256_slli_epi32(high, 8));
}

static inline vi vi_shift_left_8(vi x)
{
    return _mm256_slli_epi32(x, 8);
}

static inline vi row_codes(bool halves, const unsigned char *first, const unsigned char *second)
{
    (void)second;
    if (!halves)
        return vi_load(first);
    const __m128i both = _mm_loadu_si128((const __m128i *)(const void *)first);
    return vi_and(_mm256_inserti128_si256(_mm256_castsi128_si256(both), _mm_srli_epi16(both, 4), 1), vi_set(0x0f0f0f0f));
}

static inline vf row_scales(bool halves, const unsigned char *first, const unsigned char *second)
{
    uint16_t bits;
    (void)halves;
    (void)second;
    memcpy(&bits, first, sizeof bits);
    return vf_set(_cvtsh_ss(bits));
}

static inline vi row_inputs(bool halves, const signed char *x)
{
    (void)halves;
    return vi_load(x);
}

#endif
