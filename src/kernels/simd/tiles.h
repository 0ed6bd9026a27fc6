/*
 * Tiled weights (ref/narrow.c defines them) times floats, once for every
 * instruction set: packing into panels and the product with few rows. A line
 * of 64 bytes holds the same two or four values of k of 16 rows, so a sum needs
 * no adding over lanes: every row of the weight has its own lane.
 */
#ifndef PL_KERNELS_SIMD_TILES_H
#define PL_KERNELS_SIMD_TILES_H

#include <string.h>

enum { TILE_VECTORS = PL_TILE_ROWS / VF, LINE = 64, LINE_MOST = 4 };

/* A tiled type: blocks of parts, a part of lines, and perhaps one scale for each row and part. */
typedef struct tile_coding {
    size_t values, bytes; /* of a block */
    size_t parts, lines;  /* parts in a block; lines in a part */
    size_t deep;          /* values of k in a line */
    bool scaled;          /* scales, f16 [parts][16], stand before the lines */
    bool halves;          /* the parts share their lines: low and high halves of bytes */
    void (*decode)(const unsigned char *line, size_t part, vf out[LINE_MOST][TILE_VECTORS]);
} tile_coding;

ALWAYS_INLINE void decode_bf16(const unsigned char *line, size_t part, vf out[LINE_MOST][TILE_VECTORS])
{
    (void)part;
    UNROLL
    for (size_t v = 0; v < TILE_VECTORS; v++) {
        const vi pair = vi_load_i32(line + 4 * VF * v);
        out[0][v] = vf_of_bits(vi_shift_left(pair, 16));
        out[1][v] = vf_of_bits(vi_and(pair, vi_set((int)0xffff0000u)));
    }
}

ALWAYS_INLINE void decode_i8(const unsigned char *line, size_t part, vf out[LINE_MOST][TILE_VECTORS])
{
    (void)part;
    UNROLL
    for (size_t v = 0; v < TILE_VECTORS; v++) {
        const vi four = vi_load_i32(line + 4 * VF * v);
        UNROLL
        for (int i = 0; i < 3; i++)
            out[i][v] = vf_from_int(vi_shift_right_signed(vi_shift_left(four, 24 - 8 * i), 24));
        out[3][v] = vf_from_int(vi_shift_right_signed(four, 24));
    }
}

ALWAYS_INLINE void decode_low4(const unsigned char *line, size_t part, vf out[LINE_MOST][TILE_VECTORS])
{
    UNROLL
    for (size_t v = 0; v < TILE_VECTORS; v++) {
        const vi four = vi_shift_right(vi_load_i32(line + 4 * VF * v), 4 * (int)part);
        out[0][v] = vf_from_low4(four, 8);
        UNROLL
        for (int i = 1; i < 4; i++)
            out[i][v] = vf_from_low4(vi_shift_right(four, 8 * i), 8);
    }
}

/* X(name, values, bytes, parts, lines, deep, scaled, halves, decode) */
#define TILE_CODING_LIST(X)                                  \
    X(bf16_tiles, 32, 1024, 1, 16, 2, false, false, bf16)    \
    X(q8_tiles, 64, 1024, 1, 16, 4, false, false, i8)        \
    X(q8_0_tiles, 64, 1088, 2, 8, 4, true, false, i8)        \
    X(q4_0_tiles, 64, 576, 2, 8, 4, true, true, low4)

/* Where a part's lines begin in a block. */
ALWAYS_INLINE const unsigned char *part_lines(const tile_coding type, const unsigned char *block, size_t part)
{
    return block + (type.scaled ? 2 * 2 * PL_TILE_ROWS : 0) + (type.halves ? 0 : part * type.lines * LINE);
}

ALWAYS_INLINE void part_scales(const unsigned char *block, size_t part, vf scale[TILE_VECTORS])
{
    UNROLL
    for (size_t v = 0; v < TILE_VECTORS; v++)
        scale[v] = vf_load_f16(block + 2 * PL_TILE_ROWS * part + 2 * VF * v);
}

/* One group -> columns of panels: each of 16 columns' values goes to its own place in a panel of PANEL columns. */
ALWAYS_INLINE void pack_group(const tile_coding type, size_t k, const unsigned char *group, float *panels, size_t first_column)
{
    for (size_t k0 = 0; k0 < k; k0 += type.values, group += type.bytes) {
        for (size_t at = 0; at < type.parts * type.lines && k0 + at * type.deep < k; at++) {
            const size_t part = at / type.lines;
            vf values[LINE_MOST][TILE_VECTORS], scale[TILE_VECTORS];
            type.decode(part_lines(type, group, part) + at % type.lines * LINE, part, values);
            if (type.scaled)
                part_scales(group, part, scale);
            UNROLL
            for (size_t i = 0; i < type.deep; i++) {
                const size_t row = k0 + at * type.deep + i;
                if (row >= k)
                    break;
                UNROLL
                for (size_t v = 0; v < TILE_VECTORS; v++) {
                    const size_t column = first_column + v * VF;
                    vf_store(panels + column / PANEL * PANEL * k + row * PANEL + column % PANEL, type.scaled ? vf_mul(scale[v], values[i][v]) : values[i][v]);
                }
            }
        }
    }
}

ALWAYS_INLINE void pack_groups(const tile_coding type, size_t rows, size_t k, const unsigned char *w, size_t group_bytes, float *panels)
{
    size_t column = 0;
    for (; column < rows; column += PL_TILE_ROWS, w += group_bytes)
        pack_group(type, k, w, panels, column);
    for (; column < PANEL; column += VF) /* a panel wider than the rows left */
        for (size_t i = 0; i < k; i++)
            vf_store(panels + i * PANEL + column, vf_zero());
}

/* The rows of a group: VF values of k of all of them are squares whose columns are decoded. */
ALWAYS_INLINE void unpack_rows(const tile_coding type, size_t n, const unsigned char *group, float *rows, size_t stride)
{
    for (size_t k0 = 0; k0 < n; k0 += VF) {
        const unsigned char *const block = group + k0 / type.values * type.bytes;
        const size_t line = k0 % type.values / type.deep, part = line / type.lines;
        vf square[TILE_VECTORS][VF], scale[TILE_VECTORS];
        if (type.scaled)
            part_scales(block, part, scale);
        UNROLL
        for (size_t at = 0; at < VF / type.deep; at++) {
            vf values[LINE_MOST][TILE_VECTORS];
            type.decode(part_lines(type, block, part) + (line % type.lines + at) * LINE, part, values);
            UNROLL
            for (size_t i = 0; i < type.deep; i++) {
                UNROLL
                for (size_t v = 0; v < TILE_VECTORS; v++)
                    square[v][at * type.deep + i] = type.scaled ? vf_mul(scale[v], values[i][v]) : values[i][v];
            }
        }
        UNROLL
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            vf_transpose(square[v]);
            UNROLL
            for (size_t r = 0; r < VF; r++)
                put(rows + (v * VF + r) * stride + k0, n - k0, square[v][r]);
        }
    }
}

/* Rows of x at a time, by the registers that their sums take, two chains each. */
enum { TILE_INPUTS = VF == 16 ? 8 : 2 };

/* One block times `inputs` (a constant) rows of x, added to the sums. */
ALWAYS_INLINE void multiply_block(const tile_coding type, size_t inputs, const unsigned char *block, const float *x, size_t x_stride, vf total[TILE_INPUTS][TILE_VECTORS][2])
{
    for (size_t part = 0; part < type.parts; part++) {
        const unsigned char *line = part_lines(type, block, part);
        vf sum[TILE_INPUTS][TILE_VECTORS][2], scale[TILE_VECTORS];
        UNROLL
        for (size_t t = 0; t < inputs; t++) {
            UNROLL
            for (size_t v = 0; v < TILE_VECTORS; v++)
                sum[t][v][0] = sum[t][v][1] = vf_zero();
        }
        for (size_t at = 0; at < type.lines; at++, line += LINE, x += type.deep) {
            vf values[LINE_MOST][TILE_VECTORS];
            __builtin_prefetch((const void *)((uintptr_t)line + AHEAD));
            type.decode(line, part, values);
            UNROLL
            for (size_t i = 0; i < type.deep; i++) {
                UNROLL
                for (size_t t = 0; t < inputs; t++) {
                    const vf input = vf_set(x[t * x_stride + i]);
                    UNROLL
                    for (size_t v = 0; v < TILE_VECTORS; v++) {
                        vf *const to = type.scaled ? &sum[t][v][i % 2] : &total[t][v][i % 2];
                        *to = vf_fma(values[i][v], input, *to);
                    }
                }
            }
        }
        if (!type.scaled)
            continue;
        part_scales(block, part, scale);
        UNROLL
        for (size_t t = 0; t < inputs; t++) {
            UNROLL
            for (size_t v = 0; v < TILE_VECTORS; v++)
                total[t][v][0] = vf_fma(scale[v], vf_add(sum[t][v][0], sum[t][v][1]), total[t][v][0]);
        }
    }
}

/* A group of 16 weight rows, of which `rows` exist, times `inputs` rows of x. */
ALWAYS_INLINE void multiply_group(const tile_coding type, size_t inputs, size_t rows, size_t k, const unsigned char *group, const float *x, size_t x_stride, float *y, size_t y_stride,
                                  bool accumulate)
{
    vf total[TILE_INPUTS][TILE_VECTORS][2];
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t v = 0; v < TILE_VECTORS; v++)
            total[t][v][0] = total[t][v][1] = vf_zero();
    }
    size_t k0 = 0;
    for (; k0 + type.values <= k; k0 += type.values, group += type.bytes)
        multiply_block(type, inputs, group, x + k0, x_stride, total);
    if (k0 < k) { /* x ends within the block */
        float last[TILE_INPUTS][64] = {{0}};
        for (size_t t = 0; t < inputs; t++)
            memcpy(last[t], x + t * x_stride + k0, (k - k0) * sizeof(float));
        multiply_block(type, inputs, group, last[0], 64, total);
    }
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            float *const to = y + t * y_stride + v * VF;
            const vf sum = vf_add(total[t][v][0], total[t][v][1]);
            if (rows <= v * VF)
                continue;
            put(to, rows - v * VF, accumulate ? vf_add(take(to, rows - v * VF, 0), sum) : sum);
        }
    }
}

ALWAYS_INLINE void skinny_groups(const tile_coding type, size_t m, size_t rows, size_t k, const unsigned char *w, size_t group_bytes, const float *x, size_t x_stride, float *y,
                                 size_t y_stride, bool accumulate)
{
    for (size_t r = 0; r < rows; r += PL_TILE_ROWS, w += group_bytes) {
        size_t step;
        for (size_t t = 0; t < m; t += step) {
            const float *const from = x + t * x_stride;
            float *const to = y + t * y_stride + r;
#define STEP(count) (step = (count), multiply_group(type, (count), rows - r, k, w, from, x_stride, to, y_stride, accumulate))
            if (m - t >= TILE_INPUTS)
                STEP(TILE_INPUTS);
            else if (TILE_INPUTS > 4 && m - t >= 4)
                STEP(TILE_INPUTS > 4 ? 4 : 1);
            else if (TILE_INPUTS > 2 && m - t >= 2)
                STEP(TILE_INPUTS > 2 ? 2 : 1);
            else
                STEP(1);
#undef STEP
        }
    }
}

#define TILED(name, ...)                                                                                                                  \
    static const tile_coding tile_coding_##name = {TILE_FIELDS(__VA_ARGS__)};                                                             \
    static void PL_SIMD(pack_##name)(size_t rows, size_t k, const void *w, size_t group_bytes, float *panels)                             \
    {                                                                                                                                     \
        pack_groups(tile_coding_##name, rows, k, w, group_bytes, panels);                                                                 \
    }                                                                                                                                     \
    static void PL_SIMD(unpack_group_##name)(size_t n, const void *group, float *rows, size_t stride)                                     \
    {                                                                                                                                     \
        unpack_rows(tile_coding_##name, n, group, rows, stride);                                                                          \
    }                                                                                                                                     \
    static void PL_SIMD(skinny_##name)(size_t m, size_t rows, size_t k, const void *w, size_t group_bytes, const float *x, size_t x_stride, \
        float *y, size_t y_stride, bool accumulate)                                                                                       \
    {                                                                                                                                     \
        skinny_groups(tile_coding_##name, m, rows, k, w, group_bytes, x, x_stride, y, y_stride, accumulate);                              \
    }
#define TILE_FIELDS(values, bytes, parts, lines, deep, scaled, halves, decode) values, bytes, parts, lines, deep, scaled, halves, decode_##decode
TILE_CODING_LIST(TILED)
#undef TILED
#undef TILE_FIELDS

#endif
