/*
 * Quantising by the rules of ggml's reference: q8_0 scales the largest value
 * of a block to 127 and rounds halves away from zero; q4_0 scales the value of
 * the largest size to -8, keeping its sign, and rounds by adding 8.5.
 */
#include "tensor/quantise.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32, HALF = BLOCK / 2 }; /* values in a block of q8_0 and q4_0, and of q4_0 in its low halves */

pl_dtype pl_dtype_untiled(pl_dtype type)
{
    switch (type) {
    case PL_BF16_TILES:
        return PL_BF16;
    case PL_Q8_TILES:
        return PL_I8;
    case PL_Q8_0_TILES:
        return PL_Q8_0;
    case PL_Q4_0_TILES:
        return PL_Q4_0;
    default:
        return type;
    }
}

bool pl_dtype_can_quantise(pl_dtype type)
{
    return type == PL_F32 || type == PL_BF16 || type == PL_F16 || type == PL_Q8_0 || type == PL_Q4_0;
}

/* The size of the largest of n values, and which it is (the first of several). A NaN makes it NaN. */
static float largest(size_t n, const float *x, size_t *at)
{
    float most = 0;
    *at = 0;
    for (size_t i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        if (!(size <= most)) {
            most = size;
            *at = i;
            if (isnan(size))
                break;
        }
    }
    return most;
}

/* Halves away from zero; |x| is small. */
static int nearest(float x)
{
    const int whole = (int)x;
    const float rest = x - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

/* 1 / scale; 0 where the scale is so small that it has none. */
static float inverse(float scale)
{
    const float inverted = scale < 0 || scale > 0 ? 1 / scale : 0;
    return isfinite(inverted) ? inverted : 0;
}

/* Writes a block's scale; false if f16 cannot hold it. */
static bool put_scale(unsigned char *block, float scale)
{
    const uint16_t bits = pl_f32_to_f16(scale);
    memcpy(block, &bits, sizeof bits);
    return (bits & 0x7c00) != 0x7c00;
}

static bool block_q8_0(const float *x, unsigned char *block)
{
    size_t at;
    const float scale = largest(BLOCK, x, &at) / 127;
    if (!put_scale(block, scale))
        return false;
    const float unit = inverse(scale);
    for (size_t i = 0; i < BLOCK; i++)
        block[2 + i] = (unsigned char)nearest(x[i] * unit);
    return true;
}

static unsigned code_q4_0(float x, float unit)
{
    const float scaled = x * unit; /* on its own: a fused sum would round otherwise */
    const int code = (int)(scaled + 8.5f);
    return code < 15 ? (unsigned)code : 15;
}

static bool block_q4_0(const float *x, unsigned char *block)
{
    size_t at;
    largest(BLOCK, x, &at);
    const float scale = x[at] / -8;
    if (!put_scale(block, scale))
        return false;
    const float unit = inverse(scale);
    for (size_t i = 0; i < HALF; i++)
        block[2 + i] = (unsigned char)(code_q4_0(x[i], unit) | code_q4_0(x[i + HALF], unit) << 4);
    return true;
}

static bool row_f16(size_t n, const float *x, uint16_t *row)
{
    bool fits = true;
    for (size_t i = 0; i < n; i++) {
        row[i] = pl_f32_to_f16(x[i]);
        fits = fits && ((row[i] & 0x7fff) != 0x7c00 || isinf(x[i]));
    }
    return fits;
}

bool pl_quantise_row(pl_dtype type, size_t n, const float *x, void *row)
{
    const size_t bytes = pl_dtype_bytes(type);
    unsigned char *block = row;
    bool fits = true;
    switch (type) {
    case PL_F32:
        memcpy(row, x, n * sizeof *x);
        return true;
    case PL_BF16:
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)row)[i] = pl_f32_to_bf16(x[i]);
        return true;
    case PL_F16:
        return row_f16(n, x, row);
    case PL_Q8_0:
    case PL_Q4_0:
        for (size_t i = 0; fits && i < n; i += BLOCK, block += bytes)
            fits = type == PL_Q8_0 ? block_q8_0(x + i, block) : block_q4_0(x + i, block);
        return fits;
    default:
        return false;
    }
}

bool pl_quantise_codes(size_t n, const float *x, int8_t *codes, float *scale)
{
    size_t at;
    *scale = largest(n, x, &at) / 127;
    if (!isfinite(*scale))
        return false;
    for (size_t i = 0; i < n; i++) {
        const float code = *scale > 0 ? rintf(x[i] / *scale) : 0;
        codes[i] = (int8_t)(code > 127 ? 127 : code < -127 ? -127 : code);
    }
    return true;
}

/* Where the value at k of row r stands in a block that keeps `together` values of a row side by side. */
static size_t place_of(size_t r, size_t k, size_t together)
{
    return (k / together * PL_TILE_ROWS + r) * together + k % together;
}

enum { SCALES = 64, CODES_OF_A_ROW = 2 * BLOCK }; /* bytes of the scales before a block's codes; values a row has in it */

static void tile_bf16(size_t r, size_t n, const unsigned char *row, unsigned char *group)
{
    for (size_t k = 0; k < n; k++)
        memcpy(group + 2 * place_of(r, k, 2), row + 2 * k, 2);
}

static void tile_q8(size_t r, size_t n, const unsigned char *row, unsigned char *group)
{
    for (size_t k = 0; k < n; k++)
        group[place_of(r, k, 4)] = row[k];
}

/* The block that a block of a row goes to, and the place of its scale there. */
static unsigned char *block_of(pl_dtype type, unsigned char *group, size_t r, size_t k, unsigned char **scale)
{
    unsigned char *block = group + k / CODES_OF_A_ROW * pl_dtype_bytes(type);
    *scale = block + k % CODES_OF_A_ROW + 2 * r; /* 32 of k: 16 scales of 2 bytes */
    return block + SCALES;
}

static void tile_q8_0(size_t r, size_t n, const unsigned char *row, unsigned char *group)
{
    for (size_t k = 0; k < n; k += BLOCK, row += 2 + BLOCK) {
        unsigned char *scale, *codes = block_of(PL_Q8_0_TILES, group, r, k, &scale);
        memcpy(scale, row, 2);
        for (size_t i = 0; i < BLOCK; i++)
            codes[place_of(r, k % CODES_OF_A_ROW + i, 4)] = row[2 + i];
    }
}

/* Code i of a q4_0 block's 16 bytes. */
static unsigned nibble(const unsigned char *bytes, size_t i)
{
    return i < HALF ? bytes[i] & 15u : bytes[i - HALF] >> 4;
}

static void tile_q4_0(size_t r, size_t n, const unsigned char *row, unsigned char *group)
{
    for (size_t k = 0; k < n; k += BLOCK, row += 2 + HALF) {
        unsigned char *scale, *codes = block_of(PL_Q4_0_TILES, group, r, k, &scale);
        const unsigned shift = k % CODES_OF_A_ROW ? 4 : 0;
        memcpy(scale, row, 2);
        for (size_t i = 0; i < BLOCK; i++) {
            unsigned char *both = &codes[place_of(r, i, 4)];
            *both = (unsigned char)((*both & ~(15u << shift)) | nibble(row + 2, i) << shift);
        }
    }
}

void pl_tile_rows(pl_dtype type, size_t rows, size_t n, const void *w, size_t row_bytes, void *group)
{
    size_t bytes = 0;
    pl_dtype_row_bytes(type, n, &bytes);
    memset(group, 0, bytes);
    for (size_t r = 0; r < rows; r++) {
        const unsigned char *row = (const unsigned char *)w + r * row_bytes;
        if (type == PL_BF16_TILES)
            tile_bf16(r, n, row, group);
        else if (type == PL_Q8_TILES)
            tile_q8(r, n, row, group);
        else if (type == PL_Q8_0_TILES)
            tile_q8_0(r, n, row, group);
        else
            tile_q4_0(r, n, row, group);
    }
}

/* One block of 32 values of row r back to a block of q8_0 or q4_0. */
static void untile_block(pl_dtype type, const unsigned char *group, size_t r, size_t k, unsigned char *block)
{
    unsigned char *scale, *codes = block_of(type, (unsigned char *)(uintptr_t)group, r, k, &scale);
    memcpy(block, scale, 2);
    if (type == PL_Q8_0_TILES) {
        for (size_t i = 0; i < BLOCK; i++)
            block[2 + i] = codes[place_of(r, k % CODES_OF_A_ROW + i, 4)];
        return;
    }
    const unsigned shift = k % CODES_OF_A_ROW ? 4 : 0;
    for (size_t i = 0; i < HALF; i++) {
        const unsigned low = codes[place_of(r, i, 4)] >> shift & 15u, high = codes[place_of(r, i + HALF, 4)] >> shift & 15u;
        block[2 + i] = (unsigned char)(low | high << 4);
    }
}

void pl_untile_row(pl_dtype type, const void *group, size_t r, size_t n, void *row)
{
    const unsigned char *from = group;
    unsigned char *out = row;
    if (type == PL_BF16_TILES) {
        for (size_t k = 0; k < n; k++)
            memcpy(out + 2 * k, from + 2 * place_of(r, k, 2), 2);
    } else if (type == PL_Q8_TILES) {
        for (size_t k = 0; k < n; k++)
            out[k] = from[place_of(r, k, 4)];
    } else {
        const size_t bytes = pl_dtype_bytes(pl_dtype_untiled(type));
        for (size_t k = 0; k < n; k += BLOCK)
            untile_block(type, from, r, k, out + k / BLOCK * bytes);
    }
}
