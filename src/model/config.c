/*
 * config.json and preprocessor_config.json. Released files leave much out; the
 * defaults here are those of the published configuration classes, except where
 * those are known to be wrong for the weights (checkpoints.md, 3).
 */
#include "model/config.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST = 1 << 24 }; /* no size of a model reaches it; keeps products from overflowing */

/* A field that must be there. */
static pali_status need_size(const pl_json *json, const char *field, size_t *value, pali_error *err)
{
    if (!pl_json_at(json, field))
        return pl_fail(err, PALI_MODEL, "%s: field %s is missing, expected a whole number", pl_json_path(json), field);
    return pl_json_get_size(json, field, value, err);
}

static pali_status get_float(const pl_json *json, const char *field, float *value, pali_error *err)
{
    double number = *value;
    const pali_status status = pl_json_get_f64(json, field, &number, err);
    *value = (float)number;
    return status;
}

/* A soft-cap: absent gives the default, null or 0 turns it off. */
static pali_status get_softcap(const pl_json *json, const char *field, float *value, pali_error *err)
{
    if (pl_json_is_null(json, field))
        *value = 0;
    return get_float(json, field, value, err);
}

/* Gemma files that say "gelu" mean the tanh form too; anything else is another model. */
static pali_status check_activation(const pl_json *json, const char *field, pali_error *err)
{
    const char *name = "gelu_pytorch_tanh";
    const pali_status status = pl_json_get_string(json, field, &name, err);
    if (status != PALI_OK)
        return status;
    static const char *const known[] = {"gelu_pytorch_tanh", "gelu", "gelu_new", "gelu_fast", "gelu_tanh"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return PALI_OK;
    return pl_json_refuse(json, field, "a GELU with tanh (gelu_pytorch_tanh)", err);
}

static pali_status read_family(pl_config *config, const pl_json *json, pali_error *err)
{
    const char *model = "", *text = "";
    pali_status status = pl_json_get_string(json, "model_type", &model, err);
    if (status == PALI_OK && strcmp(model, "paligemma") != 0)
        status = pl_json_at(json, "model_type") ? pl_json_refuse(json, "model_type", "\"paligemma\"", err)
                                                : pl_fail(err, PALI_MODEL, "%s: field model_type is missing, expected \"paligemma\"", pl_json_path(json));
    if (status == PALI_OK)
        status = pl_json_get_string(json, "text_config.model_type", &text, err);
    if (status != PALI_OK)
        return status;
    config->gemma2 = strcmp(text, "gemma2") == 0;
    if (!config->gemma2 && strcmp(text, "gemma") != 0 && *text)
        return pl_json_refuse(json, "text_config.model_type", "\"gemma\" or \"gemma2\"", err);
    return PALI_OK;
}

/* A field of our own: what the paper compares the affine map with (arXiv 2407.07726, 5.5). */
static pali_status read_connector(pl_siglip_config *vision, const pl_json *json, pali_error *err)
{
    const char *name = "linear";
    const pali_status status = pl_json_get_string(json, "connector", &name, err);
    vision->mlp_connector = strcmp(name, "mlp") == 0;
    if (status == PALI_OK && !vision->mlp_connector && strcmp(name, "linear") != 0)
        return pl_json_refuse(json, "connector", "\"linear\" or \"mlp\"", err);
    return status;
}

static pali_status read_vision(pl_siglip_config *vision, const pl_json *json, pali_error *err)
{
    *vision = (pl_siglip_config){.image_size = 224, .patch = 14, .width = 1152, .layers = 27, .heads = 16, .mlp = 4304, .eps = 1e-6f};
    pali_status status = pl_json_get_size(json, "vision_config.image_size", &vision->image_size, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "vision_config.patch_size", &vision->patch, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "vision_config.hidden_size", &vision->width, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "vision_config.num_hidden_layers", &vision->layers, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "vision_config.num_attention_heads", &vision->heads, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "vision_config.intermediate_size", &vision->mlp, err);
    if (status == PALI_OK)
        status = get_float(json, "vision_config.layer_norm_eps", &vision->eps, err);
    if (status == PALI_OK)
        status = check_activation(json, "vision_config.hidden_act", err);
    return status == PALI_OK ? read_connector(vision, json, err) : status;
}

static pali_status read_text_sizes(pl_gemma_config *text, const pl_json *json, pali_error *err)
{
    text->head_dim = 256;
    pali_status status = need_size(json, "text_config.hidden_size", &text->width, err);
    if (status == PALI_OK)
        status = need_size(json, "text_config.num_hidden_layers", &text->layers, err);
    if (status == PALI_OK)
        status = need_size(json, "text_config.num_attention_heads", &text->heads, err);
    if (status == PALI_OK)
        status = need_size(json, "text_config.num_key_value_heads", &text->kv_heads, err);
    if (status == PALI_OK)
        status = need_size(json, "text_config.intermediate_size", &text->mlp, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "text_config.head_dim", &text->head_dim, err);
    /* The embedding's rows win over this when the weights are opened. */
    if (status == PALI_OK)
        status = pl_json_get_size(json, "text_config.vocab_size", &text->vocabulary, err);
    return status;
}

static pali_status read_text(pl_config *config, const pl_json *json, pali_error *err)
{
    pl_gemma_config *text = &config->text;
    *text = (pl_gemma_config){.post_norms = config->gemma2, .eps = 1e-6f, .norm_offset = 1, .rope_base = 10000};
    pali_status status = read_text_sizes(text, json, err);
    if (status == PALI_OK)
        status = get_float(json, "text_config.rms_norm_eps", &text->eps, err);
    if (status == PALI_OK)
        status = get_float(json, "text_config.rope_theta", &text->rope_base, err);
    if (status == PALI_OK)
        status = get_float(json, "text_config.rope_parameters.rope_theta", &text->rope_base, err);
    if (status == PALI_OK)
        status = check_activation(json, pl_json_at(json, "text_config.hidden_activation") ? "text_config.hidden_activation" : "text_config.hidden_act", err);
    float scalar = config->gemma2 ? 256 : (float)text->head_dim;
    if (config->gemma2) {
        text->attention_softcap = 50;
        text->final_softcap = 30;
        if (status == PALI_OK)
            status = get_float(json, "text_config.query_pre_attn_scalar", &scalar, err);
        if (status == PALI_OK)
            status = get_softcap(json, "text_config.attn_logit_softcapping", &text->attention_softcap, err);
        if (status == PALI_OK)
            status = get_softcap(json, "text_config.final_logit_softcapping", &text->final_softcap, err);
    }
    if (status == PALI_OK && !(scalar > 0))
        status = pl_json_refuse(json, "text_config.query_pre_attn_scalar", "a number above 0", err);
    text->query_scale = (float)(1 / sqrt((double)scalar));
    return status;
}

pali_status pl_config_from_json(pl_config *config, const pl_json *json, pali_error *err)
{
    *config = (pl_config){.image_id = -1, .preprocess = pl_preprocess_default()};
    bool tied = true;
    pali_status status = read_family(config, json, err);
    if (status == PALI_OK)
        status = read_vision(&config->vision, json, err);
    if (status == PALI_OK)
        status = read_text(config, json, err);
    if (status == PALI_OK)
        status = pl_json_get_i64(json, "image_token_index", &config->image_id, err);
    if (status == PALI_OK)
        status = pl_json_get_i64(json, "image_token_id", &config->image_id, err);
    if (status == PALI_OK)
        status = pl_json_get_bool(json, "text_config.tie_word_embeddings", &tied, err);
    if (status == PALI_OK)
        status = pl_json_get_bool(json, "tie_word_embeddings", &tied, err);
    config->untied_head = !tied;
    return status == PALI_OK ? pl_config_check(config, pl_json_path(json), err) : status;
}

/* What SigLIP's processor does to pixel values is built in; another recipe is refused. */
static pali_status check_normalisation(const pl_json *json, pali_error *err)
{
    double mean[3] = {0.5, 0.5, 0.5}, deviation[3] = {0.5, 0.5, 0.5}, factor = 1.0 / 255;
    pali_status status = pl_json_get_f64s(json, "image_mean", mean, 3, err);
    if (status == PALI_OK)
        status = pl_json_get_f64s(json, "image_std", deviation, 3, err);
    if (status == PALI_OK)
        status = pl_json_get_f64(json, "rescale_factor", &factor, err);
    for (size_t i = 0; status == PALI_OK && i < 3; i++) {
        if (mean[i] != 0.5)
            status = pl_json_refuse(json, "image_mean", "[0.5, 0.5, 0.5]", err);
        else if (deviation[i] != 0.5)
            status = pl_json_refuse(json, "image_std", "[0.5, 0.5, 0.5]", err);
    }
    if (status == PALI_OK && fabs(factor * 255 - 1) > 1e-6)
        status = pl_json_refuse(json, "rescale_factor", "1/255", err);
    return status;
}

pali_status pl_config_read_preprocessor(pl_config *config, const pl_json *json, pali_error *err)
{
    size_t height = config->vision.image_size, width = height, resample = PL_FILTER_BICUBIC;
    pali_status status = check_normalisation(json, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "size.height", &height, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "size.width", &width, err);
    if (status == PALI_OK)
        status = pl_json_get_size(json, "resample", &resample, err);
    if (status != PALI_OK)
        return status;
    char expected[64];
    snprintf(expected, sizeof expected, "%zu, the image size of the weights", config->vision.image_size);
    if (height != config->vision.image_size)
        return pl_json_refuse(json, "size.height", expected, err);
    if (width != config->vision.image_size)
        return pl_json_refuse(json, "size.width", expected, err);
    if (resample > PL_FILTER_HAMMING)
        return pl_json_refuse(json, "resample", "a Pillow filter, 0 to 5", err);
    config->preprocess.filter = (pl_filter)resample;
    return PALI_OK;
}

pali_status pl_config_check(const pl_config *config, const char *path, pali_error *err)
{
    const pl_siglip_config *v = &config->vision;
    const pl_gemma_config *t = &config->text;
    const struct {
        const char *name;
        size_t value, most;
    } sizes[] = {
        {"image size", v->image_size, 1 << 14}, {"patch size", v->patch, 1 << 10},   {"vision width", v->width, LARGEST},    {"vision layers", v->layers, 1 << 12},
        {"vision heads", v->heads, 1 << 12},    {"vision MLP width", v->mlp, LARGEST}, {"text width", t->width, LARGEST},      {"text layers", t->layers, 1 << 12},
        {"text heads", t->heads, 1 << 12},      {"text kv heads", t->kv_heads, 1 << 12}, {"text head dim", t->head_dim, 1 << 12}, {"text MLP width", t->mlp, LARGEST},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return pl_fail(err, PALI_MODEL, "%s: %s: found %zu, expected 1 to %zu", path, sizes[i].name, sizes[i].value, sizes[i].most);
    if (v->image_size % v->patch)
        return pl_fail(err, PALI_MODEL, "%s: image size: found %zu, expected a multiple of the patch size %zu", path, v->image_size, v->patch);
    if (v->width % v->heads)
        return pl_fail(err, PALI_MODEL, "%s: vision heads: found %zu, expected a divisor of the width %zu", path, v->heads, v->width);
    if (t->heads % t->kv_heads)
        return pl_fail(err, PALI_MODEL, "%s: text kv heads: found %zu, expected a divisor of the heads %zu", path, t->kv_heads, t->heads);
    if (t->head_dim % 2)
        return pl_fail(err, PALI_MODEL, "%s: text head dim: found %zu, expected an even number", path, t->head_dim);
    if (!(t->query_scale > 0) || !isfinite(t->query_scale))
        return pl_fail(err, PALI_MODEL, "%s: query scale: found %g, expected a number above 0", path, (double)t->query_scale);
    if (!(v->eps > 0) || !(t->eps > 0) || !(t->rope_base > 0))
        return pl_fail(err, PALI_MODEL, "%s: norm eps and rope base: expected numbers above 0", path);
    return PALI_OK;
}

double pl_config_query_scalar(const pl_config *config)
{
    const double scale = (double)config->text.query_scale, scalar = 1 / (scale * scale), whole = round(scalar);
    return fabs((double)(float)(1 / sqrt(whole)) - scale) <= 0 ? whole : scalar;
}
