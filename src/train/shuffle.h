/*
 * Order at random that needs no memory: where a number goes in a permutation
 * is computed, not looked up. A Feistel network over the smallest even number
 * of bits that holds the count, walked until it lands below the count (Black
 * and Rogaway 2002, "Ciphers with arbitrary finite domains"), keyed by
 * splitmix64 of the seed and of what the permutation is for.
 */
#ifndef PL_TRAIN_SHUFFLE_H
#define PL_TRAIN_SHUFFLE_H

#include "base/memory.h"

/* A key for (seed, a, b): keys of different arguments have nothing in common. */
uint64_t pl_shuffle_key(uint64_t seed, uint64_t a, uint64_t b);

/* Where i goes in a permutation of 0 .. count - 1; i < count. */
uint64_t pl_shuffle(uint64_t key, uint64_t count, uint64_t i);

/* A number below count, each as likely as the others. */
uint64_t pl_shuffle_pick(uint64_t key, uint64_t count);

/* Sources are mixed in blocks of so many examples, each block with all sources' shares. */
enum { PL_MIXTURE_BLOCK = 64 };

/* Which source example n is of, and how many examples of it came before; shares [count], whole, not all 0. */
typedef struct pl_mixture_draw {
    size_t source;
    uint64_t index;
} pl_mixture_draw;
pl_mixture_draw pl_mixture(uint64_t seed, const uint32_t *shares, size_t count, uint64_t n);

#endif
