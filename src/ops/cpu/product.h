/*
 * Inside the room: y = x W^T, in the form that suits the number of rows, the
 * type of W and the processor, with what follows it done block by block while
 * the block is in cache; and the products of its backward.
 */
#ifndef PL_OPS_CPU_PRODUCT_H
#define PL_OPS_CPU_PRODUCT_H

#include "ops/ops.h"

/* What becomes of v = scale * (x W^T) + bias, in this order. */
typedef struct pl_epilogue {
    const float *bias;     /* [out] or NULL */
    bool gelu;             /* v = gelu(v) */
    const pl_tensor *gate; /* [out, in] of the weight's dtype, or NULL: v = gelu(x gate^T) * v */
    float cap;             /* v = cap * tanh(v / cap); 0: none */
    const float *add;      /* [T, out] or NULL: v += add; may be y's data */
} pl_epilogue;

void pl_product(pl_context *ctx, const pl_tensor *weight, const pl_epilogue *epilogue, pl_rows x, pl_rows y);

/*
 * The backward of y = scale * (x W^T), for many rows. What they add to a gradient is summed in an order that follows
 * from the shapes alone. dx in bf16 where forward is, dw under PL_ACTIVATIONS_BF16 only; scratch in the arena.
 */

/* dx [T, in] += (dy [T, out] * weight->scale) W. */
void pl_product_backward_input(pl_context *ctx, const pl_tensor *weight, pl_rows dy, pl_rows dx);

/* dw [out, in] += dy^T x, for dy [T, out] and x [T, in]. */
void pl_product_backward_weight(pl_context *ctx, pl_rows dy, pl_rows x, float *dw);

/* sums [width] += the columns of dy [T, width]: the gradient of a bias. */
void pl_column_sums(pl_context *ctx, pl_rows dy, float *sums);

/* Columns of a task: about `most` or fewer, a multiple of step, so that every thread has as many; results do not depend on it. */
size_t pl_columns_of_task(size_t out, size_t threads, size_t most, size_t step);

/* Rows of a task where there are `across` blocks of columns: all, unless those are too few for all threads. */
size_t pl_rows_of_task(size_t rows, size_t across, size_t threads);

/* Put down on a tape that records: y = scale * x W^T + bias was computed, or added to y. */
void pl_record_product(pl_context *ctx, const pl_tensor *weight, const float *bias, float scale, pl_rows x, pl_rows y);

/* Put down on a tape that records: y is, or grew by, x. */
void pl_record_sum(pl_context *ctx, pl_rows x, pl_rows y);

#endif
