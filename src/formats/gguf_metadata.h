/*
 * The metadata half of the GGUF reader: a cursor over the file's bytes, and
 * the sorted list of keys. Not for other rooms.
 */
#ifndef PL_FORMATS_GGUF_METADATA_H
#define PL_FORMATS_GGUF_METADATA_H

#include "formats/gguf.h"
#include "formats/tensor_build.h"

/* A place in the file; reads past its end fail. */
typedef struct pl_gguf_cursor {
    const unsigned char *bytes; /* [size] */
    size_t size, at;
} pl_gguf_cursor;

bool pl_gguf_take(pl_gguf_cursor *cursor, size_t count, const unsigned char **bytes);
bool pl_gguf_take_u32(pl_gguf_cursor *cursor, uint32_t *value);
bool pl_gguf_take_u64(pl_gguf_cursor *cursor, uint64_t *value);
bool pl_gguf_take_string(pl_gguf_cursor *cursor, pl_gguf_string *value);

/*
 * Reads `count` keys and values into file->metadata, refusing damaged values,
 * two of one key, and counts that the file cannot hold.
 */
pali_status pl_gguf_read_metadata(pl_tensor_file *file, pl_gguf_cursor *cursor, uint64_t count, pali_error *err);

#endif
