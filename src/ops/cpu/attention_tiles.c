/*
 * Keys and values -> bf16 tiles, a task for each kv head and block of keys. The
 * room is planned from the number of keys that the attention names.
 */
#include "ops/cpu/attention_tiles.h"

typedef struct tiles_job {
    const pl_kernels *kernels;
    const pl_attention *attention;
    const pl_attention_segment *segments;
    const pl_span_tiles *tiles; /* [spans] */
    size_t spans;
    float *scratch; /* [threads][PL_KEY_BLOCK][head_dim], values of a cache that holds no floats */
} tiles_job;

static const pl_kv_span *span_of(const tiles_job *job, size_t i)
{
    return &job->segments[i / 2].spans[i % 2];
}

/* A beginning that the segment before has too: forks of one prompt stand side by side, and its tiles are made once. */
static bool is_repeated(const tiles_job *job, size_t i)
{
    if (i % 2 || i < 2 || span_of(job, i)->count == 0)
        return false;
    const pl_kv_span *span = span_of(job, i), *before = span_of(job, i - 2);
    return span->k == before->k && span->v == before->v && span->count == before->count;
}

static size_t tasks_of(const tiles_job *job, size_t i)
{
    return is_repeated(job, i) ? 0 : (span_of(job, i)->count + PL_KEY_BLOCK - 1) / PL_KEY_BLOCK * job->attention->kv_heads;
}

static void pack_keys(const tiles_job *job, const pl_kv_span *span, const unsigned char *k, size_t count, uint16_t *tiles)
{
    const size_t dim = job->attention->head_dim, depth = pl_round_up(dim, PL_TILE_BF16);
    for (size_t j = 0; j < count; j += PL_TILE_ROWS)
        job->kernels->pack_bf16[span->dtype](pl_min(PL_TILE_ROWS, count - j), dim, k + j * span->stride, span->stride, tiles + j * depth);
}

static void pack_values(const tiles_job *job, const pl_kv_span *span, const unsigned char *v, size_t count, float *scratch, size_t keys, uint16_t *tiles)
{
    const size_t dim = job->attention->head_dim;
    const float *values = (const float *)(const void *)v;
    size_t stride = span->stride / sizeof(float);
    if (span->dtype != PL_F32) {
        for (size_t j = 0; j < count; j++)
            job->kernels->unpack[span->dtype](dim, v + j * span->stride, scratch + j * dim);
        values = scratch;
        stride = dim;
    }
    for (size_t c = 0; c < dim; c += PL_TILE_ROWS)
        job->kernels->pack_columns_bf16(pl_min(PL_TILE_ROWS, dim - c), count, values + c, stride, tiles + c * keys);
}

static void pack_block(void *context, size_t task, size_t thread)
{
    const tiles_job *job = context;
    const size_t dim = job->attention->head_dim, kv_heads = job->attention->kv_heads;
    size_t i = 0;
    for (; task >= tasks_of(job, i); i++)
        task -= tasks_of(job, i);
    const pl_kv_span *span = span_of(job, i);
    const pl_span_tiles *tiles = &job->tiles[i];
    const size_t head = task % kv_heads, j = task / kv_heads * PL_KEY_BLOCK, count = pl_min(PL_KEY_BLOCK, span->count - j);
    const size_t at = j * span->stride + head * dim / pl_dtype_block(span->dtype) * pl_dtype_bytes(span->dtype);
    pack_keys(job, span, (const unsigned char *)span->k + at, count, tiles->k + (head * tiles->keys + j) * pl_round_up(dim, PL_TILE_BF16));
    pack_values(job, span, (const unsigned char *)span->v + at, count, job->scratch + thread * PL_KEY_BLOCK * dim, tiles->keys,
                tiles->v + head * tiles->keys * pl_round_up(dim, PL_TILE_ROWS) + j * PL_TILE_ROWS);
}

const pl_span_tiles *pl_attention_tiles(pl_context *ctx, const pl_attention *attention, const pl_attention_segment *segments, size_t count)
{
    const size_t dim = attention->head_dim, depth = pl_round_up(dim, PL_TILE_BF16), wide = pl_round_up(dim, PL_TILE_ROWS);
    const size_t most_keys = attention->keys + 2 * count * (PL_TILE_BF16 - 1), threads = pl_pool_threads(ctx->pool);
    pl_span_tiles *tiles = pl_push(ctx, 2 * count, sizeof *tiles);
    uint16_t *room = pl_push(ctx, most_keys * attention->kv_heads * (depth + wide), sizeof *room);
    tiles_job job = {.kernels = ctx->kernels, .attention = attention, .segments = segments, .tiles = tiles, .spans = 2 * count};
    job.scratch = pl_push(ctx, threads * PL_KEY_BLOCK * dim, sizeof *job.scratch);
    if (pl_dry(ctx))
        return tiles;
    size_t tasks = 0, used = 0;
    for (size_t i = 0; i < 2 * count; i++) {
        if (is_repeated(&job, i)) {
            tiles[i] = tiles[i - 2];
            continue;
        }
        const size_t keys = pl_round_up(span_of(&job, i)->count, PL_TILE_BF16);
        used += keys;
        if (used > most_keys) { /* more than the attention named: a planning defect */
            ctx->failed = true;
            return tiles;
        }
        tiles[i] = (pl_span_tiles){.keys = keys, .k = room, .v = room + keys * attention->kv_heads * depth};
        room += keys * attention->kv_heads * (depth + wide);
        tasks += tasks_of(&job, i);
    }
    pl_pool_run(ctx->pool, tasks, pack_block, &job);
    return tiles;
}
