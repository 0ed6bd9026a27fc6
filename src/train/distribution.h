/*
 * What new weights are drawn from: a value is a function of a key and its place,
 * so any number of threads makes the same ones.
 */
#ifndef PL_TRAIN_DISTRIBUTION_H
#define PL_TRAIN_DISTRIBUTION_H

#include "base/pool.h"
#include "model/weights.h"

typedef enum pl_distribution_kind {
    PL_DISTRIBUTION_CONSTANT,
    PL_DISTRIBUTION_NORMAL,
    PL_DISTRIBUTION_TRUNCATED, /* normal within two deviations */
    PL_DISTRIBUTION_UNIFORM,
} pl_distribution_kind;

typedef struct pl_distribution {
    pl_distribution_kind kind;
    double size; /* the constant, the deviation, or the bound */
} pl_distribution;

/*
 * Of a weight [out, in] of SigLIP, as big_vision's models/vit.py: Xavier-uniform
 * kernels, biases of the MLP N(0, 1e-6^2), positions N(0, 1 / width),
 * LeCun-normal patches, norms 1 and 0.
 */
pl_distribution pl_distribution_of_vision(const pl_weight *weight, double in, double out);

/* Values first..first+count of the tensor with that key (pl_random_key of seed and name) into values [count]. */
void pl_distribution_draw(const pl_distribution *distribution, uint64_t key, size_t first, size_t count, float *values, pl_pool *pool);

#endif
