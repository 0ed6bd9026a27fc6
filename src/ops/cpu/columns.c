/*
 * Pixels under a kernel to rows (im2col) and back (col2im, turned round: a task
 * owns pixels and adds up what reaches them, so that each sum is made in one
 * order). A row of the kernel is one stretch of memory, as channels stand
 * together.
 */
#include "ops/cpu/columns.h"

#include <string.h>

enum { PIXELS_A_TASK = 64, LINES_A_TASK = 8 };

typedef struct columns_job {
    const pl_kernels *kernels;
    const pl_convolution *c;
    pl_grid big, small;
    pl_rows columns;
    const float *bias; /* what lines begin with, or NULL: zeros */
    bool fresh;        /* lines begin anew */
} columns_job;

/* Taps of a line of the kernel that are inside the picture, which begins at pixel `left` before padding. */
typedef struct inside {
    size_t first, end;
} inside;

static inside taps_inside(const pl_convolution *c, size_t left, size_t width)
{
    const size_t first = left < c->padding ? pl_min(c->kernel, c->padding - left) : 0;
    const size_t end = left < width + c->padding ? pl_min(c->kernel, width + c->padding - left) : 0;
    return (inside){.first = first, .end = pl_max(first, end)};
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
    const inside taps = taps_inside(c, left, job->big.width);
    for (size_t ky = 0; ky < c->kernel; ky++, to += line) {
        const size_t v = at.v * c->stride + ky - c->padding; /* far outside where it is below 0 */
        const bool covered = v < job->big.height && taps.end > taps.first;
        if (!covered || taps.end - taps.first < c->kernel)
            memset(to, 0, line * sizeof *to);
        if (covered)
            memcpy(to + taps.first * channels, pixel_at(&job->big, at.picture, v, left + taps.first - c->padding), (taps.end - taps.first) * channels * sizeof *to);
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
    columns_job job = {.kernels = ctx->kernels, .c = c, .big = big, .small = small, .columns = columns};
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, (columns.count + PIXELS_A_TASK - 1) / PIXELS_A_TASK, gather_task, &job);
}

/* All columns whose kernel reaches one line of pixels: those of the lines of `small` from the top, each from the left. */
static void collect(const columns_job *job, size_t picture, size_t v, float *line)
{
    const pl_convolution *c = job->c;
    const size_t channels = job->big.rows.width, below = v + c->padding;
    for (size_t p = 0; p < job->big.width && job->fresh; p++) {
        if (job->bias)
            memcpy(line + p * channels, job->bias, channels * sizeof *line);
        else
            memset(line + p * channels, 0, channels * sizeof *line);
    }
    for (size_t at = below < c->kernel ? 0 : (below - c->kernel) / c->stride + 1; at < job->small.height && at * c->stride <= below; at++) {
        const float *columns = job->columns.data + (picture * job->small.height + at) * job->small.width * job->columns.width + (below - at * c->stride) * c->kernel * channels;
        for (size_t u = 0; u < job->small.width; u++, columns += job->columns.width) {
            const inside taps = taps_inside(c, u * c->stride, job->big.width);
            if (taps.end > taps.first)
                job->kernels->add((taps.end - taps.first) * channels, columns + taps.first * channels, line + (u * c->stride + taps.first - c->padding) * channels);
        }
    }
}

static void collect_task(void *context, size_t task, size_t thread)
{
    const columns_job *job = context;
    const size_t lines = job->big.rows.count / job->big.width, end = pl_min(lines, (task + 1) * LINES_A_TASK);
    (void)thread;
    for (size_t i = task * LINES_A_TASK; i < end; i++)
        collect(job, i / job->big.height, i % job->big.height, job->big.rows.data + i * job->big.width * job->big.rows.width);
}

static void each_line(pl_context *ctx, columns_job *job)
{
    job->kernels = ctx->kernels;
    if (!pl_dry(ctx) && job->big.rows.count > 0)
        pl_pool_run(ctx->pool, (job->big.rows.count / job->big.width + LINES_A_TASK - 1) / LINES_A_TASK, collect_task, job);
}

void pl_collect_columns(pl_context *ctx, const pl_convolution *c, pl_rows columns, pl_grid small, const float *bias, pl_grid big)
{
    each_line(ctx, &(columns_job){.c = c, .big = big, .small = small, .columns = columns, .bias = bias, .fresh = true});
}

void pl_add_columns(pl_context *ctx, const pl_convolution *c, pl_rows columns, pl_grid small, pl_grid big)
{
    each_line(ctx, &(columns_job){.c = c, .big = big, .small = small, .columns = columns});
}
