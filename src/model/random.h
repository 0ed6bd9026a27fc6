/*
 * Weights of random values, for measuring speed and memory where no released
 * weights are at hand: of a scale that keeps activations finite, in any type,
 * and made about as fast as memory is written.
 */
#ifndef PL_MODEL_RANDOM_H
#define PL_MODEL_RANDOM_H

#include "model/paligemma.h"

/* A stretch of random values of one type, of which any number of bytes is made by copying pieces. */
typedef struct pl_random_values {
    pl_dtype type;
    unsigned char *blocks; /* [count] blocks of the type, owned */
    size_t count;
} pl_random_values;

/*
 * Values of normal distribution; quantised types take uniform bits and the
 * scales that give the deviation, and leave the mean at 0. Free `blocks`
 * with free().
 */
pali_status pl_random_values_init(pl_random_values *values, pl_dtype type, double mean, double deviation, uint64_t seed, pali_error *err);

/* Fills out with `bytes` bytes, whole blocks; `piece` says where in the stretch to begin. */
void pl_random_values_copy(const pl_random_values *values, uint64_t piece, unsigned char *out, size_t bytes);

/* The distribution of a weight: outputs of a matrix are about as large as its inputs. */
void pl_random_spread(const pl_weight *weight, const pl_config *config, double *mean, double *deviation);

/* pl_weight_type, with the bytes of one layer's. */
pl_dtype pl_random_type(const pl_weight *weight, const pl_config *config, pl_dtype type, size_t *bytes);

/* Bytes of all weights of such a model. */
size_t pl_random_bytes(const pl_config *config, pl_dtype type);

/* A model of random weights, without checkpoint and tokenizer. Free with pl_paligemma_close. */
pl_paligemma *pl_paligemma_random(const pl_config *config, pl_dtype type, pl_pool *pool, pali_error *err);

#endif
