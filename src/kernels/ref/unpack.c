/*
 * Packed weights -> floats, in plain C: the definition of every weight type.
 * The quantised types are ggml's blocks: a block holds its scale (f16), for
 * the K types also a 6- or 8-bit scale (and minimum) for each 16 or 32 values,
 * and the codes. Source: the GGUF specification and the gguf Python package.
 *
 * No product here rounds: scales have 11 bits (times 6 or 8) and codes at most
 * 6, so only a subtraction of the minimum does; every level gives the same bits.
 */
#include "kernels/levels.h"

#include <string.h>

static uint16_t load_u16(const void *src)
{
    uint16_t x;
    memcpy(&x, src, sizeof x);
    return x;
}

void pl_unpack_f32_ref(size_t n, const void *src, float *dst)
{
    memcpy(dst, src, n * sizeof *dst);
}

void pl_unpack_bf16_ref(size_t n, const void *src, float *dst)
{
    const unsigned char *const bytes = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = pl_bf16_to_f32(load_u16(bytes + 2 * i));
}

void pl_unpack_f16_ref(size_t n, const void *src, float *dst)
{
    const unsigned char *const bytes = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = pl_f16_to_f32(load_u16(bytes + 2 * i));
}

/* 32 values: scale f16, 32 codes int8. */
void pl_unpack_q8_0_ref(size_t n, const void *src, float *dst)
{
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 32, block += 34) {
        const float d = pl_f16_to_f32(load_u16(block));
        for (size_t j = 0; j < 32; j++)
            dst[i + j] = d * (float)(int8_t)block[2 + j];
    }
}

/* 32 values: scale f16, 16 bytes; low halves are values 0..15, high ones 16..31; 8 is zero. */
void pl_unpack_q4_0_ref(size_t n, const void *src, float *dst)
{
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 32, block += 18) {
        const float d = pl_f16_to_f32(load_u16(block));
        for (size_t j = 0; j < 16; j++) {
            dst[i + j] = d * (float)((block[2 + j] & 15) - 8);
            dst[i + 16 + j] = d * (float)((block[2 + j] >> 4) - 8);
        }
    }
}

/*
 * The 6-bit scale and minimum of group g (0..7) of a Q4_K or Q5_K block, from
 * its 12 bytes: groups 0..3 lie in the low 6 bits of bytes g and g+4; of
 * groups 4..7 the low 4 bits lie in byte g+4 and the rest atop the former.
 */
static void k_group(const unsigned char *packed, size_t g, float *scale, float *minimum)
{
    if (g < 4) {
        *scale = (float)(packed[g] & 63);
        *minimum = (float)(packed[g + 4] & 63);
    } else {
        *scale = (float)((packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4);
        *minimum = (float)((packed[g + 4] >> 4) | (packed[g] >> 6) << 4);
    }
}

/*
 * 256 values: scale f16, scale of the minima f16, 12 bytes of group scales,
 * 128 bytes: each 32 hold group 2i in their low halves and 2i+1 in the high.
 */
void pl_unpack_q4_k_ref(size_t n, const void *src, float *dst)
{
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 256, block += 144) {
        const float d = pl_f16_to_f32(load_u16(block)), dmin = pl_f16_to_f32(load_u16(block + 2));
        for (size_t g = 0; g < 8; g++) {
            const unsigned char *const codes = block + 16 + g / 2 * 32;
            float scale, minimum;
            k_group(block + 4, g, &scale, &minimum);
            scale *= d;
            minimum *= dmin;
            for (size_t j = 0; j < 32; j++)
                dst[i + 32 * g + j] = scale * (float)(codes[j] >> 4 * (g % 2) & 15) - minimum;
        }
    }
}

/* As Q4_K, with 32 bytes before the codes: bit g of byte j is the fifth bit of value j of group g. */
void pl_unpack_q5_k_ref(size_t n, const void *src, float *dst)
{
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 256, block += 176) {
        const float d = pl_f16_to_f32(load_u16(block)), dmin = pl_f16_to_f32(load_u16(block + 2));
        const unsigned char *const fifth = block + 16;
        for (size_t g = 0; g < 8; g++) {
            const unsigned char *const codes = block + 48 + g / 2 * 32;
            float scale, minimum;
            k_group(block + 4, g, &scale, &minimum);
            scale *= d;
            minimum *= dmin;
            for (size_t j = 0; j < 32; j++) {
                const int code = (codes[j] >> 4 * (g % 2) & 15) | (fifth[j] >> g & 1) << 4;
                dst[i + 32 * g + j] = scale * (float)code - minimum;
            }
        }
    }
}

/*
 * 256 values: 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 scales int8
 * (one for each 16 values), scale f16; 32 is zero. Of each half of 128 values,
 * 64 bytes hold values 0..63 in their low halves and 64..127 in the high ones,
 * and 32 bytes hold the top bits of values j, j+32, j+64, j+96 from bit 0 up.
 */
void pl_unpack_q6_k_ref(size_t n, const void *src, float *dst)
{
    const unsigned char *block = src;
    for (size_t i = 0; i < n; i += 256, block += 210) {
        const float d = pl_f16_to_f32(load_u16(block + 208));
        for (size_t j = 0; j < 256; j++) {
            const size_t half = j / 128, in_half = j % 128;
            const int low = block[64 * half + in_half % 64] >> 4 * (in_half / 64) & 15;
            const int high = block[128 + 32 * half + in_half % 32] >> 2 * (in_half / 32) & 3;
            const float scale = d * (float)(int8_t)block[192 + j / 16];
            dst[i + j] = scale * (float)((low | high << 4) - 32);
        }
    }
}
