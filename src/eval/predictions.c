/* The line of JSON that is kept of each row's answer. */
#include "eval/report.h"

#include "formats/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *images_json(const pl_eval_row *row)
{
    if (row->image_count == 1)
        return pl_json_string(row->images[0]);
    json_t *const list = json_array();
    for (size_t i = 0; i < row->image_count; i++)
        json_array_append_new(list, pl_json_string(row->images[i]));
    return list;
}

static json_t *tokens_json(const pali_answer *answer)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < pali_answer_token_count(answer); i++)
        json_array_append_new(list, json_integer(pali_answer_tokens(answer)[i]));
    return list;
}

/* {label, bins, confidence and problem where there are any} of each object. */
static json_t *objects_json(const pali_answer *answer)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < pali_answer_object_count(answer); i++) {
        const pali_object *const o = pali_answer_object(answer, i);
        json_t *const object = json_pack("{s:s, s:[i,i,i,i]}", "label", o->label, "bins", o->bins[0], o->bins[1], o->bins[2], o->bins[3]);
        if (!isnan(o->confidence))
            json_object_set_new(object, "confidence", json_real(o->confidence));
        if (o->problem)
            json_object_set_new(object, "problem", json_string(o->problem));
        json_array_append_new(list, object);
    }
    return list;
}

/* {row (its line), image, prefix, prediction, tokens, suffix, exact, finish_reason, objects, confidence (of a text), log_likelihood} */
pali_status pl_eval_keep_prediction(pl_eval_report *report, const pl_eval_row *row, const pali_answer *answer, bool exact, pl_eval_likelihood likelihood, double text_score, pali_error *err)
{
    json_t *const object = json_object();
    json_object_set_new(object, "row", json_integer((json_int_t)row->line));
    json_object_set_new(object, "image", images_json(row));
    json_object_set_new(object, "prefix", json_string(row->prefix));
    json_object_set_new(object, "prediction", pl_json_string(pali_answer_text(answer)));
    json_object_set_new(object, "tokens", tokens_json(answer));
    json_object_set(object, "suffix", json_object_get(row->json, "suffix"));
    json_object_set_new(object, "exact", json_boolean(exact));
    json_object_set_new(object, "finish_reason", json_string(pali_finish_text(pali_answer_finish(answer))));
    if (pali_answer_object_count(answer))
        json_object_set_new(object, "objects", objects_json(answer));
    if (!isnan(text_score))
        json_object_set_new(object, "confidence", json_real(text_score));
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
