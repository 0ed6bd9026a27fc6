/*
 * Norms, elementwise kernels, softmax, rotary and searches, at every length,
 * against the formula in double and the golden numbers of the published model.
 */
#include "kernels/check.h"

#include <math.h>
#include <string.h>

void check_layernorm(const pl_kernels *k)
{
    static const float x4[] = {1, 2, 3, 4}, scale4[] = {1, 1, 2, 2}, bias4[] = {0, 0.5f, 0, 0.5f};
    static const double golden[] = {-1.34164025, 0.05278658, 0.89442683, 3.1832805};
    float y4[4];
    k->layernorm(4, x4, scale4, bias4, 1e-6f, y4);
    for (size_t i = 0; i < 4; i++)
        assert_near(k, "layernorm golden", i, (double)y4[i], golden[i], 4e-7);
    double worst = 0;
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        float *const x = edge_floats(n), *const scale = edge_floats(n), *const bias = edge_floats(n), *const y = edge_floats(n);
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++)
            mean += (double)(x[i] += 0.5f) / (double)n;
        for (size_t i = 0; i < n; i++)
            variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
        k->layernorm(n, x, scale, bias, 1e-6f, y);
        for (size_t i = 0; i < n; i++) {
            /* the mean is known to 1e-7 of the values, which a small deviation magnifies */
            const double inverse = 1 / sqrt(variance + (double)1e-6f), unit = ((double)x[i] - mean) * inverse;
            const double expected = unit * (double)scale[i] + (double)bias[i];
            const double bound = (1e-6 * fabs(unit) + 3e-7 * inverse) * fabs((double)scale[i]) + 1e-7;
            assert_near(k, "layernorm", i, (double)y[i], expected, bound);
            worst = fmax(worst, fabs((double)y[i] - expected));
        }
        edge_free_all();
    }
    note_error(k, "layernorm", worst);
}

void check_rmsnorm(const pl_kernels *k)
{
    static const float x4[] = {1, 2, 3, 4}, scale4[] = {0.1f, 0.2f, 0.3f, 0.4f};
    static const double golden[] = {0.40166318, 0.87635603, 1.42407855, 2.04483075};
    float y4[4];
    k->rmsnorm(4, x4, scale4, 1, 1e-6f, y4);
    for (size_t i = 0; i < 4; i++)
        assert_near(k, "rmsnorm golden", i, (double)y4[i], golden[i], 4e-7);
    double worst = 0;
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        float *const x = edge_floats(n), *const scale = edge_floats(n);
        const float offset = l % 2 == 0 ? 1 : 0;
        double square = 0;
        for (size_t i = 0; i < n; i++)
            square += (double)x[i] * (double)x[i] / (double)n;
        float *const y = edge_copy(n, x);
        k->rmsnorm(n, y, scale, offset, 1e-6f, y); /* in place */
        for (size_t i = 0; i < n; i++) {
            const double expected = (double)x[i] / sqrt(square + (double)1e-6f) * (double)(offset + scale[i]);
            assert_near(k, "rmsnorm", i, (double)y[i], expected, 1e-6 * fabs(expected));
            worst = fmax(worst, fabs((double)y[i] - expected) / fmax(1e-3, fabs(expected)));
        }
        edge_free_all();
    }
    note_error(k, "rmsnorm", worst);
}

void check_add(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        const float *const x = edge_floats(n);
        float *const y = edge_floats(n), *const expected = edge_copy(n, y);
        for (size_t i = 0; i < n; i++)
            expected[i] += x[i];
        k->add(n, x, y);
        assert_same(k, "add", n, y, expected);
        edge_free_all();
    }
}

void check_affine(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        const float *const scale = edge_floats(n), *const bias = edge_floats(n);
        for (int form = 0; form < 4; form++) {
            float *const y = edge_floats(n), *const expected = edge_copy(n, y);
            for (size_t i = 0; i < n; i++)
                expected[i] = fmaf(y[i], form & 1 ? scale[i] : 1, form & 2 ? bias[i] : 0);
            k->affine(n, form & 1 ? scale : NULL, form & 2 ? bias : NULL, y);
            assert_same(k, "affine", n, y, expected);
        }
        edge_free_all();
    }
}

void check_axpy(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        const float *const x = edge_floats(n);
        float *const y = edge_floats(n), *const expected = edge_copy(n, y);
        for (size_t i = 0; i < n; i++)
            expected[i] = fmaf(0.7f, x[i], expected[i]);
        k->axpy(n, 0.7f, x, y);
        assert_same(k, "axpy", n, y, expected);
        edge_free_all();
    }
}

void check_scale(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        float *const y = edge_floats(n), *const expected = edge_copy(n, y);
        for (size_t i = 0; i < n; i++)
            expected[i] *= 0.7f;
        k->scale(n, 0.7f, y);
        assert_same(k, "scale", n, y, expected);
        edge_free_all();
    }
}

void check_rope(const pl_kernels *k)
{
    static const float cosine[] = {-0.9899924966f, 0.99955003f}, sine[] = {0.1411200081f, 0.0299955f}; /* of 3 and 0.03 */
    static const double golden[] = {-1.41335252, 1.87911807, -2.82885748, 4.05819114};
    float x4[] = {1, 2, 3, 4};
    k->rope(2, cosine, sine, x4);
    for (size_t i = 0; i < 4; i++)
        assert_near(k, "rope golden", i, (double)x4[i], golden[i], 5e-7);
    for (size_t l = 0; l < length_count; l++) {
        const size_t half = lengths[l];
        const float *const c = edge_floats(half), *const s = edge_floats(half);
        float *const x = edge_floats(2 * half), *const before = edge_copy(2 * half, x);
        k->rope(half, c, s, x);
        for (size_t i = 0; i < half; i++) {
            const double first = (double)before[i], second = (double)before[half + i];
            assert_near(k, "rope", i, (double)x[i], first * (double)c[i] - second * (double)s[i], 1.5e-7);
            assert_near(k, "rope", half + i, (double)x[half + i], second * (double)c[i] + first * (double)s[i], 1.5e-7);
        }
        memcpy(x, before, 2 * half * sizeof *x);
        float *const one = edge_floats(half), *const zero = edge_floats(half);
        for (size_t i = 0; i < half; i++) {
            one[i] = 1;
            zero[i] = 0;
        }
        k->rope(half, one, zero, x); /* position 0 */
        assert_same(k, "rope at 0", 2 * half, x, before);
        edge_free_all();
    }
}

/* One row in blocks of `step` against the softmax of the whole in double. */
static void check_softmax_row(const pl_kernels *k, size_t n, size_t step, const float *scores)
{
    float *const p = edge_copy(n, scores), maximum = -INFINITY, sum = 0;
    double max = -(double)INFINITY, total = 0;
    for (size_t at = 0; at < n; at += step) {
        const size_t count = n - at < step ? n - at : step;
        const float factor = k->softmax_step(count, p + at, &maximum, &sum);
        assert_true(isfinite(factor) && isfinite(sum) && (at > 0 || factor == 0));
        k->scale(at, factor, p);
    }
    for (size_t i = 0; i < n; i++)
        max = fmax(max, (double)scores[i]);
    assert_true(max == (double)maximum);
    for (size_t i = 0; i < n; i++) {
        const double e = isinf(max) ? 0 : exp((double)scores[i] - max);
        total += e;
        /* the scores' own rounding after the subtraction, at most 2^-24 of 32, and exp's; a factor a block */
        assert_near(k, "softmax_step", i, (double)p[i], e, 4e-6 * e + 1e-37);
    }
    assert_near(k, "softmax_step sum", n, (double)sum, total, 2e-6 * total);
}

void check_softmax_step(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        float *const scores = edge_floats(n);
        k->scale(n, 16, scores);
        check_softmax_row(k, n, n, scores);
        check_softmax_row(k, n, n / 3 + 1, scores);
        for (size_t i = 0; i < n; i++) /* a mask with its first third closed, then holes */
            if (i < n / 3 || i % 5 == 0)
                scores[i] = -INFINITY;
        check_softmax_row(k, n, n, scores);
        check_softmax_row(k, n, n / 3 + 1, scores);
        for (size_t i = 0; i < n; i++)
            scores[i] = -INFINITY;
        check_softmax_row(k, n, n / 3 + 1, scores);
        float maximum = 3, sum = 2; /* nothing visible after something was */
        assert_true(k->softmax_step(n, scores, &maximum, &sum) == 1 && maximum == 3 && sum == 2);
        assert_true(scores[n - 1] == 0);
        scores[n / 2] = NAN;
        k->softmax_step(n, scores, &maximum, &sum);
        assert_true(isnan(sum) && isnan(scores[n / 2]));
        maximum = -INFINITY;
        sum = 0;
        scores[n / 2] = INFINITY;
        k->softmax_step(n, scores, &maximum, &sum);
        assert_false(isfinite(sum));
        edge_free_all();
    }
}

/* Against the formula in double: scores up to 8, weights of a softmax whose maximum is above all of them. */
void check_softmax_backward(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        for (int form = 0; form < 2; form++) {
            const float cap = form ? 3 : 0, maximum = form ? 2.9f : 8, inverse = 0.3f, delta = 0.2f;
            float *const s = edge_floats(n);
            k->scale(n, 8, s);
            float *const p = edge_copy(n, s), *const d = edge_floats(n), *const got = edge_copy(n, d);
            k->softmax_backward(n, cap, maximum, inverse, delta, p, got);
            for (size_t i = 0; i < n; i++) {
                const double t = form ? tanh((double)s[i] / 3) : 0, weight = exp((form ? 3 * t : (double)s[i]) - (double)maximum) * (double)inverse;
                /* the score's rounding, at most 2^-24 of 16, in the exponent; a slope is known to 2^-22 of 1 */
                assert_near(k, "softmax_backward weight", i, (double)p[i], weight, 3e-6 * weight + 1e-37);
                const double slope = 1 - t * t, expected = weight * ((double)d[i] - (double)delta) * slope;
                assert_near(k, "softmax_backward", i, (double)got[i], expected, 3e-6 * fabs(expected) + 1e-6 * weight);
            }
        }
        edge_free_all();
    }
}

void check_transpose(const pl_kernels *k)
{
    for (size_t rows = 1; rows < 40; rows += 1 + rows / 9)
        for (size_t columns = 1; columns < 40; columns += 1 + columns / 7) {
            const float *const x = edge_floats(rows * (columns + 3));
            float *const y = edge_floats(columns * (rows + 2) - 2), *const expected = edge_copy(columns * (rows + 2) - 2, y);
            for (size_t r = 0; r < rows; r++)
                for (size_t c = 0; c < columns; c++)
                    expected[c * (rows + 2) + r] = x[3 + r * (columns + 3) + c];
            k->transpose(rows, columns, x + 3, columns + 3, y, rows + 2);
            assert_same(k, "transpose", columns * (rows + 2) - 2, y, expected);
            edge_free_all();
        }
}

void check_argmax(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        float *const x = edge_floats(n);
        for (size_t i = 0; i < n && i < 80; i++) {
            x[i] = 2;
            assert_int_equal(k->argmax(n, x), i); /* alone the largest */
            if (i > 0) {
                const float other = x[i / 2];
                x[i / 2] = 2;
                assert_int_equal(k->argmax(n, x), i / 2); /* the lowest wins */
                x[i / 2] = other;
            }
            x[i] = NAN;
            assert_true(k->argmax(n, x) != i || i + 1 == n); /* NaN never, unless there is nothing else */
        }
        for (size_t i = 0; i < n; i++)
            x[i] = i % 2 == 0 ? NAN : -INFINITY;
        assert_int_equal(k->argmax(n, x), n > 1 ? 1 : 0);
        edge_free_all();
    }
}

void check_all_finite(const pl_kernels *k)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        float *const x = edge_floats(n);
        x[0] = 3.4028235e38f;
        x[n - 1] = 1e-45f;
        assert_true(k->all_finite(n, x));
        for (size_t i = 0; i < n && i < 80; i++) {
            const float good = x[n - 1 - i];
            x[n - 1 - i] = bad[i % 3];
            assert_false(k->all_finite(n, x));
            x[n - 1 - i] = good;
        }
        edge_free_all();
    }
    assert_true(k->all_finite(0, NULL));
}

/* To the bit as the header has it; and near Adam's formula in double. */
void check_adam(const pl_kernels *k)
{
    const pl_adam_step step = {.scale = 0.5f, .fresh1 = 0.1f, .beta2 = 0.99f, .fresh2 = 0.01f, .root = 1.5f, .eps = 1e-8f, .rate = 0.02f, .decay = 0.001f};
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        const float *const gradient = edge_floats(n);
        float *const mean = edge_floats(n), *const square = edge_floats(n), *const value = edge_floats(n);
        for (size_t i = 0; i < n; i++)
            square[i] *= square[i];
        square[0] = 0;
        float *const means = edge_copy(n, mean), *const squares = edge_copy(n, square), *const values = edge_copy(n, value);
        for (size_t i = 0; i < n; i++) {
            const double g = 0.5 * (double)gradient[i], m = 0.9 * (double)mean[i] + 0.1 * g, v = 0.99 * (double)square[i] + 0.01 * g * g;
            const double expected = (double)value[i] - 0.001 * (double)value[i] - 0.02 * m / (1.5 * sqrt(v) + 1e-8);
            const float scaled = step.scale * gradient[i];
            means[i] = fmaf(step.fresh1, scaled - means[i], means[i]);
            squares[i] = fmaf(step.fresh2 * scaled, scaled, step.beta2 * squares[i]);
            values[i] -= fmaf(step.decay, values[i], step.rate * (means[i] / fmaf(step.root, sqrtf(squares[i]), step.eps)));
            assert_near(k, "adam", i, (double)values[i], expected, 1e-5 * (1 + fabs(expected))); /* a small root magnifies what v was rounded by */
        }
        k->adam(n, &step, gradient, mean, square, value);
        assert_same(k, "adam mean", n, mean, means);
        assert_same(k, "adam square", n, square, squares);
        assert_same(k, "adam value", n, value, values);
        edge_free_all();
    }
}
