/* Metrics over rows. Answers are compared whole, nothing is stripped (big_vision's evaluators do the same). */
#include "eval/report.h"

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

/* The boxes of the first suffix that has any, else none. */
static pali_status find_truths(const pl_eval_row *row, pl_location_list *truths, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && truths->count == 0 && i < row->suffix_count; i++)
        status = pl_locations_of_text(row->suffixes[i], truths, err);
    return status;
}

/* A detection row that expects nothing counts too: what is found there is wrong. */
static bool expects_boxes(const pl_eval_kind *kind, const pl_location_list *truths)
{
    return truths->count > 0 || strcmp(kind->name, "detect") == 0 || strcmp(kind->name, "segment") == 0;
}

/* The answer's objects side by side; they borrow from it. Freed by the caller. */
static pali_object *objects_of(const pali_answer *answer, pali_error *err)
{
    const size_t count = pali_answer_object_count(answer);
    pali_object *const objects = pl_new(count, sizeof *objects, "objects of an answer", err);
    for (size_t i = 0; objects && i < count; i++)
        objects[i] = *pali_answer_object(answer, i);
    return objects;
}

static pali_status add_boxes(pl_eval_report *report, const pl_eval_kind *kind, const pl_eval_row *row, const pali_answer *answer, pali_error *err)
{
    pl_location_list truths = {0};
    pali_status status = find_truths(row, &truths, err);
    if (status == PALI_OK && expects_boxes(kind, &truths)) {
        pali_object *const objects = objects_of(answer, err);
        status = objects ? pl_box_score_add(&report->boxes, &truths, objects, pali_answer_object_count(answer), NULL, err) : PALI_MEMORY;
        report->boxes.dropped += pali_answer_dropped_count(answer);
        free(objects);
    }
    pl_location_list_free(&truths);
    return status;
}

/* A JSON string; bytes that are not UTF-8 (of a path) become U+FFFD. */
static json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char *const clean = pl_utf8_clean(text, NULL);
    string = clean ? json_string(clean) : NULL;
    free(clean);
    return string;
}

static json_t *images_json(const pl_eval_row *row)
{
    if (row->image_count == 1)
        return json_text(row->images[0]);
    json_t *const list = json_array();
    for (size_t i = 0; i < row->image_count; i++)
        json_array_append_new(list, json_text(row->images[i]));
    return list;
}

static json_t *tokens_json(const pali_answer *answer)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < pali_answer_token_count(answer); i++)
        json_array_append_new(list, json_integer(pali_answer_tokens(answer)[i]));
    return list;
}

/* {row (its line), image, prefix, prediction, tokens, suffix, exact, finish_reason, log_likelihood} */
static pali_status keep_prediction(pl_eval_report *report, const pl_eval_row *row, const pali_answer *answer, bool exact, pl_eval_likelihood likelihood, pali_error *err)
{
    json_t *const object = json_object();
    json_object_set_new(object, "row", json_integer((json_int_t)row->line));
    json_object_set_new(object, "image", images_json(row));
    json_object_set_new(object, "prefix", json_string(row->prefix));
    json_object_set_new(object, "prediction", json_text(pali_answer_text(answer)));
    json_object_set_new(object, "tokens", tokens_json(answer));
    json_object_set(object, "suffix", json_object_get(row->json, "suffix"));
    json_object_set_new(object, "exact", json_boolean(exact));
    json_object_set_new(object, "finish_reason", json_string(pali_finish_text(pali_answer_finish(answer))));
    if (likelihood.tokens)
        json_object_set_new(object, "log_likelihood", json_real(likelihood.total));
    char *const line = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    pali_status status = line ? pl_buffer_append(&report->predictions, line, strlen(line), err) : pl_fail_memory(err, "predictions", 0);
    if (status == PALI_OK)
        status = pl_buffer_append(&report->predictions, "\n", 1, err);
    free(line);
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
    const pali_status status = add_boxes(report, kind, row, answer, err);
    if (status != PALI_OK || !report->keep_predictions)
        return status;
    return keep_prediction(report, row, answer, exact, likelihood, err);
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

char *pl_eval_report_json(pl_eval_report *report, double seconds, pali_error *err)
{
    json_t *const object = exact_json(report->rows, report->matches), *const kinds = json_object();
    json_object_set_new(object, "cut_off", json_integer((json_int_t)report->cut_off));
    json_object_set_new(object, "seconds", json_real(seconds));
    for (size_t i = 0; i < report->kind_count; i++)
        json_object_set_new(kinds, report->kinds[i].name, exact_json(report->kinds[i].rows, report->kinds[i].matches));
    json_object_set_new(object, "kinds", kinds);
    if (report->likelihood_tokens)
        json_object_set_new(object, "log_likelihood", likelihood_json(report));
    json_t *const boxes = report->boxes.rows ? pl_box_score_json(&report->boxes, err) : NULL;
    if (boxes)
        json_object_set_new(object, "boxes", boxes);
    char *const text = boxes || !report->boxes.rows ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(object);
    if (!text)
        pl_fail_memory(err, "metrics", 0);
    return text;
}

void pl_eval_report_free(pl_eval_report *report)
{
    for (size_t i = 0; i < report->kind_count; i++)
        free(report->kinds[i].name);
    free(report->kinds);
    free(report->predictions.data);
    pl_box_score_free(&report->boxes);
}
