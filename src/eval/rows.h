/* The rows of a data file: pictures, a prompt, and the answers that count as right. */
#ifndef PL_EVAL_ROWS_H
#define PL_EVAL_ROWS_H

#include "base/memory.h"

#include <jansson.h>

/* An expected mask as its row gives it: a file, COCO run lengths {"size", "counts"}, or polygons [[x, y, ...], ...]. */
typedef struct pl_eval_mask {
    char *path;         /* owned; NULL: not a file */
    const json_t *json; /* borrowed from the row */
} pl_eval_mask;

typedef struct pl_eval_row {
    size_t line;          /* in the file, from 1 */
    char **images;        /* [image_count] paths to open, owned */
    const char *prefix;   /* borrowed from json, as are the suffixes */
    const char **suffixes; /* [suffix_count], at least one, owned array */
    pl_eval_mask *masks;   /* [mask_count], owned: of the expected objects in order, or none */
    size_t image_count, suffix_count, mask_count;
    json_t *json;         /* the row as written, owned */
} pl_eval_row;

typedef struct pl_eval_rows {
    pl_eval_row *items; /* [count], owned */
    size_t count, capacity;
} pl_eval_rows;

/*
 * Reads a JSONL file, the first `limit` rows (0: all); blank lines are passed
 * over, other keys of a row ignored. Every row is checked, and that its
 * pictures and masks are files, before any is used; errors say "file:line: ...".
 * Zero-initialise rows; release with pl_eval_rows_free, also after a failure.
 */
pali_status pl_eval_rows_read(const char *path, size_t limit, pl_eval_rows *rows, pali_error *err);
void pl_eval_rows_free(pl_eval_rows *rows);

/* True when two rows show the same pictures in the same order. */
bool pl_eval_same_images(const pl_eval_row *a, const pl_eval_row *b);

#endif
