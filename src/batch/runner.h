/*
 * Many rows through one model: pictures are decoded ahead, and the rows of a
 * batch answered together, one token of each at a time. Rows come out in their
 * order, each with its answer or with what was wrong with it.
 */
#ifndef PL_BATCH_RUNNER_H
#define PL_BATCH_RUNNER_H

#include "batch/ahead.h"

typedef struct pl_picture_size {
    size_t width, height;
} pl_picture_size;

/* What became of a row; everything is lent for the call. */
typedef struct pl_outcome {
    const pl_row *row;
    const pali_answer *answer;     /* NULL: it failed, and `why` says so */
    const pali_error *why;
    pali_session *session;         /* that has its pictures, for another question about them; NULL when it failed or memory is short */
    const pl_picture_size *sizes;  /* [pl_row_image_count(row)]; of an answered row */
    double encode;                 /* seconds that its pictures took in the encoder; 0 when they were there */
} pl_outcome;

/* Takes the outcome of row i; anything but PALI_OK ends the run. In order, in the caller's thread. */
typedef pali_status pl_outcome_fn(void *context, size_t i, const pl_outcome *outcome, pali_error *err);

typedef struct pl_rows_job {
    size_t first, count;       /* rows before `first` are done already */
    size_t batch;              /* rows answered together, at least one: k*batch .. k*batch + batch - 1 whatever `first` is */
    size_t decoders;           /* threads that decode pictures */
    pali_ask_options ask;      /* the number of a row is added to its seed */
    pl_row_read_fn *read;      /* as pl_ahead_options says */
    pl_outcome_fn *finish;
    pali_status (*flush)(void *context, pali_error *err);  /* the batch is through; NULL: no need */
    bool (*stop)(void *context);                           /* true: give up, with PALI_CANCELLED; NULL: never */
    void (*progress)(void *context, size_t done);          /* rows answered; NULL: nobody asks */
    void *context;             /* of these */
} pl_rows_job;

/* How many rows to answer together where nobody says: eight, or so many about `images` pictures each (0: one) as fit in half the memory that is left, if these are fewer. */
size_t pl_rows_batch(const pali_model *model, size_t images, const pali_ask_options *ask);

/* And how many threads to decode pictures: one for four threads of the model, which need the processor more. */
size_t pl_rows_decoders(const pali_model *model);

/* Fails as finish and flush do, when stopped, or when there is no memory for a session at all. */
pali_status pl_rows_run(pali_model *model, const pl_rows_job *job, pali_error *err);

#endif
