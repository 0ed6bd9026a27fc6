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

/* {row (its line), image, prefix, prediction, suffix, exact, tokens, finish_reason and objects as pali_answer_json has them, confidence (of a text), log_likelihood} */
pali_status pl_eval_keep_prediction(pl_eval_report *report, const pl_eval_row *row, const pali_answer *answer, bool exact, pl_eval_likelihood likelihood, double text_score, pali_error *err)
{
    static const char *const taken[] = {"tokens", "finish_reason", "objects"};
    char *const text = pali_answer_json(answer, err);
    json_t *const said = text ? json_loads(text, 0, NULL) : NULL, *const object = json_object();
    pali_free(text);
    if (!said) {
        json_decref(object);
        return pl_fail_memory(err, "predictions", 0);
    }
    json_object_set_new(object, "row", json_integer((json_int_t)row->line));
    json_object_set_new(object, "image", images_json(row));
    json_object_set_new(object, "prefix", json_string(row->prefix));
    json_object_set_new(object, "prediction", pl_json_string(pali_answer_text(answer)));
    json_object_set(object, "suffix", json_object_get(row->json, "suffix"));
    json_object_set_new(object, "exact", json_boolean(exact));
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        json_object_set(object, taken[i], json_object_get(said, taken[i]));
    json_decref(said);
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
