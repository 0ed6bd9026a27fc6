/*
 * What a tokenizer that opened from any bytes must hold to: a user's text
 * yields no control id, streaming equals decoding at once, ids are in range.
 */
#ifndef TESTS_FUZZ_TOKENIZER_H
#define TESTS_FUZZ_TOKENIZER_H

#include <stdlib.h>
#include <string.h>

#include "text/detokenizer.h"
#include "text/prompt.h"

#define MUST(condition)  \
    do {                 \
        if (!(condition)) \
            abort();     \
    } while (0)

static inline void check_decoding(const pl_tokenizer *t, const pl_ids *ids)
{
    pl_buffer whole = {0}, streamed = {0};
    pl_detokenizer d;
    pl_detokenizer_init(&d, t);
    for (size_t i = 0; i < ids->count; i++)
        MUST(pl_detokenizer_push(&d, ids->data[i], &streamed, NULL) == PALI_OK);
    MUST(pl_detokenizer_flush(&d, &streamed, NULL) == PALI_OK);
    MUST(pl_tokenizer_decode(t, ids->data, ids->count, &whole, NULL) == PALI_OK);
    MUST(whole.length == streamed.length && (!whole.length || memcmp(whole.data, streamed.data, whole.length) == 0));
    free(whole.data);
    free(streamed.data);
}

static inline void check_encoding(const pl_tokenizer *t, const char *text, size_t length)
{
    for (int mode = 0; mode < 2; mode++) {
        pl_ids ids = {0};
        MUST(pl_tokenizer_encode(t, text, length, (pl_text_mode)mode, &ids, NULL) == PALI_OK);
        for (size_t i = 0; i < ids.count; i++) {
            MUST(ids.data[i] >= 0 && (size_t)ids.data[i] < pl_tokenizer_count(t));
            MUST(mode || ids.data[i] == pl_tokenizer_special(t)->unk || !pl_tokenizer_is_control(t, ids.data[i]));
        }
        check_decoding(t, &ids);
        pl_ids_free(&ids);
    }
}

/* Takes over *v; the last bytes of the input are a text as well. */
static inline void check_vocabulary(pl_vocabulary *v, const uint8_t *data, size_t size)
{
    static const char text[] = "the cat  <loc0000>\n\n<bos>\t\xff\xc3\xa9 aaaaab abab<0x41>" "\xe2\x96\x81\xe2\x96\x81";
    pl_tokenizer *t = pl_tokenizer_new(v, NULL);
    if (!t)
        return;
    const size_t tail = pl_min(size, 40);
    check_encoding(t, text, sizeof text - 1);
    check_encoding(t, (const char *)data + size - tail, tail);
    pl_ids ids = {0};
    (void)pl_prompt_encode(t, text, sizeof text - 1, &(pl_prompt_options){.limit = 20}, &ids, NULL);
    pl_ids_free(&ids);
    pl_tokenizer_free(t);
}

#endif
