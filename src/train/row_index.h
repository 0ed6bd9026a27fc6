/*
 * Where the rows of a JSONL file lie. The file is read through once; then a row
 * is read when its turn comes, by any thread, and a hash tells whether it is
 * still what was indexed. 24 bytes a row stay in memory, whatever its length.
 */
#ifndef PL_TRAIN_ROW_INDEX_H
#define PL_TRAIN_ROW_INDEX_H

#include "base/memory.h"

enum { PL_ROW_MOST_BYTES = 64 << 20 }; /* of one row */

typedef struct pl_row_entry {
    uint64_t start;  /* bytes before it */
    uint32_t length; /* without the newline */
    uint32_t hash;
    uint32_t line;   /* in the file, from 1 */
} pl_row_entry;

typedef struct pl_row_index {
    char *path;          /* owned */
    int fd;              /* open as long as the index; -1: not open */
    pl_row_entry *rows;  /* [count] owned; blank lines apart, and those left out */
    size_t count, capacity;
    uint64_t all;        /* rows of the file */
    uint64_t size, hash; /* of the whole file: bytes, and of all rows */
} pl_row_index;

/* The rows from `skip` on, at most `limit` (0: all). PALI_INPUT without any. Close with pl_row_index_close, also after a failure. */
pali_status pl_row_index_open(pl_row_index *index, const char *path, size_t skip, size_t limit, pali_error *err);
void pl_row_index_close(pl_row_index *index);

/* The text of a row, new, NUL-terminated. PALI_FAILED when the file has changed. */
char *pl_row_index_read(const pl_row_index *index, size_t row, size_t *length, pali_error *err);

#endif
