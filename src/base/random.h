/*
 * Random numbers as a function of a key and a counter: the n-th is the same
 * whoever asks for it, in whatever order, on however many threads. The mix is
 * splitmix64's (Steele, Lea & Flood 2014).
 */
#ifndef PL_BASE_RANDOM_H
#define PL_BASE_RANDOM_H

#include <math.h>
#include <stdint.h>

static inline uint64_t pl_random_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* The same as a stream of its own: the next 64 bits. */
static inline uint64_t pl_random_next(uint64_t *state)
{
    return pl_random_mix(*state += 0x9e3779b97f4a7c15u);
}

/* 64 random bits. */
static inline uint64_t pl_random_bits(uint64_t key, uint64_t counter)
{
    return pl_random_mix(pl_random_mix(key) + (counter + 1) * 0x9e3779b97f4a7c15u);
}

/* A key for one of many streams, such as that of one tensor by the hash of its name. */
static inline uint64_t pl_random_key(uint64_t key, uint64_t stream)
{
    return pl_random_bits(key, ~stream);
}

/* Within (0, 1), never an end. */
static inline double pl_random_uniform(uint64_t key, uint64_t counter)
{
    return ((double)(pl_random_bits(key, counter) >> 11) + 0.5) * 0x1p-53;
}

/* Mean 0, deviation 1 (Box & Muller 1958). */
static inline double pl_random_normal(uint64_t key, uint64_t counter)
{
    const double radius = sqrt(-2 * log(pl_random_uniform(key, 2 * counter)));
    return radius * cos(6.283185307179586 * pl_random_uniform(key, 2 * counter + 1));
}

#endif
