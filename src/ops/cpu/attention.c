/*
 * Attention with a streamed softmax. A task is one kv head and a block of query
 * rows of one segment; the query heads that share the kv head stand in it as
 * further rows of the same products, so that multi-query attention (8 heads on
 * one) costs one pass over the keys. Keys and values are packed into panels a
 * block at a time and multiplied by the same kernel as weights.
 */
#include "ops/ops.h"

#include <math.h>
#include <string.h>

enum {
    KEY_BLOCK = 128, /* keys whose scores exist at a time */
    TASK_ROWS = 64   /* rows of the products, query heads of one group counted each */
};

typedef struct attention_job {
    const pl_kernels *kernels;
    const pl_attention *attention;
    pl_rows q, out;
    const pl_attention_segment *segments;
    const size_t *first_task; /* [segments + 1] */
    const size_t *first_row;  /* [segments] */
    size_t group, block_rows;
    float *scratch; /* [threads, scratch_floats] */
    size_t scratch_floats;
} attention_job;

/* One task's piece: `rows` query rows with `group` heads each, as m = rows*group rows. */
typedef struct piece {
    const attention_job *job;
    const pl_attention_segment *segment;
    size_t first, rows, m, kv_head;
    float *q, *o;        /* [m, head_dim] */
    float *scores;       /* [m, KEY_BLOCK] */
    float *panel;        /* [max(head_dim, KEY_BLOCK), panel_columns] */
    float *maximum, *sum; /* [m] */
} piece;

static size_t scratch_floats(const pl_attention *attention, size_t m, size_t panel_columns)
{
    const size_t deep = pl_max(attention->head_dim, KEY_BLOCK);
    return pl_round_up(2 * m * attention->head_dim + m * KEY_BLOCK + deep * panel_columns + 2 * m, 16);
}

static piece piece_of(const attention_job *job, size_t task, size_t thread)
{
    size_t s = 0;
    while (job->first_task[s + 1] <= task)
        s++;
    const size_t local = task - job->first_task[s], kv_heads = job->attention->kv_heads;
    piece p = {.job = job, .segment = &job->segments[s], .kv_head = local % kv_heads, .first = local / kv_heads * job->block_rows};
    p.rows = pl_min(job->block_rows, p.segment->rows - p.first);
    p.m = p.rows * job->group;
    const size_t dim = job->attention->head_dim;
    p.q = job->scratch + thread * job->scratch_floats;
    p.o = p.q + p.m * dim;
    p.scores = p.o + p.m * dim;
    p.panel = p.scores + p.m * KEY_BLOCK;
    p.maximum = p.panel + pl_max(dim, KEY_BLOCK) * job->kernels->panel_columns;
    p.sum = p.maximum + p.m;
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
    const size_t dim = p->job->attention->head_dim, group = p->job->group;
    for (size_t i = 0; i < p->m; i++) {
        float *q = p->q + i * dim;
        memcpy(q, p->job->q.data + head_offset(p, i / group, i % group), dim * sizeof *q);
        p->job->kernels->scale(dim, p->job->attention->scale, q);
        p->maximum[i] = -INFINITY;
        p->sum[i] = 0;
    }
    memset(p->o, 0, p->m * dim * sizeof *p->o);
}

/* scores [m, count] of the keys k, `stride` floats apart. */
static void score_block(const piece *p, const float *k, size_t stride, size_t count)
{
    const pl_kernels *kernels = p->job->kernels;
    const size_t dim = p->job->attention->head_dim;
    for (size_t j = 0; j < count; j += kernels->panel_columns) {
        const size_t n = pl_min(kernels->panel_columns, count - j);
        kernels->pack[PL_F32](n, dim, k + j * stride, stride * sizeof *k, p->panel);
        kernels->gemm(p->m, n, dim, p->q, dim, p->panel, p->scores + j, KEY_BLOCK, false);
    }
}

/* Turns scores into weights; position is that of the block's first key. */
static void weigh_block(const piece *p, size_t position, size_t count)
{
    const pl_kernels *kernels = p->job->kernels;
    const pl_attention *attention = p->job->attention;
    for (size_t i = 0; i < p->m; i++) {
        float *scores = p->scores + i * KEY_BLOCK;
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

static void sum_values(const piece *p, const float *v, size_t stride, size_t count)
{
    const pl_kernels *kernels = p->job->kernels;
    const size_t dim = p->job->attention->head_dim;
    for (size_t j = 0; j < dim; j += kernels->panel_columns) {
        const size_t n = pl_min(kernels->panel_columns, dim - j);
        kernels->pack_columns(n, count, v + j, stride, p->panel);
        kernels->gemm(p->m, n, count, p->scores, KEY_BLOCK, p->panel, p->o + j, dim, true);
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
        for (size_t j = 0; j < span->count && position + j < limit; j += KEY_BLOCK) {
            const size_t count = pl_min(KEY_BLOCK, span->count - j);
            score_block(&p, span->k + j * span->stride + p.kv_head * dim, span->stride, count);
            weigh_block(&p, position + j, count);
            sum_values(&p, span->v + j * span->stride + p.kv_head * dim, span->stride, count);
        }
        position += span->count;
    }
    for (size_t i = 0; i < p.m; i++) {
        job->kernels->scale(dim, 1.0f / p.sum[i], p.o + i * dim);
        memcpy(job->out.data + head_offset(&p, i / job->group, i % job->group), p.o + i * dim, dim * sizeof(float));
    }
}

void pl_op_attention(pl_context *ctx, const pl_attention *attention, pl_rows q, const pl_attention_segment *segments, size_t count, pl_rows out)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    attention_job job = {.kernels = ctx->kernels, .attention = attention, .q = q, .out = out, .segments = segments};
    job.group = attention->heads / attention->kv_heads;
    job.block_rows = pl_max(1, TASK_ROWS / job.group);
    job.scratch_floats = scratch_floats(attention, job.block_rows * job.group, ctx->kernels->panel_columns);
    job.scratch = pl_push(ctx, pl_pool_threads(ctx->pool) * job.scratch_floats, sizeof(float));
    size_t *first_task = pl_push(ctx, count + 1, sizeof *first_task), *first_row = pl_push(ctx, count, sizeof *first_row);
    if (!pl_dry(ctx)) {
        size_t row = 0;
        first_task[0] = 0;
        for (size_t s = 0; s < count; s++) {
            first_row[s] = row;
            row += segments[s].rows;
            first_task[s + 1] = first_task[s] + (segments[s].rows + job.block_rows - 1) / job.block_rows * attention->kv_heads;
        }
        job.first_task = first_task;
        job.first_row = first_row;
        pl_pool_run(ctx->pool, first_task[count], attend, &job);
    }
    pl_arena_release(ctx->arena, mark);
}
