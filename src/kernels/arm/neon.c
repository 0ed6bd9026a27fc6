/*
 * The level neon: the vectors every 64-bit Arm has. The vocabulary of 4
 * floats; the loops are in kernels/simd/.
 */
#include <arm_neon.h>
#include <stddef.h>
#include <string.h>

#define PL_SIMD(name) name##_neon

enum { VF = 4, PRODUCT_ROWS = 12 };

typedef float32x4_t vf;
typedef int32x4_t vi;

static inline vf vf_zero(void)
{
    return vdupq_n_f32(0);
}

static inline vf vf_set(float x)
{
    return vdupq_n_f32(x);
}

static inline vf vf_load(const float *p)
{
    return vld1q_f32(p);
}

static inline vf vf_load_bytes(const unsigned char *p)
{
    return vreinterpretq_f32_u8(vld1q_u8(p));
}

static inline void vf_store(float *p, vf x)
{
    vst1q_f32(p, x);
}

static inline void vf_store_bytes(unsigned char *p, vf x)
{
    vst1q_u8(p, vreinterpretq_u8_f32(x));
}

static inline vf vf_load_first(const float *p, size_t n, vf fill)
{
    float lanes[VF];
    vst1q_f32(lanes, fill);
    for (size_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return vld1q_f32(lanes);
}

static inline void vf_store_first(float *p, size_t n, vf x)
{
    float lanes[VF];
    vst1q_f32(lanes, x);
    for (size_t i = 0; i < n; i++)
        p[i] = lanes[i];
}

static inline vf vf_load_bf16(const unsigned char *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}

static inline vf vf_load_f16(const unsigned char *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

static inline float load_one_f16(const unsigned char *p)
{
    __fp16 half;
    memcpy(&half, p, sizeof half);
    return (float)half;
}

static inline vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

static inline vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}

static inline vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}

static inline vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
static inline vf vf_sqrt(vf x)
{
    return vsqrtq_f32(x);
}

static inline vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

/* Selected, as the instructions for minimum and maximum treat NaN otherwise. */
static inline vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

static inline vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static inline vf vf_abs(vf x)
{
    return vabsq_f32(x);
}

static inline vf vf_round(vf x)
{
    return vrndnq_f32(x);
}

static inline vf vf_with_sign_of(vf size, vf sign)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), sign, size);
}

static inline vf vf_where_less(vf a, vf b, vf then, vf otherwise)
{
    return vbslq_f32(vcltq_f32(a, b), then, otherwise);
}

/* In two steps, as 2^n itself may be out of range where x * 2^n is not. */
static inline vf vf_ldexp(vf x, vf n)
{
    const int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1), bias = vdupq_n_s32(127);
    const int32x4_t first = vshlq_n_s32(vaddq_s32(half, bias), 23);
    const int32x4_t second = vshlq_n_s32(vaddq_s32(vsubq_s32(whole, half), bias), 23);
    return vf_mul(vf_mul(x, vreinterpretq_f32_s32(first)), vreinterpretq_f32_s32(second));
}

static inline float vf_sum(vf x)
{
    return vaddvq_f32(x);
}

static inline float vf_largest(vf x)
{
    return vmaxvq_f32(x);
}

static inline unsigned vf_equal_bits(vf a, vf b)
{
    static const uint32_t bits[VF] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vceqq_f32(a, b), vld1q_u32(bits)));
}

static inline vi vi_set(int x)
{
    return vdupq_n_s32(x);
}

static inline vi vi_load_u8(const unsigned char *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    const uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
}

static inline vi vi_load_i8(const unsigned char *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
    return vmovl_s16(vget_low_s16(wide));
}

static inline vi vi_load_i32(const unsigned char *p)
{
    return vreinterpretq_s32_u8(vld1q_u8(p));
}

static inline vf vf_of_bits(vi x)
{
    return vreinterpretq_f32_s32(x);
}

static inline vi vi_shift_right_signed(vi x, int bits)
{
    return vshlq_s32(x, vdupq_n_s32(-bits));
}

static inline vi vi_and(vi a, vi b)
{
    return vandq_s32(a, b);
}

static inline vi vi_or(vi a, vi b)
{
    return vorrq_s32(a, b);
}

static inline vi vi_sub(vi a, vi b)
{
    return vsubq_s32(a, b);
}

static inline vi vi_shift_left(vi x, int bits)
{
    return vshlq_s32(x, vdupq_n_s32(bits));
}

static inline vi vi_shift_right(vi x, int bits)
{
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(x), vdupq_n_s32(-bits)));
}

static inline vf vf_from_int(vi x)
{
    return vcvtq_f32_s32(x);
}

static inline vi vi_of_bits(vf x)
{
    return vreinterpretq_s32_f32(x);
}

static inline vi vi_max(vi a, vi b)
{
    return vmaxq_s32(a, b);
}

static inline vi vi_from_rounded(vf x)
{
    return vcvtnq_s32_f32(x);
}

static inline vi vi_round_bf16(vf x)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    return vreinterpretq_s32_u32(vbslq_u32(vceqq_f32(x, x), rounded, vorrq_u32(bits, vdupq_n_u32(0x400000))));
}

static inline vi vi_pack_high(vi a, vi b)
{
    return vreinterpretq_s32_s16(vuzp2q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
}

static inline vi vi_pack_bytes(vi a, vi b, vi c, vi d)
{
    const int16x8_t low = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), high = vcombine_s16(vqmovn_s32(c), vqmovn_s32(d));
    return vreinterpretq_s32_s8(vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
}

static inline vf vf_from_low4(vi x, int zero)
{
    return vf_from_int(vi_sub(vi_and(x, vi_set(15)), vi_set(zero)));
}

static inline void vf_transpose(vf x[VF])
{
    const float32x4x2_t a = vtrnq_f32(x[0], x[1]), b = vtrnq_f32(x[2], x[3]);
    x[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    x[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    x[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    x[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

static inline void vf_load_columns(const unsigned char *p, size_t stride, vf x[VF])
{
    for (size_t i = 0; i < VF; i++)
        x[i] = vf_load_bytes(p + i * stride);
    vf_transpose(x);
}

#include "kernels/simd/level.h"

#include "kernels/arm/rounding.h"

void pl_fill_neon(pl_kernels *k)
{
    fill_simd(k);
    k->to_bf16 = to_bf16_neon;
    k->to_i8 = to_i8_neon;
    k->to_planes = to_planes_neon;
}
