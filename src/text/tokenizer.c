/*
 * Opening a tokenizer and asking about its pieces. Everything that encoding
 * needs is prepared here once, so that the object never changes afterwards.
 */
#include "text/tokenizer.h"

#include "base/file.h"
#include "base/text.h"
#include "formats/sentencepiece.h"
#include "formats/tokenizer_json.h"
#include "text/tokenizer_data.h"

#include <stdlib.h>
#include <string.h>

pali_status pl_ids_push(pl_ids *ids, int32_t id, pali_error *err)
{
    const pali_status status = pl_grow(&ids->data, &ids->capacity, ids->count + 1, sizeof *ids->data, "ids", err);
    if (status == PALI_OK)
        ids->data[ids->count++] = id;
    return status;
}

void pl_ids_free(pl_ids *ids)
{
    free(ids->data);
    *ids = (pl_ids){0};
}

pl_pair_slot *pl_pair_find(const pl_tokenizer *t, int32_t left, int32_t right)
{
    uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
    for (size_t i = hash & (t->pair_slots - 1);; i = (i + 1) & (t->pair_slots - 1)) {
        pl_pair_slot *const slot = &t->pairs[i];
        if (slot->left < 0 || (slot->left == left && slot->right == right))
            return slot;
    }
}

/* The listed merges by pair; a pair that is listed twice keeps its first rank. */
static pali_status index_pairs(pl_tokenizer *t, pali_error *err)
{
    const pl_vocabulary *const v = &t->vocabulary;
    t->pair_slots = 2;
    while (t->pair_slots < 2 * v->merge_count)
        t->pair_slots *= 2;
    t->pairs = pl_new_raw(t->pair_slots, sizeof *t->pairs, "merges", err);
    if (!t->pairs)
        return PALI_MEMORY;
    memset(t->pairs, 0xff, t->pair_slots * sizeof *t->pairs);
    for (size_t r = 0; r < v->merge_count; r++) {
        const pl_merge m = v->merges[r];
        pl_pair_slot *const slot = pl_pair_find(t, m.left, m.right);
        if (slot->left < 0)
            *slot = (pl_pair_slot){.left = m.left, .right = m.right, .piece = m.piece, .rank = (int32_t)r};
    }
    return PALI_OK;
}

/* What the pieces as a whole allow: see pl_tokenizer. */
static void survey_pieces(pl_tokenizer *t)
{
    const pl_vocabulary *const v = &t->vocabulary;
    t->words_apart = true;
    for (size_t id = 0; id < v->count; id++) {
        size_t length;
        const char *text = pl_vocabulary_piece(v, (int32_t)id, &length);
        t->has_unused = t->has_unused || v->types[id] == PL_PIECE_UNUSED;
        if ((v->types[id] == PL_PIECE_NORMAL || v->types[id] == PL_PIECE_UNUSED) &&
            memmem(text + 1, length - 1, "\xe2\x96\x81", 3))
            t->words_apart = false;
    }
    for (int c = 0; c < 128; c++) {
        const char character = (char)c;
        t->ascii[c] = pl_vocabulary_find(v, &character, 1);
    }
}

/* How many pieces "<nameNNN>" follow one another from number 0; none may stand elsewhere. */
static pali_status find_numbered(const pl_tokenizer *t, const char *first, int32_t *base, int32_t *count, pali_error *err)
{
    const size_t size = strlen(first);
    int32_t highest = -1;
    *base = pl_tokenizer_find(t, first, size);
    for (int32_t id = 0; (size_t)id < t->vocabulary.count; id++) {
        size_t length;
        const char *piece = pl_vocabulary_piece(&t->vocabulary, id, &length);
        if (length != size || memcmp(piece, first, 4) != 0 || !pl_is_location_piece(piece, length))
            continue;
        int32_t number = 0;
        for (size_t i = 4; i < size - 1; i++)
            number = 10 * number + (piece[i] - '0');
        if (*base < 0 || id != *base + number)
            return pl_fail(err, PALI_MODEL, "tokenizer: piece %.*s: found id %d, expected %s and up in a row", (int)length,
                           piece, (int)id, first);
        highest = number > highest ? number : highest;
        ++*count;
    }
    if (highest >= *count)
        return pl_fail(err, PALI_MODEL, "tokenizer: found %d pieces from %s up, expected %d in a row", (int)*count, first,
                       (int)highest + 1);
    return PALI_OK;
}

static pali_status find_special(pl_tokenizer *t, pali_error *err)
{
    const pl_vocabulary *const v = &t->vocabulary;
    pl_ids newline = {0};
    t->special = (pl_special_ids){.bos = v->bos, .eos = v->eos, .pad = v->pad, .unk = v->unk, .newline = -1};
    t->special.image = pl_tokenizer_find(t, "<image>", 7);
    pali_status status = find_numbered(t, "<loc0000>", &t->special.loc, &t->special.loc_count, err);
    if (status == PALI_OK)
        status = find_numbered(t, "<seg000>", &t->special.seg, &t->special.seg_count, err);
    if (status == PALI_OK)
        status = pl_tokenizer_encode(t, "\n", 1, PL_TEXT_USER, &newline, err);
    if (status == PALI_OK && newline.count == 1 && newline.data[0] != v->unk)
        t->special.newline = newline.data[0];
    pl_ids_free(&newline);
    return status;
}

pl_tokenizer *pl_tokenizer_new(pl_vocabulary *v, pali_error *err)
{
    pl_tokenizer *t = pl_new(1, sizeof *t, "tokenizer", err);
    if (!t) {
        pl_vocabulary_free(v);
        return NULL;
    }
    t->vocabulary = *v;
    pl_vocabulary_init(v);
    survey_pieces(t);
    pali_status status = pl_matcher_init(&t->matcher, &t->vocabulary, err);
    if (status == PALI_OK && t->vocabulary.merges)
        status = index_pairs(t, err);
    if (status == PALI_OK)
        status = find_special(t, err);
    if (status != PALI_OK) {
        pl_tokenizer_free(t);
        return NULL;
    }
    return t;
}

pl_tokenizer *pl_tokenizer_extend(const pl_tokenizer *tokenizer, const char *const *pieces, size_t count, pali_error *err)
{
    pl_vocabulary v;
    if (pl_vocabulary_copy(&v, &tokenizer->vocabulary, err) != PALI_OK)
        return NULL;
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        status = pl_vocabulary_push(&v, pieces[i], strlen(pieces[i]), 0, PL_PIECE_USER_DEFINED, err);
    if (status == PALI_OK)
        status = pl_vocabulary_finish(&v, err);
    pl_tokenizer *extended = status == PALI_OK ? pl_tokenizer_new(&v, err) : NULL;
    pl_vocabulary_free(&v);
    return extended;
}

void pl_tokenizer_free(pl_tokenizer *t)
{
    if (!t)
        return;
    pl_vocabulary_free(&t->vocabulary);
    pl_matcher_free(&t->matcher);
    free(t->pairs);
    free(t);
}

/* A file of either kind: JSON starts with a brace (after white space), a model file with field 1. */
static pali_status read_file(pl_vocabulary *v, const char *path, pali_error *err)
{
    pl_map map;
    pali_status status = pl_map_open(&map, path, PALI_MODEL, err);
    if (status != PALI_OK)
        return status;
    size_t at = 0;
    while (at < map.size && strchr(" \t\r\n", map.data[at]) && map.data[at] != '\0')
        at++;
    status = at < map.size && map.data[at] == '{' ? pl_tokenizer_json_parse(v, map.data, map.size, path, err)
                                                  : pl_sentencepiece_parse(v, map.data, map.size, path, err);
    pl_map_close(&map);
    return status;
}

typedef pali_status read_fn(pl_vocabulary *v, const char *path, pali_error *err);

/* Applies one file of a folder when it is there. */
static pali_status read_if_there(pl_vocabulary *v, const char *folder, const char *name, read_fn *read, bool *found,
                                 pali_error *err)
{
    char *path = pl_path_join(folder, name, err);
    if (!path)
        return PALI_MEMORY;
    *found = pl_is_file(path);
    const pali_status status = *found ? read(v, path, err) : PALI_OK;
    free(path);
    return status;
}

static pali_status read_folder(pl_vocabulary *v, const char *folder, bool add_locations, pali_error *err)
{
    bool found, config;
    pali_status status = read_if_there(v, folder, "tokenizer.json", pl_tokenizer_json_read, &found, err);
    if (status == PALI_OK && !found)
        status = read_if_there(v, folder, "tokenizer.model", pl_sentencepiece_read, &found, err);
    if (status == PALI_OK && !found)
        status = pl_fail(err, PALI_MODEL, "%s: found neither tokenizer.json nor tokenizer.model, expected one of them", folder);
    if (status == PALI_OK)
        status = read_if_there(v, folder, "tokenizer_config.json", pl_tokenizer_config_read, &config, err);
    const size_t count = v->count;
    if (status == PALI_OK && add_locations)
        status = pl_vocabulary_add_locations(v, err);
    if (status == PALI_OK && v->count > count && config) /* what it lists may come after them */
        status = read_if_there(v, folder, "tokenizer_config.json", pl_tokenizer_config_read, &config, err);
    return status == PALI_OK ? read_if_there(v, folder, "added_tokens.json", pl_added_tokens_read, &found, err) : status;
}

pl_tokenizer *pl_tokenizer_open(const char *path, bool add_locations, pali_error *err)
{
    pl_vocabulary v;
    pl_vocabulary_init(&v);
    const bool folder = pl_is_folder(path);
    pali_status status = folder ? read_folder(&v, path, add_locations, err) : read_file(&v, path, err);
    if (status == PALI_OK && add_locations && !folder)
        status = pl_vocabulary_add_locations(&v, err);
    if (status == PALI_OK)
        return pl_tokenizer_new(&v, err);
    pl_vocabulary_free(&v);
    return NULL;
}

size_t pl_tokenizer_count(const pl_tokenizer *t)
{
    return t->vocabulary.count;
}

const pl_special_ids *pl_tokenizer_special(const pl_tokenizer *t)
{
    return &t->special;
}

const pl_vocabulary *pl_tokenizer_vocabulary(const pl_tokenizer *t)
{
    return &t->vocabulary;
}

const char *pl_tokenizer_piece(const pl_tokenizer *t, int32_t id, size_t *length)
{
    *length = 0;
    return id < 0 || (size_t)id >= t->vocabulary.count ? NULL : pl_vocabulary_piece(&t->vocabulary, id, length);
}

int32_t pl_tokenizer_find(const pl_tokenizer *t, const char *piece, size_t length)
{
    return pl_vocabulary_find(&t->vocabulary, piece, length);
}

bool pl_tokenizer_is_control(const pl_tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->vocabulary.count &&
           (t->vocabulary.types[id] == PL_PIECE_CONTROL || t->vocabulary.types[id] == PL_PIECE_UNKNOWN);
}
