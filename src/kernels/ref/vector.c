/*
 * Norms, activations, softmax, rotary and searches over one vector, in plain
 * C: the definition of correct. Long sums run in double and round once.
 * Formulas: SigLIP and Gemma as published (big_vision, models/vit.py,
 * models/ppp/gemma.py).
 */
#include "kernels/ref/ref.h"

#include <math.h>

void pl_layernorm_ref(size_t n, const float *x, const float *scale, const float *bias, float eps, float *y)
{
    double variance;
    const double mean = pl_mean_ref(n, x, &variance);
    const double inverse = 1 / sqrt(variance + (double)eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(((double)x[i] - mean) * inverse) * scale[i] + bias[i];
}

void pl_rmsnorm_ref(size_t n, const float *x, const float *scale, float offset, float eps, float *y)
{
    double square = 0;
    for (size_t i = 0; i < n; i++)
        square += (double)x[i] * (double)x[i];
    const float inverse = (float)(1 / sqrt(square / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * inverse * (offset + scale[i]);
}

static float gelu(float x)
{
    const float sqrt_2_over_pi = 0.797884560802865356f;
    return 0.5f * x * (1 + tanhf(sqrt_2_over_pi * (x + 0.044715f * x * x * x)));
}

void pl_gelu_ref(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = gelu(x[i]);
}

void pl_geglu_ref(size_t n, const float *gate, const float *up, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = gelu(gate[i]) * up[i];
}

void pl_softcap_ref(size_t n, float cap, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = cap * tanhf(x[i] / cap);
}

void pl_affine_ref(size_t n, const float *scale, const float *bias, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = fmaf(y[i], scale ? scale[i] : 1, bias ? bias[i] : 0);
}

void pl_add_ref(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

void pl_axpy_ref(size_t n, float a, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = fmaf(a, x[i], y[i]);
}

void pl_scale_ref(size_t n, float a, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= a;
}

/* A maximum that is still -INFINITY is taken as 0, so that nothing visible gives exp(-INFINITY) = 0. */
float pl_softmax_step_ref(size_t n, float *scores, float *maximum, float *sum)
{
    const float old = *maximum;
    float max = old;
    for (size_t i = 0; i < n; i++)
        if (scores[i] > max)
            max = scores[i];
    const float base = max == -INFINITY ? 0 : max;
    const float factor = expf(old - base);
    double block = 0;
    for (size_t i = 0; i < n; i++) {
        scores[i] = expf(scores[i] - base);
        block += (double)scores[i];
    }
    *maximum = max;
    *sum = *sum * factor + (float)block;
    return factor;
}

void pl_softmax_backward_ref(size_t n, float cap, float maximum, float inverse, float delta, float *s, float *d)
{
    for (size_t i = 0; i < n; i++) {
        const float t = cap > 0 ? tanhf(s[i] / cap) : 0, score = cap > 0 ? cap * t : s[i];
        s[i] = expf(score - maximum) * inverse;
        d[i] = s[i] * (d[i] - delta) * (1 - t * t);
    }
}

void pl_transpose_ref(size_t rows, size_t columns, const float *x, size_t x_stride, float *y, size_t y_stride)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            y[c * y_stride + r] = x[r * x_stride + c];
}

void pl_rope_ref(size_t half, const float *cosine, const float *sine, float *x)
{
    for (size_t i = 0; i < half; i++) {
        const float first = x[i], second = x[half + i];
        x[i] = first * cosine[i] - second * sine[i];
        x[half + i] = second * cosine[i] + first * sine[i];
    }
}

size_t pl_argmax_ref(size_t n, const float *x)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i])))
            best = i;
    return best;
}

void pl_adam_ref(size_t n, const pl_adam_step *step, const float *gradient, float *mean, float *square, float *value)
{
    for (size_t i = 0; i < n; i++) {
        const float g = step->scale * gradient[i];
        mean[i] = fmaf(step->fresh1, g - mean[i], mean[i]);
        square[i] = fmaf(step->fresh2 * g, g, step->beta2 * square[i]);
        value[i] -= fmaf(step->decay, value[i], step->rate * (mean[i] / fmaf(step->root, sqrtf(square[i]), step->eps)));
    }
}

bool pl_all_finite_ref(size_t n, const float *x)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}
