/*
 * The level dotprod: products of int8 by sdot, which adds four products of
 * bytes to each of four sums: four times the products of a multiply-add of
 * floats (Cortex-A75 and A55, Neoverse N1, Apple's A13 and later).
 */
#include "kernels/arm/product.h"

#include <string.h>

enum { BLOCK_SCALES = 64, AHEAD = 2048, STREAMS = 4 };

static inline int8x16_t load_codes(const void *p)
{
    return vld1q_s8(p);
}

/* sum += four columns of a step's first or second line times the half of 8 bytes of k that goes with it. */
ALWAYS_INLINE int32x4_t dot_line(size_t line, int32x4_t sum, int8x16_t w, int8x8_t x)
{
    return line == 0 ? vdotq_lane_s32(sum, w, x, 0) : vdotq_lane_s32(sum, w, x, 1);
}

/* ---- Many rows ------------------------------------------------------- */

ALWAYS_INLINE void step_i8(const product *p, size_t rows)
{
    int32x4_t sum[STEP_ROWS][2]; /* [row][half of the columns] */
    UNROLL
    for (size_t r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = vdupq_n_s32(0);
    const unsigned char *line = p->tiles;
    for (size_t s = 0; s < p->steps; s++) {
        int8x8_t a[STEP_ROWS];
        UNROLL
        for (size_t r = 0; r < rows; r++)
            a[r] = vld1_s8((const int8_t *)p->a + r * p->a_stride + s * STEP_BYTES);
        UNROLL
        for (size_t i = 0; i < STEP_LINES; i++, line += LINE) {
            UNROLL
            for (size_t v = 0; v < 2; v++) {
                const int8x16_t b = load_codes(line + 16 * v);
                UNROLL
                for (size_t r = 0; r < rows; r++)
                    sum[r][v] = dot_line(i, sum[r][v], b, a[r]);
            }
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++)
        finish_row(p, r, sum[r]);
}

STEPS(step_i8, 1)

static void gemm_i8_dotprod(size_t m, size_t n, size_t k, const int8_t *a, size_t a_stride, const float *a_scale, const int8_t *tiles, size_t tile_stride, const float *b_scale, float *c,
                            size_t c_stride, bool accumulate, const pl_ahead *ahead)
{
    (void)ahead;
    const product p = product_i8(k, a, a_stride, a_scale, tiles, tile_stride, b_scale, c, c_stride, accumulate);
    step_i8_all(&p, m, n);
}

/* ---- Few rows, tiled weights ------------------------------------------ */

/* Rows of x at a time, and vectors that hold a sum for each row of a group. */
enum { INPUTS = 2, VECTORS = PL_TILE_ROWS / 4 };

/* As in kernels/simd/tiles.h. */
typedef struct tile_coding {
    size_t values, bytes;
    size_t parts, lines;
    bool scaled, halves;
} tile_coding;

static const tile_coding coding_q8_tiles = {64, 1024, 1, 16, false, false};
static const tile_coding coding_q8_0_tiles = {64, 1088, 2, 8, true, false};
static const tile_coding coding_q4_0_tiles = {64, 576, 2, 8, true, true};

/* What is gathered for one group: sums of a part that shares a scale (or of a slice of k), and the whole. */
typedef struct sums {
    int32x4_t high[INPUTS][VECTORS], low[INPUTS][VECTORS];
    float32x4_t total[INPUTS][VECTORS];
} sums;

ALWAYS_INLINE void clear_planes(size_t inputs, sums *s)
{
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t v = 0; v < VECTORS; v++)
            s->high[t][v] = s->low[t][v] = vdupq_n_s32(0);
    }
}

/* high * 256 + low in floats. */
ALWAYS_INLINE float32x4_t joined(int32x4_t high, int32x4_t low)
{
    return vfmaq_n_f32(vcvtq_f32_s32(low), vcvtq_f32_s32(high), 256);
}

/* total += scale of each row, f16, or 1 where there is none, times the planes' sums. */
ALWAYS_INLINE void add_planes(size_t inputs, const unsigned char *scales, sums *s)
{
    UNROLL
    for (size_t v = 0; v < VECTORS; v++) {
        const float32x4_t scale = scales ? vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(scales + 8 * v))) : vdupq_n_f32(1);
        UNROLL
        for (size_t t = 0; t < inputs; t++)
            s->total[t][v] = vfmaq_f32(s->total[t][v], scale, joined(s->high[t][v], s->low[t][v]));
    }
}

/* The signed codes of 4 columns in a line. */
ALWAYS_INLINE int8x16_t tile_codes(const tile_coding type, const unsigned char *line, size_t part)
{
    const uint8x16_t bytes = vld1q_u8(line);
    if (!type.halves)
        return vreinterpretq_s8_u8(bytes);
    return vsubq_s8(vreinterpretq_s8_u8(part ? vshrq_n_u8(bytes, 4) : vandq_u8(bytes, vdupq_n_u8(15))), vdupq_n_s8(8));
}

ALWAYS_INLINE void multiply_block(const tile_coding type, size_t inputs, const unsigned char *block, const int8_t *planes, size_t stride, sums *s)
{
    for (size_t part = 0; part < type.parts; part++) {
        const unsigned char *line = block + (type.scaled ? BLOCK_SCALES : 0) + (type.halves ? 0 : part * type.lines * LINE);
        const int8_t *const x = planes + part * type.lines * 4;
        if (type.scaled)
            clear_planes(inputs, s);
        for (size_t at = 0; at < type.lines; at += STEP_LINES) {
            int8x8_t high[INPUTS], low[INPUTS];
            UNROLL
            for (size_t t = 0; t < inputs; t++) {
                high[t] = vld1_s8(x + 2 * t * stride + 4 * at);
                low[t] = vld1_s8(x + (2 * t + 1) * stride + 4 * at);
            }
            UNROLL
            for (size_t i = 0; i < STEP_LINES; i++, line += LINE) {
                __builtin_prefetch((const void *)((uintptr_t)line + AHEAD)); /* beyond the weights it does no harm */
                UNROLL
                for (size_t v = 0; v < VECTORS; v++) {
                    const int8x16_t w = tile_codes(type, line + 16 * v, part);
                    UNROLL
                    for (size_t t = 0; t < inputs; t++) {
                        s->high[t][v] = dot_line(i, s->high[t][v], w, high[t]);
                        s->low[t][v] = dot_line(i, s->low[t][v], w, low[t]);
                    }
                }
            }
        }
        if (type.scaled)
            add_planes(inputs, block + 2 * PL_TILE_ROWS * part, s);
    }
}

/* A group of 16 weight rows, of which `rows` exist, times `inputs` (a constant) rows of x. */
ALWAYS_INLINE void multiply_group(const tile_coding type, size_t inputs, size_t rows, size_t k, const unsigned char *group, const int8_t *planes, size_t stride, const float *x_scale,
                                  float *y, size_t y_stride, bool accumulate)
{
    sums s;
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t v = 0; v < VECTORS; v++)
            s.total[t][v] = vdupq_n_f32(0);
    }
    for (size_t k0 = 0; k0 < k; k0 += PL_I8_SLICE) { /* within which int32 holds the sums */
        const size_t end = k - k0 < PL_I8_SLICE ? k : k0 + PL_I8_SLICE;
        clear_planes(inputs, &s);
        for (size_t i = k0; i < end; i += type.values, group += type.bytes)
            multiply_block(type, inputs, group, planes + i, stride, &s);
        if (!type.scaled)
            add_planes(inputs, NULL, &s);
    }
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t v = 0; v < VECTORS; v++) {
            const size_t n = rows > 4 * v ? rows - 4 * v : 0;
            float *const to = y + t * y_stride + 4 * v;
            store_first(to, n, vfmaq_n_f32(load_first(to, accumulate ? n : 0), s.total[t][v], x_scale[t]));
        }
    }
}

ALWAYS_INLINE void skinny_groups(const tile_coding type, size_t m, size_t rows, size_t k, const unsigned char *w, size_t group_bytes, const int8_t *planes, size_t stride,
                                 const float *x_scale, float *y, size_t y_stride, bool accumulate)
{
    for (size_t r = 0; r < rows; r += PL_TILE_ROWS, w += group_bytes) {
        size_t t = 0;
        for (; t + INPUTS <= m; t += INPUTS)
            multiply_group(type, INPUTS, rows - r, k, w, planes + 2 * t * stride, stride, x_scale + t, y + t * y_stride + r, y_stride, accumulate);
        for (; t < m; t++)
            multiply_group(type, 1, rows - r, k, w, planes + 2 * t * stride, stride, x_scale + t, y + t * y_stride + r, y_stride, accumulate);
    }
}

/* ---- Few rows, ggml's blocks of 32 -------------------------------------- */

enum { BLOCK = 32 };

typedef struct row_coding {
    size_t bytes; /* of a block: an f16 scale, then codes */
    bool halves;  /* codes 0-15 and 16-31 share bytes */
} row_coding;

static const row_coding coding_q8_0 = {34, false};
static const row_coding coding_q4_0 = {18, true};

static inline float scale_of(const unsigned char *block)
{
    __fp16 half;
    memcpy(&half, block, sizeof half);
    return (float)half;
}

ALWAYS_INLINE void block_codes(const row_coding type, const unsigned char *block, int8x16_t w[2])
{
    const uint8x16_t bytes = vld1q_u8(block + 2);
    if (type.halves) {
        w[0] = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15))), vdupq_n_s8(8));
        w[1] = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4)), vdupq_n_s8(8));
    } else {
        w[0] = vreinterpretq_s8_u8(bytes);
        w[1] = load_codes(block + 18);
    }
}

/* `rows` (a constant) weight rows, `stride` bytes apart, times the planes of one row of x. */
ALWAYS_INLINE void dot_rows(const row_coding type, size_t rows, size_t stride, size_t k, const unsigned char *w, const int8_t *high, const int8_t *low, float dots[STREAMS])
{
    float32x4_t total[STREAMS];
    UNROLL
    for (size_t r = 0; r < rows; r++)
        total[r] = vdupq_n_f32(0);
    for (size_t i = 0; i < k; i += BLOCK, w += type.bytes) {
        const int8x16_t high0 = load_codes(high + i), high1 = load_codes(high + i + 16), low0 = load_codes(low + i), low1 = load_codes(low + i + 16);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            int8x16_t codes[2];
            __builtin_prefetch((const void *)((uintptr_t)w + r * stride + AHEAD));
            block_codes(type, w + r * stride, codes);
            const int32x4_t of_high = vdotq_s32(vdotq_s32(vdupq_n_s32(0), codes[0], high0), codes[1], high1);
            const int32x4_t of_low = vdotq_s32(vdotq_s32(vdupq_n_s32(0), codes[0], low0), codes[1], low1);
            total[r] = vfmaq_n_f32(total[r], joined(of_high, of_low), scale_of(w + r * stride));
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++)
        dots[r] = vaddvq_f32(total[r]);
}

/* y of weight row r stands y_step floats behind that of r - 1. */
ALWAYS_INLINE void dot_inputs(const row_coding type, size_t rows, size_t m, size_t stride, size_t k, const unsigned char *w, const int8_t *planes, size_t plane, const float *x_scale,
                              float *y, size_t y_stride, size_t y_step, bool accumulate)
{
    float dots[STREAMS];
    for (size_t t = 0; t < m; t++, planes += 2 * plane, y += y_stride) {
        dot_rows(type, rows, stride, k, w, planes, planes + plane, dots);
        for (size_t r = 0; r < rows; r++)
            y[r * y_step] = (accumulate ? y[r * y_step] : 0) + x_scale[t] * dots[r];
    }
}

/* Rows in STREAMS slices side by side, as in kernels/simd/matrix.h. */
ALWAYS_INLINE void skinny_rows(const row_coding type, size_t m, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, const int8_t *planes, size_t plane, const float *x_scale,
                               float *y, size_t y_stride, bool accumulate)
{
    const size_t slice = rows / STREAMS;
    for (size_t i = 0; i < slice; i++)
        dot_inputs(type, STREAMS, m, slice * row_bytes, k, w + i * row_bytes, planes, plane, x_scale, y + i, y_stride, slice, accumulate);
    for (size_t r = STREAMS * slice; r < rows; r++)
        dot_inputs(type, 1, m, 0, k, w + r * row_bytes, planes, plane, x_scale, y + r, y_stride, 0, accumulate);
}

#define SKINNY(name, form)                                                                                                                   \
    static void skinny_i8_##name##_dotprod(size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const int8_t *planes,          \
        size_t stride, const float *x_scale, float *y, size_t y_stride, bool accumulate)                                                    \
    {                                                                                                                                       \
        skinny_##form(coding_##name, m, rows, k, w, row_bytes, planes, stride, x_scale, y, y_stride, accumulate);                           \
    }
SKINNY(q8_0, rows)
SKINNY(q4_0, rows)
SKINNY(q8_tiles, groups)
SKINNY(q8_0_tiles, groups)
SKINNY(q4_0_tiles, groups)
#undef SKINNY

/* ---- Ceiling --------------------------------------------------------- */

PL_PEAK(peak_i8_dotprod, 16, 16, int32x4_t, vdupq_n_s32((int32_t)x), vdotq_s32(s, vdupq_n_s8(3), vreinterpretq_s8_u32(vdupq_n_u32(0x05fb05fb))), vaddvq_s32(s))

void pl_fill_dotprod(pl_kernels *k)
{
    k->peak_i8 = peak_i8_dotprod;
    k->gemm_i8 = gemm_i8_dotprod;
    pl_use_skinny_i8(k, PL_Q8_0, skinny_i8_q8_0_dotprod);
    pl_use_skinny_i8(k, PL_Q4_0, skinny_i8_q4_0_dotprod);
    pl_use_skinny_i8(k, PL_Q8_TILES, skinny_i8_q8_tiles_dotprod);
    pl_use_skinny_i8(k, PL_Q8_0_TILES, skinny_i8_q8_0_tiles_dotprod);
    pl_use_skinny_i8(k, PL_Q4_0_TILES, skinny_i8_q4_0_tiles_dotprod);
    k->i8_unit = true;
}
