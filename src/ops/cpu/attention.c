/*
 * Attention with a streamed softmax. A task is one kv head and a block of query
 * rows of one segment; the query heads that share the kv head stand in it as
 * further rows of the same products, so that multi-query attention (8 heads on
 * one) costs one pass over the keys. In floats, keys and values are packed into
 * panels a block at a time; in bf16 they are made into tiles once for all tasks.
 */
#include "ops/cpu/attention_backward.h"
#include "ops/cpu/attention_tiles.h"

#include <math.h>
#include <string.h>

enum {
    TASK_ROWS = 64,      /* rows of the products, query heads of one group counted each */
    TASK_ROWS_BF16 = 96  /* whole steps of the products: 12 or 16 rows */
};

typedef struct attention_job {
    const pl_kernels *kernels;
    const pl_attention *attention;
    pl_rows q, out;
    float *statistics; /* for backward, or NULL */
    const pl_attention_segment *segments;
    bool narrow;                /* products in bf16 */
    const pl_span_tiles *tiles; /* [segments][2], if so */
    const size_t *first_task;   /* [segments + 1] */
    const size_t *first_row;    /* [segments] */
    size_t group, block_rows;
    float *scratch; /* [threads, scratch_floats] */
    size_t scratch_floats;
} attention_job;

/* One task's piece: `rows` query rows with `group` heads each, as m = rows*group rows. */
typedef struct piece {
    const attention_job *job;
    const pl_attention_segment *segment;
    size_t first, rows, m, kv_head;
    float *q, *o;         /* [m, head_dim] */
    float *scores;        /* [m, PL_KEY_BLOCK] */
    float *maximum, *sum; /* [m] */
    float *panel;         /* [max(head_dim, PL_KEY_BLOCK), panel_columns] */
    float *values;        /* [PL_KEY_BLOCK, head_dim], of a cache that holds no floats */
    uint16_t *q_bf16;     /* [m, depth] */
    uint16_t *weights;    /* [m, PL_KEY_BLOCK] */
} piece;

/* Floats of each of a piece's arrays, in the order of the struct. */
enum { ARRAYS = 9 };

static void array_sizes(const attention_job *job, size_t m, size_t sizes[ARRAYS])
{
    const size_t dim = job->attention->head_dim, depth = pl_round_up(dim, PL_TILE_BF16);
    const bool narrow = job->narrow;
    sizes[0] = sizes[1] = m * dim;
    sizes[2] = m * PL_KEY_BLOCK;
    sizes[3] = sizes[4] = m;
    sizes[5] = narrow ? 0 : pl_max(dim, PL_KEY_BLOCK) * job->kernels->panel_columns;
    sizes[6] = narrow ? 0 : PL_KEY_BLOCK * dim;
    sizes[7] = narrow ? m * depth / 2 : 0;
    sizes[8] = narrow ? m * PL_KEY_BLOCK / 2 : 0;
}

static size_t scratch_floats(const attention_job *job)
{
    size_t sizes[ARRAYS], total = 0;
    array_sizes(job, job->block_rows * job->group, sizes);
    for (size_t i = 0; i < ARRAYS; i++)
        total += pl_round_up(sizes[i], 16);
    return total;
}

static piece piece_of(const attention_job *job, size_t task, size_t thread)
{
    size_t s = 0, sizes[ARRAYS];
    while (job->first_task[s + 1] <= task)
        s++;
    const size_t local = task - job->first_task[s], kv_heads = job->attention->kv_heads;
    piece p = {.job = job, .segment = &job->segments[s], .kv_head = local % kv_heads, .first = local / kv_heads * job->block_rows};
    p.rows = pl_min(job->block_rows, p.segment->rows - p.first);
    p.m = p.rows * job->group;
    array_sizes(job, p.m, sizes);
    float *at = job->scratch + thread * job->scratch_floats, *arrays[ARRAYS];
    for (size_t i = 0; i < ARRAYS; at += pl_round_up(sizes[i], 16), i++)
        arrays[i] = at;
    p.q = arrays[0];
    p.o = arrays[1];
    p.scores = arrays[2];
    p.maximum = arrays[3];
    p.sum = arrays[4];
    p.panel = arrays[5];
    p.values = arrays[6];
    p.q_bf16 = (uint16_t *)(void *)arrays[7];
    p.weights = (uint16_t *)(void *)arrays[8];
    return p;
}

/* Where head g of the piece's row r stands in q and out. */
static size_t head_offset(const piece *p, size_t r, size_t g)
{
    const attention_job *job = p->job;
    const size_t row = job->first_row[p->segment - job->segments] + p->first + r;
    return row * job->q.width + (p->kv_head * job->group + g) * job->attention->head_dim;
}

static void gather_queries(const piece *p)
{
    const attention_job *job = p->job;
    const size_t dim = job->attention->head_dim, group = job->group;
    for (size_t i = 0; i < p->m; i++) {
        float *q = p->q + i * dim;
        memcpy(q, job->q.data + head_offset(p, i / group, i % group), dim * sizeof *q);
        job->kernels->scale(dim, job->attention->scale, q);
        if (job->narrow)
            job->kernels->to_bf16(dim, q, p->q_bf16 + i * pl_round_up(dim, PL_TILE_BF16));
        p->maximum[i] = -INFINITY;
        p->sum[i] = 0;
    }
    memset(p->o, 0, p->m * dim * sizeof *p->o);
}

/* The span's keys (or values) of this kv head from position j on. */
static const unsigned char *span_at(const piece *p, const pl_kv_span *span, const void *base, size_t j)
{
    const pl_dtype type = span->dtype;
    return (const unsigned char *)base + j * span->stride + p->kv_head * p->job->attention->head_dim / pl_dtype_block(type) * pl_dtype_bytes(type);
}

/* ---- Products in floats ---------------------------------------------- */

/* scores [m, count] of the keys from j on. */
static void score_floats(const piece *p, const pl_kv_span *span, size_t j, size_t count)
{
    const pl_kernels *kernels = p->job->kernels;
    const size_t dim = p->job->attention->head_dim;
    for (size_t c = 0; c < count; c += kernels->panel_columns) {
        const size_t n = pl_min(kernels->panel_columns, count - c);
        kernels->pack[span->dtype](n, dim, span_at(p, span, span->k, j + c), span->stride, p->panel);
        kernels->gemm(p->m, n, dim, p->q, dim, p->panel, p->scores + c, PL_KEY_BLOCK, false);
    }
}

static void sum_floats(const piece *p, const pl_kv_span *span, size_t j, size_t count)
{
    const pl_kernels *kernels = p->job->kernels;
    const size_t dim = p->job->attention->head_dim;
    const float *v = (const float *)(const void *)span_at(p, span, span->v, j);
    size_t stride = span->stride / sizeof(float);
    if (span->dtype != PL_F32) {
        for (size_t i = 0; i < count; i++)
            kernels->unpack[span->dtype](dim, span_at(p, span, span->v, j + i), p->values + i * dim);
        v = p->values;
        stride = dim;
    }
    for (size_t c = 0; c < dim; c += kernels->panel_columns) {
        const size_t n = pl_min(kernels->panel_columns, dim - c);
        kernels->pack_columns(n, count, v + c, stride, p->panel);
        kernels->gemm(p->m, n, count, p->scores, PL_KEY_BLOCK, p->panel, p->o + c, dim, true);
    }
}

/* ---- Products in bf16 ------------------------------------------------ */

static void score_tiles(const piece *p, const pl_span_tiles *tiles, size_t j, size_t count)
{
    const size_t dim = p->job->attention->head_dim, depth = pl_round_up(dim, PL_TILE_BF16);
    const uint16_t *k = tiles->k + (p->kv_head * tiles->keys + j) * depth;
    p->job->kernels->gemm_bf16(p->m, count, dim, p->q_bf16, depth, k, PL_TILE_ROWS * depth, p->scores, PL_KEY_BLOCK, false, NULL);
}

static void sum_tiles(const piece *p, const pl_span_tiles *tiles, size_t j, size_t count)
{
    const pl_kernels *kernels = p->job->kernels;
    const size_t dim = p->job->attention->head_dim, wide = pl_round_up(dim, PL_TILE_ROWS);
    for (size_t i = 0; i < p->m; i++)
        kernels->to_bf16(count, p->scores + i * PL_KEY_BLOCK, p->weights + i * PL_KEY_BLOCK);
    const uint16_t *v = tiles->v + p->kv_head * tiles->keys * wide + j * PL_TILE_ROWS;
    kernels->gemm_bf16(p->m, dim, count, p->weights, PL_KEY_BLOCK, v, tiles->keys * PL_TILE_ROWS, p->o, dim, true, NULL);
}

/* ---- One task -------------------------------------------------------- */

/* Turns scores into weights; position is that of the block's first key. */
static void weigh_block(const piece *p, size_t position, size_t count)
{
    const pl_kernels *kernels = p->job->kernels;
    const pl_attention *attention = p->job->attention;
    for (size_t i = 0; i < p->m; i++) {
        float *scores = p->scores + i * PL_KEY_BLOCK;
        const size_t at = p->segment->start + p->first + i / p->job->group;
        const size_t limit = pl_max(p->segment->prefix, at + 1);
        const size_t seen = limit > position ? pl_min(limit - position, count) : 0;
        memset(scores + seen, 0, (count - seen) * sizeof *scores);
        if (seen == 0)
            continue;
        if (attention->softcap > 0)
            kernels->softcap(seen, attention->softcap, scores);
        const float before = kernels->softmax_step(seen, scores, &p->maximum[i], &p->sum[i]);
        if (before != 1)
            kernels->scale(attention->head_dim, before, p->o + i * attention->head_dim);
    }
}

static void attend(void *context, size_t task, size_t thread)
{
    const attention_job *job = context;
    const piece p = piece_of(job, task, thread);
    const size_t dim = job->attention->head_dim;
    const size_t last = p.segment->start + p.first + p.rows; /* positions the last row may see */
    const size_t limit = pl_max(p.segment->prefix, last);
    gather_queries(&p);
    size_t position = 0;
    for (size_t s = 0; s < 2; s++) {
        const pl_kv_span *span = &p.segment->spans[s];
        const pl_span_tiles *tiles = job->narrow ? &job->tiles[2 * (p.segment - job->segments) + s] : NULL;
        for (size_t j = 0; j < span->count && position + j < limit; j += PL_KEY_BLOCK) {
            const size_t count = pl_min(PL_KEY_BLOCK, span->count - j);
            if (tiles)
                score_tiles(&p, tiles, j, count);
            else
                score_floats(&p, span, j, count);
            weigh_block(&p, position + j, count);
            if (tiles)
                sum_tiles(&p, tiles, j, count);
            else
                sum_floats(&p, span, j, count);
        }
        position += span->count;
    }
    for (size_t i = 0; i < p.m; i++) {
        const size_t at = head_offset(&p, i / job->group, i % job->group), heads = job->attention->heads;
        job->kernels->scale(dim, 1.0f / p.sum[i], p.o + i * dim);
        memcpy(job->out.data + at, p.o + i * dim, dim * sizeof(float));
        if (!job->statistics)
            continue;
        float *statistics = job->statistics + at / job->out.width * 2 * heads + at % job->out.width / dim;
        statistics[0] = p.maximum[i];
        statistics[heads] = p.sum[i];
    }
}

/* ---- The op ---------------------------------------------------------- */

/* Numbers the tasks and rows of each segment. */
static void number_tasks(const attention_job *job, size_t count, size_t *first_task, size_t *first_row)
{
    size_t row = 0;
    first_task[0] = 0;
    for (size_t s = 0; s < count; s++) {
        const size_t rows = job->segments[s].rows;
        first_row[s] = row;
        row += rows;
        first_task[s + 1] = first_task[s] + (rows + job->block_rows - 1) / job->block_rows * job->attention->kv_heads;
    }
}

/* What backward will want: the softmaxes' statistics, to be filled in, and the segments, which callers use again. */
static pl_attention_record remember(pl_context *ctx, const pl_attention *attention, pl_rows q, const pl_attention_segment *segments, size_t count, pl_rows out)
{
    pl_attention_segment *copy = pl_push(ctx, count, sizeof *copy);
    if (!pl_dry(ctx))
        memcpy(copy, segments, count * sizeof *copy);
    return (pl_attention_record){.attention = *attention, .q = q, .out = out, .statistics = pl_constant_push(ctx, q.count, 2 * attention->heads).data, .segments = copy, .count = count};
}

void pl_op_attention(pl_context *ctx, const pl_attention *attention, pl_rows q, const pl_attention_segment *segments, size_t count, pl_rows out)
{
    pl_attention_record record = {0};
    if (pl_recording(ctx))
        record = remember(ctx, attention, q, segments, count, out);
    const size_t mark = pl_arena_mark(ctx->arena);
    attention_job job = {.kernels = ctx->kernels, .attention = attention, .q = q, .out = out, .statistics = record.statistics, .segments = segments};
    job.narrow = record.narrow = ctx->kernels->bf16_unit && ctx->activations != PL_ACTIVATIONS_F32 && !pl_few_rows(ctx, q.count);
    if (job.narrow)
        job.tiles = pl_attention_tiles(ctx, attention, segments, count);
    job.group = attention->heads / attention->kv_heads;
    job.block_rows = pl_max(1, (job.narrow ? TASK_ROWS_BF16 : TASK_ROWS) / job.group);
    job.scratch_floats = scratch_floats(&job);
    job.scratch = pl_push(ctx, pl_pool_threads(ctx->pool) * job.scratch_floats, sizeof(float));
    size_t *first_task = pl_push(ctx, count + 1, sizeof *first_task), *first_row = pl_push(ctx, count, sizeof *first_row);
    if (!pl_dry(ctx)) {
        number_tasks(&job, count, first_task, first_row);
        job.first_task = first_task;
        job.first_row = first_row;
        pl_pool_run(ctx->pool, first_task[count], attend, &job);
    }
    pl_arena_release(ctx->arena, mark);
    if (pl_recording(ctx))
        pl_record(ctx, pl_attention_backward, &record, sizeof record);
}
