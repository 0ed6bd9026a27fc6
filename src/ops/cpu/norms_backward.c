/*
 * Backward of LayerNorm and RMSNorm. The gradients of their weights are sums
 * over all rows: each task sums a block of rows by itself, then the blocks are
 * added up in order. How many there are follows from the number of rows alone.
 */
#include "ops/cpu/rows.h"

#include <string.h>

enum { BLOCKS_MOST = 64, BLOCK_ROWS_LEAST = 8, COLUMNS_A_TASK = 256 };

typedef struct norm_job norm_job;
struct norm_job {
    pl_row_job op;
    void (*row)(const norm_job *job, size_t t, float *dscale, float *dbias);
    float *dscale, *dbias; /* [D] gradients of the weights, or NULL */
    size_t blocks, block_rows;
    float *partial; /* [blocks][2][D] of scale and bias; NULL if neither is wanted */
};

static float *partial_of(const norm_job *job, size_t block, bool bias)
{
    return job->partial ? job->partial + (2 * block + bias) * job->op.y.width : NULL;
}

static float *dx_row(const norm_job *job, size_t t)
{
    return job->op.dx.data ? pl_row_of(job->op.dx, t) : NULL;
}

static void layernorm_row(const norm_job *job, size_t t, float *dscale, float *dbias)
{
    const pl_row_job *op = &job->op;
    op->kernels->layernorm_backward(op->y.width, pl_row_of(op->x, t), op->scale, op->eps, pl_row_of(op->dy, t), dx_row(job, t), dscale, dbias);
}

static void rmsnorm_row(const norm_job *job, size_t t, float *dscale, float *dbias)
{
    const pl_row_job *op = &job->op;
    (void)dbias;
    op->kernels->rmsnorm_backward(op->y.width, pl_row_of(op->x, t), op->scale, op->number, op->eps, pl_row_of(op->dy, t), dx_row(job, t), dscale);
}

static void run_block(void *context, size_t block, size_t thread)
{
    (void)thread;
    const norm_job *job = context;
    float *const dscale = partial_of(job, block, false), *const dbias = partial_of(job, block, true);
    if (job->partial)
        memset(dscale, 0, 2 * job->op.y.width * sizeof *dscale);
    const size_t end = pl_min(job->op.y.count, (block + 1) * job->block_rows);
    for (size_t t = block * job->block_rows; t < end; t++)
        job->row(job, t, dscale, dbias);
}

static void add_partials(void *context, size_t task, size_t thread)
{
    (void)thread;
    const norm_job *job = context;
    const size_t first = task * COLUMNS_A_TASK, n = pl_min(COLUMNS_A_TASK, job->op.y.width - first);
    for (size_t b = 0; b < job->blocks; b++) {
        if (job->dscale)
            job->op.kernels->add(n, partial_of(job, b, false) + first, job->dscale + first);
        if (job->dbias)
            job->op.kernels->add(n, partial_of(job, b, true) + first, job->dbias + first);
    }
}

static void run_norm(pl_context *ctx, norm_job job)
{
    job.op.kernels = ctx->kernels;
    job.op.dx = pl_gradient(ctx, job.op.x);
    job.op.dy = pl_gradient(ctx, job.op.y);
    job.dscale = pl_parameter_gradient(ctx, job.op.scale);
    job.dbias = pl_parameter_gradient(ctx, job.op.bias);
    if (!job.op.dy.data || !(job.op.dx.data || job.dscale || job.dbias))
        return;
    const size_t rows = job.op.y.count, width = job.op.y.width, mark = pl_arena_mark(ctx->arena);
    job.block_rows = pl_max(BLOCK_ROWS_LEAST, (rows + BLOCKS_MOST - 1) / BLOCKS_MOST);
    job.blocks = (rows + job.block_rows - 1) / job.block_rows;
    if (job.dscale || job.dbias)
        job.partial = pl_push(ctx, job.blocks * 2 * width, sizeof *job.partial);
    if (!pl_dry(ctx)) {
        pl_pool_run(ctx->pool, job.blocks, run_block, &job);
        if (job.partial)
            pl_pool_run(ctx->pool, (width + COLUMNS_A_TASK - 1) / COLUMNS_A_TASK, add_partials, &job);
    }
    pl_arena_release(ctx->arena, mark);
}

void pl_layernorm_backward(pl_context *ctx, const void *record)
{
    run_norm(ctx, (norm_job){.op = *(const pl_row_job *)record, .row = layernorm_row});
}

void pl_rmsnorm_backward(pl_context *ctx, const void *record)
{
    run_norm(ctx, (norm_job){.op = *(const pl_row_job *)record, .row = rmsnorm_row});
}
