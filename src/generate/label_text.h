/*
 * Labels that no list binds, as text that grows by pieces of a vocabulary: a
 * space, then words with single spaces between them, then the end of the
 * answer or " ; ". A small automaton over bytes says how far a text has come.
 */
#ifndef PL_GENERATE_LABEL_TEXT_H
#define PL_GENERATE_LABEL_TEXT_H

#include "base/text.h"
#include "text/tokenizer.h"

typedef enum pl_label_state {
    PL_LABEL_START,     /* nothing yet */
    PL_LABEL_SPACE,     /* " " */
    PL_LABEL_WORD,      /* " word": may end here */
    PL_LABEL_GAP,       /* " word " */
    PL_LABEL_SEMICOLON, /* " word ;" */
    PL_LABEL_CLOSED,    /* " word ; " */
    PL_LABEL_DEAD,      /* no beginning of a label */
    PL_LABEL_STATES
} pl_label_state;

typedef struct pl_label_text {
    const pl_tokenizer *tokenizer; /* borrowed */
    size_t vocabulary;             /* ids that count */
    uint8_t *after[PL_LABEL_DEAD]; /* [vocabulary] owned: the state after a token that comes in each state */
    size_t to_word[PL_LABEL_STATES];  /* fewest tokens from a state to WORD; SIZE_MAX: it cannot be reached */
    size_t to_closed[PL_LABEL_STATES]; /* to CLOSED */
    size_t going_on[PL_LABEL_STATES]; /* how many tokens lead from a state to WORD */
} pl_label_text;

/* Byte pieces, control pieces and ids that are banned [vocabulary] belong to no label. Free with pl_label_text_free, also after a failure. */
pali_status pl_label_text_init(pl_label_text *text, const pl_tokenizer *tokenizer, const unsigned char *banned, size_t vocabulary, pali_error *err);
void pl_label_text_free(pl_label_text *text);

/* Appends the text of a token, with spaces for U+2581. */
pali_status pl_label_text_append(const pl_label_text *text, int32_t id, pl_buffer *buffer, pali_error *err);

#endif
