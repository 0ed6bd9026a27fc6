/*
 * The tokenizer: text to ids and back, as SentencePiece's BPE does it for
 * Gemma. Immutable after opening, so threads may share one; a call keeps its
 * state on its own stack and heap.
 *
 * Special ids come from the file. What it does not have is -1 (or count 0).
 */
#ifndef PL_TEXT_TOKENIZER_H
#define PL_TEXT_TOKENIZER_H

#include "formats/vocabulary.h"

typedef struct pl_tokenizer pl_tokenizer;

/* A growing list of ids; zero-initialise, release with pl_ids_free. */
typedef struct pl_ids {
    int32_t *data; /* [count] owned */
    size_t count, capacity;
} pl_ids;

pali_status pl_ids_push(pl_ids *ids, int32_t id, pali_error *err);
void pl_ids_free(pl_ids *ids);

/* Ids that have a meaning of their own; -1 when the vocabulary has none. */
typedef struct pl_special_ids {
    int32_t bos, eos, pad, unk;
    int32_t newline; /* the one id of "\n"; -1 when that takes several */
    int32_t image;   /* <image>, the placeholder of Hugging Face's files */
    int32_t loc, loc_count; /* <loc0000> is loc, <locNNNN> is loc + NNNN */
    int32_t seg, seg_count; /* <seg000> likewise */
} pl_special_ids;

/* How text is read. Zero: as a user's. */
typedef enum pl_text_mode {
    PL_TEXT_USER = 0,   /* never yields a control id: a typed "<bos>" or "<image>" is ordinary text */
    PL_TEXT_SPECIAL = 1 /* control pieces written in the text become their ids */
} pl_text_mode;

/*
 * Opens from a folder (tokenizer.json wins over tokenizer.model; then
 * tokenizer_config.json and added_tokens.json, where present, are applied), or
 * from a file of either kind, told apart by its first byte. With
 * add_locations, location and segment pieces that those lack are appended (a
 * plain Gemma tokenizer.model), before added_tokens.json goes on with the ids.
 * NULL on failure; free with pl_tokenizer_free.
 */
pl_tokenizer *pl_tokenizer_open(const char *path, bool add_locations, pali_error *err);

/* From a vocabulary that is finished; takes over its contents and leaves *v empty, also on failure. */
pl_tokenizer *pl_tokenizer_new(pl_vocabulary *v, pali_error *err);
void pl_tokenizer_free(pl_tokenizer *tokenizer); /* NULL allowed */

/* The same with pieces [count] more, found in any text before it is merged; their ids come after the others'. */
pl_tokenizer *pl_tokenizer_extend(const pl_tokenizer *tokenizer, const char *const *pieces, size_t count, pali_error *err);

size_t pl_tokenizer_count(const pl_tokenizer *tokenizer); /* pieces; ids are below it */
const pl_special_ids *pl_tokenizer_special(const pl_tokenizer *tokenizer);
const pl_vocabulary *pl_tokenizer_vocabulary(const pl_tokenizer *tokenizer);

/* The piece as the file writes it, borrowed, not NUL-terminated; NULL for an id out of range. */
const char *pl_tokenizer_piece(const pl_tokenizer *tokenizer, int32_t id, size_t *length);

/* The id of a piece written as in the file; -1 when there is none. */
int32_t pl_tokenizer_find(const pl_tokenizer *tokenizer, const char *piece, size_t length);

/* Is it bos, eos, pad, unk, <image> or another control piece? False for ids out of range. */
bool pl_tokenizer_is_control(const pl_tokenizer *tokenizer, int32_t id);

/*
 * Appends the ids of text[0..length), any bytes (an invalid UTF-8 byte counts
 * as U+FFFD). No id is added before or after. On failure (PALI_MEMORY, or
 * PALI_INPUT for more than 512 MiB) *ids keeps what it had.
 */
pali_status pl_tokenizer_encode(const pl_tokenizer *tokenizer, const char *text, size_t length, pl_text_mode mode,
                                pl_ids *ids, pali_error *err);

#endif
