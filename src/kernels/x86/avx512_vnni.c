/*
 * The level avx512_vnni: products of int8 by vpdpbusd (Cascade Lake, Ice Lake,
 * Zen 4 and later). The vocabulary of 16 numbers; the loops are in x86/vnni.h.
 */
#include "kernels/x86/words_avx512.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PL_VNNI(name) name##_avx512_vnni
#define PL_K_TYPES

enum { VL = 16, PRODUCT_ROWS = 12, INPUTS = 8, ROW_INPUTS = 4 };

static inline vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline vi vi_xor(vi a, vi b)
{
    return _mm512_xor_si512(a, b);
}

static inline int vi_sum(vi x)
{
    return _mm512_reduce_add_epi32(x);
}

static inline vf vf_take(const float *p, size_t left)
{
    return _mm512_maskz_loadu_ps(first_lanes(left), p);
}

static inline void vf_put(float *p, size_t left, vf x)
{
    _mm512_mask_storeu_ps(p, first_lanes(left), x);
}

static inline vi vi_shift_right_4(vi x)
{
    return _mm512_srli_epi16(x, 4);
}

static inline void vi_store_bytes(signed char *p, vi x)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(x));
}

static inline vi vi_high_plane(vi code)
{
    return _mm512_srai_epi32(_mm512_add_epi32(code, vi_set(128)), 8);
}

static inline vi vi_low_plane(vi code, vi high)
{
    return _mm512_sub_epi32(code, _mm512_slli_epi32(high, 8));
}

static inline vi vi_shift_left_8(vi x)
{
    return _mm512_slli_epi32(x, 8);
}

/* Halves: 16 codes of the first block, 16 of the second, then the upper 16 of each. */
static inline vi row_codes(bool halves, const unsigned char *first, const unsigned char *second)
{
    const __m256i *const a = (const __m256i *)(const void *)first, *const b = (const __m256i *)(const void *)second;
    if (!halves)
        return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(a)), _mm256_loadu_si256(b), 1);
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)first), high = _mm_loadu_si128((const __m128i *)(const void *)second);
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    return vi_and(_mm512_inserti64x4(_mm512_castsi256_si512(both), _mm256_srli_epi16(both, 4), 1), vi_set(0x0f0f0f0f));
}

static inline vf row_scales(bool halves, const unsigned char *first, const unsigned char *second)
{
    const vi order = halves ? _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1) : _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    uint16_t bits[2];
    memcpy(bits, first, sizeof *bits);
    memcpy(bits + 1, second, sizeof *bits);
    const __m128 both = _mm_cvtph_ps(_mm_cvtsi32_si128((int)((uint32_t)bits[1] << 16 | bits[0])));
    return _mm512_permutexvar_ps(order, _mm512_castps128_ps512(both));
}

static inline vi row_inputs(bool halves, const signed char *x)
{
    return halves ? _mm512_shuffle_i64x2(vi_load(x), vi_load(x), 0xd8) : vi_load(x);
}

/* gcc 12 copies the sum before and after the instruction when it is written as an intrinsic, which halves the rate. */
static inline vi dot(vi sum, vi w, vi x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

#include "kernels/x86/vnni.h"

void pl_fill_avx512_vnni(pl_kernels *k)
{
    fill_vnni(k);
    pl_use_skinny_i8(k, PL_Q4_K, skinny_i8_q4_k_avx512_vnni);
    pl_use_skinny_i8(k, PL_Q5_K, skinny_i8_q5_k_avx512_vnni);
    pl_use_skinny_i8(k, PL_Q6_K, skinny_i8_q6_k_avx512_vnni);
}
