/*
 * state.json carries a checksum of itself: that of its compact text with sorted
 * keys, the checksum left out.
 */
#include "train/snapshot_state.h"

#include "base/checksum.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/output.h"
#include "base/text.h"
#include "formats/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char notes_name[] = "state.json";
enum { VERSION = 1 };

static const char *hex(uint32_t checksum, char buf[12])
{
    snprintf(buf, 12, "%08x", (unsigned)checksum);
    return buf;
}

/* The checksum of an object; false when memory is short. */
static bool check_of(const json_t *object, char buf[12])
{
    char *const text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    if (text)
        hex(pl_crc32c(0, text, strlen(text)), buf);
    free(text);
    return text != NULL;
}

/* Size and checksum of a file, read to its end; pages that have served are given back. */
static pali_status sum_file(const char *path, uint64_t *bytes, uint32_t *checksum, pali_error *err)
{
    enum { PIECE = 8 << 20 };
    pl_map map;
    const pali_status status = pl_map_open(&map, path, PALI_MODEL, err);
    if (status != PALI_OK)
        return status;
    *bytes = map.size;
    *checksum = 0;
    for (size_t at = 0; at < *bytes; at += PIECE) {
        *checksum = pl_crc32c(*checksum, map.data + at, pl_min(PIECE, *bytes - at));
        pl_map_drop(&map, at, pl_min(PIECE, *bytes - at));
    }
    pl_map_close(&map);
    return PALI_OK;
}

static json_t *file_json(uint64_t bytes, uint32_t checksum)
{
    char sum[12];
    return json_pack("{s:I, s:s}", "bytes", (json_int_t)bytes, "crc32c", hex(checksum, sum));
}

typedef struct weight_files {
    const char *folder;
    json_t *found; /* {name: {bytes, crc32c}} */
} weight_files;

static pali_status add_weights(void *context, const char *name, pali_error *err)
{
    weight_files *const files = context;
    uint64_t bytes;
    uint32_t checksum;
    if (!pl_ends_with(name, ".safetensors"))
        return PALI_OK;
    char *const path = pl_path_join(files->folder, name, err);
    pali_status status = path ? sum_file(path, &bytes, &checksum, err) : PALI_MEMORY;
    if (status == PALI_OK && json_object_set_new(files->found, name, file_json(bytes, checksum)) != 0)
        status = pl_fail_memory(err, notes_name, 0);
    free(path);
    return status;
}

/* state.json as a text, released with free(). */
static char *make_notes(const char *path, const pl_snapshot *snapshot, uint64_t bytes, uint32_t checksum, pali_error *err)
{
    char own[12], *text = NULL;
    weight_files weights = {.folder = path, .found = json_object()};
    json_t *top = NULL;
    pali_status status = weights.found ? pl_folder_each(path, add_weights, &weights, err) : pl_fail_memory(err, notes_name, 0);
    if (status == PALI_OK)
        top = json_pack("{s:i, s:I, s:{s:o}, s:O}", "pali train", VERSION, "step", (json_int_t)snapshot->step, "files", PL_STATE_TENSORS, file_json(bytes, checksum), "weights", weights.found);
    const bool whole = top && json_object_set_new(top, "notes", snapshot->notes ? json_deep_copy(snapshot->notes) : json_object()) == 0;
    if (whole && check_of(top, own) && json_object_set_new(top, "crc32c", json_string(own)) == 0)
        text = json_dumps(top, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    if (!text && status == PALI_OK)
        pl_fail_memory(err, notes_name, 0);
    json_decref(weights.found);
    json_decref(top);
    return text;
}

pali_status pl_snapshot_state_write(const char *path, const pl_snapshot *snapshot, pali_error *err)
{
    char *const folder = pl_path_join(path, PL_STATE_FOLDER, err);
    char *const tensors = folder ? pl_path_join(folder, PL_STATE_TENSORS, err) : NULL, *const notes = tensors ? pl_path_join(folder, notes_name, err) : NULL;
    char *text = NULL;
    uint64_t bytes = 0;
    uint32_t checksum = 0;
    pali_status status = notes ? pl_folder_make(folder, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_state_write(tensors, snapshot->tensors, snapshot->count, &bytes, &checksum, err);
    if (status == PALI_OK && !(text = make_notes(path, snapshot, bytes, checksum, err)))
        status = pl_status_of(err, PALI_MEMORY);
    if (status == PALI_OK)
        status = pl_file_write(notes, text, strlen(text), err);
    if (status == PALI_OK)
        pl_folder_sync(folder);
    free(text);
    free(notes);
    free(tensors);
    free(folder);
    return status;
}

static pali_status check_file(const char *path, uint64_t bytes, const char *expected, pali_error *err)
{
    char found[12];
    uint64_t size;
    uint32_t checksum;
    const pali_status status = sum_file(path, &size, &checksum, err);
    if (status != PALI_OK)
        return status;
    if (size != bytes)
        return pl_fail(err, PALI_MODEL, "%s: found %llu bytes, expected %llu; it is damaged", path, (unsigned long long)size, (unsigned long long)bytes);
    if (strcmp(hex(checksum, found), expected) != 0)
        return pl_fail(err, PALI_MODEL, "%s: found checksum %s, expected %s; it is damaged", path, found, expected);
    return PALI_OK;
}

static pali_status refuse(const char *path, pali_error *err)
{
    return pl_fail(err, PALI_MODEL, "%s: found something else than what a checkpoint notes, or a part of it; it is damaged", path);
}

/* The fields of state.json, checked; strings are borrowed from the object. */
static pali_status take_fields(json_t *top, const char *path, uint64_t *step, uint64_t *bytes, const char **checksum, pali_error *err)
{
    char own[12], found[80];
    json_t *const check = json_incref(json_object_get(top, "crc32c"));
    const json_t *const version = json_object_get(top, "pali train"), *const file = json_object_get(json_object_get(top, "files"), PL_STATE_TENSORS);
    pali_status status = PALI_OK;
    json_object_del(top, "crc32c");
    if (!json_is_integer(version) || !json_is_string(check))
        status = refuse(path, err);
    else if (!check_of(top, own))
        status = pl_fail_memory(err, path, 0);
    else if (strcmp(own, json_string_value(check)) != 0)
        status = pl_fail(err, PALI_MODEL, "%s: found checksum %s, expected %s; it is damaged, or was changed by hand", path, own,
                         pl_printable(json_string_value(check), json_string_length(check), found));
    else if (json_integer_value(version) != VERSION)
        status = pl_fail(err, PALI_MODEL, "%s: found version %lld, expected %d", path, (long long)json_integer_value(version), VERSION);
    else if (!json_is_integer(json_object_get(top, "step")) || !json_is_integer(json_object_get(file, "bytes")) || !json_is_string(json_object_get(file, "crc32c")) ||
             !json_is_object(json_object_get(top, "notes")))
        status = refuse(path, err);
    json_decref(check);
    if (status != PALI_OK)
        return status;
    *step = (uint64_t)json_integer_value(json_object_get(top, "step"));
    *bytes = (uint64_t)json_integer_value(json_object_get(file, "bytes"));
    *checksum = json_string_value(json_object_get(file, "crc32c"));
    return PALI_OK;
}

/* The weights beside the state; snapshots of before had no list of them. */
static pali_status check_weights(const char *folder, const json_t *list, pali_error *err)
{
    const char *name;
    json_t *file;
    pali_status status = PALI_OK;
    json_object_foreach((json_t *)(uintptr_t)list, name, file) {
        const char *const checksum = json_string_value(json_object_get(file, "crc32c"));
        char *const path = status == PALI_OK ? pl_path_join(folder, name, err) : NULL;
        if (path)
            status = checksum && !strchr(name, '/') ? check_file(path, (uint64_t)json_integer_value(json_object_get(file, "bytes")), checksum, err) : refuse(path, err);
        else if (status == PALI_OK)
            status = PALI_MEMORY;
        free(path);
    }
    return status;
}

pali_status pl_snapshot_state_check(const char *path, uint64_t *step, json_t **notes, pali_error *err)
{
    enum { MOST = 256 << 20 }; /* bytes of notes */
    char *const tensors = pl_format(err, "%s/%s/%s", path, PL_STATE_FOLDER, PL_STATE_TENSORS), *const file = pl_format(err, "%s/%s/%s", path, PL_STATE_FOLDER, notes_name);
    size_t size = 0;
    uint64_t bytes = 0;
    const char *checksum = NULL;
    pali_status status = tensors && file ? PALI_OK : PALI_MEMORY;
    char *const text = status == PALI_OK ? pl_file_read(file, MOST, &size, PALI_MODEL, err) : NULL;
    if (status == PALI_OK && !text)
        status = pl_status_of(err, PALI_MODEL);
    json_t *const top = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (status == PALI_OK)
        status = json_is_object(top) ? take_fields(top, file, step, &bytes, &checksum, err) : refuse(file, err);
    if (status == PALI_OK)
        status = check_file(tensors, bytes, checksum, err);
    if (status == PALI_OK)
        status = check_weights(path, json_object_get(top, "weights"), err);
    if (status == PALI_OK)
        *notes = json_incref(json_object_get(top, "notes"));
    json_decref(top);
    free(text);
    free(file);
    free(tensors);
    return status;
}
