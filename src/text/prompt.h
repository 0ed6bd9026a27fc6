/*
 * Prompts. The layout of every PaliGemma sequence is
 *   [<image> x N x images] <bos> prefix "\n" suffix <eos>
 * with prefix, newline and suffix tokenized apart and their ids put together,
 * as big_vision does it. Hugging Face's processor tokenizes prefix + "\n" as
 * one string; the ids differ only when the prefix itself ends in newlines
 * (then its run and the separator become one piece). `joint` asks for that.
 */
#ifndef PL_TEXT_PROMPT_H
#define PL_TEXT_PROMPT_H

#include "text/tokenizer.h"

typedef struct pl_prompt_options {
    size_t images;       /* pictures; 0: no placeholders are written */
    size_t image_tokens; /* placeholders a picture */
    size_t limit;        /* most text ids (<bos>, prefix, newline); 0: no limit */
    bool joint;          /* prefix + "\n" as one string */
    pl_text_mode mode;   /* how the prefix is read */
} pl_prompt_options;

/*
 * Appends the prompt of text prefix[0..length). PALI_INPUT
 * naming found and limit when it is too long; PALI_MODEL when the vocabulary
 * lacks <bos>, a one-piece newline or (with images) <image>. On failure *ids
 * keeps what it had. NULL options: all zero.
 */
pali_status pl_prompt_encode(const pl_tokenizer *tokenizer, const char *prefix, size_t length,
                             const pl_prompt_options *options, pl_ids *ids, pali_error *err);

/*
 * Appends the suffix (what the model is taught to answer): tokenized as the
 * start of a text, then <eos> when `end` is set. No limit: training cuts.
 */
pali_status pl_prompt_suffix(const pl_tokenizer *tokenizer, const char *suffix, size_t length, bool end, pl_ids *ids,
                             pali_error *err);

#endif
