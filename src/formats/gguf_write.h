/*
 * Writing a GGUF: keys and tensors are declared, which builds what stands
 * before the data; the data then follow in the same order, each begun at a
 * multiple of the alignment. Version 3, little-endian.
 */
#ifndef PL_FORMATS_GGUF_WRITE_H
#define PL_FORMATS_GGUF_WRITE_H

#include "base/output.h"
#include "base/text.h"
#include "tensor/tensor.h"

enum { PL_GGUF_ALIGNMENT = 64 }; /* a cache line: tensors are used where they lie */

/* Zero-initialise. After a failure every call fails; the first is in `status`. */
typedef struct pl_gguf_writer {
    pl_buffer keys, tensors; /* owned */
    uint64_t key_count, tensor_count;
    uint64_t data_bytes; /* of the tensors declared so far, each filled up */
    pali_status status;
} pl_gguf_writer;

void pl_gguf_writer_free(pl_gguf_writer *w);

void pl_gguf_put_u32(pl_gguf_writer *w, const char *key, uint32_t value, pali_error *err);
void pl_gguf_put_f32(pl_gguf_writer *w, const char *key, float value, pali_error *err);
void pl_gguf_put_bool(pl_gguf_writer *w, const char *key, bool value, pali_error *err);
void pl_gguf_put_string(pl_gguf_writer *w, const char *key, const char *text, pali_error *err);

/* The head of an array of strings, after which each is pushed. */
void pl_gguf_put_strings(pl_gguf_writer *w, const char *key, size_t count, pali_error *err);
void pl_gguf_push_string(pl_gguf_writer *w, const char *text, size_t length, pali_error *err);

void pl_gguf_put_u32s(pl_gguf_writer *w, const char *key, const uint32_t *values, size_t count, pali_error *err);
void pl_gguf_put_i32s(pl_gguf_writer *w, const char *key, const int32_t *values, size_t count, pali_error *err);
void pl_gguf_put_f32s(pl_gguf_writer *w, const char *key, const float *values, size_t count, pali_error *err);

/* A tensor of a type that ggml has; tiles are declared as I8 (see gguf_layout.h). */
void pl_gguf_declare(pl_gguf_writer *w, const char *name, pl_dtype dtype, const size_t *shape, size_t rank, pali_error *err);

/* Writes everything before the first tensor's data. */
pali_status pl_gguf_begin(const pl_gguf_writer *w, pl_output *out, pali_error *err);

#endif
