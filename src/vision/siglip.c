/*
 * SigLIP's vision transformer (arXiv 2303.15343; So400m/14 of arXiv 2305.13035):
 * patches, learned positions, pre-LayerNorm blocks with full attention, a last
 * LayerNorm. No class token and no pooling in PaliGemma (arXiv 2407.07726, 3.1).
 */
#include "vision/siglip.h"

#include <math.h>

size_t pl_siglip_tokens(const pl_siglip_config *config)
{
    const size_t side = config->image_size / config->patch;
    return side * side;
}

/* y = x + out(attention(norm1(x))), every picture on its own; y may be x. */
static void attention_branch(pl_context *ctx, const pl_siglip *siglip, const pl_siglip_block *block, pl_rows x, pl_rows y)
{
    const pl_siglip_config *c = &siglip->config;
    const size_t tokens = pl_siglip_tokens(c), pictures = x.count / tokens, mark = pl_arena_mark(ctx->arena);
    const pl_rows normed = pl_rows_push(ctx, x.count, c->width), q = pl_rows_push(ctx, x.count, c->width);
    const pl_rows k = pl_rows_push(ctx, x.count, c->width), v = pl_rows_push(ctx, x.count, c->width);
    pl_attention_segment *segments = pl_push(ctx, pictures, sizeof *segments);
    pl_op_layernorm(ctx, x, block->norm1.scale, block->norm1.bias, c->eps, normed);
    pl_op_linear(ctx, &block->q, normed, q);
    pl_op_linear(ctx, &block->k, normed, k);
    pl_op_linear(ctx, &block->v, normed, v);
    if (!pl_dry(ctx))
        for (size_t i = 0; i < pictures; i++)
            segments[i] = (pl_attention_segment){
                .spans[0] = {.k = k.data + i * tokens * c->width, .v = v.data + i * tokens * c->width, .count = tokens, .stride = c->width * sizeof(float)},
                .rows = tokens,
                .prefix = tokens,
            };
    const size_t head_dim = c->width / c->heads;
    const pl_attention attention = {.heads = c->heads, .kv_heads = c->heads, .head_dim = head_dim, .scale = (float)(1 / sqrt((double)head_dim)), .keys = x.count};
    pl_op_attention(ctx, &attention, q, segments, pictures, normed);
    pl_op_linear_add(ctx, &block->out, normed, x, y);
    pl_arena_release(ctx->arena, mark);
}

/* y = x + fc2(gelu(fc1(norm2(x)))); y may be x. */
static void mlp_branch(pl_context *ctx, const pl_siglip *siglip, const pl_siglip_block *block, pl_rows x, pl_rows y)
{
    const pl_siglip_config *c = &siglip->config;
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows normed = pl_rows_push(ctx, x.count, c->width), hidden = pl_rows_push(ctx, x.count, c->mlp);
    pl_op_layernorm(ctx, x, block->norm2.scale, block->norm2.bias, c->eps, normed);
    pl_op_linear_gelu(ctx, &block->fc1, normed, hidden);
    pl_op_linear_add(ctx, &block->fc2, hidden, x, y);
    pl_arena_release(ctx->arena, mark);
}

void pl_siglip_forward(pl_context *ctx, const pl_siglip *siglip, pl_rows patches, pl_rows out)
{
    const pl_siglip_config *c = &siglip->config;
    const size_t tokens = pl_siglip_tokens(c), mark = pl_arena_mark(ctx->arena);
    const pl_rows x = pl_rows_push(ctx, patches.count, c->width);
    pl_op_linear(ctx, &siglip->patch, patches, x);
    pl_trace(ctx, "patch_embed", 0, x);
    for (size_t first = 0; first < x.count; first += tokens)
        pl_op_add_table_inplace(ctx, &siglip->position, 0, pl_rows_view(x, first, tokens));
    pl_trace(ctx, "vision.embeddings", 0, x);
    for (size_t i = 0; i < c->layers; i++) {
        attention_branch(ctx, siglip, &siglip->blocks[i], x, x);
        mlp_branch(ctx, siglip, &siglip->blocks[i], x, x);
        pl_trace(ctx, "vision.block", i, x);
    }
    pl_op_layernorm(ctx, x, siglip->norm.scale, siglip->norm.bias, c->eps, out);
    pl_trace(ctx, "vision.post_layernorm", 0, out);
    pl_arena_release(ctx->arena, mark);
}

void pl_projector_forward(pl_context *ctx, const pl_siglip *siglip, pl_rows tokens, pl_rows out)
{
    pl_op_linear(ctx, &siglip->projector, tokens, out);
    pl_trace(ctx, "projector", 0, out);
}
