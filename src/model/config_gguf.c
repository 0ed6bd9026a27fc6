/*
 * GGUF keys: our single file (general.architecture "paligemma"), or llama.cpp's
 * text model ("gemma", "gemma2") with a vision file ("clip"). docs/MODEL.md
 * lists the keys of the single file.
 */
#include "model/config.h"

#include <math.h>
#include <stdio.h>

/* Reads keys "<architecture>.<name>" of one file. */
typedef struct keys {
    const pl_tensor_file *file;
    const char *architecture;
} keys;

static const char *key_of(const keys *k, const char *name, char buf[96])
{
    snprintf(buf, 96, "%s.%s", k->architecture, name);
    return buf;
}

static pali_status need_size(const keys *k, const char *name, size_t *value, pali_error *err)
{
    char key[96];
    uint64_t number = 0;
    if (!pl_gguf_has(k->file, key_of(k, name, key)))
        return pl_fail(err, PALI_MODEL, "%s: key %s is missing, expected a whole number", pl_tensor_file_path(k->file, 0), key);
    const pali_status status = pl_gguf_get_u64(k->file, key, &number, err);
    *value = (size_t)number;
    return status;
}

static pali_status get_float(const keys *k, const char *name, float *value, pali_error *err)
{
    char key[96];
    return pl_gguf_get_f32(k->file, key_of(k, name, key), value, err);
}

static pali_status read_vision(pl_siglip_config *vision, const keys *k, pali_error *err)
{
    vision->eps = 1e-6f;
    pali_status status = need_size(k, "image_size", &vision->image_size, err);
    if (status == PALI_OK)
        status = need_size(k, "patch_size", &vision->patch, err);
    if (status == PALI_OK)
        status = need_size(k, "embedding_length", &vision->width, err);
    if (status == PALI_OK)
        status = need_size(k, "block_count", &vision->layers, err);
    if (status == PALI_OK)
        status = need_size(k, "feed_forward_length", &vision->mlp, err);
    if (status == PALI_OK)
        status = need_size(k, "attention.head_count", &vision->heads, err);
    if (status == PALI_OK)
        status = get_float(k, "attention.layer_norm_epsilon", &vision->eps, err);
    return status;
}

static pali_status read_text_sizes(pl_gemma_config *text, const keys *k, pali_error *err)
{
    pali_status status = need_size(k, "embedding_length", &text->width, err);
    if (status == PALI_OK)
        status = need_size(k, "block_count", &text->layers, err);
    if (status == PALI_OK)
        status = need_size(k, "feed_forward_length", &text->mlp, err);
    if (status == PALI_OK)
        status = need_size(k, "attention.head_count", &text->heads, err);
    if (status == PALI_OK)
        status = need_size(k, "attention.head_count_kv", &text->kv_heads, err);
    text->head_dim = 256;
    char key[96];
    if (status == PALI_OK && pl_gguf_has(k->file, key_of(k, "attention.key_length", key)))
        status = need_size(k, "attention.key_length", &text->head_dim, err);
    return status;
}

static pali_status read_text(pl_config *config, const keys *k, pali_error *err)
{
    pl_gemma_config *text = &config->text;
    *text = (pl_gemma_config){.eps = 1e-6f, .rope_base = 10000};
    pali_status status = read_text_sizes(text, k, err);
    if (status != PALI_OK)
        return status;
    pl_config_released_constants(config);
    /* llama.cpp's files do not state the scale: it tells the 27B by its layers. */
    float scalar = config->gemma2 && text->layers == 46 ? (float)(text->width / pl_max(text->heads, 1)) : (float)text->head_dim;
    status = get_float(k, "attention.layer_norm_rms_epsilon", &text->eps, err);
    if (status == PALI_OK)
        status = get_float(k, "rope.freq_base", &text->rope_base, err);
    if (status == PALI_OK && config->gemma2)
        status = get_float(k, "attn_logit_softcapping", &text->attention_softcap, err);
    if (status == PALI_OK && config->gemma2)
        status = get_float(k, "final_logit_softcapping", &text->final_softcap, err);
    if (status == PALI_OK)
        status = get_float(k, "attention.query_pre_attn_scalar", &scalar, err);
    if (status == PALI_OK)
        text->query_scale = (float)(1 / sqrt((double)scalar));
    return status;
}

/* Which model it is; *single is true for our single file. */
static pali_status read_family(pl_config *config, const pl_tensor_file *text, keys *k, bool *single, pali_error *err)
{
    pl_gguf_string architecture = {0}, family = {0};
    pali_status status = pl_gguf_get_string(text, "general.architecture", &architecture, err);
    *single = status == PALI_OK && pl_gguf_string_is(architecture, "paligemma");
    if (status == PALI_OK && *single)
        status = pl_gguf_get_string(text, "paligemma.text_family", &family, err);
    if (status != PALI_OK)
        return status;
    const pl_gguf_string name = *single ? family : architecture;
    config->gemma2 = pl_gguf_string_is(name, "gemma2");
    if (!config->gemma2 && !pl_gguf_string_is(name, "gemma")) {
        char found[80];
        return pl_fail(err, PALI_MODEL, "%s: key %s: found %s, expected gemma or gemma2%s", pl_tensor_file_path(text, 0), *single ? "paligemma.text_family" : "general.architecture",
                       name.text ? pl_printable(name.text, name.length, found) : "nothing", *single ? "" : ", or paligemma");
    }
    *k = (keys){.file = text, .architecture = *single ? "paligemma" : config->gemma2 ? "gemma2" : "gemma"};
    return PALI_OK;
}

/* What pictures go through, where the file says it. */
static pali_status read_preprocess(pl_preprocess_options *preprocess, const pl_tensor_file *file, pali_error *err)
{
    pl_gguf_string name = {0};
    uint64_t filter = preprocess->filter;
    char text[40];
    pali_status status = pl_gguf_get_string(file, "pali.preprocess", &name, err);
    if (status == PALI_OK && name.text) {
        snprintf(text, sizeof text, "%.*s", (int)pl_min(name.length, sizeof text - 1), name.text);
        pali_error why = {0};
        if (pl_preprocess_parse(text, &preprocess->kind, &why) != PALI_OK)
            status = pl_fail(err, PALI_MODEL, "%s: key pali.preprocess: %s", pl_tensor_file_path(file, 0), why.message);
    }
    if (status == PALI_OK)
        status = pl_gguf_get_u64(file, "pali.resample", &filter, err);
    if (status == PALI_OK && filter > PL_FILTER_HAMMING)
        status = pl_fail(err, PALI_MODEL, "%s: key pali.resample: found %llu, expected a Pillow filter, 0 to 5", pl_tensor_file_path(file, 0), (unsigned long long)filter);
    preprocess->filter = (pl_filter)filter;
    return status;
}

pali_status pl_config_from_gguf(pl_config *config, const pl_tensor_file *text, const pl_tensor_file *vision, pali_error *err)
{
    *config = (pl_config){.image_id = -1, .preprocess = pl_preprocess_default()};
    keys k = {0};
    bool single = false;
    pali_status status = read_family(config, text, &k, &single, err);
    if (status == PALI_OK)
        status = read_text(config, &k, err);
    /* llama.cpp's converters add 1 to Gemma's norm weights; our file keeps them as released. */
    bool plus_one = !single;
    if (status == PALI_OK && single)
        status = pl_gguf_get_bool(text, "pali.norm_plus_one", &plus_one, err);
    config->text.norm_offset = plus_one ? 0 : 1;
    uint64_t image_id = 0;
    if (status == PALI_OK && pl_gguf_has(text, "paligemma.image_token_id")) {
        status = pl_gguf_get_u64(text, "paligemma.image_token_id", &image_id, err);
        config->image_id = image_id <= INT32_MAX ? (int64_t)image_id : -1;
    }
    config->untied_head = pl_tensor_file_find(text, "output.weight") != NULL;
    if (status == PALI_OK && single)
        status = read_preprocess(&config->preprocess, text, err);
    const keys tower = {.file = vision ? vision : text, .architecture = vision ? "clip.vision" : "paligemma.vision"};
    if (status == PALI_OK)
        status = read_vision(&config->vision, &tower, err);
    return status == PALI_OK ? pl_config_check(config, pl_tensor_file_path(text, 0), err) : status;
}
