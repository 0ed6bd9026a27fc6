/* pali_eval: rows through the runner of batches, in order, and what they give into the report. */
#include "base/clock.h"
#include "base/file.h"
#include "batch/runner.h"
#include "eval/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pali/eval.h>

typedef struct measurement {
    const pali_eval_options *options;
    const char *path; /* of the rows */
    pl_eval_rows rows;
    pl_eval_report report;
    pali_model_info info;
    pl_codec *codec;               /* owned; NULL: the model has none */
    pali_calibration *calibration; /* owned; NULL: none asked for */
    bool named;                    /* the error has the row's line */
} measurement;

enum { MOST_BATCH = 4096 };

/* Hours of work should not end at a folder that cannot be written, nor with the rows overwritten. */
static pali_status check_writable(const char *path, const char *what, const char *rows, pali_error *err)
{
    if (!path)
        return PALI_OK;
    const char *const slash = strrchr(path, '/');
    char *const folder = slash ? pl_strndup(path, (size_t)(slash - path) + (slash == path), err) : pl_strdup(".", err);
    if (!folder)
        return PALI_MEMORY;
    pali_status status = PALI_OK;
    if (pl_is_folder(path))
        status = pl_fail(err, PALI_USAGE, "%s: is a folder, expected a file to write %s to", path, what);
    else if (pl_same_file(path, rows))
        status = pl_fail(err, PALI_USAGE, "%s: is the file of the rows, expected another to write %s to", path, what);
    else if (access(folder, W_OK) != 0)
        status = pl_fail(err, PALI_USAGE, "%s: folder %s cannot be written", path, folder);
    free(folder);
    return status;
}

/* The runner's row of one of ours. */
static pali_status hand_out(void *context, size_t i, pl_row *out, pali_error *err)
{
    const pl_eval_row *const row = &((const measurement *)context)->rows.items[i];
    *out = (pl_row){.number = row->line, .prompt = row->prefix};
    out->paths = pl_new(row->image_count, sizeof *out->paths, "images of a row", err);
    for (; out->paths && out->path_count < row->image_count; out->path_count++)
        if (!(out->paths[out->path_count] = pl_strdup(row->images[out->path_count], err)))
            return PALI_MEMORY;
    return out->paths ? PALI_OK : PALI_MEMORY;
}

static pali_status measure_answer(measurement *m, const pl_eval_row *row, const pl_outcome *outcome, pali_error *err)
{
    if (!outcome->answer)
        return pl_fail(err, pl_status_of(outcome->why, PALI_FAILED), "%s", outcome->why->message);
    pl_eval_likelihood likelihood = {0};
    pali_status status = PALI_OK;
    if (m->options->likelihood)
        status = outcome->session ? pali_score(outcome->session, row->prefix, row->suffixes[0], &likelihood.total, &likelihood.tokens, NULL, err) : pl_fail_memory(err, "likelihood", 0);
    m->report.maker.width = outcome->sizes[0].width;
    m->report.maker.height = outcome->sizes[0].height;
    if (status == PALI_OK)
        status = pl_eval_report_add(&m->report, row, outcome->answer, likelihood, err);
    return status;
}

/* The first row that fails ends it. */
static pali_status take_back(void *context, size_t i, const pl_outcome *outcome, pali_error *err)
{
    measurement *const m = context;
    const pl_eval_row *const row = &m->rows.items[i];
    const pali_status status = measure_answer(m, row, outcome, err);
    if (status != PALI_OK)
        pl_error_prefix(err, "%s:%zu", m->path, row->line);
    m->named = status != PALI_OK;
    return status;
}

static void tell_progress(void *context, size_t done)
{
    const measurement *const m = context;
    if (m->options->progress)
        m->options->progress(m->options->progress_context, done, m->rows.count);
}

/* The pictures of the row that has most of them. */
static size_t most_images(const pl_eval_rows *rows)
{
    size_t most = 1;
    for (size_t i = 0; i < rows->count; i++)
        most = pl_max(most, rows->items[i].image_count);
    return most;
}

static pali_status measure_rows(measurement *m, pali_model *model, pali_error *err)
{
    const pali_eval_options *const options = m->options;
    const pali_ask_options ask = {.size = sizeof ask, .max_tokens = options->max_tokens, .confidence = !options->no_confidence, .constrain = options->constrain, .beams = options->beams};
    const pl_rows_job job = {
        .count = m->rows.count,
        .batch = options->batch ? options->batch : pl_rows_batch(model, most_images(&m->rows), &ask),
        .decoders = pl_rows_decoders(model),
        .ask = ask,
        .read = hand_out,
        .finish = take_back,
        .progress = tell_progress,
        .context = m,
    };
    tell_progress(m, 0);
    const pali_status status = pl_rows_run(model, &job, err);
    if (status != PALI_OK && !m->named)
        pl_error_prefix(err, "%s", m->path);
    return status;
}

/* What can be wrong before hours of work. */
static pali_status prepare(measurement *m, pali_model *model, pali_error *err)
{
    const char *const path = m->path;
    const pali_eval_options *const options = m->options;
    pali_status status = check_writable(options->predictions, "predictions", path, err);
    if (status == PALI_OK)
        status = check_writable(options->fit_calibration, "a calibration", path, err);
    if (status == PALI_OK && (options->fit_calibration || options->calibration) && options->no_confidence)
        status = pl_fail(err, PALI_USAGE, "a calibration is of confidences, found both %s and no_confidence", options->fit_calibration ? "fit_calibration" : "calibration");
    if (status == PALI_OK && options->fit_calibration && options->predictions && strcmp(options->fit_calibration, options->predictions) == 0)
        status = pl_fail(err, PALI_USAGE, "%s: is to hold the predictions, expected another file to write a calibration to", options->predictions);
    if (status == PALI_OK)
        status = pl_eval_rows_read(path, options->limit, &m->rows, err);
    if (status == PALI_OK)
        status = pali_model_describe(model, &m->info, err);
    if (status == PALI_OK && options->calibration) {
        m->calibration = pl_calibration_open(options->calibration, err);
        status = m->calibration ? pl_calibration_check(m->calibration, &m->info, err) : pl_status_of(err, PALI_MODEL);
    }
    if (status == PALI_OK && m->info.codec && !(m->codec = pl_codec_open(m->info.codec, err)))
        status = pl_status_of(err, PALI_MODEL);
    m->report.calibration = m->calibration;
    m->report.maker = (pl_mask_maker){.codec = m->codec, .hands = {.kernels = pl_kernels_get(NULL, NULL)}};
    return status;
}

/* The last part of a path, for people to tell models apart by. */
static const char *last_part(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static pali_status write_files(measurement *m, json_t *metrics, pali_error *err)
{
    const pali_eval_options *const options = m->options;
    pali_status status = PALI_OK;
    if (options->predictions)
        status = pl_file_write(options->predictions, m->report.predictions.data, m->report.predictions.length, err);
    json_t *summary = NULL;
    if (status == PALI_OK && options->fit_calibration)
        status = pl_calibration_write(options->fit_calibration, last_part(m->info.path), &m->info, m->report.samples, &summary, err);
    if (summary && json_object_set_new(metrics, "calibration", summary) != 0)
        status = pl_fail_memory(err, "metrics", 0);
    return status;
}

static char *measure(measurement *m, pali_model *model, pali_error *err)
{
    const double started = pl_now();
    if (prepare(m, model, err) != PALI_OK || measure_rows(m, model, err) != PALI_OK)
        return NULL;
    json_t *const metrics = pl_eval_report_json(&m->report, pl_now() - started, err);
    if (!metrics)
        return NULL;
    char *text = NULL;
    if (write_files(m, metrics, err) == PALI_OK && !(text = json_dumps(metrics, JSON_COMPACT | JSON_REAL_PRECISION(12))))
        pl_fail_memory(err, "metrics", 0);
    json_decref(metrics);
    return text;
}

char *pali_eval(pali_model *model, const char *rows_path, const pali_eval_options *options, pali_error *err)
{
    pali_eval_options own = {0};
    if (options)
        memcpy(&own, options, options->size && options->size < sizeof own ? options->size : sizeof own);
    if (own.batch > MOST_BATCH) {
        pl_fail(err, PALI_USAGE, "pali_eval: found a batch of %zu rows, expected at most %d", own.batch, MOST_BATCH);
        return NULL;
    }
    if (!model || !rows_path) {
        pl_fail(err, PALI_USAGE, "pali_eval: the %s is NULL", model ? "path" : "model");
        return NULL;
    }
    measurement m = {.options = &own, .path = rows_path, .report = {.keep_predictions = own.predictions != NULL}};
    char *const metrics = measure(&m, model, err);
    pl_codec_free(m.codec);
    pl_calibration_free(m.calibration);
    pl_eval_rows_free(&m.rows);
    pl_eval_report_free(&m.report);
    return metrics;
}
