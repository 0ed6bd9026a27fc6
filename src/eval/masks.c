/* Every IoU is over the whole picture, at its own resolution. */
#include "eval/masks.h"

#include <stdlib.h>
#include <string.h>

static bool same_label(const pl_mask_object *a, const pl_mask_object *b)
{
    return strcmp(a->label, b->label) == 0;
}

/* Takes the pair of free objects of equal label with the largest box IoU out; false when none overlaps. */
static bool take_pair(const pl_mask_object *truths, bool *truth_taken, size_t truth_count, const pl_mask_object *found, bool *found_taken, size_t count, size_t pair[2])
{
    double best = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < truth_count && !found_taken[i]; j++) {
            const double iou = truth_taken[j] || !same_label(&found[i], &truths[j]) ? 0 : pl_box_iou(found[i].box, truths[j].box);
            if (iou <= best)
                continue;
            best = iou;
            pair[0] = i;
            pair[1] = j;
        }
    if (best > 0)
        found_taken[pair[0]] = truth_taken[pair[1]] = true;
    return best > 0;
}

/* Adds the IoU of each matched pair to the label's sum; pl_ap_add has made the labels. */
static pali_status add_matched(pl_ap_score *ap, const pl_mask_object *truths, size_t truth_count, const pl_mask_object *found, size_t count, const double *iou, pali_error *err)
{
    bool *const taken = pl_new(truth_count + count, sizeof *taken, "masks", err);
    if (!taken)
        return PALI_MEMORY;
    for (size_t pair[2]; take_pair(truths, taken, truth_count, found, taken + truth_count, count, pair);)
        pl_ap_label_of(ap, truths[pair[1]].label, err)->iou += iou[pair[0] * truth_count + pair[1]];
    free(taken);
    return PALI_OK;
}

pali_status pl_mask_score_add(pl_mask_score *score, const pl_mask_object *truths, size_t truth_count, const pl_mask_object *found, size_t count, uint16_t *hits, pali_error *err)
{
    size_t pairs;
    if (!pl_mul(count, truth_count, &pairs))
        return pl_fail_memory(err, "masks", 0);
    const char **const labels = pl_new(truth_count, sizeof *labels, "masks", err);
    pl_ap_prediction *const predictions = pl_new(count, sizeof *predictions, "masks", err);
    double *const iou = pl_new(pairs, sizeof *iou, "masks", err);
    pali_status status = PALI_MEMORY;
    if (labels && predictions && iou) {
        for (size_t j = 0; j < truth_count; j++)
            labels[j] = truths[j].label;
        for (size_t i = 0; i < count; i++) {
            predictions[i] = (pl_ap_prediction){.label = found[i].label, .confidence = found[i].confidence};
            for (size_t j = 0; j < truth_count; j++)
                iou[i * truth_count + j] = found[i].mask && same_label(&found[i], &truths[j]) ? pl_mask_iou(found[i].mask, truths[j].mask) : 0;
        }
        const pl_ap_row row = {.truths = labels, .predictions = predictions, .iou = iou, .truth_count = truth_count, .count = count};
        status = pl_ap_add(&score->ap, &row, hits, err);
        if (status == PALI_OK)
            status = add_matched(&score->ap, truths, truth_count, found, count, iou, err);
        score->rows++;
    }
    free(iou);
    free(predictions);
    free(labels);
    return status;
}

pali_status pl_refcoco_parse(const char *text, bool *valid, pali_mask_tokens *tokens, pali_error *err)
{
    enum { BOX = 4, ALL = BOX + PALI_MASK_TOKENS };
    pl_piece *pieces = NULL;
    size_t count = 0;
    const pali_status status = pl_pieces_of_text(text, strlen(text), &pieces, &count, err);
    if (status != PALI_OK)
        return status;
    *tokens = (pali_mask_tokens){0};
    *valid = count >= ALL;
    for (size_t i = 0; i < ALL && *valid; i++) {
        *valid = pieces[i].kind == (i < BOX ? PL_PIECE_LOCATION : PL_PIECE_SEGMENT);
        if (i < BOX)
            tokens->bins[i] = pieces[i].value;
        else
            tokens->codes[i - BOX] = (uint8_t)pieces[i].value;
    }
    *valid = *valid && tokens->bins[2] > tokens->bins[0] && tokens->bins[3] > tokens->bins[1];
    free(pieces);
    return PALI_OK;
}

void pl_refcoco_add(pl_refcoco *sums, const pl_mask_object *truth, const pali_mask_tokens *tokens, const pl_mask *found)
{
    sums->rows++;
    if (tokens) {
        const double last = PL_LOCATION_BINS - 1;
        const pali_box box = {.y1 = tokens->bins[0] / last, .x1 = tokens->bins[1] / last, .y2 = tokens->bins[2] / last, .x2 = tokens->bins[3] / last};
        const double iou = pl_box_iou(box, truth->box);
        sums->box_iou += iou;
        sums->box_50 += iou >= 0.5;
        sums->box_75 += iou >= 0.75;
    }
    const bool valid = tokens && found && !pl_region_is_empty(pl_region_of_bins(tokens->bins, found->width, found->height, PALI_PASTE_EVALUATOR));
    sums->invalid += !valid;
    sums->iou += valid ? pl_mask_iou(found, truth->mask) : 0;
}

json_t *pl_mask_score_json(pl_mask_score *score, pali_error *err)
{
    json_t *const figures = pl_ap_json(&score->ap, err);
    json_t *const object = figures ? json_object() : NULL;
    if (!object)
        return NULL;
    json_object_set_new(object, "rows", json_integer((json_int_t)score->rows));
    json_object_update(object, figures);
    json_decref(figures);
    return object;
}

json_t *pl_refcoco_json(const pl_refcoco *sums)
{
    const double rows = (double)sums->rows;
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f}", "rows", (json_int_t)sums->rows, "invalid", (json_int_t)sums->invalid, "miou", sums->iou / rows,
        "box_iou", sums->box_iou / rows, "boxacc_50", (double)sums->box_50 / rows, "boxacc_75", (double)sums->box_75 / rows);
}

void pl_mask_score_free(pl_mask_score *score)
{
    pl_ap_free(&score->ap);
}
