/*
 * Affine maps. For many rows, a task owns a block of output columns: it packs
 * panels of the weight, a slice of K at a time, and multiplies all rows with
 * each. For few rows, weights are streamed once as matrix-vector products. The
 * slices of K are multiples of every quantised block, so that any type packs.
 */
#include "ops/ops.h"

#include <string.h>

enum {
    K_SLICE = PL_SUM_SLICE, /* a panel of a slice is 16 to 32 KiB: it stays in L1 or L2 */
    PANELS = 4,         /* panels a task packs at once */
    ROW_BLOCK = 128,    /* rows that go through these panels while they are in L2 */
    FEW_ROWS = 4,       /* up to here weights are streamed unpacked */
    STREAM_OUTPUTS = 64 /* outputs of one task of the streamed form */
};

typedef struct linear_job {
    const pl_kernels *kernels;
    const pl_tensor *weight;
    const float *bias;
    pl_rows x, y;
    float *panels;        /* [threads, panel_floats] scratch */
    size_t panel_floats;
} linear_job;

static const unsigned char *weight_at(const pl_tensor *w, size_t row, size_t k, size_t row_bytes)
{
    return (const unsigned char *)w->data + row * row_bytes + k / pl_dtype_block(w->dtype) * pl_dtype_bytes(w->dtype);
}

static void start_with_bias(pl_rows y, size_t first, size_t columns, const float *bias)
{
    for (size_t t = 0; t < y.count; t++)
        memcpy(y.data + t * y.width + first, bias + first, columns * sizeof(float));
}

/* Columns of y [first, first + PANELS * panel_columns) for all rows. */
static void multiply_columns(void *context, size_t task, size_t thread)
{
    const linear_job *job = context;
    const pl_kernels *kernels = job->kernels;
    const pl_tensor *w = job->weight;
    const size_t out = job->y.width, in = job->x.width, wide = kernels->panel_columns;
    const size_t first = task * PANELS * wide, columns = pl_min(PANELS * wide, out - first);
    float *panels = job->panels + thread * job->panel_floats;
    size_t row_bytes = 0;
    pl_dtype_row_bytes(w->dtype, in, &row_bytes);

    if (job->bias)
        start_with_bias(job->y, first, columns, job->bias);
    for (size_t k = 0; k < in; k += K_SLICE) {
        const size_t slice = pl_min(K_SLICE, in - k);
        for (size_t c = 0; c < columns; c += wide)
            kernels->pack[w->dtype](pl_min(wide, columns - c), slice, weight_at(w, first + c, k, row_bytes), row_bytes, panels + c * slice);
        const bool accumulate = k > 0 || job->bias;
        for (size_t t = 0; t < job->x.count; t += ROW_BLOCK) {
            const size_t rows = pl_min(ROW_BLOCK, job->x.count - t);
            for (size_t c = 0; c < columns; c += wide)
                kernels->gemm(rows, pl_min(wide, columns - c), slice, job->x.data + t * in + k, in, panels + c * slice,
                              job->y.data + t * out + first + c, out, accumulate);
        }
    }
}

/* A run of outputs for up to FEW_ROWS rows: the weights are read once from memory. */
static void stream_outputs(void *context, size_t task, size_t thread)
{
    (void)thread;
    const linear_job *job = context;
    const pl_tensor *w = job->weight;
    const size_t out = job->y.width, in = job->x.width;
    const size_t first = task * STREAM_OUTPUTS, outputs = pl_min(STREAM_OUTPUTS, out - first);
    size_t row_bytes = 0;
    pl_dtype_row_bytes(w->dtype, in, &row_bytes);
    if (job->bias)
        start_with_bias(job->y, first, outputs, job->bias);
    job->kernels->skinny[w->dtype](job->x.count, outputs, in, weight_at(w, first, 0, row_bytes), row_bytes, job->x.data, in, job->y.data + first, out, job->bias != NULL);
}

static void multiply(pl_context *ctx, const pl_tensor *weight, const float *bias, pl_rows x, pl_rows y)
{
    linear_job job = {.kernels = ctx->kernels, .weight = weight, .bias = bias, .x = x, .y = y};
    const size_t mark = pl_arena_mark(ctx->arena);
    if (x.count <= FEW_ROWS) {
        if (!pl_dry(ctx))
            pl_pool_run(ctx->pool, (y.width + STREAM_OUTPUTS - 1) / STREAM_OUTPUTS, stream_outputs, &job);
        return;
    }
    const size_t block = PANELS * ctx->kernels->panel_columns;
    job.panel_floats = block * K_SLICE;
    job.panels = pl_push(ctx, pl_pool_threads(ctx->pool) * job.panel_floats, sizeof(float));
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, (y.width + block - 1) / block, multiply_columns, &job);
    pl_arena_release(ctx->arena, mark);
}

void pl_op_linear(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows y)
{
    multiply(ctx, &linear->weight, linear->bias, x, y);
    for (const pl_low_rank *change = linear->adapters; change; change = change->next) {
        const size_t mark = pl_arena_mark(ctx->arena);
        const pl_tensor a = {.dtype = PL_F32, .rank = 2, .shape = {change->rank, x.width}, .data = change->a};
        const pl_tensor b = {.dtype = PL_F32, .rank = 2, .shape = {y.width, change->rank}, .data = change->b};
        const pl_rows down = pl_rows_push(ctx, x.count, change->rank), up = pl_rows_push(ctx, y.count, y.width);
        multiply(ctx, &a, NULL, x, down);
        multiply(ctx, &b, NULL, down, up);
        if (!pl_dry(ctx))
            for (size_t t = 0; t < y.count; t++)
                ctx->kernels->axpy(y.width, change->scale, up.data + t * y.width, y.data + t * y.width);
        pl_arena_release(ctx->arena, mark);
    }
}
