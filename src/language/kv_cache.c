/* KV caches as counted blocks [layers, 2, capacity, width] of f32. */
#include "language/kv_cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct pl_kv_block {
    atomic_size_t references;
    size_t capacity; /* positions */
    float *data;     /* [layers, 2, capacity, width] */
};

static void release(pl_kv_block *block)
{
    if (block && atomic_fetch_sub(&block->references, 1) == 1) {
        free(block->data);
        free(block);
    }
}

static pl_kv_block *new_block(const pl_kv_cache *cache, size_t positions, pali_error *err)
{
    size_t bytes;
    if (!pl_mul(pl_kv_cache_position_bytes(cache), positions, &bytes)) {
        pl_fail_memory(err, "KV cache", 0);
        return NULL;
    }
    pl_kv_block *block = pl_new(1, sizeof *block, "KV cache", err);
    if (!block)
        return NULL;
    atomic_init(&block->references, 1);
    block->capacity = positions;
    block->data = pl_new_aligned(bytes, "KV cache", err);
    if (!block->data) {
        free(block);
        return NULL;
    }
    return block;
}

static float *rows_of(const pl_kv_cache *cache, const pl_kv_block *block, size_t layer, size_t value)
{
    return block->data + (layer * 2 + value) * block->capacity * cache->width;
}

/* Copies positions [0, count) of one block behind `at` of another. */
static void copy_positions(const pl_kv_cache *cache, const pl_kv_block *from, size_t count, pl_kv_block *to, size_t at)
{
    for (size_t layer = 0; layer < cache->layers; layer++)
        for (size_t value = 0; value < 2; value++)
            memcpy(rows_of(cache, to, layer, value) + at * cache->width, rows_of(cache, from, layer, value), count * cache->width * sizeof(float));
}

void pl_kv_cache_init(pl_kv_cache *cache, size_t layers, size_t width)
{
    *cache = (pl_kv_cache){.layers = layers, .width = width};
}

void pl_kv_cache_free(pl_kv_cache *cache)
{
    release(cache->shared);
    release(cache->own);
    *cache = (pl_kv_cache){.layers = cache->layers, .width = cache->width};
}

size_t pl_kv_cache_position_bytes(const pl_kv_cache *cache)
{
    return cache->layers * 2 * cache->width * sizeof(float);
}

pali_status pl_kv_cache_reserve(pl_kv_cache *cache, size_t positions, pali_error *err)
{
    const size_t tail = positions > cache->shared_count ? positions - cache->shared_count : 0;
    if (tail == 0 || (cache->own && cache->own->capacity >= tail))
        return PALI_OK;
    pl_kv_block *larger = new_block(cache, tail, err);
    if (!larger)
        return PALI_MEMORY;
    if (cache->own_count)
        copy_positions(cache, cache->own, cache->own_count, larger, 0);
    release(cache->own);
    cache->own = larger;
    return PALI_OK;
}

void pl_kv_cache_clear(pl_kv_cache *cache)
{
    release(cache->shared);
    cache->shared = NULL;
    cache->shared_count = cache->own_count = 0;
}

/* Makes all positions of the cache one shared block, with an empty tail. */
static pali_status share_all(pl_kv_cache *cache, pali_error *err)
{
    if (cache->own_count == 0)
        return PALI_OK;
    if (cache->shared_count == 0) {
        cache->shared = cache->own;
    } else {
        pl_kv_block *merged = new_block(cache, pl_kv_cache_count(cache), err);
        if (!merged)
            return PALI_MEMORY;
        copy_positions(cache, cache->shared, cache->shared_count, merged, 0);
        copy_positions(cache, cache->own, cache->own_count, merged, cache->shared_count);
        release(cache->shared);
        release(cache->own);
        cache->shared = merged;
    }
    cache->shared_count += cache->own_count;
    cache->own = NULL;
    cache->own_count = 0;
    return PALI_OK;
}

pali_status pl_kv_cache_fork(pl_kv_cache *cache, pl_kv_cache *fork, pali_error *err)
{
    const pali_status status = share_all(cache, err);
    if (status != PALI_OK)
        return status;
    pl_kv_cache_clear(fork);
    fork->shared = cache->shared;
    fork->shared_count = cache->shared_count;
    if (fork->shared)
        atomic_fetch_add(&fork->shared->references, 1);
    return PALI_OK;
}

void pl_kv_cache_write(pl_kv_cache *cache, size_t layer, size_t count, const float *k, const float *v)
{
    const size_t at = cache->own_count * cache->width, bytes = count * cache->width * sizeof(float);
    memcpy(rows_of(cache, cache->own, layer, 0) + at, k, bytes);
    memcpy(rows_of(cache, cache->own, layer, 1) + at, v, bytes);
}

void pl_kv_cache_spans(const pl_kv_cache *cache, size_t layer, size_t fresh, pl_kv_span spans[2])
{
    const pl_kv_block *blocks[2] = {cache->shared, cache->own};
    const size_t counts[2] = {cache->shared_count, cache->own_count + fresh};
    for (size_t i = 0; i < 2; i++)
        spans[i] = counts[i] == 0 ? (pl_kv_span){0} : (pl_kv_span){
            .k = rows_of(cache, blocks[i], layer, 0),
            .v = rows_of(cache, blocks[i], layer, 1),
            .count = counts[i],
            .stride = cache->width * sizeof(float),
        };
}
