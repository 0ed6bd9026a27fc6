/*
 * Convolutions as products: the pixels under the kernel gathered into a row
 * for each output pixel (im2col), or, transposed, the products of a pixel
 * gathered by the output pixels that they reach (col2im, turned round, so that
 * each sum is made by one task in one order).
 */
#include "ops/convolution.h"

#include <string.h>

enum { PIXELS_A_TASK = 16 };

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

typedef struct grid_job {
    const pl_convolution *c;
    pl_grid x, y;
    pl_rows columns; /* products or what they are made of: a row for each pixel of the smaller grid */
} grid_job;

static void each_pixel(pl_context *ctx, pl_task_fn *run, grid_job *job)
{
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, (job->y.rows.count + PIXELS_A_TASK - 1) / PIXELS_A_TASK, run, job);
}

/* Where an output pixel stands. */
typedef struct place {
    size_t picture, v, u;
} place;

static place place_of(const pl_grid *grid, size_t row)
{
    const size_t area = grid->height * grid->width;
    return (place){.picture = row / area, .v = row % area / grid->width, .u = row % grid->width};
}

static const float *pixel_at(const pl_grid *grid, size_t picture, size_t v, size_t u)
{
    return grid->rows.data + ((picture * grid->height + v) * grid->width + u) * grid->rows.width;
}

/* The pixels under the kernel of one output pixel: to [in, kernel, kernel]. */
static void gather(const grid_job *job, place at, float *to)
{
    const pl_convolution *c = job->c;
    const size_t channels = job->x.rows.width, taps = c->kernel * c->kernel;
    for (size_t ky = 0; ky < c->kernel; ky++)
        for (size_t kx = 0; kx < c->kernel; kx++) {
            const size_t v = at.v * c->stride + ky - c->padding, u = at.u * c->stride + kx - c->padding; /* far outside where it is below 0 */
            const bool inside = v < job->x.height && u < job->x.width;
            const float *from = inside ? pixel_at(&job->x, at.picture, v, u) : NULL;
            float *out = to + ky * c->kernel + kx;
            for (size_t i = 0; i < channels; i++)
                out[i * taps] = inside ? from[i] : 0.0f;
        }
}

static void gather_task(void *context, size_t task, size_t thread)
{
    const grid_job *job = context;
    const size_t end = pl_min(job->y.rows.count, (task + 1) * PIXELS_A_TASK);
    (void)thread;
    for (size_t row = task * PIXELS_A_TASK; row < end; row++)
        gather(job, place_of(&job->y, row), job->columns.data + row * job->columns.width);
}

void pl_op_convolution(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y)
{
    if (c->kernel == 1 && c->stride == 1 && c->padding == 0) {
        pl_op_linear(ctx, &c->map, x.rows, y.rows);
        return;
    }
    const size_t mark = pl_arena_mark(ctx->arena);
    grid_job job = {.c = c, .x = x, .y = y};
    job.columns = pl_rows_push(ctx, y.rows.count, x.rows.width * c->kernel * c->kernel);
    each_pixel(ctx, gather_task, &job);
    pl_op_linear(ctx, &c->map, job.columns, y.rows);
    pl_arena_release(ctx->arena, mark);
}

/* y of one output pixel: its bias, and the products of all pixels whose kernel reaches it, from the top left. */
static void collect(const grid_job *job, place at, float *y)
{
    const pl_convolution *c = job->c;
    const size_t channels = job->y.rows.width, taps = c->kernel * c->kernel;
    memset(y, 0, channels * sizeof *y);
    for (size_t ky = (at.v + c->padding) % c->stride; ky < c->kernel; ky += c->stride)
        for (size_t kx = (at.u + c->padding) % c->stride; kx < c->kernel; kx += c->stride) {
            const size_t below = at.v + c->padding - ky, right = at.u + c->padding - kx; /* far outside where it is below 0 */
            const size_t v = below / c->stride, u = right / c->stride;
            if (below > at.v + c->padding || right > at.u + c->padding || v >= job->x.height || u >= job->x.width)
                continue;
            const size_t row = (at.picture * job->x.height + v) * job->x.width + u;
            const float *from = job->columns.data + row * job->columns.width + ky * c->kernel + kx;
            for (size_t o = 0; o < channels; o++)
                y[o] += from[o * taps];
        }
    for (size_t o = 0; c->map.bias && o < channels; o++)
        y[o] += c->map.bias[o];
}

static void collect_task(void *context, size_t task, size_t thread)
{
    const grid_job *job = context;
    const size_t end = pl_min(job->y.rows.count, (task + 1) * PIXELS_A_TASK);
    (void)thread;
    for (size_t row = task * PIXELS_A_TASK; row < end; row++)
        collect(job, place_of(&job->y, row), job->y.rows.data + row * job->y.rows.width);
}

void pl_op_convolution_transposed(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    pl_linear products = c->map;
    products.bias = NULL;
    grid_job job = {.c = c, .x = x, .y = y};
    job.columns = pl_rows_push(ctx, x.rows.count, y.rows.width * c->kernel * c->kernel);
    pl_op_linear(ctx, &products, x.rows, job.columns);
    each_pixel(ctx, collect_task, &job);
    pl_arena_release(ctx->arena, mark);
}

/* ---- ReLU ------------------------------------------------------------ */

enum { VALUES_A_TASK = 4096 };

typedef struct relu_job {
    const float *x;
    float *y;
    size_t count;
} relu_job;

static void relu_task(void *context, size_t task, size_t thread)
{
    const relu_job *job = context;
    const size_t end = pl_min(job->count, (task + 1) * VALUES_A_TASK);
    (void)thread;
    for (size_t i = task * VALUES_A_TASK; i < end; i++)
        job->y[i] = job->x[i] < 0 ? 0 : job->x[i];
}

void pl_op_relu(pl_context *ctx, pl_rows x, pl_rows y)
{
    relu_job job = {.x = x.data, .y = y.data, .count = y.count * y.width};
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, (job.count + VALUES_A_TASK - 1) / VALUES_A_TASK, relu_task, &job);
}
