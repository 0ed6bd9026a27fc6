/* Metrics over rows. Answers are compared whole, nothing is stripped (big_vision's evaluators do the same). */
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static pl_eval_kind *find_kind(pl_eval_report *report, const char *prefix, pali_error *err)
{
    static const char white[] = " \t\r\n";
    const char *name = prefix + strspn(prefix, white);
    size_t length = strcspn(name, white);
    if (length == 0) {
        name = "(none)";
        length = strlen(name);
    }
    for (size_t i = 0; i < report->kind_count; i++)
        if (strlen(report->kinds[i].name) == length && memcmp(report->kinds[i].name, name, length) == 0)
            return &report->kinds[i];
    if (pl_grow(&report->kinds, &report->kind_capacity, report->kind_count + 1, sizeof *report->kinds, "kinds of prompts", err) != PALI_OK)
        return NULL;
    char *const copy = pl_strndup(name, length, err);
    if (!copy)
        return NULL;
    report->kinds[report->kind_count] = (pl_eval_kind){.name = copy};
    return &report->kinds[report->kind_count++];
}

static bool is_match(const pl_eval_row *row, const char *text)
{
    for (size_t i = 0; i < row->suffix_count; i++)
        if (strcmp(row->suffixes[i], text) == 0)
            return true;
    return false;
}

/* A detection row that expects nothing counts too: what is found there is wrong. */
static bool expects_objects(const pl_eval_kind *kind, const pl_truth *truth)
{
    return truth->objects.count > 0 || strcmp(kind->name, "detect") == 0 || strcmp(kind->name, "segment") == 0;
}

/* Samples of the objects with masks, or of those without; labels live in `ap`. */
static pali_status add_samples(pl_samples *samples, pl_ap_score *ap, const pali_object *objects, size_t count, bool with_masks, const uint16_t *hits, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        if (objects[i].has_codes != with_masks || objects[i].problem)
            continue;
        const pl_ap_label *const label = pl_ap_label_of(ap, objects[i].label, err);
        const pl_sample sample = {.score = objects[i].confidence, .right = hits[i] & 1u, .label = label ? label->label : NULL};
        status = label ? pl_samples_add(samples, sample, err) : PALI_MEMORY;
    }
    return status;
}

/* The masks [count] of objects in a picture of the row's size; all out where there are no codes, or no codec. */
static pali_status decode_masks(const pl_mask_maker *maker, const pali_object *objects, size_t count, pl_mask *masks, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && maker->codec && i < count; i++) {
        pali_mask_tokens tokens;
        memcpy(tokens.bins, objects[i].bins, sizeof tokens.bins);
        memcpy(tokens.codes, objects[i].codes, sizeof tokens.codes);
        if (objects[i].has_codes)
            status = pl_codec_decode_mask(maker->codec, &maker->hands, &tokens, maker->width, maker->height, PALI_PASTE_EVALUATOR, &masks[i], err);
    }
    return status;
}

/* A row that expects one object, as the RefCOCO evaluator takes it. */
static pali_status add_refcoco(pl_eval_report *report, const pl_mask_object *truth, const pali_answer *answer, pali_error *err)
{
    pali_mask_tokens tokens;
    bool valid = false;
    pl_mask mask = {0};
    pali_status status = pl_refcoco_parse(pali_answer_text(answer), &valid, &tokens, err);
    if (status == PALI_OK && valid && report->maker.codec)
        status = pl_codec_decode_mask(report->maker.codec, &report->maker.hands, &tokens, report->maker.width, report->maker.height, PALI_PASTE_EVALUATOR, &mask, err);
    if (status == PALI_OK)
        pl_refcoco_add(&report->masks.refcoco, truth, valid ? &tokens : NULL, mask.bits ? &mask : NULL);
    pl_mask_free(&mask);
    return status;
}

/* The score of masks, from both sides brought into one shape; hits [count]. */
static pali_status score_masks(pl_eval_report *report, const pl_truth *truth, const pali_object *objects, size_t count, const pl_mask *masks, const pali_answer *answer, uint16_t *hits, pali_error *err)
{
    const size_t truth_count = truth->objects.count;
    pl_mask_object *const both = pl_new(truth_count + count, sizeof *both, "masks", err);
    if (!both)
        return PALI_MEMORY;
    pl_mask_object *const found = both + truth_count;
    for (size_t i = 0; i < truth_count; i++)
        both[i] = (pl_mask_object){.label = truth->objects.items[i].label, .box = truth->objects.items[i].box, .mask = &truth->masks[i]};
    for (size_t i = 0; i < count; i++)
        found[i] = (pl_mask_object){.label = objects[i].label, .box = objects[i].box, .mask = masks[i].bits ? &masks[i] : NULL, .confidence = objects[i].confidence};
    pali_status status = pl_mask_score_add(&report->masks, both, truth_count, found, count, hits, err);
    if (status == PALI_OK && truth_count == 1)
        status = add_refcoco(report, &both[0], answer, err);
    free(both);
    return status;
}

static pali_status add_masks(pl_eval_report *report, const pl_truth *truth, const pali_object *objects, size_t count, const pali_answer *answer, uint16_t *hits, pali_error *err)
{
    pl_mask *const masks = pl_new(count, sizeof *masks, "masks", err);
    pali_status status = masks ? decode_masks(&report->maker, objects, count, masks, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = score_masks(report, truth, objects, count, masks, answer, hits, err);
    if (status == PALI_OK)
        status = add_samples(&report->samples[PALI_CALIBRATED_MASK], &report->masks.ap, objects, count, true, hits, err);
    for (size_t i = 0; masks && i < count; i++)
        pl_mask_free(&masks[i]);
    free(masks);
    return status;
}

static pali_status add_objects(pl_eval_report *report, const pl_truth *truth, const pali_answer *answer, pali_error *err)
{
    const size_t count = pali_answer_object_count(answer);
    pali_object *const objects = pl_new(count, sizeof *objects, "objects of an answer", err); /* they borrow from the answer */
    uint16_t *const hits = pl_new(count, sizeof *hits, "objects of an answer", err);
    pali_status status = objects && hits ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        objects[i] = *pali_answer_object(answer, i);
    report->boxes.dropped += pali_answer_dropped_count(answer);
    if (status == PALI_OK)
        status = pl_box_score_add(&report->boxes, &truth->objects, objects, count, hits, err);
    if (status == PALI_OK)
        status = add_samples(&report->samples[PALI_CALIBRATED_BOX], &report->boxes.ap, objects, count, false, hits, err);
    if (status == PALI_OK && truth->masks)
        status = add_masks(report, truth, objects, count, answer, hits, err);
    free(hits);
    free(objects);
    return status;
}

/* Objects where the row is about objects; else *text_score becomes the probability of the text. */
static pali_status add_answer(pl_eval_report *report, const pl_eval_kind *kind, const pl_eval_row *row, const pali_answer *answer, bool exact, double *text_score, pali_error *err)
{
    pl_truth truth = {0};
    pali_status status = pl_truth_read(row, &report->maker, &truth, err);
    if (status == PALI_OK && expects_objects(kind, &truth)) {
        status = add_objects(report, &truth, answer, err);
    } else if (status == PALI_OK) {
        *text_score = exp(pali_answer_log_likelihood(answer));
        status = pl_samples_add(&report->samples[PALI_CALIBRATED_TEXT], (pl_sample){.score = *text_score, .right = exact}, err);
    }
    pl_truth_free(&truth);
    return status;
}

pali_status pl_eval_report_add(pl_eval_report *report, const pl_eval_row *row, const pali_answer *answer, pl_eval_likelihood likelihood, pali_error *err)
{
    const char *const text = pali_answer_text(answer);
    pl_eval_kind *const kind = find_kind(report, row->prefix, err);
    if (!kind)
        return PALI_MEMORY;
    const bool exact = is_match(row, text);
    report->rows++;
    report->matches += exact;
    report->cut_off += pali_answer_finish(answer) == PALI_FINISH_LENGTH;
    kind->rows++;
    kind->matches += exact;
    if (likelihood.tokens) {
        report->log_likelihood += likelihood.total;
        report->row_mean += likelihood.total / (double)likelihood.tokens;
        report->likelihood_tokens += likelihood.tokens;
    }
    double text_score = (double)NAN;
    const pali_status status = add_answer(report, kind, row, answer, exact, &text_score, err);
    if (status != PALI_OK || !report->keep_predictions)
        return status;
    return pl_eval_keep_prediction(report, row, answer, exact, likelihood, text_score, err);
}

static json_t *exact_json(size_t rows, size_t matches)
{
    return json_pack("{s:I, s:I, s:f}", "rows", (json_int_t)rows, "matches", (json_int_t)matches, "exact", rows ? (double)matches / (double)rows : 0.0);
}

/* row_average is big_vision's "avg" with the sign turned: each row divided by its own tokens. */
static json_t *likelihood_json(const pl_eval_report *report)
{
    const double rows = (double)report->rows, tokens = (double)report->likelihood_tokens;
    return json_pack("{s:I, s:f, s:f, s:f}", "tokens", (json_int_t)report->likelihood_tokens, "per_row", report->log_likelihood / rows, "per_token",
        report->log_likelihood / tokens, "row_average", report->row_mean / rows);
}

/* Puts a part in; false when it could not be made. */
static bool set_part(json_t *object, const char *name, json_t *part)
{
    return json_object_set_new(object, name, part) == 0;
}

static bool set_objects(json_t *object, pl_eval_report *report, pali_error *err)
{
    bool good = true;
    if (report->boxes.rows)
        good = set_part(object, "boxes", pl_box_score_json(&report->boxes, err));
    if (good && report->masks.rows)
        good = set_part(object, "masks", pl_mask_score_json(&report->masks, err));
    if (good && report->masks.refcoco.rows)
        good = set_part(object, "refcoco", pl_refcoco_json(&report->masks.refcoco));
    bool any = false;
    for (size_t kind = 0; kind < PALI_CALIBRATED_KINDS; kind++)
        any = any || report->samples[kind].count;
    if (good && any)
        good = set_part(object, "reliability", pl_reliability_json(report->samples, report->calibration, err));
    return good;
}

json_t *pl_eval_report_json(pl_eval_report *report, double seconds, pali_error *err)
{
    json_t *const object = exact_json(report->rows, report->matches), *const kinds = json_object();
    json_object_set_new(object, "cut_off", json_integer((json_int_t)report->cut_off));
    json_object_set_new(object, "seconds", json_real(seconds));
    for (size_t i = 0; i < report->kind_count; i++)
        json_object_set_new(kinds, report->kinds[i].name, exact_json(report->kinds[i].rows, report->kinds[i].matches));
    json_object_set_new(object, "kinds", kinds);
    if (report->likelihood_tokens)
        json_object_set_new(object, "log_likelihood", likelihood_json(report));
    if (object && set_objects(object, report, err))
        return object;
    json_decref(object);
    pl_fail_memory(err, "metrics", 0);
    return NULL;
}

void pl_eval_report_free(pl_eval_report *report)
{
    for (size_t i = 0; i < report->kind_count; i++)
        free(report->kinds[i].name);
    for (size_t kind = 0; kind < PALI_CALIBRATED_KINDS; kind++)
        free(report->samples[kind].items);
    free(report->kinds);
    free(report->predictions.data);
    pl_box_score_free(&report->boxes);
    pl_mask_score_free(&report->masks);
}
