/*
 * The level avx2: AVX2, FMA and F16C (Haswell, Zen and later). The vocabulary
 * of 8 floats; the loops are in kernels/simd/.
 */
#include "kernels/x86/words_avx2.h"

#define PL_SIMD(name) name##_avx2

enum { VF = 8, PRODUCT_ROWS = 6 };

static inline vf vf_zero(void)
{
    return _mm256_setzero_ps();
}

static inline vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline vf vf_load_bytes(const unsigned char *p)
{
    return _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

static inline void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}

static inline void vf_store_bytes(unsigned char *p, vf x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_castps_si256(x));
}

static inline vf vf_load_first(const float *p, size_t n, vf fill)
{
    const __m256i lanes = first_lanes(n);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, lanes), _mm256_castsi256_ps(lanes));
}

static inline void vf_store_first(float *p, size_t n, vf x)
{
    _mm256_maskstore_ps(p, first_lanes(n), x);
}

static inline vf vf_load_bf16(const unsigned char *p)
{
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static inline float load_one_f16(const unsigned char *p)
{
    return _cvtsh_ss((unsigned short)(p[0] | p[1] << 8));
}

static inline vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}

static inline vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
static inline vf vf_sqrt(vf x)
{
    return _mm256_sqrt_ps(x);
}

static inline vf vf_abs(vf x)
{
    return _mm256_andnot_ps(vf_set(-0.0f), x);
}

static inline vf vf_round(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vf vf_with_sign_of(vf size, vf sign)
{
    const vf bit = vf_set(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(bit, size), _mm256_and_ps(bit, sign));
}

static inline vf vf_where_less(vf a, vf b, vf then, vf otherwise)
{
    return _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

/* In two steps, as 2^n itself may be out of range where x * 2^n is not. */
static inline vf vf_ldexp(vf x, vf n)
{
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), bias = _mm256_set1_epi32(127);
    const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
    return vf_mul(vf_mul(x, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}

static inline float vf_largest(vf x)
{
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline unsigned vf_equal_bits(vf a, vf b)
{
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}

static inline vi vi_load_u8(const unsigned char *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

static inline vi vi_load_i8(const unsigned char *p)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

static inline vi vi_load_i32(const unsigned char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline vf vf_of_bits(vi x)
{
    return _mm256_castsi256_ps(x);
}

static inline vi vi_shift_right_signed(vi x, int bits)
{
    return _mm256_srai_epi32(x, bits);
}

static inline vi vi_or(vi a, vi b)
{
    return _mm256_or_si256(a, b);
}

static inline vi vi_shift_left(vi x, int bits)
{
    return _mm256_slli_epi32(x, bits);
}

static inline vi vi_shift_right(vi x, int bits)
{
    return _mm256_srli_epi32(x, bits);
}

static inline vi vi_round_bf16(vf x)
{
    const vi bits = vi_of_bits(x), odd = vi_and(vi_shift_right(bits, 16), vi_set(1));
    const vi rounded = _mm256_add_epi32(_mm256_add_epi32(bits, vi_set(0x7fff)), odd), quiet = vi_or(bits, vi_set(0x400000));
    return vi_of_bits(_mm256_blendv_ps(vf_of_bits(rounded), vf_of_bits(quiet), _mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

static inline vi vi_pack_high(vi a, vi b)
{
    return _mm256_packus_epi32(vi_shift_right(a, 16), vi_shift_right(b, 16));
}

static inline vi vi_pack_bytes(vi a, vi b, vi c, vi d)
{
    return _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
}

static inline vf vf_from_low4(vi x, int zero)
{
    return vf_from_int(vi_sub(vi_and(x, vi_set(15)), vi_set(zero)));
}

/* Rows to columns inside each 4 x 4. */
static inline void transpose_fours(vf x[VF])
{
    for (int i = 0; i < VF; i += 4) {
        const vf a = _mm256_unpacklo_ps(x[i], x[i + 1]), b = _mm256_unpackhi_ps(x[i], x[i + 1]);
        const vf c = _mm256_unpacklo_ps(x[i + 2], x[i + 3]), d = _mm256_unpackhi_ps(x[i + 2], x[i + 3]);
        x[i] = _mm256_shuffle_ps(a, c, 0x44);
        x[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        x[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        x[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
}

static inline void vf_transpose(vf x[VF])
{
    for (int i = 0; i < 4; i++) { /* the halves change places */
        const vf low = _mm256_permute2f128_ps(x[i], x[i + 4], 0x20), high = _mm256_permute2f128_ps(x[i], x[i + 4], 0x31);
        x[i] = low;
        x[i + 4] = high;
    }
    transpose_fours(x);
}

/* As vf_transpose; the halves change places as they are loaded, which takes no shuffle. */
static inline void vf_load_columns(const unsigned char *p, size_t stride, vf x[VF])
{
    for (size_t i = 0; i < VF; i++) {
        const unsigned char *const half = p + i % 4 * stride + i / 4 * 16;
        const __m128 low = _mm_loadu_ps((const float *)(const void *)half);
        x[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(low), _mm_loadu_ps((const float *)(const void *)(half + 4 * stride)), 1);
    }
    transpose_fours(x);
}

#include "kernels/simd/level.h"

void pl_fill_avx2(pl_kernels *k)
{
    fill_simd(k);
    pl_fill_pixels_avx2(k);
    pl_fill_codes_avx2(k);
    pl_fill_wide_avx2(k);
}
