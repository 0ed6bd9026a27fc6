/*
 * Products of int8 by vpdpbusd, once for vectors of 8 and of 16 numbers of 32
 * bits. The instruction multiplies bytes without a sign with bytes with one:
 * weights are taken as w + 128, and 128 times the sum of the other side is what
 * every sum begins below zero. A level's file defines the words below.
 *
 *   VL, PL_VNNI(name)          numbers in a vector; a name with the level's suffix
 *   PRODUCT_ROWS, INPUTS       rows of a product step; rows of x that a product of few rows takes at once
 *   vi_load(bytes) vi_set vi_and vi_xor vi_max vi_sum vi_of_bits vf_set vf_add vf_mul vf_fma vf_min vf_max   as in kernels/simd/level.h
 *   vf_from_int vi_from_rounded vf_load_f16(bytes)
 *   vf_take(p, left), vf_put(p, left, x)   of `left` values, which may be 0 or more than VL; others read as 0
 *   vi_shift_right_4(x)        in each 16 bits
 *   vi_store_bytes(p, x)       numbers that fit
 *   vi_high_plane(code), vi_low_plane(code, high)   code = 256 high + low
 *   dot(sum, w, x)             sum + w x in each lane, for w without and x with a sign
 */
#ifndef PL_KERNELS_X86_VNNI_H
#define PL_KERNELS_X86_VNNI_H

#include "kernels/levels.h"
#include "kernels/unroll.h"

#include <math.h>
#include <string.h>

enum { LINE = 64, BLOCK_SCALES = 64, AHEAD = 2048 };

/* The same four bytes in all lanes. */
static inline vi spread(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vi_set(four);
}

/* w + 128 for each byte. */
static inline vi without_sign(vi w)
{
    return vi_xor(w, vi_set((int)0x80808080u));
}

/* The sum of n values; n is a multiple of 4 and what follows up to a whole 64 is zero. */
static int32_t sum_of(size_t n, const int8_t *x)
{
    vi sum = vi_set(0);
    for (size_t i = 0; i < n; i += 4 * VL)
        sum = dot(sum, vi_set(0x01010101), vi_load(x + i));
    return vi_sum(sum);
}

/* ---- Many rows ------------------------------------------------------- */

enum { VECTORS = 2, STEP_COLUMNS = VECTORS * VL };

typedef struct product {
    size_t n, quads; /* columns of this step, at most STEP_COLUMNS; k / 4 rounded up */
    const int8_t *a, *tiles;
    size_t a_stride, tile_stride;
    const float *a_scale, *b_scale;
    float *c;
    size_t c_stride;
    bool accumulate;
} product;

/* Sums of `rows` x `vectors` (constants). */
ALWAYS_INLINE void multiply(const product *p, size_t rows, size_t vectors)
{
    vi sum[PRODUCT_ROWS][VECTORS];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        const vi start = vi_set(-128 * sum_of(4 * p->quads, p->a + r * p->a_stride));
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = start;
    }
    for (size_t q = 0; q < p->quads; q++) {
        vi b[VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            b[v] = without_sign(vi_load(p->tiles + v * VL / PL_TILE_ROWS * p->tile_stride + q * LINE + v * VL % PL_TILE_ROWS * 4));
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const vi a = spread(p->a + r * p->a_stride + 4 * q);
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = dot(sum[r][v], b[v], a);
        }
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        const size_t left = p->n - VL * v;
        const vf b_scale = p->b_scale ? vf_take(p->b_scale + VL * v, left) : vf_set(1);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            float *const to = p->c + r * p->c_stride + VL * v;
            const vf scaled = vf_mul(vf_mul(vf_set(p->a_scale[r]), b_scale), vf_from_int(sum[r][v]));
            vf_put(to, left, p->accumulate ? vf_add(vf_take(to, left), scaled) : scaled);
        }
    }
}

ALWAYS_INLINE void multiply_rows(product p, size_t m, size_t vectors)
{
    while (m > 0) {
        size_t rows;
#define STEP(count) (rows = (count), multiply(&p, (count), vectors))
        if (m >= PRODUCT_ROWS)
            STEP(PRODUCT_ROWS);
        else if (m >= 4)
            STEP(4);
        else
            STEP(1);
#undef STEP
        m -= rows;
        p.a += rows * p.a_stride;
        p.a_scale += rows;
        p.c += rows * p.c_stride;
    }
}

static void PL_VNNI(gemm_i8)(size_t m, size_t n, size_t k, const int8_t *a, size_t a_stride, const float *a_scale, const int8_t *tiles, size_t tile_stride, const float *b_scale,
                                float *c, size_t c_stride, bool accumulate, const pl_ahead *ahead)
{
    (void)ahead;
    product p = {.quads = (k + 3) / 4, .a = a, .tiles = tiles, .a_stride = a_stride, .tile_stride = tile_stride, .a_scale = a_scale,
                 .b_scale = b_scale, .c = c, .c_stride = c_stride, .accumulate = accumulate};
    for (size_t j = 0; j < n; j += STEP_COLUMNS) {
        p.n = n - j < STEP_COLUMNS ? n - j : STEP_COLUMNS;
        if (p.n > VL)
            multiply_rows(p, m, 2);
        else
            multiply_rows(p, m, 1);
        p.tiles += STEP_COLUMNS / PL_TILE_ROWS * tile_stride;
        p.b_scale = b_scale ? b_scale + j + STEP_COLUMNS : NULL;
        p.c += STEP_COLUMNS;
    }
}

/* ---- Few rows -------------------------------------------------------- */

/* Vectors that hold a line. */
enum { LINE_VECTORS = PL_TILE_ROWS / VL };

typedef struct coding {
    size_t values, bytes; /* of a block */
    size_t parts, lines;
    bool scaled, halves;  /* as in kernels/simd/tiles.h */
    int zero;             /* what a code without sign counts more than its value */
} coding;

static const coding coding_q8_tiles = {64, 1024, 1, 16, false, false, 128};
static const coding coding_q8_0_tiles = {64, 1088, 2, 8, true, false, 128};
static const coding coding_q4_0_tiles = {64, 576, 2, 8, true, true, 8};

ALWAYS_INLINE vi codes(const coding type, const unsigned char *line, size_t part)
{
    const vi bytes = vi_load(line);
    if (!type.halves)
        return without_sign(bytes);
    return vi_and(part ? vi_shift_right_4(bytes) : bytes, vi_set(0x0f0f0f0f));
}

/* x * 256 + y in floats: the sums of the two planes. */
static inline vf joined(vi high, vi low)
{
    return vf_fma(vf_from_int(high), vf_set(256), vf_from_int(low));
}

/* What is gathered over k for one group and `inputs` rows of x. */
typedef struct sums {
    vi high[INPUTS][LINE_VECTORS], low[INPUTS][LINE_VECTORS]; /* not scaled: over all of k */
    vf total[INPUTS][LINE_VECTORS];                           /* scaled */
} sums;

/* starts [part][inputs][2]: -zero times the sums of the planes over a part. */
ALWAYS_INLINE void multiply_block(const coding type, size_t inputs, const unsigned char *block, const int8_t *planes, size_t stride, const int32_t *starts, sums *s)
{
    for (size_t part = 0; part < type.parts; part++) {
        const unsigned char *line = block + (type.scaled ? BLOCK_SCALES : 0) + (type.halves ? 0 : part * type.lines * LINE);
        vi high[INPUTS][LINE_VECTORS], low[INPUTS][LINE_VECTORS];
        UNROLL
        for (size_t t = 0; t < inputs; t++) {
            UNROLL
            for (size_t v = 0; v < LINE_VECTORS; v++) {
                high[t][v] = type.scaled ? vi_set(starts[(part * inputs + t) * 2]) : s->high[t][v];
                low[t][v] = type.scaled ? vi_set(starts[(part * inputs + t) * 2 + 1]) : s->low[t][v];
            }
        }
        UNROLL
        for (size_t at = 0; at < type.lines; at++, line += LINE) {
            if (part == 0 || !type.halves)
                _mm_prefetch((const char *)((uintptr_t)line + AHEAD), _MM_HINT_T0);
            vi w[LINE_VECTORS];
            UNROLL
            for (size_t v = 0; v < LINE_VECTORS; v++)
                w[v] = codes(type, line + 4 * VL * v, part);
            UNROLL
            for (size_t t = 0; t < inputs; t++) {
                const int8_t *const x = planes + 2 * t * stride + 32 * part + 4 * at;
                const vi x_high = spread(x), x_low = spread(x + stride);
                UNROLL
                for (size_t v = 0; v < LINE_VECTORS; v++) {
                    high[t][v] = dot(high[t][v], w[v], x_high);
                    low[t][v] = dot(low[t][v], w[v], x_low);
                }
            }
        }
        UNROLL
        for (size_t v = 0; v < LINE_VECTORS; v++) {
            const vf scale = type.scaled ? vf_load_f16(block + 32 * part + 2 * VL * v) : vf_set(0);
            UNROLL
            for (size_t t = 0; t < inputs; t++) {
                if (type.scaled) {
                    s->total[t][v] = vf_fma(scale, joined(high[t][v], low[t][v]), s->total[t][v]);
                } else {
                    s->high[t][v] = high[t][v];
                    s->low[t][v] = low[t][v];
                }
            }
        }
    }
}

ALWAYS_INLINE void multiply_group(const coding type, size_t inputs, size_t rows, size_t blocks, const unsigned char *group, const int8_t *planes, size_t stride, const float *x_scale,
                                  const int32_t *starts, float *y, size_t y_stride, bool accumulate)
{
    sums s;
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t v = 0; v < LINE_VECTORS; v++) {
            s.high[t][v] = vi_set(type.scaled ? 0 : starts[2 * t]);
            s.low[t][v] = vi_set(type.scaled ? 0 : starts[2 * t + 1]);
            s.total[t][v] = vf_set(0);
        }
    }
    for (size_t b = 0; b < blocks; b++, group += type.bytes) {
        multiply_block(type, inputs, group, planes + b * type.values, stride, starts, &s);
        if (type.scaled)
            starts += type.parts * inputs * 2;
    }
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t v = 0; v < LINE_VECTORS; v++) {
            float *const to = y + t * y_stride + VL * v;
            if (rows <= VL * v)
                continue;
            const size_t left = rows - VL * v;
            const vf total = type.scaled ? s.total[t][v] : joined(s.high[t][v], s.low[t][v]);
            vf_put(to, left, vf_fma(vf_set(x_scale[t]), total, accumulate ? vf_take(to, left) : vf_set(0)));
        }
    }
}

/* k whose starts are kept at a time: longer rows are cut, and go on from y. */
enum { MOST_K = 4096 };

/* -zero times the sums of the planes of `inputs` rows, over each part of each block; over all of k if the type has no scales. */
static void fill_starts(const coding type, size_t inputs, size_t blocks, const int8_t *planes, size_t stride, int32_t *starts)
{
    const size_t step = type.scaled ? type.values / type.parts : type.values * blocks;
    for (size_t k = 0; k < blocks * type.values; k += step)
        for (size_t plane = 0; plane < 2 * inputs; plane++) {
            const int8_t *x = planes + plane * stride + k;
            int32_t sum = 0;
            if (step >= PL_TILE_I8)
                sum = sum_of(step, x);
            else
                for (size_t i = 0; i < step; i++)
                    sum += x[i];
            *starts++ = -type.zero * sum;
        }
}

ALWAYS_INLINE void skinny_inputs(const coding type, size_t inputs, size_t rows, size_t k, const unsigned char *w, size_t group_bytes, const int8_t *planes, size_t stride,
                                 const float *x_scale, float *y, size_t y_stride, bool accumulate)
{
    int32_t starts[MOST_K / 32 * 2 * INPUTS];
    for (size_t k0 = 0; k0 < k; k0 += MOST_K) {
        const size_t blocks = ((k - k0 < MOST_K ? k - k0 : MOST_K) + type.values - 1) / type.values;
        fill_starts(type, inputs, blocks, planes + k0, stride, starts);
        for (size_t r = 0; r < rows; r += PL_TILE_ROWS)
            multiply_group(type, inputs, rows - r, blocks, w + r / PL_TILE_ROWS * group_bytes + k0 / type.values * type.bytes, planes + k0, stride, x_scale, starts, y + r, y_stride,
                           accumulate || k0 > 0);
    }
}

ALWAYS_INLINE void skinny(const coding type, size_t m, size_t rows, size_t k, const unsigned char *w, size_t group_bytes, const int8_t *planes, size_t stride, const float *x_scale,
                          float *y, size_t y_stride, bool accumulate)
{
    size_t step;
    for (size_t t = 0; t < m; t += step, planes += 2 * step * stride, x_scale += step, y += step * y_stride) {
#define STEP(count) (step = (count), skinny_inputs(type, (count), rows, k, w, group_bytes, planes, stride, x_scale, y, y_stride, accumulate))
        if (m - t >= INPUTS)
            STEP(INPUTS);
        else if (INPUTS > 4 && m - t >= 4)
            STEP(INPUTS > 4 ? 4 : 1);
        else if (INPUTS > 2 && m - t >= 2)
            STEP(INPUTS > 2 ? 2 : 1);
        else
            STEP(1);
#undef STEP
    }
}

#define SKINNY(name)                                                                                                                        \
    static void PL_VNNI(skinny_i8_##name)(size_t m, size_t rows, size_t k, const void *w, size_t group_bytes, const int8_t *planes,         \
        size_t stride, const float *x_scale, float *y, size_t y_stride, bool accumulate)                                                    \
    {                                                                                                                                       \
        skinny(coding_##name, m, rows, k, w, group_bytes, planes, stride, x_scale, y, y_stride, accumulate);                                \
    }
SKINNY(q8_tiles)
SKINNY(q8_0_tiles)
SKINNY(q4_0_tiles)
#undef SKINNY

/* ---- Rounding to codes ----------------------------------------------- */

/* The largest size among n values; NaN if there is one. */
static float largest(size_t n, const float *x)
{
    vi most = vi_set(0); /* sizes as whole numbers: their order, with NaN above all */
    for (size_t i = 0; i < n; i += VL)
        most = vi_max(most, vi_and(vi_of_bits(vf_take(x + i, n - i)), vi_set(0x7fffffff)));
    int32_t lanes[VL], bits = 0;
    memcpy(lanes, &most, sizeof lanes);
    for (size_t i = 0; i < VL; i++)
        bits = lanes[i] > bits ? lanes[i] : bits;
    float size;
    memcpy(&size, &bits, sizeof size);
    return size;
}

/* Codes of VL values within +-limit, 0 beyond the `left`; NaN and what lies beyond become some code in that range. */
static inline vi codes_of(const float *x, size_t left, float inverse, float limit)
{
    return vi_from_rounded(vf_max(vf_set(-limit), vf_min(vf_set(limit), vf_mul(vf_take(x, left), vf_set(inverse)))));
}

static float scale_of(float most, float limit, float *inverse)
{
    const float scale = most / limit;
    *inverse = most > 0 && limit / most < INFINITY ? limit / most : 0;
    return most < INFINITY ? scale : NAN;
}

/* n rounded up to what is filled with codes, a multiple of VL. */
static size_t filled(size_t n)
{
    return (n + PL_TILE_I8 - 1) / PL_TILE_I8 * PL_TILE_I8;
}

static float PL_VNNI(to_i8)(size_t n, const float *x, int8_t *y)
{
    float inverse;
    const float scale = scale_of(largest(n, x), 127, &inverse);
    for (size_t i = 0; i < filled(n); i += VL)
        vi_store_bytes(y + i, codes_of(x + (i < n ? i : 0), i < n ? n - i : 0, inverse, 127));
    return scale;
}

static float PL_VNNI(to_planes)(size_t n, const float *x, int8_t *high, int8_t *low)
{
    enum { LIMIT = 127 * 256 };
    float inverse;
    const float scale = scale_of(largest(n, x), LIMIT, &inverse);
    for (size_t i = 0; i < filled(n); i += VL) {
        const vi code = codes_of(x + (i < n ? i : 0), i < n ? n - i : 0, inverse, LIMIT);
        const vi top = vi_high_plane(code);
        vi_store_bytes(high + i, top);
        vi_store_bytes(low + i, vi_low_plane(code, top));
    }
    return scale;
}

/* ---- Ceiling --------------------------------------------------------- */

/* Chains that hide the instruction's latency and leave registers for its operands; 3 times 5 and -5: the products cancel out. */
PL_PEAK(PL_VNNI(peak_i8), 12, 4 * VL, vi, vi_set((int)x), dot(s, vi_set(0x03030303), vi_set(0x05fb05fb)), vi_sum(s))

#include "kernels/x86/vnni_rows.h"

static inline void fill_vnni(pl_kernels *k)
{
    k->to_i8 = PL_VNNI(to_i8);
    k->to_planes = PL_VNNI(to_planes);
    k->gemm_i8 = PL_VNNI(gemm_i8);
    pl_use_skinny_i8(k, PL_Q8_TILES, PL_VNNI(skinny_i8_q8_tiles));
    pl_use_skinny_i8(k, PL_Q8_0_TILES, PL_VNNI(skinny_i8_q8_0_tiles));
    pl_use_skinny_i8(k, PL_Q4_0_TILES, PL_VNNI(skinny_i8_q4_0_tiles));
    pl_use_skinny_i8(k, PL_Q8_0, PL_VNNI(skinny_i8_q8_0));
    pl_use_skinny_i8(k, PL_Q4_0, PL_VNNI(skinny_i8_q4_0));
    k->peak_i8 = PL_VNNI(peak_i8);
    k->i8_unit = true;
}

#endif
