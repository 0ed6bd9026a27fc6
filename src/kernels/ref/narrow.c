/*
 * Products of narrow numbers in plain C: bf16 and int8 tiles, planes of int8,
 * and the layout of the tiled weight types (docs/KERNELS.md), which this file
 * defines.
 */
#include "kernels/ref/ref.h"

#include <math.h>
#include <string.h>

static uint16_t load_u16(const unsigned char *src)
{
    return (uint16_t)(src[0] | src[1] << 8);
}

/*
 * Value (r, k) of a group of 16 rows. Blocks follow k; in a block, values stand by two (bf16) or four
 * (int8) of k, of row after row. q8_0 and q4_0: first the scales, f16 [2][16], for each 32 of k; the
 * 4-bit codes of k and k + 32 share a byte, the lower k in the low half.
 */
static float tile_value(pl_dtype type, const unsigned char *group, size_t r, size_t k)
{
    const unsigned char *block = group + k / pl_dtype_block(type) * pl_dtype_bytes(type);
    const size_t in_block = k % pl_dtype_block(type), scale_at = in_block / 32 * 32 + 2 * r;
    switch (type) {
    case PL_BF16_TILES:
        return pl_bf16_to_f32(load_u16(block + in_block / 2 * 64 + 4 * r + 2 * (in_block % 2)));
    case PL_Q8_TILES:
        return (float)(int8_t)block[in_block / 4 * 64 + 4 * r + in_block % 4];
    case PL_Q8_0_TILES:
        return pl_f16_to_f32(load_u16(block + scale_at)) * (float)(int8_t)block[64 + in_block / 4 * 64 + 4 * r + in_block % 4];
    default: { /* PL_Q4_0_TILES */
        const size_t at = in_block % 32;
        const int both = block[64 + at / 4 * 64 + 4 * r + at % 4];
        return pl_f16_to_f32(load_u16(block + scale_at)) * (float)((in_block < 32 ? both & 15 : both >> 4) - 8);
    }
    }
}

void pl_read_row(pl_dtype type, const void *w, size_t row_bytes, size_t r, size_t k0, size_t n, float *values)
{
    static pl_unpack_fn *const unpack[PL_DTYPE_COUNT] = {
#define ENTRY(dtype, name) [PL_##dtype] = pl_unpack_##name##_ref,
        PL_WEIGHT_LIST(ENTRY)
#undef ENTRY
    };
    const unsigned char *group = (const unsigned char *)w + r / pl_dtype_rows(type) * row_bytes;
    if (unpack[type]) {
        unpack[type](n, group + k0 / pl_dtype_block(type) * pl_dtype_bytes(type), values);
        return;
    }
    for (size_t i = 0; i < n; i++)
        values[i] = tile_value(type, group, r % PL_TILE_ROWS, k0 + i);
}

#define UNPACK_GROUP(type, name)                                                                               \
    static void unpack_group_##name##_ref(size_t n, const void *group, float *rows, size_t stride)             \
    {                                                                                                          \
        for (size_t r = 0; r < PL_TILE_ROWS; r++)                                                              \
            pl_read_row(PL_##type, group, 0, r, 0, n, rows + r * stride);                                      \
    }
PL_TILED_LIST(UNPACK_GROUP)
#undef UNPACK_GROUP

void pl_to_bf16_ref(size_t n, const float *x, uint16_t *y)
{
    for (size_t i = 0; i < pl_round_up(n, PL_TILE_BF16); i++)
        y[i] = i < n ? pl_f32_to_bf16(x[i]) : 0;
}

/* The largest size among n values; NaN if one of them is. */
static float largest(size_t n, const float *x)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabsf(x[i]) > most || isnan(x[i]) ? fabsf(x[i]) : most;
    return most;
}

/* x / unit to the nearest whole number within +-limit; 0 where there is no such number. */
static int code_of(float x, float unit, int limit)
{
    const float code = rintf(x / unit);
    return code >= (float)-limit && code <= (float)limit ? (int)code : code > 0 ? limit : code < 0 ? -limit : 0;
}

float pl_to_i8_ref(size_t n, const float *x, int8_t *y)
{
    const float scale = largest(n, x) / 127;
    for (size_t i = 0; i < pl_round_up(n, PL_TILE_I8); i++)
        y[i] = i < n ? (int8_t)code_of(x[i], scale, 127) : 0;
    return isinf(scale) ? NAN : scale;
}

float pl_to_planes_ref(size_t n, const float *x, int8_t *high, int8_t *low)
{
    enum { LIMIT = 32512 }; /* 127 * 256: the high plane stays within +-127 */
    const float scale = largest(n, x) / LIMIT;
    for (size_t i = 0; i < pl_round_up(n, PL_TILE_I8); i++) {
        const int code = i < n ? code_of(x[i], scale, LIMIT) : 0, top = (code + 128) >> 8;
        high[i] = (int8_t)top;
        low[i] = (int8_t)(code - 256 * top);
    }
    return isinf(scale) ? NAN : scale;
}

static void pack_bf16(pl_dtype type, size_t rows, size_t k, const void *w, size_t row_bytes, uint16_t *tiles)
{
    for (size_t r = 0; r < PL_TILE_ROWS; r++) {
        for (size_t k0 = 0; k0 < k; k0 += PL_UNPACK_CHUNK) {
            float chunk[PL_UNPACK_CHUNK] = {0};
            const size_t n = pl_min(k - k0, PL_UNPACK_CHUNK);
            if (r < rows)
                pl_read_row(type, w, row_bytes, r, k0, n, chunk);
            for (size_t i = 0; i < pl_round_up(n, PL_TILE_BF16); i++)
                tiles[(k0 + i) / 2 * 2 * PL_TILE_ROWS + 2 * r + i % 2] = pl_f32_to_bf16(chunk[i]);
        }
    }
}

static void pack_i8(pl_dtype type, size_t rows, size_t k, const void *w, size_t row_bytes, int8_t *tiles, float scale[PL_TILE_ROWS])
{
    for (size_t r = 0; r < PL_TILE_ROWS; r++) {
        float chunk[PL_UNPACK_CHUNK] = {0}, most = 0;
        for (size_t k0 = 0; r < rows && k0 < k; k0 += PL_UNPACK_CHUNK) {
            const size_t n = pl_min(k - k0, PL_UNPACK_CHUNK);
            pl_read_row(type, w, row_bytes, r, k0, n, chunk);
            const float here = largest(n, chunk);
            most = here > most || isnan(here) ? here : most;
        }
        scale[r] = most / 127;
        for (size_t k0 = 0; k0 < k; k0 += PL_UNPACK_CHUNK) {
            const size_t n = pl_min(k - k0, PL_UNPACK_CHUNK);
            if (r < rows)
                pl_read_row(type, w, row_bytes, r, k0, n, chunk);
            for (size_t i = 0; i < pl_round_up(n, PL_TILE_I8); i++)
                tiles[(k0 + i) / 4 * 4 * PL_TILE_ROWS + 4 * r + i % 4] = i < n && r < rows ? (int8_t)code_of(chunk[i], scale[r], 127) : 0;
        }
    }
}

/* By blocks of the type, the K types' of 256: at least as much as has one scale. */
static void skinny_i8(pl_dtype type, size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const int8_t *planes, size_t stride, const float *x_scale, float *y,
                      size_t y_stride, bool accumulate)
{
    const size_t block = pl_dtype_block(type);
    for (size_t t = 0; t < m; t++) {
        const int8_t *high = planes + 2 * t * stride, *low = high + stride;
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t k0 = 0; k0 < k; k0 += block) {
                float values[PL_UNPACK_CHUNK];
                double products = 0; /* exact but for minima: codes times a scale of 11 bits times 16 bits */
                const size_t n = pl_min(k - k0, block);
                pl_read_row(type, w, row_bytes, r, k0, n, values);
                for (size_t i = 0; i < n; i++)
                    products += (double)values[i] * (256 * high[k0 + i] + low[k0 + i]);
                sum += (float)products;
            }
            y[t * y_stride + r] = (accumulate ? y[t * y_stride + r] : 0) + x_scale[t] * sum;
        }
    }
}

#define PACKS(type, name)                                                                                                              \
    static void pack_bf16_##name##_ref(size_t rows, size_t k, const void *w, size_t row_bytes, uint16_t *tiles)                        \
    {                                                                                                                                  \
        pack_bf16(PL_##type, rows, k, w, row_bytes, tiles);                                                                            \
    }                                                                                                                                  \
    static void pack_i8_##name##_ref(size_t rows, size_t k, const void *w, size_t row_bytes, int8_t *tiles, float scale[PL_TILE_ROWS]) \
    {                                                                                                                                  \
        pack_i8(PL_##type, rows, k, w, row_bytes, tiles, scale);                                                                       \
    }
PL_WEIGHT_LIST(PACKS)
PL_TILED_LIST(PACKS)
#undef PACKS

#define SKINNY_I8(type, name)                                                                                                          \
    static void skinny_i8_##name##_ref(size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const int8_t *planes,         \
        size_t stride, const float *x_scale, float *y, size_t y_stride, bool accumulate)                                               \
    {                                                                                                                                  \
        skinny_i8(PL_##type, m, rows, k, w, row_bytes, planes, stride, x_scale, y, y_stride, accumulate);                              \
    }
PL_CODED_LIST(SKINNY_I8)
#undef SKINNY_I8

void pl_pack_columns_bf16_ref(size_t columns, size_t k, const float *b, size_t row_stride, uint16_t *tiles)
{
    for (size_t i = 0; i < pl_round_up(k, PL_TILE_BF16); i++)
        for (size_t j = 0; j < PL_TILE_ROWS; j++)
            tiles[i / 2 * 2 * PL_TILE_ROWS + 2 * j + i % 2] = i < k && j < columns ? pl_f32_to_bf16(b[i * row_stride + j]) : 0;
}

void pl_transpose_bf16_ref(size_t rows, size_t columns, const float *x, size_t x_stride, uint16_t *y, size_t y_stride)
{
    for (size_t c = 0; c < columns; c++)
        for (size_t r = 0; r < pl_round_up(rows, PL_TILE_BF16); r++)
            y[c * y_stride + r] = r < rows ? pl_f32_to_bf16(x[r * x_stride + c]) : 0;
}

void pl_gemm_bf16_ref(size_t m, size_t n, size_t k, const uint16_t *a, size_t a_stride, const uint16_t *tiles, size_t tile_stride, float *c, size_t c_stride, bool accumulate, const pl_ahead *ahead)
{
    (void)ahead;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            const uint16_t *column = tiles + j / PL_TILE_ROWS * tile_stride + 2 * (j % PL_TILE_ROWS);
            float sum = accumulate ? c[i * c_stride + j] : 0;
            for (size_t p = 0; p < k; p++)
                sum = fmaf(pl_bf16_to_f32(a[i * a_stride + p]), pl_bf16_to_f32(column[p / 2 * 2 * PL_TILE_ROWS + p % 2]), sum);
            c[i * c_stride + j] = sum;
        }
    }
}

void pl_gemm_i8_ref(size_t m, size_t n, size_t k, const int8_t *a, size_t a_stride, const float *a_scale, const int8_t *tiles, size_t tile_stride, const float *b_scale, float *c,
                    size_t c_stride, bool accumulate, const pl_ahead *ahead)
{
    (void)ahead;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            const int8_t *column = tiles + j / PL_TILE_ROWS * tile_stride + 4 * (j % PL_TILE_ROWS);
            int32_t sum = 0;
            for (size_t p = 0; p < k; p++)
                sum += a[i * a_stride + p] * column[p / 4 * 4 * PL_TILE_ROWS + p % 4];
            const float scale = a_scale[i] * (b_scale ? b_scale[j] : 1);
            c[i * c_stride + j] = (accumulate ? c[i * c_stride + j] : 0) + scale * (float)sum;
        }
    }
}

/* Narrow numbers are taken apart into floats here: no unit. */
double pl_peak_bf16_ref(size_t steps, float *sink)
{
    (void)steps, (void)sink;
    return 0;
}

double pl_peak_i8_ref(size_t steps, float *sink)
{
    (void)steps, (void)sink;
    return 0;
}

void pl_fill_narrow_ref(pl_kernels *k)
{
#define ENTRY(type, name)                             \
    k->pack_bf16[PL_##type] = pack_bf16_##name##_ref; \
    k->pack_i8[PL_##type] = pack_i8_##name##_ref;
    PL_WEIGHT_LIST(ENTRY)
    PL_TILED_LIST(ENTRY)
#undef ENTRY
#define ENTRY(type, name) k->unpack_group[PL_##type] = unpack_group_##name##_ref;
    PL_TILED_LIST(ENTRY)
#undef ENTRY
#define ENTRY(type, name) k->skinny_i8[PL_##type] = skinny_i8_##name##_ref;
    PL_CODED_LIST(ENTRY)
#undef ENTRY
}
