/*
 * What is learned: the loss of a micro-batch, through the same model code that
 * answers questions. Prefix language modelling with loss on the suffix
 * (arXiv 2407.07726, 3.2; big_vision: trainers/proj/paligemma/train.py).
 */
#ifndef PL_TRAIN_OBJECTIVE_H
#define PL_TRAIN_OBJECTIVE_H

#include "model/paligemma.h"
#include "train/microbatch.h"

typedef struct pl_objective {
    const pl_paligemma *model;
    float smoothing; /* label smoothing, over all other ids */
    pl_spread spread; /* of locations */
    bool features;   /* the image encoder is frozen: examples bring its rows */
} pl_objective;

/*
 * Losses of all targets into batch->losses; on a tape, backward then adds the
 * gradients of their weighted sum. The arena keeps what the tape refers to: the
 * caller marks it before, and releases it after pl_tape_backward.
 */
void pl_objective_forward(pl_context *ctx, const pl_objective *objective, pl_microbatch *batch);

/* The model's hidden rows (after its last norm) at the targets, [batch->wanted, width]: what the loss is computed from. */
void pl_objective_hidden(pl_context *ctx, const pl_objective *objective, const pl_microbatch *batch, pl_rows hidden);

/* The image encoder's rows (before the projector) of `count` pictures, pixels[i] [side, side, 3] -> features [count * tokens, width]. */
void pl_objective_encode(pl_context *ctx, const pl_paligemma *model, const float *const *pixels, size_t count, pl_rows features);

#endif
