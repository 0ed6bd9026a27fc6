/*
 * Rows of length 1, and SigLIP's loss over all pairs of pictures and texts
 * (Zhai et al., arXiv 2303.15343, algorithm 1). Forward leaves the gradient of
 * the pairs' scores in their place: what backward has left to do are products.
 */
#include "ops/cpu/product.h"
#include "ops/cpu/rows.h"

#include <math.h>

/* ---- Length 1 --------------------------------------------------------- */

static const double NORM_EPS = 1e-8;

static double dot(size_t n, const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void normalise_row(const pl_row_job *job, size_t t)
{
    const size_t n = job->y.width;
    const float *x = pl_row_of(job->x, t);
    const double inverse = 1 / (sqrt(dot(n, x, x)) + NORM_EPS);
    for (size_t i = 0; i < n; i++)
        pl_row_of(job->y, t)[i] = (float)((double)x[i] * inverse);
}

/* With r = |x| and y = x / (r + eps): dx = dy / (r + eps) - x (dy . x) / (r (r + eps)^2). */
static void normalise_backward_row(const pl_row_job *job, size_t t)
{
    const size_t n = job->y.width;
    const float *x = pl_row_of(job->x, t), *dy = pl_row_of(job->dy, t);
    float *dx = pl_row_of(job->dx, t);
    const double length = sqrt(dot(n, x, x)), inverse = 1 / (length + NORM_EPS);
    const double along = length > 0 ? dot(n, dy, x) * inverse * inverse / length : 0;
    for (size_t i = 0; i < n; i++)
        dx[i] += (float)((double)dy[i] * inverse - (double)x[i] * along);
}

static void normalise_backward(pl_context *ctx, const void *record)
{
    pl_row_job job = *(const pl_row_job *)record;
    job.dx = pl_gradient(ctx, job.x);
    job.dy = pl_gradient(ctx, job.y);
    if (job.dx.data && job.dy.data)
        pl_each_row(ctx, normalise_backward_row, job);
}

void pl_op_l2_normalise(pl_context *ctx, pl_rows x, pl_rows y)
{
    pl_row_op(ctx, normalise_row, normalise_backward, (pl_row_job){.x = x, .y = y});
}

/* ---- The loss over pairs ---------------------------------------------- */

/* Of a picture with all texts. */
typedef struct pair_sums {
    double loss, dlog_temperature, dbias;
} pair_sums;

typedef struct contrastive {
    pl_rows images, texts; /* [n, D] */
    pl_rows pairs;         /* [n, n] x.y, then the gradient of it */
    const float *log_temperature, *bias;
    float *loss;
    pair_sums *sums; /* [n] in the arena */
} contrastive;

static void pairs_of_image(void *context, size_t i, size_t thread)
{
    (void)thread;
    const contrastive *c = context;
    const size_t n = c->pairs.count;
    const double temperature = exp((double)*c->log_temperature), bias = (double)*c->bias;
    float *const row = pl_row_of(c->pairs, i);
    pair_sums sums = {0};
    for (size_t j = 0; j < n; j++) {
        const double sign = i == j ? 1 : -1, scaled = temperature * (double)row[j], v = -sign * (scaled + bias);
        const double d = -sign / (double)n / (1 + exp(-v)); /* of log(1 + exp(v)) / n by the score */
        sums.loss += (v > 0 ? v : 0) + log1p(exp(-fabs(v)));
        sums.dlog_temperature += d * scaled;
        sums.dbias += d;
        row[j] = (float)(d * temperature);
    }
    c->sums[i] = sums;
}

static pl_tensor as_weight(pl_rows rows)
{
    return (pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {rows.count, rows.width}, .data = rows.data};
}

static void add_to(float *gradient, double d)
{
    if (gradient)
        *gradient += (float)d;
}

static void contrastive_backward(pl_context *ctx, const void *record)
{
    const contrastive c = *(const contrastive *)record;
    const pl_rows dimages = pl_gradient(ctx, c.images), dtexts = pl_gradient(ctx, c.texts);
    const pl_activations activations = ctx->activations;
    ctx->activations = PL_ACTIVATIONS_F32;
    const pl_tensor texts = as_weight(c.texts);
    if (dimages.data)
        pl_product_backward_input(ctx, &texts, c.pairs, dimages);
    if (dtexts.data)
        pl_product_backward_weight(ctx, c.pairs, c.images, dtexts.data);
    ctx->activations = activations;
    if (pl_dry(ctx))
        return;
    pair_sums all = {0};
    for (size_t i = 0; i < c.pairs.count; i++) {
        all.dlog_temperature += c.sums[i].dlog_temperature;
        all.dbias += c.sums[i].dbias;
    }
    add_to(pl_parameter_gradient(ctx, c.log_temperature), all.dlog_temperature);
    add_to(pl_parameter_gradient(ctx, c.bias), all.dbias);
}

void pl_op_sigmoid_contrastive(pl_context *ctx, pl_rows images, pl_rows texts, const float *log_temperature, const float *bias, float *loss)
{
    const size_t n = images.count, mark = pl_arena_mark(ctx->arena);
    contrastive c = {.images = images, .texts = texts, .pairs = pl_constant_push(ctx, n, n), .log_temperature = log_temperature, .bias = bias, .loss = loss};
    c.sums = pl_push(ctx, n, sizeof *c.sums);
    const pl_activations activations = ctx->activations;
    ctx->activations = PL_ACTIVATIONS_F32;
    const pl_tensor weight = as_weight(texts);
    pl_product(ctx, &weight, &(pl_epilogue){0}, images, c.pairs);
    ctx->activations = activations;
    if (!pl_dry(ctx)) {
        pl_pool_run(ctx->pool, n, pairs_of_image, &c);
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += c.sums[i].loss;
        *loss = (float)(sum / (double)n);
    }
    if (pl_recording(ctx))
        pl_record(ctx, contrastive_backward, &c, sizeof c);
    pl_release(ctx, mark);
}
