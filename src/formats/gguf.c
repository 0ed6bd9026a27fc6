/*
 * The GGUF reader: header, metadata (gguf_metadata.c), tensor list, data. All
 * counts are held against the bytes that are there before memory is taken.
 */
#include "formats/gguf.h"

#include "formats/gguf_layout.h"
#include "formats/gguf_metadata.h"
#include "formats/tensor_build.h"

#include <stdio.h>

enum {
    MOST_AXES = 8, /* ggml has 4; more than the tensor view's are listed only */
    LEAST_TENSOR = 8 + 4 + 4 + 8, /* bytes of the shortest entry of the tensor list */
    DEFAULT_ALIGNMENT = 32,
    LARGEST_ALIGNMENT = 1 << 20,
};

/* ggml's numbers of tensor types; those without a dtype of ours can be listed, not used. */
static const struct {
    const char *name;
    pl_dtype dtype;
} types[] = {
    [0] = {"F32", PL_F32}, [1] = {"F16", PL_F16}, [2] = {"Q4_0", PL_Q4_0}, [3] = {"Q4_1", PL_DTYPE_COUNT},
    [6] = {"Q5_0", PL_DTYPE_COUNT}, [7] = {"Q5_1", PL_DTYPE_COUNT}, [8] = {"Q8_0", PL_Q8_0}, [9] = {"Q8_1", PL_DTYPE_COUNT},
    [10] = {"Q2_K", PL_DTYPE_COUNT}, [11] = {"Q3_K", PL_DTYPE_COUNT}, [12] = {"Q4_K", PL_Q4_K}, [13] = {"Q5_K", PL_Q5_K},
    [14] = {"Q6_K", PL_Q6_K}, [15] = {"Q8_K", PL_DTYPE_COUNT}, [16] = {"IQ2_XXS", PL_DTYPE_COUNT}, [17] = {"IQ2_XS", PL_DTYPE_COUNT},
    [18] = {"IQ3_XXS", PL_DTYPE_COUNT}, [19] = {"IQ1_S", PL_DTYPE_COUNT}, [20] = {"IQ4_NL", PL_DTYPE_COUNT}, [21] = {"IQ3_S", PL_DTYPE_COUNT},
    [22] = {"IQ2_S", PL_DTYPE_COUNT}, [23] = {"IQ4_XS", PL_DTYPE_COUNT}, [24] = {"I8", PL_I8}, [25] = {"I16", PL_DTYPE_COUNT},
    [26] = {"I32", PL_I32}, [27] = {"I64", PL_I64}, [28] = {"F64", PL_F64}, [29] = {"IQ1_M", PL_DTYPE_COUNT},
    [30] = {"BF16", PL_BF16}, [34] = {"TQ1_0", PL_DTYPE_COUNT}, [35] = {"TQ2_0", PL_DTYPE_COUNT}, [39] = {"MXFP4", PL_DTYPE_COUNT},
};

bool pl_gguf_type_of(pl_dtype dtype, uint32_t *type)
{
    for (*type = 0; *type < sizeof types / sizeof *types; ++*type)
        if (types[*type].name && types[*type].dtype == dtype)
            return true;
    return false;
}

/* What stands before the metadata. */
typedef struct header {
    uint64_t tensors, keys;
} header;

/* An entry of the tensor list, and what it points to. */
typedef struct listed {
    pl_tensor_entry entry; /* its offset is relative to the data, its size not known yet */
    size_t shape[MOST_AXES];
    char type[16];
    pl_gguf_meaning meaning;
} listed;

static pali_status read_header(pl_gguf_cursor *cursor, const char *path, header *head, pali_error *err)
{
    const unsigned char *mark;
    uint32_t version;
    if (!pl_gguf_take(cursor, 4, &mark) || memcmp(mark, "GGUF", 4) != 0)
        return pl_fail(err, PALI_MODEL, "%s: found no GGUF mark at its beginning", path);
    if (!pl_gguf_take_u32(cursor, &version))
        return pl_fail(err, PALI_MODEL, "%s: the GGUF header is cut off", path);
    if (version && (version & 0xffff) == 0)
        return pl_fail(err, PALI_MODEL, "%s: found a big-endian GGUF, expected little-endian", path);
    if (version != 2 && version != 3)
        return pl_fail(err, PALI_MODEL, "%s: found GGUF version %u, expected 2 or 3", path, version);
    if (!pl_gguf_take_u64(cursor, &head->tensors) || !pl_gguf_take_u64(cursor, &head->keys))
        return pl_fail(err, PALI_MODEL, "%s: the GGUF header is cut off", path);
    return PALI_OK;
}

/* general.alignment, and whether this is one of several files. */
static pali_status read_layout(const pl_tensor_file *file, size_t *alignment, pali_error *err)
{
    const char *path = file->sources[0].path;
    uint64_t value = DEFAULT_ALIGNMENT, parts = 1;
    pali_status status = pl_gguf_get_u64(file, "general.alignment", &value, err);
    if (status == PALI_OK)
        status = pl_gguf_get_u64(file, "split.count", &parts, err);
    if (status != PALI_OK)
        return status;
    if (value == 0 || (value & (value - 1)) != 0 || value > LARGEST_ALIGNMENT)
        return pl_fail(err, PALI_MODEL, "%s: metadata key general.alignment: found %llu, expected a power of two", path, (unsigned long long)value);
    if (parts > 1)
        return pl_fail(err, PALI_MODEL, "%s: found one of %llu parts of a GGUF, expected one whole file (llama-gguf-split --merge joins them)", path,
            (unsigned long long)parts);
    *alignment = (size_t)value;
    return PALI_OK;
}

static pali_status take_tensor(pl_gguf_cursor *cursor, const char *path, size_t index, listed *out, pali_error *err)
{
    pl_gguf_string name = {"", 0};
    char printable[80];
    uint32_t axes = 0, type;
    uint64_t offset, size;
    bool good = pl_gguf_take_string(cursor, &name) && pl_gguf_take_u32(cursor, &axes);
    pl_printable(name.text, name.length, printable);
    if (good && axes > MOST_AXES)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: found %u axes, expected at most %d", path, printable, axes, MOST_AXES);
    for (size_t i = axes; good && i-- > 0;) { /* the file begins with the innermost */
        good = pl_gguf_take_u64(cursor, &size) && size <= SIZE_MAX;
        out->shape[i] = good ? (size_t)size : 0;
    }
    if (!good || !pl_gguf_take_u32(cursor, &type) || !pl_gguf_take_u64(cursor, &offset))
        return pl_fail(err, PALI_MODEL, "%s: tensor %zu %s: its entry is cut off", path, index, printable);
    const bool known = type < sizeof types / sizeof *types && types[type].name;
    if (known)
        snprintf(out->type, sizeof out->type, "%s", types[type].name);
    else
        snprintf(out->type, sizeof out->type, "%u", type);
    out->entry = (pl_tensor_entry){.name = name.text, .name_length = name.length, .type = out->type,
        .dtype = known ? types[type].dtype : PL_DTYPE_COUNT, .shape = out->shape, .rank = axes, .offset = (size_t)offset};
    return PALI_OK;
}

/* Bounds of an entry against the data that begins at `begin`, then into the directory. */
static pali_status add_tensor(pl_tensor_file *file, listed *tensor, size_t begin, size_t alignment, pali_error *err)
{
    pl_tensor_entry *entry = &tensor->entry;
    const pl_tensor_source *source = &file->sources[0];
    char name[80], shape[96];
    pl_printable(entry->name, entry->name_length, name);
    const size_t room = begin <= source->size ? source->size - begin : 0;
    if (entry->dtype != PL_DTYPE_COUNT && !pl_shape_bytes(entry->dtype, entry->shape, entry->rank, &entry->size))
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: shape %s of %s is not a whole number of blocks, or too large", source->path, name,
            pl_shape_text(entry->shape, entry->rank, shape), entry->type);
    if (entry->offset % alignment)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: found offset %zu, expected a multiple of %zu", source->path, name, entry->offset, alignment);
    if (begin > source->size || entry->offset > room || entry->size > room - entry->offset)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: %zu bytes at byte %zu of the data, but the file holds %zu (is it cut off?)", source->path,
            name, entry->size, entry->offset, room);
    entry->offset += begin;
    const pali_status status = pl_gguf_read_meaning(file, entry, &tensor->meaning, err);
    return status == PALI_OK ? pl_tensor_file_add(file, entry, err) : status;
}

static pali_status read_tensors(pl_tensor_file *file, pl_gguf_cursor *cursor, uint64_t count, size_t alignment, pali_error *err)
{
    const char *path = file->sources[0].path;
    listed tensor;
    if (count > (cursor->size - cursor->at) / LEAST_TENSOR)
        return pl_fail(err, PALI_MODEL, "%s: found %llu tensors in %zu bytes (is it cut off?)", path, (unsigned long long)count,
            cursor->size - cursor->at);
    /* The data begins behind the list, so that is walked twice. */
    pl_gguf_cursor ahead = *cursor;
    for (size_t i = 0; i < count; i++) {
        const pali_status status = take_tensor(&ahead, path, i, &tensor, err);
        if (status != PALI_OK)
            return status;
    }
    const size_t begin = pl_round_up(ahead.at, alignment);
    for (size_t i = 0; i < count; i++) {
        pali_status status = take_tensor(cursor, path, i, &tensor, err);
        if (status == PALI_OK)
            status = add_tensor(file, &tensor, begin, alignment, err);
        if (status != PALI_OK)
            return status;
    }
    return PALI_OK;
}

static pl_tensor_file *read_file(pl_tensor_file *file, const pl_tensor_source *source, pali_error *err)
{
    pali_status status = source ? PALI_OK : PALI_MODEL;
    if (status == PALI_OK) {
        pl_gguf_cursor cursor = {.bytes = source->data, .size = source->size};
        header head;
        size_t alignment = DEFAULT_ALIGNMENT;
        status = read_header(&cursor, source->path, &head, err);
        if (status == PALI_OK)
            status = pl_gguf_read_metadata(file, &cursor, head.keys, err);
        if (status == PALI_OK)
            status = read_layout(file, &alignment, err);
        if (status == PALI_OK)
            status = read_tensors(file, &cursor, head.tensors, alignment, err);
        if (status == PALI_OK)
            status = pl_tensor_file_finish(file, true, err);
        if (status == PALI_OK)
            status = pl_gguf_join_scales(file, err);
    }
    if (status == PALI_OK)
        return file;
    pl_tensor_file_close(file);
    return NULL;
}

pl_tensor_file *pl_gguf_open(const char *path, pali_error *err)
{
    pl_tensor_file *file = pl_tensor_file_new(err);
    return file ? read_file(file, pl_tensor_file_add_path(file, path, err), err) : NULL;
}

pl_tensor_file *pl_gguf_open_memory(const void *bytes, size_t size, const char *name, pali_error *err)
{
    pl_tensor_file *file = pl_tensor_file_new(err);
    return file ? read_file(file, pl_tensor_file_add_memory(file, bytes, size, name, err), err) : NULL;
}
