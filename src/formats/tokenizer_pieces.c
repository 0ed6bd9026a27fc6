/*
 * model.vocab, read where it lies, and added_tokens, which may name pieces of
 * it again. They come in any order and are put in order of their ids.
 */
#include "formats/tokenizer_pieces.h"

#include "base/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* One member of model.vocab; text borrowed from the file, or from `unescaped`. */
typedef struct member {
    const char *text;
    size_t length;
    uint64_t id; /* UINT64_MAX: the value was no id */
} member;

/* One id; text borrowed from a member or from the JSON value. */
typedef struct entry {
    const char *text; /* NULL: not met yet */
    size_t length;
    pl_piece_type type;
} entry;

typedef struct entries {
    member *members; /* [member_count] owned */
    size_t member_count, member_capacity;
    char *unescaped; /* owned: as large as model.vocab */
    size_t unescaped_size;
    entry *at; /* [capacity] owned, by id */
    size_t capacity, count;
    bool byte_fallback;
} entries;

static void entries_free(entries *e)
{
    free(e->members);
    free(e->unescaped);
    free(e->at);
}

static pali_status broken(pali_error *err)
{
    return pl_fail(err, PALI_MODEL, "model.vocab: expected an object of pieces and ids");
}

static pali_status push_member(entries *e, pl_json_text text, uint64_t id, pali_error *err)
{
    member m = {.text = text.at, .length = text.length, .id = id};
    if (text.escaped) {
        m.text = e->unescaped + e->unescaped_size;
        if (!pl_json_unescape(text, e->unescaped + e->unescaped_size, &m.length))
            return broken(err);
        e->unescaped_size += m.length;
    }
    const pali_status status = pl_grow(&e->members, &e->member_capacity, e->member_count + 1, sizeof *e->members, "pieces", err);
    if (status == PALI_OK)
        e->members[e->member_count++] = m;
    return status;
}

static pali_status list_members(entries *e, pl_json_cursor c, pali_error *err)
{
    e->unescaped = pl_new_raw((size_t)(c.end - c.at), 1, "pieces", err);
    if (!e->unescaped)
        return PALI_MEMORY;
    if (!pl_json_take(&c, '{'))
        return broken(err);
    if (pl_json_take(&c, '}'))
        return PALI_OK;
    do {
        pl_json_text text;
        if (!pl_json_take_string(&c, &text) || !pl_json_take(&c, ':'))
            return broken(err);
        const pl_json_cursor value = c;
        uint64_t id;
        if (!pl_json_take_number(&c, &id)) {
            id = UINT64_MAX;
            c = value;
            if (!pl_json_skip_value(&c))
                return broken(err);
        }
        const pali_status status = push_member(e, text, id, err);
        if (status != PALI_OK)
            return status;
    } while (pl_json_take(&c, ','));
    return pl_json_take(&c, '}') ? PALI_OK : broken(err);
}

static pali_status place_members(entries *e, pali_error *err)
{
    char name[80];
    for (size_t i = 0; i < e->member_count; i++) {
        const member m = e->members[i];
        if (m.id >= e->capacity)
            return pl_fail(err, PALI_MODEL, "model.vocab: %s: expected an id from 0 to %zu without gaps",
                           pl_printable(m.text, m.length, name), e->capacity - 1);
        if (e->at[m.id].text)
            return pl_fail(err, PALI_MODEL, "model.vocab: %s: id %llu is given twice", pl_printable(m.text, m.length, name),
                           (unsigned long long)m.id);
        const bool byte = e->byte_fallback && pl_byte_of_piece(m.text, m.length) >= 0;
        e->at[m.id] = (entry){.text = m.text, .length = m.length, .type = byte ? PL_PIECE_BYTE : PL_PIECE_NORMAL};
        e->count++;
    }
    return PALI_OK;
}

/* A token that takes the spaces beside it, or only whole words, gives other ids. */
static pali_status check_flags(const json_t *token, size_t index, pali_error *err)
{
    static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (json_is_true(json_object_get(token, flags[i])))
            return pl_fail(err, PALI_MODEL, "added_tokens[%zu].%s: found true, expected false", index, flags[i]);
    return PALI_OK;
}

static pali_status place_added(entries *e, const json_t *added, pali_error *err)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i);
        const json_t *id_value = json_object_get(token, "id"), *content = json_object_get(token, "content");
        const json_int_t id = json_integer_value(id_value);
        const char *text = json_string_value(content);
        const size_t length = json_string_length(content);
        if (!json_is_integer(id_value) || !text)
            return pl_fail(err, PALI_MODEL, "added_tokens[%zu]: expected an id and a content", i);
        if (id < 0 || (uint64_t)id >= e->capacity)
            return pl_fail(err, PALI_MODEL, "added_tokens[%zu].id: found %lld, expected 0 to %zu without gaps", i,
                           (long long)id, e->capacity - 1);
        const pali_status status = check_flags(token, i, err);
        if (status != PALI_OK)
            return status;
        entry *at = &e->at[id];
        if (at->text && (at->length != length || memcmp(at->text, text, length) != 0)) {
            char name[80];
            return pl_fail(err, PALI_MODEL, "added_tokens[%zu].id: %lld is already %s", i, (long long)id,
                           pl_printable(at->text, at->length, name));
        }
        e->count += at->text == NULL;
        *at = (entry){.text = text,
                      .length = length,
                      .type = json_is_true(json_object_get(token, "special")) ? PL_PIECE_CONTROL : PL_PIECE_USER_DEFINED};
    }
    return PALI_OK;
}

static pali_status push_entries(pl_vocabulary *v, const entries *e, pali_error *err)
{
    size_t bytes = 0;
    for (size_t id = 0; id < e->count; id++)
        bytes += e->at[id].length;
    pali_status status = pl_vocabulary_reserve(v, e->count, bytes, err);
    for (size_t id = 0; id < e->count && status == PALI_OK; id++) {
        if (!e->at[id].text)
            return pl_fail(err, PALI_MODEL, "model.vocab: no piece has id %zu, although there are %zu pieces", id, e->count);
        status = pl_vocabulary_push(v, e->at[id].text, e->at[id].length, 0, e->at[id].type, err);
    }
    return status;
}

pali_status pl_tokenizer_pieces_read(pl_vocabulary *v, pl_json_cursor vocab, const json_t *added, pali_error *err)
{
    entries e = {.byte_fallback = v->byte_fallback};
    pali_status status = list_members(&e, vocab, err);
    if (status == PALI_OK) {
        e.capacity = e.member_count + json_array_size(added);
        e.at = pl_new(e.capacity, sizeof *e.at, "pieces", err);
        status = e.at ? place_members(&e, err) : PALI_MEMORY;
    }
    if (status == PALI_OK)
        status = place_added(&e, added, err);
    if (status == PALI_OK)
        status = push_entries(v, &e, err);
    entries_free(&e);
    return status;
}
