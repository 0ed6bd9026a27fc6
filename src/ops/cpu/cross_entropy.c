/*
 * Cross-entropy of each row of logits with a smoothed target, by log-sum-exp
 * (the largest logit taken off first), and its gradient, softmax - target.
 * With V ids and e of smoothing, the distribution of a target is 1 - e on it and
 * e / (V - 1) on every other id (big_vision, utils.py: onehot and softmax_xent).
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
    double on, off; /* of the target distribution, on the target and elsewhere */
} entropy_job;

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
    const double log_sum = (double)largest + log(sum.sum), at_target = (double)x[job->targets[t]];
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
    d[job->targets[t]] -= (float)(weight * (job->on - job->off));
}

static void cross_entropy_backward(pl_context *ctx, const void *record)
{
    entropy_job job = *(const entropy_job *)record;
    job.dlogits = pl_gradient(ctx, job.logits);
    if (job.dlogits.data && !pl_dry(ctx))
        pl_pool_run(ctx->pool, job.logits.count, backward_row, &job);
}

void pl_op_cross_entropy(pl_context *ctx, pl_rows logits, const int32_t *targets, const float *weights, float smoothing, float *losses)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    entropy_job job = {
        .kernels = ctx->kernels,
        .logits = logits,
        .targets = targets,
        .weights = weights,
        .losses = losses,
        .sums = pl_push(ctx, logits.count, sizeof *job.sums),
        .on = 1 - (double)smoothing,
        .off = (double)smoothing / (double)pl_max(1, logits.width - 1),
    };
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, logits.count, forward_row, &job);
    if (pl_recording(ctx))
        pl_record(ctx, cross_entropy_backward, &job, sizeof job);
    pl_release(ctx, mark);
}
