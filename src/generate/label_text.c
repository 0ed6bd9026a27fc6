/* The automaton of free labels, run over every piece of a vocabulary from every state. */
#include "generate/label_text.h"


#include <stdlib.h>
#include <string.h>

#define SPACE_PIECE "\xe2\x96\x81" /* U+2581 stands for a space in pieces */
enum { SPACE_BYTES = 3 };

static pl_label_state step(pl_label_state state, unsigned char byte)
{
    const bool space = byte == ' ', word = byte > ' ' && byte != 0x7f && !strchr(";<>", byte);
    switch (state) {
    case PL_LABEL_START:
        return space ? PL_LABEL_SPACE : PL_LABEL_DEAD;
    case PL_LABEL_SPACE:
        return word ? PL_LABEL_WORD : PL_LABEL_DEAD;
    case PL_LABEL_WORD:
        return word ? PL_LABEL_WORD : space ? PL_LABEL_GAP : PL_LABEL_DEAD;
    case PL_LABEL_GAP:
        return word ? PL_LABEL_WORD : byte == ';' ? PL_LABEL_SEMICOLON : PL_LABEL_DEAD;
    case PL_LABEL_SEMICOLON:
        return space ? PL_LABEL_CLOSED : PL_LABEL_DEAD;
    default:
        return PL_LABEL_DEAD;
    }
}

static pl_label_state run(pl_label_state state, const char *piece, size_t length)
{
    for (size_t i = 0; i < length && state != PL_LABEL_DEAD;) {
        const bool space = length - i >= SPACE_BYTES && memcmp(piece + i, SPACE_PIECE, SPACE_BYTES) == 0;
        state = step(state, space ? ' ' : (unsigned char)piece[i]);
        i += space ? SPACE_BYTES : 1;
    }
    return length ? state : PL_LABEL_DEAD;
}

/* Fewest tokens from each state to `goal`. */
static void measure(bool leads[PL_LABEL_STATES][PL_LABEL_STATES], pl_label_state goal, size_t distance[PL_LABEL_STATES])
{
    for (size_t s = 0; s < PL_LABEL_STATES; s++)
        distance[s] = s == goal ? 0 : SIZE_MAX;
    for (size_t round = 1; round < PL_LABEL_STATES; round++)
        for (size_t from = 0; from < PL_LABEL_STATES; from++)
            for (size_t to = 0; to < PL_LABEL_STATES; to++)
                if (distance[from] == SIZE_MAX && leads[from][to] && distance[to] == round - 1)
                    distance[from] = round;
}

pali_status pl_label_text_init(pl_label_text *text, const pl_tokenizer *tokenizer, const unsigned char *banned, size_t vocabulary, pali_error *err)
{
    *text = (pl_label_text){.tokenizer = tokenizer, .vocabulary = vocabulary};
    const pl_vocabulary *const v = pl_tokenizer_vocabulary(tokenizer);
    bool leads[PL_LABEL_STATES][PL_LABEL_STATES] = {{false}};
    for (size_t from = 0; from < PL_LABEL_DEAD; from++) {
        text->after[from] = pl_new(vocabulary, 1, "label tokens", err);
        if (!text->after[from])
            return PALI_MEMORY;
        for (size_t id = 0; id < vocabulary; id++) {
            pl_label_state to = PL_LABEL_DEAD;
            size_t length = 0;
            const char *const piece = id < v->count ? pl_tokenizer_piece(tokenizer, (int32_t)id, &length) : NULL;
            if (piece && !banned[id] && (v->types[id] == PL_PIECE_NORMAL || v->types[id] == PL_PIECE_USER_DEFINED))
                to = run((pl_label_state)from, piece, length);
            text->after[from][id] = (uint8_t)to;
            leads[from][to] = true;
            text->going_on[from] += to == PL_LABEL_WORD;
        }
    }
    measure(leads, PL_LABEL_WORD, text->to_word);
    measure(leads, PL_LABEL_CLOSED, text->to_closed);
    return PALI_OK;
}

void pl_label_text_free(pl_label_text *text)
{
    for (size_t from = 0; from < PL_LABEL_DEAD; from++)
        free(text->after[from]);
    *text = (pl_label_text){0};
}

pali_status pl_label_text_append(const pl_label_text *text, int32_t id, pl_buffer *buffer, pali_error *err)
{
    size_t length = 0;
    const char *const piece = pl_tokenizer_piece(text->tokenizer, id, &length);
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < length;) {
        const bool space = length - i >= SPACE_BYTES && memcmp(piece + i, SPACE_PIECE, SPACE_BYTES) == 0;
        status = pl_buffer_append(buffer, space ? " " : piece + i, 1, err);
        i += space ? SPACE_BYTES : 1;
    }
    return status;
}
