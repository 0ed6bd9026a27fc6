/* See distribution.h. */
#include "train/distribution.h"

#include "base/random.h"
#include "base/text.h"

#include <math.h>

enum { PIECE = 1 << 14 /* values of a task */ };

pl_distribution pl_distribution_of_vision(const pl_weight *weight, double in, double out)
{
    switch (weight->target) {
    case PL_TARGET_VECTOR:
        return (pl_distribution){PL_DISTRIBUTION_CONSTANT, pl_ends_with(weight->name, ".weight") ? 1 : 0};
    case PL_TARGET_BIAS:
        return pl_starts_with(weight->name, "mlp.") ? (pl_distribution){PL_DISTRIBUTION_NORMAL, 1e-6} : (pl_distribution){PL_DISTRIBUTION_CONSTANT, 0};
    case PL_TARGET_TENSOR:
        return (pl_distribution){PL_DISTRIBUTION_NORMAL, 1 / sqrt(in)}; /* positions */
    case PL_TARGET_LINEAR:
        break;
    }
    return weight->columns == PL_DIM_PATCH ? (pl_distribution){PL_DISTRIBUTION_TRUNCATED, 1 / sqrt(in)} : (pl_distribution){PL_DISTRIBUTION_UNIFORM, sqrt(6 / (in + out))};
}

/* Normal within two deviations, of deviation 1 all the same: what lies beyond is drawn again. */
static double truncated_normal(uint64_t key, uint64_t i)
{
    double x = pl_random_normal(key, i);
    for (uint64_t again = 1; fabs(x) > 2; again++)
        x = pl_random_normal(pl_random_key(key, again), i);
    return x / 0.87962566103423978;
}

static double draw(const pl_distribution *s, uint64_t key, uint64_t i)
{
    switch (s->kind) {
    case PL_DISTRIBUTION_CONSTANT:
        break;
    case PL_DISTRIBUTION_NORMAL:
        return s->size * pl_random_normal(key, i);
    case PL_DISTRIBUTION_TRUNCATED:
        return s->size * truncated_normal(key, i);
    case PL_DISTRIBUTION_UNIFORM:
        return s->size * (2 * pl_random_uniform(key, i) - 1);
    }
    return s->size;
}

typedef struct draw_job {
    const pl_distribution *distribution;
    uint64_t key;
    size_t first, count;
    float *values; /* [count] */
} draw_job;

static void draw_piece(void *context, size_t task, size_t thread)
{
    (void)thread;
    const draw_job *job = context;
    for (size_t i = task * PIECE; i < pl_min((task + 1) * PIECE, job->count); i++)
        job->values[i] = (float)draw(job->distribution, job->key, job->first + i);
}

void pl_distribution_draw(const pl_distribution *distribution, uint64_t key, size_t first, size_t count, float *values, pl_pool *pool)
{
    draw_job job = {.distribution = distribution, .key = key, .first = first, .count = count, .values = values};
    pl_pool_run(pool, (count + PIECE - 1) / PIECE, draw_piece, &job);
}
