/* Matching and ranking as COCOeval's evaluateImg and accumulate do them. */
#include "eval/precision.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_A_ROW = 100, RECALLS = 101, AT_75 = 5 };

pl_ap_label *pl_ap_label_of(pl_ap_score *score, const char *label, pali_error *err)
{
    for (size_t i = 0; i < score->count; i++)
        if (strcmp(score->labels[i].label, label) == 0)
            return &score->labels[i];
    if (pl_grow(&score->labels, &score->capacity, score->count + 1, sizeof *score->labels, "labels", err) != PALI_OK)
        return NULL;
    char *const copy = pl_strdup(label, err);
    if (!copy)
        return NULL;
    score->labels[score->count] = (pl_ap_label){.label = copy};
    return &score->labels[score->count++];
}

/* The more confident first, equal ones in the order they came in. */
static int by_rank(const void *a, const void *b)
{
    const pl_ranked *const first = a, *const second = b;
    if (first->confidence != second->confidence)
        return first->confidence > second->confidence ? -1 : 1;
    return first->order < second->order ? -1 : first->order > second->order;
}

/* numpy.linspace(0.5, 0.95, 10), to the bit. */
static double threshold(size_t t)
{
    return t + 1 == PL_AP_THRESHOLDS ? 0.95 : (double)t * ((0.95 - 0.5) / (PL_AP_THRESHOLDS - 1)) + 0.5;
}

/*
 * What is expected under that label with the largest IoU of at least `least`
 * that no earlier prediction took; of equal ones the last. Its index or -1.
 */
static ptrdiff_t best_free_truth(const pl_ap_row *row, size_t prediction, double least, const bool *taken)
{
    ptrdiff_t found = -1;
    for (size_t i = 0; i < row->truth_count; i++) {
        const double iou = row->iou[prediction * row->truth_count + i];
        if (taken[i] || iou < least || strcmp(row->truths[i], row->predictions[prediction].label) != 0)
            continue;
        least = iou;
        found = (ptrdiff_t)i;
    }
    return found;
}

/* How many predictions of the same label stand before the r-th. */
static size_t rank_in_label(const pl_ap_row *row, const pl_ranked *ranked, size_t r)
{
    size_t before = 0;
    for (size_t i = 0; i < r; i++)
        before += strcmp(row->predictions[ranked[i].order].label, row->predictions[ranked[r].order].label) == 0;
    return before;
}

/* ranked [row->count] in order of rank, `order` the index in the row: fills in the hits. */
static void match(const pl_ap_row *row, pl_ranked *ranked, bool *taken)
{
    for (size_t t = 0; t < PL_AP_THRESHOLDS; t++) {
        memset(taken, 0, row->truth_count * sizeof *taken);
        for (size_t r = 0; r < row->count; r++) {
            if (rank_in_label(row, ranked, r) >= MOST_A_ROW)
                continue;
            const ptrdiff_t truth = best_free_truth(row, ranked[r].order, threshold(t), taken);
            if (truth < 0)
                continue;
            taken[truth] = true;
            ranked[r].hits |= (uint16_t)(1u << t);
        }
    }
}

/* Hands each label its predictions, the first hundred of them to be ranked. */
static pali_status keep(pl_ap_score *score, const pl_ap_row *row, const pl_ranked *ranked, pali_error *err)
{
    for (size_t r = 0; r < row->count; r++) {
        pl_ap_label *const label = pl_ap_label_of(score, row->predictions[ranked[r].order].label, err);
        if (!label)
            return PALI_MEMORY;
        label->predictions++;
        if (rank_in_label(row, ranked, r) >= MOST_A_ROW)
            continue;
        const pali_status status = pl_grow(&label->ranked, &label->capacity, label->count + 1, sizeof *label->ranked, "predictions", err);
        if (status != PALI_OK)
            return status;
        label->ranked[label->count] = (pl_ranked){.confidence = ranked[r].confidence, .order = label->count, .hits = ranked[r].hits};
        label->count++;
    }
    return PALI_OK;
}

static pali_status add_truths(pl_ap_score *score, const pl_ap_row *row, pali_error *err)
{
    for (size_t i = 0; i < row->truth_count; i++) {
        pl_ap_label *const label = pl_ap_label_of(score, row->truths[i], err);
        if (!label)
            return PALI_MEMORY;
        label->truths++;
    }
    return PALI_OK;
}

pali_status pl_ap_add(pl_ap_score *score, const pl_ap_row *row, uint16_t *hits, pali_error *err)
{
    pl_ranked *const ranked = pl_new(row->count, sizeof *ranked, "predictions", err);
    bool *const taken = pl_new(row->truth_count, sizeof *taken, "predictions", err);
    pali_status status = ranked && taken ? add_truths(score, row, err) : PALI_MEMORY;
    if (status == PALI_OK) {
        for (size_t i = 0; i < row->count; i++)
            ranked[i] = (pl_ranked){.confidence = isnan(row->predictions[i].confidence) ? 1 : row->predictions[i].confidence, .order = i};
        qsort(ranked, row->count, sizeof *ranked, by_rank);
        match(row, ranked, taken);
        status = keep(score, row, ranked, err);
        for (size_t r = 0; hits && r < row->count; r++)
            hits[ranked[r].order] = ranked[r].hits;
    }
    free(taken);
    free(ranked);
    return status;
}

/* AP at one threshold; precision [count] is room. */
static double average(const pl_ap_label *label, size_t t, double *precision, size_t *right)
{
    const size_t n = label->count;
    for (size_t i = 0; i < n; i++) {
        right[i] = (i ? right[i - 1] : 0) + (label->ranked[i].hits >> t & 1u);
        precision[i] = (double)right[i] / (double)(i + 1);
    }
    for (size_t i = n; i-- > 1;)
        precision[i - 1] = fmax(precision[i - 1], precision[i]);
    double sum = 0;
    for (size_t r = 0, i = 0; r < RECALLS; r++) {
        const double wanted = (double)r * 0.01;
        while (i < n && (double)right[i] / (double)label->truths < wanted)
            i++;
        sum += i < n ? precision[i] : 0;
    }
    return sum / RECALLS;
}

pali_status pl_ap_of_label(pl_ap_label *label, double ap[PL_AP_THRESHOLDS], pali_error *err)
{
    for (size_t t = 0; t < PL_AP_THRESHOLDS; t++)
        ap[t] = label->truths ? 0 : (double)NAN;
    if (label->truths == 0 || label->count == 0)
        return PALI_OK;
    double *const precision = pl_new(label->count, sizeof *precision, "precision", err);
    size_t *const right = pl_new(label->count, sizeof *right, "recall", err);
    const pali_status status = precision && right ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK) {
        qsort(label->ranked, label->count, sizeof *label->ranked, by_rank);
        for (size_t t = 0; t < PL_AP_THRESHOLDS; t++)
            ap[t] = average(label, t, precision, right);
    }
    free(precision);
    free(right);
    return status;
}

/* What the figures of a label, and of all, are made of. */
typedef struct figures {
    size_t truths, predictions;
    double iou, ap, ap50, ap75;
} figures;

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *figures_json(const figures *f, double labels)
{
    json_t *const object = json_object();
    json_object_set_new(object, "truths", json_integer((json_int_t)f->truths));
    json_object_set_new(object, "predictions", json_integer((json_int_t)f->predictions));
    json_object_set_new(object, "mean_iou", number_or_null(f->iou / (double)f->truths));
    json_object_set_new(object, "ap", number_or_null(f->ap / labels));
    json_object_set_new(object, "ap50", number_or_null(f->ap50 / labels));
    json_object_set_new(object, "ap75", number_or_null(f->ap75 / labels));
    return object;
}

static void add_figures(figures *all, const figures *f)
{
    all->truths += f->truths;
    all->predictions += f->predictions;
    if (f->truths == 0)
        return;
    all->iou += f->iou;
    all->ap += f->ap;
    all->ap50 += f->ap50;
    all->ap75 += f->ap75;
}

json_t *pl_ap_json(pl_ap_score *score, pali_error *err)
{
    json_t *const labels = json_object();
    figures all = {0};
    size_t with_truths = 0;
    for (size_t i = 0; i < score->count; i++) {
        pl_ap_label *const label = &score->labels[i];
        double ap[PL_AP_THRESHOLDS];
        if (pl_ap_of_label(label, ap, err) != PALI_OK) {
            json_decref(labels);
            return NULL;
        }
        figures own = {.truths = label->truths, .predictions = label->predictions, .iou = label->iou, .ap50 = ap[0], .ap75 = ap[AT_75]};
        for (size_t t = 0; t < PL_AP_THRESHOLDS; t++)
            own.ap += ap[t] / PL_AP_THRESHOLDS;
        json_object_set_new(labels, *label->label ? label->label : "(none)", figures_json(&own, 1));
        add_figures(&all, &own);
        with_truths += label->truths > 0;
    }
    json_t *const object = figures_json(&all, (double)with_truths);
    if (!object || json_object_set_new(object, "labels", labels) != 0) {
        pl_fail_memory(err, "metrics", 0);
        json_decref(object);
        return NULL;
    }
    return object;
}

void pl_ap_free(pl_ap_score *score)
{
    for (size_t i = 0; i < score->count; i++) {
        free(score->labels[i].label);
        free(score->labels[i].ranked);
    }
    free(score->labels);
    *score = (pl_ap_score){0};
}
