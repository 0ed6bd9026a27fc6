/*
 * What is learned: the loss of a micro-batch, through the same model code that
 * answers questions. Prefix language modelling with loss on the suffix
 * (arXiv 2407.07726, 3.2; big_vision: trainers/proj/paligemma/train.py), and
 * what comes before it: plain language modelling, and pictures with texts.
 */
#ifndef PL_TRAIN_OBJECTIVE_H
#define PL_TRAIN_OBJECTIVE_H

#include "model/paligemma.h"
#include "train/microbatch.h"

typedef enum pl_objective_kind {
    PL_OBJECTIVE_PREFIX_LM,   /* answers to prompts */
    PL_OBJECTIVE_LANGUAGE,    /* plain text */
    PL_OBJECTIVE_CONTRASTIVE, /* which picture belongs to which text (contrastive.h) */
    PL_OBJECTIVES
} pl_objective_kind;

typedef struct pl_objective {
    const pl_paligemma *model;
    pl_objective_kind kind;
    float smoothing; /* label smoothing, over all other ids */
    pl_spread spread; /* of locations */
    bool features;   /* the image encoder is frozen: examples bring its rows */
    const struct pl_towers *towers; /* of the contrastive one, else NULL */
} pl_objective;

/* What the kinds are to a run. */
typedef struct pl_objective_traits {
    const char *name;   /* in recipes */
    pl_data_form form;
    bool predicts;      /* tokens from those before them: nothing may leak */
    bool answers;       /* to prompts, which can be sampled */
    bool whole_batch;   /* the loss is of all examples of a step together */
    void (*forward)(pl_context *ctx, const pl_objective *objective, pl_microbatch *batch);
} pl_objective_traits;

const pl_objective_traits *pl_objective_traits_of(pl_objective_kind kind);

/* The kind with that name; PL_OBJECTIVES: there is none. */
pl_objective_kind pl_objective_find(const char *name);

/*
 * Losses of all targets into batch->losses; on a tape, backward then adds the
 * gradients of their weighted sum. The arena keeps what the tape refers to: the
 * caller marks it before, and releases it after pl_tape_backward.
 */
void pl_objective_forward(pl_context *ctx, const pl_objective *objective, pl_microbatch *batch);

/* The image encoder's rows of all pictures, as examples bring them or computed, [pictures * tokens, width] in the arena. */
pl_rows pl_objective_pictures(pl_context *ctx, const pl_objective *objective, const pl_microbatch *batch);

/* The model's hidden rows (after its last norm) at the targets, [batch->wanted, width]: what the loss is computed from. */
void pl_objective_hidden(pl_context *ctx, const pl_objective *objective, const pl_microbatch *batch, pl_rows hidden);

/* The image encoder's rows (before the projector) of `count` pictures, pixels[i] [side, side, 3] -> features [count * tokens, width]. */
void pl_objective_encode(pl_context *ctx, const pl_paligemma *model, const float *const *pixels, size_t count, pl_rows features);

#endif
