/*
 * Stage 0: pictures and texts that belong together (SigLIP, arXiv 2303.15343).
 * The model's own image encoder gets a head that pools, and beside it stands a
 * text tower of the same blocks; both give one row of length 1 (big_vision:
 * models/proj/image_text/two_towers.py, text_transformer.py). What is beside
 * the model is trained with it and kept in the state of a run, not in the model.
 */
#ifndef PL_TRAIN_CONTRASTIVE_H
#define PL_TRAIN_CONTRASTIVE_H

#include "train/objective.h"
#include "train/parameters.h"
#include "train/distribution.h"

typedef struct pl_towers {
    pl_siglip_head image_head;
    pl_tensor embedding; /* [V, width] */
    pl_siglip text;      /* [positions, width]; no patches, no projector */
    pl_linear text_head; /* [width, width] of the last position */
    const float *log_temperature, *bias; /* [1] */
    pl_extra *tensors;   /* [count] owned: all of the above, for pl_parameters */
    pl_distribution *distributions;  /* [count] owned */
    size_t count, capacity, distribution_capacity;
    float *values;       /* owned */
} pl_towers;

/* Towers beside a model of that shape, for texts of so many positions; values are not there yet. Free with pl_towers_free (NULL allowed). */
pl_towers *pl_towers_new(const pl_config *config, size_t positions, pali_error *err);
void pl_towers_free(pl_towers *towers);

/* Values from a seed. */
void pl_towers_fill(pl_towers *towers, uint64_t seed, pl_pool *pool);

/* Rows of length 1, [batch->count, width], of the pictures and the texts of a batch. */
void pl_contrastive_rows(pl_context *ctx, const pl_objective *objective, const pl_microbatch *batch, pl_rows images, pl_rows texts);

/* The loss of a batch, in the place of each example's. */
void pl_contrastive_forward(pl_context *ctx, const pl_objective *objective, pl_microbatch *batch);

#endif
