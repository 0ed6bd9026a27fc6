/*
 * Reading ahead: threads of their own read rows and decode their pictures
 * while the model is at work on those before. A bounded ring of rows stands
 * between the two, bounded in bytes of pixels too.
 */
#ifndef PL_BATCH_AHEAD_H
#define PL_BATCH_AHEAD_H

#include "batch/rows.h"

#include <pali/pali.h>

/* A row on its way, and its pictures; handed over by pl_ahead_take. */
typedef struct pl_loaded {
    pl_row row;           /* owned */
    pali_status status;   /* of reading the row and its pictures; `why` tells more */
    pali_error why;
    bool readable;        /* the row could be read: pictures and prompt are known */
    bool same;            /* it shows what the last readable row before it shows: not decoded again */
    pali_image **images;  /* [image_count], owned; NULL unless decoded */
    size_t image_count;
    size_t bytes;         /* of pixels */
} pl_loaded;

typedef struct pl_ahead pl_ahead;

/* Reads row i; called in order, never twice at a time, from threads of the reader. */
typedef pali_status pl_row_read_fn(void *context, size_t i, pl_row *row, pali_error *err);

typedef struct pl_ahead_options {
    pl_row_read_fn *read;
    void *context;
    size_t first, count; /* rows first .. count - 1 */
    size_t threads;      /* that decode; 0: none, then pl_ahead_take does */
    size_t rows;         /* at most so many wait, at least one */
    size_t bytes;        /* no further row is begun while so many bytes of pixels wait */
} pl_ahead_options;

/* Begins. A thread that cannot be started is done without. End with pl_ahead_free, at any time. */
pl_ahead *pl_ahead_new(const pl_ahead_options *options, pali_error *err);

/* The next row, when it is there; its fields are the caller's. Must not be called more often than there are rows. */
void pl_ahead_take(pl_ahead *ahead, pl_loaded *loaded);
void pl_ahead_free(pl_ahead *ahead);

void pl_loaded_free(pl_loaded *loaded);

#endif
