/* KV caches as counted blocks [layers, 2, capacity, width] of one type. */
#include "language/kv_cache.h"

#include "tensor/quantise.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct pl_kv_block {
    atomic_size_t references;
    size_t capacity; /* positions */
    unsigned char *data; /* [layers, 2, capacity, width] */
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

static unsigned char *rows_of(const pl_kv_cache *cache, const pl_kv_block *block, size_t layer, size_t value)
{
    return block->data + (layer * 2 + value) * block->capacity * cache->row_bytes;
}

/* Copies positions [0, count) of one block behind `at` of another. */
static void copy_positions(const pl_kv_cache *cache, const pl_kv_block *from, size_t count, pl_kv_block *to, size_t at)
{
    for (size_t layer = 0; layer < cache->layers; layer++)
        for (size_t value = 0; value < 2; value++)
            memcpy(rows_of(cache, to, layer, value) + at * cache->row_bytes, rows_of(cache, from, layer, value), count * cache->row_bytes);
}

bool pl_kv_cache_type_fits(pl_dtype dtype, size_t head_dim)
{
    return (dtype == PL_F32 || dtype == PL_BF16 || dtype == PL_Q8_0) && head_dim % pl_dtype_block(dtype) == 0;
}

void pl_kv_cache_init(pl_kv_cache *cache, size_t layers, size_t width, pl_dtype dtype)
{
    *cache = (pl_kv_cache){.layers = layers, .width = width, .dtype = dtype};
    pl_dtype_row_bytes(dtype, width, &cache->row_bytes);
}

void pl_kv_cache_free(pl_kv_cache *cache)
{
    release(cache->shared);
    release(cache->own);
    pl_kv_cache_init(cache, cache->layers, cache->width, cache->dtype);
}

size_t pl_kv_cache_position_bytes(const pl_kv_cache *cache)
{
    return cache->layers * 2 * cache->row_bytes;
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

void pl_kv_cache_copy_tail(const pl_kv_cache *from, pl_kv_cache *to)
{
    if (from->own_count)
        copy_positions(from, from->own, from->own_count, to->own, 0);
    to->own_count = from->own_count;
}

static void write_rows(const pl_kv_cache *cache, size_t count, const float *x, unsigned char *to)
{
    for (size_t i = 0; i < count; i++, to += cache->row_bytes)
        if (!pl_quantise_row(cache->dtype, cache->width, x + i * cache->width, to))
            memset(to, 0xff, cache->row_bytes); /* NaN in every type */
}

void pl_kv_cache_write(pl_kv_cache *cache, size_t layer, size_t count, const float *k, const float *v)
{
    const size_t at = cache->own_count * cache->row_bytes;
    write_rows(cache, count, k, rows_of(cache, cache->own, layer, 0) + at);
    write_rows(cache, count, v, rows_of(cache, cache->own, layer, 1) + at);
}

void pl_kv_cache_spans(const pl_kv_cache *cache, size_t layer, size_t fresh, pl_kv_span spans[2])
{
    const pl_kv_block *blocks[2] = {cache->shared, cache->own};
    const size_t counts[2] = {cache->shared_count, cache->own_count + fresh};
    for (size_t i = 0; i < 2; i++)
        spans[i] = counts[i] == 0 ? (pl_kv_span){0} : (pl_kv_span){
            .k = rows_of(cache, blocks[i], layer, 0),
            .v = rows_of(cache, blocks[i], layer, 1),
            .dtype = cache->dtype,
            .count = counts[i],
            .stride = cache->row_bytes,
        };
}
