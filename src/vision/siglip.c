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

/* Rows of a sequence, a picture's or a text's. */
static size_t sequence_rows(const pl_siglip *siglip)
{
    return siglip->position.shape[0];
}

/* Every sequence on its own: its rows of q, as many in each, see all of its rows of k and v. */
static void attend(pl_context *ctx, const pl_siglip *siglip, pl_rows q, pl_rows k, pl_rows v, pl_rows out)
{
    const pl_siglip_config *c = &siglip->config;
    const size_t tokens = sequence_rows(siglip), sequences = k.count / tokens, head_dim = c->width / c->heads;
    pl_attention_segment *segments = pl_push(ctx, sequences, sizeof *segments);
    if (!pl_dry(ctx))
        for (size_t i = 0; i < sequences; i++)
            segments[i] = (pl_attention_segment){
                .spans[0] = {.k = k.data + i * tokens * c->width, .v = v.data + i * tokens * c->width, .count = tokens, .stride = c->width * sizeof(float)},
                .rows = q.count / sequences,
                .prefix = tokens,
            };
    const pl_attention attention = {.heads = c->heads, .kv_heads = c->heads, .head_dim = head_dim, .scale = (float)(1 / sqrt((double)head_dim)), .keys = k.count};
    pl_op_attention(ctx, &attention, q, segments, sequences, out);
}

/* y = x + out(attention(norm1(x))); y may be x. */
static void attention_branch(pl_context *ctx, const pl_siglip *siglip, const pl_siglip_block *block, pl_rows x, pl_rows y)
{
    const pl_siglip_config *c = &siglip->config;
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows normed = pl_rows_push(ctx, x.count, c->width), q = pl_rows_push(ctx, x.count, c->width);
    const pl_rows k = pl_rows_push(ctx, x.count, c->width), v = pl_rows_push(ctx, x.count, c->width);
    pl_op_layernorm(ctx, x, block->norm1.scale, block->norm1.bias, c->eps, normed);
    pl_op_linear(ctx, &block->q, normed, q);
    pl_op_linear(ctx, &block->k, normed, k);
    pl_op_linear(ctx, &block->v, normed, v);
    const pl_rows mixed = pl_rows_or_fresh(ctx, normed);
    attend(ctx, siglip, q, k, v, mixed);
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

void pl_siglip_encode_inplace(pl_context *ctx, const pl_siglip *siglip, pl_rows x, pl_rows out)
{
    const pl_siglip_config *c = &siglip->config;
    const size_t tokens = sequence_rows(siglip), mark = pl_arena_mark(ctx->arena);
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

void pl_siglip_forward(pl_context *ctx, const pl_siglip *siglip, pl_rows patches, pl_rows out)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows x = pl_rows_push(ctx, patches.count, siglip->config.width);
    pl_op_linear(ctx, &siglip->patch, patches, x);
    pl_trace(ctx, "patch_embed", 0, x);
    pl_siglip_encode_inplace(ctx, siglip, x, out);
    pl_release(ctx, mark);
}

void pl_siglip_pool(pl_context *ctx, const pl_siglip *siglip, const pl_siglip_head *head, pl_rows tokens, pl_rows out)
{
    const pl_siglip_block *block = &head->block;
    const size_t width = out.width, mark = pl_arena_mark(ctx->arena);
    const pl_rows probes = pl_rows_push(ctx, out.count, width), q = pl_rows_push(ctx, out.count, width);
    const pl_rows k = pl_rows_push(ctx, tokens.count, width), v = pl_rows_push(ctx, tokens.count, width);
    const pl_rows mixed = pl_rows_push(ctx, out.count, width), answers = pl_rows_push(ctx, out.count, width);
    int32_t *first = pl_push(ctx, out.count, sizeof *first);
    for (size_t i = 0; i < out.count && !pl_dry(ctx); i++)
        first[i] = 0;
    pl_op_embed(ctx, &head->probe, first, 1, probes);
    pl_op_linear(ctx, &block->q, probes, q);
    pl_op_linear(ctx, &block->k, tokens, k);
    pl_op_linear(ctx, &block->v, tokens, v);
    attend(ctx, siglip, q, k, v, mixed);
    pl_op_linear(ctx, &block->out, mixed, answers);
    mlp_branch(ctx, siglip, block, answers, out);
    pl_release(ctx, mark);
}

void pl_projector_forward(pl_context *ctx, const pl_siglip *siglip, pl_rows tokens, pl_rows out)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    if (siglip->config.mlp_connector) {
        const pl_rows hidden = pl_rows_push(ctx, out.count, out.width);
        pl_op_linear_gelu(ctx, &siglip->projector_hidden, tokens, hidden);
        tokens = hidden;
    }
    pl_op_linear(ctx, &siglip->projector, tokens, out);
    pl_release(ctx, mark);
    pl_trace(ctx, "projector", 0, out);
}
