/*
 * From logits to one id: greedy, or drawn after temperature, top-k and nucleus
 * as big_vision's decoding functions have them (predict_fns.py).
 */
#ifndef PL_GENERATE_SAMPLER_H
#define PL_GENERATE_SAMPLER_H

#include "base/pool.h"
#include "kernels/kernels.h"

typedef struct pl_sampler {
    float temperature; /* 0: greedy */
    float top_p;       /* 0: off */
    size_t top_k;      /* 0: off */
    uint64_t state;    /* of the random numbers; start it with the seed */
} pl_sampler;

typedef struct pl_sample_scratch {
    float *values;     /* [vocabulary] */
    int32_t *order;    /* [vocabulary] */
} pl_sample_scratch;

/* Makes the logits [n] of ids with banned[id] set -infinity, by which they cannot be chosen. */
void pl_ban(float *logits, size_t n, const unsigned char *banned);

/* The id drawn from logits [n], those of -infinity left out; one at least is higher. */
int32_t pl_sample(pl_sampler *sampler, const pl_kernels *kernels, const float *logits, size_t n, pl_sample_scratch scratch);

/* log of the sum of exp(logits [n]): what log softmax subtracts. */
double pl_log_sum_exp(const float *logits, size_t n);

/* The same of each row of logits [rows, n] into totals [rows], a row a task. */
void pl_log_sum_exps(pl_pool *pool, const float *logits, size_t rows, size_t n, double *totals);

#endif
