/*
 * How the readers of this room fill a pl_tensor_file: sources are added, then
 * tensors, then the directory is finished (names sorted, overlaps refused).
 * Not for other rooms.
 */
#ifndef PL_FORMATS_TENSOR_BUILD_H
#define PL_FORMATS_TENSOR_BUILD_H

#include "base/file.h"
#include "formats/tensor_file.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checkpoint bytes are used in place, which needs a little-endian host");

/* Little-endian integers at any address. */
static inline uint16_t pl_read_u16(const unsigned char *bytes)
{
    uint16_t x;
    memcpy(&x, bytes, sizeof x);
    return x;
}
static inline uint32_t pl_read_u32(const unsigned char *bytes)
{
    uint32_t x;
    memcpy(&x, bytes, sizeof x);
    return x;
}
static inline uint64_t pl_read_u64(const unsigned char *bytes)
{
    uint64_t x;
    memcpy(&x, bytes, sizeof x);
    return x;
}

/* One file's bytes: mapped here, or borrowed from the caller of open_memory. */
typedef struct pl_tensor_source {
    const unsigned char *data; /* [size] */
    size_t size;
    char *path; /* owned */
    pl_map map; /* empty when borrowed */
} pl_tensor_source;

struct pl_tensor_file {
    pl_tensor_source *sources;
    size_t source_count, source_capacity;
    pl_named_tensor *tensors; /* in file order */
    size_t count, capacity;
    const pl_named_tensor **by_name; /* [count], sorted */
    void **blocks;                   /* heap blocks that live as long as the file */
    size_t block_count, block_capacity;
    size_t bytes_copied;
    struct pl_gguf_metadata *metadata; /* GGUF only, in `blocks` */
};

/* What a reader found out about one tensor. */
typedef struct pl_tensor_entry {
    size_t source;
    const char *name;
    size_t name_length;
    const char *type;    /* as the file spells it */
    const char *problem; /* why it cannot be used, or NULL */
    pl_dtype dtype;      /* PL_DTYPE_COUNT: not a type we know */
    const size_t *shape; /* [rank], outermost first */
    size_t rank;
    size_t offset, size; /* in the source; the caller has checked that they lie in it */
    const void *inflated; /* [size of the tensor]: data to use instead, already kept; or NULL */
} pl_tensor_entry;

pl_tensor_file *pl_tensor_file_new(pali_error *err);

/* Adds a source and returns it, NULL on failure; valid until the next is added. */
const pl_tensor_source *pl_tensor_file_add_path(pl_tensor_file *file, const char *path, pali_error *err);
const pl_tensor_source *pl_tensor_file_add_memory(pl_tensor_file *file, const void *bytes, size_t size, const char *name, pali_error *err);

/* Hands a heap block to the file. NULL if block is NULL or on failure, and then it is freed. */
void *pl_tensor_file_keep(pl_tensor_file *file, void *block, pali_error *err);

/* Adds a tensor; refuses one whose type and shape do not fill `size` exactly. */
pali_status pl_tensor_file_add(pl_tensor_file *file, const pl_tensor_entry *entry, pali_error *err);

/*
 * Sorts names and refuses two of one name, or of overlapping bytes. With
 * `align`, data not aligned to its element is copied to a block that is.
 */
pali_status pl_tensor_file_finish(pl_tensor_file *file, bool align, pali_error *err);

/* False if a name holds NUL or is not UTF-8. */
bool pl_name_is_text(const char *name, size_t length);

#endif
