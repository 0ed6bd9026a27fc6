/*
 * The image encoder, SigLIP So400m/14 in any size, and the projector that
 * turns its tokens into embeddings for the language model.
 */
#ifndef PL_VISION_SIGLIP_H
#define PL_VISION_SIGLIP_H

#include "ops/ops.h"

typedef struct pl_siglip_config {
    size_t image_size; /* pixels a side */
    size_t patch;      /* pixels a side of one patch */
    size_t width, layers, heads, mlp;
    float eps; /* of LayerNorm */
    bool mlp_connector; /* the projector has two maps, with a GELU between */
} pl_siglip_config;

typedef struct pl_layernorm_weights {
    const float *scale, *bias; /* [width] */
} pl_layernorm_weights;

typedef struct pl_siglip_block {
    pl_layernorm_weights norm1, norm2;
    pl_linear q, k, v, out; /* [width, width] */
    pl_linear fc1, fc2;     /* [mlp, width], [width, mlp] */
} pl_siglip_block;

typedef struct pl_siglip {
    pl_siglip_config config;
    pl_linear patch;         /* [width, 3*patch*patch]: channel, row, column */
    pl_tensor position;      /* [tokens, width] */
    pl_siglip_block *blocks; /* [layers] */
    pl_layernorm_weights norm;
    pl_linear projector;     /* [text width, width]; of two maps the second, [text width, text width] */
    pl_linear projector_hidden; /* and the first, [text width, width] */
} pl_siglip;

/*
 * What SigLIP pools a picture's tokens with, which PaliGemma leaves away: a
 * probe attends to all of them (big_vision: models/vit.py, MAPHead).
 */
typedef struct pl_siglip_head {
    pl_tensor probe;       /* [1, width] */
    pl_siglip_block block; /* without norm1 */
} pl_siglip_head;

/* Tokens a picture becomes: (image_size / patch)^2. */
size_t pl_siglip_tokens(const pl_siglip_config *config);

/*
 * patches [images*tokens, 3*patch*patch] (see image/) of pictures end to end ->
 * out [images*tokens, width], the tokens after the last LayerNorm. Pictures do
 * not see each other.
 */
void pl_siglip_forward(pl_context *ctx, const pl_siglip *siglip, pl_rows patches, pl_rows out);

/*
 * The same from rows x [sequences*tokens, width] on, which are changed: learned
 * positions, as many as make a sequence, blocks, the last LayerNorm. A text
 * tower (train/contrastive.h) is this on embeddings of tokens.
 */
void pl_siglip_encode_inplace(pl_context *ctx, const pl_siglip *siglip, pl_rows x, pl_rows out);

/* tokens [images*tokens, width] -> out [images, width]. */
void pl_siglip_pool(pl_context *ctx, const pl_siglip *siglip, const pl_siglip_head *head, pl_rows tokens, pl_rows out);

/* tokens [T, width] -> out [T, text width]: one affine map (or the connector of arXiv 2407.07726's ablation, MLP), and no scaling (model.md, embedding). */
void pl_projector_forward(pl_context *ctx, const pl_siglip *siglip, pl_rows tokens, pl_rows out);

#endif
