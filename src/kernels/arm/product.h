/*
 * Products of many rows on Arm, in bytes: a step is 8 rows of activations with
 * 8 columns of tiles, over 8 bytes of each row and the two lines that go with them,
 * each of which has 4 bytes of 16 columns. A level brings the instruction; bytes
 * are int8, or bf16 in pairs. (Of 16 bytes gcc 12 loads so much ahead that sums
 * leave their registers.)
 */
#ifndef PL_KERNELS_ARM_PRODUCT_H
#define PL_KERNELS_ARM_PRODUCT_H

#include "kernels/levels.h"
#include "kernels/unroll.h"

#include <arm_neon.h>

enum { LINE = 64, STEP_ROWS = 8, STEP_COLUMNS = 8, STEP_BYTES = 8, STEP_LINES = 2 };

typedef struct product {
    size_t rows, columns; /* of this step */
    size_t steps;         /* over k */
    const unsigned char *a, *tiles; /* tiles: of the first of the 8 columns */
    size_t a_stride, tile_stride;   /* bytes */
    const float *a_scale, *b_scale; /* of int8; b_scale may be NULL */
    float *c;
    size_t c_stride;
    bool accumulate;
} product;

/* Up to four floats, the others zero; nothing beyond them is touched. */
static inline float32x4_t load_first(const float *p, size_t n)
{
    if (n >= 4)
        return vld1q_f32(p);
    float lanes[4] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return vld1q_f32(lanes);
}

static inline void store_first(float *p, size_t n, float32x4_t x)
{
    if (n >= 4) {
        vst1q_f32(p, x);
        return;
    }
    float lanes[4];
    vst1q_f32(lanes, x);
    for (size_t i = 0; i < n; i++)
        p[i] = lanes[i];
}

/* Columns of the step's vector v. */
ALWAYS_INLINE size_t columns_of(const product *p, size_t v)
{
    return p->columns > 4 * v ? p->columns - 4 * v : 0;
}

/* Row r of c = (accumulate ? c : 0) + scales times sums of int8 products. */
ALWAYS_INLINE void finish_row(const product *p, size_t r, const int32x4_t sum[2])
{
    UNROLL
    for (size_t v = 0; v < 2; v++) {
        const size_t n = columns_of(p, v);
        float *const to = p->c + r * p->c_stride + 4 * v;
        const float32x4_t b_scale = p->b_scale ? load_first(p->b_scale + 4 * v, n) : vdupq_n_f32(1);
        const float32x4_t scale = vmulq_n_f32(b_scale, p->a_scale[r]);
        const float32x4_t start = p->accumulate ? load_first(to, n) : vdupq_n_f32(0);
        store_first(to, n, vaddq_f32(start, vmulq_f32(scale, vcvtq_f32_s32(sum[v]))));
    }
}

/* One step: p->rows rows. */
typedef void step_fn(const product *p);

/* All of c in steps. */
static inline void product_steps(const product *all, size_t m, size_t n, size_t least, step_fn *of_8, step_fn *of_4, step_fn *of_few)
{
    for (size_t j = 0; j < n; j += STEP_COLUMNS) {
        product p = *all;
        p.columns = n - j < STEP_COLUMNS ? n - j : STEP_COLUMNS;
        p.tiles += j / PL_TILE_ROWS * p.tile_stride + j % PL_TILE_ROWS * 4;
        p.b_scale = p.b_scale ? p.b_scale + j : NULL;
        p.c += j;
        for (size_t i = 0; i < m; i += p.rows) {
            const size_t left = m - i;
            p.rows = left >= STEP_ROWS ? STEP_ROWS : left >= 4 ? 4 : left < least ? left : least;
            (p.rows == STEP_ROWS ? of_8 : p.rows == 4 ? of_4 : of_few)(&p);
            p.a += p.rows * p.a_stride;
            p.a_scale = p.a_scale ? p.a_scale + p.rows : NULL;
            p.c += p.rows * p.c_stride;
        }
    }
}

/*
 * NAME_all(product, m, n) from NAME(product, rows), rows a constant: steps of 8, of 4, and of `least`, of
 * which fewer may exist. Functions of their own, as compilers merge what is inlined for each.
 */
#define STEPS(name, least)                                                                         \
    static void name##_of_8(const product *p)                                                      \
    {                                                                                              \
        name(p, STEP_ROWS);                                                                        \
    }                                                                                              \
    static void name##_of_4(const product *p)                                                      \
    {                                                                                              \
        name(p, 4);                                                                                \
    }                                                                                              \
    static void name##_of_few(const product *p)                                                    \
    {                                                                                              \
        name(p, least);                                                                            \
    }                                                                                              \
    static void name##_all(const product *p, size_t m, size_t n)                                   \
    {                                                                                              \
        product_steps(p, m, n, least, name##_of_8, name##_of_4, name##_of_few);                    \
    }

/* The product of pl_gemm_i8_fn, before it is cut into steps. */
static inline product product_i8(size_t k, const int8_t *a, size_t a_stride, const float *a_scale, const int8_t *tiles, size_t tile_stride, const float *b_scale, float *c, size_t c_stride,
                                 bool accumulate)
{
    return (product){.steps = (k + STEP_BYTES - 1) / STEP_BYTES, .a = (const unsigned char *)a, .tiles = (const unsigned char *)tiles, .a_stride = a_stride,
                     .tile_stride = tile_stride, .a_scale = a_scale, .b_scale = b_scale, .c = c, .c_stride = c_stride, .accumulate = accumulate};
}

#endif
