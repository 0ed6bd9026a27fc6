/*
 * Backward of convolutions by the products of their columns. The pictures are
 * cut into a fixed number of parts, a task each, with weight gradients of its
 * own; these are then added up in order, so that no sum follows the threads.
 */
#include "ops/cpu/columns.h"
#include "ops/cpu/product.h"

#include <string.h>

enum { PARTS = 16, VALUES_A_TASK = 4096 };

typedef struct backward_job {
    pl_context *ctx;
    const pl_convolution_record *r;
    pl_grid dx, dy;                /* dx without data: not wanted */
    float *dweight, *dbias;        /* or NULL: frozen */
    size_t weights, biases;        /* values of them, 0 where frozen */
    size_t pictures, parts, each;  /* pictures of a step within a part */
    float *sums;                   /* [parts, weights + biases] */
    unsigned char *scratch;        /* [threads, scratch_bytes] */
    size_t scratch_bytes;
} backward_job;

static void zero(pl_context *ctx, pl_rows rows)
{
    if (!pl_dry(ctx))
        memset(rows.data, 0, rows.count * rows.width * sizeof *rows.data);
}

/* Some pictures of a convolution: dW += dy^T columns(x); dx += the columns of dy W. */
static void plain(pl_context *ctx, const backward_job *job, pl_grid x, pl_grid dx, pl_grid dy, float *dw)
{
    const pl_convolution *c = &job->r->c;
    const bool pointwise = pl_is_pointwise(c);
    pl_rows columns = pointwise ? x.rows : pl_constant_push(ctx, dy.rows.count, x.rows.width * c->kernel * c->kernel);
    if (dw) {
        if (!pointwise)
            pl_gather_columns(ctx, c, x, dy, columns);
        pl_product_backward_weight(ctx, dy.rows, columns, dw);
    }
    if (!dx.rows.data)
        return;
    if (pointwise) {
        pl_product_backward_input(ctx, &c->map.weight, dy.rows, dx.rows);
        return;
    }
    zero(ctx, columns);
    pl_product_backward_input(ctx, &c->map.weight, dy.rows, columns);
    pl_add_columns(ctx, c, columns, dy, dx);
}

/* Transposed: dW += columns(dy)^T x; dx += columns(dy) W. */
static void transposed(pl_context *ctx, const backward_job *job, pl_grid x, pl_grid dx, pl_grid dy, float *dw)
{
    const pl_convolution *c = &job->r->c;
    const pl_rows columns = pl_constant_push(ctx, x.rows.count, dy.rows.width * c->kernel * c->kernel);
    pl_gather_columns(ctx, c, dy, x, columns);
    if (dw)
        pl_product_backward_weight(ctx, columns, x.rows, dw);
    if (dx.rows.data)
        pl_product_backward_input(ctx, &c->map.weight, columns, dx.rows);
}

static void backward_pictures(pl_context *ctx, const backward_job *job, size_t first, size_t count, float *dw, float *db)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_grid x = pl_grid_view(job->r->x, first, count), dx = pl_grid_view(job->dx, first, count), dy = pl_grid_view(job->dy, first, count);
    (job->r->transposed ? transposed : plain)(ctx, job, x, dx, dy, dw);
    if (db)
        pl_column_sums(ctx, dy.rows, db);
    pl_arena_release(ctx->arena, mark);
}

static void part_task(void *context, size_t part, size_t thread)
{
    const backward_job *job = context;
    const size_t first = part * job->pictures / job->parts, end = (part + 1) * job->pictures / job->parts, values = job->weights + job->biases;
    float *sums = job->sums + part * values;
    pl_arena arena;
    pl_context ctx = pl_context_of_task(job->ctx, &arena, job->scratch + thread * job->scratch_bytes, job->scratch_bytes);
    memset(sums, 0, values * sizeof *sums);
    for (size_t picture = first; picture < end; picture += job->each)
        backward_pictures(&ctx, job, picture, pl_min(job->each, end - picture), job->weights ? sums : NULL, job->biases ? sums + job->weights : NULL);
    if (ctx.failed)
        job->ctx->failed = true;
}

/* The parts' sums are added up, the parts in order. */
static void add_task(void *context, size_t task, size_t thread)
{
    const backward_job *job = context;
    const size_t values = job->weights + job->biases, first = task * VALUES_A_TASK, end = pl_min(values, first + VALUES_A_TASK);
    (void)thread;
    for (size_t part = 0; part < job->parts; part++) {
        const float *sums = job->sums + part * values;
        if (first < job->weights)
            job->ctx->kernels->add(pl_min(end, job->weights) - first, sums + first, job->dweight + first);
        const size_t from = pl_max(first, job->weights);
        if (from < end)
            job->ctx->kernels->add(end - from, sums + from, job->dbias + (from - job->weights));
    }
}

static size_t weight_values(const pl_convolution *c)
{
    return c->map.weight.shape[0] * c->map.weight.shape[1];
}

void pl_convolution_backward(pl_context *ctx, const void *record)
{
    const pl_convolution_record r = *(const pl_convolution_record *)record;
    const pl_grid small = r.transposed ? r.x : r.y;
    const size_t pixels = small.height * small.width, mark = pl_arena_mark(ctx->arena), threads = pl_pool_threads(ctx->pool);
    backward_job job = {.ctx = ctx, .r = &r, .pictures = pixels ? small.rows.count / pixels : 0, .each = pl_pictures_at_a_time(small)};
    job.dx = (pl_grid){.rows = pl_gradient(ctx, r.x.rows), .height = r.x.height, .width = r.x.width};
    job.dy = (pl_grid){.rows = pl_gradient(ctx, r.y.rows), .height = r.y.height, .width = r.y.width};
    job.dweight = pl_parameter_gradient(ctx, r.c.map.weight.data);
    job.dbias = pl_parameter_gradient(ctx, r.c.map.bias);
    job.weights = job.dweight ? weight_values(&r.c) : 0;
    job.biases = job.dbias ? r.y.rows.width : 0;
    job.parts = pl_min(PARTS, job.pictures);
    if (!job.parts || !job.dy.rows.data)
        return;
    pl_arena arena;
    pl_context plan = pl_context_of_task(ctx, &arena, NULL, 0);
    backward_pictures(&plan, &job, 0, pl_min(job.each, (job.pictures + job.parts - 1) / job.parts), job.dweight, job.dbias);
    job.scratch_bytes = pl_round_up(arena.peak, 64);
    job.scratch = pl_push(ctx, threads, job.scratch_bytes);
    job.sums = pl_push(ctx, job.parts * (job.weights + job.biases), sizeof *job.sums);
    if (!pl_dry(ctx)) {
        pl_pool_run(ctx->pool, job.parts, part_task, &job);
        pl_pool_run(ctx->pool, (job.weights + job.biases + VALUES_A_TASK - 1) / VALUES_A_TASK, add_task, &job);
    }
    pl_arena_release(ctx->arena, mark);
}
