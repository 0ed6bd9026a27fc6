/*
 * A vocabulary as Hugging Face's tokenizer.json, for models whose source has
 * none, such as a GGUF.
 */
#ifndef PL_FORMATS_TOKENIZER_WRITE_H
#define PL_FORMATS_TOKENIZER_WRITE_H

#include "base/output.h"
#include "formats/vocabulary.h"

/*
 * Writes the first `count` pieces. Pieces that SentencePiece merges by score
 * are given their merges, every pair of ordinary pieces that makes one, best
 * score first; those cut out of the text first become added tokens.
 */
pali_status pl_tokenizer_json_write(const pl_vocabulary *v, size_t count, pl_output *out, pali_error *err);

#endif
