/* Permutations by a keyed bijection, and the order of a mixture. */
#include "train/shuffle.h"

#include "base/random.h"

enum { ROUNDS = 8 };

__extension__ typedef unsigned __int128 wide;

static uint64_t mix(uint64_t x)
{
    return pl_random_next(&x);
}

uint64_t pl_shuffle_key(uint64_t seed, uint64_t a, uint64_t b)
{
    return mix(mix(mix(seed) ^ a) ^ b);
}

/* One pass through the network: a bijection of the numbers of 2*half bits. */
static uint64_t feistel(uint64_t key, unsigned half, uint64_t x)
{
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t left = x >> half, right = x & mask;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const uint64_t next = left ^ (mix(key ^ mix(right + (round << 32))) & mask);
        left = right;
        right = next;
    }
    return left << half | right;
}

uint64_t pl_shuffle(uint64_t key, uint64_t count, uint64_t i)
{
    unsigned half = 3; /* smaller networks do not reach all permutations */
    while (half < 32 && (uint64_t)1 << 2 * half < count)
        half++;
    do /* the cycle that i is on comes back below count, to i at the latest */
        i = feistel(key, half, i);
    while (i >= count);
    return i;
}

uint64_t pl_shuffle_pick(uint64_t key, uint64_t count)
{
    return (uint64_t)((wide)mix(key) * count >> 64);
}

/*
 * Of the first `examples` of a run, how many are of each source: what is left
 * by those before is shared between it and those after, rounded down, so that
 * no count ever falls as examples grow, and all add up.
 */
static uint64_t taken(const uint32_t *shares, size_t count, size_t source, uint64_t examples)
{
    uint64_t rest = 0, left = examples, own = 0;
    for (size_t i = 0; i < count; i++)
        rest += shares[i];
    for (size_t i = 0; i <= source; i++) {
        own = rest ? (uint64_t)((wide)left * shares[i] / rest) : 0;
        left -= own;
        rest -= shares[i];
    }
    return own;
}

pl_mixture_draw pl_mixture(uint64_t seed, const uint32_t *shares, size_t count, uint64_t n)
{
    const uint64_t block = n / PL_MIXTURE_BLOCK, start = block * PL_MIXTURE_BLOCK;
    uint64_t slot = pl_shuffle(pl_shuffle_key(seed, UINT64_MAX, block), PL_MIXTURE_BLOCK, n - start);
    for (size_t i = 0;; i++) {
        const uint64_t before = taken(shares, count, i, start), here = taken(shares, count, i, start + PL_MIXTURE_BLOCK) - before;
        if (slot < here || i + 1 == count)
            return (pl_mixture_draw){.source = i, .index = before + slot};
        slot -= here;
    }
}
