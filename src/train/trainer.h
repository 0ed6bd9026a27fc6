/*
 * A training run: from a recipe to checkpoints. Opening plans everything and
 * finds the place to go on from; a step takes a batch of examples and moves what
 * is trained; the run does as many as there are, and logs, measures, samples
 * and saves in between. What a run computes follows from its recipe, its data
 * and the kernels: killed and resumed, it ends with the same bits.
 */
#ifndef PL_TRAIN_TRAINER_H
#define PL_TRAIN_TRAINER_H

#include "train/parameters.h"
#include "train/plan.h"
#include "train/recipe.h"
#include "train/show.h"

/* What a run tells as it goes. */
typedef enum pl_train_event_kind {
    PL_TRAIN_NOTE,      /* text: something to know */
    PL_TRAIN_WARNING,   /* text */
    PL_TRAIN_STEP,      /* after each step */
    PL_TRAIN_EVALUATED, /* held_out is new */
    PL_TRAIN_SAMPLE,    /* text: an answer, with what was asked and expected */
    PL_TRAIN_SAVED,     /* text: the checkpoint's path */
} pl_train_event_kind;

typedef struct pl_train_event {
    pl_train_event_kind kind;
    const char *text;      /* or NULL; valid during the call */
    const char *prefix, *expected; /* of a sample */
    uint64_t step, steps;  /* made, and of the run */
    uint64_t examples;     /* seen in all */
    double loss;           /* of the step */
    double held_out;       /* the last measured, NAN: none yet */
    double lr, norm;       /* of the step: first group's rate; of all gradients, before clipping */
    double tokens_per_second; /* rows of pictures and text, over the last steps */
    double seconds, seconds_left; /* of this process's part of the run; NAN: not known yet */
    bool best;             /* held_out is the lowest so far; a saved checkpoint is the best */
} pl_train_event;

typedef struct pl_trainer_options {
    void (*listen)(void *context, const pl_train_event *event); /* on the caller's thread; NULL: nobody listens */
    void *context;
    bool (*stop)(void *context); /* asked between micro-batches; true: save and end with PALI_CANCELLED */
    size_t threads; /* in place of the recipe's (0) */
    bool dry_run; /* plan only: nothing is written, no weight is copied */
    bool rows_only; /* no further than to the rows: no plan; with dry_run */
} pl_trainer_options;

typedef struct pl_trainer pl_trainer;

/* The recipe is borrowed until pl_trainer_free. PALI_USAGE, PALI_MODEL, PALI_INPUT, PALI_MEMORY, PALI_FAILED as the message says. Free with pl_trainer_free. */
pl_trainer *pl_trainer_open(const pl_recipe *recipe, const pl_trainer_options *options, pali_error *err);
void pl_trainer_free(pl_trainer *trainer);

/* Valid as long as the trainer. */
const pl_train_plan *pl_trainer_plan(const pl_trainer *trainer);
const pl_parameters *pl_trainer_parameters(const pl_trainer *trainer);

/* The rows that are learned from, or the held-out ones (NULL: there are none), and how they are to be shown. */
const pl_dataset *pl_trainer_dataset(const pl_trainer *trainer, bool held_out);
pl_show_options pl_trainer_show(const pl_trainer *trainer);

/* Steps made so far, those before a resume too. */
uint64_t pl_trainer_steps(const pl_trainer *trainer);

/* One step. *loss (may be NULL) is its loss. PALI_FAILED for a loss or gradient that is no number: nothing has been moved, and the next call takes the same rows. */
pali_status pl_trainer_step(pl_trainer *trainer, double *loss, pali_error *err);

/* Mean loss of the held-out examples; PALI_USAGE when there are none. */
pali_status pl_trainer_evaluate(pl_trainer *trainer, double *loss, pali_error *err);

/* A checkpoint of the state as it is. */
pali_status pl_trainer_save(pl_trainer *trainer, pali_error *err);

/* All steps that are left, and everything between them. PALI_CANCELLED when `stop` said so: a checkpoint has been saved. */
pali_status pl_trainer_run(pl_trainer *trainer, pali_error *err);

#endif
