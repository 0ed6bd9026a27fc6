/*
 * SentencePiece's model file (tokenizer.model): a protobuf message with the
 * pieces and how the text is prepared. Read with a wire reader of our own.
 */
#ifndef PL_FORMATS_SENTENCEPIECE_H
#define PL_FORMATS_SENTENCEPIECE_H

#include "formats/vocabulary.h"

/*
 * Fills *v and finishes it; release with pl_vocabulary_free. On failure *v is
 * empty and the status PALI_MODEL (or PALI_MEMORY): not this format, another
 * algorithm than BPE, or a preparation of the text that we do not do.
 */
pali_status pl_sentencepiece_read(pl_vocabulary *v, const char *path, pali_error *err);
pali_status pl_sentencepiece_parse(pl_vocabulary *v, const void *bytes, size_t size, const char *name, pali_error *err);

#endif
