/*
 * Packed weights -> floats in registers, once for every instruction set; the
 * layouts are told in ref/unpack.c. A type is described by how it reads the
 * scales of a block and the codes of a part of it; unpacking and the
 * matrix-vector product are expanded with that. No product of a scale and a
 * code rounds, so unpacked values have the bits of ref.
 */
#ifndef PL_KERNELS_SIMD_UNPACK_H
#define PL_KERNELS_SIMD_UNPACK_H

#include <string.h>

/* Most values of a part, and groups with a scale in a block. Minima stand behind eight scales. */
enum { PART_MAX = 64, SCALES_MAX = 16, MINIMA = 8 };

/* A weight type: value = scale[group] * code - minimum[group]; a plain type is its own code. */
typedef struct coding {
    size_t values, bytes; /* of a block; plain types: of the four vectors that are taken together */
    size_t part;          /* values that are decoded at a time */
    size_t group;         /* values that share a scale; 0 for plain types */
    bool has_minima;
    void (*scales)(const unsigned char *block, float scales[SCALES_MAX]);
    void (*codes)(const unsigned char *block, size_t part, vf *out);
} coding;

ALWAYS_INLINE void scales_none(const unsigned char *block, float scales[SCALES_MAX])
{
    (void)block;
    (void)scales;
}

ALWAYS_INLINE void codes_f32(const unsigned char *block, size_t part, vf *out)
{
    (void)part;
    UNROLL
    for (size_t i = 0; i < 4; i++)
        out[i] = vf_load_bytes(block + 4 * VF * i);
}

ALWAYS_INLINE void codes_bf16(const unsigned char *block, size_t part, vf *out)
{
    (void)part;
    UNROLL
    for (size_t i = 0; i < 4; i++)
        out[i] = vf_load_bf16(block + 2 * VF * i);
}

ALWAYS_INLINE void codes_f16(const unsigned char *block, size_t part, vf *out)
{
    (void)part;
    UNROLL
    for (size_t i = 0; i < 4; i++)
        out[i] = vf_load_f16(block + 2 * VF * i);
}

ALWAYS_INLINE void scales_first_f16(const unsigned char *block, float scales[SCALES_MAX])
{
    scales[0] = load_one_f16(block);
}

ALWAYS_INLINE void codes_q8_0(const unsigned char *block, size_t part, vf *out)
{
    (void)part;
    UNROLL
    for (size_t i = 0; i < 32 / VF; i++)
        out[i] = vf_from_int(vi_load_i8(block + 2 + i * VF));
}

ALWAYS_INLINE void codes_q4_0(const unsigned char *block, size_t part, vf *out)
{
    (void)part;
    UNROLL
    for (size_t i = 0; i < 16 / VF; i++) {
        const vi both = vi_load_u8(block + 2 + i * VF);
        out[i] = vf_from_low4(both, 8);
        out[16 / VF + i] = vf_from_low4(vi_shift_right(both, 4), 8);
    }
}

/* The 12 bytes of 6-bit scales and minima of Q4_K and Q5_K, four bytes at a time (little-endian). */
ALWAYS_INLINE void scales_k(const unsigned char *block, float scales[SCALES_MAX])
{
    static const float lanes[SCALES_MAX] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vf d = vf_set(load_one_f16(block)), dmin = vf_set(load_one_f16(block + 2));
    uint32_t packed[3], bytes[4];
    memcpy(packed, block + 4, sizeof packed);
    bytes[0] = packed[0] & 0x3f3f3f3fu;
    bytes[1] = (packed[2] & 0x0f0f0f0fu) | (packed[0] >> 2 & 0x30303030u);
    bytes[2] = packed[1] & 0x3f3f3f3fu;
    bytes[3] = (packed[2] >> 4 & 0x0f0f0f0fu) | (packed[1] >> 2 & 0x30303030u);
    UNROLL
    for (size_t i = 0; i < SCALES_MAX; i += VF) {
        const vf factor = vf_where_less(vf_load(lanes + i), vf_set(MINIMA), d, dmin);
        vf_store(scales + i, vf_mul(factor, vf_from_int(vi_load_u8((const unsigned char *)bytes + i))));
    }
}

/* Part p is the groups 2p and 2p+1, 32 values each, in the two halves of 32 bytes. */
ALWAYS_INLINE void codes_q4_k(const unsigned char *block, size_t part, vf *out)
{
    UNROLL
    for (size_t i = 0; i < 32 / VF; i++) {
        const vi both = vi_load_u8(block + 16 + 32 * part + i * VF);
        out[i] = vf_from_low4(both, 0);
        out[32 / VF + i] = vf_from_low4(vi_shift_right(both, 4), 0);
    }
}

ALWAYS_INLINE void codes_q5_k(const unsigned char *block, size_t part, vf *out)
{
    UNROLL
    for (size_t i = 0; i < 32 / VF; i++) {
        const vi both = vi_load_u8(block + 48 + 32 * part + i * VF);
        const vi fifths = vi_shift_right(vi_load_u8(block + 16 + i * VF), 2 * (int)part); /* bits 0 and 1 */
        const vi first = vi_or(vi_and(both, vi_set(15)), vi_and(vi_shift_left(fifths, 4), vi_set(16)));
        const vi second = vi_or(vi_shift_right(both, 4), vi_and(vi_shift_left(fifths, 3), vi_set(16)));
        out[i] = vf_from_int(first);
        out[32 / VF + i] = vf_from_int(second);
    }
}

ALWAYS_INLINE void scales_q6_k(const unsigned char *block, float scales[SCALES_MAX])
{
    const vf d = vf_set(load_one_f16(block + 208));
    UNROLL
    for (size_t i = 0; i < SCALES_MAX; i += VF)
        vf_store(scales + i, vf_mul(d, vf_from_int(vi_load_i8(block + 192 + i))));
}

/* Parts 2h and 2h+1 are of half h: the low or the high halves of its 64 bytes, with two of the four pairs of top bits. */
ALWAYS_INLINE void codes_q6_k(const unsigned char *block, size_t part, vf *out)
{
    const unsigned char *const lows = block + 64 * (part / 2), *const tops = block + 128 + 32 * (part / 2);
    const int high = (int)(part % 2);
    UNROLL
    for (size_t i = 0; i < 32 / VF; i++) {
        const vi top = vi_shift_right(vi_load_u8(tops + i * VF), 4 * high); /* bits 0-1 and 2-3 */
        const vi low0 = vi_and(vi_shift_right(vi_load_u8(lows + i * VF), 4 * high), vi_set(15));
        const vi low1 = vi_and(vi_shift_right(vi_load_u8(lows + 32 + i * VF), 4 * high), vi_set(15));
        const vi code0 = vi_or(low0, vi_and(vi_shift_left(top, 4), vi_set(48)));
        const vi code1 = vi_or(low1, vi_and(vi_shift_left(top, 2), vi_set(48)));
        out[i] = vf_from_int(vi_sub(code0, vi_set(32)));
        out[32 / VF + i] = vf_from_int(vi_sub(code1, vi_set(32)));
    }
}

/* X(name, values, bytes, part, group, has minima, scales): the fields of its coding. */
#define CODING_LIST(X)                                      \
    X(f32, 4 * VF, 16 * VF, 4 * VF, 0, false, none)         \
    X(bf16, 4 * VF, 8 * VF, 4 * VF, 0, false, none)         \
    X(f16, 4 * VF, 8 * VF, 4 * VF, 0, false, none)          \
    X(q8_0, 32, 34, 32, 32, false, first_f16)               \
    X(q4_0, 32, 18, 32, 32, false, first_f16)               \
    X(q4_k, 256, 144, 64, 32, true, k)                      \
    X(q5_k, 256, 176, 64, 32, true, k)                      \
    X(q6_k, 256, 210, 64, 16, false, q6_k)

/* n values; those behind the last whole block (plain types only) are left to ref. */
ALWAYS_INLINE void unpack_values(const coding type, pl_unpack_fn *rest, size_t n, const unsigned char *src, float *dst)
{
    size_t i = 0;
    for (; i + type.values <= n; i += type.values, src += type.bytes) {
        float scales[SCALES_MAX];
        type.scales(src, scales);
        for (size_t part = 0; part < type.values / type.part; part++) {
            vf out[PART_MAX / VF];
            type.codes(src, part, out);
            UNROLL
            for (size_t j = 0; j < type.part / VF; j++) {
                const size_t at = part * type.part + j * VF, group = type.group > 0 ? at / type.group : 0;
                if (type.group > 0)
                    out[j] = vf_mul(vf_set(scales[group]), out[j]);
                if (type.has_minima)
                    out[j] = vf_sub(out[j], vf_set(scales[MINIMA + group]));
                vf_store(dst + i + at, out[j]);
            }
        }
    }
    if (i < n)
        rest(n - i, src, dst + i);
}

#define UNPACK(name, values, bytes, part, group, has_minima, scales)                                          \
    static const coding coding_##name = {values, bytes, part, group, has_minima, scales_##scales, codes_##name}; \
    static void PL_SIMD(unpack_##name)(size_t n, const void *src, float *dst)                                 \
    {                                                                                                         \
        unpack_values(coding_##name, pl_unpack_##name##_ref, n, src, dst);                                    \
    }
CODING_LIST(UNPACK)
#undef UNPACK

#endif
