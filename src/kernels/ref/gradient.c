/*
 * Gradients of norms, activations, soft-cap, rotary and cross-entropy, and
 * dropout, over one vector, in plain C: the definition of correct. Long sums
 * run in double. Derivatives by hand from the forward in ref/vector.c.
 */
#include "kernels/ref/ref.h"

#include <math.h>

/* With u = (x - mean) / deviation and g = scale dy: dx = (g - mean(g) - u mean(g u)) / deviation. */
void pl_layernorm_backward_ref(size_t n, const float *x, const float *scale, float eps, const float *dy, float *dx, float *dscale, float *dbias)
{
    double variance, g_mean = 0, gu_mean = 0;
    const double mean = pl_mean_ref(n, x, &variance);
    const double inverse = 1 / sqrt(variance + (double)eps);
    for (size_t i = 0; i < n; i++) {
        const double g = (double)scale[i] * (double)dy[i], u = ((double)x[i] - mean) * inverse;
        g_mean += g / (double)n;
        gu_mean += g * u / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        const double g = (double)scale[i] * (double)dy[i], u = ((double)x[i] - mean) * inverse;
        if (dx)
            dx[i] += (float)((g - g_mean - u * gu_mean) * inverse);
        if (dscale)
            dscale[i] += dy[i] * (float)u;
        if (dbias)
            dbias[i] += dy[i];
    }
}

/* As layernorm's, without a mean. */
void pl_rmsnorm_backward_ref(size_t n, const float *x, const float *scale, float offset, float eps, const float *dy, float *dx, float *dscale)
{
    double square = 0, gu_mean = 0;
    for (size_t i = 0; i < n; i++)
        square += (double)x[i] * (double)x[i];
    const double inverse = 1 / sqrt(square / (double)n + (double)eps);
    for (size_t i = 0; i < n; i++)
        gu_mean += (double)(offset + scale[i]) * (double)dy[i] * (double)x[i] * inverse / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double u = (double)x[i] * inverse;
        if (dx)
            dx[i] += (float)(((double)(offset + scale[i]) * (double)dy[i] - u * gu_mean) * inverse);
        if (dscale)
            dscale[i] += dy[i] * (float)u;
    }
}

/* gelu_tanh(x) = x s and its slope s + x s'; simd/math.h says why in this form. */
static float gelu_slope(float x, float *s)
{
    const float twice_sqrt_2_over_pi = 1.59576912160573071f;
    x = x < -10 ? -10 : x > 10 ? 10 : x;
    const float e = expf(-twice_sqrt_2_over_pi * (x + 0.044715f * x * x * x));
    *s = 1 / (1 + e);
    return *s + x * twice_sqrt_2_over_pi * (1 + 3 * 0.044715f * x * x) * (e * *s) * *s;
}

void pl_gelu_backward_ref(size_t n, const float *x, const float *dy, float *dx)
{
    float s = 0;
    for (size_t i = 0; i < n; i++)
        dx[i] += gelu_slope(x[i], &s) * dy[i];
}

void pl_geglu_backward_ref(size_t n, const float *gate, const float *up, const float *dy, float *dgate, float *dup)
{
    for (size_t i = 0; i < n; i++) {
        float s = 0;
        const float slope = gelu_slope(gate[i], &s);
        if (dgate)
            dgate[i] += slope * up[i] * dy[i];
        if (dup)
            dup[i] += gate[i] * s * dy[i];
    }
}

void pl_softcap_backward_ref(size_t n, float cap, const float *y, float *d)
{
    for (size_t i = 0; i < n; i++) {
        const float tanh_of_it = y[i] / cap;
        d[i] *= fmaf(-tanh_of_it, tanh_of_it, 1);
    }
}

void pl_rope_backward_ref(size_t half, const float *cosine, const float *sine, float *x)
{
    for (size_t i = 0; i < half; i++) {
        const float first = x[i], second = x[half + i];
        x[i] = first * cosine[i] + second * sine[i];
        x[half + i] = second * cosine[i] - first * sine[i];
    }
}

double pl_sum_ref(size_t n, const float *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

double pl_exp_sum_ref(size_t n, float shift, const float *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)expf(x[i] - shift);
    return sum;
}

void pl_add_exp_ref(size_t n, float factor, float shift, float constant, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += fmaf(factor, expf(x[i] - shift), constant);
}

static uint32_t hash_round(uint32_t h)
{
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ h >> 16;
}

void pl_dropout_ref(size_t n, uint64_t key, uint32_t threshold, float scale, float *x)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t h = hash_round(hash_round((uint32_t)i + (uint32_t)key) + (uint32_t)(key >> 32));
        x[i] = h < threshold ? 0 : x[i] * scale;
    }
}
