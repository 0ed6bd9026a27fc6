/*
 * The level avx512: AVX-512 F, BW, VL and DQ (Skylake-SP, Ice Lake, Zen 4 and
 * later). The vocabulary of 16 floats; the loops are in kernels/simd/.
 */
#include "kernels/x86/words_avx512.h"

#define PL_SIMD(name) name##_avx512

enum { VF = 16, PRODUCT_ROWS = 12 };

static inline vf vf_zero(void)
{
    return _mm512_setzero_ps();
}

static inline vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline vf vf_load_bytes(const unsigned char *p)
{
    return _mm512_loadu_ps(p);
}

static inline void vf_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}

static inline void vf_store_bytes(unsigned char *p, vf x)
{
    _mm512_storeu_ps(p, x);
}

static inline vf vf_load_first(const float *p, size_t n, vf fill)
{
    return _mm512_mask_loadu_ps(fill, first_lanes(n), p);
}

static inline void vf_store_first(float *p, size_t n, vf x)
{
    _mm512_mask_storeu_ps(p, first_lanes(n), x);
}

static inline vf vf_load_bf16(const unsigned char *p)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static inline float load_one_f16(const unsigned char *p)
{
    return _cvtsh_ss((unsigned short)(p[0] | p[1] << 8));
}

static inline vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

static inline vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static inline vf vf_sqrt(vf x)
{
    return _mm512_sqrt_ps(x);
}

static inline vf vf_abs(vf x)
{
    return _mm512_abs_ps(x);
}

static inline vf vf_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vf vf_with_sign_of(vf size, vf sign)
{
    const vf bit = vf_set(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(bit, size), _mm512_and_ps(bit, sign));
}

static inline vf vf_where_less(vf a, vf b, vf then, vf otherwise)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), otherwise, then);
}

static inline vf vf_ldexp(vf x, vf n)
{
    return _mm512_scalef_ps(x, n);
}

static inline float vf_largest(vf x)
{
    return _mm512_reduce_max_ps(x);
}

static inline unsigned vf_equal_bits(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

static inline vi vi_load_u8(const unsigned char *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline vi vi_load_i8(const unsigned char *p)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline vi vi_load_i32(const unsigned char *p)
{
    return _mm512_loadu_si512(p);
}

static inline vf vf_of_bits(vi x)
{
    return _mm512_castsi512_ps(x);
}

static inline vi vi_shift_right_signed(vi x, int bits)
{
    return _mm512_srai_epi32(x, (unsigned)bits);
}

static inline vi vi_or(vi a, vi b)
{
    return _mm512_or_si512(a, b);
}

static inline vi vi_shift_left(vi x, int bits)
{
    return _mm512_slli_epi32(x, (unsigned)bits);
}

static inline vi vi_shift_right(vi x, int bits)
{
    return _mm512_srli_epi32(x, (unsigned)bits);
}

static inline vi vi_round_bf16(vf x)
{
    const vi bits = vi_of_bits(x), odd = vi_and(vi_shift_right(bits, 16), vi_set(1));
    const vi rounded = _mm512_add_epi32(_mm512_add_epi32(bits, vi_set(0x7fff)), odd);
    return _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), bits, vi_set(0x400000));
}

static inline vi vi_pack_high(vi a, vi b)
{
    return _mm512_packus_epi32(vi_shift_right(a, 16), vi_shift_right(b, 16));
}

static inline vi vi_pack_bytes(vi a, vi b, vi c, vi d)
{
    return _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
}

/* The low 4 bits less `zero`, a constant: one look-up, which minds those bits only. */
static inline vf vf_from_low4(vi x, int zero)
{
    const vf codes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_permutexvar_ps(x, vf_sub(codes, vf_set((float)zero)));
}

/* Rows to columns inside each 4 x 4 of a quarter: x[i + 4q] then holds columns i, 4+i, 8+i, 12+i of rows 4q..4q+3. */
static inline void transpose_fours(vf x[VF])
{
    for (int i = 0; i < VF; i += 4) {
        const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(x[i], x[i + 1]));
        const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(x[i], x[i + 1]));
        const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(x[i + 2], x[i + 3]));
        const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(x[i + 2], x[i + 3]));
        x[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        x[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        x[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        x[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
}

static inline void vf_transpose(vf x[VF])
{
    transpose_fours(x);
    for (int i = 0; i < 4; i++) { /* the quarters change places */
        const vf low01 = _mm512_shuffle_f32x4(x[i], x[i + 4], 0x44), high01 = _mm512_shuffle_f32x4(x[i], x[i + 4], 0xee);
        const vf low23 = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0x44), high23 = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0xee);
        x[i] = _mm512_shuffle_f32x4(low01, low23, 0x88);
        x[i + 4] = _mm512_shuffle_f32x4(low01, low23, 0xdd);
        x[i + 8] = _mm512_shuffle_f32x4(high01, high23, 0x88);
        x[i + 12] = _mm512_shuffle_f32x4(high01, high23, 0xdd);
    }
}

static inline __m128 load_quarter(const unsigned char *p)
{
    return _mm_loadu_ps((const float *)(const void *)p);
}

/* As vf_transpose; the quarters change places as they are loaded, which leaves half of the shuffles. */
static inline void vf_load_columns(const unsigned char *p, size_t stride, vf x[VF])
{
    for (size_t i = 0; i < VF; i++) {
        const unsigned char *const quarter = p + i % 4 * stride + i / 4 * 16;
        vf row = _mm512_castps128_ps512(load_quarter(quarter));
        row = _mm512_insertf32x4(row, load_quarter(quarter + 4 * stride), 1);
        row = _mm512_insertf32x4(row, load_quarter(quarter + 8 * stride), 2);
        x[i] = _mm512_insertf32x4(row, load_quarter(quarter + 12 * stride), 3);
    }
    transpose_fours(x);
}

#include "kernels/simd/level.h"

void pl_fill_avx512(pl_kernels *k)
{
    fill_simd(k);
    pl_fill_pixels_avx2(k);
}
