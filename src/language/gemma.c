/*
 * Gemma (arXiv 2403.08295) and Gemma 2 (arXiv 2408.00118): RMSNorm, rotary
 * attention with shared kv heads, GeGLU; Gemma 2 adds norms behind each branch
 * and soft-caps. Gemma 2's sliding window is left out on purpose: PaliGemma 2
 * was trained with global attention in every layer (docs/PITFALLS.md).
 */
#include "language/gemma.h"

#include <math.h>
#include <string.h>

#ifndef PL_MLP_ROWS
#define PL_MLP_ROWS 1024 /* tests take fewer */
#endif

enum {
    MLP_ROWS = PL_MLP_ROWS, /* rows whose hidden layer exists at a time */
    FIRST_POSITION = 1 /* as transformers counts; only differences matter, up to rounding */
};

typedef struct batch {
    const pl_segment *segments;
    size_t count;
    const float *cosine, *sine;      /* [T, head_dim/2] */
    pl_attention_segment *attention; /* [count], refilled for each layer */
    size_t keys;                     /* positions of all segments, the fresh ones too; what neighbours share once */
} batch;

/* Rows that go on through a layer after its keys and values: all, or the wanted ones, gathered. */
typedef struct kept_rows {
    pl_rows x;
    const float *cosine, *sine; /* [x.count, head_dim/2] */
    bool wanted;                /* they are the wanted ones */
} kept_rows;

static void rmsnorm(pl_context *ctx, const pl_gemma *gemma, pl_rows x, const float *weight, pl_rows y)
{
    pl_op_rmsnorm(ctx, x, weight, gemma->config.norm_offset, gemma->config.eps, y);
}

/* Values are dropped while the model is taught, from what a branch adds (not from embeddings or attention weights: big_vision, models/ppp/gemma.py). */
static void drop(pl_context *ctx, pl_rows x)
{
    if (ctx->tape && ctx->tape->dropout > 0)
        pl_op_dropout_inplace(ctx, ctx->tape->dropout, ctx->tape->sites++, x);
}

/* Where a branch drops values: big_vision drops behind attention's post norm, but before that of the MLP. */
typedef enum drop_place { DROP_AFTER_NORM, DROP_BEFORE_NORM } drop_place;

/* y = x + [post norm](map(branch)); `room`, of y's size, is free to be used; y may be x. */
static void add_branch(pl_context *ctx, const pl_gemma *gemma, const pl_linear *map, const float *post_norm, drop_place place, pl_rows branch, pl_rows room, pl_rows x, pl_rows y)
{
    const bool drops = ctx->tape && ctx->tape->dropout > 0;
    if (!gemma->config.post_norms && !drops) {
        pl_op_linear_add(ctx, map, branch, x, y);
        return;
    }
    const pl_rows mapped = pl_rows_or_fresh(ctx, room);
    pl_rows added = mapped;
    pl_op_linear(ctx, map, branch, mapped);
    if (gemma->config.post_norms) {
        if (place == DROP_BEFORE_NORM)
            drop(ctx, mapped);
        added = pl_rows_or_fresh(ctx, mapped);
        rmsnorm(ctx, gemma, mapped, post_norm, added);
    }
    if (!gemma->config.post_norms || place == DROP_AFTER_NORM)
        drop(ctx, added);
    pl_op_add(ctx, x, added, y);
}

/* Positions that stand before a segment's rows. */
static size_t past(const pl_segment *segment)
{
    return segment->cache ? pl_kv_cache_count(segment->cache) : 0;
}

/* Puts the fresh keys and values into the caches, where there are any, and points the attention of the kept rows at them. */
static void extend_caches(const pl_context *ctx, const batch *b, size_t layer, pl_rows k, pl_rows v, bool wanted)
{
    if (pl_dry(ctx))
        return;
    size_t row = 0;
    for (size_t s = 0; s < b->count; s++) {
        const pl_segment *segment = &b->segments[s];
        const size_t rows = wanted ? pl_segment_wanted(segment) : segment->rows;
        const float *keys = k.data + row * k.width, *values = v.data + row * v.width;
        pl_attention_segment *a = &b->attention[s];
        *a = (pl_attention_segment){.rows = rows, .start = past(segment) + segment->rows - rows, .prefix = segment->prefix};
        if (segment->cache) {
            pl_kv_cache_write(segment->cache, layer, segment->rows, keys, values);
            pl_kv_cache_spans(segment->cache, layer, segment->rows, a->spans);
        } else {
            a->spans[0] = (pl_kv_span){.k = keys, .v = values, .dtype = PL_F32, .count = segment->rows, .stride = k.width * sizeof *keys};
        }
        row += segment->rows;
    }
}

/* The wanted rows of x with their angles, in the arena. */
static kept_rows keep_wanted(pl_context *ctx, const pl_gemma *gemma, const batch *b, pl_rows x, size_t wanted)
{
    const size_t half = gemma->config.head_dim / 2;
    size_t *rows = pl_push(ctx, wanted, sizeof *rows);
    if (!pl_dry(ctx)) {
        size_t *to = rows, end = 0;
        for (size_t s = 0; s < b->count; s++) {
            end += b->segments[s].rows;
            for (size_t i = pl_segment_wanted(&b->segments[s]); i > 0; i--)
                *to++ = end - i;
        }
    }
    const pl_rows kept = pl_rows_push(ctx, wanted, x.width), cosine = pl_constant_push(ctx, wanted, half), sine = pl_constant_push(ctx, wanted, half);
    pl_op_gather(ctx, x, rows, kept);
    pl_op_gather(ctx, (pl_rows){(float *)b->cosine, x.count, half}, rows, cosine);
    pl_op_gather(ctx, (pl_rows){(float *)b->sine, x.count, half}, rows, sine);
    return (kept_rows){.x = kept, .cosine = cosine.data, .sine = sine.data, .wanted = true};
}

/* y = kept.x + [post norm](o(attention(norm(x)))), with keys and values of all rows x; y may be kept.x. */
static void attention_branch(pl_context *ctx, const pl_gemma *gemma, size_t layer, const batch *b, pl_rows x, const kept_rows *kept, pl_rows y)
{
    const pl_gemma_config *c = &gemma->config;
    const pl_gemma_layer *w = &gemma->layers[layer];
    const size_t mark = pl_arena_mark(ctx->arena), rows = y.count;
    const pl_rows normed = pl_rows_push(ctx, x.count, c->width), k = pl_rows_push(ctx, x.count, c->kv_heads * c->head_dim);
    const pl_rows v = pl_rows_push(ctx, x.count, c->kv_heads * c->head_dim), q = pl_rows_push(ctx, rows, c->heads * c->head_dim);
    const pl_rows mixed = pl_rows_push(ctx, rows, c->heads * c->head_dim);
    rmsnorm(ctx, gemma, x, w->attention_norm, normed);
    pl_op_linear(ctx, &w->k, normed, k);
    pl_op_linear(ctx, &w->v, normed, v);
    pl_op_rope_inplace(ctx, b->cosine, b->sine, c->head_dim / 2, k);
    extend_caches(ctx, b, layer, k, v, kept->wanted);
    pl_rows own = normed; /* norms of the kept rows */
    if (kept->wanted) {
        own = pl_rows_or_fresh(ctx, pl_rows_view(normed, 0, rows));
        rmsnorm(ctx, gemma, kept->x, w->attention_norm, own);
    }
    pl_op_linear(ctx, &w->q, own, q);
    pl_op_rope_inplace(ctx, kept->cosine, kept->sine, c->head_dim / 2, q);
    const pl_attention attention = {.heads = c->heads, .kv_heads = c->kv_heads, .head_dim = c->head_dim, .scale = c->query_scale, .softcap = c->attention_softcap, .keys = b->keys};
    pl_op_attention(ctx, &attention, q, b->attention, b->count, mixed);
    add_branch(ctx, gemma, &w->o, w->attention_post_norm, DROP_AFTER_NORM, mixed, own, kept->x, y);
    pl_release(ctx, mark);
}

/* y = x + [post norm](down(gelu(gate(n)) * up(n))), n = norm(x), a chunk of rows at a time; y may be x. */
static void mlp_branch(pl_context *ctx, const pl_gemma *gemma, size_t layer, pl_rows x, pl_rows y)
{
    const pl_gemma_config *c = &gemma->config;
    const pl_gemma_layer *w = &gemma->layers[layer];
    for (size_t first = 0; first < x.count; first += MLP_ROWS) {
        const size_t count = pl_min(MLP_ROWS, x.count - first), mark = pl_arena_mark(ctx->arena);
        const pl_rows chunk = pl_rows_view(x, first, count);
        const pl_rows normed = pl_rows_push(ctx, count, c->width);
        const pl_rows hidden = pl_rows_push(ctx, count, c->mlp);
        rmsnorm(ctx, gemma, chunk, w->mlp_norm, normed);
        pl_op_linear_geglu(ctx, &w->gate, &w->up, normed, hidden);
        add_branch(ctx, gemma, &w->down, w->mlp_post_norm, DROP_BEFORE_NORM, hidden, normed, chunk, pl_rows_view(y, first, count));
        pl_release(ctx, mark);
    }
}

typedef struct numbered_layer {
    const pl_gemma *gemma;
    size_t index;
    batch rows;
} numbered_layer;

/* y: all rows after the layer, or the wanted ones. */
static void layer_forward(pl_context *ctx, const void *arguments, pl_rows x, pl_rows y)
{
    const numbered_layer *l = arguments;
    const size_t mark = pl_arena_mark(ctx->arena);
    kept_rows kept = {.x = x, .cosine = l->rows.cosine, .sine = l->rows.sine};
    if (y.count < x.count)
        kept = keep_wanted(ctx, l->gemma, &l->rows, x, y.count);
    const pl_rows middle = pl_rows_or_fresh(ctx, y);
    attention_branch(ctx, l->gemma, l->index, &l->rows, x, &kept, middle);
    mlp_branch(ctx, l->gemma, l->index, middle, y);
    pl_release(ctx, mark);
}

/* Rotary angles of every row, from the positions its segment stands at. */
static void fill_angles(pl_context *ctx, const pl_gemma *gemma, const batch *b, size_t rows, float *cosine, float *sine)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    uint32_t *positions = pl_push(ctx, rows, sizeof *positions);
    if (!pl_dry(ctx)) {
        size_t row = 0;
        for (size_t s = 0; s < b->count; s++)
            for (size_t i = 0; i < b->segments[s].rows; i++)
                positions[row++] = (uint32_t)(past(&b->segments[s]) + i + FIRST_POSITION);
    }
    pl_op_rope_angles(ctx, positions, rows, gemma->config.head_dim / 2, gemma->config.rope_base, cosine, sine);
    pl_arena_release(ctx->arena, mark);
}

void pl_gemma_embed(pl_context *ctx, const pl_gemma *gemma, const int32_t *ids, pl_rows y)
{
    pl_op_embed(ctx, &gemma->embedding, ids, sqrtf((float)gemma->config.width), y);
}

void pl_gemma_forward_inplace(pl_context *ctx, const pl_gemma *gemma, pl_rows x, const pl_segment *segments, size_t count, pl_rows out)
{
    const pl_gemma_config *c = &gemma->config;
    const size_t mark = pl_arena_mark(ctx->arena), half = c->head_dim / 2;
    float *cosine = pl_push(ctx, x.count * half, sizeof *cosine), *sine = pl_push(ctx, x.count * half, sizeof *sine);
    batch b = {.segments = segments, .count = count, .cosine = cosine, .sine = sine};
    b.attention = pl_push(ctx, count, sizeof *b.attention);
    for (size_t s = 0; s < count; s++) {
        const pl_kv_cache *cache = segments[s].cache;
        const bool shared = cache && s > 0 && pl_kv_cache_is_sibling(cache, segments[s - 1].cache);
        b.keys += (shared ? cache->own_count : past(&segments[s])) + segments[s].rows;
    }
    fill_angles(ctx, gemma, &b, x.count, cosine, sine);
    pl_trace(ctx, "text.embeddings", 0, x);
    for (size_t layer = 0; layer < c->layers; layer++) {
        const bool gathers = layer + 1 == c->layers && out.count < x.count;
        const pl_rows y = gathers ? pl_rows_push(ctx, out.count, x.width) : pl_rows_or_fresh(ctx, x);
        pl_tape_region(ctx, layer_forward, &(numbered_layer){gemma, layer, b}, sizeof(numbered_layer), x, y);
        x = y;
        pl_trace(ctx, "text.layer", layer, x);
    }
    rmsnorm(ctx, gemma, x, gemma->norm, out);
    pl_trace(ctx, "text.norm", 0, out);
    if (!pl_dry(ctx))
        for (size_t s = 0; s < count; s++)
            if (segments[s].cache)
                pl_kv_cache_advance(segments[s].cache, segments[s].rows);
    pl_release(ctx, mark);
}

void pl_gemma_logits(pl_context *ctx, const pl_gemma *gemma, pl_rows hidden, pl_rows logits)
{
    pl_op_linear_softcap(ctx, &gemma->head, gemma->config.final_softcap, hidden, logits);
    pl_trace(ctx, "logits", 0, logits);
}

/* The whole blocks of outputs that hold ranges[*at] and those after it in the same run of blocks; moves *at behind them. */
static pl_id_range next_blocks(const pl_gemma *gemma, const pl_id_range *ranges, size_t count, size_t *at)
{
    const size_t all = gemma->config.vocabulary, first = (size_t)ranges[*at].first / PL_OUTPUT_STEP * PL_OUTPUT_STEP;
    size_t end = first;
    do
        end = pl_round_up((size_t)ranges[(*at)++].end, PL_OUTPUT_STEP);
    while (*at < count && (size_t)ranges[*at].first / PL_OUTPUT_STEP * PL_OUTPUT_STEP <= end);
    return (pl_id_range){(int32_t)first, (int32_t)pl_min(end, all)};
}

size_t pl_gemma_logits_cost(const pl_gemma *gemma, const pl_id_range *ranges, size_t count)
{
    size_t cost = 0;
    for (size_t at = 0; at < count;) {
        const pl_id_range blocks = next_blocks(gemma, ranges, count, &at);
        cost += (size_t)(blocks.end - blocks.first);
    }
    return cost;
}

void pl_gemma_logits_of(pl_context *ctx, const pl_gemma *gemma, pl_rows hidden, const pl_id_range *ranges, size_t count, pl_rows logits)
{
    for (size_t at = 0, from = 0; at < count; from = at) {
        const pl_id_range blocks = next_blocks(gemma, ranges, count, &at);
        const size_t mark = pl_arena_mark(ctx->arena);
        const pl_rows part = pl_rows_push(ctx, hidden.count, (size_t)(blocks.end - blocks.first));
        pl_op_linear_softcap_part(ctx, &gemma->head, gemma->config.final_softcap, hidden, (size_t)blocks.first, part);
        for (size_t i = from; i < at && !pl_dry(ctx); i++)
            for (size_t t = 0; t < hidden.count; t++)
                memcpy(logits.data + t * logits.width + ranges[i].first, part.data + t * part.width + (ranges[i].first - blocks.first),
                       (size_t)(ranges[i].end - ranges[i].first) * sizeof(float));
        pl_arena_release(ctx->arena, mark);
    }
}
