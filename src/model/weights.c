/* The list of weights, and names in their several spellings. */
#include "model/weights.h"

#include "base/text.h"
#include "model/codec_source.h"

#include <stdio.h>
#include <string.h>

size_t pl_dim_size(const pl_config *config, pl_dim dim)
{
    const pl_gemma_config *text = &config->text;
    switch (dim) {
    case PL_DIM_NONE:
        return 1;
    case PL_DIM_VISION_WIDTH:
        return config->vision.width;
    case PL_DIM_VISION_MLP:
        return config->vision.mlp;
    case PL_DIM_VISION_TOKENS:
        return pl_siglip_tokens(&config->vision);
    case PL_DIM_PATCH:
        return 3 * config->vision.patch * config->vision.patch;
    case PL_DIM_TEXT_WIDTH:
        return text->width;
    case PL_DIM_TEXT_MLP:
        return text->mlp;
    case PL_DIM_TEXT_Q:
        return text->heads * text->head_dim;
    case PL_DIM_TEXT_KV:
        return text->kv_heads * text->head_dim;
    case PL_DIM_VOCABULARY:
        return text->vocabulary;
    }
    return 0;
}

static const struct {
    const char *name, *prefix, *hub; /* prefixes of canonical names, and of those in released files */
} parts[PL_PART_COUNT] = {
    [PL_PART_VISION] = {"vision", "vision.", "vision_tower.vision_model."},
    [PL_PART_VISION_BLOCK] = {"vision", "vision.encoder.layers.%zu.", "vision_tower.vision_model.encoder.layers.%zu."},
    [PL_PART_PROJECTOR] = {"projector", "projector.", "multi_modal_projector."},
    [PL_PART_TEXT] = {"language", "text.", "language_model.model."},
    [PL_PART_TEXT_LAYER] = {"language", "text.layers.%zu.", "language_model.model.layers.%zu."},
};

const char *pl_part_name(pl_part part)
{
    return parts[part].name;
}

size_t pl_part_layers(const pl_config *config, pl_part part)
{
    return part == PL_PART_VISION_BLOCK ? config->vision.layers : part == PL_PART_TEXT_LAYER ? config->text.layers : 1;
}

/* Shorthands for the rows below. */
#define BLOCK "img/Transformer/encoderblock/"
#define ATTENTION BLOCK "MultiHeadDotProductAttention_0/"
#define V_LINEAR(field, out, in, hf, key, gguf_name)                                                                                       \
    {.part = PL_PART_VISION_BLOCK, .rows = PL_DIM_##out, .columns = PL_DIM_##in, .offset = offsetof(pl_siglip_block, field),              \
     .target = PL_TARGET_LINEAR, .name = hf ".weight", .npz = key "/kernel", .form = PL_NPZ_TRANSPOSE, .pair = -1, .gguf = gguf_name ".weight"}, \
    {.part = PL_PART_VISION_BLOCK, .rows = PL_DIM_##out, .offset = offsetof(pl_siglip_block, field), .target = PL_TARGET_BIAS,            \
     .name = hf ".bias", .npz = key "/bias", .pair = -1, .gguf = gguf_name ".bias"}
#define V_NORM(where, type, field, hf, key, gguf_name)                                                                                 \
    {.part = where, .rows = PL_DIM_VISION_WIDTH, .offset = offsetof(type, field.scale), .target = PL_TARGET_VECTOR, .name = hf ".weight", \
     .npz = key "/scale", .pair = -1, .gguf = gguf_name ".weight"},                                                                    \
    {.part = where, .rows = PL_DIM_VISION_WIDTH, .offset = offsetof(type, field.bias), .target = PL_TARGET_VECTOR, .name = hf ".bias",    \
     .npz = key "/bias", .pair = -1, .gguf = gguf_name ".bias"}
#define T_LINEAR(field, out, in, hf, key, how, which, gguf_name)                                                          \
    {.part = PL_PART_TEXT_LAYER, .rows = PL_DIM_##out, .columns = PL_DIM_##in, .offset = offsetof(pl_gemma_layer, field), \
     .target = PL_TARGET_LINEAR, .name = hf ".weight", .npz = "llm/layers/" key, .form = PL_NPZ_##how, .pair = which, .gguf = "blk.%zu." gguf_name ".weight"}
#define T_NORM(field, hf, hf1, key, gguf_name, who)                                                                                 \
    {.part = PL_PART_TEXT_LAYER, .rows = PL_DIM_TEXT_WIDTH, .offset = offsetof(pl_gemma_layer, field), .target = PL_TARGET_VECTOR,      \
     .name = hf ".weight", .name1 = hf1, .npz = "llm/layers/" key "/scale", .pair = -1, .gguf = "blk.%zu." gguf_name ".weight", .presence = who}

/* The connector of an ablation, named as in LLaVA; npz and GGUF files have none. */
#define MLP_CONNECTOR(field, in, hf)                                                                                                     \
    {.part = PL_PART_PROJECTOR, .rows = PL_DIM_TEXT_WIDTH, .columns = PL_DIM_##in, .offset = offsetof(pl_siglip, field),                \
     .target = PL_TARGET_LINEAR, .name = hf ".weight", .npz = "img/" hf "/kernel", .form = PL_NPZ_TRANSPOSE, .pair = -1, .gguf = hf ".weight", .presence = PL_IN_MLP_CONNECTOR}, \
    {.part = PL_PART_PROJECTOR, .rows = PL_DIM_TEXT_WIDTH, .offset = offsetof(pl_siglip, field), .target = PL_TARGET_BIAS,              \
     .name = hf ".bias", .npz = "img/" hf "/bias", .pair = -1, .gguf = hf ".bias", .presence = PL_IN_MLP_CONNECTOR}

const pl_weight pl_weights[] = {
    {.part = PL_PART_VISION, .rows = PL_DIM_VISION_WIDTH, .columns = PL_DIM_PATCH, .offset = offsetof(pl_siglip, patch), .target = PL_TARGET_LINEAR,
     .name = "embeddings.patch_embedding.weight", .npz = "img/embedding/kernel", .form = PL_NPZ_PATCH, .pair = -1, .gguf = "v.patch_embd.weight"},
    {.part = PL_PART_VISION, .rows = PL_DIM_VISION_WIDTH, .offset = offsetof(pl_siglip, patch), .target = PL_TARGET_BIAS,
     .name = "embeddings.patch_embedding.bias", .npz = "img/embedding/bias", .pair = -1, .gguf = "v.patch_embd.bias"},
    {.part = PL_PART_VISION, .rows = PL_DIM_VISION_TOKENS, .columns = PL_DIM_VISION_WIDTH, .offset = offsetof(pl_siglip, position), .target = PL_TARGET_TENSOR,
     .name = "embeddings.position_embedding.weight", .npz = "img/pos_embedding", .pair = -1, .gguf = "v.position_embd.weight"},
    V_NORM(PL_PART_VISION_BLOCK, pl_siglip_block, norm1, "layer_norm1", BLOCK "LayerNorm_0", "v.blk.%zu.ln1"),
    V_LINEAR(q, VISION_WIDTH, VISION_WIDTH, "self_attn.q_proj", ATTENTION "query", "v.blk.%zu.attn_q"),
    V_LINEAR(k, VISION_WIDTH, VISION_WIDTH, "self_attn.k_proj", ATTENTION "key", "v.blk.%zu.attn_k"),
    V_LINEAR(v, VISION_WIDTH, VISION_WIDTH, "self_attn.v_proj", ATTENTION "value", "v.blk.%zu.attn_v"),
    V_LINEAR(out, VISION_WIDTH, VISION_WIDTH, "self_attn.out_proj", ATTENTION "out", "v.blk.%zu.attn_out"),
    V_NORM(PL_PART_VISION_BLOCK, pl_siglip_block, norm2, "layer_norm2", BLOCK "LayerNorm_1", "v.blk.%zu.ln2"),
    V_LINEAR(fc1, VISION_MLP, VISION_WIDTH, "mlp.fc1", BLOCK "MlpBlock_0/Dense_0", "v.blk.%zu.ffn_up"),
    V_LINEAR(fc2, VISION_WIDTH, VISION_MLP, "mlp.fc2", BLOCK "MlpBlock_0/Dense_1", "v.blk.%zu.ffn_down"),
    V_NORM(PL_PART_VISION, pl_siglip, norm, "post_layernorm", "img/Transformer/encoder_norm", "v.post_ln"),
    {.part = PL_PART_PROJECTOR, .rows = PL_DIM_TEXT_WIDTH, .columns = PL_DIM_VISION_WIDTH, .offset = offsetof(pl_siglip, projector), .target = PL_TARGET_LINEAR,
     .name = "linear.weight", .npz = "img/head/kernel", .form = PL_NPZ_TRANSPOSE, .pair = -1, .gguf = "mm.0.weight", .presence = PL_IN_LINEAR_CONNECTOR},
    {.part = PL_PART_PROJECTOR, .rows = PL_DIM_TEXT_WIDTH, .offset = offsetof(pl_siglip, projector), .target = PL_TARGET_BIAS,
     .name = "linear.bias", .npz = "img/head/bias", .pair = -1, .gguf = "mm.0.bias", .presence = PL_IN_LINEAR_CONNECTOR},
    {.part = PL_PART_TEXT, .rows = PL_DIM_VOCABULARY, .columns = PL_DIM_TEXT_WIDTH, .offset = offsetof(pl_gemma, embedding), .target = PL_TARGET_TENSOR,
     .name = "embed_tokens.weight", .npz = "llm/embedder/input_embedding", .pair = -1, .gguf = "token_embd.weight"},
    T_NORM(attention_norm, "input_layernorm", NULL, "pre_attention_norm", "attn_norm", PL_IN_ALL),
    T_LINEAR(q, TEXT_Q, TEXT_WIDTH, "self_attn.q_proj", "attn/q_einsum/w", HEADS, -1, "attn_q"),
    T_LINEAR(k, TEXT_KV, TEXT_WIDTH, "self_attn.k_proj", "attn/kv_einsum/w", HEADS, 0, "attn_k"),
    T_LINEAR(v, TEXT_KV, TEXT_WIDTH, "self_attn.v_proj", "attn/kv_einsum/w", HEADS, 1, "attn_v"),
    T_LINEAR(o, TEXT_WIDTH, TEXT_Q, "self_attn.o_proj", "attn/attn_vec_einsum/w", TRANSPOSE, -1, "attn_output"),
    T_NORM(attention_post_norm, "post_attention_layernorm", NULL, "post_attention_norm", "post_attention_norm", PL_IN_GEMMA2),
    /* Gemma 1 calls its pre-MLP norm what Gemma 2 calls the norm after attention. */
    T_NORM(mlp_norm, "pre_feedforward_layernorm", "post_attention_layernorm.weight", "pre_ffw_norm", "ffn_norm", PL_IN_ALL),
    T_LINEAR(gate, TEXT_MLP, TEXT_WIDTH, "mlp.gate_proj", "mlp/gating_einsum", TRANSPOSE, 0, "ffn_gate"),
    T_LINEAR(up, TEXT_MLP, TEXT_WIDTH, "mlp.up_proj", "mlp/gating_einsum", TRANSPOSE, 1, "ffn_up"),
    T_LINEAR(down, TEXT_WIDTH, TEXT_MLP, "mlp.down_proj", "mlp/linear", TRANSPOSE, -1, "ffn_down"),
    T_NORM(mlp_post_norm, "post_feedforward_layernorm", NULL, "post_ffw_norm", "post_ffw_norm", PL_IN_GEMMA2),
    {.part = PL_PART_TEXT, .rows = PL_DIM_TEXT_WIDTH, .offset = offsetof(pl_gemma, norm), .target = PL_TARGET_VECTOR,
     .name = "norm.weight", .npz = "llm/final_norm/scale", .pair = -1, .gguf = "output_norm.weight"},
    MLP_CONNECTOR(projector_hidden, VISION_WIDTH, "linear_1"),
    MLP_CONNECTOR(projector, TEXT_WIDTH, "linear_2"),
};
const size_t pl_weight_count = sizeof pl_weights / sizeof *pl_weights;

bool pl_weight_present(const pl_config *config, const pl_weight *weight)
{
    switch (weight->presence) {
    case PL_IN_ALL:
        break;
    case PL_IN_GEMMA2:
        return config->gemma2;
    case PL_IN_LINEAR_CONNECTOR:
        return !config->vision.mlp_connector;
    case PL_IN_MLP_CONNECTOR:
        return config->vision.mlp_connector;
    }
    return true;
}

const pl_weight pl_head_weight = {.part = PL_PART_TEXT, .rows = PL_DIM_VOCABULARY, .columns = PL_DIM_TEXT_WIDTH, .offset = offsetof(pl_gemma, head), .target = PL_TARGET_LINEAR,
                                  .name = "lm_head.weight", .pair = -1, .gguf = "output.weight"};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static const char *spell(const char *prefix, const pl_weight *weight, const pl_config *config, size_t layer, char buf[160])
{
    const int used = snprintf(buf, 160, prefix, layer);
    const bool gemma1 = weight->name1 && !config->gemma2;
    snprintf(buf + used, 160 - (size_t)used, "%s", gemma1 ? weight->name1 : weight->name);
    return buf;
}

const char *pl_weight_name(const pl_weight *weight, const pl_config *config, size_t layer, char buf[160])
{
    return spell(parts[weight->part].prefix, weight, config, layer, buf);
}

const char *pl_weight_hub_name(const pl_weight *weight, const pl_config *config, size_t layer, char buf[160])
{
    return spell(weight == &pl_head_weight ? "language_model." : parts[weight->part].hub, weight, config, layer, buf);
}

const char *pl_weight_gguf_name(const pl_weight *weight, size_t layer, char buf[160])
{
    snprintf(buf, 160, weight->gguf, layer);
    return buf;
}

#pragma GCC diagnostic pop

bool pl_canonical_name(const char *name, char canonical[160])
{
    /* Longest first; the vision tower's inner level is absent in some 5.x saves. */
    static const char *const prefixes[][2] = {
        {"model.language_model.model.", "text."},
        {"model.language_model.", "text."},
        {"language_model.lm_head.", "head."},
        {"language_model.model.", "text."},
        {"lm_head.", "head."},
        {"model.vision_tower.vision_model.", "vision."},
        {"model.vision_tower.", "vision."},
        {"vision_tower.vision_model.", "vision."},
        {"vision_tower.", "vision."},
        {"model.multi_modal_projector.", "projector."},
        {"multi_modal_projector.", "projector."},
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (!pl_starts_with(name, prefixes[i][0]))
            continue;
        const int length = snprintf(canonical, 160, "%s%s", prefixes[i][1], name + strlen(prefixes[i][0]));
        return length > 0 && length < 160;
    }
    return false;
}

bool pl_is_ignorable(const char *name)
{
    return pl_ends_with(name, ".position_ids") || pl_ends_with(name, ".rotary_emb.inv_freq") || strstr(name, "vision_model.head.") || strstr(name, "vision_tower.head.") ||
           pl_starts_with(name, "opt/") || pl_starts_with(name, "rope_freqs.") || pl_starts_with(name, PL_CODEC_PREFIX) ||
           pl_ends_with(name, ".weight.scale");
}
