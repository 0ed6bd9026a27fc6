/*
 * A large file written piece by piece, whole or not at all: under another name
 * in the same folder until everything is on the disk, then renamed.
 */
#ifndef PL_BASE_OUTPUT_H
#define PL_BASE_OUTPUT_H

#include "base/memory.h"

typedef struct pl_output {
    char *path, *temporary; /* owned */
    unsigned char *buffer;  /* owned: bytes that have not been handed to the system */
    size_t used;
    uint64_t size; /* bytes written so far */
    int fd;        /* -1: not open */
} pl_output;

/* Opens the temporary file. PALI_FAILED where it cannot be made. */
pali_status pl_output_open(pl_output *out, const char *path, pali_error *err);

pali_status pl_output_write(pl_output *out, const void *bytes, size_t size, pali_error *err);

/* Zeros up to a multiple of `alignment`, a power of two. */
pali_status pl_output_pad(pl_output *out, size_t alignment, pali_error *err);

/* Writes over bytes that are there already. */
pali_status pl_output_rewrite(pl_output *out, uint64_t offset, const void *bytes, size_t size, pali_error *err);

/* Brings everything to the disk and gives the file its name; the output is closed, also on failure. */
pali_status pl_output_commit(pl_output *out, pali_error *err);

/* The same without waiting for the disk: where power is lost the file may be damaged. For what is checked when read, and can be made again. */
pali_status pl_output_commit_soon(pl_output *out, pali_error *err);

/* Removes the temporary file. Does nothing to an output that is closed or all zero. */
void pl_output_abandon(pl_output *out);

/* Brings a folder's entries to the disk; best effort. */
void pl_folder_sync(const char *path);

#endif
