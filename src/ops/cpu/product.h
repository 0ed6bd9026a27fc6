/*
 * Inside the room: y = x W^T, in the form that suits the number of rows, the
 * type of W and the processor, with what follows it done block by block while
 * the block is in cache.
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

#endif
