/*
 * Gradients of norms, activations, soft-cap, rotary and cross-entropy, and
 * dropout, over one vector, once for every instruction set: each loop takes
 * whole vectors, then one partial one. Formulas: kernels/ref/gradient.c.
 */
#ifndef PL_KERNELS_SIMD_GRADIENT_H
#define PL_KERNELS_SIMD_GRADIENT_H

#include <string.h>

/* p += x */
static inline void put_sum(float *p, size_t left, vf x)
{
    put(p, left, vf_add(take(p, left, 0), x));
}

/* p += a * b, rounded once */
static inline void put_fma(float *p, size_t left, vf a, vf b)
{
    put(p, left, vf_fma(a, b, take(p, left, 0)));
}

static void PL_SIMD(layernorm_backward)(size_t n, const float *x, const float *scale, float eps, const float *dy, float *dx, float *dscale, float *dbias)
{
    const float mean = sum_of(n, x) / (float)n;
    const float inverse = 1 / sqrtf(sum_of_squares(n, x, mean) / (float)n + eps);
    vf g_sum = vf_zero(), gu_sum = vf_zero();
    for (size_t i = 0; dx && i < n; i += VF) {
        const size_t left = n - i;
        const vf g = vf_mul(take(scale + i, left, 0), take(dy + i, left, 0));
        g_sum = vf_add(g_sum, g);
        gu_sum = vf_fma(g, vf_mul(vf_sub(take(x + i, left, 0), vf_set(mean)), vf_set(inverse)), gu_sum);
    }
    const vf g_mean = vf_set(vf_sum(g_sum) / (float)n), minus_gu_mean = vf_set(-vf_sum(gu_sum) / (float)n);
    for (size_t i = 0; i < n; i += VF) {
        const size_t left = n - i;
        const vf d = take(dy + i, left, 0), u = vf_mul(vf_sub(take(x + i, left, 0), vf_set(mean)), vf_set(inverse));
        if (dx)
            put_fma(dx + i, left, vf_fma(u, minus_gu_mean, vf_sub(vf_mul(take(scale + i, left, 0), d), g_mean)), vf_set(inverse));
        if (dscale)
            put_fma(dscale + i, left, d, u);
        if (dbias)
            put_sum(dbias + i, left, d);
    }
}

static void PL_SIMD(rmsnorm_backward)(size_t n, const float *x, const float *scale, float offset, float eps, const float *dy, float *dx, float *dscale)
{
    const vf inverse = vf_set(1 / sqrtf(sum_of_squares(n, x, 0) / (float)n + eps));
    vf gu_sum = vf_zero();
    for (size_t i = 0; dx && i < n; i += VF) {
        const size_t left = n - i;
        const vf g = vf_mul(vf_add(vf_set(offset), take(scale + i, left, 0)), take(dy + i, left, 0));
        gu_sum = vf_fma(g, vf_mul(take(x + i, left, 0), inverse), gu_sum);
    }
    const vf minus_gu_mean = vf_set(-vf_sum(gu_sum) / (float)n);
    for (size_t i = 0; i < n; i += VF) {
        const size_t left = n - i;
        const vf d = take(dy + i, left, 0), u = vf_mul(take(x + i, left, 0), inverse);
        if (dx)
            put_fma(dx + i, left, vf_fma(u, minus_gu_mean, vf_mul(vf_add(vf_set(offset), take(scale + i, left, 0)), d)), inverse);
        if (dscale)
            put_fma(dscale + i, left, d, u);
    }
}

static void PL_SIMD(gelu_backward)(size_t n, const float *x, const float *dy, float *dx)
{
    vf s;
    for (size_t i = 0; i < n; i += VF)
        put_fma(dx + i, n - i, vf_gelu_slope(take(x + i, n - i, 0), &s), take(dy + i, n - i, 0));
}

static void PL_SIMD(geglu_backward)(size_t n, const float *gate, const float *up, const float *dy, float *dgate, float *dup)
{
    for (size_t i = 0; i < n; i += VF) {
        const size_t left = n - i;
        const vf x = take(gate + i, left, 0), d = take(dy + i, left, 0);
        vf s;
        const vf slope = vf_gelu_slope(x, &s);
        if (dgate)
            put_fma(dgate + i, left, vf_mul(slope, take(up + i, left, 0)), d);
        if (dup)
            put_fma(dup + i, left, vf_mul(x, s), d);
    }
}

static void PL_SIMD(softcap_backward)(size_t n, float cap, const float *y, float *d)
{
    for (size_t i = 0; i < n; i += VF) {
        const vf t = vf_div(take(y + i, n - i, 0), vf_set(cap));
        put(d + i, n - i, vf_mul(take(d + i, n - i, 0), vf_fma(vf_sub(vf_zero(), t), t, vf_set(1))));
    }
}

static void PL_SIMD(rope_backward)(size_t half, const float *cosine, const float *sine, float *x)
{
    for (size_t i = 0; i < half; i += VF) {
        const size_t left = half - i;
        const vf first = take(x + i, left, 0), second = take(x + half + i, left, 0);
        const vf c = take(cosine + i, left, 0), s = take(sine + i, left, 0);
        put(x + i, left, vf_fma(first, c, vf_mul(second, s)));
        put(x + half + i, left, vf_sub(vf_mul(second, c), vf_mul(first, s)));
    }
}

/* Chains of a vocabulary's length would lose bits: f32 sums over so many values are added up in double. */
enum { SUM_RUN = 1024 };

static double PL_SIMD(sum)(size_t n, const float *x)
{
    double total = 0;
    for (size_t i = 0; i < n; i += SUM_RUN)
        total += (double)sum_of(n - i < SUM_RUN ? n - i : SUM_RUN, x + i);
    return total;
}

static double PL_SIMD(exp_sum)(size_t n, float shift, const float *x)
{
    double total = 0;
    for (size_t first = 0; first < n; first += SUM_RUN) {
        const size_t end = n - first < SUM_RUN ? n : first + SUM_RUN;
        vf sum = vf_zero();
        for (size_t i = first; i < end; i += VF)
            sum = vf_add(sum, vf_exp(vf_sub(take(x + i, end - i, -INFINITY), vf_set(shift))));
        total += (double)vf_sum(sum);
    }
    return total;
}

static void PL_SIMD(add_exp)(size_t n, float factor, float shift, float constant, const float *x, float *y)
{
    for (size_t i = 0; i < n; i += VF)
        put_sum(y + i, n - i, vf_fma(vf_set(factor), vf_exp(vf_sub(take(x + i, n - i, 0), vf_set(shift))), vf_set(constant)));
}

/* Whole numbers without a sign, as the compiler's vectors: no level needs a word of its own for them. */
typedef uint32_t vu __attribute__((vector_size(VF * sizeof(uint32_t))));

static inline vu hash_round(vu h)
{
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ h >> 16;
}

static void PL_SIMD(dropout)(size_t n, uint64_t key, uint32_t threshold, float scale, float *x)
{
    vu counter;
    for (uint32_t lane = 0; lane < VF; lane++)
        counter[lane] = (uint32_t)key + lane;
    for (size_t i = 0; i < n; i += VF) {
        const vu h = hash_round(hash_round(counter) + (uint32_t)(key >> 32));
        const vf scaled = vf_mul(take(x + i, n - i, 0), vf_set(scale));
        put(x + i, n - i, (vf)((vu)scaled & (vu)(h >= threshold)));
        counter += VF;
    }
}

#endif
