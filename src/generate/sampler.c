/* Sampling. Probabilities are summed in double, in a fixed order: a seed gives one answer everywhere. */
#include "generate/sampler.h"

#include "base/random.h"

#include <math.h>

/* In [0, 1). */
static double uniform(uint64_t *state)
{
    return (double)(pl_random_next(state) >> 11) * 0x1p-53;
}

/* Ids stand in a heap by falling logit; of equal ones the lower id comes first. */
static bool comes_before(const float *logits, int32_t a, int32_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

/* Restores the heap whose best id stands first, from `root` down. */
static void sift(int32_t *heap, size_t n, size_t root, const float *logits)
{
    const int32_t id = heap[root];
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && comes_before(logits, heap[child + 1], heap[child]))
            child++;
        if (!comes_before(logits, heap[child], id))
            break;
        heap[root] = heap[child];
    }
    heap[root] = id;
}

/* Takes the best id off the heap. */
static int32_t take_best(int32_t *heap, size_t *n, const float *logits)
{
    const int32_t best = heap[0];
    heap[0] = heap[--*n];
    if (*n)
        sift(heap, *n, 0, logits);
    return best;
}

/*
 * The lowest logit that top-k and nucleus leave in: nucleus keeps the ids, best
 * first, up to and with the one that takes the sum of probabilities to p.
 */
static float threshold(const pl_sampler *sampler, const float *logits, const float *weights, double total, size_t n, int32_t *heap)
{
    for (size_t i = 0; i < n; i++)
        heap[i] = (int32_t)i;
    for (size_t i = n / 2; i-- > 0;)
        sift(heap, n, i, logits);
    const size_t most = sampler->top_k && sampler->top_k < n ? sampler->top_k : n;
    const double wanted = sampler->top_p > 0 ? (double)sampler->top_p * total : INFINITY;
    double sum = 0;
    float last = -INFINITY;
    size_t left = n;
    for (size_t i = 0; i < most && sum < wanted; i++) {
        const int32_t id = take_best(heap, &left, logits);
        last = logits[id];
        sum += (double)weights[id];
    }
    return last;
}

void pl_ban(float *logits, size_t n, const unsigned char *banned)
{
    for (size_t i = 0; i < n; i++)
        if (banned[i])
            logits[i] = -INFINITY;
}

int32_t pl_sample(pl_sampler *sampler, const pl_kernels *kernels, const float *logits, size_t n, pl_sample_scratch scratch)
{
    const size_t best = kernels->argmax(n, logits);
    if (sampler->temperature <= 0)
        return (int32_t)best;

    double total = 0;
    for (size_t i = 0; i < n; i++) {
        scratch.values[i] = expf((logits[i] - logits[best]) / sampler->temperature);
        total += (double)scratch.values[i];
    }
    const bool cut = sampler->top_k || sampler->top_p > 0;
    const float least = cut ? threshold(sampler, logits, scratch.values, total, n, scratch.order) : -INFINITY;
    double kept = 0;
    for (size_t i = 0; i < n; i++)
        if (logits[i] >= least)
            kept += (double)scratch.values[i];
    double target = uniform(&sampler->state) * kept;
    size_t chosen = best;
    for (size_t i = 0; i < n; i++) {
        if (logits[i] < least || scratch.values[i] <= 0)
            continue;
        chosen = i;
        target -= (double)scratch.values[i];
        if (target < 0)
            break;
    }
    return (int32_t)chosen;
}

double pl_log_sum_exp(const float *logits, size_t n)
{
    float highest = -INFINITY;
    for (size_t i = 0; i < n; i++)
        highest = logits[i] > highest ? logits[i] : highest;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)(logits[i] - highest));
    return (double)highest + log(sum);
}

typedef struct rows_job {
    const float *logits;
    size_t n;
    double *totals;
} rows_job;

static void sum_row(void *context, size_t row, size_t thread)
{
    (void)thread;
    const rows_job *job = context;
    job->totals[row] = pl_log_sum_exp(job->logits + row * job->n, job->n);
}

void pl_log_sum_exps(pl_pool *pool, const float *logits, size_t rows, size_t n, double *totals)
{
    rows_job job = {.logits = logits, .n = n, .totals = totals};
    pl_pool_run(rows > 1 ? pool : NULL, rows, sum_row, &job);
}
