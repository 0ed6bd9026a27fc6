/*
 * Before a run: how many examples go through the model at a time, what is kept
 * for backward, and what all of it takes in memory. A dry run of the largest
 * micro-batch says; nothing is computed.
 */
#ifndef PL_TRAIN_PLAN_H
#define PL_TRAIN_PLAN_H

#include "base/machine.h"
#include "train/dataset.h"
#include "train/objective.h"
#include "train/parameters.h"

typedef struct pl_train_plan {
    uint64_t steps, examples; /* of the run: optimiser steps; examples of an epoch */
    size_t batch, micro_batch; /* examples in a step; computed together */
    pl_keep keep;
    size_t most_pictures, most_ids; /* of an example, from the survey */
    pl_data_survey survey;
    pl_training_memory memory;      /* weights, gradients, optimiser */
    uint64_t activations;           /* bytes of the arena */
    uint64_t activation_gradients;  /* and beside it */
    uint64_t examples_ahead;        /* pictures that wait */
    uint64_t cache;                 /* on the disk: image tokens of all pictures */
    uint64_t checkpoint;            /* on the disk: each of them */
    size_t checkpoints;             /* at one time */
    uint64_t room;                  /* on the disk of `out`; UINT64_MAX: not known */
    uint64_t total;                 /* own memory, without mapped weights */
    uint64_t limit;                 /* what may be taken */
    char where[200];                /* what limits */
} pl_train_plan;

/* What a dry run needs to know. */
typedef struct pl_plan_options {
    pl_context context;           /* kernels, pool, activations, regime; no arena */
    const pl_objective *objective;
    const pl_layout_options *layout;
    const pl_parameters *parameters; /* attached */
    size_t micro_batch;           /* 0: to be chosen */
    bool whole_batch;             /* the examples of a step cannot be computed apart */
    int keep;                     /* pl_keep, or -1: to be chosen */
    uint64_t max_memory;          /* 0: what is left here */
    float dropout, adapter_dropout;
} pl_plan_options;

/*
 * Fills in what follows from the rest of *plan (batch, most_pictures, most_ids,
 * memory, examples_ahead are given). PALI_MEMORY says what is needed, what there
 * is, and what to change.
 */
pali_status pl_train_plan_make(pl_train_plan *plan, const pl_plan_options *options, pali_error *err);

/* Bytes of arena and of gradients that a micro-batch takes, by a dry run; without a tape where `tape` is NULL. */
void pl_plan_microbatch(const pl_plan_options *options, pl_keep keep, pl_microbatch *batch, size_t *arena, size_t *gradients);

/* The plan for people, several lines; new, freed with free. */
char *pl_train_plan_text(const pl_train_plan *plan, const pl_parameters *parameters, pali_error *err);

#endif
