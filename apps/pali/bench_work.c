/*
 * pali bench: what a stage has to do, counted from the shapes (docs/MODEL.md):
 * a multiplication and an addition for each weight and row, and for each pair
 * of positions that see each other; and every byte of the weights once.
 */
#include "bench.h"

#include <math.h>

/* Bytes of a part's weights, but for tables of which only a few rows are read. */
static double part_bytes(const pl_paligemma *model, pl_part part)
{
    double total = 0;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++) {
        if (w->part != part || w->target == PL_TARGET_TENSOR || !pl_weight_present(&model->config, w))
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

size_t bench_position_bytes(const bench *b)
{
    const pl_gemma_config *const c = &b->config.text;
    pl_kv_cache cache;
    pl_kv_cache_init(&cache, c->layers, c->kv_heads * c->head_dim, b->cache_type);
    return pl_kv_cache_position_bytes(&cache);
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

/* Operations a second of the fastest unit that may serve a product with weights of that type. */
static double products_rate(const bench *b, pl_dtype type, bool few_rows)
{
    const pl_activations activations = b->engine.activations;
    const bool has_codes = pl_dtype_bytes(type) < 2 * pl_dtype_block(type) * pl_dtype_rows(type); /* 8 bits or fewer */
    const bench_rate *const units = b->units[b->level];
    double best = units[BENCH_F32].all;
    if (activations != PL_ACTIVATIONS_F32)
        best = fmax(best, units[BENCH_BF16].all);
    if (activations != PL_ACTIVATIONS_F32 && has_codes && few_rows) /* two planes of activations */
        best = fmax(best, units[BENCH_INT8].all / 2);
    if (activations == PL_ACTIVATIONS_INT8 && has_codes && !few_rows)
        best = fmax(best, units[BENCH_INT8].all);
    return best;
}

/* Adds work to a row: it takes no less than reading its bytes, nor than its operations. */
static void add_work(const bench *b, double operations, double bytes, pl_dtype type, bench_row *row)
{
    const double memory = b->memory[b->model->checkpoint ? BENCH_MAPPED : BENCH_LARGE_PAGES].all;
    const double products = products_rate(b, type, row->stage == BENCH_DECODE);
    row->operations += operations;
    row->bytes += bytes;
    if (memory <= 0 || products <= 0)
        return;
    row->floor += fmax(bytes / memory, operations / products);
    row->bound = bytes / memory > operations / products ? "memory" : "products";
}

void bench_count_vision(const bench *b, bench_row *row)
{
    const pl_siglip_config *const c = &b->config.vision;
    const double tokens = (double)pl_siglip_tokens(c), width = (double)c->width, patch = (double)(3 * c->patch * c->patch);
    const double block = tokens * (4 * width * width + 2 * width * (double)c->mlp) + 2 * tokens * tokens * width;
    const double operations = 2 * (tokens * width * (patch + (double)b->config.text.width) + (double)c->layers * block);
    const double bytes = part_bytes(b->model, PL_PART_VISION) + part_bytes(b->model, PL_PART_VISION_BLOCK) + part_bytes(b->model, PL_PART_PROJECTOR);
    add_work(b, operations, bytes, b->model->siglip.blocks[0].fc1.weight.dtype, row);
}

void bench_count_prefill(const bench *b, bench_row *row)
{
    const pl_gemma_config *const c = &b->config.text;
    const double rows = (double)(pl_siglip_tokens(&b->config.vision) + b->prompt_tokens);
    const double layers = (double)c->layers, kept = (rows * (layers - 1) + 1) / layers; /* in the last layer only the last row goes on */
    const double keys = rows * (double)(2 * c->width * c->kv_heads * c->head_dim);
    const double operations = 2 * (kept * layers_work(c) + keys + attention_work(c, kept, rows) + (double)(c->vocabulary * c->width));
    add_work(b, operations, language_bytes(b->model), b->model->gemma.layers[0].gate.weight.dtype, row);
}

void bench_count_decode(const bench *b, size_t positions, bench_row *row)
{
    const pl_gemma_config *const c = &b->config.text;
    const double batch = (double)row->batch;
    const double operations = 2 * (batch * (layers_work(c) + (double)(c->vocabulary * c->width)) + attention_work(c, batch, (double)positions));
    const double bytes = language_bytes(b->model) + batch * (double)(positions * bench_position_bytes(b));
    add_work(b, operations, bytes, b->model->gemma.layers[0].gate.weight.dtype, row);
}
