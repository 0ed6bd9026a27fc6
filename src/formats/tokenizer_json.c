/*
 * tokenizer.json of the Hugging Face `tokenizers` library, BPE with byte
 * fallback, and tokenizer_config.json / added_tokens.json beside it. What
 * would change ids and is not done here is refused with the field's name.
 */
#include "formats/tokenizer_json.h"

#include "base/file.h"
#include "base/text.h"
#include "formats/json.h"
#include "formats/tokenizer_merges.h"
#include "formats/tokenizer_pieces.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\xe2\x96\x81" /* U+2581, which stands for a space in pieces */

/* The kind of a step; "" where it says none. */
static const char *type_of(const json_t *step)
{
    const char *type = json_string_value(json_object_get(step, "type"));
    return type ? type : "";
}

static pali_status refuse(const char *field, const json_t *step, const char *expected, pali_error *err)
{
    char name[80];
    const char *type = type_of(step);
    const char *found = *type ? pl_printable(type, strlen(type), name) : !step || json_is_null(step) ? "null" : "no type";
    return pl_fail(err, PALI_MODEL, "%s: found %s, expected %s", field, found, expected);
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* {"type": "Replace", "pattern": {"String": from}, "content": to} */
static bool is_replace(const json_t *step, const char *from, const char *to)
{
    return strcmp(type_of(step), "Replace") == 0 &&
           is_text(json_object_get(json_object_get(step, "pattern"), "String"), from) &&
           is_text(json_object_get(step, "content"), to);
}

/* The i-th step of a Sequence, or the step itself; NULL beyond the last. */
static const json_t *step_of(const json_t *value, const char *list, size_t i)
{
    if (strcmp(type_of(value), "Sequence") == 0)
        return json_array_get(json_object_get(value, list), i);
    return i == 0 && !json_is_null(value) ? value : NULL;
}

static pali_status read_normalizer(pl_vocabulary *v, const json_t *normalizer, pali_error *err)
{
    static const char expected[] = "Replace of \" \" by U+2581, Prepend of U+2581, or a Sequence of them";
    bool replaced = false;
    const json_t *step;
    for (size_t i = 0; (step = step_of(normalizer, "normalizers", i)); i++) {
        if (is_replace(step, " ", SPACE))
            replaced = true;
        else if (strcmp(type_of(step), "Prepend") == 0 && !v->add_dummy_prefix &&
                 (is_text(json_object_get(step, "prepend"), SPACE) ||
                  (!replaced && is_text(json_object_get(step, "prepend"), " "))))
            v->add_dummy_prefix = true;
        else
            return refuse("normalizer", step, expected, err);
    }
    return replaced ? PALI_OK : refuse("normalizer", normalizer, expected, err);
}

/* After the normalizer no space is left, so that a split at spaces does nothing. */
static pali_status check_pre_tokenizer(const json_t *pre, pali_error *err)
{
    const json_t *step;
    for (size_t i = 0; (step = step_of(pre, "pretokenizers", i)); i++)
        if (strcmp(type_of(step), "Split") != 0 ||
            !is_text(json_object_get(json_object_get(step, "pattern"), "String"), " "))
            return refuse("pre_tokenizer", step, "null, or a Split on \" \"", err);
    return PALI_OK;
}

static pali_status check_decoder(const json_t *decoder, pali_error *err)
{
    const json_t *step;
    for (size_t i = 0; (step = step_of(decoder, "decoders", i)); i++) {
        const char *type = type_of(step);
        const bool strip = strcmp(type, "Strip") == 0 && is_text(json_object_get(step, "content"), " ");
        if (!is_replace(step, SPACE, " ") && strcmp(type, "ByteFallback") != 0 && strcmp(type, "Fuse") != 0 && !strip)
            return refuse("decoder", step, "Replace of U+2581 by \" \", ByteFallback, Fuse, or Strip of \" \"", err);
    }
    return PALI_OK;
}

/* A text field that must be null, absent or empty. */
static pali_status check_empty(const pl_json *json, const char *field, pali_error *err)
{
    const char *text = "";
    const pali_status status = pl_json_get_string(json, field, &text, err);
    if (status == PALI_OK && *text)
        return pl_json_refuse(json, field, "null", err);
    return status;
}

static pali_status check_model(const pl_json *json, bool *byte_fallback, pali_error *err)
{
    const char *type = "";
    double dropout = 0;
    bool ignore_merges = false, fuse_unk = false;
    pali_status status = pl_json_get_string(json, "model.type", &type, err);
    if (status == PALI_OK && strcmp(type, "BPE") != 0)
        return pl_json_refuse(json, "model.type", "\"BPE\"", err);
    if (status == PALI_OK)
        status = pl_json_get_f64(json, "model.dropout", &dropout, err);
    if (status == PALI_OK && (dropout > 0 || dropout < 0))
        status = pl_json_refuse(json, "model.dropout", "null", err);
    if (status == PALI_OK)
        status = check_empty(json, "model.continuing_subword_prefix", err);
    if (status == PALI_OK)
        status = check_empty(json, "model.end_of_word_suffix", err);
    if (status == PALI_OK)
        status = pl_json_get_bool(json, "model.ignore_merges", &ignore_merges, err);
    if (status == PALI_OK && ignore_merges)
        status = pl_json_refuse(json, "model.ignore_merges", "false", err);
    if (status == PALI_OK)
        status = pl_json_get_bool(json, "model.byte_fallback", byte_fallback, err);
    if (status == PALI_OK)
        status = pl_json_get_bool(json, "model.fuse_unk", &fuse_unk, err);
    if (status == PALI_OK && !*byte_fallback && !fuse_unk)
        status = pl_fail(err, PALI_MODEL, "%s: model.fuse_unk: found false, expected true where byte_fallback is off",
                         pl_json_path(json));
    return status;
}

/* The id of a control piece of this name, else -1. */
static int32_t control_id(const pl_vocabulary *v, const char *name)
{
    const int32_t id = pl_vocabulary_find(v, name, strlen(name));
    return id >= 0 && v->types[id] == PL_PIECE_CONTROL ? id : -1;
}

static pali_status read_special(pl_vocabulary *v, const pl_json *json, pali_error *err)
{
    const char *unk = NULL;
    const pali_status status = pl_json_get_string(json, "model.unk_token", &unk, err);
    if (status != PALI_OK)
        return status;
    if (unk) {
        v->unk = pl_vocabulary_find(v, unk, strlen(unk));
        if (v->unk < 0)
            return pl_json_refuse(json, "model.unk_token", "a piece of model.vocab", err);
    }
    /* Gemma's names; tokenizer_config.json may say others. */
    v->bos = control_id(v, "<bos>");
    v->eos = control_id(v, "<eos>");
    v->pad = control_id(v, "<pad>");
    return PALI_OK;
}

enum { PART_VOCAB, PART_MERGES, PARTS };

/* vocab and merges are empty in the tree; as parts they are absent where they are no object and no array. */
static pali_status read_tokenizer(pl_vocabulary *v, const pl_json *json, const pl_json_part parts[PARTS], pali_error *err)
{
    const json_t *added = pl_json_at(json, "added_tokens");
    pali_status status = check_model(json, &v->byte_fallback, err);
    if (status == PALI_OK)
        status = read_normalizer(v, pl_json_at(json, "normalizer"), err);
    if (status == PALI_OK)
        status = check_pre_tokenizer(pl_json_at(json, "pre_tokenizer"), err);
    if (status == PALI_OK)
        status = check_decoder(pl_json_at(json, "decoder"), err);
    if (status == PALI_OK && !parts[PART_MERGES].value.at)
        status = pl_fail(err, PALI_MODEL, "model.merges: expected an array");
    if (status == PALI_OK && !parts[PART_VOCAB].value.at)
        status = pl_fail(err, PALI_MODEL, "model.vocab: expected an object of pieces and ids");
    if (status == PALI_OK && added && !json_is_array(added))
        status = pl_fail(err, PALI_MODEL, "added_tokens: expected an array");
    if (status == PALI_OK)
        status = pl_tokenizer_pieces_read(v, parts[PART_VOCAB].value, added, err);
    if (status == PALI_OK)
        status = read_special(v, json, err);
    if (status == PALI_OK)
        status = pl_tokenizer_merges_read(v, parts[PART_MERGES].value, err);
    if (status == PALI_OK)
        status = pl_vocabulary_finish(v, err);
    return status;
}

/* Closes the file and names it in front of an error that does not. */
static pali_status conclude(pl_json *json, pali_status status, pali_error *err)
{
    if (status != PALI_OK && err && !pl_starts_with(err->message, pl_json_path(json)))
        pl_error_prefix(err, "%s", pl_json_path(json));
    pl_json_close(json);
    return status;
}

pali_status pl_tokenizer_json_parse(pl_vocabulary *v, const void *bytes, size_t size, const char *name, pali_error *err)
{
    pali_error own = {0};
    pali_error *const reason = err ? err : &own;
    pl_json_part parts[PARTS] = {[PART_VOCAB] = {.member = "vocab", .opening = '{'}, [PART_MERGES] = {.member = "merges", .opening = '['}};
    pl_vocabulary_init(v);
    pl_json *json = pl_json_open_parts(bytes, size, name, "model", parts, PARTS, reason);
    if (!json)
        return reason->status;
    const pali_status status = conclude(json, read_tokenizer(v, json, parts, reason), reason);
    if (status == PALI_OK)
        return PALI_OK;
    pl_vocabulary_free(v);
    if (status == PALI_MODEL) /* if the file is no JSON at all, that is what there is to say */
        pl_json_close(pl_json_open_memory(bytes, size, name, reason));
    return reason->status;
}

pali_status pl_tokenizer_json_read(pl_vocabulary *v, const char *path, pali_error *err)
{
    pl_map map;
    pl_vocabulary_init(v);
    pali_status status = pl_map_open(&map, path, PALI_MODEL, err);
    if (status != PALI_OK)
        return status;
    status = pl_tokenizer_json_parse(v, map.data, map.size, path, err);
    pl_map_close(&map);
    return status;
}
