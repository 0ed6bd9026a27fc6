/*
 * Decoding as SentencePiece does it: U+2581 is a space, a run of byte pieces
 * is UTF-8 whose invalid bytes become U+FFFD one by one, control pieces are
 * silent. Nothing is trimmed but the dummy prefix, where the vocabulary has one.
 */
#include "text/detokenizer.h"

#include <string.h>

#define SPACE "\xe2\x96\x81" /* U+2581 */
#define REPLACEMENT "\xef\xbf\xbd"

void pl_detokenizer_init(pl_detokenizer *d, const pl_tokenizer *tokenizer)
{
    *d = (pl_detokenizer){.tokenizer = tokenizer};
}

/* Could more bytes still make these a character? (Whether they do is seen when they are there.) */
static bool is_partial(const char *bytes, size_t count)
{
    const unsigned char lead = (unsigned char)bytes[0];
    const size_t size = lead >= 0xf5 || lead < 0xc2 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    for (size_t i = 1; i < count; i++)
        if (((unsigned char)bytes[i] & 0xc0) != 0x80)
            return false;
    return count < size;
}

/* Writes out the held bytes, all of them at the `end` of a run, else up to a character that may yet grow. */
static pali_status release(pl_detokenizer *d, bool end, pl_buffer *out, pali_error *err)
{
    pali_status status = PALI_OK;
    size_t at = 0;
    while (at < d->held_count && status == PALI_OK && (end || !is_partial(d->held + at, d->held_count - at))) {
        uint32_t code;
        bool valid;
        const size_t size = pl_utf8_read(d->held + at, d->held_count - at, &code, &valid);
        status = valid ? pl_buffer_append(out, d->held + at, size, err)
                       : pl_buffer_append(out, REPLACEMENT, strlen(REPLACEMENT), err);
        at += size;
    }
    d->held_count -= at;
    memmove(d->held, d->held + at, d->held_count);
    return status;
}

static pali_status append_piece(pl_detokenizer *d, const char *piece, size_t length, pl_buffer *out, pali_error *err)
{
    const size_t size = strlen(SPACE);
    pali_status status = PALI_OK;
    size_t at = 0;
    if (!d->started && pl_tokenizer_vocabulary(d->tokenizer)->add_dummy_prefix && length >= size &&
        memcmp(piece, SPACE, size) == 0)
        at = size;
    d->started = true;
    while (at < length && status == PALI_OK) {
        const char *space = memmem(piece + at, length - at, SPACE, size);
        const size_t plain = space ? (size_t)(space - piece) - at : length - at;
        status = pl_buffer_append(out, piece + at, plain, err);
        if (status == PALI_OK && space)
            status = pl_buffer_append(out, " ", 1, err);
        at += plain + (space ? size : 0);
    }
    return status;
}

pali_status pl_detokenizer_push(pl_detokenizer *d, int32_t id, pl_buffer *out, pali_error *err)
{
    const pl_vocabulary *v = pl_tokenizer_vocabulary(d->tokenizer);
    if (id < 0 || (size_t)id >= v->count)
        return pl_fail(err, PALI_INPUT, "id: found %d, expected 0 to %zu", (int)id, v->count - 1);
    size_t length;
    const char *piece = pl_vocabulary_piece(v, id, &length);
    if (v->types[id] == PL_PIECE_BYTE) {
        d->held[d->held_count++] = (char)pl_byte_of_piece(piece, length);
        d->started = true;
        return release(d, false, out, err);
    }
    pali_status status = release(d, true, out, err);
    if (status == PALI_OK && v->types[id] != PL_PIECE_CONTROL && v->types[id] != PL_PIECE_UNKNOWN)
        status = append_piece(d, piece, length, out, err);
    return status;
}

pali_status pl_detokenizer_flush(pl_detokenizer *d, pl_buffer *out, pali_error *err)
{
    const pali_status status = release(d, true, out, err);
    pl_detokenizer_init(d, d->tokenizer);
    return status;
}

pali_status pl_tokenizer_decode(const pl_tokenizer *tokenizer, const int32_t *ids, size_t count, pl_buffer *out,
                                pali_error *err)
{
    pl_detokenizer d;
    pali_status status = PALI_OK;
    pl_detokenizer_init(&d, tokenizer);
    for (size_t i = 0; i < count && status == PALI_OK; i++)
        status = pl_detokenizer_push(&d, ids[i], out, err);
    return status == PALI_OK ? pl_detokenizer_flush(&d, out, err) : status;
}
