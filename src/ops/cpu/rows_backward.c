/*
 * Backward of the ops of rows.c but norms. Rows that come from several places
 * (embeddings, gathered rows) are summed by tasks that own columns and take the
 * rows in order, so that a sum is the same for any number of threads.
 */
#include "ops/cpu/rows.h"

static pl_row_job with_gradients(const pl_context *ctx, const void *record)
{
    pl_row_job job = *(const pl_row_job *)record;
    job.dx = pl_gradient(ctx, job.x);
    job.dz = pl_gradient(ctx, job.z);
    job.dy = pl_gradient(ctx, job.y);
    return job;
}

static void gelu_backward_row(const pl_row_job *job, size_t t)
{
    job->kernels->gelu_backward(job->y.width, pl_row_of(job->x, t), pl_row_of(job->dy, t), pl_row_of(job->dx, t));
}

void pl_gelu_backward(pl_context *ctx, const void *record)
{
    const pl_row_job job = with_gradients(ctx, record);
    if (job.dy.data && job.dx.data)
        pl_each_row(ctx, gelu_backward_row, job);
}

static float *wanted_row(pl_rows d, size_t t)
{
    return d.data ? pl_row_of(d, t) : NULL;
}

static void geglu_backward_row(const pl_row_job *job, size_t t)
{
    job->kernels->geglu_backward(job->y.width, pl_row_of(job->x, t), pl_row_of(job->z, t), pl_row_of(job->dy, t), wanted_row(job->dx, t), wanted_row(job->dz, t));
}

void pl_geglu_backward(pl_context *ctx, const void *record)
{
    const pl_row_job job = with_gradients(ctx, record);
    if (job.dy.data && (job.dx.data || job.dz.data))
        pl_each_row(ctx, geglu_backward_row, job);
}

/* dx += dy, dz += dy */
static void add_backward_row(const pl_row_job *job, size_t t)
{
    if (job->dx.data)
        job->kernels->add(job->y.width, pl_row_of(job->dy, t), pl_row_of(job->dx, t));
    if (job->dz.data)
        job->kernels->add(job->y.width, pl_row_of(job->dy, t), pl_row_of(job->dz, t));
}

void pl_copy_backward(pl_context *ctx, const void *record)
{
    const pl_row_job job = with_gradients(ctx, record);
    if (job.dy.data && job.dx.data)
        pl_each_row(ctx, add_backward_row, job);
}

void pl_add_backward(pl_context *ctx, const void *record)
{
    pl_row_job job = with_gradients(ctx, record);
    if (job.x.data == job.y.data)
        job.dx.data = NULL; /* y stands in its place, and so does its gradient */
    if (job.dy.data && (job.dx.data || job.dz.data))
        pl_each_row(ctx, add_backward_row, job);
}

static void softcap_backward_row(const pl_row_job *job, size_t t)
{
    job->kernels->softcap_backward(job->y.width, job->number, pl_row_of(job->y, t), pl_row_of(job->dy, t));
}

void pl_softcap_backward(pl_context *ctx, const void *record)
{
    const pl_row_job job = with_gradients(ctx, record);
    if (job.dy.data)
        pl_each_row(ctx, softcap_backward_row, job);
}

/* ---- Sums of rows by number ------------------------------------------- */

typedef struct scatter {
    const pl_kernels *kernels;
    pl_rows dy;
    float *to;          /* [anything, width] added to */
    const int32_t *ids; /* [T] where row t goes, or */
    const size_t *rows; /* [T], or neither: to first + t */
    size_t first;
    float factor;
} scatter;

enum { COLUMNS_A_TASK = 64 };

static void scatter_columns(void *context, size_t task, size_t thread)
{
    (void)thread;
    const scatter *s = context;
    const size_t width = s->dy.width, column = task * COLUMNS_A_TASK, n = pl_min(COLUMNS_A_TASK, width - column);
    for (size_t t = 0; t < s->dy.count; t++) {
        const size_t row = s->ids ? (size_t)s->ids[t] : s->rows ? s->rows[t] : s->first + t;
        s->kernels->axpy(n, s->factor, pl_row_of(s->dy, t) + column, s->to + row * width + column);
    }
}

static void run_scatter(pl_context *ctx, scatter s)
{
    s.kernels = ctx->kernels;
    if (s.dy.data && s.to && !pl_dry(ctx))
        pl_pool_run(ctx->pool, (s.dy.width + COLUMNS_A_TASK - 1) / COLUMNS_A_TASK, scatter_columns, &s);
}

void pl_gather_backward(pl_context *ctx, const void *record)
{
    const pl_row_job job = with_gradients(ctx, record);
    run_scatter(ctx, (scatter){.dy = job.dy, .to = job.dx.data, .rows = job.rows, .factor = 1});
}

void pl_embed_backward(pl_context *ctx, const void *record)
{
    const pl_row_job job = with_gradients(ctx, record);
    run_scatter(ctx, (scatter){.dy = job.dy, .to = pl_parameter_gradient(ctx, job.table->data), .ids = job.ids, .factor = job.number});
}

/* The gradient of x is that of what x was. */
void pl_add_table_backward(pl_context *ctx, const void *record)
{
    const pl_row_job job = with_gradients(ctx, record);
    run_scatter(ctx, (scatter){.dy = job.dy, .to = pl_parameter_gradient(ctx, job.table->data), .first = job.first, .factor = 1});
}
