/* Samples to figures, and to a calibration file (answer/calibration.h has its shape). */
#include "eval/reliability.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *figures_json(const pl_samples *sorted)
{
    const pl_reliability r = pl_reliability_of(sorted->items, sorted->count);
    return json_pack("{s:I, s:I, s:f, s:f, s:f}", "samples", (json_int_t)r.samples, "right", (json_int_t)r.right, "mean_score", r.mean_score, "ece", r.ece, "brier", r.brier);
}

/* The same of scores that went through the calibration. */
static json_t *calibrated_json(const pl_samples *samples, const pali_calibration *calibration, pali_calibrated kind, pali_error *err)
{
    pl_samples mapped = {0};
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < samples->count; i++) {
        pl_sample sample = samples->items[i];
        sample.score = pl_calibration_apply(calibration, kind, sample.label, sample.score);
        status = pl_samples_add(&mapped, sample, err);
    }
    pl_samples_sort(&mapped);
    json_t *const object = status == PALI_OK ? figures_json(&mapped) : NULL;
    free(mapped.items);
    return object;
}

json_t *pl_reliability_json(pl_samples samples[PALI_CALIBRATED_KINDS], const pali_calibration *calibration, pali_error *err)
{
    json_t *const object = json_object();
    for (size_t kind = 0; kind < PALI_CALIBRATED_KINDS; kind++) {
        if (samples[kind].count == 0)
            continue;
        pl_samples_sort(&samples[kind]);
        char name[32];
        snprintf(name, sizeof name, "%s_calibrated", pl_calibrated_names[kind]);
        bool good = json_object_set_new(object, pl_calibrated_names[kind], figures_json(&samples[kind])) == 0;
        if (good && calibration)
            good = json_object_set_new(object, name, calibrated_json(&samples[kind], calibration, (pali_calibrated)kind, err)) == 0;
        if (!good) {
            json_decref(object);
            pl_fail_memory(err, "metrics", 0);
            return NULL;
        }
    }
    return object;
}

static size_t count_right(const pl_samples *samples)
{
    size_t right = 0;
    for (size_t i = 0; i < samples->count; i++)
        right += samples->items[i].right;
    return right;
}

static bool is_enough(const pl_samples *samples, size_t least, size_t of_each)
{
    const size_t right = count_right(samples);
    return samples->count >= least && right >= of_each && samples->count - right >= of_each;
}

/* {"samples", "right", "points"}; new. */
static json_t *curve_json(const pl_samples *sorted, pali_error *err)
{
    pl_curve_point *points = NULL;
    size_t count = 0;
    if (pl_isotonic_fit(sorted->items, sorted->count, &points, &count, err) != PALI_OK)
        return NULL;
    json_t *const list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("[f, f]", points[i].score, points[i].probability));
    free(points);
    return json_pack("{s:I, s:I, s:o}", "samples", (json_int_t)sorted->count, "right", (json_int_t)count_right(sorted), "points", list);
}

/* The sorted samples of the label of samples[first], unless an earlier one has it. */
static pali_status samples_of_label(const pl_samples *samples, size_t first, pl_samples *own, pali_error *err)
{
    const char *const label = samples->items[first].label;
    pali_status status = PALI_OK;
    for (size_t i = 0; label && i < samples->count && status == PALI_OK; i++) {
        if (!samples->items[i].label || strcmp(samples->items[i].label, label) != 0)
            continue;
        if (i < first)
            break;
        status = pl_samples_add(own, samples->items[i], err);
    }
    return status;
}

/* {label: curve} of the labels with enough samples; new. */
static json_t *labels_json(const pl_samples *sorted, pali_error *err)
{
    json_t *const labels = json_object();
    for (size_t i = 0; i < sorted->count; i++) {
        pl_samples own = {0};
        pali_status status = samples_of_label(sorted, i, &own, err);
        if (status == PALI_OK && is_enough(&own, PL_FIT_LABEL, PL_FIT_LABEL_OF_EACH) &&
            json_object_set_new(labels, own.items[0].label, curve_json(&own, err)) != 0)
            status = PALI_MEMORY;
        free(own.items);
        if (status != PALI_OK) {
            json_decref(labels);
            return NULL;
        }
    }
    return labels;
}

/* Adds a kind's curves to the file and its figures to the summary. */
static pali_status fit_kind(const char *name, pl_samples *samples, json_t *file, json_t *summary, pali_error *err)
{
    if (!is_enough(samples, PL_FIT_LEAST, PL_FIT_LEAST_OF_EACH)) {
        json_object_set_new(summary, name, json_null());
        return PALI_OK;
    }
    pl_samples_sort(samples);
    json_t *const curve = curve_json(samples, err), *const labels = labels_json(samples, err);
    if (!curve || json_object_set_new(curve, "labels", labels) != 0 || json_object_set_new(file, name, curve) != 0)
        return pl_fail_memory(err, "calibration", 0);
    json_object_set_new(summary, name, json_pack("{s:I, s:O, s:I, s:I}", "samples", (json_int_t)samples->count, "right", json_object_get(curve, "right"),
        "points", (json_int_t)json_array_size(json_object_get(curve, "points")), "labels", (json_int_t)json_object_size(labels)));
    return PALI_OK;
}

static json_t *model_json(const char *name, const pali_model_info *model)
{
    json_t *const text = json_string(name); /* NULL where it is not UTF-8 */
    return json_pack("{s:o, s:s, s:I, s:I, s:I}", "name", text ? text : json_null(), "family", model->family, "parameters", (json_int_t)model->parameters, "image_size",
        (json_int_t)model->image_size, "vocabulary", (json_int_t)model->vocabulary);
}

static pali_status write_json(const char *path, const json_t *file, pali_error *err)
{
    char *const text = json_dumps(file, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    if (!text)
        return pl_fail_memory(err, "calibration", 0);
    const pali_status status = pl_file_write(path, text, strlen(text), err);
    free(text);
    return status;
}

pali_status pl_calibration_write(const char *path, const char *model_name, const pali_model_info *model, pl_samples samples[PALI_CALIBRATED_KINDS], json_t **summary, pali_error *err)
{
    json_t *const file = json_pack("{s:i, s:s, s:o}", "pali_calibration", 1, "kind", "isotonic", "model", model_json(model_name, model));
    json_t *const figures = json_pack("{s:s}", "file", path);
    pali_status status = file && figures ? PALI_OK : pl_fail_memory(err, "calibration", 0);
    for (size_t kind = 0; status == PALI_OK && kind < PALI_CALIBRATED_KINDS; kind++)
        status = fit_kind(pl_calibrated_names[kind], &samples[kind], file, figures, err);
    if (status == PALI_OK && json_object_size(file) == 3)
        status = pl_fail(err, PALI_INPUT, "%s: not written: found %zu boxes, %zu masks and %zu texts with a score, expected %d of one of them, %d right and %d wrong ones among them",
            path, samples[PALI_CALIBRATED_BOX].count, samples[PALI_CALIBRATED_MASK].count, samples[PALI_CALIBRATED_TEXT].count, PL_FIT_LEAST, PL_FIT_LEAST_OF_EACH, PL_FIT_LEAST_OF_EACH);
    if (status == PALI_OK)
        status = write_json(path, file, err);
    json_decref(file);
    if (status == PALI_OK)
        *summary = figures;
    else
        json_decref(figures);
    return status;
}
