/* Matching as pycocotools' COCOeval does it (area "all", no crowd boxes). */
#include "eval/boxes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_A_ROW = 100, RECALLS = 101 };

static pl_box_label *find_label(pl_box_score *score, const char *name, pali_error *err)
{
    for (size_t i = 0; i < score->count; i++)
        if (strcmp(score->labels[i].label, name) == 0)
            return &score->labels[i];
    if (pl_grow(&score->labels, &score->capacity, score->count + 1, sizeof *score->labels, "labels", err) != PALI_OK)
        return NULL;
    char *const copy = pl_strdup(name, err);
    if (!copy)
        return NULL;
    score->labels[score->count] = (pl_box_label){.label = copy};
    return &score->labels[score->count++];
}

/*
 * The expected box of that label with the largest IoU of at least 0.5 that no
 * earlier prediction took; of equal ones the last. Returns its index or -1.
 */
static ptrdiff_t best_free_truth(const pl_location *prediction, const pl_location_list *truths, const bool *taken)
{
    double best = 0.5;
    ptrdiff_t found = -1;
    for (size_t i = 0; i < truths->count; i++) {
        if (taken[i] || strcmp(truths->items[i].label, prediction->label) != 0)
            continue;
        const double iou = pl_location_iou(prediction, &truths->items[i]);
        if (iou >= best) {
            best = iou;
            found = (ptrdiff_t)i;
        }
    }
    return found;
}

/* How many boxes of the same label stand before i. */
static size_t rank_in_row(const pl_location_list *list, size_t i)
{
    size_t rank = 0;
    for (size_t j = 0; j < i; j++)
        rank += strcmp(list->items[j].label, list->items[i].label) == 0;
    return rank;
}

static pali_status add_predictions(pl_box_score *score, const pl_location_list *truths, const pl_location_list *predictions, bool *taken, pali_error *err)
{
    for (size_t i = 0; i < predictions->count; i++) {
        const pl_location *const prediction = &predictions->items[i];
        pl_box_label *const label = find_label(score, prediction->label, err);
        if (!label)
            return PALI_MEMORY;
        label->predictions++;
        score->invalid += !prediction->valid;
        if (rank_in_row(predictions, i) >= MOST_A_ROW)
            continue;
        const pali_status status = pl_grow(&label->hits, &label->hit_capacity, label->hit_count + 1, sizeof *label->hits, "boxes", err);
        if (status != PALI_OK)
            return status;
        const ptrdiff_t truth = prediction->valid ? best_free_truth(prediction, truths, taken) : -1;
        if (truth >= 0)
            taken[truth] = true;
        label->hits[label->hit_count++] = truth >= 0;
    }
    return PALI_OK;
}

static pali_status add_truths(pl_box_score *score, const pl_location_list *truths, const pl_location_list *predictions, pali_error *err)
{
    for (size_t i = 0; i < truths->count; i++) {
        const pl_location *const truth = &truths->items[i];
        pl_box_label *const label = find_label(score, truth->label, err);
        if (!label)
            return PALI_MEMORY;
        double best = 0;
        for (size_t j = 0; j < predictions->count; j++)
            if (strcmp(predictions->items[j].label, truth->label) == 0 && predictions->items[j].valid)
                best = fmax(best, pl_location_iou(&predictions->items[j], truth));
        label->truths++;
        label->iou += best;
    }
    return PALI_OK;
}

pali_status pl_box_score_add(pl_box_score *score, const pl_location_list *truths, const pl_location_list *predictions, pali_error *err)
{
    bool *const taken = pl_new(truths->count, sizeof *taken, "boxes", err);
    if (!taken)
        return PALI_MEMORY;
    pali_status status = add_truths(score, truths, predictions, err);
    if (status == PALI_OK)
        status = add_predictions(score, truths, predictions, taken, err);
    free(taken);
    score->rows++;
    return status;
}

pali_status pl_box_label_ap(const pl_box_label *label, double *ap, pali_error *err)
{
    *ap = label->truths ? 0 : (double)NAN;
    if (label->truths == 0 || label->hit_count == 0)
        return PALI_OK;
    const size_t n = label->hit_count;
    double *const precision = pl_new(n, sizeof *precision, "precision", err);
    size_t *const right = pl_new(n, sizeof *right, "recall", err);
    if (!precision || !right) {
        free(precision);
        free(right);
        return PALI_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        right[i] = (i ? right[i - 1] : 0) + label->hits[i];
        precision[i] = (double)right[i] / (double)(i + 1);
    }
    for (size_t i = n - 1; i-- > 0;)
        precision[i] = fmax(precision[i], precision[i + 1]);
    double sum = 0;
    for (size_t r = 0, i = 0; r < RECALLS; r++) {
        const double wanted = (double)r * 0.01;
        while (i < n && (double)right[i] / (double)label->truths < wanted)
            i++;
        sum += i < n ? precision[i] : 0;
    }
    *ap = sum / RECALLS;
    free(precision);
    free(right);
    return PALI_OK;
}

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *label_json(const pl_box_label *label, double ap)
{
    return json_pack("{s:I, s:I, s:o, s:o}", "truths", (json_int_t)label->truths, "predictions", (json_int_t)label->predictions, "mean_iou",
        number_or_null(label->iou / (double)label->truths), "ap50", number_or_null(ap));
}

json_t *pl_box_score_json(const pl_box_score *score, pali_error *err)
{
    json_t *const labels = json_object();
    size_t truths = 0, predictions = 0, with_truths = 0;
    double iou = 0, ap_sum = 0;
    for (size_t i = 0; i < score->count; i++) {
        const pl_box_label *const label = &score->labels[i];
        double ap;
        if (pl_box_label_ap(label, &ap, err) != PALI_OK) {
            json_decref(labels);
            return NULL;
        }
        json_object_set_new(labels, *label->label ? label->label : "(none)", label_json(label, ap));
        truths += label->truths;
        predictions += label->predictions;
        iou += label->iou;
        with_truths += label->truths > 0;
        ap_sum += label->truths ? ap : 0;
    }
    json_t *const object = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "rows", (json_int_t)score->rows, "truths", (json_int_t)truths,
        "predictions", (json_int_t)predictions, "invalid", (json_int_t)score->invalid, "mean_iou", number_or_null(iou / (double)truths),
        "ap50", number_or_null(ap_sum / (double)with_truths), "labels", labels);
    if (!object)
        pl_fail_memory(err, "box metrics", 0);
    return object;
}

void pl_box_score_free(pl_box_score *score)
{
    for (size_t i = 0; i < score->count; i++) {
        free(score->labels[i].label);
        free(score->labels[i].hits);
    }
    free(score->labels);
    *score = (pl_box_score){0};
}
