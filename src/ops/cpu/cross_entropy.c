/*
 * Cross-entropy of each row of logits with a smoothed target, by log-sum-exp
 * (the largest logit taken off first), and its gradient, softmax - target.
 * With V ids and e of smoothing, the distribution of a target is 1 - e on it and
 * e / (V - 1) on every other id (big_vision, utils.py: onehot and softmax_xent).
 * A target within a run of places is a mean of such distributions over it and
 * its neighbours, weighted by a Gaussian.
 */
#include "ops/cpu/rows.h"

#include <math.h>

/* Of a row: its largest logit, and the sum of exp(logit - largest). */
typedef struct row_sum {
    float largest;
    double sum;
} row_sum;

typedef struct entropy_job {
    const pl_kernels *kernels;
    pl_rows logits, dlogits;
    const int32_t *targets;
    const float *weights;
    float *losses;
    row_sum *sums; /* [T] in the arena */
    pl_spread spread;
    const double *window; /* [2 reach + 1], adds up to 1, in the arena */
    int reach;            /* neighbours on each side; 0: none */
    double on, off; /* of the target distribution, on the target and elsewhere */
} entropy_job;

/* What is near a target: offsets -reach .. reach of it; only itself where it is no place. */
static int reach_of(const entropy_job *job, int32_t target)
{
    return target >= job->spread.first && target - job->spread.first < job->spread.count ? job->reach : 0;
}

static int32_t neighbour(const entropy_job *job, int32_t target, int offset)
{
    const int32_t last = job->spread.first + job->spread.count - 1, id = target + offset;
    return id < job->spread.first ? job->spread.first : id > last ? last : id;
}

/* The mean logit of a target. */
static double logit_of(const entropy_job *job, const float *x, int32_t target)
{
    const int reach = reach_of(job, target);
    if (reach == 0)
        return (double)x[target];
    double sum = 0;
    for (int k = -reach; k <= reach; k++)
        sum += job->window[k + reach] * (double)x[neighbour(job, target, k)];
    return sum;
}

static void forward_row(void *context, size_t t, size_t thread)
{
    (void)thread;
    const entropy_job *job = context;
    const size_t vocabulary = job->logits.width;
    const float *x = pl_row_of(job->logits, t);
    if (job->targets[t] < 0) {
        job->losses[t] = 0;
        return;
    }
    const float largest = x[job->kernels->argmax(vocabulary, x)];
    const row_sum sum = {.largest = largest, .sum = job->kernels->exp_sum(vocabulary, largest, x)};
    const double log_sum = (double)largest + log(sum.sum), at_target = logit_of(job, x, job->targets[t]);
    double loss = job->on * (log_sum - at_target);
    if (job->off > 0)
        loss += job->off * ((double)(vocabulary - 1) * log_sum - (job->kernels->sum(vocabulary, x) - at_target));
    job->losses[t] = (float)loss;
    job->sums[t] = sum;
}

static void backward_row(void *context, size_t t, size_t thread)
{
    (void)thread;
    const entropy_job *job = context;
    const double weight = (double)job->weights[t];
    if (job->targets[t] < 0 || weight == 0)
        return;
    float *const d = pl_row_of(job->dlogits, t);
    const row_sum sum = job->sums[t];
    job->kernels->add_exp(job->logits.width, (float)(weight / sum.sum), sum.largest, (float)(-weight * job->off), pl_row_of(job->logits, t), d);
    const int32_t target = job->targets[t];
    const int reach = reach_of(job, target);
    if (reach == 0)
        d[target] -= (float)(weight * (job->on - job->off));
    for (int k = -reach; k <= reach && reach > 0; k++)
        d[neighbour(job, target, k)] -= (float)(weight * (job->on - job->off) * job->window[k + reach]);
}

static void cross_entropy_backward(pl_context *ctx, const void *record)
{
    entropy_job job = *(const entropy_job *)record;
    job.dlogits = pl_gradient(ctx, job.logits);
    if (job.dlogits.data && !pl_dry(ctx))
        pl_pool_run(ctx->pool, job.logits.count, backward_row, &job);
}

/* The Gaussian of the job's reach, in the arena. */
static const double *push_window(pl_context *ctx, const entropy_job *job)
{
    const size_t count = 2 * (size_t)job->reach + 1;
    double *const window = pl_push(ctx, count, sizeof *window);
    if (pl_dry(ctx))
        return window;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double z = ((double)i - job->reach) / (double)job->spread.width;
        sum += window[i] = exp(-0.5 * z * z);
    }
    for (size_t i = 0; i < count; i++)
        window[i] /= sum;
    return window;
}

void pl_op_cross_entropy_spread(pl_context *ctx, pl_rows logits, const int32_t *targets, const float *weights, float smoothing, const pl_spread *spread, float *losses)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    entropy_job job = {
        .kernels = ctx->kernels,
        .logits = logits,
        .targets = targets,
        .weights = weights,
        .losses = losses,
        .sums = pl_push(ctx, logits.count, sizeof *job.sums),
        .spread = *spread,
        .reach = spread->width > 0 ? (int)ceil(3 * (double)spread->width) : 0,
        .on = 1 - (double)smoothing,
        .off = (double)smoothing / (double)pl_max(1, logits.width - 1),
    };
    if (job.reach > 0)
        job.window = push_window(ctx, &job);
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, logits.count, forward_row, &job);
    if (pl_recording(ctx))
        pl_record(ctx, cross_entropy_backward, &job, sizeof job);
    pl_release(ctx, mark);
}

void pl_op_cross_entropy(pl_context *ctx, pl_rows logits, const int32_t *targets, const float *weights, float smoothing, float *losses)
{
    pl_op_cross_entropy_spread(ctx, logits, targets, weights, smoothing, &(pl_spread){0}, losses);
}
