/* JSONL rows {"image", "prefix", "suffix"}, checked before the model is asked. */
#include "eval/rows.h"

#include "base/file.h"
#include "formats/jsonl.h"

#include <stdlib.h>
#include <string.h>

/* Larger than any data file that is text; a limit so that a wrong path does not fill memory. */
static const size_t most_bytes = (size_t)1 << 30;

/* The path of a name in the row, new; names are relative to the data file's folder. */
static pali_status resolve(const char *field, const char *folder, const char *name, char **path, pali_error *err)
{
    *path = pl_jsonl_path(folder, name, err);
    if (!*path)
        return PALI_MEMORY;
    return pl_is_file(*path) ? PALI_OK : pl_fail(err, PALI_INPUT, "field '%s': there is no file %s", field, *path);
}

static pali_status resolve_images(pl_eval_row *row, const char *folder, const char *const *names, size_t count, pali_error *err)
{
    row->images = pl_new(count, sizeof *row->images, "images of a row", err);
    pali_status status = row->images ? PALI_OK : PALI_MEMORY;
    while (status == PALI_OK && row->image_count < count) {
        status = resolve("image", folder, names[row->image_count], &row->images[row->image_count], err);
        row->image_count++;
    }
    return status;
}

/* "masks": a list with one for each expected object; "mask": the one of the only object. */
static pali_status read_masks(pl_eval_row *row, const char *folder, pali_error *err)
{
    json_t *const one = json_object_get(row->json, "mask"), *const list = json_object_get(row->json, "masks");
    if (!one && !list)
        return PALI_OK;
    if (one && list)
        return pl_fail(err, PALI_INPUT, "found both 'mask' and 'masks', expected one of them");
    if (list && (!json_is_array(list) || json_array_size(list) == 0))
        return pl_fail(err, PALI_INPUT, "field 'masks': found %s, expected a list of masks", json_is_array(list) ? "an empty list" : pl_json_type_name(list));
    const size_t count = list ? json_array_size(list) : 1;
    row->masks = pl_new(count, sizeof *row->masks, "masks of a row", err);
    pali_status status = row->masks ? PALI_OK : PALI_MEMORY;
    while (status == PALI_OK && row->mask_count < count) {
        pl_eval_mask *const mask = &row->masks[row->mask_count];
        mask->json = list ? json_array_get(list, row->mask_count) : one;
        row->mask_count++;
        if (json_is_string(mask->json))
            status = resolve(list ? "masks" : "mask", folder, json_string_value(mask->json), &mask->path, err);
        else if (!json_is_object(mask->json) && !json_is_array(mask->json))
            status = pl_fail(err, PALI_INPUT, "field '%s': found %s, expected a path, {\"size\", \"counts\"} or a list of polygons", list ? "masks" : "mask", pl_json_type_name(mask->json));
    }
    return status;
}

/* One line into *row; whatever it holds afterwards is released by free_row. */
static pali_status read_row(const char *text, size_t length, const char *folder, pl_eval_row *row, pali_error *err)
{
    pali_status status = pl_jsonl_parse(text, length, &row->json, err);
    if (status != PALI_OK)
        return status;
    const json_t *const prefix = json_object_get(row->json, "prefix");
    if (!json_is_string(prefix))
        return pl_fail(err, PALI_INPUT, "field 'prefix': found %s, expected text", pl_json_type_name(prefix));
    row->prefix = json_string_value(prefix);
    status = pl_jsonl_texts(row->json, "suffix", &row->suffixes, &row->suffix_count, err);
    if (status != PALI_OK)
        return status;
    const char **names = NULL;
    size_t count = 0;
    status = pl_jsonl_texts(row->json, "image", &names, &count, err);
    if (status == PALI_OK)
        status = resolve_images(row, folder, names, count, err);
    free(names);
    return status == PALI_OK ? read_masks(row, folder, err) : status;
}

static void free_row(pl_eval_row *row)
{
    for (size_t i = 0; i < row->image_count; i++)
        free(row->images[i]);
    free(row->images);
    for (size_t i = 0; i < row->mask_count; i++)
        free(row->masks[i].path);
    free(row->masks);
    free(row->suffixes);
    json_decref(row->json);
}

static pali_status read_lines(const char *text, size_t size, const char *path, const char *folder, size_t limit, pl_eval_rows *rows, pali_error *err)
{
    size_t at = 0, line = 1;
    for (; at < size && (limit == 0 || rows->count < limit); line++) {
        const char *const end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - text) - at : size - at;
        if (!pl_jsonl_blank(text + at, length)) {
            const pali_status grown = pl_grow(&rows->items, &rows->capacity, rows->count + 1, sizeof *rows->items, "rows", err);
            if (grown != PALI_OK)
                return grown;
            pl_eval_row *const row = &rows->items[rows->count++];
            *row = (pl_eval_row){.line = line};
            const pali_status status = read_row(text + at, length, folder, row, err);
            if (status != PALI_OK) {
                pl_error_prefix(err, "%s:%zu", path, line);
                return status;
            }
        }
        at += length + 1;
    }
    if (rows->count == 0)
        return pl_fail(err, PALI_INPUT, "%s: there are no rows", path);
    return PALI_OK;
}

pali_status pl_eval_rows_read(const char *path, size_t limit, pl_eval_rows *rows, pali_error *err)
{
    size_t size = 0;
    char *const text = pl_file_read(path, most_bytes, &size, PALI_INPUT, err);
    if (!text)
        return err && err->status ? err->status : PALI_INPUT;
    const char *const slash = strrchr(path, '/');
    char *const folder = pl_strndup(path, slash ? (size_t)(slash - path) + (slash == path) : 0, err);
    const pali_status status = folder ? read_lines(text, size, path, folder, limit, rows, err) : PALI_MEMORY;
    free(folder);
    free(text);
    return status;
}

void pl_eval_rows_free(pl_eval_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free_row(&rows->items[i]);
    free(rows->items);
    *rows = (pl_eval_rows){0};
}

bool pl_eval_same_images(const pl_eval_row *a, const pl_eval_row *b)
{
    if (a->image_count != b->image_count)
        return false;
    for (size_t i = 0; i < a->image_count; i++)
        if (strcmp(a->images[i], b->images[i]) != 0)
            return false;
    return true;
}
