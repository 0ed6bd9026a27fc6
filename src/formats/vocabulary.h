/*
 * A vocabulary: the pieces of a BPE tokenizer as plain data, in one structure
 * whatever file they came from (SentencePiece, tokenizer.json, GGUF arrays).
 * The id of a piece is its index. Filled by push, closed by finish, then
 * read-only and free to share between threads.
 */
#ifndef PL_FORMATS_VOCABULARY_H
#define PL_FORMATS_VOCABULARY_H

#include "base/memory.h"

/* What a piece is for; SentencePiece's numbers, which GGUF uses as well. */
typedef enum pl_piece_type {
    PL_PIECE_NORMAL = 1,
    PL_PIECE_UNKNOWN = 2,
    PL_PIECE_CONTROL = 3,      /* never matched in a user's text; decodes to nothing */
    PL_PIECE_USER_DEFINED = 4, /* cut out of the text first, longest match, never merged */
    PL_PIECE_UNUSED = 5,       /* may appear while merging, split again at the end */
    PL_PIECE_BYTE = 6          /* "<0xHH>": stands for one byte */
} pl_piece_type;

/* One merge of a vocabulary that is played pair by pair: left + right = piece. */
typedef struct pl_merge {
    int32_t left, right, piece; /* ids */
} pl_merge;

/* A slot of the index from piece text to id. */
typedef struct pl_piece_slot {
    uint32_t tag; /* the hash: its low bits are the slot's place, the rest spare most misses the text */
    int32_t id;   /* -1: empty */
} pl_piece_slot;

typedef struct pl_vocabulary {
    size_t count;
    char *text;       /* owned: the pieces end to end, UTF-8, as the file has them */
    uint32_t *ends;   /* [count] owned: where each piece ends in text */
    float *scores;    /* [count] owned: among neighbours the higher merges first */
    uint8_t *types;   /* [count] owned: pl_piece_type */
    pl_merge *merges; /* [merge_count] owned, best first; NULL: scores decide what merges */
    size_t merge_count;
    size_t longest;   /* bytes of the longest piece */

    int32_t bytes[256]; /* id that stands for each byte, -1: none; set by finish */
    int32_t bos, eos, pad, unk; /* -1: the file has none */
    bool byte_fallback;    /* text without a piece becomes byte pieces, else unk */
    bool add_dummy_prefix; /* a space goes before the text; Gemma: false */

    size_t text_capacity, text_size, ends_capacity, scores_capacity, types_capacity;
    pl_piece_slot *slots; /* owned: open addressing, a power of two */
    size_t slot_count;
} pl_vocabulary;

/* An empty vocabulary, without special ids. */
void pl_vocabulary_init(pl_vocabulary *v);
void pl_vocabulary_free(pl_vocabulary *v);

/* Fills *copy with all of v and room for more pieces; on failure *copy is empty. */
pali_status pl_vocabulary_copy(pl_vocabulary *copy, const pl_vocabulary *v, pali_error *err);

/* Makes room for as many pieces, of as many bytes in all, so that pushing them need not. */
pali_status pl_vocabulary_reserve(pl_vocabulary *v, size_t pieces, size_t bytes, pali_error *err);

/* Appends a piece as the next id. PALI_MODEL when empty, too long, not UTF-8 or there already. */
pali_status pl_vocabulary_push(pl_vocabulary *v, const char *text, size_t length, float score, pl_piece_type type,
                               pali_error *err);

/* The id of a piece, -1 when there is none. */
int32_t pl_vocabulary_find(const pl_vocabulary *v, const char *text, size_t length);

/* The text of piece `id` (not NUL-terminated), borrowed; id must be below count. */
const char *pl_vocabulary_piece(const pl_vocabulary *v, int32_t id, size_t *length);

/*
 * Settles what follows from the pieces: the byte table, that special ids are
 * control pieces, that location and segment pieces are matched in text and
 * <image> is not. PALI_MODEL when text could come up that has no id.
 */
pali_status pl_vocabulary_finish(pl_vocabulary *v, pali_error *err);

/*
 * Appends the location and segment pieces that PaliGemma adds to Gemma's
 * vocabulary, where they are absent, as big_vision does when it runs with a
 * plain tokenizer.model (pp/proj/paligemma/ops.py). Before or after finish.
 */
pali_status pl_vocabulary_add_locations(pl_vocabulary *v, pali_error *err);

/* The tokenizer arrays of a GGUF file; special ids are -1 when absent. */
typedef struct pl_vocabulary_arrays {
    size_t count;
    const char *const *pieces; /* [count] */
    const size_t *lengths;     /* [count], or NULL: NUL-terminated */
    const float *scores;       /* [count] */
    const int32_t *types;      /* [count] pl_piece_type */
    int32_t bos, eos, pad, unk;
    bool add_dummy_prefix;
} pl_vocabulary_arrays;

/* Fills *v from arrays and finishes it; on failure *v is empty. `name` stands for the file in messages. */
pali_status pl_vocabulary_from_arrays(pl_vocabulary *v, const pl_vocabulary_arrays *arrays, const char *name,
                                      pali_error *err);

/* Is this "<loc0000>" or "<seg000>" in form (four or three digits)? */
bool pl_is_location_piece(const char *text, size_t length);

/* The byte that "<0xHH>" stands for, -1 for any other text. */
int pl_byte_of_piece(const char *text, size_t length);

#endif
