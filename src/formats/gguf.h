/*
 * GGUF, ggml's single-file format: typed metadata, then aligned tensors, used
 * where they lie. Versions 2 and 3, little-endian. Its dimension lists start
 * with the contiguous axis; shapes here are outermost first as everywhere.
 */
#ifndef PL_FORMATS_GGUF_H
#define PL_FORMATS_GGUF_H

#include "formats/tensor_file.h"

/* NULL with PALI_MODEL or PALI_MEMORY recorded. Close with pl_tensor_file_close. */
pl_tensor_file *pl_gguf_open(const char *path, pali_error *err);

/* Bytes in memory, borrowed until close; `name` stands for the path in messages. */
pl_tensor_file *pl_gguf_open_memory(const void *bytes, size_t size, const char *name, pali_error *err);

/* A string of the file, borrowed until close; not NUL-terminated, not checked to be UTF-8. */
typedef struct pl_gguf_string {
    const char *text;
    size_t length;
} pl_gguf_string;

bool pl_gguf_string_is(pl_gguf_string string, const char *text);

/* Whether the key is there; false for files of other formats. */
bool pl_gguf_has(const pl_tensor_file *file, const char *key);

/*
 * Getters store the key's value; where the key is absent they leave *value, so
 * it holds the default before the call. u64 reads every integer type that
 * holds a value of 0 or more, f32 every number. Another type gives PALI_MODEL
 * naming file, key, found, expected.
 */
pali_status pl_gguf_get_u64(const pl_tensor_file *file, const char *key, uint64_t *value, pali_error *err);
pali_status pl_gguf_get_f32(const pl_tensor_file *file, const char *key, float *value, pali_error *err);
pali_status pl_gguf_get_bool(const pl_tensor_file *file, const char *key, bool *value, pali_error *err);
pali_status pl_gguf_get_string(const pl_tensor_file *file, const char *key, pl_gguf_string *value, pali_error *err);

/*
 * Arrays into a new block that the caller frees; *values is NULL and *count 0
 * where the key is absent. i32s reads every integer type whose values fit.
 */
pali_status pl_gguf_get_strings(const pl_tensor_file *file, const char *key, pl_gguf_string **values, size_t *count, pali_error *err);
pali_status pl_gguf_get_f32s(const pl_tensor_file *file, const char *key, float **values, size_t *count, pali_error *err);
pali_status pl_gguf_get_i32s(const pl_tensor_file *file, const char *key, int32_t **values, size_t *count, pali_error *err);

/* ggml's number of an element type; false where it has none. */
bool pl_gguf_type_of(pl_dtype dtype, uint32_t *type);

/* All keys, sorted: their number, key i, and its value in words for people ("u32 8", "array of 256000 string"). */
size_t pl_gguf_key_count(const pl_tensor_file *file);
pl_gguf_string pl_gguf_key(const pl_tensor_file *file, size_t i);
const char *pl_gguf_describe(const pl_tensor_file *file, size_t i, char buf[100]);

#endif
