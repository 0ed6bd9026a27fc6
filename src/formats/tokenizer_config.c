/*
 * tokenizer_config.json and added_tokens.json: the names of the special
 * pieces, and the pieces that Hugging Face adds to a plain tokenizer.model.
 */
#include "formats/tokenizer_json.h"

#include "base/file.h"
#include "base/text.h"
#include "formats/json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A token's text: "<bos>" or {"content": "<bos>", ...}; NULL for anything else. */
static const char *token_text(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

static void read_name(const pl_vocabulary *v, const pl_json *json, const char *field, int32_t *id)
{
    const char *name = token_text(pl_json_at(json, field));
    const int32_t found = name ? pl_vocabulary_find(v, name, strlen(name)) : -1;
    if (found >= 0)
        *id = found;
}

/* Appends one added token as the next id; one that is there already must have this id. */
static pali_status add_token(pl_vocabulary *v, json_int_t id, const char *text, bool special, pali_error *err)
{
    char name[80];
    const int32_t there = pl_vocabulary_find(v, text, strlen(text));
    if (there >= 0) {
        if (there == id)
            return PALI_OK;
        return pl_fail(err, PALI_MODEL, "added token %s: found id %lld, but the vocabulary has it at %d",
                       pl_printable(text, strlen(text), name), (long long)id, (int)there);
    }
    return pl_vocabulary_push(v, text, strlen(text), 0, special ? PL_PIECE_CONTROL : PL_PIECE_USER_DEFINED, err);
}

/* {"256000": {"content": ..., "special": ...}}: those that continue the vocabulary, in order of id. */
static pali_status add_decoder_tokens(pl_vocabulary *v, const json_t *tokens, pali_error *err)
{
    for (;;) {
        char key[24];
        snprintf(key, sizeof key, "%zu", v->count);
        const json_t *token = json_object_get(tokens, key);
        if (!token)
            return PALI_OK;
        const char *text = token_text(token);
        if (!text)
            return pl_fail(err, PALI_MODEL, "added_tokens_decoder.%s: expected a content", key);
        const pali_status status =
            add_token(v, (json_int_t)v->count, text, json_is_true(json_object_get(token, "special")), err);
        if (status != PALI_OK)
            return status;
    }
}

typedef struct added {
    const char *text; /* borrowed */
    json_int_t id;
} added;

static int by_id(const void *a, const void *b)
{
    const json_int_t x = ((const added *)a)->id, y = ((const added *)b)->id;
    return (x > y) - (x < y);
}

static pali_status add_listed_tokens(pl_vocabulary *v, json_t *tokens, pali_error *err)
{
    added *list = pl_new_raw(json_object_size(tokens), sizeof *list, "added tokens", err);
    if (!list)
        return PALI_MEMORY;
    size_t count = 0;
    for (void *at = json_object_iter(tokens); at; at = json_object_iter_next(tokens, at))
        list[count++] = (added){.text = json_object_iter_key(at),
                                .id = json_is_integer(json_object_iter_value(at))
                                          ? json_integer_value(json_object_iter_value(at))
                                          : -1};
    qsort(list, count, sizeof *list, by_id);
    pali_status status = PALI_OK;
    for (size_t i = 0; i < count && status == PALI_OK; i++) {
        char name[80];
        const char *text = pl_printable(list[i].text, strlen(list[i].text), name);
        if (list[i].id < 0 || list[i].id > (json_int_t)v->count)
            status = pl_fail(err, PALI_MODEL, "%s: found id %lld, expected at most %zu, where the vocabulary ends", text,
                             (long long)list[i].id, v->count);
        else if (list[i].id == (json_int_t)v->count || pl_vocabulary_find(v, list[i].text, strlen(list[i].text)) >= 0)
            status = add_token(v, list[i].id, list[i].text, false, err);
    }
    free(list);
    return status;
}

/* Names the file in front of an error that does not, and closes it. */
static pali_status conclude(pl_json *json, pali_status status, pali_error *err)
{
    if (status != PALI_OK && err && !pl_starts_with(err->message, pl_json_path(json)))
        pl_error_prefix(err, "%s", pl_json_path(json));
    pl_json_close(json);
    return status;
}

static pali_status apply_config(pl_vocabulary *v, pl_json *json, pali_error *err)
{
    const pali_status status = add_decoder_tokens(v, pl_json_at(json, "added_tokens_decoder"), err);
    if (status != PALI_OK)
        return status;
    read_name(v, json, "bos_token", &v->bos);
    read_name(v, json, "eos_token", &v->eos);
    read_name(v, json, "pad_token", &v->pad);
    return pl_vocabulary_finish(v, err);
}

static pali_status apply_added(pl_vocabulary *v, pl_json *json, pali_error *err)
{
    /* the top of the file, which has no name of its own as a field */
    json_t *const tokens = (json_t *)pl_json_at(json, "");
    const pali_status status = add_listed_tokens(v, tokens, err);
    return status == PALI_OK ? pl_vocabulary_finish(v, err) : status;
}

typedef pali_status apply_fn(pl_vocabulary *v, pl_json *json, pali_error *err);

static pali_status parse(pl_vocabulary *v, const void *bytes, size_t size, const char *name, apply_fn *apply,
                         pali_error *err)
{
    pali_error own = {0};
    pali_error *const reason = err ? err : &own;
    pl_json *json = pl_json_open_memory(bytes, size, name, reason);
    if (!json)
        return reason->status;
    return conclude(json, apply(v, json, reason), reason);
}

static pali_status read_file(pl_vocabulary *v, const char *path, apply_fn *apply, pali_error *err)
{
    pl_map map;
    pali_status status = pl_map_open(&map, path, PALI_MODEL, err);
    if (status != PALI_OK)
        return status;
    status = parse(v, map.data, map.size, path, apply, err);
    pl_map_close(&map);
    return status;
}

pali_status pl_tokenizer_config_parse(pl_vocabulary *v, const void *bytes, size_t size, const char *name, pali_error *err)
{
    return parse(v, bytes, size, name, apply_config, err);
}

pali_status pl_tokenizer_config_read(pl_vocabulary *v, const char *path, pali_error *err)
{
    return read_file(v, path, apply_config, err);
}

pali_status pl_added_tokens_parse(pl_vocabulary *v, const void *bytes, size_t size, const char *name, pali_error *err)
{
    return parse(v, bytes, size, name, apply_added, err);
}

pali_status pl_added_tokens_read(pl_vocabulary *v, const char *path, pali_error *err)
{
    return read_file(v, path, apply_added, err);
}
