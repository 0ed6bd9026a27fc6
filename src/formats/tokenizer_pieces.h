/* The pieces of a tokenizer.json. */
#ifndef PL_FORMATS_TOKENIZER_PIECES_H
#define PL_FORMATS_TOKENIZER_PIECES_H

#include "formats/json_scan.h"
#include "formats/vocabulary.h"

/*
 * Pushes the pieces of model.vocab, {"piece": id}, and of added_tokens, an
 * array of objects or NULL, in order of their ids, which have no gaps.
 */
pali_status pl_tokenizer_pieces_read(pl_vocabulary *v, pl_json_cursor vocab, const struct json_t *added, pali_error *err);

#endif
