/* The whole sequence through the decoder for one row of logits. */
#include "generate/whole.h"

#include <string.h>

#include "model/tiny.h"

void whole_logits(void *context, const int32_t *tokens, size_t count, float *logits)
{
    pl_timeline *timeline = context;
    const pl_engine *engine = timeline->engine;
    const pl_gemma *gemma = &engine->model->gemma;
    const size_t before = timeline->prompt.count, vocabulary = gemma->config.vocabulary, width = gemma->config.width;
    pali_error err = {0};
    for (size_t i = 0; i < count; i++)
        expect_ok(pl_ids_push(&timeline->prompt, tokens[i], &err), &err);
    const size_t rows = timeline->features->rows.count + timeline->prompt.count;
    pl_kv_cache cache;
    pl_kv_cache_init(&cache, gemma->config.layers, gemma->config.kv_heads * gemma->config.head_dim, PL_F32);
    expect_ok(pl_kv_cache_reserve(&cache, rows, &err), &err);
    pl_arena plan = pl_arena_plan(), arena = {0};
    for (int real = 0; real < 2; real++) {
        if (real)
            expect_ok(pl_arena_init(&arena, plan.peak, "test", &err), &err);
        pl_context ctx = pl_engine_context(engine, real ? &arena : &plan);
        const pl_rows x = pl_rows_push(&ctx, rows, width), hidden = pl_rows_push(&ctx, 1, width), out = pl_rows_push(&ctx, 1, vocabulary);
        const pl_segment segment = {.cache = &cache, .rows = rows, .prefix = timeline->prefix, .wanted = 1};
        pl_timeline_embed_prompt(&ctx, timeline, x, 0);
        pl_gemma_forward_inplace(&ctx, gemma, x, &segment, 1, hidden);
        pl_gemma_logits(&ctx, gemma, hidden, out);
        if (real)
            memcpy(logits, out.data, vocabulary * sizeof *logits);
    }
    pl_arena_free(&arena);
    pl_kv_cache_free(&cache);
    timeline->prompt.count = before;
}
