/*
 * Teaches the mask codec: encoder, the nearest codes with a straight-through
 * gradient, decoder; mean squared error and a commitment loss; codes that follow
 * running means (van den Oord et al. 2017, arXiv 1711.00937; Ning et al. 2023,
 * arXiv 2301.02229). In every second mask some codes are said wrongly, as a
 * model will do. The network is the one that inference runs. The bits follow from
 * options, masks and kernels alone, also of a run that was killed and gone on with.
 */
#ifndef PL_TRAIN_CODEC_TRAINER_H
#define PL_TRAIN_CODEC_TRAINER_H

#include "train/mask_pool.h"
#include "train/optimiser.h"

typedef struct pl_codec_options {
    const pl_mask_source *data;       /* [data_count] */
    size_t data_count;
    const pl_mask_source *validation; /* [validation_count] masks to measure on */
    size_t validation_count, validation_limit; /* masks of these that are measured on at most; 0: all */
    bool skip_bad;                    /* masks that cannot be used are passed over */
    const char *out;                  /* the .npz; beside it `out`.state, from which a run is gone on with */
    bool fresh;                       /* begin anew although there is a state */
    const char *begin;                /* a codec to be taught further; NULL: a new one */
    pl_codec_widths widths;           /* of the new one */
    double epochs;                    /* in place of steps (0): visits of as many masks as there are */
    uint64_t steps, seed;
    size_t batch;                     /* masks in a step, a multiple of 4 */
    pl_optimiser_options optimiser;
    bool biases_decay;                /* with the weights */
    pl_rate_group rate;               /* its schedule's total and warm-up follow from steps and: */
    double warmup;                    /* steps, or a part of them below 1 */
    double commitment;                /* weight of the commitment loss */
    double wrong;                     /* probability that a code is said wrongly, in every second mask */
    pl_hands hands;
} pl_codec_options;

/* What has done well: a codec of nano's widths, 2,000 steps of 128 masks, AdamW at 2e-3. Sources, out and hands are the caller's to fill in. */
pl_codec_options pl_codec_options_default(void);

typedef struct pl_codec_report {
    uint64_t step, steps; /* made, and of the run */
    double loss, commitment; /* mean squares: of maps, of vectors to their codes */
    double norm, lr;
    size_t codes;         /* that the step's masks use */
    size_t restarted;     /* codes that nobody chose */
} pl_codec_report;

typedef struct pl_codec_trainer pl_codec_trainer;

/* Reads the masks; goes on where a run with the same options and masks was saved. Texts of options are used while it is open. Free with pl_codec_trainer_free. */
pl_codec_trainer *pl_codec_trainer_open(const pl_codec_options *options, pali_error *err);
void pl_codec_trainer_free(pl_codec_trainer *trainer);

uint64_t pl_codec_trainer_steps(const pl_codec_trainer *trainer);
uint64_t pl_codec_trainer_total(const pl_codec_trainer *trainer);   /* steps of the run */
uint64_t pl_codec_trainer_trained(const pl_codec_trainer *trainer); /* parameters */
const pl_mask_pool *pl_codec_trainer_masks(const pl_codec_trainer *trainer);
const pl_mask_pool *pl_codec_trainer_held_out(const pl_codec_trainer *trainer);
size_t pl_codec_trainer_bytes(const pl_codec_trainer *trainer); /* of memory that is planned: activations and their gradients */

/* PALI_FAILED when loss or gradients are no numbers: nothing has been moved. */
pali_status pl_codec_trainer_step(pl_codec_trainer *trainer, pl_codec_report *report, pali_error *err);

/* Mean overlap (IoU at 64 x 64) of the masks of `validation` with what comes back; PALI_USAGE where there are none. */
pali_status pl_codec_trainer_evaluate(pl_codec_trainer *trainer, double *overlap, pali_error *err);

/* The highest overlap that was measured in this run, also before it was gone on with; 0: none was. */
double pl_codec_trainer_best(const pl_codec_trainer *trainer);

/* The first `count` held-out masks (no more than there are) as they come back: maps [count, 64, 64] 0..255 (may be NULL), overlaps [count]. */
pali_status pl_codec_trainer_show(pl_codec_trainer *trainer, size_t count, uint8_t *maps, double *overlaps, pali_error *err);

/* Writes `out`, and its state; each whole or not at all. */
pali_status pl_codec_trainer_save(pl_codec_trainer *trainer, pali_error *err);

#endif
