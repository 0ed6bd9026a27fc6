/*
 * The kernel table: inner loops on pointers and sizes, for one thread. `ref`
 * is plain C and defines what is correct; each instruction set overrides what
 * it does better. The rooms above call through the table only.
 *
 * Matrix products work on panels: `panel_columns` outputs of a weight matrix
 * (rows of W [N, K]) packed as float [K][panel_columns], so that one product
 * serves every weight type. Each output element is summed in one fixed order
 * over k: a row gets the same bits alone and in a batch, with k whole and cut
 * between slices, and on every level. gemv adds in an order of its level, which depends on k
 * only. A NaN or infinity among the inputs leaves a value that is not finite.
 * Weights may lie at any address, floats are aligned to 4 bytes; k may be 0.
 */
#ifndef PL_KERNELS_KERNELS_H
#define PL_KERNELS_KERNELS_H

#include "tensor/dtype.h"

/* n packed values of the type -> floats; n is a multiple of the type's block. */
typedef void pl_unpack_fn(size_t n, const void *src, float *dst);

/*
 * rows (<= panel_columns) weight rows of k values, row_bytes apart -> panel
 * [k][panel_columns]; the columns from `rows` on are filled with zeros.
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
 * y[r] = (accumulate ? y[r] : 0) + sum over k of w[r][k] * x[k], for r < rows;
 * weight rows row_bytes apart. Fastest with many rows at a time: they are read
 * as a few long streams side by side.
 */
typedef void pl_gemv_fn(size_t rows, size_t k, const void *w, size_t row_bytes, const float *x, float *y, bool accumulate);

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

/* y += x; y += a*x; y *= a. */
typedef void pl_add_fn(size_t n, const float *x, float *y);
typedef void pl_axpy_fn(size_t n, float a, const float *x, float *y);
typedef void pl_scale_fn(size_t n, float a, float *y);

/*
 * One step of a streamed softmax over a row of n scores: scores <- exp(score -
 * new maximum), where *maximum (start: -INFINITY) and *sum (start: 0) are
 * brought up to date. Returns the factor by which what was summed before must
 * be multiplied: exp(old maximum - new maximum), 0 for the first block.
 */
typedef float pl_softmax_step_fn(size_t n, float *scores, float *maximum, float *sum);

/*
 * Rotary embedding of one head, half-split form, in place: x [2*half], cosine
 * and sine [half] (Gemma; "rotate half").
 */
typedef void pl_rope_fn(size_t half, const float *cosine, const float *sine, float *x);

/* The index of the largest of n > 0 values; the lowest wins ties, NaN never wins. */
typedef size_t pl_argmax_fn(size_t n, const float *x);

/* True when all n values are finite. */
typedef bool pl_all_finite_fn(size_t n, const float *x);

/* Every kernel but those that exist per weight type: X(type, name). */
#define PL_KERNEL_LIST(X)                   \
    X(pl_pack_columns_fn, pack_columns)     \
    X(pl_gemm_fn, gemm)                     \
    X(pl_layernorm_fn, layernorm)           \
    X(pl_rmsnorm_fn, rmsnorm)               \
    X(pl_gelu_fn, gelu)                     \
    X(pl_geglu_fn, geglu)                   \
    X(pl_softcap_fn, softcap)               \
    X(pl_add_fn, add)                       \
    X(pl_axpy_fn, axpy)                     \
    X(pl_scale_fn, scale)                   \
    X(pl_softmax_step_fn, softmax_step)     \
    X(pl_rope_fn, rope)                     \
    X(pl_argmax_fn, argmax)                 \
    X(pl_all_finite_fn, all_finite)

/* Kernels of which there is one for each weight type (NULL for I8 and up): X(type, name). */
#define PL_TYPED_KERNEL_LIST(X) \
    X(pl_unpack_fn, unpack)     \
    X(pl_pack_fn, pack)         \
    X(pl_gemv_fn, gemv)

typedef struct pl_kernels {
    const char *level;    /* "ref", "avx2", "avx512", "neon" */
    size_t panel_columns; /* at most PL_PANEL_MAX, a multiple of 8 */
    size_t panel_rows;    /* rows of a that one inner product step takes; a hint for blocking */
#define PL_KERNEL_FIELD(type, name) type *name;
    PL_KERNEL_LIST(PL_KERNEL_FIELD)
#undef PL_KERNEL_FIELD
#define PL_TYPED_KERNEL_FIELD(type, name) type *name[PL_DTYPE_COUNT];
    PL_TYPED_KERNEL_LIST(PL_TYPED_KERNEL_FIELD)
#undef PL_TYPED_KERNEL_FIELD
} pl_kernels;

enum { PL_PANEL_MAX = 64 };

/*
 * The table for a level by name, or for the best one this processor has when
 * level is NULL; the variable PALI_CPU caps it then. Static storage. NULL, with
 * the levels this processor can run in the message, if there is none of that name.
 */
const pl_kernels *pl_kernels_get(const char *level, pali_error *err);

/* Levels this processor can run, weakest first, NULL-terminated. */
const char *const *pl_kernel_levels(void);

#endif
