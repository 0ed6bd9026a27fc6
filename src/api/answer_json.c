/* pali_answer_json: an answer as one JSON object, the same wherever pali writes one. */
#include "api/handles.h"

#include "formats/json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *box_json(const pali_box *box)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "y1", box->y1, "x1", box->x1, "y2", box->y2, "x2", box->x2);
}

static json_t *codes_json(const pali_object *object)
{
    json_t *const codes = json_array();
    for (size_t i = 0; i < PALI_MASK_TOKENS; i++)
        json_array_append_new(codes, json_integer(object->codes[i]));
    return codes;
}

/* COCO's run lengths as its results have them. */
static json_t *mask_json(const pali_mask *mask, pali_error *err)
{
    char *const counts = pali_mask_rle(mask, err);
    json_t *const object = counts ? json_pack("{s:[I,I], s:s}", "size", (json_int_t)pali_mask_height(mask), (json_int_t)pali_mask_width(mask), "counts", counts) : NULL;
    pali_free(counts);
    return object;
}

/* NULL when memory is short. */
static json_t *object_json(const pali_object *o, pali_error *err)
{
    json_t *const mask = o->mask ? mask_json(o->mask, err) : NULL;
    if (o->mask && !mask)
        return NULL;
    json_t *const object = json_pack("{s:o, s:o, s:o, s:[i,i,i,i]}", "label", pl_json_string(o->label), "box", box_json(&o->pixels), "box_normalized", box_json(&o->box),
                                     "bins", o->bins[0], o->bins[1], o->bins[2], o->bins[3]);
    if (!isnan(o->confidence))
        json_object_set_new(object, "confidence", json_real(o->confidence));
    if (o->has_codes)
        json_object_set_new(object, "mask_codes", codes_json(o));
    if (mask)
        json_object_set_new(object, "mask", mask);
    if (o->problem)
        json_object_set_new(object, "problem", json_string(o->problem));
    return object;
}

static json_t *objects_json(const pali_answer *answer, pali_error *err)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < answer->objects.count; i++)
        if (json_array_append_new(list, object_json(&answer->objects.items[i], err)) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *tokens_json(const pali_answer *answer)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < answer->count; i++)
        json_array_append_new(list, json_integer(answer->tokens[i]));
    return list;
}

static json_t *logprobs_json(const pali_answer *answer)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < answer->count; i++)
        json_array_append_new(list, number_or_null((double)answer->logprobs[i]));
    return list;
}

/* False when there is no value, for want of memory. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

char *pali_answer_json(const pali_answer *answer, pali_error *err)
{
    if (pl_need(answer, "pali_answer_json", "answer", err) != PALI_OK)
        return NULL;
    json_t *const object = json_object();
    bool whole = put(object, "text", pl_json_string(answer->text)) && put(object, "tokens", tokens_json(answer));
    if (answer->logprobs && answer->tells_logprobs)
        whole = whole && put(object, "logprobs", logprobs_json(answer));
    if (answer->rated)
        whole = whole && put(object, "confidence", number_or_null(pali_answer_confidence(answer))) && put(object, "log_likelihood", number_or_null(pali_answer_log_likelihood(answer)));
    whole = whole && put(object, "finish_reason", json_string(pali_finish_text(answer->finish))) && put(object, "objects", objects_json(answer, err));
    if (answer->objects.dropped)
        whole = whole && put(object, "dropped", json_integer((json_int_t)answer->objects.dropped));
    char *const text = whole ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!text)
        pl_fail_memory(err, "answer", 0);
    return text;
}
