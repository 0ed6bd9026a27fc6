/*
 * SentencePiece merges any two neighbours whose text together is a piece, by
 * the piece's score. Its conversion to tokenizer.json writes each such pair
 * out, in order of score. A list is recognised as such a conversion when each
 * piece's pairs stand together and none is missing; the ids then follow
 * SentencePiece even where the pair-wise library differs (pairs of one piece
 * among themselves; runs of more than 31 spaces).
 */
#include "formats/tokenizer_merges.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* The characters whose runs SentencePiece models have as pieces of their own. */
static const char *const run_characters[] = {"\xe2\x96\x81", "\n", "\t", "\r"};
enum { RUN_CHARACTERS = 4, MOST_MERGES = 1 << 24 };

static bool is_run(const char *text, size_t length, const char *character)
{
    const size_t size = strlen(character);
    if (length % size != 0 || length < 2 * size)
        return false;
    for (size_t at = 0; at < length; at += size)
        if (memcmp(text + at, character, size) != 0)
            return false;
    return true;
}

static bool is_one_character(const char *text, size_t length)
{
    uint32_t code;
    bool valid;
    return pl_utf8_read(text, length, &code, &valid) == length;
}

/* The two halves of a merge, borrowed. */
typedef struct halves {
    const char *text[2];
    size_t length[2];
} halves;

/* The next string, as it stands or without its escapes in *room, which it uses up. */
static bool take_plain(pl_json_cursor *c, char **room, const char **out, size_t *length)
{
    pl_json_text text;
    if (!pl_json_take_string(c, &text))
        return false;
    *out = text.escaped ? *room : text.at;
    *length = text.length;
    if (text.escaped && !pl_json_unescape(text, *room, length))
        return false;
    *room += text.escaped ? *length : 0;
    return true;
}

/* "left right", or ["left", "right"]; `room` is as large as the list. */
static bool take_halves(pl_json_cursor *c, char *room, halves *h)
{
    if (pl_json_take(c, '['))
        return take_plain(c, &room, &h->text[0], &h->length[0]) && pl_json_take(c, ',') &&
               take_plain(c, &room, &h->text[1], &h->length[1]) && pl_json_take(c, ']');
    const char *text;
    size_t length;
    const char *space = take_plain(c, &room, &text, &length) ? memchr(text, ' ', length) : NULL;
    if (!space)
        return false;
    *h = (halves){.text = {text, space + 1}, .length = {(size_t)(space - text), length - (size_t)(space - text) - 1}};
    return !memchr(h->text[1], ' ', h->length[1]);
}

/* The piece that two halves make; most often it is the one of the merge before. */
static int32_t find_union(const pl_vocabulary *v, int32_t guess, const halves *h)
{
    const size_t first = h->length[0], total = first + h->length[1];
    if (guess >= 0) {
        size_t size;
        const char *text = pl_vocabulary_piece(v, guess, &size);
        if (size == total && memcmp(text, h->text[0], first) == 0 && memcmp(text + first, h->text[1], h->length[1]) == 0)
            return guess;
    }
    char both[2 * 4096]; /* both halves are pieces */
    memcpy(both, h->text[0], first);
    memcpy(both + first, h->text[1], h->length[1]);
    return pl_vocabulary_find(v, both, total);
}

/* guess: the result of the merge before, -1 for none. */
static pali_status find_merge(const pl_vocabulary *v, const halves *h, size_t rank, int32_t guess, pl_merge *out, pali_error *err)
{
    char name[80];
    int32_t id[2];
    for (int i = 0; i < 2; i++) {
        id[i] = pl_vocabulary_find(v, h->text[i], h->length[i]);
        if (id[i] < 0)
            return pl_fail(err, PALI_MODEL, "model.merges[%zu]: %s is no piece of model.vocab", rank,
                           pl_printable(h->text[i], h->length[i], name));
    }
    *out = (pl_merge){.left = id[0], .right = id[1], .piece = find_union(v, guess, h)};
    if (out->piece < 0)
        return pl_fail(err, PALI_MODEL, "model.merges[%zu]: what %s begins is no piece of model.vocab", rank,
                       pl_printable(h->text[0], h->length[0], name));
    return PALI_OK;
}

/*
 * Marks the runs of a character as user-defined where all of them are made
 * before any other piece with that character in it, which is what cutting
 * them out of the text first amounts to.
 */
static void mark_runs(const pl_vocabulary *v, uint8_t *types, const pl_merge *merges, size_t count,
                      const char *character)
{
    size_t first_other = count, length;
    for (size_t r = 0; r < count && first_other == count; r++) {
        const char *text = pl_vocabulary_piece(v, merges[r].piece, &length);
        if (memmem(text, length, character, strlen(character)) && !is_run(text, length, character))
            first_other = r;
    }
    for (size_t r = first_other; r < count; r++) {
        const char *text = pl_vocabulary_piece(v, merges[r].piece, &length);
        if (is_run(text, length, character))
            return;
    }
    for (size_t r = 0; r < first_other; r++) {
        const char *text = pl_vocabulary_piece(v, merges[r].piece, &length);
        if (types[merges[r].piece] == PL_PIECE_NORMAL && is_run(text, length, character))
            types[merges[r].piece] = PL_PIECE_USER_DEFINED;
    }
}

static bool is_ordinary(const uint8_t *types, int32_t id)
{
    return id >= 0 && types[id] == PL_PIECE_NORMAL;
}

/* Is there a way to make `piece` from two ordinary pieces that its merges, first to end, leave out? */
static bool lacks_split(const pl_vocabulary *v, const uint8_t *types, const pl_merge *first, const pl_merge *end)
{
    size_t length, left_length;
    const char *text = pl_vocabulary_piece(v, first->piece, &length);
    uint64_t listed[4096 / 64 + 1] = {0}; /* a bit for each length of the left half */
    for (const pl_merge *m = first; m < end; m++) {
        pl_vocabulary_piece(v, m->left, &left_length);
        listed[left_length / 64] |= (uint64_t)1 << left_length % 64;
    }
    for (size_t at = 1; at < length; at++) {
        if (((unsigned char)text[at] & 0xc0) == 0x80 || listed[at / 64] >> at % 64 & 1)
            continue;
        if (is_ordinary(types, pl_vocabulary_find(v, text, at)) &&
            is_ordinary(types, pl_vocabulary_find(v, text + at, length - at)))
            return true;
    }
    return false;
}

/*
 * Are these the pairs that SentencePiece would try for its ordinary pieces,
 * all of them, each piece's together? Then gives each its score. `seen` is
 * zero at first.
 */
static bool score_pieces(const pl_vocabulary *v, const uint8_t *types, const pl_merge *merges, size_t count,
                         bool *seen, float *scores)
{
    float score = 0;
    for (size_t id = 0; id < v->count; id++)
        scores[id] = -(float)count;
    for (size_t r = 0, end; r < count; r = end) {
        const int32_t piece = merges[r].piece;
        for (end = r + 1; end < count && merges[end].piece == piece;)
            end++;
        if (!is_ordinary(types, piece))
            continue;
        if (seen[piece] || lacks_split(v, types, &merges[r], &merges[end]))
            return false;
        seen[piece] = true;
        scores[piece] = score--;
    }
    return true;
}

/* Ordinary pieces of several characters that no pair makes cannot be learned ones. */
static void mark_unreachable(const pl_vocabulary *v, uint8_t *types, const pl_merge *merges, size_t count)
{
    for (size_t id = 0; id < v->count; id++) {
        size_t length;
        const char *text = pl_vocabulary_piece(v, (int32_t)id, &length);
        if (types[id] == PL_PIECE_NORMAL && !is_one_character(text, length))
            types[id] = PL_PIECE_UNUSED; /* until a merge says otherwise */
    }
    for (size_t r = 0; r < count; r++)
        if (types[merges[r].piece] == PL_PIECE_UNUSED)
            types[merges[r].piece] = PL_PIECE_NORMAL;
    for (size_t id = 0; id < v->count; id++)
        if (types[id] == PL_PIECE_UNUSED)
            types[id] = PL_PIECE_USER_DEFINED;
}

static pali_status settle(pl_vocabulary *v, pl_merge *merges, size_t count, pali_error *err)
{
    uint8_t *types = pl_new_raw(v->count, 1, "piece types", err);
    bool *seen = pl_new(v->count, sizeof *seen, "merged pieces", err);
    float *scores = pl_new_raw(v->count, sizeof *scores, "piece scores", err);
    pali_status status = PALI_MEMORY;
    if (!types || !seen || !scores)
        goto done;
    memcpy(types, v->types, v->count);
    mark_unreachable(v, types, merges, count);
    for (int i = 0; i < RUN_CHARACTERS; i++)
        mark_runs(v, types, merges, count, run_characters[i]);
    if (score_pieces(v, types, merges, count, seen, scores)) {
        memcpy(v->types, types, v->count);
        memcpy(v->scores, scores, v->count * sizeof *scores);
    } else {
        v->merges = merges;
        v->merge_count = count;
        merges = NULL;
    }
    status = PALI_OK;
done:
    free(merges);
    free(scores);
    free(seen);
    free(types);
    return status;
}

/* A growing list; room as for take_halves. */
typedef struct merge_list {
    pl_merge *at; /* [count] owned */
    size_t count, capacity;
} merge_list;

static pali_status list_merges(const pl_vocabulary *v, pl_json_cursor c, char *room, merge_list *list, pali_error *err)
{
    if (!pl_json_take(&c, '['))
        return pl_fail(err, PALI_MODEL, "model.merges: expected an array");
    if (pl_json_take(&c, ']'))
        return PALI_OK;
    do {
        halves h;
        if (!take_halves(&c, room, &h))
            return pl_fail(err, PALI_MODEL, "model.merges[%zu]: expected \"left right\" or [\"left\", \"right\"]", list->count);
        if (list->count == MOST_MERGES)
            return pl_fail(err, PALI_MODEL, "model.merges: found more than %d, expected at most as many", MOST_MERGES);
        pali_status status = pl_grow(&list->at, &list->capacity, list->count + 1, sizeof *list->at, "merges", err);
        const int32_t guess = list->count ? list->at[list->count - 1].piece : -1;
        if (status == PALI_OK)
            status = find_merge(v, &h, list->count, guess, &list->at[list->count], err);
        if (status != PALI_OK)
            return status;
        list->count++;
    } while (pl_json_take(&c, ','));
    return pl_json_take(&c, ']') ? PALI_OK : pl_fail(err, PALI_MODEL, "model.merges: expected an array");
}

pali_status pl_tokenizer_merges_read(pl_vocabulary *v, pl_json_cursor text, pali_error *err)
{
    merge_list list = {0};
    char *room = pl_new_raw((size_t)(text.end - text.at), 1, "merges", err);
    pali_status status = room ? list_merges(v, text, room, &list, err) : PALI_MEMORY;
    free(room);
    if (status == PALI_OK)
        return settle(v, list.at, list.count, err);
    free(list.at);
    return status;
}
