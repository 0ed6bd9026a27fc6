/*
 * Encoding: SentencePiece's BPE (google/sentencepiece, bpe_model.cc). The text
 * is cut into frozen pieces and characters; neighbouring characters whose
 * union is a piece stand in a heap by score, then by place; the best pair is
 * merged and its new neighbours pushed; a pair whose symbols have changed
 * since is passed over. What is no piece at the end is spelt in byte pieces.
 *
 * Where no merge can cross (frozen pieces; before U+2581, when pieces have it
 * only in front) the text is done part by part, which keeps the heap small.
 */
#include "base/text.h"
#include "text/tokenizer_data.h"

#include <stdlib.h>
#include <string.h>

#define SPACE "\xe2\x96\x81" /* U+2581 */
#define REPLACEMENT "\xef\xbf\xbd"

enum { SPACE_SIZE = 3, NONE = -1, BRANCHES = 4 /* of the heap: one cache line of candidates */ };
static const size_t LONGEST_TEXT = (size_t)512 << 20;

/* A stretch of the text; neighbours by index into the same array. */
typedef struct symbol {
    uint32_t start, size; /* bytes; size 0: merged into its left neighbour */
    int32_t previous, next;
    int32_t id; /* of the piece that it is, NONE: not one */
    bool frozen;
} symbol;

/* A symbol and its right neighbour, whose union is a piece. */
typedef struct candidate {
    uint64_t key;  /* smallest first: by score from the highest, then by place */
    uint32_t size; /* of both; another sum later means that one has changed */
    int32_t id;    /* of the union */
} candidate;

/* The state of one call. */
typedef struct work {
    const pl_tokenizer *tokenizer;
    const char *text; /* normalised */
    size_t length;
    bool control;
    symbol *symbols;
    size_t symbol_count, symbol_capacity;
    candidate *heap;
    size_t heap_count, heap_capacity;
    uint32_t *splits; /* [pieces] bytes of the left part of each unused piece; NULL: none */
    pl_ids *ids;
    bool after_unknown; /* the last id is unk, and takes in what follows */
    pali_error *err;
} work;

/* Invalid bytes become U+FFFD, spaces U+2581. */
static pali_status normalise(const pl_tokenizer *t, const char *text, size_t length, pl_buffer *out, pali_error *err)
{
    pali_status status = PALI_OK;
    if (t->vocabulary.add_dummy_prefix && length)
        status = pl_buffer_append(out, SPACE, SPACE_SIZE, err);
    size_t from = 0;
    for (size_t at = 0; at < length && status == PALI_OK;) {
        uint32_t code;
        bool valid = true;
        const size_t size = (unsigned char)text[at] < 0x80 ? 1 : pl_utf8_read(text + at, length - at, &code, &valid);
        if (text[at] == ' ' || !valid) {
            status = pl_buffer_append(out, text + from, at - from, err);
            if (status == PALI_OK)
                status = pl_buffer_append(out, valid ? SPACE : REPLACEMENT, SPACE_SIZE, err);
            from = at + size;
        }
        at += size;
    }
    return status == PALI_OK ? pl_buffer_append(out, text + from, length - from, err) : status;
}

/* Orders floats from the highest as whole numbers, and equal ones by `left`. */
static uint64_t key_of(float score, int32_t left)
{
    const float value = score + 0.0f; /* one zero */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t order = bits >> 31 ? bits : ~bits & 0x7fffffffu;
    return (uint64_t)order << 32 | (uint32_t)left;
}

static pali_status heap_push(work *w, candidate c)
{
    const pali_status status =
        pl_grow(&w->heap, &w->heap_capacity, w->heap_count + 1, sizeof *w->heap, "merges of a text", w->err);
    if (status != PALI_OK)
        return status;
    candidate *const heap = w->heap;
    size_t at = w->heap_count++;
    while (at && c.key < heap[(at - 1) / BRANCHES].key) {
        heap[at] = heap[(at - 1) / BRANCHES];
        at = (at - 1) / BRANCHES;
    }
    heap[at] = c;
    return PALI_OK;
}

static candidate heap_pop(work *w)
{
    candidate *const heap = w->heap;
    const size_t count = --w->heap_count;
    const candidate top = heap[0], last = heap[count];
    size_t at = 0;
    for (;;) {
        const size_t first = BRANCHES * at + 1, end = pl_min(first + BRANCHES, count);
        size_t best = first;
        for (size_t child = first + 1; child < end; child++)
            best = heap[child].key < heap[best].key ? child : best;
        if (first >= count || heap[best].key >= last.key)
            break;
        heap[at] = heap[best];
        at = best;
    }
    heap[at] = last;
    return top;
}

/* The piece that two symbols make, NONE when they make none. */
static int32_t union_of(const work *w, const symbol *left, const symbol *right, float *score)
{
    const pl_vocabulary *const v = &w->tokenizer->vocabulary;
    if (w->tokenizer->pairs) {
        if (left->id < 0 || right->id < 0)
            return NONE;
        const pl_pair_slot *const pair = pl_pair_find(w->tokenizer, left->id, right->id);
        *score = -(float)pair->rank;
        return pair->left < 0 ? NONE : pair->piece;
    }
    const int32_t id = pl_vocabulary_find(v, w->text + left->start, left->size + right->size);
    if (id < 0 || !pl_piece_merges(v->types[id]))
        return NONE;
    *score = v->scores[id];
    return id;
}

static pali_status push_pair(work *w, int32_t left, int32_t right)
{
    if (left < 0 || right < 0 || w->symbols[left].frozen || w->symbols[right].frozen)
        return PALI_OK;
    float score = 0;
    candidate c = {.size = w->symbols[left].size + w->symbols[right].size};
    c.id = union_of(w, &w->symbols[left], &w->symbols[right], &score);
    if (c.id < 0)
        return PALI_OK;
    c.key = key_of(score, left);
    if (w->splits && w->tokenizer->vocabulary.types[c.id] == PL_PIECE_UNUSED)
        w->splits[c.id] = w->symbols[left].size;
    return heap_push(w, c);
}

static pali_status merge_all(work *w)
{
    pali_status status = PALI_OK;
    for (size_t i = 1; i < w->symbol_count && status == PALI_OK; i++)
        status = push_pair(w, (int32_t)i - 1, (int32_t)i);
    while (w->heap_count && status == PALI_OK) {
        const candidate c = heap_pop(w);
        const int32_t at = (int32_t)(uint32_t)c.key;
        symbol *const left = &w->symbols[at];
        if (left->size == 0 || left->next < 0 || left->size + w->symbols[left->next].size != c.size)
            continue;
        symbol *const right = &w->symbols[left->next];
        left->size = c.size;
        left->id = c.id;
        left->next = right->next;
        if (right->next >= 0)
            w->symbols[right->next].previous = at;
        right->size = 0;
        status = push_pair(w, left->previous, at);
        if (status == PALI_OK)
            status = push_pair(w, at, left->next);
    }
    return status;
}

static pali_status emit_id(work *w, int32_t id)
{
    w->after_unknown = false;
    return pl_ids_push(w->ids, id, w->err);
}

/* A stretch that is no piece: its bytes, or one unk for the whole run of such stretches. */
static pali_status emit_bytes(work *w, const char *text, size_t size)
{
    const pl_vocabulary *const v = &w->tokenizer->vocabulary;
    pali_status status = PALI_OK;
    if (v->byte_fallback) {
        for (size_t i = 0; i < size && status == PALI_OK; i++)
            status = emit_id(w, v->bytes[(unsigned char)text[i]]);
        return status;
    }
    if (!w->after_unknown)
        status = emit_id(w, v->unk);
    w->after_unknown = true;
    return status;
}

/* An unused piece is split as it was last made, its parts likewise. */
static pali_status emit(work *w, const char *text, size_t size, int32_t id)
{
    const pl_vocabulary *const v = &w->tokenizer->vocabulary;
    while (id >= 0 && w->splits && v->types[id] == PL_PIECE_UNUSED && w->splits[id]) {
        const uint32_t left = w->splits[id];
        const pali_status status = emit(w, text, left, pl_vocabulary_find(v, text, left));
        if (status != PALI_OK)
            return status;
        text += left;
        size -= left;
        id = pl_vocabulary_find(v, text, size);
    }
    const uint8_t type = id < 0 ? PL_PIECE_UNKNOWN : v->types[id];
    const bool found = type == PL_PIECE_NORMAL || type == PL_PIECE_USER_DEFINED;
    return found || (w->control && type == PL_PIECE_CONTROL) ? emit_id(w, id) : emit_bytes(w, text, size);
}

static pali_status emit_all(work *w)
{
    pali_status status = PALI_OK;
    for (int32_t i = 0; i >= 0 && status == PALI_OK && w->symbol_count; i = w->symbols[i].next)
        status = emit(w, w->text + w->symbols[i].start, w->symbols[i].size, w->symbols[i].id);
    return status;
}

static pali_status push_symbol(work *w, symbol s)
{
    const pali_status status = pl_grow(&w->symbols, &w->symbol_capacity, w->symbol_count + 1, sizeof *w->symbols,
                                       "symbols of a text", w->err);
    if (status != PALI_OK)
        return status;
    s.previous = (int32_t)w->symbol_count - 1;
    s.next = NONE;
    if (w->symbol_count)
        w->symbols[w->symbol_count - 1].next = (int32_t)w->symbol_count;
    w->symbols[w->symbol_count++] = s;
    return PALI_OK;
}

/* The frozen piece or the character at a place. */
static symbol read_symbol(const work *w, size_t at)
{
    const pl_tokenizer *const t = w->tokenizer;
    size_t size = 0;
    const int32_t id = pl_matcher_find(&t->matcher, w->text + at, w->length - at, w->control, &size);
    if (id >= 0)
        return (symbol){.start = (uint32_t)at, .size = (uint32_t)size, .id = id, .frozen = true};
    const unsigned char first = (unsigned char)w->text[at];
    if (first < 0x80)
        return (symbol){.start = (uint32_t)at, .size = 1, .id = t->ascii[first]};
    uint32_t code;
    bool valid;
    size = pl_utf8_read(w->text + at, w->length - at, &code, &valid);
    return (symbol){.start = (uint32_t)at,
                    .size = (uint32_t)size,
                    .id = pl_vocabulary_find(&t->vocabulary, w->text + at, size)};
}

static pali_status finish_part(work *w)
{
    pali_status status = merge_all(w);
    if (status == PALI_OK)
        status = emit_all(w);
    w->symbol_count = 0;
    return status;
}

static pali_status encode_text(work *w)
{
    const bool apart = !w->tokenizer->has_unused, words = apart && w->tokenizer->words_apart;
    pali_status status = PALI_OK;
    for (size_t at = 0; at < w->length && status == PALI_OK;) {
        const symbol s = read_symbol(w, at);
        const bool word = words && w->length - at >= SPACE_SIZE && memcmp(w->text + at, SPACE, SPACE_SIZE) == 0;
        if (w->symbol_count && (word || (apart && s.frozen)))
            status = finish_part(w);
        if (status == PALI_OK)
            status = push_symbol(w, s);
        if (status == PALI_OK && apart && s.frozen)
            status = finish_part(w);
        at += s.size;
    }
    return status == PALI_OK ? finish_part(w) : status;
}

pali_status pl_tokenizer_encode(const pl_tokenizer *tokenizer, const char *text, size_t length, pl_text_mode mode,
                                pl_ids *ids, pali_error *err)
{
    if (length > LONGEST_TEXT)
        return pl_fail(err, PALI_INPUT, "text: found %zu bytes, expected at most %zu", length, LONGEST_TEXT);
    const size_t before = ids->count;
    pl_buffer normal = {0};
    work w = {.tokenizer = tokenizer, .control = mode == PL_TEXT_SPECIAL, .ids = ids, .err = err};
    pali_status status = normalise(tokenizer, text, length, &normal, err);
    if (status == PALI_OK && tokenizer->has_unused) {
        w.splits = pl_new(tokenizer->vocabulary.count, sizeof *w.splits, "splits of unused pieces", err);
        status = w.splits ? PALI_OK : PALI_MEMORY;
    }
    if (status == PALI_OK) {
        w.text = normal.data;
        w.length = normal.length;
        status = encode_text(&w);
    }
    if (status != PALI_OK)
        ids->count = before;
    free(w.splits);
    free(w.heap);
    free(w.symbols);
    free(normal.data);
    return status;
}
