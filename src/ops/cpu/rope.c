/*
 * Rotary position embedding, half-split form (Su et al. 2021; Gemma). Angles
 * are f32 products of f32 frequencies, as in transformers: computing them more
 * exactly would move late positions away from what the weights were run with.
 */
#include "ops/cpu/rows.h"

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

static void turn(const pl_row_job *job, pl_rope_fn *rope, pl_rows x, size_t t)
{
    for (size_t i = 0; i < x.width; i += 2 * job->half)
        rope(job->half, job->cosine + t * job->half, job->sine + t * job->half, pl_row_of(x, t) + i);
}

static void rope_row(const pl_row_job *job, size_t t)
{
    turn(job, job->kernels->rope, job->y, t);
}

static void turn_back_row(const pl_row_job *job, size_t t)
{
    turn(job, job->kernels->rope_backward, job->dy, t);
}

/* A rotation's transpose is the rotation back. */
void pl_rope_backward(pl_context *ctx, const void *record)
{
    pl_row_job job = *(const pl_row_job *)record;
    job.dy = pl_gradient(ctx, job.y);
    if (job.dy.data)
        pl_each_row(ctx, turn_back_row, job);
}

void pl_op_rope_inplace(pl_context *ctx, const float *cosine, const float *sine, size_t half, pl_rows x)
{
    pl_row_op(ctx, rope_row, pl_rope_backward, (pl_row_job){.cosine = cosine, .sine = sine, .half = half, .y = x});
}
