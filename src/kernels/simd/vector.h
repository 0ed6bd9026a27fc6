/*
 * Norms, activations, softmax, rotary and searches over one vector, once for
 * every instruction set: each loop takes whole vectors, then one partial one.
 */
#ifndef PL_KERNELS_SIMD_VECTOR_H
#define PL_KERNELS_SIMD_VECTOR_H

#include <math.h>

/* The vector at p, when fewer than VF values are left padded with `fill`. */
static inline vf take(const float *p, size_t left, float fill)
{
    return left >= VF ? vf_load(p) : vf_load_first(p, left, vf_set(fill));
}

static inline void put(float *p, size_t left, vf x)
{
    if (left >= VF)
        vf_store(p, x);
    else
        vf_store_first(p, left, x);
}

static inline float sum_of(size_t n, const float *x)
{
    vf sum = vf_zero();
    for (size_t i = 0; i < n; i += VF)
        sum = vf_add(sum, take(x + i, n - i, 0));
    return vf_sum(sum);
}

/* sum of (x[i] - shift)^2 */
static inline float sum_of_squares(size_t n, const float *x, float shift)
{
    vf sum = vf_zero();
    for (size_t i = 0; i < n; i += VF) {
        const vf d = vf_sub(take(x + i, n - i, shift), vf_set(shift));
        sum = vf_fma(d, d, sum);
    }
    return vf_sum(sum);
}

static void PL_SIMD(layernorm)(size_t n, const float *x, const float *scale, const float *bias, float eps, float *y)
{
    const float mean = sum_of(n, x) / (float)n;
    const float variance = sum_of_squares(n, x, mean) / (float)n;
    const vf inverse = vf_set(1 / sqrtf(variance + eps));
    for (size_t i = 0; i < n; i += VF) {
        const size_t left = n - i;
        const vf unit = vf_mul(vf_sub(take(x + i, left, 0), vf_set(mean)), inverse);
        put(y + i, left, vf_fma(unit, take(scale + i, left, 0), take(bias + i, left, 0)));
    }
}

static void PL_SIMD(rmsnorm)(size_t n, const float *x, const float *scale, float offset, float eps, float *y)
{
    const vf inverse = vf_set(1 / sqrtf(sum_of_squares(n, x, 0) / (float)n + eps));
    for (size_t i = 0; i < n; i += VF) {
        const size_t left = n - i;
        const vf weight = vf_add(vf_set(offset), take(scale + i, left, 0));
        put(y + i, left, vf_mul(vf_mul(take(x + i, left, 0), inverse), weight));
    }
}

static void PL_SIMD(gelu)(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i += VF)
        put(y + i, n - i, vf_gelu(take(x + i, n - i, 0)));
}

static void PL_SIMD(geglu)(size_t n, const float *gate, const float *up, float *y)
{
    for (size_t i = 0; i < n; i += VF)
        put(y + i, n - i, vf_mul(vf_gelu(take(gate + i, n - i, 0)), take(up + i, n - i, 0)));
}

static void PL_SIMD(softcap)(size_t n, float cap, float *x)
{
    for (size_t i = 0; i < n; i += VF)
        put(x + i, n - i, vf_mul(vf_set(cap), vf_tanh(vf_div(take(x + i, n - i, 0), vf_set(cap)))));
}

static void PL_SIMD(affine)(size_t n, const float *scale, const float *bias, float *y)
{
    for (size_t i = 0; i < n; i += VF) {
        const size_t left = n - i;
        const vf factor = scale ? take(scale + i, left, 0) : vf_set(1), shift = bias ? take(bias + i, left, 0) : vf_zero();
        put(y + i, left, vf_fma(take(y + i, left, 0), factor, shift));
    }
}

static void PL_SIMD(add)(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i += VF)
        put(y + i, n - i, vf_add(take(y + i, n - i, 0), take(x + i, n - i, 0)));
}

static void PL_SIMD(axpy)(size_t n, float a, const float *x, float *y)
{
    for (size_t i = 0; i < n; i += VF)
        put(y + i, n - i, vf_fma(vf_set(a), take(x + i, n - i, 0), take(y + i, n - i, 0)));
}

static void PL_SIMD(scale)(size_t n, float a, float *y)
{
    for (size_t i = 0; i < n; i += VF)
        put(y + i, n - i, vf_mul(vf_set(a), take(y + i, n - i, 0)));
}

/* The largest value, -INFINITY when there is none; NaN is passed over. */
static inline float largest(size_t n, const float *x)
{
    vf max = vf_set(-INFINITY);
    for (size_t i = 0; i < n; i += VF)
        max = vf_max(take(x + i, n - i, -INFINITY), max);
    return vf_largest(max);
}

/* See pl_softmax_step_ref for a maximum of -INFINITY. */
static float PL_SIMD(softmax_step)(size_t n, float *scores, float *maximum, float *sum)
{
    const float old = *maximum, found = largest(n, scores);
    const float max = found > old ? found : old;
    const float base = max == -INFINITY ? 0 : max;
    vf total = vf_zero();
    for (size_t i = 0; i < n; i += VF) {
        const vf e = vf_exp(vf_sub(take(scores + i, n - i, -INFINITY), vf_set(base)));
        put(scores + i, n - i, e);
        total = vf_add(total, e);
    }
    const float factor = expf(old - base);
    *maximum = max;
    *sum = *sum * factor + vf_sum(total);
    return factor;
}

static void PL_SIMD(softmax_backward)(size_t n, float cap, float maximum, float inverse, float delta, float *s, float *d)
{
    for (size_t i = 0; i < n; i += VF) {
        const size_t left = n - i;
        vf score = take(s + i, left, 0), slope = vf_set(1);
        if (cap > 0) {
            const vf t = vf_tanh(vf_div(score, vf_set(cap)));
            score = vf_mul(vf_set(cap), t);
            slope = vf_sub(slope, vf_mul(t, t));
        }
        const vf p = vf_mul(vf_exp(vf_sub(score, vf_set(maximum))), vf_set(inverse));
        put(s + i, left, p);
        put(d + i, left, vf_mul(vf_mul(p, vf_sub(take(d + i, left, 0), vf_set(delta))), slope));
    }
}

/* A square of VF x VF at a time. */
static void PL_SIMD(transpose)(size_t rows, size_t columns, const float *x, size_t x_stride, float *y, size_t y_stride)
{
    for (size_t r = 0; r < rows; r += VF)
        for (size_t c = 0; c < columns; c += VF) {
            const size_t below = rows - r, right = columns - c;
            vf square[VF];
            UNROLL
            for (size_t i = 0; i < VF; i++)
                square[i] = i < below ? take(x + (r + i) * x_stride + c, right, 0) : vf_zero();
            vf_transpose(square);
            UNROLL
            for (size_t i = 0; i < VF; i++)
                if (i < right)
                    put(y + (c + i) * y_stride + r, below, square[i]);
        }
}

static void PL_SIMD(rope)(size_t half, const float *cosine, const float *sine, float *x)
{
    for (size_t i = 0; i < half; i += VF) {
        const size_t left = half - i;
        const vf first = take(x + i, left, 0), second = take(x + half + i, left, 0);
        const vf c = take(cosine + i, left, 0), s = take(sine + i, left, 0);
        put(x + i, left, vf_sub(vf_mul(first, c), vf_mul(second, s)));
        put(x + half + i, left, vf_fma(second, c, vf_mul(first, s)));
    }
}

/* Two passes, the value and then its first place: both stay in cache, and no lane keeps an index. */
static size_t PL_SIMD(argmax)(size_t n, const float *x)
{
    const vf max = vf_set(largest(n, x));
    for (size_t i = 0; i < n; i += VF) {
        const unsigned equal = vf_equal_bits(take(x + i, n - i, NAN), max);
        if (equal != 0)
            return i + (size_t)__builtin_ctz(equal);
    }
    return 0; /* all NaN */
}

/* 0 times anything finite is 0, times infinity or NaN it is NaN, which stays. */
static bool PL_SIMD(all_finite)(size_t n, const float *x)
{
    vf sum = vf_zero();
    for (size_t i = 0; i < n; i += VF)
        sum = vf_fma(take(x + i, n - i, 0), vf_zero(), sum);
    return vf_sum(sum) == 0;
}

static void PL_SIMD(adam)(size_t n, const pl_adam_step *step, const float *gradient, float *mean, float *square, float *value)
{
    const vf scale = vf_set(step->scale), fresh1 = vf_set(step->fresh1), beta2 = vf_set(step->beta2), fresh2 = vf_set(step->fresh2);
    const vf root = vf_set(step->root), eps = vf_set(step->eps), rate = vf_set(step->rate), decay = vf_set(step->decay);
    for (size_t i = 0; i < n; i += VF) {
        const size_t left = n - i;
        const vf g = vf_mul(scale, take(gradient + i, left, 0)), old = take(mean + i, left, 0), x = take(value + i, left, 0);
        const vf m = vf_fma(fresh1, vf_sub(g, old), old);
        const vf v = vf_fma(vf_mul(fresh2, g), g, vf_mul(beta2, take(square + i, left, 0)));
        const vf direction = vf_div(m, vf_fma(root, vf_sqrt(v), eps));
        put(mean + i, left, m);
        put(square + i, left, v);
        put(value + i, left, vf_sub(x, vf_fma(decay, x, vf_mul(rate, direction))));
    }
}

#endif
