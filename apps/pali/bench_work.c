/*
 * pali bench: what a stage has to do, counted from the shapes (docs/MODEL.md):
 * a multiplication and an addition for each weight and row, and for each pair
 * of positions that see each other; and every byte of the weights once.
 */
#include "bench.h"

/* Bytes of a part's weights, but for tables of which only a few rows are read. */
static double part_bytes(const pl_paligemma *model, pl_part part)
{
    double total = 0;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++) {
        if (w->part != part || w->target == PL_TARGET_TENSOR || (w->gemma2_only && !model->config.gemma2))
            continue;
        for (size_t layer = 0; layer < pl_part_layers(&model->config, part); layer++) {
            size_t bytes = pl_dim_size(&model->config, w->rows) * sizeof(float);
            if (w->target == PL_TARGET_LINEAR)
                pl_tensor_bytes(&((const pl_linear *)pl_weight_target((pl_paligemma *)model, w, layer))->weight, &bytes);
            total += (double)bytes;
        }
    }
    return total;
}

static double language_bytes(const pl_paligemma *model)
{
    size_t head = 0;
    pl_tensor_bytes(&model->gemma.head.weight, &head);
    return part_bytes(model, PL_PART_TEXT_LAYER) + part_bytes(model, PL_PART_TEXT) + (double)head;
}

/* Multiply-adds of one row in all decoder layers, attention left out. */
static double layers_work(const pl_gemma_config *c)
{
    const double q = (double)(c->heads * c->head_dim), kv = (double)(c->kv_heads * c->head_dim), width = (double)c->width;
    return (double)c->layers * (2 * width * q + 2 * width * kv + 3 * width * (double)c->mlp);
}

/* Of attention in all layers: scores and sums of `rows` rows that see `positions` each. */
static double attention_work(const pl_gemma_config *c, double rows, double positions)
{
    return (double)c->layers * 2 * rows * positions * (double)(c->heads * c->head_dim);
}

static void set_floor(const bench *b, bench_row *row)
{
    const double memory = b->ceilings[b->model->checkpoint ? BENCH_MAPPED : BENCH_LARGE_PAGES].all;
    if (memory <= 0)
        return;
    row->floor = row->bytes / memory;
    row->bound = "memory";
}

void bench_count_vision(const bench *b, bench_row *row)
{
    const pl_siglip_config *const c = &b->config.vision;
    const double tokens = (double)pl_siglip_tokens(c), width = (double)c->width, patch = (double)(3 * c->patch * c->patch);
    const double block = tokens * (4 * width * width + 2 * width * (double)c->mlp) + 2 * tokens * tokens * width;
    row->operations += 2 * (tokens * width * (patch + (double)b->config.text.width) + (double)c->layers * block);
    row->bytes += part_bytes(b->model, PL_PART_VISION) + part_bytes(b->model, PL_PART_VISION_BLOCK) + part_bytes(b->model, PL_PART_PROJECTOR);
    set_floor(b, row);
}

void bench_count_prefill(const bench *b, bench_row *row)
{
    const pl_gemma_config *const c = &b->config.text;
    const double rows = (double)(pl_siglip_tokens(&b->config.vision) + b->prompt_tokens);
    row->operations += 2 * (rows * layers_work(c) + attention_work(c, rows, rows) + (double)(c->vocabulary * c->width));
    row->bytes += language_bytes(b->model);
    set_floor(b, row);
}

void bench_count_decode(const bench *b, size_t positions, bench_row *row)
{
    const pl_gemma_config *const c = &b->config.text;
    const pl_kv_cache cache = {.layers = c->layers, .width = c->kv_heads * c->head_dim};
    const double batch = (double)row->batch;
    row->operations += 2 * (batch * (layers_work(c) + (double)(c->vocabulary * c->width)) + attention_work(c, batch, (double)positions));
    row->bytes += language_bytes(b->model) + batch * (double)(positions * pl_kv_cache_position_bytes(&cache));
    set_floor(b, row);
}
