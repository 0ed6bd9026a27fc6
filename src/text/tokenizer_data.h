/* What a tokenizer holds; for tokenizer.c and encode.c only. */
#ifndef PL_TEXT_TOKENIZER_DATA_H
#define PL_TEXT_TOKENIZER_DATA_H

#include "text/matcher.h"
#include "text/tokenizer.h"

/* A pair of neighbours and what it becomes, for vocabularies that list their merges. */
typedef struct pl_pair_slot {
    int32_t left, right; /* left -1: empty slot */
    int32_t piece, rank;
} pl_pair_slot;

struct pl_tokenizer {
    pl_vocabulary vocabulary; /* owned */
    pl_special_ids special;
    pl_matcher matcher; /* owned */
    pl_pair_slot *pairs; /* [pair_slots] owned, open addressing; NULL: scores decide */
    size_t pair_slots;   /* a power of two */
    int32_t ascii[128];  /* ids of single characters, -1: none */
    bool has_unused;     /* some piece is split again after merging */
    bool words_apart;    /* no piece has U+2581 inside, so that text may be cut before each */
};

/* The slot of a pair, or the empty one where it belongs. */
pl_pair_slot *pl_pair_find(const pl_tokenizer *tokenizer, int32_t left, int32_t right);

/* Can this piece come up by merging? */
static inline bool pl_piece_merges(uint8_t type)
{
    return type == PL_PIECE_NORMAL || type == PL_PIECE_USER_DEFINED || type == PL_PIECE_UNUSED;
}

#endif
