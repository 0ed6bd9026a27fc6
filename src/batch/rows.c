/* JSONL rows: where the lines are, and one line as a question. */
#include "batch/rows.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

/* Larger than any list of pictures; a limit so that a wrong path does not fill memory. */
static const size_t most_bytes = (size_t)1 << 30;

static pali_status add_line(pl_row_file *file, pl_row_line line, pali_error *err)
{
    const pali_status status = pl_grow(&file->lines, &file->capacity, file->count + 1, sizeof *file->lines, "rows", err);
    if (status == PALI_OK)
        file->lines[file->count++] = line;
    return status;
}

pali_status pl_row_file_take(pl_row_file *file, char *text, size_t size, size_t shard, size_t shards, pali_error *err)
{
    file->text = text;
    file->size = size;
    pali_status status = PALI_OK;
    for (size_t at = 0, number = 1; status == PALI_OK && at < size; number++) {
        const char *const end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - text) - at : size - at;
        if (!pl_jsonl_blank(text + at, length) && file->all++ % shards == shard - 1)
            status = add_line(file, (pl_row_line){.number = number, .start = at, .length = length}, err);
        at += length + 1;
    }
    return status;
}

pali_status pl_row_file_open(pl_row_file *file, const char *path, size_t shard, size_t shards, pali_error *err)
{
    size_t size;
    char *const text = pl_file_read(path, most_bytes, &size, PALI_INPUT, err);
    if (!text)
        return pl_status_of(err, PALI_INPUT);
    pali_status status = pl_row_file_take(file, text, size, shards ? shard : 1, shards ? shards : 1, err);
    if (status == PALI_OK && file->all == 0)
        status = pl_fail(err, PALI_INPUT, "%s: there are no rows", path);
    const char *const slash = strrchr(path, '/');
    if (status == PALI_OK && !(file->folder = pl_strndup(path, slash ? (size_t)(slash - path) + (slash == path) : 0, err)))
        status = PALI_MEMORY;
    return status;
}

void pl_row_file_close(pl_row_file *file)
{
    free(file->text);
    free(file->folder);
    free(file->lines);
    *file = (pl_row_file){0};
}

static pali_status read_prompt(pl_row *row, const char *otherwise, pali_error *err)
{
    const json_t *value = json_object_get(row->json, "prompt");
    if (!value)
        value = json_object_get(row->json, "prefix"); /* as rows for pali eval have it */
    if (value && !json_is_string(value))
        return pl_fail(err, PALI_INPUT, "field 'prompt': found %s, expected text", pl_json_type_name(value));
    if (!value && !otherwise)
        return pl_fail(err, PALI_INPUT, "field 'prompt': found nothing, expected text, or a prompt for all rows");
    row->prompt = value ? json_string_value(value) : otherwise;
    return PALI_OK;
}

/* Paths of pictures are relative to the file's folder. */
static pali_status read_path(pl_row *row, const char *folder, const json_t *value, pali_error *err)
{
    const char *const name = json_string_value(value);
    if (!name)
        return pl_fail(err, PALI_INPUT, "field 'image': found %s in the list, expected paths", pl_json_type_name(value));
    if (!*name || strcmp(name, "-") == 0)
        return pl_fail(err, PALI_INPUT, "field 'image': found '%s', expected the path of a picture", name);
    char *const path = pl_jsonl_path(folder, name, err);
    if (!path)
        return PALI_MEMORY;
    row->paths[row->path_count++] = path;
    return PALI_OK;
}

static pali_status read_paths(pl_row *row, const char *folder, pali_error *err)
{
    const json_t *const value = json_object_get(row->json, "image");
    if (!json_is_string(value) && !json_is_array(value))
        return pl_fail(err, PALI_INPUT, "field 'image': found %s, expected a path or a list of paths", pl_json_type_name(value));
    const size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count == 0)
        return pl_fail(err, PALI_INPUT, "field 'image': found an empty list, expected at least one path");
    if (count > PL_ROW_MOST_IMAGES && !row->frames)
        return pl_fail(err, PALI_INPUT, "field 'image': found %zu paths, expected at most %d", count, PL_ROW_MOST_IMAGES);
    row->paths = pl_new(count, sizeof *row->paths, "images of a row", err);
    pali_status status = row->paths ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        status = read_path(row, folder, json_is_array(value) ? json_array_get(value, i) : value, err);
    return status;
}

pali_status pl_row_read(const pl_row_file *file, size_t i, const pl_row_defaults *defaults, pl_row *row, pali_error *err)
{
    const pl_row_line line = file->lines[i];
    *row = (pl_row){.number = line.number, .frames = defaults->frames, .stride = defaults->stride};
    pali_status status = pl_jsonl_parse(file->text + line.start, line.length, &row->json, err);
    if (status == PALI_OK)
        status = read_prompt(row, defaults->prompt, err);
    if (status == PALI_OK)
        status = pl_jsonl_count(row->json, "frames", PL_ROW_MOST_IMAGES, &row->frames, err);
    if (status == PALI_OK)
        status = pl_jsonl_count(row->json, "stride", 1000000, &row->stride, err);
    if (status == PALI_OK)
        status = read_paths(row, file->folder, err);
    return status;
}

void pl_row_free(pl_row *row)
{
    for (size_t i = 0; i < row->path_count; i++)
        free(row->paths[i]);
    free(row->paths);
    json_decref(row->json);
    *row = (pl_row){0};
}

size_t pl_row_image_count(const pl_row *row)
{
    return row->frames ? row->frames : row->path_count;
}

size_t pl_row_path_of(const pl_row *row, size_t i)
{
    if (!row->frames)
        return i;
    const size_t stride = row->stride ? row->stride : 1, different = (row->path_count - 1) / stride + 1;
    return i % different * stride;
}

bool pl_row_same_images(const pl_row *a, const pl_row *b)
{
    if (a->path_count != b->path_count || a->frames != b->frames || (a->frames && a->stride != b->stride))
        return false;
    for (size_t i = 0; i < a->path_count; i++)
        if (strcmp(a->paths[i], b->paths[i]) != 0)
            return false;
    return true;
}
