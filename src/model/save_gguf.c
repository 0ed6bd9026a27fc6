/*
 * Our single file: configuration, tokenizer and weights as a GGUF that ggml's
 * tools can list (docs/MODEL.md has its keys).
 */
#include "model/save_items.h"

#include "formats/gguf_layout.h"

#include <stdio.h>
#include <stdlib.h>

static void put_size(pl_gguf_writer *w, const char *key, size_t value, pali_error *err)
{
    pl_gguf_put_u32(w, key, (uint32_t)value, err);
}

static void put_text(pl_gguf_writer *w, const pl_config *config, pali_error *err)
{
    const pl_gemma_config *t = &config->text;
    pl_gguf_put_string(w, "paligemma.text_family", config->gemma2 ? "gemma2" : "gemma", err);
    put_size(w, "paligemma.context_length", 8192, err);
    put_size(w, "paligemma.embedding_length", t->width, err);
    put_size(w, "paligemma.block_count", t->layers, err);
    put_size(w, "paligemma.feed_forward_length", t->mlp, err);
    put_size(w, "paligemma.attention.head_count", t->heads, err);
    put_size(w, "paligemma.attention.head_count_kv", t->kv_heads, err);
    put_size(w, "paligemma.attention.key_length", t->head_dim, err);
    put_size(w, "paligemma.attention.value_length", t->head_dim, err);
    pl_gguf_put_f32(w, "paligemma.attention.layer_norm_rms_epsilon", t->eps, err);
    pl_gguf_put_f32(w, "paligemma.attention.query_pre_attn_scalar", (float)pl_config_query_scalar(config), err);
    pl_gguf_put_f32(w, "paligemma.rope.freq_base", t->rope_base, err);
    if (!config->gemma2)
        return;
    pl_gguf_put_f32(w, "paligemma.attn_logit_softcapping", t->attention_softcap, err);
    pl_gguf_put_f32(w, "paligemma.final_logit_softcapping", t->final_softcap, err);
}

static void put_config(pl_gguf_writer *w, const pl_saving *saving, pali_error *err)
{
    const pl_config *config = &saving->model->config;
    const pl_siglip_config *v = &config->vision;
    pl_gguf_put_string(w, "general.architecture", "paligemma", err);
    put_size(w, "general.alignment", PL_GGUF_ALIGNMENT, err);
    put_size(w, "general.quantization_version", 2, err);
    put_text(w, config, err);
    put_size(w, "paligemma.vision.image_size", v->image_size, err);
    put_size(w, "paligemma.vision.patch_size", v->patch, err);
    put_size(w, "paligemma.vision.embedding_length", v->width, err);
    put_size(w, "paligemma.vision.block_count", v->layers, err);
    put_size(w, "paligemma.vision.feed_forward_length", v->mlp, err);
    put_size(w, "paligemma.vision.attention.head_count", v->heads, err);
    pl_gguf_put_f32(w, "paligemma.vision.attention.layer_norm_epsilon", v->eps, err);
    const int64_t image = config->image_id >= 0 ? config->image_id : pl_tokenizer_special(saving->model->tokenizer)->image;
    if (image >= 0)
        put_size(w, "paligemma.image_token_id", (size_t)image, err);
    pl_gguf_put_bool(w, "pali.norm_plus_one", false, err);
    pl_gguf_put_string(w, "pali.preprocess", pl_preprocess_name(config->preprocess.kind), err);
    put_size(w, "pali.resample", config->preprocess.filter, err);
    if (saving->plain == PL_BF16 || saving->plain == PL_F16)
        pl_gguf_put_string(w, "pali.plain_type", pl_dtype_name(saving->plain), err);
}

static void put_id(pl_gguf_writer *w, const char *key, int32_t id, pali_error *err)
{
    if (id >= 0)
        put_size(w, key, (size_t)id, err);
}

/* The pieces, and names for rows of the embedding that have none, as ggml's tools want one a row. */
static pali_status put_pieces(pl_gguf_writer *w, const pl_vocabulary *v, size_t count, pali_error *err)
{
    float *scores = pl_new(count, sizeof *scores, "tokenizer", err);
    int32_t *types = pl_new(count, sizeof *types, "tokenizer", err);
    const pali_status status = scores && types ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK)
        pl_gguf_put_strings(w, "tokenizer.ggml.tokens", count, err);
    for (size_t id = 0; status == PALI_OK && id < count; id++) {
        char filler[32];
        size_t length;
        const char *text = id < v->count ? pl_vocabulary_piece(v, (int32_t)id, &length) : filler;
        if (id >= v->count)
            length = (size_t)snprintf(filler, sizeof filler, "[PAD%zu]", id);
        scores[id] = id < v->count ? v->scores[id] : -1000;
        types[id] = id < v->count ? v->types[id] : PL_PIECE_UNUSED;
        pl_gguf_push_string(w, text, length, err);
    }
    if (status == PALI_OK) {
        pl_gguf_put_f32s(w, "tokenizer.ggml.scores", scores, count, err);
        pl_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, count, err);
    }
    free(scores);
    free(types);
    return status;
}

static pali_status put_tokenizer(pl_gguf_writer *w, const pl_paligemma *model, pali_error *err)
{
    const pl_vocabulary *v = pl_tokenizer_vocabulary(model->tokenizer);
    if (v->merges)
        return pl_fail(err, PALI_MODEL, "%s: tokenizer: found merges that follow no scores, expected a vocabulary as SentencePiece has it, which is what a GGUF holds",
                       model->checkpoint->path);
    pl_gguf_put_string(w, "tokenizer.ggml.model", "llama", err);
    pl_gguf_put_string(w, "tokenizer.ggml.pre", "default", err);
    const pali_status status = put_pieces(w, v, pl_max(v->count, model->config.text.vocabulary), err);
    put_id(w, "tokenizer.ggml.bos_token_id", v->bos, err);
    put_id(w, "tokenizer.ggml.eos_token_id", v->eos, err);
    put_id(w, "tokenizer.ggml.padding_token_id", v->pad, err);
    put_id(w, "tokenizer.ggml.unknown_token_id", v->unk, err);
    pl_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true, err);
    pl_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", false, err);
    pl_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->add_dummy_prefix, err);
    return status;
}

static void declare(pl_gguf_writer *w, const pl_saving *saving, const pl_item *item, pali_error *err)
{
    char name[160];
    const pl_tensor *t = &item->saved;
    const size_t patch = saving->model->config.vision.patch, picture[4] = {t->shape[0], 3, patch, patch};
    pl_weight_gguf_name(item->weight, item->layer, name);
    if (pl_dtype_is_tiled(t->dtype))
        pl_gguf_declare_tiles(w, name, t->dtype, t->shape, err);
    else if (item->weight->columns == PL_DIM_NONE)
        pl_gguf_declare(w, name, t->dtype, t->shape + 1, 1, err);
    else if (item->weight->columns == PL_DIM_PATCH && pl_dtype_block(t->dtype) == 1)
        pl_gguf_declare(w, name, t->dtype, picture, 4, err);
    else
        pl_gguf_declare(w, name, t->dtype, t->shape, 2, err);
}

static pali_status write_tensor(pl_saving *saving, const pl_item *item, pl_output *out, pali_error *err)
{
    const size_t rows = item->saved.dtype == PL_Q8_TILES ? item->saved.shape[0] : 0;
    float *scale = pl_new(rows, sizeof *scale, "scales of rows", err);
    pali_status status = scale ? pl_item_write(saving, item, pl_output_sink, out, scale, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_output_pad(out, PL_GGUF_ALIGNMENT, err);
    if (status == PALI_OK)
        status = pl_output_write(out, scale, rows * sizeof *scale, err);
    if (status == PALI_OK)
        status = pl_output_pad(out, PL_GGUF_ALIGNMENT, err);
    free(scale);
    return status;
}

pali_status pl_save_gguf(pl_saving *saving, const char *path, pali_error *err)
{
    pl_gguf_writer w = {0};
    pl_output out = {0};
    if (saving->model->config.vision.mlp_connector)
        return pl_fail(err, PALI_USAGE, "%s: found a projector of two maps (connector mlp), expected one: a GGUF holds no other", saving->model->checkpoint->path);
    put_config(&w, saving, err);
    pali_status status = put_tokenizer(&w, saving->model, err);
    for (size_t i = 0; i < saving->count; i++)
        declare(&w, saving, &saving->items[i], err);
    pl_codec_source_declare(&saving->codec, &w, err);
    if (status == PALI_OK)
        status = pl_output_open(&out, path, err);
    if (status == PALI_OK)
        status = pl_gguf_begin(&w, &out, err);
    for (size_t i = 0; status == PALI_OK && i < saving->count; i++)
        status = write_tensor(saving, &saving->items[i], &out, err);
    if (status == PALI_OK)
        status = pl_codec_source_write(&saving->codec, &out, err);
    if (status == PALI_OK)
        status = pl_output_commit(&out, err);
    pl_output_abandon(&out);
    pl_gguf_writer_free(&w);
    return status;
}
