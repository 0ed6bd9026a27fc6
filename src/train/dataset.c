/* Sources, the order of their rows, and what they were when a run was saved. */
#include "train/dataset.h"

#include "base/file.h"
#include "formats/json.h"
#include "formats/jsonl.h"
#include "train/row_index.h"
#include "train/shuffle.h"
#include "train/template.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a key is for, so that no two draws of a run have the same: (seed, tag, number). Sources come after the tag of all rows. */
enum { KEY_EPOCH = 0, KEY_SOURCE = 1 };

enum { MOST_REPEAT = 1000000 };

typedef struct data_source {
    pl_data_source options; /* its strings owned */
    pl_row_index index;
    char *folder;           /* owned */
    uint64_t visits;        /* of its rows in an epoch */
} data_source;

struct pl_dataset {
    pl_data_options options; /* options.sources is `given` */
    data_source *sources;         /* [options.source_count], owned */
    pl_data_source *given;   /* [options.source_count], owned: the sources' options once more */
    uint32_t *shares;        /* [options.source_count], owned; NULL: no weights */
    uint64_t epoch;
};

/* ---- Opening ---------------------------------------------------------- */

static pali_status copy_text(const char **text, pali_error *err)
{
    if (!*text)
        return PALI_OK;
    *text = pl_strdup(*text, err);
    return *text ? PALI_OK : PALI_MEMORY;
}

/* The strings of a source, copied; those that were not are NULL. */
static pali_status copy_source(data_source *to, const pl_data_source *from, pali_error *err)
{
    to->options = *from;
    const char **const texts[] = {&to->options.path, &to->options.images, &to->options.prefix, &to->options.suffix};
    pali_status status = PALI_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (status != PALI_OK || (status = copy_text(texts[i], err)) != PALI_OK)
            *texts[i] = NULL;
    return status;
}

/* Its file: a folder stands for the annotations in it, as the community's data sets have them. */
static char *file_of(const char *path, pali_error *err)
{
    return pl_is_folder(path) ? pl_path_join(path, "annotations.jsonl", err) : pl_strdup(path, err);
}

static pali_status open_source(data_source *s, pali_error *err)
{
    const pl_data_source *const o = &s->options;
    if (!o->path || !*o->path)
        return pl_fail(err, PALI_USAGE, "data: a source has no path, expected a JSONL file");
    pali_status status = pl_template_check(o->prefix, "prefix", err);
    if (status == PALI_OK)
        status = pl_template_check(o->suffix, "suffix", err);
    char *const path = status == PALI_OK ? file_of(o->path, err) : NULL;
    if (!path)
        return pl_status_of(err, PALI_MEMORY);
    status = pl_row_index_open(&s->index, path, o->skip, o->limit, err);
    const char *const slash = strrchr(path, '/');
    s->folder = o->images ? pl_strdup(o->images, err) : pl_strndup(path, slash ? (size_t)(slash - path) + (slash == path) : 0, err);
    free(path);
    if (status == PALI_OK && !s->folder)
        status = PALI_MEMORY;
    if (status == PALI_OK && o->repeat > MOST_REPEAT)
        status = pl_fail(err, PALI_USAGE, "%s: repeat: found %zu, expected at most %d", o->path, o->repeat, MOST_REPEAT);
    s->visits = (uint64_t)s->index.count * pl_max(o->repeat, 1);
    return status;
}

/* Weights as whole numbers; those of a mixture are in use when the first source has one. */
static pali_status read_weights(pl_dataset *dataset, pali_error *err)
{
    const pl_data_options *const o = &dataset->options;
    double largest = 0;
    for (size_t i = 0; i < o->source_count; i++) {
        const pl_data_source *const s = &dataset->sources[i].options;
        if (!isfinite(s->weight) || s->weight < 0)
            return pl_fail(err, PALI_USAGE, "%s: weight: found %g, expected a number from 0 on", s->path, s->weight);
        if ((s->weight > 0) != (dataset->sources[0].options.weight > 0))
            return pl_fail(err, PALI_USAGE, "%s: found no weight, expected one, as other sources have weights", s->weight > 0 ? dataset->sources[0].options.path : s->path);
        if (s->weight > 0 && s->repeat > 1)
            return pl_fail(err, PALI_USAGE, "%s: found both a weight and repeat, expected one of them", s->path);
        largest = fmax(largest, s->weight);
    }
    if (largest == 0)
        return PALI_OK;
    dataset->shares = pl_new(o->source_count, sizeof *dataset->shares, "shares of a mixture", err);
    if (!dataset->shares)
        return PALI_MEMORY;
    for (size_t i = 0; i < o->source_count; i++)
        dataset->shares[i] = (uint32_t)fmax(1, nearbyint(0x1p24 * (dataset->sources[i].options.weight / largest)));
    return PALI_OK;
}

static pali_status open_sources(pl_dataset *dataset, const pl_data_options *options, pali_error *err)
{
    for (size_t i = 0; i < options->source_count; i++)
        dataset->sources[i].index.fd = -1;
    for (size_t i = 0; i < options->source_count; i++) {
        data_source *const s = &dataset->sources[i];
        pali_status status = copy_source(s, &options->sources[i], err);
        if (status == PALI_OK)
            status = open_source(s, err);
        if (status != PALI_OK)
            return status;
        dataset->given[i] = s->options;
        dataset->epoch += s->visits; /* of at most 2^32 lines a file, 10^6 times */
    }
    return read_weights(dataset, err);
}

pl_dataset *pl_dataset_open(const pl_data_options *options, pali_error *err)
{
    if (options->source_count == 0 || !options->tokenizer) {
        pl_fail(err, PALI_USAGE, "data: found no %s, expected one", options->tokenizer ? "source" : "tokenizer");
        return NULL;
    }
    pl_dataset *const dataset = pl_new(1, sizeof *dataset, "data", err);
    if (!dataset)
        return NULL;
    dataset->options = *options;
    dataset->sources = pl_new(options->source_count, sizeof *dataset->sources, "data", err);
    dataset->given = pl_new(options->source_count, sizeof *dataset->given, "data", err);
    dataset->options.sources = dataset->given;
    if (dataset->sources && dataset->given && open_sources(dataset, options, err) == PALI_OK)
        return dataset;
    pl_dataset_free(dataset);
    return NULL;
}

void pl_dataset_free(pl_dataset *dataset)
{
    if (!dataset)
        return;
    for (size_t i = 0; dataset->sources && i < dataset->options.source_count; i++) {
        data_source *const s = &dataset->sources[i];
        pl_row_index_close(&s->index);
        free((char *)(uintptr_t)s->options.path);
        free((char *)(uintptr_t)s->options.images);
        free((char *)(uintptr_t)s->options.prefix);
        free((char *)(uintptr_t)s->options.suffix);
        free(s->folder);
    }
    free(dataset->sources);
    free(dataset->given);
    free(dataset->shares);
    free(dataset);
}

/* ---- Asking ----------------------------------------------------------- */

const pl_data_options *pl_dataset_options(const pl_dataset *dataset)
{
    return &dataset->options;
}

size_t pl_dataset_rows(const pl_dataset *dataset, size_t source)
{
    return dataset->sources[source].index.count;
}

uint64_t pl_dataset_epoch(const pl_dataset *dataset)
{
    return dataset->epoch;
}

size_t pl_dataset_line(const pl_dataset *dataset, size_t source, size_t row)
{
    return dataset->sources[source].index.rows[row].line;
}

const char *pl_dataset_path(const pl_dataset *dataset, size_t source)
{
    return dataset->sources[source].index.path;
}

const char *pl_dataset_folder(const pl_dataset *dataset, size_t source)
{
    return dataset->sources[source].folder;
}

char *pl_dataset_read(const pl_dataset *dataset, size_t source, size_t row, size_t *length, pali_error *err)
{
    return pl_row_index_read(&dataset->sources[source].index, row, length, err);
}

/* ---- Order ------------------------------------------------------------ */

static uint64_t in_order(const pl_dataset *dataset, uint64_t tag, uint64_t epoch, uint64_t count, uint64_t i)
{
    return dataset->options.ordered ? i : pl_shuffle(pl_shuffle_key(dataset->options.seed, tag, epoch), count, i);
}

/* Each source goes through epochs of its own. */
static pl_place place_in_mixture(const pl_dataset *dataset, uint64_t n)
{
    const pl_mixture_draw draw = pl_mixture(dataset->options.seed, dataset->shares, dataset->options.source_count, n);
    const uint64_t count = dataset->sources[draw.source].index.count, visit = draw.index / count;
    return (pl_place){.n = n, .source = draw.source, .visit = visit, .row = (size_t)in_order(dataset, KEY_SOURCE + draw.source, visit, count, draw.index % count)};
}

pl_place pl_dataset_place(const pl_dataset *dataset, uint64_t n)
{
    if (dataset->shares)
        return place_in_mixture(dataset, n);
    const uint64_t epoch = n / dataset->epoch;
    uint64_t i = in_order(dataset, KEY_EPOCH, epoch, dataset->epoch, n % dataset->epoch);
    size_t at = 0;
    while (i >= dataset->sources[at].visits)
        i -= dataset->sources[at++].visits;
    const uint64_t count = dataset->sources[at].index.count;
    return (pl_place){.n = n, .source = at, .row = (size_t)(i % count), .visit = epoch * (dataset->sources[at].visits / count) + i / count};
}

/* ---- What was read ---------------------------------------------------- */

static void hash_text(uint64_t hash, char text[17])
{
    snprintf(text, 17, "%016llx", (unsigned long long)hash);
}

static json_t *identity_json(const pl_row_index *index)
{
    char hash[17];
    hash_text(index->hash, hash);
    return json_pack("{s:o, s:I, s:I, s:s}", "path", pl_json_string(index->path), "bytes", (json_int_t)index->size, "rows", (json_int_t)index->all, "hash", hash);
}

char *pl_dataset_identity(const pl_dataset *dataset, pali_error *err)
{
    json_t *const list = json_array();
    bool whole = list != NULL;
    for (size_t i = 0; whole && i < dataset->options.source_count; i++)
        whole = json_array_append_new(list, identity_json(&dataset->sources[i].index)) == 0;
    char *const text = whole ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    if (!text)
        pl_fail_memory(err, "identity of the data", 0);
    return text;
}

/* Where a file lies may change, what is in it not. */
static pali_status check_file(const pl_row_index *index, const json_t *was, pali_error *err)
{
    char hash[17];
    hash_text(index->hash, hash);
    const char *const then = json_string_value(json_object_get(was, "hash"));
    const json_int_t bytes = json_integer_value(json_object_get(was, "bytes")), rows = json_integer_value(json_object_get(was, "rows"));
    if (!then)
        return pl_fail(err, PALI_INPUT, "%s: what was saved of the data is not readable", index->path);
    if (strcmp(then, hash) == 0 && rows == (json_int_t)index->all)
        return PALI_OK;
    return pl_fail(err, PALI_INPUT, "%s: the file has changed since the run was saved: found %llu rows in %llu bytes (%s), expected %lld in %lld (%s); force=true goes on with it as it is", index->path,
                   (unsigned long long)index->all, (unsigned long long)index->size, hash, (long long)rows, (long long)bytes, then);
}

pali_status pl_dataset_check(const pl_dataset *dataset, const char *identity, pali_error *err)
{
    json_t *const list = json_loads(identity, 0, NULL);
    pali_status status = PALI_OK;
    if (!json_is_array(list))
        status = pl_fail(err, PALI_INPUT, "data: what was saved of the data is not readable");
    else if (json_array_size(list) != dataset->options.source_count)
        status = pl_fail(err, PALI_INPUT, "data: found %zu sources, expected the %zu that the run was saved with", dataset->options.source_count, json_array_size(list));
    for (size_t i = 0; status == PALI_OK && i < dataset->options.source_count; i++)
        status = check_file(&dataset->sources[i].index, json_array_get(list, i), err);
    json_decref(list);
    return status;
}
