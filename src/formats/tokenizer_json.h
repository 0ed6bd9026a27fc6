/*
 * Hugging Face's tokenizer files: tokenizer.json (the `tokenizers` library's
 * own form) and what stands beside it or beside a tokenizer.model.
 */
#ifndef PL_FORMATS_TOKENIZER_JSON_H
#define PL_FORMATS_TOKENIZER_JSON_H

#include "formats/vocabulary.h"

/*
 * Fills *v from a BPE tokenizer.json and finishes it; release with
 * pl_vocabulary_free. A file whose merges are those that a SentencePiece model
 * implies becomes that model again (scores, and the pieces that it cuts out
 * of the text first), so that both files give the same ids; any other keeps
 * its merges as pairs. Truncation, padding and the post-processor are not
 * taken over. On failure *v is empty; PALI_MODEL names the field.
 */
pali_status pl_tokenizer_json_read(pl_vocabulary *v, const char *path, pali_error *err);
pali_status pl_tokenizer_json_parse(pl_vocabulary *v, const void *bytes, size_t size, const char *name, pali_error *err);

/*
 * Applies tokenizer_config.json: which pieces are bos, eos and pad, and the
 * added tokens that a plain tokenizer.model lacks. They must continue its ids.
 */
pali_status pl_tokenizer_config_read(pl_vocabulary *v, const char *path, pali_error *err);
pali_status pl_tokenizer_config_parse(pl_vocabulary *v, const void *bytes, size_t size, const char *name, pali_error *err);

/* Applies added_tokens.json, {"piece": id}, in the same way. */
pali_status pl_added_tokens_read(pl_vocabulary *v, const char *path, pali_error *err);
pali_status pl_added_tokens_parse(pl_vocabulary *v, const void *bytes, size_t size, const char *name, pali_error *err);

#endif
