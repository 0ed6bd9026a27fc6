/* Reading a calibration file and looking up its curves. Nothing in it is believed unchecked. */
#include "answer/calibration.h"

#include "formats/json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, MOST_POINTS = 1000000 };

const char *const pl_calibrated_names[PALI_CALIBRATED_KINDS] = {"boxes", "masks", "text"};

static bool is_share(const json_t *value)
{
    const double x = json_number_value(value);
    return json_is_number(value) && x >= 0 && x <= 1;
}

/* Points of the list; `field` names it in messages. */
static pali_status read_points(const pl_json *json, const char *field, const json_t *list, pl_curve *curve, pali_error *err)
{
    const size_t count = json_array_size(list);
    if (count == 0 || count > MOST_POINTS)
        return pl_fail(err, PALI_MODEL, "%s: field %s: found %s of %zu points, expected a list of 1 to %d", pl_json_path(json), field, list ? "a list" : "nothing", count, MOST_POINTS);
    curve->points = pl_new(count, sizeof *curve->points, "calibration", err);
    if (!curve->points)
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const json_t *const pair = json_array_get(list, i), *const score = json_array_get(pair, 0), *const probability = json_array_get(pair, 1);
        if (json_array_size(pair) != 2 || !is_share(score) || !is_share(probability))
            return pl_fail(err, PALI_MODEL, "%s: field %s: point %zu is not a score and a probability, two numbers from 0 to 1", pl_json_path(json), field, i + 1);
        curve->points[i] = (pl_curve_point){json_number_value(score), json_number_value(probability)};
        if (i && (curve->points[i].score <= curve->points[i - 1].score || curve->points[i].probability < curve->points[i - 1].probability))
            return pl_fail(err, PALI_MODEL, "%s: field %s: point %zu does not rise: found (%g, %g) after (%g, %g)", pl_json_path(json), field, i + 1,
                curve->points[i].score, curve->points[i].probability, curve->points[i - 1].score, curve->points[i - 1].probability);
    }
    curve->count = count;
    return PALI_OK;
}

/* The curve of one object {"points"}; label NULL: of all labels. */
static pali_status read_curve(const pl_json *json, const char *field, const json_t *object, const char *label, pl_curves *curves, pali_error *err)
{
    const pali_status status = pl_grow(&curves->items, &curves->capacity, curves->count + 1, sizeof *curves->items, "calibration", err);
    if (status != PALI_OK)
        return status;
    pl_curve *const curve = &curves->items[curves->count++];
    *curve = (pl_curve){0};
    if (label && !(curve->label = pl_strdup(label, err)))
        return PALI_MEMORY;
    return read_points(json, field, json_object_get(object, "points"), curve, err);
}

static pali_status read_kind(const pl_json *json, const char *name, pl_curves *curves, pali_error *err)
{
    const json_t *const object = pl_json_at(json, name);
    if (!object)
        return PALI_OK;
    if (!json_is_object(object))
        return pl_json_refuse(json, name, "an object", err);
    char field[160];
    snprintf(field, sizeof field, "%s.points", name);
    pali_status status = read_curve(json, field, object, NULL, curves, err);
    json_t *const labels = json_object_get(object, "labels");
    if (status == PALI_OK && labels && !json_is_object(labels)) {
        snprintf(field, sizeof field, "%s.labels", name);
        return pl_json_refuse(json, field, "an object", err);
    }
    const char *label;
    json_t *value;
    json_object_foreach(labels, label, value) {
        char shown[80];
        snprintf(field, sizeof field, "%s.labels.%s.points", name, pl_printable(label, strlen(label), shown));
        if (status == PALI_OK)
            status = read_curve(json, field, value, label, curves, err);
    }
    return status;
}

static pali_status read_model(const pl_json *json, pali_calibration *calibration, pali_error *err)
{
    const char *family = "";
    int64_t parameters = 0;
    pali_status status = pl_json_get_string(json, "model.family", &family, err);
    if (status == PALI_OK)
        status = pl_json_get_i64(json, "model.parameters", &parameters, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "model.image_size", &calibration->image_size, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "model.vocabulary", &calibration->vocabulary, err);
    calibration->parameters = parameters > 0 ? (uint64_t)parameters : 0;
    if (status == PALI_OK && !(calibration->family = pl_strdup(family, err)))
        status = PALI_MEMORY;
    return status;
}

static pali_status read_file(const pl_json *json, pali_calibration *calibration, pali_error *err)
{
    int64_t version = 0;
    const char *kind = "";
    pali_status status = pl_json_get_i64(json, "pali_calibration", &version, err);
    if (status == PALI_OK && version != VERSION)
        return pl_json_refuse(json, "pali_calibration", "1, the version of a calibration file", err);
    if (status == PALI_OK)
        status = pl_json_get_string(json, "kind", &kind, err);
    if (status == PALI_OK && strcmp(kind, "isotonic") != 0)
        return pl_json_refuse(json, "kind", "\"isotonic\"", err);
    if (status == PALI_OK)
        status = read_model(json, calibration, err);
    bool any = false;
    for (size_t i = 0; status == PALI_OK && i < PALI_CALIBRATED_KINDS; i++) {
        status = read_kind(json, pl_calibrated_names[i], &calibration->curves[i], err);
        any = any || calibration->curves[i].count > 0;
    }
    if (status == PALI_OK && !any)
        return pl_fail(err, PALI_MODEL, "%s: found none of the fields boxes, masks and text, expected one at least", pl_json_path(json));
    return status;
}

static pali_calibration *read_and_close(pl_json *json, pali_error *err)
{
    pali_calibration *const calibration = json ? pl_new(1, sizeof *calibration, "calibration", err) : NULL;
    const bool good = calibration && (calibration->path = pl_strdup(pl_json_path(json), err)) != NULL && read_file(json, calibration, err) == PALI_OK;
    pl_json_close(json);
    if (good)
        return calibration;
    pl_calibration_free(calibration);
    return NULL;
}

pali_calibration *pl_calibration_open(const char *path, pali_error *err)
{
    return read_and_close(pl_json_open(path, err), err);
}

pali_calibration *pl_calibration_open_memory(const void *bytes, size_t size, const char *name, pali_error *err)
{
    return read_and_close(pl_json_open_memory(bytes, size, name, err), err);
}

void pl_calibration_free(pali_calibration *calibration)
{
    if (!calibration)
        return;
    for (size_t kind = 0; kind < PALI_CALIBRATED_KINDS; kind++) {
        pl_curves *const curves = &calibration->curves[kind];
        for (size_t i = 0; i < curves->count; i++) {
            free(curves->items[i].label);
            free(curves->items[i].points);
        }
        free(curves->items);
    }
    free(calibration->family);
    free(calibration->path);
    free(calibration);
}

pali_status pl_calibration_check(const pali_calibration *calibration, const pali_model_info *model, pali_error *err)
{
    if (strcmp(calibration->family, model->family) == 0 && calibration->parameters == model->parameters && calibration->image_size == model->image_size &&
        calibration->vocabulary == model->vocabulary)
        return PALI_OK;
    return pl_fail(err, PALI_MODEL, "%s: fitted on a %.40s of %llu parameters, %zu pixels a side and %zu rows of embedding, expected one for this %s of %llu, %zu and %zu",
        calibration->path, calibration->family, (unsigned long long)calibration->parameters, calibration->image_size, calibration->vocabulary, model->family,
        (unsigned long long)model->parameters, model->image_size, model->vocabulary);
}

double pl_curve_at(const pl_curve_point *points, size_t count, double score)
{
    size_t low = 0, high = count;
    while (low < high) { /* the first point beyond the score */
        const size_t middle = low + (high - low) / 2;
        if (points[middle].score <= score)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || low == count)
        return points[low == 0 ? 0 : count - 1].probability;
    const pl_curve_point a = points[low - 1], b = points[low];
    return a.probability + (b.probability - a.probability) * ((score - a.score) / (b.score - a.score));
}

bool pl_calibration_has(const pali_calibration *calibration, pali_calibrated kind)
{
    return calibration && calibration->curves[kind].count > 0;
}

double pl_calibration_apply(const pali_calibration *calibration, pali_calibrated kind, const char *label, double score)
{
    if (isnan(score))
        return score;
    const pl_curves *const curves = &calibration->curves[kind];
    const pl_curve *found = NULL;
    for (size_t i = 0; i < curves->count; i++) {
        const pl_curve *const curve = &curves->items[i];
        if (!curve->label)
            found = found ? found : curve;
        else if (label && strcmp(curve->label, label) == 0)
            found = curve;
    }
    if (found)
        return pl_curve_at(found->points, found->count, score);
    /* An object with a mask is at least an object. */
    return kind == PALI_CALIBRATED_MASK ? pl_calibration_apply(calibration, PALI_CALIBRATED_BOX, label, score) : score;
}
