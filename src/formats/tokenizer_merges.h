/*
 * The merge list of a tokenizer.json: turned back into SentencePiece's scores
 * and piece types where it is one, kept pair by pair where it is not.
 */
#ifndef PL_FORMATS_TOKENIZER_MERGES_H
#define PL_FORMATS_TOKENIZER_MERGES_H

#include "formats/json_scan.h"
#include "formats/vocabulary.h"

/* `merges`: an array of "left right" strings or [left, right] arrays; the pieces of *v are complete. */
pali_status pl_tokenizer_merges_read(pl_vocabulary *v, pl_json_cursor merges, pali_error *err);

#endif
