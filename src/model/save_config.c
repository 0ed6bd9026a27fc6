/*
 * Fields and values are those that transformers' classes read; sizes come from
 * the configuration, which is what the weights have.
 */
#include "model/save_config.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void set_size(json_t *object, const char *key, size_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, json_string(value));
}

/* A float as the shortest decimal that gives it again, so that 1e-6f is 1e-06. */
static void set_float(json_t *object, const char *key, float value)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    json_object_set_new(object, key, json_real(strtod(text, NULL)));
}

static void set_id(json_t *object, const char *key, int64_t id)
{
    if (id >= 0)
        json_object_set_new(object, key, json_integer((json_int_t)id));
}

/* Sorted and indented as the released files are; takes the object. */
static char *finish(json_t *object, pali_error *err)
{
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    json_decref(object);
    if (!text)
        pl_fail_memory(err, "JSON", 0);
    return text;
}

/* The type that most weights have, as PyTorch calls it. */
static const char *type_name(const pl_saving *saving)
{
    uint64_t bytes[3] = {0};
    static const pl_dtype types[3] = {PL_F32, PL_BF16, PL_F16};
    static const char *const names[3] = {"float32", "bfloat16", "float16"};
    size_t most = 0;
    for (size_t i = 0; i < saving->count; i++)
        for (size_t t = 0; t < 3; t++)
            bytes[t] += saving->items[i].saved.dtype == types[t] ? saving->items[i].bytes : 0;
    for (size_t t = 1; t < 3; t++)
        most = bytes[t] > bytes[most] ? t : most;
    return names[most];
}

static json_t *text_config(const pl_config *config, const char *type)
{
    const pl_gemma_config *t = &config->text;
    json_t *text = json_object();
    set_text(text, "model_type", config->gemma2 ? "gemma2" : "gemma");
    set_size(text, "hidden_size", t->width);
    set_size(text, "intermediate_size", t->mlp);
    set_size(text, "num_hidden_layers", t->layers);
    set_size(text, "num_attention_heads", t->heads);
    set_size(text, "num_key_value_heads", t->kv_heads);
    set_size(text, "num_image_tokens", pl_siglip_tokens(&config->vision));
    set_size(text, "head_dim", t->head_dim);
    set_size(text, "vocab_size", t->vocabulary);
    set_size(text, "max_position_embeddings", 8192);
    set_float(text, "rms_norm_eps", t->eps);
    set_float(text, "rope_theta", t->rope_base);
    set_text(text, "hidden_act", "gelu_pytorch_tanh");
    set_text(text, "hidden_activation", "gelu_pytorch_tanh");
    set_text(text, "torch_dtype", type);
    if (!config->gemma2)
        return text;
    const double scalar = pl_config_query_scalar(config);
    json_object_set_new(text, "query_pre_attn_scalar", scalar > floor(scalar) ? json_real(scalar) : json_integer((json_int_t)scalar));
    set_size(text, "sliding_window", 4096); /* as released; longer texts than Gemma's context do not come up */
    json_object_set_new(text, "attn_logit_softcapping", t->attention_softcap > 0 ? json_real((double)t->attention_softcap) : json_null());
    json_object_set_new(text, "final_logit_softcapping", t->final_softcap > 0 ? json_real((double)t->final_softcap) : json_null());
    return text;
}

static json_t *vision_config(const pl_config *config)
{
    const pl_siglip_config *v = &config->vision;
    json_t *vision = json_object();
    set_text(vision, "model_type", "siglip_vision_model");
    set_size(vision, "hidden_size", v->width);
    set_size(vision, "intermediate_size", v->mlp);
    set_size(vision, "num_hidden_layers", v->layers);
    set_size(vision, "num_attention_heads", v->heads);
    set_size(vision, "num_image_tokens", pl_siglip_tokens(v));
    set_size(vision, "image_size", v->image_size);
    set_size(vision, "patch_size", v->patch);
    set_size(vision, "projection_dim", config->text.width);
    set_float(vision, "layer_norm_eps", v->eps);
    set_text(vision, "hidden_act", "gelu_pytorch_tanh");
    set_text(vision, "projector_hidden_act", "gelu_fast");
    json_object_set_new(vision, "vision_use_head", json_false());
    return vision;
}

static json_t *new_config(const pl_config *config, const pl_tokenizer *tokenizer, const char *type)
{
    const pl_special_ids *ids = pl_tokenizer_special(tokenizer);
    const int64_t image = config->image_id >= 0 ? config->image_id : ids->image >= 0 ? ids->image : (int64_t)pl_tokenizer_count(tokenizer);
    json_t *top = json_object();
    set_text(top, "model_type", "paligemma");
    json_object_set_new(top, "architectures", json_pack("[s]", "PaliGemmaForConditionalGeneration"));
    json_object_set_new(top, "text_config", text_config(config, type));
    json_object_set_new(top, "vision_config", vision_config(config));
    set_size(top, "hidden_size", config->text.width);
    set_size(top, "projection_dim", config->text.width);
    json_object_set_new(top, "ignore_index", json_integer(-100));
    if (config->vision.mlp_connector)
        set_text(top, "connector", "mlp");
    set_id(top, "image_token_index", image);
    set_id(top, "bos_token_id", ids->bos);
    set_id(top, "eos_token_id", ids->eos);
    set_id(top, "pad_token_id", ids->pad);
    return top;
}

/* Says the type in the spelling that is there; both generations of transformers read "torch_dtype". */
static void set_type(json_t *object, const char *type)
{
    if (json_object_get(object, "dtype"))
        set_text(object, "dtype", type);
    if (json_object_get(object, "torch_dtype") || !json_object_get(object, "dtype"))
        set_text(object, "torch_dtype", type);
}

char *pl_config_json(const pl_saving *saving, pali_error *err)
{
    const pl_checkpoint *checkpoint = saving->model->checkpoint;
    const char *type = type_name(saving);
    json_t *top = checkpoint->config_json ? json_deep_copy(pl_json_at(checkpoint->config_json, "")) : new_config(&saving->model->config, saving->model->tokenizer, type);
    json_t *text = json_object_get(top, "text_config");
    set_type(top, type);
    if (json_object_get(text, "dtype") || json_object_get(text, "torch_dtype"))
        set_type(text, type);
    set_size(text, "vocab_size", saving->model->config.text.vocabulary);
    if (saving->own_head || json_object_get(top, "tie_word_embeddings"))
        json_object_set_new(top, "tie_word_embeddings", json_boolean(!saving->own_head));
    if (json_object_get(text, "tie_word_embeddings"))
        json_object_set_new(text, "tie_word_embeddings", json_boolean(!saving->own_head));
    return finish(top, err);
}

char *pl_new_config_json(const pl_config *config, const pl_tokenizer *tokenizer, const char *type, pali_error *err)
{
    json_t *top = new_config(config, tokenizer, type);
    set_type(top, type);
    if (config->untied_head)
        json_object_set_new(top, "tie_word_embeddings", json_false());
    return finish(top, err);
}

char *pl_preprocessor_json(const pl_config *config, pali_error *err)
{
    const json_int_t side = (json_int_t)config->vision.image_size;
    const json_int_t filter = config->preprocess.kind == PL_PREPROCESS_HF || config->preprocess.kind == PL_PREPROCESS_HF_PILLOW13 ? (json_int_t)config->preprocess.filter : PL_FILTER_BICUBIC;
    json_t *object = json_pack("{s:n, s:b, s:b, s:b, s:[fff], s:[fff], s:s, s:I, s:s, s:I, s:f, s:{s:I, s:I}}", "do_convert_rgb", "do_normalize", 1, "do_rescale", 1, "do_resize", 1,
                               "image_mean", 0.5, 0.5, 0.5, "image_std", 0.5, 0.5, 0.5, "image_processor_type", "SiglipImageProcessor", "image_seq_length",
                               (json_int_t)pl_siglip_tokens(&config->vision), "processor_class", "PaliGemmaProcessor", "resample", filter, "rescale_factor", 1.0 / 255, "size", "height",
                               side, "width", side);
    return finish(object, err);
}

char *pl_generation_json(const pl_tokenizer *tokenizer, pali_error *err)
{
    const pl_special_ids *ids = pl_tokenizer_special(tokenizer);
    json_t *object = json_object();
    set_id(object, "bos_token_id", ids->bos);
    set_id(object, "eos_token_id", ids->eos);
    set_id(object, "pad_token_id", ids->pad);
    return finish(object, err);
}

static void set_piece(json_t *object, const char *key, const pl_tokenizer *tokenizer, int32_t id)
{
    size_t length;
    const char *text = pl_tokenizer_piece(tokenizer, id, &length);
    if (text)
        json_object_set_new(object, key, json_stringn(text, length));
}

char *pl_tokenizer_config_json(const pl_tokenizer *tokenizer, pali_error *err)
{
    const pl_special_ids *ids = pl_tokenizer_special(tokenizer);
    json_t *object = json_object();
    set_piece(object, "bos_token", tokenizer, ids->bos);
    set_piece(object, "eos_token", tokenizer, ids->eos);
    set_piece(object, "pad_token", tokenizer, ids->pad);
    set_piece(object, "unk_token", tokenizer, ids->unk);
    json_object_set_new(object, "add_bos_token", json_false());
    json_object_set_new(object, "add_eos_token", json_false());
    json_object_set_new(object, "clean_up_tokenization_spaces", json_false());
    json_object_set_new(object, "extra_special_tokens", json_pack("{s:s}", "image_token", "<image>"));
    set_text(object, "processor_class", "PaliGemmaProcessor");
    set_text(object, "tokenizer_class", "PreTrainedTokenizerFast");
    return finish(object, err);
}
