/*
 * A run of `pali train codec=FILE.npz data=...`: the recipe as the mask codec's
 * trainer takes it, and what happens between steps.
 */
#ifndef PL_TRAIN_CODEC_RUN_H
#define PL_TRAIN_CODEC_RUN_H

#include "train/codec_trainer.h"
#include "train/trainer.h"

typedef struct pl_codec_run pl_codec_run;

/* The recipe and options' texts are used while it is open. Errors as of pl_trainer_open. Free with pl_codec_run_free. */
pl_codec_run *pl_codec_run_open(const pl_recipe *recipe, const pl_trainer_options *options, pali_error *err);
void pl_codec_run_free(pl_codec_run *run);

/* Steps of the whole run and of these made, masks, parameters, memory; and as text of several lines. */
typedef struct pl_codec_plan {
    uint64_t steps, done, masks, held_out, trained;
    uint64_t activations; /* bytes, with their gradients */
    uint64_t total;       /* these, masks, parameters with gradients and moments */
    size_t batch;
} pl_codec_plan;
pl_codec_plan pl_codec_run_plan(const pl_codec_run *run);
char *pl_codec_run_describe(const pl_codec_run *run, pali_error *err); /* new, freed with free */

/* One step, and what is to be told of it. */
pali_status pl_codec_run_step(pl_codec_run *run, double *loss, pali_error *err);

/* One less the mean overlap of the held-out masks. */
pali_status pl_codec_run_evaluate(pl_codec_run *run, double *loss, pali_error *err);
pali_status pl_codec_run_save(pl_codec_run *run, pali_error *err);

/* All steps that are left, with what the recipe wants between them. PALI_CANCELLED when `stop` said so: it has been saved. */
pali_status pl_codec_run_all(pl_codec_run *run, pali_error *err);

#endif
