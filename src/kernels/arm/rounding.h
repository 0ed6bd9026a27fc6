/*
 * Activations -> bf16, int8 codes and planes of them, for the level neon and
 * those that start from it; in the words of its vocabulary where it has them.
 */
#ifndef PL_KERNELS_ARM_ROUNDING_H
#define PL_KERNELS_ARM_ROUNDING_H

#include <math.h>

/* A vector of x from i on, zeros behind its n values. */
static inline vf values_at(const float *x, size_t n, size_t i)
{
    return i < n ? take(x + i, n - i, 0) : vf_zero();
}

static void to_bf16_neon(size_t n, const float *x, uint16_t *y)
{
    for (size_t i = 0; i < pl_round_up(n, PL_TILE_BF16); i += 2 * VF) {
        const vi both = vi_pack_high(vi_round_bf16(values_at(x, n, i)), vi_round_bf16(values_at(x, n, i + VF)));
        vst1q_u16(y + i, vreinterpretq_u16_s32(both));
    }
}

/* The largest size among n values; NaN if there is one. */
static float largest_size(size_t n, const float *x)
{
    vi most = vi_set(0);
    for (size_t i = 0; i < n; i += VF)
        most = larger_size(most, values_at(x, n, i));
    const int32_t bits = vmaxvq_s32(most);
    float size;
    memcpy(&size, &bits, sizeof size);
    return size;
}

static float to_i8_neon(size_t n, const float *x, int8_t *y)
{
    const float most = largest_size(n, x);
    const vf inverse = vf_set(inverse_of(most));
    for (size_t i = 0; i < pl_round_up(n, PL_TILE_I8); i += FOURS_WIDE) {
        vi code[4];
        UNROLL
        for (size_t j = 0; j < 4; j++)
            code[j] = code_of(values_at(x, n, i + j * VF), inverse);
        vst1q_s8(y + i, vreinterpretq_s8_s32(vi_pack_bytes(code[0], code[1], code[2], code[3])));
    }
    return most < INFINITY ? most / 127 : NAN;
}

static float to_planes_neon(size_t n, const float *x, int8_t *high, int8_t *low)
{
    const float most = largest_size(n, x), limit = 127 * 256;
    const vf inverse = vf_set(most > 0 && limit / most < INFINITY ? limit / most : 0);
    for (size_t i = 0; i < pl_round_up(n, PL_TILE_I8); i += FOURS_WIDE) {
        vi top[4], rest[4];
        UNROLL
        for (size_t j = 0; j < 4; j++) {
            const vf value = vf_mul(values_at(x, n, i + j * VF), inverse);
            const vi code = vi_from_rounded(vf_max(vf_min(value, vf_set(limit)), vf_set(-limit)));
            top[j] = vi_shift_right_signed(vi_sub(code, vi_set(-128)), 8);
            rest[j] = vi_sub(code, vi_shift_left(top[j], 8));
        }
        vst1q_s8(high + i, vreinterpretq_s8_s32(vi_pack_bytes(top[0], top[1], top[2], top[3])));
        vst1q_s8(low + i, vreinterpretq_s8_s32(vi_pack_bytes(rest[0], rest[1], rest[2], rest[3])));
    }
    return most < INFINITY ? most / limit : NAN;
}

#endif
