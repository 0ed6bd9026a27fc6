/*
 * pali bench: the stages that compute, as a session runs them, on ids that
 * mean nothing. Each is planned once; then the same memory serves every run.
 */
#include "bench.h"

#include "model/random.h"

#include <stdlib.h>
#include <string.h>

/* What one stage works on. */
typedef struct pass {
    const bench *b;
    void (*steps[2])(pl_context *ctx, struct pass *p); /* of the model; the second may be NULL */
    pl_context ctx;
    pl_arena arena;
    float *pixels;        /* [side, side, 3] */
    pl_rows picture;      /* [tokens, width]: the embeddings of the picture, owned */
    int32_t *ids;         /* [prompt tokens, or batch] */
    pl_kv_cache *caches;  /* [batch] */
    pl_segment *segments; /* [batch] */
    size_t batch, positions;
    size_t chosen;        /* the sum of the tokens, so that they are chosen */
    bool damaged;         /* a logit was not finite */
} pass;

/* Logits of the last rows, and a greedy choice from them. */
static void choose(pl_context *ctx, pass *p, pl_rows last)
{
    const pl_gemma *const gemma = &p->b->model->gemma;
    const size_t vocabulary = gemma->config.vocabulary;
    const pl_rows logits = pl_rows_push(ctx, last.count, vocabulary);
    pl_gemma_logits(ctx, gemma, last, logits);
    for (size_t i = 0; i < last.count && !pl_dry(ctx); i++) {
        p->damaged = p->damaged || !ctx->kernels->all_finite(vocabulary, logits.data + i * vocabulary);
        p->chosen += ctx->kernels->argmax(vocabulary, logits.data + i * vocabulary);
    }
}

static void encode(pl_context *ctx, pass *p)
{
    ctx->regime = PL_REGIME_PREFILL;
    pl_paligemma_encode(ctx, p->b->model, p->pixels, p->picture);
}

static void prefill(pl_context *ctx, pass *p)
{
    const pl_gemma *const gemma = &p->b->model->gemma;
    const size_t tokens = p->picture.count, rows = p->positions, width = gemma->config.width;
    const pl_rows x = pl_rows_push(ctx, rows, width), last = pl_rows_push(ctx, 1, width);
    p->segments[0] = (pl_segment){.cache = &p->caches[0], .rows = rows, .prefix = rows, .wanted = 1};
    pl_kv_cache_clear(&p->caches[0]);
    if (!pl_dry(ctx))
        memcpy(x.data, p->picture.data, tokens * width * sizeof(float));
    pl_gemma_embed(ctx, gemma, p->ids, pl_rows_view(x, tokens, rows - tokens));
    ctx->regime = PL_REGIME_PREFILL;
    pl_gemma_forward_inplace(ctx, gemma, x, p->segments, 1, last);
    ctx->regime = PL_REGIME_DECODE;
    choose(ctx, p, last);
}

/* A token for each sequence, at the same position every time. */
static void decode(pl_context *ctx, pass *p)
{
    const pl_gemma *const gemma = &p->b->model->gemma;
    const pl_rows x = pl_rows_push(ctx, p->batch, gemma->config.width), hidden = pl_rows_push(ctx, p->batch, gemma->config.width);
    for (size_t i = 0; i < p->batch; i++) {
        pl_kv_cache_clear(&p->caches[i]);
        pl_kv_cache_advance(&p->caches[i], p->positions);
        p->segments[i] = (pl_segment){.cache = &p->caches[i], .rows = 1, .prefix = p->positions};
    }
    ctx->regime = PL_REGIME_DECODE;
    pl_gemma_embed(ctx, gemma, p->ids, x);
    pl_gemma_forward_inplace(ctx, gemma, x, p->segments, p->batch, hidden);
    choose(ctx, p, hidden);
}

static pali_status run(void *context, pali_error *err)
{
    pass *const p = context;
    for (size_t i = 0; i < 2 && p->steps[i]; i++) {
        p->arena.used = 0;
        p->steps[i](&p->ctx, p);
    }
    if (p->ctx.failed)
        return pl_fail_memory(err, "a stage", p->arena.size);
    return p->damaged ? pl_fail(err, PALI_FAILED, "%s: found logits that are not finite, expected numbers", p->b->name) : PALI_OK;
}

/* From the bytes of a picture to the first token. */
static pali_status run_from_picture(void *context, pali_error *err)
{
    pass *const p = context;
    pl_image image;
    pali_status status = pl_image_decode(p->b->picture.jpeg, p->b->picture.size, "picture", &image, err);
    if (status == PALI_OK)
        status = pl_preprocess(&image, p->b->config.vision.image_size, &p->b->config.preprocess, &(pl_hands){.kernels = p->ctx.kernels, .pool = p->ctx.pool}, p->pixels, err);
    pl_image_free(&image);
    return status == PALI_OK ? run(p, err) : status;
}

/* The arena for the larger of the steps. */
static pali_status plan(pass *p, pali_error *err)
{
    size_t need = 0;
    for (size_t i = 0; i < 2 && p->steps[i]; i++) {
        pl_arena dry = pl_arena_plan();
        p->ctx = pl_engine_context(&p->b->engine, &dry);
        p->steps[i](&p->ctx, p);
        need = pl_max(need, dry.peak);
    }
    p->ctx.arena = &p->arena;
    return pl_arena_init(&p->arena, need, "a stage", err);
}

/* Keys and values of positions that nobody computed. */
static pali_status fill_caches(pass *p, pali_error *err)
{
    const size_t width = p->caches[0].width, bytes = p->positions * width * sizeof(float);
    pl_random_values values = {0};
    pali_status status = pl_random_values_init(&values, PL_F32, 0, 1, 1, err);
    float *const rows = status == PALI_OK ? pl_new_aligned(bytes, "keys and values", err) : NULL;
    for (size_t i = 0; rows && i < p->batch; i++) {
        pl_kv_cache_clear(&p->caches[i]);
        for (size_t layer = 0; layer < p->caches[i].layers; layer++) {
            pl_random_values_copy(&values, i << 16 | layer, (unsigned char *)rows, bytes);
            pl_kv_cache_write(&p->caches[i], layer, p->positions, rows, rows);
        }
    }
    free(rows);
    free(values.blocks);
    return rows ? PALI_OK : pl_status_of(err, PALI_MEMORY);
}

static pali_status pass_init(pass *p, pali_error *err)
{
    const bench *const b = p->b;
    const pl_gemma_config *const text = &b->config.text;
    const size_t side = b->config.vision.image_size, tokens = pl_siglip_tokens(&b->config.vision), count = pl_max(p->batch, b->prompt_tokens);
    p->positions = tokens + b->prompt_tokens;
    p->picture = (pl_rows){.count = tokens, .width = text->width};
    p->caches = pl_new(p->batch, sizeof *p->caches, "caches", err);
    p->segments = pl_new(p->batch, sizeof *p->segments, "batch", err);
    p->ids = pl_new(count, sizeof *p->ids, "prompt", err);
    p->pixels = pl_new(side * side * 3, sizeof *p->pixels, "pixels", err);
    p->picture.data = pl_new(tokens * text->width, sizeof(float), "image embeddings", err);
    if (!p->caches || !p->segments || !p->ids || !p->pixels || !p->picture.data)
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++)
        p->ids[i] = (int32_t)((i * 7919 + 2) % text->vocabulary);
    for (size_t i = 0; i < side * side * 3; i++)
        p->pixels[i] = (float)(i * 7919 % 255) / 127 - 1;
    pali_status status = PALI_OK;
    for (size_t i = 0; i < p->batch; i++) {
        pl_kv_cache_init(&p->caches[i], text->layers, text->kv_heads * text->head_dim, b->cache_type);
        if (status == PALI_OK)
            status = pl_kv_cache_reserve(&p->caches[i], p->positions + 1, err);
    }
    return status == PALI_OK ? plan(p, err) : status;
}

static void pass_free(pass *p)
{
    for (size_t i = 0; p->caches && i < p->batch; i++)
        pl_kv_cache_free(&p->caches[i]);
    pl_arena_free(&p->arena);
    free(p->caches);
    free(p->segments);
    free(p->ids);
    free(p->pixels);
    free(p->picture.data);
}

/* Measures one stage and reports it. */
static pali_status measure(bench *b, pass p, bench_row row, pali_error *err)
{
    p.b = b;
    p.batch = row.batch;
    pali_status status = pass_init(&p, err);
    if (status == PALI_OK && row.stage == BENCH_DECODE)
        status = fill_caches(&p, err);
    if (status == PALI_OK)
        status = bench_measure(b, row.stage == BENCH_FIRST_TOKEN ? run_from_picture : run, &p, &row.time, err);
    row.level = b->engine.kernels->level;
    row.count = row.stage == BENCH_VISION ? p.picture.count : row.stage == BENCH_DECODE ? p.positions + 1 : p.positions;
    if (row.stage == BENCH_VISION || row.stage == BENCH_FIRST_TOKEN)
        bench_count_vision(b, &row);
    if (row.stage == BENCH_PREFILL || row.stage == BENCH_FIRST_TOKEN)
        bench_count_prefill(b, &row);
    if (row.stage == BENCH_DECODE)
        bench_count_decode(b, p.positions + 1, &row);
    pass_free(&p);
    if (status == PALI_OK)
        bench_report_row(b, &row);
    return status;
}

pali_status bench_compute(bench *b, pali_error *err)
{
    pali_status status = PALI_OK;
    if (b->wanted[BENCH_VISION])
        status = measure(b, (pass){.steps = {encode}}, (bench_row){.stage = BENCH_VISION, .batch = 1}, err);
    if (status == PALI_OK && b->wanted[BENCH_PREFILL])
        status = measure(b, (pass){.steps = {prefill}}, (bench_row){.stage = BENCH_PREFILL, .batch = 1}, err);
    if (status == PALI_OK && b->wanted[BENCH_FIRST_TOKEN])
        status = measure(b, (pass){.steps = {encode, prefill}}, (bench_row){.stage = BENCH_FIRST_TOKEN, .batch = 1}, err);
    for (size_t i = 0; status == PALI_OK && b->wanted[BENCH_DECODE] && i < b->batch_count; i++)
        status = measure(b, (pass){.steps = {decode}}, (bench_row){.stage = BENCH_DECODE, .batch = b->batches[i]}, err);
    return status;
}

uint64_t bench_compute_bytes(const bench *b)
{
    const pl_siglip_config *const vision = &b->config.vision;
    const pl_gemma_config *const text = &b->config.text;
    const size_t tokens = pl_siglip_tokens(vision), positions = tokens + b->prompt_tokens + 1;
    size_t batch = 1;
    for (size_t i = 0; b->wanted[BENCH_DECODE] && i < b->batch_count; i++)
        batch = pl_max(batch, b->batches[i]);
    /* Rows that live at a time in a block of the tower and in a layer of the decoder. */
    const size_t tower = tokens * (8 * vision->width + 2 * vision->mlp + text->width);
    const size_t decoder = positions * (5 * text->width + 4 * text->heads * text->head_dim) + pl_min(positions, 1024) * 2 * text->mlp;
    return (uint64_t)batch * (positions * bench_position_bytes(b) + 2 * text->vocabulary * sizeof(float)) + pl_max(tower, decoder) * sizeof(float);
}
