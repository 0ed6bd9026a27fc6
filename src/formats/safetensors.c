/*
 * The safetensors reader: u64 header length, JSON header, data. Written from
 * the format's description; like the format's own reader it refuses overlaps,
 * but it lets bytes stand that no tensor uses (some writers align by padding).
 */
#include "formats/safetensors.h"

#include "formats/json.h"
#include "formats/tensor_build.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LARGEST_HEADER = 100000000, /* the format's own limit */
    LARGEST_INDEX = 100000000,
    MOST_AXES = 16, /* more than any tensor has; only for the message */
};

static const struct {
    const char *name;
    pl_dtype dtype;
} types[] = {
    {"F32", PL_F32}, {"BF16", PL_BF16}, {"F16", PL_F16}, {"F64", PL_F64},
    {"I8", PL_I8}, {"U8", PL_U8}, {"I32", PL_I32}, {"I64", PL_I64},
};

static pl_dtype find_type(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].dtype;
    return PL_DTYPE_COUNT;
}

/* Refuses a header entry, naming file, tensor and field. */
static pali_status refuse(const char *path, const char *name, const char *field, const char *expected, pali_error *err)
{
    char printable[80];
    return pl_fail(err, PALI_MODEL, "%s: tensor %s: field %s: expected %s", path, pl_printable(name, strlen(name), printable), field, expected);
}

/* A JSON array of whole numbers into values; false when it is anything else. */
static bool read_sizes(const json_t *array, size_t *values, size_t most, size_t *count)
{
    if (!json_is_array(array) || json_array_size(array) > most)
        return false;
    *count = json_array_size(array);
    for (size_t i = 0; i < *count; i++) {
        const json_t *number = json_array_get(array, i);
        if (!json_is_integer(number) || json_integer_value(number) < 0)
            return false;
        values[i] = (size_t)json_integer_value(number);
    }
    return true;
}

/* One `name: {dtype, shape, data_offsets}` of the header; data begins at `begin`. */
static pali_status add_entry(pl_tensor_file *file, size_t begin, const char *name, const json_t *fields, pali_error *err)
{
    const size_t source = file->source_count - 1, data_size = file->sources[source].size - begin;
    const char *path = file->sources[source].path;
    if (!json_is_object(fields))
        return refuse(path, name, "(all)", "an object with dtype, shape and data_offsets", err);
    const char *type = json_string_value(json_object_get(fields, "dtype"));
    if (!type)
        return refuse(path, name, "dtype", "a string", err);
    size_t shape[MOST_AXES], rank, range[2], ends;
    if (!read_sizes(json_object_get(fields, "shape"), shape, MOST_AXES, &rank))
        return refuse(path, name, "shape", "an array of at most 16 whole numbers", err);
    if (!read_sizes(json_object_get(fields, "data_offsets"), range, 2, &ends) || ends != 2 || range[0] > range[1])
        return refuse(path, name, "data_offsets", "[begin, end] with begin <= end", err);
    if (range[1] > data_size) {
        char printable[80];
        return pl_fail(err, PALI_MODEL, "%s: tensor %s ends at byte %zu of the data, but the file holds %zu (is it cut off?)", path,
            pl_printable(name, strlen(name), printable), range[1], data_size);
    }
    const pl_tensor_entry entry = {.source = source, .name = name, .name_length = strlen(name), .type = type, .dtype = find_type(type),
        .shape = shape, .rank = rank, .offset = begin + range[0], .size = range[1] - range[0]};
    return pl_tensor_file_add(file, &entry, err);
}

/* The tensors of the source that was added last. */
static pali_status read_source(pl_tensor_file *file, pali_error *err)
{
    const pl_tensor_source *source = &file->sources[file->source_count - 1];
    if (source->size < 8)
        return pl_fail(err, PALI_MODEL, "%s: found %zu bytes, expected a safetensors file", source->path, source->size);
    const uint64_t length = pl_read_u64(source->data);
    if (length > LARGEST_HEADER)
        return pl_fail(err, PALI_MODEL, "%s: found a header of %llu bytes, expected at most %d (is it a safetensors file?)", source->path,
            (unsigned long long)length, LARGEST_HEADER);
    if (length > source->size - 8)
        return pl_fail(err, PALI_MODEL, "%s: the header takes %llu bytes, but the file holds %zu (is it cut off?)", source->path,
            (unsigned long long)length, source->size - 8);

    json_t *header = pl_json_parse(source->data + 8, (size_t)length, source->path, "the header", err);
    if (!header)
        return err ? err->status : PALI_MODEL;
    pali_status status = PALI_OK;
    const char *name;
    json_t *fields;
    json_object_foreach(header, name, fields) {
        if (strcmp(name, "__metadata__") != 0)
            status = add_entry(file, 8 + (size_t)length, name, fields, err);
        if (status != PALI_OK)
            break;
    }
    json_decref(header);
    return status;
}

/* Ends every way of opening: the finished file, or NULL with everything released. */
static pl_tensor_file *finish(pl_tensor_file *file, pali_status status, pali_error *err)
{
    if (status == PALI_OK)
        status = pl_tensor_file_finish(file, true, err);
    if (status == PALI_OK)
        return file;
    pl_tensor_file_close(file);
    return NULL;
}

pl_tensor_file *pl_safetensors_open(const char *path, pali_error *err)
{
    pl_tensor_file *file = pl_tensor_file_new(err);
    if (!file)
        return NULL;
    const bool added = pl_tensor_file_add_path(file, path, err) != NULL;
    return finish(file, added ? read_source(file, err) : PALI_MODEL, err);
}

pl_tensor_file *pl_safetensors_open_memory(const void *bytes, size_t size, const char *name, pali_error *err)
{
    pl_tensor_file *file = pl_tensor_file_new(err);
    if (!file)
        return NULL;
    const bool added = pl_tensor_file_add_memory(file, bytes, size, name, err) != NULL;
    return finish(file, added ? read_source(file, err) : PALI_MODEL, err);
}

/* True for a name that stands in the folder itself and nowhere else. */
static bool is_plain_name(const char *name)
{
    return *name && !strchr(name, '/') && !strchr(name, '\\') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Opens a shard unless it is open, and says which source it is. */
static pali_status open_shard(pl_tensor_file *file, const char *folder, const char *shard, const char *index, size_t *source, pali_error *err)
{
    char printable[80];
    pl_printable(shard, strlen(shard), printable);
    if (!is_plain_name(shard))
        return pl_fail(err, PALI_MODEL, "%s: found shard %s, expected the name of a file in the same folder", index, printable);
    char *path = pl_path_join(folder, shard, err);
    if (!path)
        return PALI_MEMORY;
    pali_status status = PALI_OK;
    for (*source = 0; *source < file->source_count; ++*source)
        if (strcmp(file->sources[*source].path, path) == 0)
            break;
    if (*source == file->source_count && !pl_is_file(path))
        status = pl_fail(err, PALI_MODEL, "%s: shard %s is missing", index, printable);
    else if (*source == file->source_count) {
        const bool added = pl_tensor_file_add_path(file, path, err) != NULL;
        status = !added ? PALI_MODEL : read_source(file, err);
    }
    free(path);
    return status;
}

/* After the directory is sorted: every tensor of the index is in the shard it names. */
static pali_status check_index(const pl_tensor_file *file, const json_t *weights, const char *index, pali_error *err)
{
    const char *name;
    json_t *shard;
    json_object_foreach((json_t *)(uintptr_t)weights, name, shard) {
        const pl_named_tensor *found = pl_tensor_file_find(file, name);
        const char *base = found ? strrchr(found->file, '/') : NULL;
        base = base ? base + 1 : found ? found->file : "";
        if (!found || strcmp(base, json_string_value(shard)) != 0) {
            char tensor[80], file_name[80];
            return pl_fail(err, PALI_MODEL, "%s: tensor %s is not in shard %s", index, pl_printable(name, strlen(name), tensor),
                pl_printable(json_string_value(shard), json_string_length(shard), file_name));
        }
    }
    return PALI_OK;
}

static pali_status open_shards(pl_tensor_file *file, const char *folder, const json_t *weights, const char *index, pali_error *err)
{
    const char *name;
    json_t *shard;
    size_t source;
    if (!json_is_object(weights) || json_object_size(weights) == 0)
        return pl_fail(err, PALI_MODEL, "%s: field weight_map: expected an object of tensor names and shards", index);
    json_object_foreach((json_t *)(uintptr_t)weights, name, shard) {
        char printable[80];
        if (!json_is_string(shard))
            return pl_fail(err, PALI_MODEL, "%s: field weight_map: tensor %s: expected the name of a shard", index,
                pl_printable(name, strlen(name), printable));
        const pali_status status = open_shard(file, folder, json_string_value(shard), index, &source, err);
        if (status != PALI_OK)
            return status;
    }
    return PALI_OK;
}

static pl_tensor_file *open_index(const char *folder, const char *index, pali_error *err)
{
    pl_map map;
    if (pl_map_open(&map, index, PALI_MODEL, err) != PALI_OK)
        return NULL;
    json_t *root = NULL;
    if (map.size > LARGEST_INDEX)
        pl_fail(err, PALI_MODEL, "%s: found %zu bytes, expected at most %d", index, map.size, LARGEST_INDEX);
    else
        root = pl_json_parse(map.size ? (const void *)map.data : "", map.size, index, "the index", err);
    pl_map_close(&map);
    if (!root)
        return NULL;
    pl_tensor_file *file = pl_tensor_file_new(err);
    if (file) {
        const json_t *weights = json_object_get(root, "weight_map");
        file = finish(file, open_shards(file, folder, weights, index, err), err);
        if (file && check_index(file, weights, index, err) != PALI_OK) {
            pl_tensor_file_close(file);
            file = NULL;
        }
    }
    json_decref(root);
    return file;
}

pl_tensor_file *pl_safetensors_open_folder(const char *folder, pali_error *err)
{
    char *single = pl_path_join(folder, "model.safetensors", err);
    char *index = single ? pl_path_join(folder, "model.safetensors.index.json", err) : NULL;
    pl_tensor_file *file = NULL;
    if (index && pl_is_file(single))
        file = pl_safetensors_open(single, err);
    else if (index && pl_is_file(index))
        file = open_index(folder, index, err);
    else if (index)
        pl_fail(err, PALI_MODEL, "%s: found neither model.safetensors nor model.safetensors.index.json", folder);
    free(single);
    free(index);
    return file;
}
