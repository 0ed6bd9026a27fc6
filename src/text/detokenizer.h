/*
 * Ids back to text, one at a time. Byte pieces spell a character over several
 * ids: their bytes are held back until the character is whole, so that what
 * is appended is valid UTF-8 at every moment.
 */
#ifndef PL_TEXT_DETOKENIZER_H
#define PL_TEXT_DETOKENIZER_H

#include "base/text.h"
#include "text/tokenizer.h"

/* Holds no memory: init and forget. One text at a time, one thread at a time. */
typedef struct pl_detokenizer {
    const pl_tokenizer *tokenizer; /* borrowed */
    char held[4];                  /* the start of a character */
    size_t held_count;
    bool started; /* something was written */
} pl_detokenizer;

void pl_detokenizer_init(pl_detokenizer *detokenizer, const pl_tokenizer *tokenizer);

/*
 * Appends to out what `id` completes: nothing for control pieces and half
 * characters, U+FFFD for each byte that belongs to no character. PALI_INPUT
 * for an id out of range.
 */
pali_status pl_detokenizer_push(pl_detokenizer *detokenizer, int32_t id, pl_buffer *out, pali_error *err);

/* The text ends here: bytes still held become U+FFFD. Ready for the next text. */
pali_status pl_detokenizer_flush(pl_detokenizer *detokenizer, pl_buffer *out, pali_error *err);

/* All ids at once: the sum of the above. */
pali_status pl_tokenizer_decode(const pl_tokenizer *tokenizer, const int32_t *ids, size_t count, pl_buffer *out,
                                pali_error *err);

#endif
