/*
 * Convolutions as products: the pixels under the kernel gathered into a row for
 * each output pixel, or, transposed, the products of a pixel collected by the
 * output pixels that they reach. Where there are pictures for all threads, a
 * task takes some through all of it, while they are in cache; else the threads
 * share each step. That changes no bit.
 */
#include "ops/cpu/columns.h"
#include "ops/cpu/product.h"

enum { GROUP_ROWS = 256 }; /* of a product, about */

size_t pl_convolution_side(const pl_convolution *c, size_t side)
{
    const size_t padded = side + 2 * c->padding;
    return padded < c->kernel ? 0 : (padded - c->kernel) / c->stride + 1;
}

size_t pl_convolution_transposed_side(const pl_convolution *c, size_t side)
{
    const size_t whole = side ? (side - 1) * c->stride + c->kernel : 0;
    return whole < 2 * c->padding ? 0 : whole - 2 * c->padding;
}

pl_grid pl_grid_push(pl_context *ctx, size_t pictures, size_t height, size_t width, size_t channels)
{
    return (pl_grid){.rows = pl_rows_push(ctx, pictures * height * width, channels), .height = height, .width = width};
}

static size_t pictures_of(pl_grid grid)
{
    const size_t pixels = grid.height * grid.width;
    return pixels > 0 ? grid.rows.count / pixels : 0;
}

size_t pl_pictures_at_a_time(pl_grid small)
{
    return pl_max(1, GROUP_ROWS / pl_max(1, small.height * small.width));
}

pl_context pl_context_of_task(const pl_context *ctx, pl_arena *arena, void *memory, size_t bytes)
{
    *arena = memory ? (pl_arena){.block = memory, .size = bytes} : pl_arena_plan();
    return (pl_context){.kernels = ctx->kernels, .arena = arena, .activations = ctx->activations, .regime = PL_REGIME_PREFILL};
}

/* ---- Forward ---------------------------------------------------------- */

typedef void convolve_fn(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y);

static void convolve(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    pl_rows columns = x.rows;
    if (!pl_is_pointwise(c)) {
        columns = pl_constant_push(ctx, y.rows.count, x.rows.width * c->kernel * c->kernel);
        pl_gather_columns(ctx, c, x, y, columns);
    }
    pl_product(ctx, &c->map.weight, &(pl_epilogue){.bias = c->map.bias}, columns, y.rows);
    pl_arena_release(ctx->arena, mark);
}

static void convolve_transposed(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows columns = pl_constant_push(ctx, x.rows.count, y.rows.width * c->kernel * c->kernel);
    pl_product(ctx, &c->map.weight, &(pl_epilogue){0}, x.rows, columns);
    pl_collect_columns(ctx, c, columns, x, c->map.bias, y);
    pl_arena_release(ctx->arena, mark);
}

typedef struct pictures_job {
    pl_context *ctx;
    const pl_convolution *c;
    pl_grid x, y;
    convolve_fn *run;
    size_t each; /* pictures of a task */
    unsigned char *scratch; /* [threads, scratch_bytes] */
    size_t scratch_bytes;
} pictures_job;

static void run_task(const pictures_job *job, pl_context *ctx, size_t first)
{
    const size_t count = pl_min(job->each, pictures_of(job->x) - first);
    job->run(ctx, job->c, pl_grid_view(job->x, first, count), pl_grid_view(job->y, first, count));
}

static void pictures_task(void *context, size_t task, size_t thread)
{
    const pictures_job *job = context;
    pl_arena arena;
    pl_context ctx = pl_context_of_task(job->ctx, &arena, job->scratch + thread * job->scratch_bytes, job->scratch_bytes);
    run_task(job, &ctx, task * job->each);
    if (ctx.failed)
        job->ctx->failed = true;
}

/* All pictures; the same bits however they are shared out. */
static void each_picture(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y, pl_grid small, convolve_fn *run)
{
    const size_t mark = pl_arena_mark(ctx->arena), threads = pl_pool_threads(ctx->pool);
    pictures_job job = {.ctx = ctx, .c = c, .x = x, .y = y, .run = run, .each = pl_pictures_at_a_time(small)};
    const size_t tasks = (pictures_of(x) + job.each - 1) / job.each;
    if (tasks < threads || pl_few_rows(ctx, small.rows.count)) {
        pl_context all = *ctx;
        all.tape = NULL;
        run(&all, c, x, y);
        ctx->failed |= all.failed;
        return;
    }
    pl_arena arena;
    pl_context plan = pl_context_of_task(ctx, &arena, NULL, 0);
    run_task(&job, &plan, 0);
    job.scratch_bytes = pl_round_up(arena.peak, 64);
    job.scratch = pl_push(ctx, threads, job.scratch_bytes);
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, tasks, pictures_task, &job);
    pl_arena_release(ctx->arena, mark);
}

static void record_convolution(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y, bool transposed)
{
    const pl_convolution_record record = {.c = *c, .x = x, .y = y, .transposed = transposed};
    if (pl_recording(ctx))
        pl_record(ctx, pl_convolution_backward, &record, sizeof record);
}

void pl_op_convolution(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y)
{
    each_picture(ctx, c, x, y, y, convolve);
    record_convolution(ctx, c, x, y, false);
}

void pl_op_convolution_transposed(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y)
{
    each_picture(ctx, c, x, y, x, convolve_transposed);
    record_convolution(ctx, c, x, y, true);
}

/* ---- ReLU ------------------------------------------------------------ */

enum { VALUES_A_TASK = 16384 };

typedef struct relu_job {
    const float *x, *dy;
    float *y, *dx;
    size_t count;
} relu_job;

static void each_value(pl_context *ctx, pl_task_fn *run, relu_job *job)
{
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, (job->count + VALUES_A_TASK - 1) / VALUES_A_TASK, run, job);
}

static void relu_task(void *context, size_t task, size_t thread)
{
    const relu_job *job = context;
    const size_t end = pl_min(job->count, (task + 1) * VALUES_A_TASK);
    (void)thread;
    for (size_t i = task * VALUES_A_TASK; i < end; i++)
        job->y[i] = job->x[i] < 0 ? 0 : job->x[i];
}

static void relu_backward_task(void *context, size_t task, size_t thread)
{
    const relu_job *job = context;
    const size_t end = pl_min(job->count, (task + 1) * VALUES_A_TASK);
    (void)thread;
    for (size_t i = task * VALUES_A_TASK; i < end; i++)
        job->dx[i] += job->x[i] > 0 ? job->dy[i] : 0;
}

/* y is x, and so are their gradients. */
static void relu_backward_inplace_task(void *context, size_t task, size_t thread)
{
    const relu_job *job = context;
    const size_t end = pl_min(job->count, (task + 1) * VALUES_A_TASK);
    (void)thread;
    for (size_t i = task * VALUES_A_TASK; i < end; i++)
        job->dx[i] = job->x[i] > 0 ? job->dx[i] : 0;
}

typedef struct relu_record {
    pl_rows x, y;
} relu_record;

static void relu_backward(pl_context *ctx, const void *record)
{
    const relu_record *r = record;
    relu_job job = {.x = r->x.data, .dy = pl_gradient(ctx, r->y).data, .dx = pl_gradient(ctx, r->x).data, .count = r->x.count * r->x.width};
    if (job.dx && job.dy)
        each_value(ctx, job.dx == job.dy ? relu_backward_inplace_task : relu_backward_task, &job);
}

void pl_op_relu(pl_context *ctx, pl_rows x, pl_rows y)
{
    relu_job job = {.x = x.data, .y = y.data, .count = y.count * y.width};
    each_value(ctx, relu_task, &job);
    if (pl_recording(ctx))
        pl_record(ctx, relu_backward, &(relu_record){.x = x, .y = y}, sizeof(relu_record));
}
