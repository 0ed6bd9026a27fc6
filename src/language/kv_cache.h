/*
 * The keys and values of a sequence: a read-only beginning that several caches
 * may share (forks of one prompt, candidates, beams), and a tail of its own.
 */
#ifndef PL_LANGUAGE_KV_CACHE_H
#define PL_LANGUAGE_KV_CACHE_H

#include "ops/ops.h"

typedef struct pl_kv_block pl_kv_block; /* counted references */

typedef struct pl_kv_cache {
    size_t layers, width; /* width = kv_heads * head_dim */
    pl_dtype dtype;       /* F32, BF16 or Q8_0 */
    size_t row_bytes;     /* of one position's keys of a layer */
    pl_kv_block *shared;  /* or NULL */
    size_t shared_count;  /* positions of it that belong to this sequence */
    pl_kv_block *own;     /* or NULL */
    size_t own_count;     /* positions written to it */
} pl_kv_cache;

/* True for the types a cache may have; the blocks of the type must divide the width of a head. */
bool pl_kv_cache_type_fits(pl_dtype dtype, size_t head_dim);

void pl_kv_cache_init(pl_kv_cache *cache, size_t layers, size_t width, pl_dtype dtype);
void pl_kv_cache_free(pl_kv_cache *cache);

/* Positions held, shared and own. */
static inline size_t pl_kv_cache_count(const pl_kv_cache *cache)
{
    return cache->shared_count + cache->own_count;
}

/* True when both begin with the same shared positions, which stand in memory once. */
static inline bool pl_kv_cache_is_sibling(const pl_kv_cache *a, const pl_kv_cache *b)
{
    return a->shared && a->shared == b->shared && a->shared_count == b->shared_count;
}

/* Bytes one position takes over all layers. */
size_t pl_kv_cache_position_bytes(const pl_kv_cache *cache);

/* Makes room for `positions` in all, so that none is allocated while decoding. */
pali_status pl_kv_cache_reserve(pl_kv_cache *cache, size_t positions, pali_error *err);

/* Forgets every position; keeps the own block. */
void pl_kv_cache_clear(pl_kv_cache *cache);

/*
 * Makes *fork (initialised, empty) a second sequence with the same positions.
 * What the cache holds becomes its shared part; nothing is copied unless there
 * are both a shared part and a tail already.
 */
pali_status pl_kv_cache_fork(pl_kv_cache *cache, pl_kv_cache *fork, pali_error *err);

/*
 * Makes *to, which shares the beginning of *from and has room, a second sequence
 * with the same positions by a copy of the tail: for continuations that are
 * reordered at every step, where a fork would make a shared part of each tail.
 */
void pl_kv_cache_copy_tail(const pl_kv_cache *from, pl_kv_cache *to);

/*
 * Writes `count` rows of keys and values of a layer after the own positions (count them with advance). What a
 * narrower type cannot hold becomes NaN, so that it shows in the logits.
 */
void pl_kv_cache_write(pl_kv_cache *cache, size_t layer, size_t count, const float *k, const float *v);

/* Counts `count` written positions in, when all layers have them. */
static inline void pl_kv_cache_advance(pl_kv_cache *cache, size_t count)
{
    cache->own_count += count;
}

/* The two spans of a layer, the tail with `fresh` positions that are written but not counted yet. */
void pl_kv_cache_spans(const pl_kv_cache *cache, size_t layer, size_t fresh, pl_kv_span spans[2]);

#endif
