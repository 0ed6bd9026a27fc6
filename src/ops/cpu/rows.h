/*
 * Inside the room: ops that go row by row, over all threads. A job describes
 * one such op; on a tape the same struct is the record of its backward.
 */
#ifndef PL_OPS_CPU_ROWS_H
#define PL_OPS_CPU_ROWS_H

#include "ops/ops.h"

typedef struct pl_row_job pl_row_job;
typedef void pl_row_fn(const pl_row_job *job, size_t t);

struct pl_row_job {
    const pl_kernels *kernels;
    pl_row_fn *row;
    pl_rows x, z, y;             /* inputs and output; borrowed from the arena */
    pl_rows dx, dz, dy;          /* their gradients, in backward; data is NULL where none is wanted */
    const float *scale, *bias;   /* [D] of a norm, borrowed */
    float eps, number;           /* number: RMSNorm's offset, the cap, or the scale of an embedding or adapter */
    const pl_tensor *table;      /* [V, D], borrowed */
    const int32_t *ids;          /* [T], borrowed */
    const size_t *rows;          /* [T], borrowed */
    size_t first;
    const float *cosine, *sine;  /* [T, half] */
    size_t half;
};

/* Runs `row` for each row of job.y, unless the context is dry. */
void pl_each_row(pl_context *ctx, pl_row_fn *row, pl_row_job job);

/* The same, and puts down `backward` if there is a tape. */
void pl_row_op(pl_context *ctx, pl_row_fn *row, pl_backward_fn *backward, pl_row_job job);

static inline float *pl_row_of(pl_rows rows, size_t t)
{
    return rows.data + t * rows.width;
}

/* Their records are pl_row_job. */
pl_backward_fn pl_layernorm_backward, pl_rmsnorm_backward, pl_gelu_backward, pl_geglu_backward, pl_copy_backward, pl_add_backward, pl_add_table_backward,
    pl_embed_backward, pl_gather_backward, pl_softcap_backward, pl_rope_backward;

#endif
