/* What the tests of this room share. */
#ifndef TESTS_TEXT_SUPPORT_H
#define TESTS_TEXT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/sentencepiece.h"
#include "formats/tokenizer_json.h"
#include "text/detokenizer.h"
#include "text/prompt.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define GEMMA "../shared/data/gemma-tokenizer/"
#define SPACE "\xe2\x96\x81"

static inline pl_tokenizer *open_or_fail(const char *path, bool add_locations)
{
    pali_error err = {0};
    pl_tokenizer *t = pl_tokenizer_open(path, add_locations, &err);
    if (!t)
        fail_msg("%s", err.message);
    return t;
}

static inline pl_ids encode(const pl_tokenizer *t, const char *text, size_t length, pl_text_mode mode)
{
    pl_ids ids = {0};
    pali_error err = {0};
    if (pl_tokenizer_encode(t, text, length, mode, &ids, &err) != PALI_OK)
        fail_msg("%s", err.message);
    return ids;
}

static inline void assert_ids(const pl_ids *ids, const int32_t *expected, size_t count, const char *text)
{
    bool same = ids->count == count;
    for (size_t i = 0; same && i < count; i++)
        same = ids->data[i] == expected[i];
    if (same)
        return;
    pl_buffer message = {0};
    pl_buffer_printf(&message, NULL, "\"%s\": found", text);
    for (size_t i = 0; i < ids->count; i++)
        pl_buffer_printf(&message, NULL, " %d", (int)ids->data[i]);
    pl_buffer_printf(&message, NULL, ", expected");
    for (size_t i = 0; i < count; i++)
        pl_buffer_printf(&message, NULL, " %d", (int)expected[i]);
    print_error("%s\n", message.data);
    free(message.data);
    fail();
}

/* Writes one length-delimited protobuf field. */
static inline void put_field(pl_buffer *out, int number, const void *bytes, size_t size)
{
    unsigned char head[16] = {(unsigned char)(number << 3 | 2)};
    size_t used = 1, rest = size;
    if (number > 15) {
        head[0] = (unsigned char)((number << 3 | 2) & 0x7f) | 0x80;
        head[used++] = (unsigned char)(number >> 4);
    }
    for (; rest > 127; rest >>= 7)
        head[used++] = (unsigned char)(rest & 0x7f) | 0x80;
    head[used++] = (unsigned char)rest;
    assert_int_equal(pl_buffer_append(out, head, used, NULL), PALI_OK);
    assert_int_equal(pl_buffer_append(out, bytes, size, NULL), PALI_OK);
}

static inline void put_piece(pl_buffer *model, const char *text, float score, pl_piece_type type)
{
    pl_buffer piece = {0};
    put_field(&piece, 1, text, strlen(text));
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    const unsigned char tail[] = {2 << 3 | 5, (unsigned char)bits, (unsigned char)(bits >> 8),
                                  (unsigned char)(bits >> 16), (unsigned char)(bits >> 24), 3 << 3,
                                  (unsigned char)type};
    assert_int_equal(pl_buffer_append(&piece, tail, sizeof tail, NULL), PALI_OK);
    put_field(model, 1, piece.data, piece.length);
    free(piece.data);
}

/* Trainer and normaliser as Gemma's; with or without byte fallback. */
static inline void put_settings(pl_buffer *model, bool byte_fallback)
{
    const unsigned char trainer[] = {3 << 3, 2, 0x98, 0x02, byte_fallback}; /* field 35 */
    const unsigned char normalizer[] = {3 << 3, 0, 4 << 3, 0, 5 << 3, 1};
    put_field(model, 2, trainer, sizeof trainer);
    put_field(model, 3, normalizer, sizeof normalizer);
}

static inline void put_bytes(pl_buffer *model)
{
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        put_piece(model, text, 0, PL_PIECE_BYTE);
    }
}

#endif
