/*
 * Words of 16 numbers with AVX-512 that products of floats (kernels/simd/level.h)
 * and of int8 (x86/vnni.h) both are written in.
 */
#ifndef PL_KERNELS_X86_WORDS_AVX512_H
#define PL_KERNELS_X86_WORDS_AVX512_H

#include <immintrin.h>
#include <stddef.h>

typedef __m512 vf;
typedef __m512i vi;

/* The first n of 16 lanes; all if there are more. */
static inline __mmask16 first_lanes(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
}

static inline vi vi_set(int x)
{
    return _mm512_set1_epi32(x);
}

static inline vi vi_and(vi a, vi b)
{
    return _mm512_and_si512(a, b);
}

static inline vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}

static inline vi vi_max(vi a, vi b)
{
    return _mm512_max_epi32(a, b);
}

static inline vi vi_of_bits(vf x)
{
    return _mm512_castps_si512(x);
}

static inline vi vi_from_rounded(vf x)
{
    return _mm512_cvtps_epi32(x);
}

static inline vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}

static inline vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

static inline vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

static inline vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

static inline float vf_sum(vf x)
{
    return _mm512_reduce_add_ps(x);
}

static inline vf vf_from_int(vi x)
{
    return _mm512_cvtepi32_ps(x);
}

static inline vf vf_load_f16(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

#endif
