/*
 * Pixels under a kernel to rows (im2col) and back (col2im, turned round: a task
 * owns pixels and adds up what reaches them, so that each sum is made in one
 * order). A row of the kernel is one stretch of memory, as channels stand
 * together.
 */
#include "ops/cpu/columns.h"

#include <string.h>

enum { PIXELS_A_TASK = 64 };

typedef struct columns_job {
    const pl_kernels *kernels;
    const pl_convolution *c;
    pl_grid big, small;
    pl_rows columns;
} columns_job;

static void each_pixel(pl_context *ctx, size_t pixels, pl_task_fn *run, columns_job *job)
{
    job->kernels = ctx->kernels;
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, (pixels + PIXELS_A_TASK - 1) / PIXELS_A_TASK, run, job);
}

/* Where a pixel stands. */
typedef struct place {
    size_t picture, v, u;
} place;

static place place_of(const pl_grid *grid, size_t row)
{
    const size_t area = grid->height * grid->width;
    return (place){.picture = row / area, .v = row % area / grid->width, .u = row % grid->width};
}

static float *pixel_at(const pl_grid *grid, size_t picture, size_t v, size_t u)
{
    return grid->rows.data + ((picture * grid->height + v) * grid->width + u) * grid->rows.width;
}

/* What the kernel covers at one place: to [kernel, kernel, channels]. */
static void gather(const columns_job *job, place at, float *to)
{
    const pl_convolution *c = job->c;
    const size_t channels = job->big.rows.width, line = c->kernel * channels, left = at.u * c->stride;
    const size_t first = left < c->padding ? c->padding - left : 0; /* taps of a line that are inside: first to end */
    const size_t room = job->big.width + c->padding, end = pl_max(first, left < room ? pl_min(c->kernel, room - left) : 0);
    for (size_t ky = 0; ky < c->kernel; ky++, to += line) {
        const size_t v = at.v * c->stride + ky - c->padding; /* far outside where it is below 0 */
        if (v >= job->big.height || first >= c->kernel || end == first) {
            memset(to, 0, line * sizeof *to);
            continue;
        }
        memset(to, 0, first * channels * sizeof *to);
        memcpy(to + first * channels, pixel_at(&job->big, at.picture, v, left + first - c->padding), (end - first) * channels * sizeof *to);
        memset(to + end * channels, 0, (c->kernel - end) * channels * sizeof *to);
    }
}

static void gather_task(void *context, size_t task, size_t thread)
{
    const columns_job *job = context;
    const size_t end = pl_min(job->columns.count, (task + 1) * PIXELS_A_TASK);
    (void)thread;
    for (size_t row = task * PIXELS_A_TASK; row < end; row++)
        gather(job, place_of(&job->small, row), job->columns.data + row * job->columns.width);
}

void pl_gather_columns(pl_context *ctx, const pl_convolution *c, pl_grid big, pl_grid small, pl_rows columns)
{
    columns_job job = {.c = c, .big = big, .small = small, .columns = columns};
    each_pixel(ctx, columns.count, gather_task, &job);
}

/* All columns whose kernel reaches one pixel. */
static void collect(const columns_job *job, place at, float *pixel)
{
    const pl_convolution *c = job->c;
    const size_t channels = job->big.rows.width;
    for (size_t ky = (at.v + c->padding) % c->stride; ky < c->kernel; ky += c->stride)
        for (size_t kx = (at.u + c->padding) % c->stride; kx < c->kernel; kx += c->stride) {
            const size_t below = at.v + c->padding - ky, right = at.u + c->padding - kx; /* far outside where it is below 0 */
            const size_t v = below / c->stride, u = right / c->stride;
            if (below > at.v + c->padding || right > at.u + c->padding || v >= job->small.height || u >= job->small.width)
                continue;
            const size_t row = (at.picture * job->small.height + v) * job->small.width + u;
            job->kernels->add(channels, job->columns.data + row * job->columns.width + (ky * c->kernel + kx) * channels, pixel);
        }
}

static void collect_task(void *context, size_t task, size_t thread)
{
    const columns_job *job = context;
    const size_t end = pl_min(job->big.rows.count, (task + 1) * PIXELS_A_TASK);
    (void)thread;
    for (size_t row = task * PIXELS_A_TASK; row < end; row++)
        collect(job, place_of(&job->big, row), job->big.rows.data + row * job->big.rows.width);
}

void pl_collect_columns(pl_context *ctx, const pl_convolution *c, pl_rows columns, pl_grid small, pl_grid big)
{
    columns_job job = {.c = c, .big = big, .small = small, .columns = columns};
    each_pixel(ctx, big.rows.count, collect_task, &job);
}
