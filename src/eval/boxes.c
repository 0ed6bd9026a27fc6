/* IoU of boxes from their bins, so that 1/2 is 1/2. */
#include "eval/boxes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double box_iou(const pali_object *object, const pl_location *truth)
{
    pl_location found = {0};
    memcpy(found.bins, object->bins, sizeof found.bins);
    return pl_location_iou(&found, truth);
}

static bool has_area(const pali_object *object)
{
    return object->bins[2] > object->bins[0] && object->bins[3] > object->bins[1];
}

/* The best IoU that an object of the same label has with the truth. */
static double best_iou(const pl_ap_row *row, size_t truth)
{
    double best = 0;
    for (size_t i = 0; i < row->count; i++)
        if (strcmp(row->predictions[i].label, row->truths[truth]) == 0)
            best = fmax(best, row->iou[i * row->truth_count + truth]);
    return best;
}

static pali_status add_row(pl_box_score *score, const pl_ap_row *row, uint16_t *hits, pali_error *err)
{
    const pali_status status = pl_ap_add(&score->ap, row, hits, err);
    for (size_t i = 0; status == PALI_OK && i < row->truth_count; i++) /* pl_ap_add has made the labels */
        pl_ap_label_of(&score->ap, row->truths[i], err)->iou += best_iou(row, i);
    return status;
}

pali_status pl_box_score_add(pl_box_score *score, const pl_location_list *truths, const pali_object *objects, size_t count, uint16_t *hits, pali_error *err)
{
    size_t pairs;
    if (!pl_mul(count, truths->count, &pairs))
        return pl_fail_memory(err, "boxes", 0);
    const char **const labels = pl_new(truths->count, sizeof *labels, "boxes", err);
    pl_ap_prediction *const predictions = pl_new(count, sizeof *predictions, "boxes", err);
    double *const iou = pl_new(pairs, sizeof *iou, "boxes", err);
    pali_status status = PALI_MEMORY;
    if (labels && predictions && iou) {
        for (size_t i = 0; i < truths->count; i++)
            labels[i] = truths->items[i].label;
        for (size_t i = 0; i < count; i++) {
            predictions[i] = (pl_ap_prediction){.label = objects[i].label, .confidence = objects[i].confidence};
            score->invalid += !has_area(&objects[i]);
            score->malformed += objects[i].problem != NULL;
            for (size_t j = 0; j < truths->count; j++)
                iou[i * truths->count + j] = box_iou(&objects[i], &truths->items[j]);
        }
        const pl_ap_row row = {.truths = labels, .predictions = predictions, .iou = iou, .truth_count = truths->count, .count = count};
        status = add_row(score, &row, hits, err);
        score->rows++;
    }
    free(iou);
    free(predictions);
    free(labels);
    return status;
}

json_t *pl_box_score_json(pl_box_score *score, pali_error *err)
{
    json_t *const figures = pl_ap_json(&score->ap, err);
    json_t *const object = figures ? json_object() : NULL;
    if (!object)
        return NULL;
    json_object_set_new(object, "rows", json_integer((json_int_t)score->rows));
    json_object_set_new(object, "invalid", json_integer((json_int_t)score->invalid));
    json_object_set_new(object, "malformed", json_integer((json_int_t)score->malformed));
    json_object_set_new(object, "dropped", json_integer((json_int_t)score->dropped));
    json_object_update(object, figures);
    json_decref(figures);
    return object;
}

void pl_box_score_free(pl_box_score *score)
{
    pl_ap_free(&score->ap);
}
