/*
 * A big_vision npz has no configuration: every size is read off the shapes, and
 * what shapes do not tell follows from the released models (model.md, 4).
 */
#include "model/config.h"

#include <math.h>
#include <stdio.h>

/* The array of that name with that rank, or NULL with the reason recorded. */
static const size_t *shape_of(const pl_tensor_file *file, const char *prefix, const char *name, size_t rank, pali_error *err)
{
    char full[160], found[96];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const pl_tensor *tensor = pl_tensor_file_use(file, full, err);
    if (!tensor)
        return NULL;
    if (tensor->rank == rank)
        return tensor->shape;
    pl_fail(err, PALI_MODEL, "%s: array %s: found shape %s, expected %zu axes", pl_tensor_file_path(file, 0), full, pl_shape_text(tensor->shape, tensor->rank, found), rank);
    return NULL;
}

#define BLOCK "img/Transformer/encoderblock/"

static pali_status vision_sizes(pl_siglip_config *vision, const pl_tensor_file *file, const char *prefix, pali_error *err)
{
    const size_t *patch = shape_of(file, prefix, "img/embedding/kernel", 4, err);
    const size_t *position = patch ? shape_of(file, prefix, "img/pos_embedding", 3, err) : NULL;
    const size_t *query = position ? shape_of(file, prefix, BLOCK "MultiHeadDotProductAttention_0/query/kernel", 4, err) : NULL;
    const size_t *mlp = query ? shape_of(file, prefix, BLOCK "MlpBlock_0/Dense_0/kernel", 3, err) : NULL;
    if (!mlp)
        return PALI_MODEL;
    const size_t side = (size_t)lround(sqrt((double)position[1]));
    if (side * side != position[1])
        return pl_fail(err, PALI_MODEL, "%s: array %simg/pos_embedding: found %zu positions, expected a square number", pl_tensor_file_path(file, 0), prefix, position[1]);
    *vision = (pl_siglip_config){.patch = patch[0], .width = patch[3], .layers = query[0], .heads = query[2], .mlp = mlp[2], .eps = 1e-6f};
    vision->image_size = side * vision->patch;
    return PALI_OK;
}

static pali_status text_sizes(pl_gemma_config *text, const pl_tensor_file *file, const char *prefix, pali_error *err)
{
    const size_t *embedding = shape_of(file, prefix, "llm/embedder/input_embedding", 2, err);
    const size_t *query = embedding ? shape_of(file, prefix, "llm/layers/attn/q_einsum/w", 4, err) : NULL;
    const size_t *pair = query ? shape_of(file, prefix, "llm/layers/attn/kv_einsum/w", 5, err) : NULL;
    const size_t *gate = pair ? shape_of(file, prefix, "llm/layers/mlp/gating_einsum", 4, err) : NULL;
    if (!gate)
        return PALI_MODEL;
    *text = (pl_gemma_config){.vocabulary = embedding[0], .width = embedding[1], .layers = query[0], .heads = query[1], .head_dim = query[3], .kv_heads = pair[2],
                              .mlp = gate[3], .eps = 1e-6f, .norm_offset = 1, .rope_base = 10000};
    return PALI_OK;
}

pali_status pl_config_from_npz(pl_config *config, const pl_tensor_file *file, const char *prefix, pali_error *err)
{
    *config = (pl_config){.image_id = -1, .preprocess = pl_preprocess_default()};
    config->preprocess.kind = PL_PREPROCESS_ANTIALIAS; /* big_vision's own resize */
    pali_status status = vision_sizes(&config->vision, file, prefix, err);
    if (status == PALI_OK)
        status = text_sizes(&config->text, file, prefix, err);
    if (status != PALI_OK)
        return status;
    char name[160];
    snprintf(name, sizeof name, "%sllm/layers/post_attention_norm/scale", prefix);
    config->gemma2 = pl_tensor_file_find(file, name) != NULL;
    pl_config_released_constants(config);
    return pl_config_check(config, pl_tensor_file_path(file, 0), err);
}

void pl_config_released_constants(pl_config *config)
{
    pl_gemma_config *text = &config->text;
    text->post_norms = config->gemma2;
    text->attention_softcap = config->gemma2 ? 50 : 0;
    text->final_softcap = config->gemma2 ? 30 : 0;
    /* Gemma 2 27B alone has another head dim, and scales by width / heads. */
    const bool by_width = config->gemma2 && text->head_dim != 256 && text->heads;
    text->query_scale = (float)(1 / sqrt((double)(by_width ? text->width / text->heads : text->head_dim)));
}
