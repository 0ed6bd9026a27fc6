/* Inside the room: what attention leaves on the tape, and its backward. */
#ifndef PL_OPS_CPU_ATTENTION_BACKWARD_H
#define PL_OPS_CPU_ATTENTION_BACKWARD_H

#include "ops/ops.h"

typedef struct pl_attention_record {
    pl_attention attention;
    pl_rows q, out;
    float *statistics;                    /* [T][2][heads] of each row and head: the largest score, the sum of weights */
    const pl_attention_segment *segments; /* [count] in the arena; not read when dry */
    size_t count;
    bool narrow;                          /* products in bf16 */
} pl_attention_record;

/* A pl_backward_fn. Each segment has all its keys in spans[0], in f32, and shares them with none beside it. */
void pl_attention_backward(pl_context *ctx, const void *record);

#endif
