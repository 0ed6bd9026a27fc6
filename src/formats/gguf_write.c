/* The bytes of a GGUF's head (the format: ggml's docs/gguf.md). */
#include "formats/gguf_write.h"

#include "formats/gguf.h"

#include <stdlib.h>
#include <string.h>

/* GGUF's numbers of value types. */
enum { TYPE_U32 = 4, TYPE_I32 = 5, TYPE_F32 = 6, TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9 };

void pl_gguf_writer_free(pl_gguf_writer *w)
{
    free(w->keys.data);
    free(w->tensors.data);
    *w = (pl_gguf_writer){0};
}

static void append(pl_gguf_writer *w, pl_buffer *to, const void *bytes, size_t size, pali_error *err)
{
    if (w->status == PALI_OK)
        w->status = pl_buffer_append(to, bytes, size, err);
}

static void append_u32(pl_gguf_writer *w, pl_buffer *to, uint32_t value, pali_error *err)
{
    append(w, to, &value, sizeof value, err);
}

static void append_u64(pl_gguf_writer *w, pl_buffer *to, uint64_t value, pali_error *err)
{
    append(w, to, &value, sizeof value, err);
}

static void append_string(pl_gguf_writer *w, pl_buffer *to, const char *text, size_t length, pali_error *err)
{
    append_u64(w, to, length, err);
    append(w, to, text, length, err);
}

static void put_key(pl_gguf_writer *w, const char *key, uint32_t type, pali_error *err)
{
    append_string(w, &w->keys, key, strlen(key), err);
    append_u32(w, &w->keys, type, err);
    w->key_count++;
}

void pl_gguf_put_u32(pl_gguf_writer *w, const char *key, uint32_t value, pali_error *err)
{
    put_key(w, key, TYPE_U32, err);
    append_u32(w, &w->keys, value, err);
}

void pl_gguf_put_f32(pl_gguf_writer *w, const char *key, float value, pali_error *err)
{
    put_key(w, key, TYPE_F32, err);
    append(w, &w->keys, &value, sizeof value, err);
}

void pl_gguf_put_bool(pl_gguf_writer *w, const char *key, bool value, pali_error *err)
{
    const unsigned char byte = value;
    put_key(w, key, TYPE_BOOL, err);
    append(w, &w->keys, &byte, 1, err);
}

void pl_gguf_put_string(pl_gguf_writer *w, const char *key, const char *text, pali_error *err)
{
    put_key(w, key, TYPE_STRING, err);
    append_string(w, &w->keys, text, strlen(text), err);
}

static void put_array(pl_gguf_writer *w, const char *key, uint32_t type, size_t count, pali_error *err)
{
    put_key(w, key, TYPE_ARRAY, err);
    append_u32(w, &w->keys, type, err);
    append_u64(w, &w->keys, count, err);
}

void pl_gguf_put_strings(pl_gguf_writer *w, const char *key, size_t count, pali_error *err)
{
    put_array(w, key, TYPE_STRING, count, err);
}

void pl_gguf_push_string(pl_gguf_writer *w, const char *text, size_t length, pali_error *err)
{
    append_string(w, &w->keys, text, length, err);
}

void pl_gguf_put_u32s(pl_gguf_writer *w, const char *key, const uint32_t *values, size_t count, pali_error *err)
{
    put_array(w, key, TYPE_U32, count, err);
    append(w, &w->keys, values, count * sizeof *values, err);
}

void pl_gguf_put_i32s(pl_gguf_writer *w, const char *key, const int32_t *values, size_t count, pali_error *err)
{
    put_array(w, key, TYPE_I32, count, err);
    append(w, &w->keys, values, count * sizeof *values, err);
}

void pl_gguf_put_f32s(pl_gguf_writer *w, const char *key, const float *values, size_t count, pali_error *err)
{
    put_array(w, key, TYPE_F32, count, err);
    append(w, &w->keys, values, count * sizeof *values, err);
}

void pl_gguf_declare(pl_gguf_writer *w, const char *name, pl_dtype dtype, const size_t *shape, size_t rank, pali_error *err)
{
    size_t bytes = 0;
    uint32_t type = 0;
    if (w->status == PALI_OK && (!pl_gguf_type_of(dtype, &type) || !pl_shape_bytes(dtype, shape, rank, &bytes)))
        w->status = pl_fail(err, PALI_MODEL, "tensor %s: found type %s, expected one that a GGUF has, in whole blocks", name, pl_dtype_name(dtype));
    append_string(w, &w->tensors, name, strlen(name), err);
    append_u32(w, &w->tensors, (uint32_t)rank, err);
    for (size_t i = rank; i-- > 0;) /* the file begins with the innermost */
        append_u64(w, &w->tensors, shape[i], err);
    append_u32(w, &w->tensors, type, err);
    append_u64(w, &w->tensors, w->data_bytes, err);
    w->tensor_count++;
    w->data_bytes += pl_round_up(bytes, PL_GGUF_ALIGNMENT);
}

pali_status pl_gguf_begin(const pl_gguf_writer *w, pl_output *out, pali_error *err)
{
    const uint32_t version = 3;
    const uint64_t counts[2] = {w->tensor_count, w->key_count};
    pali_status status = w->status;
    if (status == PALI_OK)
        status = pl_output_write(out, "GGUF", 4, err);
    if (status == PALI_OK)
        status = pl_output_write(out, &version, sizeof version, err);
    if (status == PALI_OK)
        status = pl_output_write(out, counts, sizeof counts, err);
    if (status == PALI_OK)
        status = pl_output_write(out, w->keys.data, w->keys.length, err);
    if (status == PALI_OK)
        status = pl_output_write(out, w->tensors.data, w->tensors.length, err);
    return status == PALI_OK ? pl_output_pad(out, PL_GGUF_ALIGNMENT, err) : status;
}
