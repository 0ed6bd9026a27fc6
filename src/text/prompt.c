/* Prompt layout: big_vision configs/proj/paligemma/transfers/common.py; transformers processing_paligemma.py. */
#include "text/prompt.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static pali_status push_special(pl_ids *ids, int32_t id, const char *name, pali_error *err)
{
    if (id < 0)
        return pl_fail(err, PALI_MODEL, "tokenizer: the vocabulary has no %s, which a prompt needs", name);
    return pl_ids_push(ids, id, err);
}

static pali_status push_images(const pl_tokenizer *tokenizer, const pl_prompt_options *options, pl_ids *ids,
                               pali_error *err)
{
    size_t count;
    if (!pl_mul(options->images, options->image_tokens, &count))
        return pl_fail(err, PALI_INPUT, "prompt: found %zu images of %zu tokens, too many", options->images,
                       options->image_tokens);
    pali_status status = PALI_OK;
    for (size_t i = 0; i < count && status == PALI_OK; i++)
        status = push_special(ids, pl_tokenizer_special(tokenizer)->image, "<image> piece", err);
    return status;
}

static pali_status push_prefix(const pl_tokenizer *tokenizer, const char *prefix, size_t length, pl_text_mode mode,
                               pl_ids *ids, pali_error *err)
{
    const pali_status status = pl_tokenizer_encode(tokenizer, prefix, length, mode, ids, err);
    return status == PALI_OK ? push_special(ids, pl_tokenizer_special(tokenizer)->newline, "piece for a newline", err)
                             : status;
}

static pali_status push_joint(const pl_tokenizer *tokenizer, const char *prefix, size_t length, pl_text_mode mode,
                              pl_ids *ids, pali_error *err)
{
    pl_buffer text = {0};
    pali_status status = pl_buffer_append(&text, prefix, length, err);
    if (status == PALI_OK)
        status = pl_buffer_append(&text, "\n", 1, err);
    if (status == PALI_OK)
        status = pl_tokenizer_encode(tokenizer, text.data, text.length, mode, ids, err);
    free(text.data);
    return status;
}

pali_status pl_prompt_encode(const pl_tokenizer *tokenizer, const char *prefix, size_t length,
                             const pl_prompt_options *options, pl_ids *ids, pali_error *err)
{
    static const pl_prompt_options defaults = {0};
    const pl_prompt_options *const o = options ? options : &defaults;
    const size_t before = ids->count;
    pali_status status = push_images(tokenizer, o, ids, err);
    const size_t start = ids->count;
    if (status == PALI_OK)
        status = push_special(ids, pl_tokenizer_special(tokenizer)->bos, "<bos> piece", err);
    if (status == PALI_OK)
        status = (o->joint ? push_joint : push_prefix)(tokenizer, prefix, length, o->mode, ids, err);
    if (status == PALI_OK && o->limit && ids->count - start > o->limit)
        status = pl_fail(err, PALI_INPUT, "prompt: found %zu tokens, expected at most %zu", ids->count - start, o->limit);
    if (status != PALI_OK)
        ids->count = before;
    return status;
}

pali_status pl_prompt_suffix(const pl_tokenizer *tokenizer, const char *suffix, size_t length, bool end, pl_ids *ids,
                             pali_error *err)
{
    const size_t before = ids->count;
    pali_status status = pl_tokenizer_encode(tokenizer, suffix, length, PL_TEXT_USER, ids, err);
    if (status == PALI_OK && end)
        status = push_special(ids, pl_tokenizer_special(tokenizer)->eos, "<eos> piece", err);
    if (status != PALI_OK)
        ids->count = before;
    return status;
}
