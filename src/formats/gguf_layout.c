/* Keys of tensors in our own layouts, read and written. */
#include "formats/gguf_layout.h"

#include "formats/gguf.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *type;
    pl_dtype tiles;
} layouts[] = {{"bf16", PL_BF16_TILES}, {"q8_0", PL_Q8_0_TILES}, {"q4_0", PL_Q4_0_TILES}, {"q8", PL_Q8_TILES}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static const char *key_of(const char *name, size_t length, const char *field, char key[200])
{
    snprintf(key, 200, "pali.tensor.%.*s.%s", (int)pl_min(length, 160), name, field);
    return key;
}

/* The tensor's shape, two sizes. */
static pali_status read_shape(const pl_tensor_file *file, const char *key, size_t shape[2], pali_error *err)
{
    int32_t *values;
    size_t count;
    const pali_status status = pl_gguf_get_i32s(file, key, &values, &count, err);
    if (status != PALI_OK)
        return status;
    const bool good = count == 2 && values[0] > 0 && values[1] > 0;
    for (size_t i = 0; good && i < 2; i++)
        shape[i] = (size_t)values[i];
    free(values);
    return good ? PALI_OK : pl_fail(err, PALI_MODEL, "%s: metadata key %s: found %zu numbers, expected rows and columns", file->sources[0].path, key, count);
}

pali_status pl_gguf_read_meaning(const pl_tensor_file *file, pl_tensor_entry *entry, pl_gguf_meaning *meaning, pali_error *err)
{
    char key[200], found[2][80];
    pl_gguf_string type = {"", 0}, layout = {"", 0};
    pali_status status = pl_gguf_get_string(file, key_of(entry->name, entry->name_length, "layout", key), &layout, err);
    if (status == PALI_OK)
        status = pl_gguf_get_string(file, key_of(entry->name, entry->name_length, "type", key), &type, err);
    if (status != PALI_OK || (layout.length == 0 && type.length == 0))
        return status;
    for (size_t i = 0; i < LAYOUTS && entry->dtype == PL_I8 && pl_gguf_string_is(layout, "tiles"); i++) {
        if (!pl_gguf_string_is(type, layouts[i].type))
            continue;
        entry->dtype = layouts[i].tiles;
        entry->type = pl_dtype_name(entry->dtype);
        entry->shape = meaning->shape;
        entry->rank = 2;
        return read_shape(file, key_of(entry->name, entry->name_length, "shape", key), meaning->shape, err);
    }
    snprintf(meaning->problem, sizeof meaning->problem, "found type %s in layout %s, expected bf16, q8_0, q4_0 or q8 in tiles, as this build knows them",
             pl_printable(type.text, type.length, found[0]), pl_printable(layout.text, layout.length, found[1]));
    entry->problem = meaning->problem;
    return PALI_OK;
}

pali_status pl_gguf_join_scales(pl_tensor_file *file, pali_error *err)
{
    for (size_t i = 0; i < file->count; i++) {
        pl_named_tensor *named = &file->tensors[i];
        if (named->problem || named->tensor.dtype != PL_Q8_TILES)
            continue;
        char name[300];
        snprintf(name, sizeof name, "%s" PL_GGUF_SCALE_SUFFIX, named->name);
        const pl_tensor *scale = pl_tensor_file_use(file, name, err);
        if (!scale)
            return PALI_MODEL;
        if (scale->dtype != PL_F32 || scale->rank != 1 || scale->shape[0] != named->tensor.shape[0]) {
            char shape[96];
            return pl_fail(err, PALI_MODEL, "%s: tensor %s: found %s of shape %s, expected f32 [%zu]", named->file, name, pl_dtype_name(scale->dtype),
                           pl_shape_text(scale->shape, scale->rank, shape), named->tensor.shape[0]);
        }
        named->tensor.scale = scale->data;
    }
    return PALI_OK;
}

void pl_gguf_declare_tiles(pl_gguf_writer *w, const char *name, pl_dtype dtype, const size_t shape[2], pali_error *err)
{
    char key[200];
    size_t bytes = 0;
    const uint32_t sizes[2] = {(uint32_t)shape[0], (uint32_t)shape[1]};
    pl_shape_bytes(dtype, shape, 2, &bytes);
    for (size_t i = 0; i < LAYOUTS; i++)
        if (layouts[i].tiles == dtype)
            pl_gguf_put_string(w, key_of(name, strlen(name), "type", key), layouts[i].type, err);
    pl_gguf_put_string(w, key_of(name, strlen(name), "layout", key), "tiles", err);
    pl_gguf_put_u32s(w, key_of(name, strlen(name), "shape", key), sizes, 2, err);
    pl_gguf_declare(w, name, PL_I8, &bytes, 1, err);
    if (dtype != PL_Q8_TILES)
        return;
    char scale[200];
    snprintf(scale, sizeof scale, "%s" PL_GGUF_SCALE_SUFFIX, name);
    pl_gguf_declare(w, scale, PL_F32, shape, 1, err);
}
