/* pali_eval: rows in order through the public calls, one session for all. */
#include "base/clock.h"
#include "base/file.h"
#include "eval/report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pali/eval.h>

typedef struct measurement {
    const pali_eval_options *options;
    pali_session *session;
    pl_eval_rows rows;
    pl_eval_report report;
} measurement;

static bool same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* Hours of work should not end at a folder that cannot be written, nor with the rows overwritten. */
static pali_status check_writable(const char *path, const char *rows, pali_error *err)
{
    const char *const slash = strrchr(path, '/');
    char *const folder = slash ? pl_strndup(path, (size_t)(slash - path) + (slash == path), err) : pl_strdup(".", err);
    if (!folder)
        return PALI_MEMORY;
    pali_status status = PALI_OK;
    if (pl_is_folder(path))
        status = pl_fail(err, PALI_USAGE, "%s: is a folder, expected a file to write predictions to", path);
    else if (same_file(path, rows))
        status = pl_fail(err, PALI_USAGE, "%s: is the file of the rows, expected another to write predictions to", path);
    else if (access(folder, W_OK) != 0)
        status = pl_fail(err, PALI_USAGE, "%s: folder %s cannot be written", path, folder);
    free(folder);
    return status;
}

static pali_status show_images(pali_session *session, const pl_eval_row *row, pali_error *err)
{
    pali_image **const images = pl_new(row->image_count, sizeof *images, "images of a row", err);
    if (!images)
        return PALI_MEMORY;
    pali_status status = PALI_OK;
    size_t count = 0;
    for (; status == PALI_OK && count < row->image_count; count += status == PALI_OK) {
        pali_error own = {0};
        images[count] = pali_image_open(row->images[count], &own);
        if (!images[count])
            status = pl_fail(err, own.status ? own.status : PALI_INPUT, "%s", own.message);
    }
    if (status == PALI_OK)
        status = pali_session_set_images(session, images, count, err);
    for (size_t i = 0; i < count; i++)
        pali_image_free(images[i]);
    free(images);
    return status;
}

static pali_status measure_row(measurement *m, const pl_eval_row *row, bool same_images, pali_error *err)
{
    pali_status status = same_images ? PALI_OK : show_images(m->session, row, err);
    if (status != PALI_OK)
        return status;
    const pali_ask_options ask = {.size = sizeof ask, .max_tokens = m->options->max_tokens};
    pali_error own = {0};
    pali_answer *const answer = pali_ask(m->session, NULL, 0, row->prefix, &ask, &own);
    if (!answer)
        return pl_fail(err, own.status ? own.status : PALI_FAILED, "%s", own.message);
    pl_eval_likelihood likelihood = {0};
    if (m->options->likelihood)
        status = pali_score(m->session, row->prefix, row->suffixes[0], &likelihood.total, &likelihood.tokens, NULL, err);
    if (status == PALI_OK)
        status = pl_eval_report_add(&m->report, row, answer, likelihood, err);
    pali_answer_free(answer);
    return status;
}

static pali_status measure_rows(measurement *m, const char *path, pali_error *err)
{
    const pali_eval_options *const options = m->options;
    for (size_t i = 0; i < m->rows.count; i++) {
        const pl_eval_row *const row = &m->rows.items[i];
        if (options->progress)
            options->progress(options->progress_context, i, m->rows.count);
        const bool same_images = i > 0 && pl_eval_same_images(row, row - 1);
        const pali_status status = measure_row(m, row, same_images, err);
        if (status != PALI_OK) {
            pl_error_prefix(err, "%s:%zu", path, row->line);
            return status;
        }
    }
    if (options->progress)
        options->progress(options->progress_context, m->rows.count, m->rows.count);
    return PALI_OK;
}

static char *measure(measurement *m, pali_model *model, const char *path, pali_error *err)
{
    const pali_eval_options *const options = m->options;
    const double started = pl_now();
    if (options->predictions && check_writable(options->predictions, path, err) != PALI_OK)
        return NULL;
    if (pl_eval_rows_read(path, options->limit, &m->rows, err) != PALI_OK)
        return NULL;
    m->session = pali_session_new(model, NULL, err);
    if (!m->session || measure_rows(m, path, err) != PALI_OK)
        return NULL;
    char *const metrics = pl_eval_report_json(&m->report, pl_now() - started, err);
    if (!metrics || !options->predictions)
        return metrics;
    if (pl_file_write(options->predictions, m->report.predictions.data, m->report.predictions.length, err) == PALI_OK)
        return metrics;
    free(metrics);
    return NULL;
}

char *pali_eval(pali_model *model, const char *rows_path, const pali_eval_options *options, pali_error *err)
{
    pali_eval_options own = {0};
    if (options)
        memcpy(&own, options, options->size && options->size < sizeof own ? options->size : sizeof own);
    if (!model || !rows_path) {
        pl_fail(err, PALI_USAGE, "pali_eval: the %s is NULL", model ? "path" : "model");
        return NULL;
    }
    measurement m = {.options = &own, .report = {.keep_predictions = own.predictions != NULL}};
    char *const metrics = measure(&m, model, rows_path, err);
    if (m.session)
        pali_session_free(m.session);
    pl_eval_rows_free(&m.rows);
    pl_eval_report_free(&m.report);
    return metrics;
}
