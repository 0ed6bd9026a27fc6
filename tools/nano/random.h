/* random.h - the one source of chance in the scene generator.
 *
 * SplitMix64 (Steele, Lea, Flood 2014): a 64-bit counter and a mixing function. One stream a scene, so that scene
 * number i of a seed is the same picture whatever was drawn before it. */
#ifndef PALI_TOOLS_NANO_RANDOM_H
#define PALI_TOOLS_NANO_RANDOM_H

#include <stdint.h>

typedef struct scene_random {
    uint64_t state;
} scene_random;

static inline uint64_t random_next(scene_random *const r)
{
    uint64_t z = (r->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Uniform in [0, 1). */
static inline double random_unit(scene_random *const r)
{
    return (double)(random_next(r) >> 11) * 0x1.0p-53;
}

/* Uniform in [lo, hi). */
static inline double random_between(scene_random *const r, const double lo, const double hi)
{
    return lo + (hi - lo) * random_unit(r);
}

/* Uniform in 0 .. n-1; the bias of the remainder is below 2^-50 for the small n used here. */
static inline int random_below(scene_random *const r, const int n)
{
    return (int)(random_next(r) % (uint64_t)n);
}

static inline int random_chance(scene_random *const r, const double probability)
{
    return random_unit(r) < probability;
}

#endif
