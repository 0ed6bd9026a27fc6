/*
 * The form that transformers' own conversion of SentencePiece models has. A
 * piece is an ordinary one, a control piece (special), or one that is cut out
 * of the text; the latter are looked for after spaces became U+2581 where they
 * hold that character.
 */
#include "formats/tokenizer_write.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\xe2\x96\x81"

/* What is written in pieces, with the first failure kept. */
typedef struct writer {
    const pl_vocabulary *v;
    size_t count;
    pl_output *out;
    pali_status status;
    pali_error *err;
    bool listed; /* something stands before in the list, so that a comma is due */
} writer;

static void put(writer *w, const char *text, size_t length)
{
    if (w->status == PALI_OK)
        w->status = pl_output_write(w->out, text, length, w->err);
}

static void put_text(writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_number(writer *w, int32_t number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    put_text(w, text);
}

static void put_string(writer *w, const char *text, size_t length)
{
    size_t from = 0;
    put_text(w, "\"");
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        put(w, text + from, i - from);
        from = i + 1;
        char escaped[8];
        if (c < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", c);
        else
            snprintf(escaped, sizeof escaped, "\\%c", c);
        put_text(w, escaped);
    }
    put(w, text + from, length - from);
    put_text(w, "\"");
}

static void put_piece(writer *w, int32_t id)
{
    size_t length;
    const char *text = pl_vocabulary_piece(w->v, id, &length);
    put_string(w, text, length);
}

static void next(writer *w)
{
    if (w->listed)
        put_text(w, ",\n");
    w->listed = true;
}

static void put_added(writer *w)
{
    put_text(w, "  \"added_tokens\": [\n");
    w->listed = false;
    for (size_t id = 0; id < w->count; id++) {
        const uint8_t type = w->v->types[id];
        const bool special = type == PL_PIECE_CONTROL || type == PL_PIECE_UNKNOWN;
        size_t length;
        const char *text = pl_vocabulary_piece(w->v, (int32_t)id, &length);
        if (!special && type != PL_PIECE_USER_DEFINED)
            continue;
        next(w);
        put_text(w, "    {\"id\": ");
        put_number(w, (int32_t)id);
        put_text(w, ", \"content\": ");
        put_string(w, text, length);
        put_text(w, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": ");
        put_text(w, memmem(text, length, SPACE, strlen(SPACE)) ? "true" : "false");
        put_text(w, special ? ", \"special\": true}" : ", \"special\": false}");
    }
    put_text(w, "\n  ],\n");
}

/* Spaces become U+2581 on the way in, and spaces again on the way out. */
static void put_pipeline(writer *w)
{
    const bool prefix = w->v->add_dummy_prefix;
    put_text(w, prefix ? "  \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"" SPACE "\"}, "
                       : "  \"normalizer\": ");
    put_text(w, "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"" SPACE "\"}");
    put_text(w, prefix ? "]},\n" : ",\n");
    put_text(w, "  \"pre_tokenizer\": null,\n  \"post_processor\": null,\n  \"decoder\": {\"type\": \"Sequence\", \"decoders\": ["
                "{\"type\": \"Replace\", \"pattern\": {\"String\": \"" SPACE "\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}");
    put_text(w, prefix ? ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]},\n" : "]},\n");
}

static void put_vocabulary(writer *w)
{
    put_text(w, "    \"vocab\": {\n");
    w->listed = false;
    for (size_t id = 0; id < w->count; id++) {
        next(w);
        put_text(w, "      ");
        put_piece(w, (int32_t)id);
        put_text(w, ": ");
        put_number(w, (int32_t)id);
    }
    put_text(w, "\n    },\n");
}

static void put_merge(writer *w, const char *left, size_t left_length, const char *right, size_t right_length)
{
    next(w);
    put_text(w, "      [");
    put_string(w, left, left_length);
    put_text(w, ", ");
    put_string(w, right, right_length);
    put_text(w, "]");
}

static bool is_ordinary(const pl_vocabulary *v, const char *text, size_t length)
{
    const int32_t id = pl_vocabulary_find(v, text, length);
    return id >= 0 && v->types[id] == PL_PIECE_NORMAL;
}

/* Every way to make a piece of two. */
static void put_merges_of(writer *w, int32_t id)
{
    size_t length;
    const char *text = pl_vocabulary_piece(w->v, id, &length);
    for (size_t at = 1; at < length; at++) {
        const bool inside = ((unsigned char)text[at] & 0xc0) == 0x80;
        if (!inside && is_ordinary(w->v, text, at) && is_ordinary(w->v, text + at, length - at))
            put_merge(w, text, at, text + at, length - at);
    }
}

/* A piece by its score; the id decides among equals. */
typedef struct ranked {
    float score;
    int32_t id;
} ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score < y->score || x->score > y->score)
        return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void put_scored_merges(writer *w)
{
    ranked *list = pl_new_raw(w->count, sizeof *list, "merges", w->err);
    size_t count = 0;
    if (!list) {
        w->status = PALI_MEMORY;
        return;
    }
    for (size_t id = 0; id < w->count; id++)
        if (w->v->types[id] == PL_PIECE_NORMAL)
            list[count++] = (ranked){.score = w->v->scores[id], .id = (int32_t)id};
    qsort(list, count, sizeof *list, by_score);
    for (size_t i = 0; w->status == PALI_OK && i < count; i++)
        put_merges_of(w, list[i].id);
    free(list);
}

static void put_listed_merges(writer *w)
{
    for (size_t i = 0; w->status == PALI_OK && i < w->v->merge_count; i++) {
        size_t left_length, right_length;
        const char *left = pl_vocabulary_piece(w->v, w->v->merges[i].left, &left_length);
        const char *right = pl_vocabulary_piece(w->v, w->v->merges[i].right, &right_length);
        put_merge(w, left, left_length, right, right_length);
    }
}

static void put_model(writer *w)
{
    const pl_vocabulary *v = w->v;
    put_text(w, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": ");
    if (v->unk >= 0)
        put_piece(w, v->unk);
    else
        put_text(w, "null");
    put_text(w, ",\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": true,\n    \"byte_fallback\": ");
    put_text(w, v->byte_fallback ? "true" : "false");
    put_text(w, ",\n    \"ignore_merges\": false,\n");
    put_vocabulary(w);
    put_text(w, "    \"merges\": [\n");
    w->listed = false;
    if (v->merges)
        put_listed_merges(w);
    else
        put_scored_merges(w);
    put_text(w, "\n    ]\n  }\n");
}

pali_status pl_tokenizer_json_write(const pl_vocabulary *v, size_t count, pl_output *out, pali_error *err)
{
    writer w = {.v = v, .count = count, .out = out, .err = err};
    put_text(&w, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    put_added(&w);
    put_pipeline(&w);
    put_model(&w);
    put_text(&w, "}\n");
    return w.status;
}
