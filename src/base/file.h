/*
 * Files: a read-only map of a whole file (weights are used where they lie),
 * a file read into memory, and a file written whole or not at all.
 */
#ifndef PL_BASE_FILE_H
#define PL_BASE_FILE_H

#include "base/memory.h"

/* A mapped file. `data` is NULL only when size is 0. */
typedef struct pl_map {
    const unsigned char *data; /* [size], read-only, page aligned */
    size_t size;
    char *path; /* owned */
} pl_map;

/*
 * Maps a regular file; `status` is the code to fail with when it is missing or
 * unreadable (PALI_MODEL or PALI_INPUT). Close with pl_map_close.
 */
pali_status pl_map_open(pl_map *map, const char *path, pali_status status, pali_error *err);
void pl_map_close(pl_map *map);

/* Tells the kernel that these mapped bytes will be wanted soon, or no more. */
void pl_map_will_need(const pl_map *map, size_t offset, size_t length);
void pl_map_drop(const pl_map *map, size_t offset, size_t length);

/* Bytes anywhere in a mapped file that will not be read again; never for other memory, which would lose them. */
void pl_forget_mapped(const void *bytes, size_t length);

/*
 * Reads a whole file, at most `limit` bytes, NUL-terminated beyond *size.
 * "-" is standard input. The caller frees the result.
 */
char *pl_file_read(const char *path, size_t limit, size_t *size, pali_status status, pali_error *err);

/*
 * Writes path through a temporary file beside it and a rename: whole or not at
 * all. A device or a pipe is written to directly.
 */
pali_status pl_file_write(const char *path, const void *data, size_t size, pali_error *err);

/*
 * Takes the lock of a file, which is made where it is missing; it is held until
 * the descriptor *lock is closed. PALI_FAILED where somebody holds it, with
 * "NAME: BUSY", or where the file cannot be written. A file system without locks
 * (some clusters have such) is used all the same. *lock is -1 after a failure.
 */
pali_status pl_file_lock(const char *path, const char *name, const char *busy, int *lock, pali_error *err);

bool pl_is_file(const char *path);
bool pl_is_folder(const char *path);

/* True when both are there and are one file, by whatever names. */
bool pl_same_file(const char *a, const char *b);

/* "folder/name" in a new string; the caller frees it. */
char *pl_path_join(const char *folder, const char *name, pali_error *err);

#endif
