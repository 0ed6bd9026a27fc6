/* {"row", "id", answer ..., "prompt", "images", "prompt_tokens"} or {"row", "id", "error"}. */
#include "batch/line.h"

#include "formats/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The name of a status as a word for programs, "input". */
static json_t *status_json(pali_status status)
{
    static const struct {
        pali_status status;
        const char *name;
    } names[] = {
#define NAME(name, value, text) {PALI_##name, #name},
        PALI_STATUS_LIST(NAME)
#undef NAME
    };
    char word[16] = "failed";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].status == status)
            for (size_t c = 0; c <= strlen(names[i].name) && c < sizeof word; c++)
                word[c] = (char)tolower((unsigned char)names[i].name[c]);
    return json_string(word);
}

static json_t *error_json(const pali_error *why)
{
    return json_pack("{s:o, s:o}", "status", status_json(why->status), "message", pl_json_string(why->message));
}

/* The path as the row writes it, so that a line does not depend on where the run was started. */
static const json_t *path_json(const pl_row *row, size_t i)
{
    const json_t *const image = json_object_get(row->json, "image");
    return json_is_array(image) ? json_array_get(image, pl_row_path_of(row, i)) : image;
}

static json_t *images_json(const pl_outcome *outcome)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < pl_row_image_count(outcome->row); i++)
        json_array_append_new(list, json_pack("{s:O, s:I, s:I}", "path", path_json(outcome->row, i), "width", (json_int_t)outcome->sizes[i].width, "height",
                                              (json_int_t)outcome->sizes[i].height));
    return list;
}

static json_t *timings_json(const pl_outcome *outcome)
{
    const pali_timings t = pali_answer_timings(outcome->answer);
    return json_pack("{s:f, s:f, s:f}", "encode", outcome->encode, "prefill", t.prefill, "decode", t.decode);
}

static pali_status add_answer(json_t *line, const pl_outcome *outcome, bool timings, pali_error *err)
{
    char *const text = pali_answer_json(outcome->answer, err);
    json_t *const answer = text ? json_loads(text, 0, NULL) : NULL;
    pali_free(text);
    int bad = !answer;
    bad = bad || json_object_update(line, answer);
    bad = bad || json_object_set_new(line, "prompt", pl_json_string(outcome->row->prompt));
    bad = bad || json_object_set_new(line, "images", images_json(outcome));
    bad = bad || json_object_set_new(line, "prompt_tokens", json_integer((json_int_t)pali_answer_timings(outcome->answer).prompt_tokens));
    if (timings)
        bad = bad || json_object_set_new(line, "timings", timings_json(outcome));
    json_decref(answer);
    return bad ? pl_fail_memory(err, "line of a row", 0) : PALI_OK;
}

/* {"row", "id"}: an id keeps every digit, so that it is found again. New. */
static char *head_text(const pl_row *row)
{
    json_t *const head = json_object(), *const id = json_object_get(row->json, "id");
    int bad = json_object_set_new(head, "row", json_integer((json_int_t)row->number));
    if (id)
        bad = bad || json_object_set(head, "id", id);
    char *const text = bad ? NULL : json_dumps(head, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(head);
    return text;
}

/* What became of the row, as an object of its own, its numbers in the digits of pali_answer_json. New. */
static char *rest_text(const pl_outcome *outcome, bool timings, pali_error *err)
{
    json_t *const rest = json_object();
    pali_status status = PALI_OK;
    if (outcome->answer)
        status = add_answer(rest, outcome, timings, err);
    else if (json_object_set_new(rest, "error", error_json(outcome->why)))
        status = pl_fail_memory(err, "line of a row", 0);
    char *const text = status == PALI_OK ? json_dumps(rest, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(rest);
    return text;
}

char *pl_batch_line(const pl_outcome *outcome, bool timings, pali_error *err)
{
    char *const head = head_text(outcome->row), *const rest = head ? rest_text(outcome, timings, err) : NULL;
    char *const line = rest ? pl_format(err, "%.*s,%s", (int)(strlen(head) - 1), head, rest + 1) : NULL; /* two objects become one */
    if (!line)
        pl_fail_memory(err, "line of a row", 0);
    free(head);
    free(rest);
    return line;
}

pali_status pl_batch_line_check(const json_t *line, const pl_row *row, pali_error *err)
{
    const json_t *const number = json_object_get(line, "row"), *const id = json_object_get(line, "id"), *const wanted = json_object_get(row->json, "id");
    if (!json_is_integer(number) || json_integer_value(number) != (json_int_t)row->number)
        return pl_fail(err, PALI_USAGE, "found row %lld, expected row %zu; it is not as a batch left it", (long long)json_integer_value(number), row->number);
    if ((id || wanted) && !json_equal(id, wanted))
        return pl_fail(err, PALI_USAGE, "found row %zu with another id, expected that of the input; it is not as a batch left it", row->number);
    return PALI_OK;
}
