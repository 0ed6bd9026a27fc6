/*
 * Backward of attention. Weights are computed again from the scores' maximum
 * and sum that forward left (Dao et al. 2022, arXiv 2205.14135). Two passes
 * share the products: a task of the first owns a block of query rows, makes
 * weights P and gradients of scores dS a block of keys at a time, and adds dS K
 * to dq; one of the second owns a block of keys and adds P^T dO to dv and
 * dS^T Q to dk, over the blocks of rows in their order. So no sum depends on
 * threads. What lies between the passes is bounded: as many blocks of rows at a
 * time as its room takes (a chunk), which changes no sum either.
 */
#include "ops/cpu/attention_backward.h"

#include "ops/cpu/attention_tiles.h"

#include <string.h>

enum {
    BLOCK_ROWS = 64,      /* of the products, query heads of one group counted each */
    BLOCK_ROWS_BF16 = 96, /* a multiple of PL_TILE_BF16 */
    SLICE = 64,           /* of the head's values, at least: a task of the second pass */
    ROWS_A_THREAD = 16    /* blocks of rows of a chunk */
};

/* Query rows of one segment for the heads of one group: m = rows * group rows of the products. */
typedef struct row_block {
    size_t unit, first, rows, m;
    size_t key_blocks; /* those that a row of it sees */
    size_t pair;       /* number of the first of its pairs with key blocks */
} row_block;

/* A segment and kv head, as far as it is in the chunk. */
typedef struct unit {
    size_t segment, kv_head, first_row; /* of the segment, in q */
    size_t key_blocks, slot;            /* number of its first packed key block */
    size_t first_block, blocks;         /* of rows */
    size_t first_task;                  /* in the second pass */
    float *dk, *dv;                     /* gradients of the span's keys and values, or NULL */
} unit;

typedef struct backward_job {
    const pl_kernels *kernels;
    const pl_attention_record *r;
    bool narrow;
    pl_rows dq, dout;
    size_t dim, group, block_rows; /* query rows of a block */
    size_t most_m;                 /* rows of a block's products */
    size_t slices;                 /* of dim */
    /* The chunk; capacities are fixed when memory is planned. */
    unit *units;       /* [row_capacity] */
    row_block *blocks; /* [row_capacity] */
    size_t unit_count, block_count, pair_count, slot_count, task_count;
    size_t row_capacity, pair_capacity, slot_capacity;
    /* Shared rooms. */
    unsigned char *keys;  /* [slot_capacity][3]: K as rows, V as rows, K as columns */
    unsigned char *turned;/* [row_capacity][2]: scaled Q and dO, [dim][most_m] in the products' numbers */
    unsigned char *pairs; /* [pair_capacity][2]: P and dS, packed as columns */
    size_t keys_bytes, columns_bytes, turned_bytes, pair_bytes;
    float *scratch;       /* [threads, scratch_floats] */
    size_t scratch_floats;
} backward_job;

/* ---- Operands of the products ----------------------------------------- */

/* Bytes of a right side [depth, columns], packed. */
static size_t packed_bytes(const backward_job *job, size_t depth, size_t columns)
{
    const size_t panel = job->kernels->panel_columns;
    if (job->narrow)
        return pl_round_up(columns, PL_TILE_ROWS) * pl_round_up(depth, PL_TILE_BF16) * sizeof(uint16_t);
    return pl_round_up((columns + panel - 1) / panel * panel * depth * sizeof(float), 64);
}

/* From rows of `depth` values, `stride` floats apart: a row is a column of the right side. */
static void pack_as_rows(const backward_job *job, size_t columns, size_t depth, const float *from, size_t stride, void *to)
{
    const size_t step = job->narrow ? PL_TILE_ROWS : job->kernels->panel_columns;
    for (size_t c = 0; c < columns; c += step) {
        const size_t n = pl_min(step, columns - c);
        if (job->narrow)
            job->kernels->pack_bf16[PL_F32](n, depth, from + c * stride, stride * sizeof *from, (uint16_t *)to + c * pl_round_up(depth, PL_TILE_BF16));
        else
            job->kernels->pack[PL_F32](n, depth, from + c * stride, stride * sizeof *from, (float *)to + c * depth);
    }
}

/* From a matrix [depth, columns] as it lies. */
static void pack_as_columns(const backward_job *job, size_t columns, size_t depth, const float *from, size_t stride, void *to)
{
    const size_t step = job->narrow ? PL_TILE_ROWS : job->kernels->panel_columns;
    for (size_t c = 0; c < columns; c += step) {
        const size_t n = pl_min(step, columns - c);
        if (job->narrow)
            job->kernels->pack_columns_bf16(n, depth, from + c, stride, (uint16_t *)to + c * pl_round_up(depth, PL_TILE_BF16));
        else
            job->kernels->pack_columns(n, depth, from + c, stride, (float *)to + c * depth);
    }
}

/* c [m, columns] (+)= a [m, depth] in the products' numbers times a packed right side. */
static void multiply(const backward_job *job, size_t m, size_t columns, size_t depth, const void *a, size_t a_stride, const void *right, float *c, size_t c_stride, bool accumulate)
{
    const size_t panel = job->kernels->panel_columns;
    if (job->narrow) {
        job->kernels->gemm_bf16(m, columns, depth, a, a_stride, right, PL_TILE_ROWS * pl_round_up(depth, PL_TILE_BF16), c, c_stride, accumulate, NULL);
        return;
    }
    for (size_t i = 0; i < columns; i += panel)
        job->kernels->gemm(m, pl_min(panel, columns - i), depth, a, a_stride, (const float *)right + i * depth, c + i, c_stride, accumulate);
}

/* ---- Keys and values of the chunk ------------------------------------- */

static const pl_kv_span *span_of(const backward_job *job, const unit *u)
{
    return &job->r->segments[u->segment].spans[0];
}

/* Of a span: values of the unit's kv head, from key j on; also of its gradient. */
static size_t span_offset(const backward_job *job, const unit *u, size_t j)
{
    return j * (span_of(job, u)->stride / sizeof(float)) + u->kv_head * job->dim;
}

static size_t keys_of(const backward_job *job, const unit *u, size_t block)
{
    return pl_min(PL_KEY_BLOCK, span_of(job, u)->count - block * PL_KEY_BLOCK);
}

static void pack_keys(void *context, size_t task, size_t thread)
{
    const backward_job *job = context;
    const unit *u = job->units;
    (void)thread;
    while (task >= u->slot + u->key_blocks)
        u++;
    const size_t block = task - u->slot, count = keys_of(job, u, block), at = span_offset(job, u, block * PL_KEY_BLOCK), stride = span_of(job, u)->stride / sizeof(float);
    const float *k = (const float *)span_of(job, u)->k + at, *v = (const float *)span_of(job, u)->v + at;
    unsigned char *to = job->keys + task * (2 * job->keys_bytes + job->columns_bytes);
    pack_as_rows(job, count, job->dim, k, stride, to);
    pack_as_rows(job, count, job->dim, v, stride, to + job->keys_bytes);
    pack_as_columns(job, job->dim, count, k, stride, to + 2 * job->keys_bytes);
}

/* ---- First pass: weights, gradients of scores, dq --------------------- */

/* A block of rows at work. */
typedef struct piece {
    const backward_job *job;
    const unit *u;
    const row_block *b;
    float *q, *dout, *dq;     /* [m, dim]; q scaled */
    float *scores, *dweights; /* [m, PL_KEY_BLOCK] */
    float *delta;             /* [m] dot products of out and dout */
    float *turned;            /* [dim, m], on its way to bf16 */
    uint16_t *q_bf16, *dout_bf16; /* [m, depth] */
    uint16_t *dscores;        /* [m, PL_KEY_BLOCK] */
} piece;

enum { ARRAYS = 10 };

static void array_sizes(const backward_job *job, size_t sizes[ARRAYS])
{
    const size_t m = job->most_m, dim = job->dim, depth = pl_round_up(dim, PL_TILE_BF16);
    sizes[0] = sizes[1] = sizes[2] = m * dim;
    sizes[3] = sizes[4] = m * PL_KEY_BLOCK;
    sizes[5] = m;
    sizes[6] = job->narrow ? m * dim : 0;
    sizes[7] = sizes[8] = job->narrow ? m * depth / 2 : 0;
    sizes[9] = job->narrow ? m * PL_KEY_BLOCK / 2 : 0;
}

static piece piece_of(const backward_job *job, size_t task, size_t thread)
{
    size_t sizes[ARRAYS];
    float *at = job->scratch + thread * job->scratch_floats, *arrays[ARRAYS];
    array_sizes(job, sizes);
    for (size_t i = 0; i < ARRAYS; at += pl_round_up(sizes[i], 16), i++)
        arrays[i] = at;
    const row_block *b = &job->blocks[task];
    return (piece){.job = job, .u = &job->units[b->unit], .b = b, .q = arrays[0], .dout = arrays[1], .dq = arrays[2], .scores = arrays[3], .dweights = arrays[4], .delta = arrays[5],
                   .turned = arrays[6], .q_bf16 = (uint16_t *)(void *)arrays[7], .dout_bf16 = (uint16_t *)(void *)arrays[8], .dscores = (uint16_t *)(void *)arrays[9]};
}

/* Row of q that row i of the piece's products belongs to, and its head. */
static size_t row_of(const piece *p, size_t i)
{
    return p->u->first_row + p->b->first + i / p->job->group;
}

static size_t head_of(const piece *p, size_t i)
{
    return p->u->kv_head * p->job->group + i % p->job->group;
}

/* [m, dim] -> [dim, m] for the second pass, and the rows themselves in bf16 for this one. */
static void turn(const piece *p, const float *x, void *to, uint16_t *rows_bf16)
{
    const backward_job *job = p->job;
    const size_t m = p->b->m, dim = job->dim;
    if (!job->narrow) {
        job->kernels->transpose(m, dim, x, dim, to, job->most_m);
        return;
    }
    job->kernels->transpose(m, dim, x, dim, p->turned, m);
    for (size_t i = 0; i < dim; i++)
        job->kernels->to_bf16(m, p->turned + i * m, (uint16_t *)to + i * job->most_m);
    for (size_t i = 0; i < m; i++)
        job->kernels->to_bf16(dim, x + i * dim, rows_bf16 + i * pl_round_up(dim, PL_TILE_BF16));
}

static void gather_rows(const piece *p)
{
    const backward_job *job = p->job;
    const size_t dim = job->dim, width = job->r->q.width;
    for (size_t i = 0; i < p->b->m; i++) {
        const size_t at = row_of(p, i) * width + head_of(p, i) * dim;
        memcpy(p->q + i * dim, job->r->q.data + at, dim * sizeof *p->q);
        memcpy(p->dout + i * dim, job->dout.data + at, dim * sizeof *p->dout);
        job->kernels->scale(dim, job->r->attention.scale, p->q + i * dim);
        job->kernels->skinny[PL_F32](1, 1, dim, p->dout + i * dim, dim * sizeof(float), job->r->out.data + at, dim, p->delta + i, 1, false);
    }
    memset(p->dq, 0, p->b->m * dim * sizeof *p->dq);
    unsigned char *turned = job->turned + (size_t)(p->b - job->blocks) * 2 * job->turned_bytes;
    turn(p, p->q, turned, p->q_bf16);
    turn(p, p->dout, turned + job->turned_bytes, p->dout_bf16);
}

/* Scores and gradients of weights become weights and gradients of scores; 0 where a row does not see a key. */
static void weigh(const piece *p, size_t block, size_t count)
{
    const pl_attention *attention = &p->job->r->attention;
    const pl_attention_segment *segment = &p->job->r->segments[p->u->segment];
    const size_t position = block * PL_KEY_BLOCK, heads = attention->heads;
    for (size_t i = 0; i < p->b->m; i++) {
        float *s = p->scores + i * PL_KEY_BLOCK, *d = p->dweights + i * PL_KEY_BLOCK;
        const float *statistics = p->job->r->statistics + row_of(p, i) * 2 * heads + head_of(p, i);
        const size_t limit = pl_max(segment->prefix, segment->start + p->b->first + i / p->job->group + 1);
        const size_t seen = limit > position ? pl_min(limit - position, count) : 0;
        p->job->kernels->softmax_backward(seen, attention->softcap, statistics[0], 1 / statistics[heads], p->delta[i], s, d);
        memset(s + seen, 0, (count - seen) * sizeof *s);
        memset(d + seen, 0, (count - seen) * sizeof *d);
    }
}

static void row_block_backward(void *context, size_t task, size_t thread)
{
    const backward_job *job = context;
    const piece p = piece_of(job, task, thread);
    const pl_kernels *kernels = job->kernels;
    const size_t m = p.b->m, dim = job->dim, depth = job->narrow ? pl_round_up(dim, PL_TILE_BF16) : dim;
    gather_rows(&p);
    for (size_t j = 0; j < p.b->key_blocks; j++) {
        const size_t count = keys_of(job, p.u, j);
        const unsigned char *keys = job->keys + (p.u->slot + j) * (2 * job->keys_bytes + job->columns_bytes);
        unsigned char *pair = job->pairs + (p.b->pair + j) * 2 * job->pair_bytes;
        multiply(job, m, count, dim, job->narrow ? (const void *)p.q_bf16 : p.q, depth, keys, p.scores, PL_KEY_BLOCK, false);
        multiply(job, m, count, dim, job->narrow ? (const void *)p.dout_bf16 : p.dout, depth, keys + job->keys_bytes, p.dweights, PL_KEY_BLOCK, false);
        weigh(&p, j, count);
        pack_as_columns(job, count, m, p.scores, PL_KEY_BLOCK, pair);
        pack_as_columns(job, count, m, p.dweights, PL_KEY_BLOCK, pair + job->pair_bytes);
        for (size_t i = 0; job->narrow && i < m; i++)
            kernels->to_bf16(count, p.dweights + i * PL_KEY_BLOCK, p.dscores + i * PL_KEY_BLOCK);
        multiply(job, m, dim, count, job->narrow ? (const void *)p.dscores : p.dweights, PL_KEY_BLOCK, keys + 2 * job->keys_bytes, p.dq, dim, true);
    }
    for (size_t i = 0; job->dq.data && i < m; i++)
        kernels->axpy(dim, job->r->attention.scale, p.dq + i * dim, job->dq.data + row_of(&p, i) * job->dq.width + head_of(&p, i) * dim);
}

/* ---- Second pass: dk and dv ------------------------------------------- */

/*
 * A block of keys, dv or dk, some of the head's values: the gradient, turned, [values, keys] += turned dO or Q
 * times P or dS of each block of rows.
 */
static void key_block_backward(void *context, size_t task, size_t thread)
{
    const backward_job *job = context;
    const unit *u = job->units;
    while (task >= u->first_task + u->key_blocks * 2 * job->slices)
        u++;
    task -= u->first_task;
    const size_t slice = task % job->slices, part = task / job->slices % 2, j = task / job->slices / 2, count = keys_of(job, u, j);
    const size_t first = slice * job->dim / job->slices, values = (slice + 1) * job->dim / job->slices - first, stride = span_of(job, u)->stride / sizeof(float);
    const size_t element = job->narrow ? sizeof(uint16_t) : sizeof(float);
    float *sums = job->scratch + thread * job->scratch_floats, *gradient = part ? u->dv : u->dk;
    if (!gradient)
        return;
    gradient += span_offset(job, u, j * PL_KEY_BLOCK) + first;
    job->kernels->transpose(count, values, gradient, stride, sums, PL_KEY_BLOCK);
    for (size_t i = u->first_block; i < u->first_block + u->blocks; i++) {
        const row_block *b = &job->blocks[i];
        if (j >= b->key_blocks)
            continue;
        const unsigned char *turned = job->turned + (2 * i + part) * job->turned_bytes + first * job->most_m * element;
        const unsigned char *right = job->pairs + (2 * (b->pair + j) + (1 - part)) * job->pair_bytes;
        multiply(job, values, count, b->m, turned, job->most_m, right, sums, PL_KEY_BLOCK, true);
    }
    job->kernels->transpose(values, count, sums, PL_KEY_BLOCK, gradient, stride);
}

/* ---- Chunks ----------------------------------------------------------- */

/* How far chunks have come. */
typedef struct cursor {
    size_t segment, kv_head, first; /* row of the segment */
    size_t first_row;               /* of the segment, in q */
} cursor;

static void advance(const backward_job *job, cursor *at)
{
    const size_t rows = job->r->segments[at->segment].rows;
    at->first += job->block_rows;
    if (at->first < rows)
        return;
    at->first = 0;
    if (++at->kv_head < job->r->attention.kv_heads)
        return;
    at->kv_head = 0;
    at->first_row += rows;
    at->segment++;
}

static void start_unit(const pl_context *ctx, backward_job *job, const cursor *at)
{
    const pl_kv_span *span = &job->r->segments[at->segment].spans[0];
    const size_t key_blocks = (span->count + PL_KEY_BLOCK - 1) / PL_KEY_BLOCK;
    job->units[job->unit_count++] = (unit){.segment = at->segment, .kv_head = at->kv_head, .first_row = at->first_row, .key_blocks = key_blocks, .slot = job->slot_count,
                                           .first_block = job->block_count, .first_task = job->task_count, .dk = pl_gradient_at(ctx, span->k), .dv = pl_gradient_at(ctx, span->v)};
    job->slot_count += key_blocks;
    job->task_count += key_blocks * 2 * job->slices;
}

/* The next blocks of rows as room is for them; false when none are left, or none fits: a planning defect. */
static bool fill_chunk(pl_context *ctx, backward_job *job, cursor *at)
{
    job->unit_count = job->block_count = job->pair_count = job->slot_count = job->task_count = 0;
    while (at->segment < job->r->count && job->block_count < job->row_capacity) {
        const pl_attention_segment *segment = &job->r->segments[at->segment];
        const size_t keys = segment->spans[0].count, rows = pl_min(job->block_rows, segment->rows - at->first);
        const unit *last = job->unit_count ? &job->units[job->unit_count - 1] : NULL;
        const bool fresh = !last || last->segment != at->segment || last->kv_head != at->kv_head;
        const size_t seen = pl_min(keys, pl_max(segment->prefix, segment->start + at->first + rows));
        const size_t pairs = (seen + PL_KEY_BLOCK - 1) / PL_KEY_BLOCK, slots = fresh ? (keys + PL_KEY_BLOCK - 1) / PL_KEY_BLOCK : 0;
        if (segment->rows == 0) {
            at->segment++;
            continue;
        }
        if (job->pair_count + pairs > job->pair_capacity || job->slot_count + slots > job->slot_capacity) {
            ctx->failed |= job->block_count == 0;
            break;
        }
        if (fresh)
            start_unit(ctx, job, at);
        job->units[job->unit_count - 1].blocks++;
        job->blocks[job->block_count++] =
            (row_block){.unit = job->unit_count - 1, .first = at->first, .rows = rows, .m = rows * job->group, .key_blocks = pairs, .pair = job->pair_count};
        job->pair_count += pairs;
        advance(job, at);
    }
    return job->block_count > 0;
}

/* ---- The whole -------------------------------------------------------- */

/* Sizes of everything, from what is known before segments are. */
static backward_job plan(pl_context *ctx, const pl_attention_record *r)
{
    const size_t dim = r->attention.head_dim, threads = pl_pool_threads(ctx->pool), most_blocks = r->attention.keys / PL_KEY_BLOCK + 1;
    backward_job job = {.kernels = ctx->kernels, .r = r, .narrow = r->narrow, .dim = dim, .group = r->attention.heads / r->attention.kv_heads};
    const size_t most = job.narrow ? BLOCK_ROWS_BF16 : BLOCK_ROWS;
    job.block_rows = pl_max(1, most / job.group);
    job.most_m = pl_round_up(job.block_rows * job.group, PL_TILE_BF16);
    job.slices = pl_max(1, dim / SLICE);
    const size_t most_rows = r->attention.kv_heads * (r->q.count / job.block_rows + r->count);
    job.row_capacity = pl_min(most_rows, ROWS_A_THREAD * threads);
    job.pair_capacity = pl_min(most_rows * most_blocks, threads * pl_max(ROWS_A_THREAD, 2 * most_blocks));
    job.slot_capacity = pl_max(most_blocks, pl_min(job.row_capacity, 4 * threads));
    job.keys_bytes = packed_bytes(&job, dim, PL_KEY_BLOCK);
    job.columns_bytes = packed_bytes(&job, PL_KEY_BLOCK, dim);
    job.turned_bytes = pl_round_up(dim * job.most_m * (job.narrow ? sizeof(uint16_t) : sizeof(float)), 64);
    job.pair_bytes = packed_bytes(&job, job.most_m, PL_KEY_BLOCK);
    size_t sizes[ARRAYS];
    array_sizes(&job, sizes);
    for (size_t i = 0; i < ARRAYS; i++)
        job.scratch_floats += pl_round_up(sizes[i], 16);
    job.scratch_floats = pl_max(job.scratch_floats, 2 * SLICE * PL_KEY_BLOCK); /* the second pass */
    return job;
}

void pl_attention_backward(pl_context *ctx, const void *record)
{
    const pl_attention_record r = *(const pl_attention_record *)record;
    const size_t mark = pl_arena_mark(ctx->arena);
    backward_job job = plan(ctx, &r);
    job.dq = pl_gradient(ctx, r.q);
    job.dout = pl_gradient(ctx, r.out);
    job.units = pl_push(ctx, job.row_capacity, sizeof *job.units);
    job.blocks = pl_push(ctx, job.row_capacity, sizeof *job.blocks);
    job.keys = pl_push(ctx, job.slot_capacity, 2 * job.keys_bytes + job.columns_bytes);
    job.turned = pl_push(ctx, job.row_capacity, 2 * job.turned_bytes);
    job.pairs = pl_push(ctx, job.pair_capacity, 2 * job.pair_bytes);
    job.scratch = pl_push(ctx, pl_pool_threads(ctx->pool) * job.scratch_floats, sizeof *job.scratch);
    cursor at = {0};
    while (!pl_dry(ctx) && job.dout.data && fill_chunk(ctx, &job, &at)) {
        pl_pool_run(ctx->pool, job.slot_count, pack_keys, &job);
        pl_pool_run(ctx->pool, job.block_count, row_block_backward, &job);
        pl_pool_run(ctx->pool, job.task_count, key_block_backward, &job);
    }
    pl_arena_release(ctx->arena, mark);
}
