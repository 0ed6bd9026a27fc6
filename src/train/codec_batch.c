/* Masks as they are, warped, and made up: a task each. */
#include "train/codec_batch.h"

#include "base/random.h"

#include <math.h>

enum { SIDE = PL_CODEC_SIDE, NOISE = 5 };

typedef struct batch_job {
    const pl_mask_pool *masks;
    uint64_t key;
    size_t count;
    float *maps;
} batch_job;

uint64_t pl_codec_step_key(uint64_t seed, uint64_t step)
{
    return pl_random_key(pl_random_key(seed, 0x636f646563), step);
}

/* Any mask. */
static const uint8_t *pick(const pl_mask_pool *masks, uint64_t key)
{
    return masks->maps + (size_t)(pl_random_bits(key, 0) % masks->count) * PL_CODEC_MAP;
}

static void plain(const uint8_t *mask, float *map)
{
    for (size_t i = 0; i < PL_CODEC_MAP; i++)
        map[i] = (float)mask[i] / 127.5f - 1;
}

/* What is at (x, y) between the centres of pixels, 0..255; 0 outside. */
static float sample(const uint8_t *mask, float x, float y)
{
    const float left = floorf(x), top = floorf(y), right = x - left, below = y - top;
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        const float u = left + (float)(i % 2), v = top + (float)(i / 2);
        if (u >= 0 && v >= 0 && u < SIDE && v < SIDE)
            sum += (i % 2 ? right : 1 - right) * (i / 2 ? below : 1 - below) * (float)mask[(size_t)v * SIDE + (size_t)u];
    }
    return sum;
}

/* A random affine view; outside is background. Sides are -1 to 1. */
static void warped(const uint8_t *mask, uint64_t key, float *map)
{
    const float turn = (float)((2 * pl_random_uniform(key, 1) - 1) * 3.14159265358979);
    const float wide = (float)exp((pl_random_uniform(key, 2) - 0.4) * 0.6), high = (float)exp((pl_random_uniform(key, 3) - 0.4) * 0.6);
    const float shear = (float)(pl_random_uniform(key, 4) - 0.5) * 0.5f, c = cosf(turn), s = sinf(turn);
    const float across = (float)(pl_random_uniform(key, 5) - 0.5) * 0.5f, down = (float)(pl_random_uniform(key, 6) - 0.5) * 0.5f;
    for (size_t v = 0; v < SIDE; v++)
        for (size_t u = 0; u < SIDE; u++) {
            const float x = (2 * (float)u + 1) / SIDE - 1, y = (2 * (float)v + 1) / SIDE - 1;
            const float from_x = c * wide * x + (shear * c - s) * high * y + across, from_y = s * wide * x + (shear * s + c) * high * y + down;
            map[v * SIDE + u] = sample(mask, ((from_x + 1) * SIDE - 1) / 2, ((from_y + 1) * SIDE - 1) / 2) / 127.5f - 1;
        }
}

/* Weights of the four points around one that is t behind the second (Keys 1981, a = -0.75). */
static void cubic(float t, float weights[4])
{
    const float a = -0.75f;
    for (int i = 0; i < 4; i++) {
        const float d = fabsf(t + 1 - (float)i);
        weights[i] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}

static int within(int i)
{
    return i < 0 ? 0 : i < NOISE ? i : NOISE - 1;
}

/* Smooth noise on a hill, cut sharply: fills about half of the square. */
static void blob(uint64_t key, float *map)
{
    float noise[NOISE * NOISE], across[NOISE][SIDE];
    for (size_t i = 0; i < NOISE * NOISE; i++)
        noise[i] = (float)pl_random_normal(key, i);
    for (size_t u = 0; u < SIDE; u++) {
        const float x = (float)u * (NOISE - 1) / (SIDE - 1);
        float weights[4];
        cubic(x - floorf(x), weights);
        for (size_t row = 0; row < NOISE; row++) {
            across[row][u] = 0;
            for (int i = 0; i < 4; i++)
                across[row][u] += weights[i] * noise[row * NOISE + (size_t)within((int)x + i - 1)];
        }
    }
    for (size_t v = 0; v < SIDE; v++) {
        const float y = (float)v * (NOISE - 1) / (SIDE - 1), line_y = 2 * (float)v / (SIDE - 1) - 1;
        float weights[4];
        cubic(y - floorf(y), weights);
        for (size_t u = 0; u < SIDE; u++) {
            const float line_x = 2 * (float)u / (SIDE - 1) - 1;
            float smooth = 0;
            for (int i = 0; i < 4; i++)
                smooth += weights[i] * across[within((int)y + i - 1)][u];
            map[v * SIDE + u] = fmaxf(-1, fminf(1, (0.7f * smooth + 0.9f - 1.6f * (line_x * line_x + line_y * line_y)) * 8));
        }
    }
}

static void make_task(void *context, size_t task, size_t thread)
{
    const batch_job *job = context;
    const uint64_t key = pl_random_key(job->key, task);
    float *map = job->maps + task * PL_CODEC_MAP;
    (void)thread;
    if (task * 4 >= job->count * 3)
        blob(key, map);
    else if (task * 2 >= job->count)
        warped(pick(job->masks, key), key, map);
    else
        plain(pick(job->masks, key), map);
}

void pl_codec_batch(const pl_mask_pool *masks, uint64_t seed, uint64_t step, size_t count, const pl_hands *hands, float *maps)
{
    batch_job job = {.masks = masks, .key = pl_codec_step_key(seed, step), .count = count, .maps = maps};
    pl_pool_run(hands->pool, count, make_task, &job);
}
