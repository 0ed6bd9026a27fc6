/* pali_batch: the rows of a file, the runner, and the output, put together. */
#include <pali/batch.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "batch/line.h"
#include "batch/output.h"
#include "formats/json.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_BATCH = 4096 };

typedef struct batch {
    const pali_batch_options *options;
    pl_row_file rows;
    pl_row_defaults defaults;
    pl_batch_output output;
    pali_batch_report report; /* of what is in the file */
    pali_batch_report next;   /* and with what is to be written */
} batch;

/* ---- What decides the lines ------------------------------------------- */

/* The latest change of a file, or of the files of a folder (not of those in folders below it); 0: there is none. */
static json_int_t changed(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return 0;
    if (!S_ISDIR(info.st_mode))
        return (json_int_t)info.st_mtime;
    json_int_t latest = 0;
    DIR *const folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        char *const name = pl_path_join(path, entry->d_name, NULL);
        if (name && pl_is_file(name) && stat(name, &info) == 0 && (json_int_t)info.st_mtime > latest)
            latest = (json_int_t)info.st_mtime;
        free(name);
    }
    if (folder)
        closedir(folder);
    return latest;
}

/* A path that does not depend on the folder one is in. */
static json_t *path_json(const char *path)
{
    char whole[PATH_MAX];
    return pl_json_string(realpath(path, whole) ? whole : path);
}

static json_t *files_json(const pali_batch_options *o)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < o->file_count; i++)
        json_array_append_new(list, json_pack("{s:o, s:I}", "path", path_json(o->files[i]), "changed", changed(o->files[i])));
    return list;
}

/* "name=value" as keys and values, so that a difference has a name. */
static json_t *settings_json(const pali_batch_options *o)
{
    json_t *const object = json_object();
    for (size_t i = 0; i < o->setting_count; i++) {
        const size_t length = strcspn(o->settings[i], "=");
        char *const name = pl_strndup(o->settings[i], length, NULL);
        if (name)
            json_object_set_new(object, name, pl_json_string(o->settings[i] + length + (o->settings[i][length] == '=')));
        free(name);
    }
    return object;
}

static json_t *text_or_null(const char *text)
{
    return text ? pl_json_string(text) : json_null();
}

static json_t *texts_json(const char *const *texts, size_t count)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, pl_json_string(texts[i]));
    return list;
}

/* How tokens are chosen. The caller's own constraint is a function, of which only that there is one can be told. */
static json_t *ask_json(const pali_ask_options *ask)
{
    return json_pack("{s:I, s:f, s:f, s:I, s:I, s:b, s:b, s:o, s:I, s:I, s:o, s:o, s:o, s:b}", "max_tokens", (json_int_t)ask->max_tokens, "temperature",
                     (double)ask->temperature, "top_p", (double)ask->top_p, "top_k", (json_int_t)ask->top_k, "seed", (json_int_t)ask->seed, "logprobs", ask->logprobs,
                     "special", ask->special, "start", text_or_null(ask->start), "beams", (json_int_t)ask->beams, "best_of", (json_int_t)ask->best_of, "constrain",
                     text_or_null(ask->constrain), "labels", texts_json(ask->labels, ask->label_count), "choices", texts_json(ask->choices, ask->choice_count),
                     "constraint", ask->constraint != NULL);
}

/* Which objects are told, and how sure. */
static json_t *objects_json(const pali_ask_options *ask)
{
    return json_pack("{s:I, s:b, s:f, s:f, s:I, s:o, s:b}", "max_objects", (json_int_t)ask->max_objects, "confidence", ask->confidence, "min_confidence",
                     (double)ask->min_confidence, "nms", (double)ask->nms, "top_objects", (json_int_t)ask->top_objects, "noise_token", text_or_null(ask->noise_token),
                     "calibration", ask->calibration != NULL);
}

static json_t *options_json(const pali_batch_options *o, const pali_ask_options *ask)
{
    json_t *const object = ask_json(ask), *const objects = objects_json(ask);
    json_object_update(object, objects);
    json_decref(objects);
    json_object_set_new(object, "prompt", text_or_null(o->prompt));
    json_object_set_new(object, "frames", json_integer((json_int_t)o->frames));
    json_object_set_new(object, "stride", json_integer((json_int_t)o->stride));
    json_object_set_new(object, "timings", json_boolean(o->timings));
    return object;
}

static json_t *model_json(const pali_model *model)
{
    pali_model_info info = {0};
    if (pali_model_describe(model, &info, NULL) != PALI_OK)
        return NULL;
    return json_pack("{s:o, s:I, s:I, s:s, s:s, s:o, s:I}", "path", path_json(info.path), "bytes", (json_int_t)info.weight_bytes, "changed", changed(info.path), "preprocess",
                     info.preprocess, "cpu", info.cpu, "codec", info.codec ? path_json(info.codec) : json_null(), "codec_changed",
                     info.codec ? changed(info.codec) : 0);
}

static json_t *rows_json(const batch *b)
{
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)pl_hash(b->rows.text, b->rows.size));
    const size_t shards = b->options->shards ? b->options->shards : 1;
    return json_pack("{s:I, s:s, s:I, s:I}", "bytes", (json_int_t)b->rows.size, "hash", hash, "shard", (json_int_t)(shards > 1 ? b->options->shard : 1), "shards",
                     (json_int_t)shards);
}

/* Everything that makes lines what they are; neither threads nor the size of a batch do. NULL when memory is short. */
static json_t *notes_json(const batch *b, const pali_model *model, const pali_ask_options *ask)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "pali batch", pali_version(), "rows", rows_json(b), "model", model_json(model), "options", options_json(b->options, ask),
                     "settings", settings_json(b->options), "files", files_json(b->options));
}

/* ---- The run ---------------------------------------------------------- */

static pali_status read_row(void *context, size_t i, pl_row *row, pali_error *err)
{
    const batch *const b = context;
    return pl_row_read(&b->rows, i, &b->defaults, row, err);
}

static pali_status check_line(void *context, size_t i, const json_t *line, pali_error *err)
{
    const batch *const b = context;
    if (i >= b->rows.count)
        return pl_fail(err, PALI_USAGE, "found more lines than the %zu rows; it is not as a batch left it", b->rows.count);
    pl_row row;
    pl_row_read(&b->rows, i, &b->defaults, &row, NULL); /* a wrong row has its line too */
    const pali_status status = pl_batch_line_check(line, &row, err);
    pl_row_free(&row);
    return status;
}

static pali_status finish_row(void *context, size_t i, const pl_outcome *outcome, pali_error *err)
{
    (void)i;
    batch *const b = context;
    char *const line = pl_batch_line(outcome, b->options->timings, err);
    if (!line)
        return PALI_MEMORY;
    const pali_status status = pl_batch_output_add(&b->output, line, err);
    free(line);
    b->next.done++;
    if (!outcome->answer && b->next.failed++ == 0)
        b->next.first_failed = outcome->row->number;
    return status;
}

static pali_status flush(void *context, pali_error *err)
{
    batch *const b = context;
    const pali_status status = pl_batch_output_flush(&b->output, b->next.done == b->next.rows, err);
    if (status == PALI_OK)
        b->report = b->next;
    return status;
}

static bool stop(void *context)
{
    const pali_batch_options *const o = ((const batch *)context)->options;
    return o->stop && o->stop(o->stop_context);
}

static void progress(void *context, size_t done)
{
    const batch *const b = context;
    if (b->options->progress)
        b->options->progress(b->options->progress_context, done, b->report.rows);
}

static pali_status run(batch *b, pali_model *model, const pali_ask_options *ask, pali_error *err)
{
    const pl_rows_job job = {
        .first = b->output.lines,
        .count = b->rows.count,
        .batch = b->options->batch ? b->options->batch : pl_rows_batch(model, b->options->frames, ask),
        .decoders = b->options->decoders ? b->options->decoders : pl_rows_decoders(model),
        .ask = *ask,
        .read = read_row,
        .finish = finish_row,
        .flush = flush,
        .stop = stop,
        .progress = progress,
        .context = b,
    };
    progress(b, job.first);
    return job.first < job.count ? pl_rows_run(model, &job, err) : PALI_OK;
}

static pali_status check(const pali_model *model, const char *rows, const char *output, const pali_batch_options *o, pali_error *err)
{
    if (!model || !rows || !output)
        return pl_fail(err, PALI_USAGE, "pali_batch: the %s is NULL", !model ? "model" : !rows ? "path of the rows" : "path of the output");
    if (o->batch > MOST_BATCH)
        return pl_fail(err, PALI_USAGE, "batch: found %zu rows, expected at most %d", o->batch, MOST_BATCH);
    if (o->shards && (o->shard < 1 || o->shard > o->shards))
        return pl_fail(err, PALI_USAGE, "shard: found %zu of %zu, expected one from 1 on", o->shard, o->shards);
    if (o->frames > PL_ROW_MOST_IMAGES)
        return pl_fail(err, PALI_USAGE, "frames: found %zu, expected at most %d", o->frames, PL_ROW_MOST_IMAGES);
    if (pl_same_file(rows, output))
        return pl_fail(err, PALI_USAGE, "%s: is the file of the rows, expected another to write answers to", output);
    return PALI_OK;
}

static pali_status answer_rows(batch *b, pali_model *model, const char *rows, const char *output, const pali_ask_options *ask, pali_error *err)
{
    const pali_batch_options *const o = b->options;
    pali_status status = pl_row_file_open(&b->rows, rows, o->shard, o->shards, err);
    if (status != PALI_OK)
        return status;
    b->report.rows = b->rows.count;
    json_t *const notes = notes_json(b, model, ask);
    const pl_output_claim claim = {.path = output, .notes = notes, .force = o->force, .check = check_line, .context = b};
    status = notes ? pl_batch_output_open(&b->output, &claim, err) : pl_fail_memory(err, "notes of the run", 0);
    json_decref(notes);
    if (status != PALI_OK)
        return status;
    b->report.done = b->report.resumed = b->output.lines;
    b->report.failed = b->output.failed;
    b->report.first_failed = b->output.first_failed;
    b->next = b->report;
    return run(b, model, ask, err);
}

/* Copies as much of an options struct as its owner's version has. */
static void take(void *own, size_t size, const void *given, size_t given_size)
{
    if (given)
        memcpy(own, given, given_size && given_size < size ? given_size : size);
}

pali_status pali_batch(pali_model *model, const char *rows, const char *output, const pali_batch_options *options, pali_batch_report *report, pali_error *err)
{
    const double start = pl_now();
    pali_batch_options own = {0};
    pali_ask_options ask = {0};
    take(&own, sizeof own, options, options ? options->size : 0);
    take(&ask, sizeof ask, own.ask, own.ask ? own.ask->size : 0);
    ask.size = sizeof ask;
    ask.on_text = NULL;
    batch b = {.options = &own, .defaults = {.prompt = own.prompt, .frames = own.frames, .stride = own.stride}, .output = {.fd = -1}, .report = {.size = sizeof b.report}};
    pali_status status = check(model, rows, output, &own, err);
    if (status == PALI_OK)
        status = answer_rows(&b, model, rows, output, &ask, err);
    pl_batch_output_close(&b.output);
    pl_row_file_close(&b.rows);
    b.report.seconds = pl_now() - start;
    if (report) {
        const size_t size = report->size ? report->size : sizeof *report;
        take(report, size < sizeof b.report ? size : sizeof b.report, &b.report, 0);
        report->size = size;
    }
    return status;
}
