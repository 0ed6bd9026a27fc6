/*
 * The kernel table: inner loops on pointers and sizes, for one thread. `ref`
 * is plain C and defines what is correct; each instruction set overrides what
 * it does better. The rooms above call through the table only.
 *
 * Matrix products work on panels: `panel_columns` outputs of a weight matrix
 * (rows of W [N, K]) packed as float [K][panel_columns], so that one product
 * serves every weight type. Each output element is summed in one fixed order
 * over k: a row gets the same bits alone and in a batch, with k whole and cut
 * between slices, and on every level. Products of few rows add in an order of their level, which depends on k
 * only. A NaN or infinity among the inputs leaves a value that is not finite.
 * Weights may lie at any address, floats are aligned to 4 bytes; k may be 0.
 */
#ifndef PL_KERNELS_KERNELS_H
#define PL_KERNELS_KERNELS_H

#include "tensor/dtype.h"

/* n packed values of the type -> floats; n is a multiple of the type's block. */
typedef void pl_unpack_fn(size_t n, const void *src, float *dst);

/* The first n values (any n) of the 16 rows of a group of a tiled type -> floats, rows `stride` apart. */
typedef void pl_unpack_group_fn(size_t n, const void *group, float *rows, size_t stride);

/*
 * rows (<= panel_columns) weight rows of k values, row_bytes apart -> panel
 * [k][panel_columns]; the columns from `rows` on are filled with zeros. Tiled
 * weights are packed by whole groups: where a panel is narrower than one, as
 * several panels end to end.
 */
typedef void pl_pack_fn(size_t rows, size_t k, const void *w, size_t row_bytes, float *panel);

/*
 * The same from a matrix that lies [k][columns] (values in attention): takes
 * `columns` (<= panel_columns) floats of each of k rows, row_stride floats apart.
 */
typedef void pl_pack_columns_fn(size_t columns, size_t k, const float *b, size_t row_stride, float *panel);

/*
 * c[m][n] = (accumulate ? c[m][n] : 0) + sum over k of a[m][k] * panel[k][n],
 * a [m, k] and c [m, n] with strides in floats, n <= panel_columns. Sums run
 * over slices of PL_SUM_SLICE values of k, each a chain from zero that is then
 * added to c: long chains would lose bits that published code keeps.
 */
enum { PL_SUM_SLICE = 256 }; /* a multiple of every quantised block */
typedef void pl_gemm_fn(size_t m, size_t n, size_t k, const float *a, size_t a_stride, const float *panel, float *c, size_t c_stride, bool accumulate);

/*
 * y[t][r] = (accumulate ? y[t][r] : 0) + sum over k of w[r][k] * x[t][k], for t < m and r < rows: m is
 * small (decoding), the weights are streamed once. x [m, k] and y [m, rows] with strides in floats;
 * weight rows (or groups of 16, if tiled) row_bytes apart. An output does not depend on m or on the
 * rows beside it. Fastest with many rows at a time: they are read as a few long streams side by side.
 */
typedef void pl_skinny_fn(size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const float *x, size_t x_stride, float *y, size_t y_stride, bool accumulate);

/* ---- Products of narrow numbers -------------------------------------- */

/*
 * Tiles: 16 rows of a weight matrix interleaved so that one vector holds the same two (bf16) or four
 * (int8) values of k of all 16: bf16 [k/2][16][2], int8 [k/4][16][4]. A block of 1024 bytes is one
 * AMX tile and takes 32 or 64 values of k; k is filled up to whole blocks with zeros. Matrices of
 * activations are rows whose k is filled up in the same way, so that a kernel may run on to there. Rows
 * a multiple of 2 KiB apart share few cache sets: a stride that is a block longer is faster.
 */
enum { PL_TILE_BF16 = 32, PL_TILE_I8 = 64 };

/* y = x rounded to bf16 (to nearest, ties to even), and zeros up to whole blocks of PL_TILE_BF16. */
typedef void pl_to_bf16_fn(size_t n, const float *x, uint16_t *y);

/* x ~ scale * y, |y| <= 127, and zeros up to whole blocks of PL_TILE_I8; returns the scale (0 if all are 0). */
typedef float pl_to_i8_fn(size_t n, const float *x, int8_t *y);

/*
 * x ~ scale * (256 * high + low) to 16 bits of the largest value: two planes, filled up likewise; returns
 * the scale. NaN or infinity in x make the scale NaN.
 */
typedef float pl_to_planes_fn(size_t n, const float *x, int8_t *high, int8_t *low);

/* rows (<= 16) weight rows of k values -> one column of bf16 tiles; missing rows are zeros. w lies at a whole block of k. */
typedef void pl_pack_bf16_fn(size_t rows, size_t k, const void *w, size_t row_bytes, uint16_t *tiles);

/* The same to int8 with one scale for each row. */
typedef void pl_pack_i8_fn(size_t rows, size_t k, const void *w, size_t row_bytes, int8_t *tiles, float scale[PL_TILE_ROWS]);

/* bf16 tiles of a matrix that lies [k][columns] in floats (values in attention), columns <= 16. */
typedef void pl_pack_columns_bf16_fn(size_t columns, size_t k, const float *b, size_t row_stride, uint16_t *tiles);

/* y [columns, rows] = the transpose of x [rows, columns] in bf16, and zeros up to whole blocks of PL_TILE_BF16 of rows; strides in values. */
typedef void pl_transpose_bf16_fn(size_t rows, size_t columns, const float *x, size_t x_stride, uint16_t *y, size_t y_stride);

/* Memory that the caller will read next: `runs` runs of `bytes`, `stride` bytes apart. A product may ask the second cache for it on its way. */
typedef struct pl_ahead {
    const void *at;
    size_t bytes, runs, stride;
} pl_ahead;

/*
 * c[m][n] = (accumulate ? c[m][n] : 0) + sum over k of a[m][k] * b[k][n]; a [m, k] bf16 with a stride
 * in values, b tiles of 16 columns each, tile_stride values from one column of tiles to the next. Sums
 * are chains in f32 that go on from c: cutting k into whole blocks changes no bit, nor do m and n. How a
 * pair of products is rounded on the way is the level's own. ahead may be NULL.
 */
typedef void pl_gemm_bf16_fn(size_t m, size_t n, size_t k, const uint16_t *a, size_t a_stride, const uint16_t *tiles, size_t tile_stride, float *c, size_t c_stride,
                             bool accumulate, const pl_ahead *ahead);

/* c[m][n] = (accumulate ? c[m][n] : 0) + a_scale[m] * b_scale[n] * (sum over k of a[m][k] * b[k][n], exact); b_scale NULL: 1. k <= PL_I8_SLICE. */
enum { PL_I8_SLICE = 16384 };
typedef void pl_gemm_i8_fn(size_t m, size_t n, size_t k, const int8_t *a, size_t a_stride, const float *a_scale, const int8_t *tiles, size_t tile_stride,
                           const float *b_scale, float *c, size_t c_stride, bool accumulate, const pl_ahead *ahead);

/*
 * As skinny, with activations in two planes: planes [m][2][stride] int8, high before low, with the
 * scale of each row. Integer sums within a block of the weight's scale are exact.
 */
typedef void pl_skinny_i8_fn(size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const int8_t *planes, size_t stride, const float *x_scale, float *y,
                             size_t y_stride, bool accumulate);

/* ---- Ceilings -------------------------------------------------------- */

/*
 * What a core computes at most: multiply-adds of one kind of number on registers alone, `steps` rounds of as
 * many chains as keep the units busy. Returns the operations made, two for each multiply-add, or 0 where the
 * level has no unit for that kind. *sink is read and written, so that nothing is left out.
 */
typedef double pl_peak_fn(size_t steps, float *sink);

/* ---- Vectors --------------------------------------------------------- */

/* y = (x - mean) / sqrt(variance + eps) * scale + bias, over n values. */
typedef void pl_layernorm_fn(size_t n, const float *x, const float *scale, const float *bias, float eps, float *y);

/* y = x / sqrt(mean(x^2) + eps) * (offset + scale): offset is 1 for weights as released, 0 where it was added already; y may be x. */
typedef void pl_rmsnorm_fn(size_t n, const float *x, const float *scale, float offset, float eps, float *y);

/* y = gelu_tanh(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); y may be x. */
typedef void pl_gelu_fn(size_t n, const float *x, float *y);

/* y = gelu_tanh(gate) * up; y may be gate or up. */
typedef void pl_geglu_fn(size_t n, const float *gate, const float *up, float *y);

/* x = cap * tanh(x / cap), in place. */
typedef void pl_softcap_fn(size_t n, float cap, float *x);

/* y = y * scale + bias, rounded once; scale or bias may be NULL: 1 and 0. */
typedef void pl_affine_fn(size_t n, const float *scale, const float *bias, float *y);

/* y += x; y += a*x; y *= a. */
typedef void pl_add_fn(size_t n, const float *x, float *y);
typedef void pl_axpy_fn(size_t n, float a, const float *x, float *y);
typedef void pl_scale_fn(size_t n, float a, float *y);

/* y[c][r] = x[r][c]: x [rows, columns] and y [columns, rows], strides in floats. */
typedef void pl_transpose_fn(size_t rows, size_t columns, const float *x, size_t x_stride, float *y, size_t y_stride);

/*
 * A row of attention backward: scores s -> weights p = exp(cap(s) - maximum) * inverse, where cap(s) = cap * tanh(s / cap),
 * or s if cap is 0; gradients of the weights d -> those of the scores, p * (d - delta) * cap'(s). Both in place.
 */
typedef void pl_softmax_backward_fn(size_t n, float cap, float maximum, float inverse, float delta, float *s, float *d);

/*
 * One step of a streamed softmax over a row of n scores: scores <- exp(score -
 * new maximum), where *maximum (start: -INFINITY) and *sum (start: 0) are
 * brought up to date. Returns the factor by which what was summed before must
 * be multiplied: exp(old maximum - new maximum), 0 for the first block.
 */
typedef float pl_softmax_step_fn(size_t n, float *scores, float *maximum, float *sum);

/*
 * Rotary embedding of one head, half-split form, in place: x [2*half], cosine
 * and sine [half] (Gemma; "rotate half"). rope_backward turns the other way.
 */
typedef void pl_rope_fn(size_t half, const float *cosine, const float *sine, float *x);

/* The index of the largest of n > 0 values; the lowest wins ties, NaN never wins. */
typedef size_t pl_argmax_fn(size_t n, const float *x);

/* True when all n values are finite. */
typedef bool pl_all_finite_fn(size_t n, const float *x);

/* ---- Gradients of vectors -------------------------------------------- */

/*
 * What comes out is added to what is there; dy is the gradient of the forward's y, and no two pointers overlap.
 * A pointer that begins with d, but dy, may be NULL: that gradient is not wanted.
 */

/* From x, not from y: its mean and variance are computed again. */
typedef void pl_layernorm_backward_fn(size_t n, const float *x, const float *scale, float eps, const float *dy, float *dx, float *dscale, float *dbias);
typedef void pl_rmsnorm_backward_fn(size_t n, const float *x, const float *scale, float offset, float eps, const float *dy, float *dx, float *dscale);

/* dx += gelu_tanh'(x) * dy. */
typedef void pl_gelu_backward_fn(size_t n, const float *x, const float *dy, float *dx);

/* dgate += gelu_tanh'(gate) * up * dy, dup += gelu_tanh(gate) * dy. */
typedef void pl_geglu_backward_fn(size_t n, const float *gate, const float *up, const float *dy, float *dgate, float *dup);

/* In place, from what the soft-cap gave: d *= 1 - (y / cap)^2. */
typedef void pl_softcap_backward_fn(size_t n, float cap, const float *y, float *d);

/* The sum of x, of exp(x - shift): f32 in short runs, double between them. */
typedef double pl_sum_fn(size_t n, const float *x);
typedef double pl_exp_sum_fn(size_t n, float shift, const float *x);

/* y += factor * exp(x - shift) + constant: a row of a cross-entropy's gradient. */
typedef void pl_add_exp_fn(size_t n, float factor, float shift, float constant, const float *x, float *y);

/*
 * x[i] = h(key, i) < threshold ? 0 : x[i] * scale for i < n <= 2^32, in place; the same bits on every level. h is
 * 32 bits: two rounds of an integer hash (the multipliers and shifts are those of "lowbias32", C. Wellons 2018), with one half
 * of the key added before each.
 */
typedef void pl_dropout_fn(size_t n, uint64_t key, uint32_t threshold, float scale, float *x);

/*
 * One step of Adam (arXiv 1412.6980) on n values, rounded as written here:
 *     g = scale * gradient;  mean = fma(fresh1, g - mean, mean);  square = fma(fresh2 * g, g, beta2 * square)
 *     value -= fma(decay, value, rate * (mean / fma(root, sqrt(square), eps)))
 * What corrects the moments for their start at 0 is in rate and root.
 */
typedef struct pl_adam_step {
    float scale, fresh1, beta2, fresh2, root, eps, rate, decay;
} pl_adam_step;
typedef void pl_adam_fn(size_t n, const pl_adam_step *step, const float *gradient, float *mean, float *square, float *value);

/*
 * Pictures, in integers: exact, so the same on every level. The resize is a sum
 * over taps of pixels times weights scaled by 2^PL_TAP_BITS, rounded and
 * limited to 0..255; a weight is 256 * high + low with low in 0..255, and the
 * weights of one output, without their signs, sum to less than 2^23.
 */
enum { PL_TAP_BITS = 22, PL_TAPS_STEP = 16 };

/* rgb [n, 3] -> planes[c * plane + i], the channels apart. */
typedef void pl_split_rgb_fn(size_t n, const uint8_t *rgb, size_t plane, uint8_t *planes);

/*
 * A row of split pixels -> rgb [outputs, 3]. Output x has the taps weights at
 * x * taps of high and low, for the pixels from start[x] on; taps is a multiple
 * of PL_TAPS_STEP, and pixels under weights of zero are read as well.
 */
typedef void pl_resample_across_fn(size_t outputs, size_t taps, const size_t *start, const int16_t *high, const int16_t *low, size_t plane, const uint8_t *planes, uint8_t *rgb);

/* taps rows of n bytes, stride apart -> one row out [n]: high and low [taps], any number. */
typedef void pl_resample_down_fn(size_t n, size_t taps, const int16_t *high, const int16_t *low, size_t stride, const uint8_t *rows, uint8_t *out);

/* Every kernel but those that exist per weight type, X(type, name): on floats, their gradients, on narrow numbers, on pictures. */
#define PL_FLOAT_KERNEL_LIST(X)             \
    X(pl_pack_columns_fn, pack_columns)     \
    X(pl_gemm_fn, gemm)                     \
    X(pl_peak_fn, peak_f32)                 \
    X(pl_layernorm_fn, layernorm)           \
    X(pl_rmsnorm_fn, rmsnorm)               \
    X(pl_gelu_fn, gelu)                     \
    X(pl_geglu_fn, geglu)                   \
    X(pl_softcap_fn, softcap)               \
    X(pl_affine_fn, affine)                 \
    X(pl_add_fn, add)                       \
    X(pl_axpy_fn, axpy)                     \
    X(pl_scale_fn, scale)                   \
    X(pl_softmax_step_fn, softmax_step)     \
    X(pl_softmax_backward_fn, softmax_backward) \
    X(pl_transpose_fn, transpose)           \
    X(pl_rope_fn, rope)                     \
    X(pl_argmax_fn, argmax)                 \
    X(pl_all_finite_fn, all_finite)         \
    X(pl_adam_fn, adam)

#define PL_GRADIENT_KERNEL_LIST(X)                  \
    X(pl_layernorm_backward_fn, layernorm_backward) \
    X(pl_rmsnorm_backward_fn, rmsnorm_backward)     \
    X(pl_gelu_backward_fn, gelu_backward)           \
    X(pl_geglu_backward_fn, geglu_backward)         \
    X(pl_softcap_backward_fn, softcap_backward)     \
    X(pl_rope_fn, rope_backward)                    \
    X(pl_sum_fn, sum)                               \
    X(pl_exp_sum_fn, exp_sum)                       \
    X(pl_add_exp_fn, add_exp)                       \
    X(pl_dropout_fn, dropout)

#define PL_NARROW_KERNEL_LIST(X)                  \
    X(pl_to_bf16_fn, to_bf16)                     \
    X(pl_to_i8_fn, to_i8)                         \
    X(pl_to_planes_fn, to_planes)                 \
    X(pl_pack_columns_bf16_fn, pack_columns_bf16) \
    X(pl_transpose_bf16_fn, transpose_bf16)       \
    X(pl_gemm_bf16_fn, gemm_bf16)                 \
    X(pl_peak_fn, peak_bf16)                      \
    X(pl_peak_fn, peak_i8)                        \
    X(pl_gemm_i8_fn, gemm_i8)

#define PL_PIXEL_KERNEL_LIST(X)                 \
    X(pl_split_rgb_fn, split_rgb)               \
    X(pl_resample_across_fn, resample_across)   \
    X(pl_resample_down_fn, resample_down)

#define PL_KERNEL_LIST(X) PL_FLOAT_KERNEL_LIST(X) PL_GRADIENT_KERNEL_LIST(X) PL_NARROW_KERNEL_LIST(X) PL_PIXEL_KERNEL_LIST(X)

/*
 * Kernels of which there is one for each weight type: X(type, name). NULL where it makes no sense: unpack of tiled
 * types, unpack_group of all others; skinny_i8 of types without int8 codes.
 */
#define PL_TYPED_KERNEL_LIST(X)         \
    X(pl_unpack_fn, unpack)             \
    X(pl_unpack_group_fn, unpack_group) \
    X(pl_pack_fn, pack)                 \
    X(pl_skinny_fn, skinny)             \
    X(pl_pack_bf16_fn, pack_bf16)       \
    X(pl_pack_i8_fn, pack_i8)           \
    X(pl_skinny_i8_fn, skinny_i8)

typedef struct pl_kernels {
    const char *level;    /* "ref", "avx2", "neon" ...: levels.h */
    size_t panel_columns; /* at most PL_PANEL_MAX, a multiple of 8 */
    bool bf16_unit;       /* gemm_bf16 is faster than gemm here; asked of a short probe where processors differ */
    bool i8_unit;         /* gemm_i8 is faster than half of what gemm or gemm_bf16 take: two planes pay */
    bool few_i8[PL_DTYPE_COUNT]; /* skinny_i8 of the type is faster than skinny */
#define PL_KERNEL_FIELD(type, name) type *name;
    PL_KERNEL_LIST(PL_KERNEL_FIELD)
#undef PL_KERNEL_FIELD
#define PL_TYPED_KERNEL_FIELD(type, name) type *name[PL_DTYPE_COUNT];
    PL_TYPED_KERNEL_LIST(PL_TYPED_KERNEL_FIELD)
#undef PL_TYPED_KERNEL_FIELD
} pl_kernels;

enum { PL_PANEL_MAX = 64 };

/*
 * Values k0..k0+n of row r of a weight matrix of any type, in plain C; w is its first row (or group of rows), k0
 * stands at a whole block. Scales of rows that a tensor keeps apart are not in it.
 */
void pl_read_row(pl_dtype type, const void *w, size_t row_bytes, size_t r, size_t k0, size_t n, float *values);

/*
 * The table for a level by name, or for the best one this processor has when
 * level is NULL; the variable PALI_CPU caps it then. Static storage. NULL, with
 * the levels this processor can run in the message, if there is none of that name.
 */
const pl_kernels *pl_kernels_get(const char *level, pali_error *err);

/* Levels this processor can run, weakest first, NULL-terminated. */
const char *const *pl_kernel_levels(void);

#endif
