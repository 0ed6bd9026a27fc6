/*
 * Packing to tiles of bf16 and int8 (ref/narrow.c defines them), once for every
 * instruction set. A line of a tile holds the same pair or four of k of 16
 * rows: rows become lines by transposing squares of 32-bit lanes, tiled weights
 * have their rows in lanes already.
 */
#ifndef PL_KERNELS_SIMD_NARROW_H
#define PL_KERNELS_SIMD_NARROW_H

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Values of k in a square: VF pairs, VF fours. */
enum { PAIRS_WIDE = 2 * VF, FOURS_WIDE = 4 * VF };

/* Which pair, or four, of the values in order lies in a lane of vi_pack_high, or vi_pack_bytes. */
static inline size_t pair_in_lane(size_t lane)
{
    return lane / 4 * 2 + lane % 4 / 2 * (VF / 2) + lane % 2;
}

static inline size_t four_in_lane(size_t lane)
{
    return lane / 4 + lane % 4 * (VF / 4);
}

/* A square of k pairs or fours of VF rows, `lane` of which holds the `order` th in k, -> lines. */
ALWAYS_INLINE void store_lines(vf square[VF], size_t (*order)(size_t lane), unsigned char *lines)
{
    vf_transpose(square);
    UNROLL
    for (size_t i = 0; i < VF; i++)
        vf_store_bytes(lines + order(i) * LINE, square[i]);
}

/* Weight rows, and what unpacks PL_UNPACK_CHUNK of their values. */
typedef struct row_source {
    pl_unpack_fn *unpack;
    size_t chunk_bytes;
    size_t rows, k, row_bytes; /* rows: at most VF */
    const unsigned char *w;
} row_source;

/* The values from k0 on of VF rows -> buffer, with zeros up to a multiple of `whole`; the rows that do not exist are zeros. */
static size_t unpack_chunk(const row_source *from, size_t k0, size_t whole, float buffer[VF * CHUNK_STRIDE])
{
    const size_t n = pl_min(PL_UNPACK_CHUNK, from->k - k0), filled = pl_round_up(n, whole);
    for (size_t r = 0; r < VF; r++) {
        float *const to = buffer + r * CHUNK_STRIDE;
        const size_t have = r < from->rows ? n : 0;
        if (have > 0) {
            const unsigned char *const row = from->w + r * from->row_bytes + k0 / PL_UNPACK_CHUNK * from->chunk_bytes;
            prefetch_run((uintptr_t)row + 2 * from->chunk_bytes, from->chunk_bytes);
            from->unpack(n, row, to);
        }
        if (have < filled)
            memset(to + have, 0, (filled - have) * sizeof *to);
    }
    return filled;
}

/* Rows first to first + VF of the source, as far as they exist. */
static row_source rows_from(row_source from, size_t first)
{
    from.rows = from.rows > first ? pl_min(from.rows - first, VF) : 0;
    from.w += first * from.row_bytes;
    return from;
}

static void pack_rows_bf16(row_source all, uint16_t *tiles)
{
    float buffer[VF * CHUNK_STRIDE];
    for (size_t first = 0; first < PL_TILE_ROWS; first += VF) {
        const row_source from = rows_from(all, first);
        for (size_t k0 = 0; k0 < from.k; k0 += PL_UNPACK_CHUNK) {
            const size_t filled = unpack_chunk(&from, k0, PL_TILE_BF16, buffer);
            for (size_t i = 0; i < filled; i += PAIRS_WIDE) {
                vf square[VF];
                UNROLL
                for (size_t r = 0; r < VF; r++) {
                    const float *const values = buffer + r * CHUNK_STRIDE + i;
                    square[r] = vf_of_bits(vi_pack_high(vi_round_bf16(vf_load(values)), vi_round_bf16(vf_load(values + VF))));
                }
                store_lines(square, pair_in_lane, (unsigned char *)tiles + (k0 + i) / 2 * LINE + 4 * first);
            }
        }
    }
}

/*
 * Rows of bf16 are pairs already. Each is read a few lines at a time into a buffer: the rows of a matrix
 * lie at the same cache sets, where they would drive each other out before all of a line was used.
 */
static void PL_SIMD(pack_bf16_pairs)(size_t rows, size_t k, const void *w, size_t row_bytes, uint16_t *tiles)
{
    enum { CHUNK = 128, STRIDE = 2 * CHUNK + LINE };
    unsigned char buffer[VF * STRIDE] = {0};
    for (size_t first = 0; first < PL_TILE_ROWS; first += VF) {
        const size_t have = rows > first ? pl_min(rows - first, VF) : 0;
        memset(buffer + have * STRIDE, 0, (VF - have) * STRIDE);
        for (size_t k0 = 0; k0 < k; k0 += CHUNK) {
            const size_t n = pl_min(k - k0, CHUNK), filled = pl_round_up(n, PL_TILE_BF16);
            for (size_t r = 0; r < have; r++) {
                const unsigned char *const from = (const unsigned char *)w + (first + r) * row_bytes + 2 * k0;
                prefetch_run((uintptr_t)from + 2 * 2 * CHUNK, 2 * CHUNK);
                if (n == CHUNK)
                    memcpy(buffer + r * STRIDE, from, 2 * CHUNK);
                else
                    memcpy(buffer + r * STRIDE, from, 2 * n);
                if (n < filled)
                    memset(buffer + r * STRIDE + 2 * n, 0, 2 * (filled - n));
            }
            for (size_t i = 0; i < filled; i += PAIRS_WIDE) {
                vf square[VF];
                vf_load_columns(buffer + 2 * i, STRIDE, square);
                UNROLL
                for (size_t j = 0; j < VF; j++)
                    vf_store_bytes((unsigned char *)tiles + ((k0 + i) / 2 + j) * LINE + 4 * first, square[j]);
            }
        }
    }
}

/* Sizes as whole numbers: their order is the same, with NaN above all. */
ALWAYS_INLINE vi larger_size(vi most, vf x)
{
    return vi_max(most, vi_and(vi_of_bits(x), vi_set(0x7fffffff)));
}

/* Codes are x times this; 0 if nothing is to be told apart, or nothing finite is there. */
static float inverse_of(float most)
{
    return most > 0 && 127 / most < INFINITY ? 127 / most : 0;
}

ALWAYS_INLINE vi code_of(vf x, vf inverse)
{
    return vi_from_rounded(vf_max(vf_min(vf_mul(x, inverse), vf_set(127)), vf_set(-127)));
}

/* The largest size of each of VF rows. */
static void largest_of_rows(const row_source *from, float buffer[VF * CHUNK_STRIDE], float most[VF])
{
    float sizes[VF * VF];
    for (size_t r = 0; r < VF; r++)
        vf_store(sizes + r * VF, vf_zero());
    for (size_t k0 = 0; k0 < from->k; k0 += PL_UNPACK_CHUNK) {
        const size_t filled = unpack_chunk(from, k0, VF, buffer);
        for (size_t r = 0; r < VF; r++) {
            vi size = vi_of_bits(vf_load(sizes + r * VF));
            for (size_t i = 0; i < filled; i += VF)
                size = larger_size(size, vf_load(buffer + r * CHUNK_STRIDE + i));
            vf_store(sizes + r * VF, vf_of_bits(size));
        }
    }
    vf square[VF];
    UNROLL
    for (size_t r = 0; r < VF; r++)
        square[r] = vf_load(sizes + r * VF);
    vf_transpose(square);
    vi size = vi_of_bits(square[0]);
    UNROLL
    for (size_t i = 1; i < VF; i++)
        size = vi_max(size, vi_of_bits(square[i]));
    vf_store(most, vf_of_bits(size));
}

static void pack_rows_i8(row_source all, int8_t *tiles, float scale[PL_TILE_ROWS])
{
    float buffer[VF * CHUNK_STRIDE], most[VF];
    for (size_t first = 0; first < PL_TILE_ROWS; first += VF) {
        const row_source from = rows_from(all, first);
        largest_of_rows(&from, buffer, most);
        for (size_t r = 0; r < VF; r++) {
            scale[first + r] = most[r] / 127;
            most[r] = inverse_of(most[r]);
        }
        for (size_t k0 = 0; k0 < from.k; k0 += PL_UNPACK_CHUNK) {
            const size_t filled = unpack_chunk(&from, k0, PL_TILE_I8, buffer);
            for (size_t i = 0; i < filled; i += FOURS_WIDE) {
                vf square[VF];
                UNROLL
                for (size_t r = 0; r < VF; r++) {
                    const float *const values = buffer + r * CHUNK_STRIDE + i;
                    const vf inverse = vf_set(most[r]);
                    square[r] = vf_of_bits(vi_pack_bytes(code_of(vf_load(values), inverse), code_of(vf_load(values + VF), inverse),
                                                         code_of(vf_load(values + 2 * VF), inverse), code_of(vf_load(values + 3 * VF), inverse)));
                }
                store_lines(square, four_in_lane, (unsigned char *)tiles + (k0 + i) / 4 * LINE + 4 * first);
            }
        }
    }
}

/* ---- From tiles ------------------------------------------------------ */

/* Zeros for the values of rows from `rows` and of k from `k` on in lines of `deep` values of `bytes` each, filled up to `whole`. */
static void clear_rest(size_t rows, size_t k, size_t deep, size_t bytes, size_t whole, unsigned char *tiles)
{
    for (size_t i = 0; i < pl_round_up(k, whole); i++)
        for (size_t r = i < k ? rows : 0; r < PL_TILE_ROWS; r++)
            memset(tiles + i / deep * LINE + 4 * r + i % deep * bytes, 0, bytes);
}

static void clear_rest_if_any(size_t rows, size_t k, size_t deep, size_t whole, unsigned char *tiles)
{
    if (rows < PL_TILE_ROWS)
        clear_rest(rows, k, deep, 4 / deep, whole, tiles);
    else /* whole lines before stay */
        clear_rest(rows, k % whole, deep, 4 / deep, whole, tiles + k / whole * whole / deep * LINE);
}

/* Two values of k of VF rows -> their pairs, with or without rounding. */
ALWAYS_INLINE vf join_pair(vf even, vf odd, bool exact)
{
    const vi low = exact ? vi_of_bits(even) : vi_round_bf16(even), high = exact ? vi_of_bits(odd) : vi_round_bf16(odd);
    return vf_of_bits(vi_or(vi_shift_right(low, 16), vi_and(high, vi_set((int)0xffff0000u))));
}

/* A line of a block -> values, scaled. */
ALWAYS_INLINE void decode_line(const tile_coding type, const unsigned char *block, size_t at, vf values[LINE_MOST][TILE_VECTORS])
{
    const size_t part = at / type.lines;
    type.decode(part_lines(type, block, part) + at % type.lines * LINE, part, values);
    if (!type.scaled)
        return;
    vf scale[TILE_VECTORS];
    part_scales(block, part, scale);
    UNROLL
    for (size_t i = 0; i < type.deep; i++) {
        UNROLL
        for (size_t v = 0; v < TILE_VECTORS; v++)
            values[i][v] = vf_mul(scale[v], values[i][v]);
    }
}

ALWAYS_INLINE void pack_tiles_bf16(const tile_coding type, size_t rows, size_t k, const unsigned char *block, uint16_t *tiles)
{
    unsigned char *const out = (unsigned char *)tiles;
    for (size_t k0 = 0; k0 < k; k0 += type.values, block += type.bytes) {
        const size_t lines = pl_min(type.values, pl_round_up(k - k0, PL_TILE_BF16)) / type.deep;
        for (size_t at = 0; at < lines; at++) {
            vf values[LINE_MOST][TILE_VECTORS];
            decode_line(type, block, at, values);
            UNROLL
            for (size_t i = 0; i < type.deep; i += 2) {
                UNROLL
                for (size_t v = 0; v < TILE_VECTORS; v++) /* codes alone are exact in bf16 */
                    vf_store_bytes(out + (k0 + at * type.deep + i) / 2 * LINE + 4 * VF * v, join_pair(values[i][v], values[i + 1][v], !type.scaled));
            }
        }
    }
    clear_rest_if_any(rows, k, 2, PL_TILE_BF16, out);
}

ALWAYS_INLINE void pack_tiles_i8(const tile_coding type, size_t rows, size_t k, const unsigned char *group, int8_t *tiles, float scale[PL_TILE_ROWS])
{
    vi size[TILE_VECTORS];
    vf inverse[TILE_VECTORS], values[LINE_MOST][TILE_VECTORS];
    float most[PL_TILE_ROWS];
    for (size_t v = 0; v < TILE_VECTORS; v++)
        size[v] = vi_set(0);
    for (size_t i = 0; i < k; i += type.deep) {
        decode_line(type, group + i / type.values * type.bytes, i % type.values / type.deep, values);
        for (size_t j = 0; j < pl_min(type.deep, k - i); j++)
            for (size_t v = 0; v < TILE_VECTORS; v++)
                size[v] = larger_size(size[v], values[j][v]);
    }
    for (size_t v = 0; v < TILE_VECTORS; v++)
        vf_store(most + v * VF, vf_of_bits(size[v]));
    for (size_t r = 0; r < PL_TILE_ROWS; r++) {
        scale[r] = r < rows ? most[r] / 127 : 0;
        most[r] = inverse_of(most[r]);
    }
    for (size_t v = 0; v < TILE_VECTORS; v++)
        inverse[v] = vf_load(most + v * VF);
    for (size_t i = 0; i < k; i += 4) {
        UNROLL
        for (size_t j = 0; j < 4; j += type.deep) /* beyond k the block goes on, or zeros follow below */
            decode_line(type, group + (i + j) / type.values * type.bytes, (i + j) % type.values / type.deep, values + j);
        UNROLL
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            vi four = vi_and(code_of(values[0][v], inverse[v]), vi_set(255));
            UNROLL
            for (int j = 1; j < 4; j++)
                four = vi_or(four, vi_shift_left(vi_and(code_of(values[j][v], inverse[v]), vi_set(255)), 8 * j));
            vf_store_bytes((unsigned char *)tiles + i / 4 * LINE + 4 * VF * v, vf_of_bits(four));
        }
    }
    clear_rest_if_any(rows, k, 4, PL_TILE_I8, (unsigned char *)tiles);
}

/* Pairs of rows of b are lines. */
static void PL_SIMD(pack_columns_bf16)(size_t columns, size_t k, const float *b, size_t row_stride, uint16_t *tiles)
{
    for (size_t i = 0; i < pl_round_up(k, PL_TILE_BF16); i += 2, tiles += 2 * PL_TILE_ROWS) {
        UNROLL
        for (size_t j = 0; j < PL_TILE_ROWS; j += VF) {
            const vf even = i < k && j < columns ? take(b + i * row_stride + j, columns - j, 0) : vf_zero();
            const vf odd = i + 1 < k && j < columns ? take(b + (i + 1) * row_stride + j, columns - j, 0) : vf_zero();
            vf_store_bytes((unsigned char *)(tiles + 2 * j), join_pair(even, odd, false));
        }
    }
}

/* Pairs of rows are lines as above; VF of them turned are a line of rows of each column. */
ALWAYS_INLINE void turn_pairs(bool whole, size_t rows, size_t columns, const float *x, size_t x_stride, uint16_t *y, size_t y_stride)
{
    vf square[VF];
    UNROLL
    for (size_t i = 0; i < VF; i++) {
        const size_t even = 2 * i, odd = even + 1;
        if (whole)
            square[i] = join_pair(vf_load(x + even * x_stride), vf_load(x + odd * x_stride), false);
        else
            square[i] = join_pair(even < rows ? take(x + even * x_stride, columns, 0) : vf_zero(), odd < rows ? take(x + odd * x_stride, columns, 0) : vf_zero(), false);
    }
    vf_transpose(square);
    UNROLL
    for (size_t c = 0; c < VF; c++)
        if (whole || c < columns)
            vf_store_bytes((unsigned char *)(y + c * y_stride), square[c]);
}

static void PL_SIMD(transpose_bf16)(size_t rows, size_t columns, const float *x, size_t x_stride, uint16_t *y, size_t y_stride)
{
    for (size_t r = 0; r < pl_round_up(rows, PL_TILE_BF16); r += 2 * VF) {
        const size_t below = rows > r ? rows - r : 0;
        for (size_t c = 0; c < columns; c += VF) {
            const float *const from = x + pl_min(r, rows) * x_stride + c;
            uint16_t *const to = y + c * y_stride + r;
            if (below >= 2 * VF && columns - c >= VF)
                turn_pairs(true, 2 * VF, VF, from, x_stride, to, y_stride);
            else
                turn_pairs(false, below, columns - c, from, x_stride, to, y_stride);
        }
    }
}

#define PACK_ROWS(name, values, bytes, ...)                                                                                               \
    static inline row_source row_source_##name(size_t rows, size_t k, const void *w, size_t row_bytes)                                    \
    {                                                                                                                                     \
        return (row_source){PL_SIMD(unpack_##name), PL_UNPACK_CHUNK / (values) * (bytes), rows, k, row_bytes, w};                         \
    }                                                                                                                                     \
    static void PL_SIMD(pack_bf16_##name)(size_t rows, size_t k, const void *w, size_t row_bytes, uint16_t *tiles)                        \
    {                                                                                                                                     \
        pack_rows_bf16(row_source_##name(rows, k, w, row_bytes), tiles);                                                                  \
    }                                                                                                                                     \
    static void PL_SIMD(pack_i8_##name)(size_t rows, size_t k, const void *w, size_t row_bytes, int8_t *tiles, float scale[PL_TILE_ROWS]) \
    {                                                                                                                                     \
        pack_rows_i8(row_source_##name(rows, k, w, row_bytes), tiles, scale);                                                             \
    }
CODING_LIST(PACK_ROWS)
#undef PACK_ROWS

#define PACK_TILES(name, ...)                                                                                                             \
    static void PL_SIMD(pack_bf16_##name)(size_t rows, size_t k, const void *w, size_t group_bytes, uint16_t *tiles)                      \
    {                                                                                                                                     \
        (void)group_bytes;                                                                                                                \
        pack_tiles_bf16(tile_coding_##name, rows, k, w, tiles);                                                                           \
    }                                                                                                                                     \
    static void PL_SIMD(pack_i8_##name)(size_t rows, size_t k, const void *w, size_t group_bytes, int8_t *tiles,                          \
        float scale[PL_TILE_ROWS])                                                                                                        \
    {                                                                                                                                     \
        (void)group_bytes;                                                                                                                \
        pack_tiles_i8(tile_coding_##name, rows, k, w, tiles, scale);                                                                      \
    }
TILE_CODING_LIST(PACK_TILES)
#undef PACK_TILES

#endif
