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

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The characters whose runs SentencePiece models have as pieces of their own. */
static const char *const run_characters[] = {"\xe2\x96\x81", "\n", "\t", "\r"};
enum { RUN_CHARACTERS = 4 };

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

/* The two halves of a merge, borrowed from the JSON value. */
static bool split_merge(const json_t *merge, const char *half[2], size_t length[2])
{
    if (json_is_string(merge)) {
        const char *text = json_string_value(merge);
        const char *space = strchr(text, ' ');
        if (!space || strchr(space + 1, ' '))
            return false;
        half[0] = text;
        length[0] = (size_t)(space - text);
        half[1] = space + 1;
        length[1] = json_string_length(merge) - length[0] - 1;
        return true;
    }
    if (!json_is_array(merge) || json_array_size(merge) != 2)
        return false;
    for (size_t i = 0; i < 2; i++) {
        const json_t *part = json_array_get(merge, i);
        if (!json_is_string(part))
            return false;
        half[i] = json_string_value(part);
        length[i] = json_string_length(part);
    }
    return true;
}

/* The piece that two halves make; most often it is the one of the merge before. */
static int32_t find_union(const pl_vocabulary *v, int32_t guess, const char *const half[2], const size_t length[2])
{
    char both[2 * 4096];
    const size_t total = length[0] + length[1];
    memcpy(both, half[0], length[0]);
    memcpy(both + length[0], half[1], length[1]);
    if (guess >= 0) {
        size_t size;
        const char *text = pl_vocabulary_piece(v, guess, &size);
        if (size == total && memcmp(text, both, total) == 0)
            return guess;
    }
    return pl_vocabulary_find(v, both, total);
}

/* guess: the result of the merge before, -1 for none. */
static pali_status read_merge(const pl_vocabulary *v, const json_t *merge, size_t rank, int32_t guess, pl_merge *out,
                              pali_error *err)
{
    const char *half[2];
    size_t length[2];
    char name[80];
    if (!split_merge(merge, half, length))
        return pl_fail(err, PALI_MODEL, "model.merges[%zu]: expected \"left right\" or [\"left\", \"right\"]", rank);
    int32_t id[2];
    for (int i = 0; i < 2; i++) {
        id[i] = pl_vocabulary_find(v, half[i], length[i]);
        if (id[i] < 0)
            return pl_fail(err, PALI_MODEL, "model.merges[%zu]: %s is no piece of model.vocab", rank,
                           pl_printable(half[i], length[i], name));
    }
    *out = (pl_merge){.left = id[0], .right = id[1], .piece = find_union(v, guess, half, length)};
    if (out->piece < 0)
        return pl_fail(err, PALI_MODEL, "model.merges[%zu]: what %s begins is no piece of model.vocab", rank,
                       pl_printable(half[0], length[0], name));
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

pali_status pl_tokenizer_merges_read(pl_vocabulary *v, const json_t *list, pali_error *err)
{
    const size_t count = json_array_size(list);
    if (count > 1 << 24)
        return pl_fail(err, PALI_MODEL, "model.merges: found %zu, expected at most %d", count, 1 << 24);
    pl_merge *merges = pl_new_raw(count, sizeof *merges, "merges", err);
    if (!merges)
        return PALI_MEMORY;
    for (size_t r = 0; r < count; r++) {
        const pali_status status = read_merge(v, json_array_get(list, r), r, r ? merges[r - 1].piece : -1, &merges[r], err);
        if (status != PALI_OK) {
            free(merges);
            return status;
        }
    }
    return settle(v, merges, count, err);
}
