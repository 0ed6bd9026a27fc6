/*
 * Reading masks: rows are taken in batches, whose masks are opened and cut out
 * on all threads, then kept in their order.
 */
#include "train/mask_pool.h"

#include "answer/mask_tokens.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/text.h"
#include "formats/jsonl.h"
#include "train/object_text.h"
#include "train/row_index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BATCH = 256 };

/* A mask to be opened, and what comes of it. */
typedef struct job {
    json_t *row;           /* a reference of its own; NULL: `path` alone is a picture of a mask */
    pl_object_mask object; /* of the row */
    char *path;            /* owned */
    size_t line;           /* of the row, from 1 */
    uint8_t map[PL_CODEC_MAP];
    pali_status status;
    pali_error err;
} job;

typedef struct reading {
    pl_mask_pool *pool;
    const pl_hands *hands;
    bool skip_bad;
    const char *folder, *file; /* that paths are relative to; the file of rows, or NULL */
    job *jobs;                 /* [BATCH] owned */
    size_t count;
} reading;

/* ---- What was seen ----------------------------------------------------- */

static bool add_hash(uint64_t *seen, size_t size, uint64_t hash)
{
    size_t at = (size_t)hash & (size - 1);
    for (; seen[at]; at = (at + 1) & (size - 1))
        if (seen[at] == hash)
            return false;
    seen[at] = hash;
    return true;
}

/* *fresh: it was not there before. */
static pali_status see(pl_mask_pool *pool, uint64_t hash, bool *fresh, pali_error *err)
{
    if (2 * pool->seen_count >= pool->seen_size) {
        const size_t size = pl_max(4096, 2 * pool->seen_size);
        uint64_t *larger = pl_new(size, sizeof *larger, "masks", err);
        if (!larger)
            return PALI_MEMORY;
        for (size_t i = 0; i < pool->seen_size; i++)
            if (pool->seen[i])
                add_hash(larger, size, pool->seen[i]);
        free(pool->seen);
        pool->seen = larger;
        pool->seen_size = size;
    }
    *fresh = add_hash(pool->seen, pool->seen_size, hash ? hash : 1);
    pool->seen_count += *fresh;
    return PALI_OK;
}

/* ---- One mask ---------------------------------------------------------- */

/* The picture's size, as far as the row tells it; that of the picture itself is asked for polygons only. */
static pali_status find_size(const reading *r, const job *j, pl_scene *scene, pali_error *err)
{
    const json_int_t width = json_integer_value(json_object_get(j->row, "width")), height = json_integer_value(json_object_get(j->row, "height"));
    if (width > 0 && height > 0) {
        scene->width = (size_t)width;
        scene->height = (size_t)height;
        return PALI_OK;
    }
    const char *name = json_string_value(json_object_get(j->row, "image"));
    if (!json_is_array(j->object.mask) || !name)
        return PALI_OK;
    char *path = pl_jsonl_path(r->folder, name, err);
    pl_image image = {0};
    const pali_status status = path ? pl_image_open(path, &image, err) : PALI_MEMORY;
    scene->width = image.width;
    scene->height = image.height;
    if (status == PALI_OK)
        pl_image_free(&image);
    free(path);
    return status;
}

static pali_status cut_out(const pl_mask *mask, const pali_box *box, uint8_t *map, pali_error *err)
{
    pl_region part;
    int bins[4];
    float values[PL_CODEC_MAP];
    pali_status status = pl_mask_part(mask, box, bins, &part, err);
    if (status == PALI_OK)
        status = pl_mask_crop(mask, part, values, err);
    for (size_t i = 0; status == PALI_OK && i < PL_CODEC_MAP; i++)
        map[i] = (uint8_t)lrintf((values[i] + 1) * 127.5f);
    return status;
}

static void open_task(void *context, size_t task, size_t thread)
{
    const reading *r = context;
    job *j = &r->jobs[task];
    pl_mask mask = {0};
    pali_box box = {0};
    (void)thread;
    if (j->row) {
        pl_scene scene = {.folder = r->folder};
        j->status = find_size(r, j, &scene, &j->err);
        if (j->status == PALI_OK)
            j->status = pl_object_open_mask(&j->object, &scene, &mask, &box, &j->err);
    } else {
        j->status = pl_mask_open(j->path, &mask, &j->err);
    }
    if (j->status == PALI_OK)
        j->status = cut_out(&mask, j->object.box || j->object.bbox ? &box : NULL, j->map, &j->err);
    pl_mask_free(&mask);
}

/* ---- A batch ----------------------------------------------------------- */

static pali_status keep(const reading *r, const job *j, pali_error *err)
{
    pl_mask_pool *pool = r->pool;
    bool fresh = false;
    pali_status status = see(pool, pl_hash_block(j->map, PL_CODEC_MAP), &fresh, err);
    if (status != PALI_OK || !fresh)
        return status;
    status = pl_grow(&pool->maps, &pool->capacity, pool->count + 1, PL_CODEC_MAP, "masks", err);
    if (status == PALI_OK)
        memcpy(pool->maps + pool->count++ * PL_CODEC_MAP, j->map, PL_CODEC_MAP);
    return status;
}

static pali_status pass_over(const reading *r, job *j, pali_error *err)
{
    if (j->row)
        pl_error_prefix(&j->err, "%s:%zu", r->file, j->line);
    else if (!strstr(j->err.message, j->path))
        pl_error_prefix(&j->err, "%s", j->path);
    if (j->status == PALI_INPUT && !r->skip_bad)
        return pl_fail(err, PALI_INPUT, "%s (on_bad_row=skip passes it over)", j->err.message);
    if (j->status != PALI_INPUT) {
        *err = j->err;
        return j->status;
    }
    if (r->pool->bad++ == 0)
        snprintf(r->pool->first_bad, sizeof r->pool->first_bad, "%s", j->err.message);
    return PALI_OK;
}

/* Opens all jobs and keeps what they give. */
static pali_status finish_batch(reading *r, pali_error *err)
{
    pali_status status = PALI_OK;
    pl_pool_run(r->hands->pool, r->count, open_task, r);
    for (size_t i = 0; i < r->count; i++) {
        job *j = &r->jobs[i];
        if (status == PALI_OK)
            status = j->status == PALI_OK ? keep(r, j, err) : pass_over(r, j, err);
        json_decref(j->row);
        free(j->path);
    }
    r->count = 0;
    return status;
}

static pali_status add_job(reading *r, job j, pali_error *err)
{
    r->jobs[r->count++] = j;
    return r->count == BATCH ? finish_batch(r, err) : PALI_OK;
}

/* ---- Sources ----------------------------------------------------------- */

/* A mask in a file that was seen with the same box needs not be opened again. */
static pali_status is_fresh(const reading *r, const pl_object_mask *object, bool *fresh, pali_error *err)
{
    pl_buffer text = {0};
    *fresh = true;
    if (!json_is_string(object->mask))
        return PALI_OK;
    char *box = object->box || object->bbox ? json_dumps(object->box ? object->box : object->bbox, JSON_ENCODE_ANY) : NULL;
    pali_status status = pl_buffer_printf(&text, err, "%s\n%s\n%s", r->folder, json_string_value(object->mask), box ? box : "");
    if (status == PALI_OK)
        status = see(r->pool, pl_hash(text.data, text.length), fresh, err);
    free(box);
    free(text.data);
    return status;
}

static pali_status add_row(reading *r, json_t *row, size_t line, pali_error *err)
{
    pl_object_mask *masks = NULL;
    size_t count = 0;
    if (!pl_object_any(row)) /* a row that asks for something else */
        return PALI_OK;
    pali_status status = pl_object_masks(row, &masks, &count, err);
    if (status != PALI_OK) {
        job j = {.row = row, .line = line, .status = status, .err = *err};
        free(masks);
        return pass_over(r, &j, err);
    }
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        bool fresh = true;
        status = is_fresh(r, &masks[i], &fresh, err);
        if (status == PALI_OK && fresh)
            status = add_job(r, (job){.row = json_incref(row), .object = masks[i], .line = line}, err);
    }
    free(masks);
    return status;
}

static pali_status read_rows(reading *r, const pl_mask_source *source, const char *path, pali_error *err)
{
    pl_row_index index = {.fd = -1};
    const char *slash = strrchr(path, '/');
    char *folder = source->images ? pl_strdup(source->images, err) : pl_strndup(path, slash ? (size_t)(slash - path) + 1 : 0, err);
    pali_status status = folder ? pl_row_index_open(&index, path, source->skip, source->limit, err) : PALI_MEMORY;
    r->folder = folder;
    r->file = path;
    for (size_t i = 0; status == PALI_OK && i < index.count; i++) {
        size_t length;
        json_t *row = NULL;
        char *text = pl_row_index_read(&index, i, &length, err);
        status = text ? pl_jsonl_parse(text, length, &row, err) : pl_status_of(err, PALI_FAILED);
        if (text && status == PALI_INPUT) {
            job j = {.row = json_null(), .line = index.rows[i].line, .status = status, .err = *err};
            status = pass_over(r, &j, err);
        } else if (status == PALI_OK) {
            status = add_row(r, row, index.rows[i].line, err);
        }
        json_decref(row);
        free(text);
    }
    const pali_status last = finish_batch(r, status == PALI_OK ? err : &(pali_error){0});
    pl_row_index_close(&index);
    free(folder);
    return status == PALI_OK ? last : status;
}

typedef struct names {
    char **items; /* [count] owned */
    size_t count, capacity;
} names;

static pali_status add_name(void *context, const char *name, pali_error *err)
{
    static const char *const endings[] = {".png", ".gif", ".webp", ".jpg", ".jpeg"};
    names *list = context;
    const char *ending = strrchr(name, '.');
    bool wanted = false;
    for (size_t i = 0; ending && i < sizeof endings / sizeof *endings; i++)
        wanted = wanted || strcasecmp(ending, endings[i]) == 0;
    if (!wanted)
        return PALI_OK;
    pali_status status = pl_grow(&list->items, &list->capacity, list->count + 1, sizeof *list->items, "names of masks", err);
    if (status == PALI_OK && !(list->items[list->count] = pl_strdup(name, err)))
        status = PALI_MEMORY;
    list->count += status == PALI_OK;
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static pali_status read_folder(reading *r, const pl_mask_source *source, pali_error *err)
{
    names list = {0};
    pali_status status = pl_folder_each(source->path, add_name, &list, err);
    if (list.count > 0)
        qsort(list.items, list.count, sizeof *list.items, by_name);
    const size_t first = pl_min(source->skip, list.count), end = source->limit ? pl_min(list.count, first + source->limit) : list.count;
    for (size_t i = first; status == PALI_OK && i < end; i++) {
        char *path = pl_path_join(source->path, list.items[i], err);
        status = path ? add_job(r, (job){.path = path}, err) : PALI_MEMORY;
    }
    const pali_status last = finish_batch(r, status == PALI_OK ? err : &(pali_error){0});
    for (size_t i = 0; i < list.count; i++)
        free(list.items[i]);
    free(list.items);
    return status == PALI_OK ? last : status;
}

static bool ends_with(const char *text, const char *ending)
{
    const size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcasecmp(text + length - tail, ending) == 0;
}

static pali_status read_source(reading *r, const pl_mask_source *source, pali_error *err)
{
    if (!pl_is_folder(source->path)) {
        if (ends_with(source->path, ".jsonl") || ends_with(source->path, ".json"))
            return read_rows(r, source, source->path, err);
        char *path = pl_strdup(source->path, err);
        const pali_status status = path ? add_job(r, (job){.path = path}, err) : PALI_MEMORY;
        return status == PALI_OK ? finish_batch(r, err) : status;
    }
    char *rows = pl_path_join(source->path, "annotations.jsonl", err);
    pali_status status = rows ? PALI_OK : PALI_MEMORY;
    if (rows)
        status = pl_is_file(rows) ? read_rows(r, source, rows, err) : read_folder(r, source, err);
    free(rows);
    return status;
}

pali_status pl_mask_pool_read(pl_mask_pool *pool, const pl_mask_source *sources, size_t count, bool skip_bad, const pl_hands *hands, pali_error *err)
{
    pali_error own = {0};
    err = err ? err : &own; /* it is read where masks are passed over */
    reading r = {.pool = pool, .hands = hands, .skip_bad = skip_bad, .jobs = pl_new(BATCH, sizeof *r.jobs, "masks", err)};
    pali_status status = r.jobs ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        status = read_source(&r, &sources[i], err);
    free(r.jobs);
    if (status == PALI_OK && pool->count == 0)
        status = pl_fail(err, PALI_INPUT, "%s: found no mask%s%s, expected pictures of masks, or rows with \"mask\", \"masks\" or \"objects\"", count ? sources[0].path : "data", pool->bad ? "; the first that cannot be used: " : "",
                         pool->first_bad);
    return status;
}

uint64_t pl_mask_pool_hash(const pl_mask_pool *pool)
{
    return pl_hash_block(pool->maps, pool->count * PL_CODEC_MAP);
}

void pl_mask_pool_free(pl_mask_pool *pool)
{
    free(pool->maps);
    free(pool->seen);
    *pool = (pl_mask_pool){0};
}
