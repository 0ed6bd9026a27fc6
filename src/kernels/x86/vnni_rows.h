/*
 * Part of x86/vnni.h: few rows of planes times ggml's blocks of 32 codes (q8_0,
 * q4_0), rows one after the other. One or two blocks of a row fill a vector;
 * their sums are scaled in the lanes where they stand and added up at the end.
 * Four rows run side by side as in kernels/simd/matrix.h, each a long stream.
 * Words, in which `halves` says that codes are halves of bytes, and the second
 * block counts for vectors of 16 only:
 *
 *   ROW_INPUTS                        rows of x at once
 *   row_codes(halves, first, second)  the codes of the blocks, behind their scales
 *   row_scales(halves, first, second) the scale of each lane's block
 *   row_inputs(halves, x)             values of a plane in the order of the codes
 *   vi_sub vi_shift_left_8 vf_sum
 *   PL_K_TYPES                        defined where x86/vnni_k.h is for this level
 */
#ifndef PL_KERNELS_X86_VNNI_ROWS_H
#define PL_KERNELS_X86_VNNI_ROWS_H

enum { STREAMS = 4, STEP_BLOCKS = VL / 8 };

/* A type of rows. */
typedef struct row_coding {
    size_t bytes;  /* of a block */
    unsigned zero; /* what a code counts more than its value; K types with minima: what a minimum is multiplied by */
    bool halves;   /* codes are halves of bytes */
    size_t bits;   /* of the codes of a K type, or 0 */
} row_coding;

static const row_coding row_coding_q8_0 = {.bytes = 34, .zero = 0x80};
static const row_coding row_coding_q4_0 = {.bytes = 18, .zero = 8, .halves = true};

/* w (256 high + low): with four products in a lane, whole numbers of 24 bits and a sign. */
static inline vi both_planes(vi w, vi high, vi low)
{
    return dot(vi_shift_left_8(dot(vi_set(0), w, high)), w, low);
}

/* Codes without sign. */
ALWAYS_INLINE vi plain_codes(const row_coding type, const unsigned char *first, const unsigned char *second)
{
    const vi w = row_codes(type.halves, first + 2, second + 2);
    return type.halves ? w : without_sign(w);
}

/* `rows` rows, `stride` bytes apart, times `inputs` rows of x (both constant), to their sums. */
ALWAYS_INLINE void dot_rows(const row_coding type, size_t rows, size_t inputs, size_t k, const unsigned char *w, size_t row_stride, const int8_t *planes, size_t stride,
                            float dots[ROW_INPUTS][STREAMS])
{
    vf total[STREAMS][ROW_INPUTS];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t t = 0; t < inputs; t++)
            total[r][t] = vf_set(0);
    }
    for (size_t i = 0; i < k; i += 32 * STEP_BLOCKS, w += STEP_BLOCKS * type.bytes) {
        const size_t second = k - i > 32 ? type.bytes : 0; /* beyond the last block x is zero, and any codes will do */
        vi w_codes[STREAMS];
        vf scales[STREAMS];
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const unsigned char *const first = w + r * row_stride;
            _mm_prefetch((const char *)((uintptr_t)first + AHEAD), _MM_HINT_T0);
            w_codes[r] = plain_codes(type, first, first + second);
            scales[r] = row_scales(type.halves, first, first + second);
        }
        UNROLL
        for (size_t t = 0; t < inputs; t++) {
            const vi high = row_inputs(type.halves, planes + 2 * t * stride + i), low = row_inputs(type.halves, planes + (2 * t + 1) * stride + i);
            const vi less = both_planes(vi_set((int)(0x01010101u * type.zero)), high, low);
            UNROLL
            for (size_t r = 0; r < rows; r++)
                total[r][t] = vf_fma(scales[r], vf_from_int(vi_sub(both_planes(w_codes[r], high, low), less)), total[r][t]);
        }
    }
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t r = 0; r < rows; r++)
            dots[t][r] = vf_sum(total[r][t]);
    }
}

#ifdef PL_K_TYPES
#include "kernels/x86/vnni_k.h"
#endif

ALWAYS_INLINE void dot_blocks(const row_coding type, size_t rows, size_t inputs, size_t k, const unsigned char *w, size_t row_stride, const int8_t *planes, size_t stride,
                              float dots[ROW_INPUTS][STREAMS])
{
#ifdef PL_K_TYPES
    if (type.bits > 0) {
        dot_k_rows(type, rows, inputs, k, w, row_stride, planes, stride, dots);
        return;
    }
#endif
    dot_rows(type, rows, inputs, k, w, row_stride, planes, stride, dots);
}

/* `rows` rows (a constant) times all m rows of x; y of one row stands y_step floats behind that of the one before. */
ALWAYS_INLINE void multiply_streams(const row_coding type, size_t rows, size_t m, size_t k, const unsigned char *w, size_t row_stride, const int8_t *planes, size_t stride,
                                    const float *x_scale, float *y, size_t y_stride, size_t y_step, bool accumulate)
{
    float dots[ROW_INPUTS][STREAMS];
    size_t step;
    for (size_t t = 0; t < m; t += step) {
#define STEP(count) (step = (count), dot_blocks(type, rows, (count), k, w, row_stride, planes + 2 * t * stride, stride, dots))
        if (m - t >= ROW_INPUTS)
            STEP(ROW_INPUTS);
        else if (ROW_INPUTS > 2 && m - t >= 2)
            STEP(ROW_INPUTS > 2 ? 2 : 1);
        else
            STEP(1);
#undef STEP
        for (size_t i = 0; i < step; i++)
            for (size_t r = 0; r < rows; r++) {
                float *const to = y + (t + i) * y_stride + r * y_step;
                *to = (accumulate ? *to : 0) + x_scale[t + i] * dots[i][r];
            }
    }
}

ALWAYS_INLINE void skinny_rows(const row_coding type, size_t m, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, const int8_t *planes, size_t stride,
                               const float *x_scale, float *y, size_t y_stride, bool accumulate)
{
    const size_t slice = rows / STREAMS;
    for (size_t i = 0; i < slice; i++)
        multiply_streams(type, STREAMS, m, k, w + i * row_bytes, slice * row_bytes, planes, stride, x_scale, y + i, y_stride, slice, accumulate);
    for (size_t r = STREAMS * slice; r < rows; r++)
        multiply_streams(type, 1, m, k, w + r * row_bytes, 0, planes, stride, x_scale, y + r, y_stride, 0, accumulate);
}

#define SKINNY_ROWS(name)                                                                                                                   \
    static void PL_VNNI(skinny_i8_##name)(size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const int8_t *planes,           \
        size_t stride, const float *x_scale, float *y, size_t y_stride, bool accumulate)                                                    \
    {                                                                                                                                       \
        skinny_rows(row_coding_##name, m, rows, k, w, row_bytes, planes, stride, x_scale, y, y_stride, accumulate);                         \
    }
SKINNY_ROWS(q8_0)
SKINNY_ROWS(q4_0)
#ifdef PL_K_TYPES
SKINNY_ROWS(q4_k)
SKINNY_ROWS(q5_k)
SKINNY_ROWS(q6_k)
#endif
#undef SKINNY_ROWS

#endif
