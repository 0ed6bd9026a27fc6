/*
 * The tile words of kernels/x86/tile_words.h in plain C, as Intel's manual
 * describes the instructions: eight tiles a thread, shapes checked, bf16 pairs
 * summed in two chains with denormals taken as zero. A misuse ends the program.
 */
#ifndef TESTS_KERNELS_TILE_EMULATION_H
#define TESTS_KERNELS_TILE_EMULATION_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

static _Thread_local struct {
    bool configured;
    tile_config config;
    unsigned char data[8][16][64];
} tiles_now;

static void tile_require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "tiles: %s\n", what);
    abort();
}

/* Rows and bytes of a row of a tile that may be used. */
static size_t tile_rows(int tile)
{
    tile_require(tiles_now.configured, "no configuration");
    tile_require(tiles_now.config.rows[tile] > 0, "a tile without rows");
    return tiles_now.config.rows[tile];
}

static size_t tile_row_bytes(int tile)
{
    tile_require(tiles_now.configured, "no configuration");
    return tiles_now.config.row_bytes[tile];
}

static inline void tile_configure(const tile_config *config)
{
    tile_require(sizeof *config == 64 && config->palette == 1 && config->start_row == 0, "palette 1 from row 0");
    for (int i = 0; i < 14; i++)
        tile_require(config->reserved[i] == 0, "reserved bytes are zero");
    for (int i = 0; i < 16; i++)
        tile_require(i < 8 ? config->rows[i] <= 16 && config->row_bytes[i] <= 64 && (config->rows[i] > 0) == (config->row_bytes[i] > 0)
                           : config->rows[i] == 0 && config->row_bytes[i] == 0,
                     "at most 16 rows of 64 bytes, in eight tiles");
    memset(&tiles_now, 0, sizeof tiles_now);
    tiles_now.config = *config;
    tiles_now.configured = true;
}

static inline void tile_release(void)
{
    memset(&tiles_now, 0, sizeof tiles_now);
}

static inline void tile_zero(int tile)
{
    tile_require(tile_rows(tile) > 0, "a tile without rows");
    memset(tiles_now.data[tile], 0, sizeof tiles_now.data[tile]);
}

static inline void tile_load(int tile, const void *p, size_t stride)
{
    tile_zero(tile);
    for (size_t r = 0; r < tile_rows(tile); r++)
        memcpy(tiles_now.data[tile][r], (const unsigned char *)p + r * stride, tile_row_bytes(tile));
}

static inline void tile_store(int tile, void *p, size_t stride)
{
    for (size_t r = 0; r < tile_rows(tile); r++)
        memcpy((unsigned char *)p + r * stride, tiles_now.data[tile][r], tile_row_bytes(tile));
}

static void tile_require_product(int c, int a, int b)
{
    tile_require(c != a && c != b && a != b, "a product of three tiles");
    tile_require(tile_rows(c) == tile_rows(a) && tile_row_bytes(c) == tile_row_bytes(b) && tile_row_bytes(a) == 4 * tile_rows(b), "shapes that fit");
}

/* A denormal counts as zero. */
static float tile_flush(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

static float tile_bf16(const unsigned char *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return tile_flush(pl_bf16_to_f32(half));
}

static inline void tile_dot_bf16(int c, int a, int b)
{
    tile_require_product(c, a, b);
    for (size_t m = 0; m < tile_rows(c); m++)
        for (size_t n = 0; n < tile_row_bytes(c) / 4; n++) {
            float even = 0, odd = 0, sum;
            for (size_t k = 0; k < tile_rows(b); k++) {
                const unsigned char *const x = tiles_now.data[a][m] + 4 * k, *const y = tiles_now.data[b][k] + 4 * n;
                even = tile_flush(fmaf(tile_bf16(x), tile_bf16(y), even));
                odd = tile_flush(fmaf(tile_bf16(x + 2), tile_bf16(y + 2), odd));
            }
            memcpy(&sum, tiles_now.data[c][m] + 4 * n, sizeof sum);
            sum = tile_flush(tile_flush(sum) + tile_flush(even + odd));
            memcpy(tiles_now.data[c][m] + 4 * n, &sum, sizeof sum);
        }
}

static inline void tile_dot_i8(int c, int a, int b)
{
    tile_require_product(c, a, b);
    for (size_t m = 0; m < tile_rows(c); m++)
        for (size_t n = 0; n < tile_row_bytes(c) / 4; n++) {
            int32_t sum;
            memcpy(&sum, tiles_now.data[c][m] + 4 * n, sizeof sum);
            for (size_t i = 0; i < 4 * tile_rows(b); i++)
                sum += (int8_t)tiles_now.data[a][m][i] * (int8_t)tiles_now.data[b][i / 4][4 * n + i % 4];
            memcpy(tiles_now.data[c][m] + 4 * n, &sum, sizeof sum);
        }
}

#endif
