/* pali_codec_*, pali_mask_tokens_*: masks as tokens. */
#include "api/handles.h"

#include "answer/mask_tokens.h"
#include "model/find.h"

#include <stdlib.h>

pali_codec *pl_codec_wrap(pl_codec *network, const pl_kernels *kernels, pali_error *err)
{
    pali_codec *codec = pl_new(1, sizeof *codec, "mask codec", err);
    if (codec)
        *codec = (pali_codec){.network = network, .hands.kernels = kernels};
    else
        pl_codec_free(network);
    return codec;
}

pali_codec *pali_codec_open(const char *name, pali_error *err)
{
    pl_codec *network = NULL;
    const pl_kernels *const kernels = pl_kernels_get(NULL, err);
    char *path = kernels && pl_need(name, "pali_codec_open", "name", err) == PALI_OK ? pl_model_find(name, err) : NULL;
    if (path && pl_codec_open_of(path, &network, err) == PALI_OK && !network)
        pl_fail(err, PALI_MODEL, "%s: found no mask codec, expected vae-oid.npz beside the weights; it is released at gs://big_vision/paligemma/vae-oid.npz", path);
    free(path);
    return network ? pl_codec_wrap(network, kernels, err) : NULL;
}

void pali_codec_free(pali_codec *codec)
{
    if (!codec)
        return;
    pl_codec_free(codec->network);
    free(codec);
}

pali_status pali_codec_encode(const pali_codec *codec, const pali_mask *mask, const pali_box *box, pali_mask_tokens *tokens, pali_error *err)
{
    pali_status status = pl_need(codec, "pali_codec_encode", "codec", err);
    if (status == PALI_OK)
        status = pl_need(mask, "pali_codec_encode", "mask", err);
    if (status == PALI_OK)
        status = pl_need(tokens, "pali_codec_encode", "tokens", err);
    return status == PALI_OK ? pl_codec_encode_mask(codec->network, &codec->hands, &mask->pixels, box, tokens, err) : status;
}

pali_mask *pali_codec_decode(const pali_codec *codec, const pali_mask_tokens *tokens, size_t width, size_t height, pali_paste paste, pali_error *err)
{
    pl_mask pixels;
    pali_status status = pl_need(codec, "pali_codec_decode", "codec", err);
    if (status == PALI_OK)
        status = pl_need(tokens, "pali_codec_decode", "tokens", err);
    if (status == PALI_OK && paste != PALI_PASTE_EVALUATOR && paste != PALI_PASTE_DEMO)
        status = pl_fail(err, PALI_USAGE, "pali_codec_decode: found %d for paste, expected PALI_PASTE_EVALUATOR or PALI_PASTE_DEMO", (int)paste);
    if (status == PALI_OK)
        status = pl_codec_decode_mask(codec->network, &codec->hands, tokens, width, height, paste, &pixels, err);
    return status == PALI_OK ? pl_mask_wrap(pixels, err) : NULL;
}

pali_status pali_codec_decode_soft(const pali_codec *codec, const pali_mask_tokens *tokens, size_t width, size_t height, uint8_t *soft, pali_error *err)
{
    pali_status status = pl_need(codec, "pali_codec_decode_soft", "codec", err);
    if (status == PALI_OK)
        status = pl_need(tokens, "pali_codec_decode_soft", "tokens", err);
    if (status == PALI_OK)
        status = pl_need(soft, "pali_codec_decode_soft", "soft", err);
    return status == PALI_OK ? pl_codec_decode_soft(codec->network, &codec->hands, tokens, width, height, soft, err) : status;
}

pali_status pali_codec_map(const pali_codec *codec, const uint8_t codes[PALI_MASK_TOKENS], float *map, pali_error *err)
{
    pali_status status = pl_need(codec, "pali_codec_map", "codec", err);
    if (status == PALI_OK)
        status = pl_need(codes, "pali_codec_map", "codes", err);
    if (status == PALI_OK)
        status = pl_need(map, "pali_codec_map", "map", err);
    return status == PALI_OK ? pl_codec_decode_map(codec->network, &codec->hands, codes, map, err) : status;
}

void pali_mask_tokens_text(const pali_mask_tokens *tokens, char text[PALI_MASK_TEXT_SIZE])
{
    pl_mask_tokens_text(tokens, text);
}

pali_status pali_mask_tokens_parse(const char *text, pali_mask_tokens *tokens, pali_error *err)
{
    pali_status status = pl_need(text, "pali_mask_tokens_parse", "text", err);
    if (status == PALI_OK)
        status = pl_need(tokens, "pali_mask_tokens_parse", "tokens", err);
    return status == PALI_OK ? pl_mask_tokens_parse(text, tokens, err) : status;
}
