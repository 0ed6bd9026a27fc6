/*
 * A model from nothing: a Hugging Face folder of any shape, with weights drawn
 * as the reference draws them, to be opened and trained like any other.
 */
#ifndef PL_TRAIN_INITIALISE_H
#define PL_TRAIN_INITIALISE_H

#include "base/pool.h"

#include <stdint.h>

typedef struct pl_initialise_options {
    const char *config;    /* fields of a config.json as JSON; absent ones as published classes default them, but model_type (Gemma's first) and the vocabulary (as the tokenizer needs it) */
    const char *tokenizer; /* tokenizer.json, tokenizer.model or their folder */
    uint64_t seed;
    bool projector_random; /* as other matrices, rather than 0, with which multimodal training begins */
    bool mlp_connector;    /* the projector has two maps, whatever the configuration says; of these the second begins with 0 */
    pl_pool *pool;
} pl_initialise_options;

/*
 * Writes the folder, all of it or nothing; one that is there is replaced.
 * Weights are f32, a function of seed and names. PALI_MODEL for a bad
 * configuration or tokenizer, or one that does not fit the other.
 */
pali_status pl_initialise(const char *path, const pl_initialise_options *options, pali_error *err);

#endif
