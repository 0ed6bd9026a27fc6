/*
 * The rows of an input file, {"image", "prompt", ...} a line. The file is read
 * once; a line becomes a row only when its turn comes, so that a wrong one is
 * that row's own matter.
 */
#ifndef PL_BATCH_ROWS_H
#define PL_BATCH_ROWS_H

#include "formats/jsonl.h"

enum { PL_ROW_MOST_IMAGES = 256 }; /* of one question */

/* One question. */
typedef struct pl_row {
    size_t number;       /* its line in the file, from 1 */
    char **paths;        /* [path_count] files to open, owned */
    size_t path_count;
    size_t frames, stride; /* frames > 0: the files are a clip of so many */
    const char *prompt;  /* borrowed, from json or the defaults */
    json_t *json;        /* the line, owned; NULL when it is no object */
} pl_row;

/* What rows that do not say take. */
typedef struct pl_row_defaults {
    const char *prompt; /* NULL: each row has to have one */
    size_t frames, stride;
} pl_row_defaults;

typedef struct pl_row_line {
    size_t number, start, length; /* from 1; bytes of the text */
} pl_row_line;

typedef struct pl_row_file {
    char *text, *folder; /* owned; paths are relative to the folder */
    size_t size;
    pl_row_line *lines;  /* [count] of this shard, owned */
    size_t count, capacity;
    size_t all;          /* rows of the file */
} pl_row_file;

/*
 * Finds the lines of a JSONL file ("-": standard input); blank ones are passed
 * over but counted. Of `shards` parts (0: 1) the `shard`-th, from 1: the rows
 * whose place in the file, blank lines apart, leaves shard - 1 over. PALI_INPUT
 * without any row. Zero-initialise; release with pl_row_file_close, also after
 * a failure.
 */
pali_status pl_row_file_open(pl_row_file *file, const char *path, size_t shard, size_t shards, pali_error *err);
void pl_row_file_close(pl_row_file *file);

/* The same from text in memory, which becomes the file's; file->folder is not set. */
pali_status pl_row_file_take(pl_row_file *file, char *text, size_t size, size_t shard, size_t shards, pali_error *err);

/*
 * Row i. On PALI_INPUT (no JSON, a field that is missing or wrong) row->number
 * is set, and row->json where the line is an object. Release with pl_row_free
 * in any case.
 */
pali_status pl_row_read(const pl_row_file *file, size_t i, const pl_row_defaults *defaults, pl_row *row, pali_error *err);
void pl_row_free(pl_row *row);

/* How many pictures are shown. */
size_t pl_row_image_count(const pl_row *row);

/* Which of the files picture i comes from. */
size_t pl_row_path_of(const pl_row *row, size_t i);

/* True when two rows show the same pictures in the same order. */
bool pl_row_same_images(const pl_row *a, const pl_row *b);

#endif
