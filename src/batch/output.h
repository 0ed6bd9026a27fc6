/*
 * The output of a batch: lines that are appended, a run of lines at a time,
 * to a file that holds nothing else, so that it can be killed at any moment and
 * gone on with. Notes beside it (PATH.run) say which run it is the output of.
 */
#ifndef PL_BATCH_OUTPUT_H
#define PL_BATCH_OUTPUT_H

#include "base/text.h"

#include <jansson.h>

typedef struct pl_batch_output {
    char *path;          /* owned */
    int fd;              /* locked; -1: not open */
    uint64_t size;       /* bytes of whole lines in the file */
    pl_buffer fresh;     /* lines that are not in it yet */
    size_t lines, failed; /* in the file when it was opened; those of failed rows */
    size_t first_failed; /* number of the row, 0: none */
    double synced;       /* seconds on the clock */
} pl_batch_output;

/* Whether `line`, a whole line of an earlier run, is that of row i; if not, says why in *err. */
typedef pali_status pl_line_check_fn(void *context, size_t i, const json_t *line, pali_error *err);

typedef struct pl_output_claim {
    const char *path;
    const json_t *notes;     /* what decides the lines; an earlier run must have had the same */
    bool force;              /* begin anew where there is an earlier run */
    pl_line_check_fn *check;
    void *context;
} pl_output_claim;

/*
 * Opens a new file, or one of an earlier run with the same notes: a last line
 * that is not whole is cut off, the others are checked and counted. Refused:
 * a file that is not empty without notes or with other ones (the message names
 * the difference), lines that do not fit, a file that another run has open
 * (PALI_USAGE, or PALI_FAILED where the system says no).
 */
pali_status pl_batch_output_open(pl_batch_output *out, const pl_output_claim *claim, pali_error *err);

/* Adds a line to those that are to be written. */
pali_status pl_batch_output_add(pl_batch_output *out, const char *line, pali_error *err);

/*
 * Writes them: all or, when that fails, none. Brought to the disk now and
 * then, and always when it is the last time.
 */
pali_status pl_batch_output_flush(pl_batch_output *out, bool last, pali_error *err);

void pl_batch_output_close(pl_batch_output *out);

#endif
