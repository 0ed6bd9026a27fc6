/*
 * Tensors are written in the order of the list, one after the other, and
 * checked on the way to the disk.
 */
#include "train/state.h"

#include "base/checksum.h"
#include "base/output.h"
#include "formats/safetensors.h"
#include "formats/safetensors_write.h"

#include <stdlib.h>
#include <string.h>

static size_t rank_of(const pl_state_tensor *tensor)
{
    return tensor->columns > 1 ? 2 : 1;
}

static pl_saved_tensor saved_as(const pl_state_tensor *tensor)
{
    return (pl_saved_tensor){.name = tensor->name, .dtype = PL_F32, .rank = rank_of(tensor), .shape = {tensor->rows, tensor->columns},
                             .bytes = tensor->rows * pl_max(tensor->columns, 1) * sizeof(float)};
}

static pali_status put(pl_output *out, const void *bytes, size_t size, uint32_t *checksum, pali_error *err)
{
    *checksum = pl_crc32c(*checksum, bytes, size);
    return pl_output_write(out, bytes, size, err);
}

/* The head of the file. */
static pali_status make_head(const pl_state_tensor *tensors, size_t count, pl_buffer *head, pali_error *err)
{
    pl_saved_tensor *const saved = pl_new(count, sizeof *saved, "state", err);
    const pl_saved_tensor **const list = pl_new(count, sizeof *list, "state", err);
    for (size_t i = 0; saved && list && i < count; i++) {
        saved[i] = saved_as(&tensors[i]);
        list[i] = &saved[i];
    }
    const pali_status status = saved && list ? pl_safetensors_head(list, count, NULL, 0, head, err) : PALI_MEMORY;
    free(list);
    free(saved);
    return status;
}

pali_status pl_state_write(const char *path, const pl_state_tensor *tensors, size_t count, uint64_t *bytes, uint32_t *checksum, pali_error *err)
{
    enum { PIECE = 1 << 20 }; /* checked and written while it is in the cache */
    pl_buffer head = {0};
    pl_output out = {0};
    *checksum = 0;
    pali_status status = make_head(tensors, count, &head, err);
    if (status == PALI_OK)
        status = pl_output_open(&out, path, err);
    if (status == PALI_OK)
        status = put(&out, head.data, head.length, checksum, err);
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        const size_t size = saved_as(&tensors[i]).bytes;
        for (size_t at = 0; status == PALI_OK && at < size; at += PIECE)
            status = put(&out, (const unsigned char *)tensors[i].values + at, pl_min(PIECE, size - at), checksum, err);
    }
    *bytes = out.size;
    if (status == PALI_OK)
        status = pl_output_commit(&out, err);
    pl_output_abandon(&out);
    free(head.data);
    return status;
}

static pali_status read_tensor(const pl_tensor_file *file, const char *path, const pl_state_tensor *tensor, pali_error *err)
{
    const pl_saved_tensor expected = saved_as(tensor);
    const pl_named_tensor *const named = pl_tensor_file_find(file, tensor->name);
    char found_text[96], expected_text[96];
    if (!named)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s is missing, expected one of shape %s", path, tensor->name, pl_shape_text(expected.shape, expected.rank, expected_text));
    const pl_tensor *const found = pl_tensor_file_use(file, tensor->name, err);
    if (!found)
        return pl_status_of(err, PALI_MODEL);
    if (found->dtype != PL_F32 || found->rank != expected.rank || memcmp(found->shape, expected.shape, expected.rank * sizeof *expected.shape) != 0)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: found %s of shape %s, expected f32 of shape %s", path, tensor->name, pl_dtype_name(found->dtype),
                       pl_shape_text(found->shape, found->rank, found_text), pl_shape_text(expected.shape, expected.rank, expected_text));
    if (expected.bytes)
        memcpy(tensor->values, found->data, expected.bytes);
    pl_tensor_file_drop(file, named);
    return PALI_OK;
}

/* A tensor of the file that the list lacks. */
static const char *unwanted(const pl_tensor_file *file, const pl_state_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < pl_tensor_file_count(file); i++) {
        const char *const name = pl_tensor_file_at(file, i)->name;
        bool wanted = false;
        for (size_t t = 0; t < count && !wanted; t++)
            wanted = strcmp(tensors[t].name, name) == 0;
        if (!wanted)
            return name;
    }
    return NULL;
}

pali_status pl_state_read(const char *path, const pl_state_tensor *tensors, size_t count, pali_error *err)
{
    pl_tensor_file *const file = pl_safetensors_open(path, err);
    pali_status status = file ? PALI_OK : pl_status_of(err, PALI_MODEL);
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        status = read_tensor(file, path, &tensors[i], err);
    if (status == PALI_OK && pl_tensor_file_count(file) != count)
        status = pl_fail(err, PALI_MODEL, "%s: found a tensor %s, expected none of that name", path, unwanted(file, tensors, count));
    pl_tensor_file_close(file);
    return status;
}
