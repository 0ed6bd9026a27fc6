/*
 * Rotary position embedding, half-split form (Su et al. 2021; Gemma). Angles
 * are f32 products of f32 frequencies, as in transformers: computing them more
 * exactly would move late positions away from what the weights were run with.
 */
#include "ops/ops.h"

#include <math.h>

typedef struct angle_job {
    const uint32_t *positions;
    size_t half;
    float base;
    float *cosine, *sine;
} angle_job;

static void angles_of_row(void *context, size_t t, size_t thread)
{
    (void)thread;
    const angle_job *job = context;
    const float position = (float)job->positions[t];
    for (size_t i = 0; i < job->half; i++) {
        const float frequency = 1.0f / (float)pow(job->base, (double)((float)i / (float)job->half));
        const float angle = position * frequency;
        job->cosine[t * job->half + i] = cosf(angle);
        job->sine[t * job->half + i] = sinf(angle);
    }
}

void pl_op_rope_angles(pl_context *ctx, const uint32_t *positions, size_t count, size_t half, float base, float *cosine, float *sine)
{
    angle_job job = {.positions = positions, .half = half, .base = base, .cosine = cosine, .sine = sine};
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, count, angles_of_row, &job);
}

typedef struct rope_job {
    const pl_kernels *kernels;
    const float *cosine, *sine;
    size_t half;
    pl_rows x;
} rope_job;

static void rotate_row(void *context, size_t t, size_t thread)
{
    (void)thread;
    const rope_job *job = context;
    for (size_t i = 0; i < job->x.width; i += 2 * job->half)
        job->kernels->rope(job->half, job->cosine + t * job->half, job->sine + t * job->half, job->x.data + t * job->x.width + i);
}

void pl_op_rope_inplace(pl_context *ctx, const float *cosine, const float *sine, size_t half, pl_rows x)
{
    rope_job job = {.kernels = ctx->kernels, .cosine = cosine, .sine = sine, .half = half, .x = x};
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, x.count, rotate_row, &job);
}
