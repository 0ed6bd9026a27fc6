/*
 * Words of 8 numbers with AVX2 that products of floats (kernels/simd/level.h)
 * and of int8 (x86/vnni.h) both are written in.
 */
#ifndef PL_KERNELS_X86_WORDS_AVX2_H
#define PL_KERNELS_X86_WORDS_AVX2_H

#include <immintrin.h>
#include <stddef.h>

typedef __m256 vf;
typedef __m256i vi;

/* The first n of 8 lanes, n <= 8. */
static inline __m256i first_lanes(size_t n)
{
    static const int lanes[2 * 8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(lanes + 8 - n));
}

static inline vi vi_set(int x)
{
    return _mm256_set1_epi32(x);
}

static inline vi vi_and(vi a, vi b)
{
    return _mm256_and_si256(a, b);
}

static inline vi vi_sub(vi a, vi b)
{
    return _mm256_sub_epi32(a, b);
}

static inline vi vi_max(vi a, vi b)
{
    return _mm256_max_epi32(a, b);
}

static inline vi vi_of_bits(vf x)
{
    return _mm256_castps_si256(x);
}

static inline vi vi_from_rounded(vf x)
{
    return _mm256_cvtps_epi32(x);
}

static inline vf vf_set(float x)
{
    return _mm256_set1_ps(x);
}

static inline vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

static inline vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

static inline vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

static inline float vf_sum(vf x)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline vf vf_from_int(vi x)
{
    return _mm256_cvtepi32_ps(x);
}

static inline vf vf_load_f16(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

#endif
