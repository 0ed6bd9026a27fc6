/*
 * What a run of the mask codec's trainer leaves in its folder `out`, where the
 * recipe has one: the recipe, metrics.csv, TensorBoard events, and report.html
 * with curves and with masks beside what comes back of them.
 */
#ifndef PL_TRAIN_CODEC_RECORD_H
#define PL_TRAIN_CODEC_RECORD_H

#include "train/codec_trainer.h"
#include "train/log.h"
#include "train/recipe.h"
#include "train/snapshot.h"

typedef struct pl_codec_record {
    const pl_recipe *recipe; /* borrowed; NULL: nothing is recorded */
    pl_run_folder folder;
    pl_log log;
    char *recipe_text;       /* owned */
    double began, last_row;  /* clock */
    uint64_t first_step, last_step; /* of this process; of the last row */
} pl_codec_record;

/*
 * Takes the folder of the recipe for this run and goes on in its log after the
 * trainer's step. Without `out` nothing is recorded, now or later. PALI_USAGE
 * where the folder holds another run, else as pl_run_folder_open.
 * Release with pl_codec_record_close, also after a failure.
 */
pali_status pl_codec_record_open(pl_codec_record *record, const pl_recipe *recipe, const pl_codec_trainer *trainer, pali_error *err);
void pl_codec_record_close(pl_codec_record *record);

/* The mask codec that the run recorded in a folder teaches, new, freed with free; NULL: there is none. */
char *pl_codec_record_in(const char *out);

/* Time that went into something else than steps. */
void pl_codec_record_pause(pl_codec_record *record, double seconds);

/* What a step found, and the held-out loss after it (NAN: not measured). */
pali_status pl_codec_record_row(pl_codec_record *record, const pl_codec_report *found, double held_out, pali_error *err);

/* Brings the rows to the disk. */
pali_status pl_codec_record_sync(pl_codec_record *record, pali_error *err);

/* Writes report.html: `state` is "running", "interrupted" or "finished". */
pali_status pl_codec_record_report(pl_codec_record *record, pl_codec_trainer *trainer, const char *state, pali_error *err);

#endif
