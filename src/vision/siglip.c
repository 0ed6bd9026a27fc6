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
    const pl_rows mixed = pl_rows_or_fresh(ctx, normed);
    pl_op_attention(ctx, &attention, q, segments, pictures, mixed);
    pl_op_linear_add(ctx, &block->out, mixed, x, y);
    pl_release(ctx, mark);
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
    pl_release(ctx, mark);
}

typedef struct numbered_block {
    const pl_siglip *siglip;
    size_t index;
} numbered_block;

static void block_forward(pl_context *ctx, const void *arguments, pl_rows x, pl_rows y)
{
    const numbered_block *b = arguments;
    const pl_siglip_block *block = &b->siglip->blocks[b->index];
    const pl_rows middle = pl_rows_or_fresh(ctx, y);
    attention_branch(ctx, b->siglip, block, x, middle);
    mlp_branch(ctx, b->siglip, block, middle, y);
}

void pl_siglip_forward(pl_context *ctx, const pl_siglip *siglip, pl_rows patches, pl_rows out)
{
    const pl_siglip_config *c = &siglip->config;
    const size_t tokens = pl_siglip_tokens(c), mark = pl_arena_mark(ctx->arena);
    pl_rows x = pl_rows_push(ctx, patches.count, c->width);
    pl_op_linear(ctx, &siglip->patch, patches, x);
    pl_trace(ctx, "patch_embed", 0, x);
    for (size_t first = 0; first < x.count; first += tokens)
        pl_op_add_table_inplace(ctx, &siglip->position, 0, pl_rows_view(x, first, tokens));
    pl_trace(ctx, "vision.embeddings", 0, x);
    for (size_t i = 0; i < c->layers; i++) {
        const pl_rows y = pl_rows_or_fresh(ctx, x);
        pl_tape_region(ctx, block_forward, &(numbered_block){siglip, i}, sizeof(numbered_block), x, y);
        x = y;
        pl_trace(ctx, "vision.block", i, x);
    }
    pl_op_layernorm(ctx, x, siglip->norm.scale, siglip->norm.bias, c->eps, out);
    pl_trace(ctx, "vision.post_layernorm", 0, out);
    pl_release(ctx, mark);
}

void pl_projector_forward(pl_context *ctx, const pl_siglip *siglip, pl_rows tokens, pl_rows out)
{
    pl_op_linear(ctx, &siglip->projector, tokens, out);
    pl_trace(ctx, "projector", 0, out);
}
