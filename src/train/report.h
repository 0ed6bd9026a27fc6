/*
 * One HTML file about a run, complete in itself: curves as SVG, sample answers
 * with their pictures, the recipe, the table of checkpoints. No scripts, nothing
 * from elsewhere; light or dark as the reader's system is.
 */
#ifndef PL_TRAIN_REPORT_H
#define PL_TRAIN_REPORT_H

#include "image/image.h"
#include "train/log.h"

/* A line of "what: value". */
typedef struct pl_report_fact {
    const char *name, *value;
} pl_report_fact;

/* A held-out example and what was made of it; boxes that either answer names are drawn on the picture. */
typedef struct pl_report_sample {
    const char *prefix, *expected, *answer, *score; /* NULL: none */
    const pl_image *picture; /* borrowed; NULL: none; shown small, of any size */
} pl_report_sample;

typedef struct pl_report_snapshot {
    const char *name;   /* "checkpoint-300" */
    uint64_t step;
    double score;       /* held-out, NAN: none */
    bool last, best;
} pl_report_snapshot;

typedef struct pl_report {
    const char *title;
    const char *state;                  /* "running", "finished": a word beside the title */
    const pl_report_fact *facts;        /* [fact_count] model, data, machine, time, memory ... */
    size_t fact_count;
    const pl_log_column *columns;       /* [column_count] those that have a chart */
    size_t column_count;
    const char *metrics;                /* path of the CSV that the curves are drawn from; NULL: none */
    const pl_report_sample *samples;    /* [sample_count] */
    size_t sample_count;
    uint64_t samples_step;
    const pl_report_snapshot *snapshots; /* [snapshot_count] */
    size_t snapshot_count;
    const char *recipe;                 /* text as it was resolved */
} pl_report;

/* Writes the file, whole or not at all. */
pali_status pl_report_write(const pl_report *report, const char *path, pali_error *err);

#endif
