/*
 * From scores and whether they were right to a curve of probabilities, by
 * isotonic regression (pool adjacent violators): samples in order of score are
 * pooled into blocks whose share of right ones rises. Each block gives one
 * point, at its mean score and at (right + 1/2) / (samples + 1), so that no
 * probability is 0 or 1; straight lines run between. On nano's boxes this came
 * out better than the step function itself, Platt's and the beta map in
 * log-likelihood and Brier score, from 50 samples on (docs/MODEL.md).
 */
#ifndef PL_EVAL_ISOTONIC_H
#define PL_EVAL_ISOTONIC_H

#include "answer/calibration.h"

typedef struct pl_sample {
    double score;
    bool right;
    const char *label; /* borrowed, or NULL */
} pl_sample;

typedef struct pl_samples {
    pl_sample *items; /* [count], owned */
    size_t count, capacity;
} pl_samples;

/* Adds a sample; a score that is no number is passed over. */
pali_status pl_samples_add(pl_samples *samples, pl_sample sample, pali_error *err);

/* By score; what is equal stays in no particular order. */
void pl_samples_sort(pl_samples *samples);

/* Samples of one block of the regression. */
typedef struct pl_block {
    double score; /* their sum */
    size_t count, right;
} pl_block;

/* The blocks of sorted samples [count]: *blocks new, at least one for at least one sample. */
pali_status pl_isotonic_blocks(const pl_sample *sorted, size_t count, pl_block **blocks, size_t *block_count, pali_error *err);

/* The points of the curve of sorted samples [count >= 1]: *points new. */
pali_status pl_isotonic_fit(const pl_sample *sorted, size_t count, pl_curve_point **points, size_t *point_count, pali_error *err);

/*
 * How far scores can be taken for probabilities. The expected calibration
 * error: samples in order of score in ten bins of equal mass (sizes differ by
 * one at most; samples of equal score count with their mean outcome, so that
 * their order does not matter), sum over bins of |mean score - share of right
 * ones| by the bin's share of samples. Brier: mean of (score - outcome)^2.
 */
typedef struct pl_reliability {
    size_t samples, right;
    double mean_score, ece, brier; /* NAN without samples */
} pl_reliability;

pl_reliability pl_reliability_of(const pl_sample *sorted, size_t count);

#endif
