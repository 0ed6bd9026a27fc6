/*
 * Gradients of norms, activations, soft-cap, rotary and cross-entropy, at every
 * length, against central differences in double of the forward's formula, and
 * golden numbers of PyTorch; dropout's masks against ref and against chance.
 */
#include "kernels/check.h"

#include <math.h>
#include <string.h>

enum { FEW = 40 }; /* places of a long vector that are looked at: a difference costs a whole vector */

static double square_sum_of(size_t n, const double *x, double shift)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - shift) * (x[i] - shift);
    return sum;
}

/* sum of dy * layernorm(x), or rmsnorm(x) when it is centred at 0, without a bias */
static double normed(size_t n, const double *x, const double *weight, double eps, bool centred, const float *dy)
{
    double mean = 0, sum = 0;
    for (size_t i = 0; !centred && i < n; i++)
        mean += x[i] / (double)n;
    const double inverse = 1 / sqrt(square_sum_of(n, x, mean) / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * inverse * weight[i] * (double)dy[i];
    return sum;
}

typedef struct norm_case {
    const char *what;
    size_t n;
    bool centred; /* at 0 */
    float offset;
    float *x, *scale, *dy, *dx, *dscale, *dbias; /* [n] */
} norm_case;

static void run_norm(const pl_kernels *k, const norm_case *c, float *dx, float *dscale, float *dbias)
{
    if (c->centred)
        k->rmsnorm_backward(c->n, c->x, c->scale, c->offset, 1e-6f, c->dy, dx, dscale);
    else
        k->layernorm_backward(c->n, c->x, c->scale, 1e-6f, c->dy, dx, dscale, dbias);
}

/* Each place of x and of the weight moved a little, in double. */
static void check_norm_places(const pl_kernels *k, const norm_case *c, const float *before)
{
    static double x[4304], weight[4304];
    const double h = 1e-5;
    for (size_t i = 0; i < c->n; i++) {
        x[i] = (double)c->x[i];
        weight[i] = (double)(c->offset + c->scale[i]);
    }
    for (size_t i = 0; i < c->n; i += 1 + c->n / FEW) {
        double *const moved[] = {&x[i], &weight[i]};
        const float *const got[] = {c->dx, c->dscale};
        for (size_t m = 0; m < 2; m++) {
            const double at = *moved[m];
            *moved[m] = at + h;
            const double above = normed(c->n, x, weight, 1e-6, c->centred, c->dy);
            *moved[m] = at - h;
            const double below = normed(c->n, x, weight, 1e-6, c->centred, c->dy);
            *moved[m] = at;
            const double expected = (above - below) / (2 * h) + (double)before[i];
            /* x is about 1 and so are its gradients, but of two nearly equal values; 1e-8: the difference's own */
            assert_near(k, c->what, i, (double)got[m][i], expected, (c->n < 4 ? 2e-5 : 3e-6) * fmax(1, fabs(expected)) + 1e-8);
        }
        if (!c->centred)
            assert_near(k, c->what, i, (double)c->dbias[i], (double)before[i] + (double)c->dy[i], 1.2e-7);
    }
}

static void check_norm(const pl_kernels *k, const char *what, bool centred)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        const float *const before = edge_floats(n);
        const norm_case c = {.what = what, .n = n, .centred = centred, .offset = centred && l % 2 == 0 ? 1 : 0, .x = edge_floats(n), .scale = edge_floats(n),
            .dy = edge_floats(n), .dx = edge_copy(n, before), .dscale = edge_copy(n, before), .dbias = edge_copy(n, before)};
        for (size_t i = 0; i < n; i++)
            c.x[i] += (float)(i % 3); /* never nearly equal */
        run_norm(k, &c, c.dx, c.dscale, c.dbias);
        check_norm_places(k, &c, before);
        float *const alone = edge_copy(n, before), *const scale_alone = edge_copy(n, before); /* what is not wanted */
        run_norm(k, &c, alone, NULL, NULL);
        assert_same(k, what, n, alone, c.dx);
        run_norm(k, &c, NULL, scale_alone, NULL);
        assert_same(k, what, n, scale_alone, c.dscale);
        edge_free_all();
    }
}

void check_layernorm_backward(const pl_kernels *k)
{
    static const float x[] = {1, 2, 3, 4}, scale[] = {1, 1, 2, 2}, dy[] = {1, -2, 0.5f, 3};
    static const double golden_dx[] = {1.9677371, -2.32551041, -1.25219692, 1.60997023}, golden_dscale[] = {-1.34164025, 0.89442683, 0.22360671, 4.02492075};
    float dx[4] = {0}, dscale[4] = {0}, dbias[4] = {0};
    k->layernorm_backward(4, x, scale, 1e-6f, dy, dx, dscale, dbias);
    for (size_t i = 0; i < 4; i++) {
        assert_near(k, "layernorm_backward golden", i, (double)dx[i], golden_dx[i], 2e-6);
        assert_near(k, "layernorm_backward golden", i, (double)dscale[i], golden_dscale[i], 1e-6);
    }
    assert_same(k, "layernorm_backward golden", 4, dbias, dy);
    check_norm(k, "layernorm_backward", false);
}

void check_rmsnorm_backward(const pl_kernels *k)
{
    static const float x[] = {1, 2, 3, 4}, scale[] = {0.1f, 0.2f, 0.3f, 0.4f}, dy[] = {1, -2, 0.5f, 3};
    static const double golden_dx[] = {0.21848045, -1.24272149, -0.31220176, 0.80089214}, golden_dscale[] = {0.36514835, -1.46059339, 0.54772252, 4.38178017};
    float dx[4] = {0}, dscale[4] = {0};
    k->rmsnorm_backward(4, x, scale, 1, 1e-6f, dy, dx, dscale);
    for (size_t i = 0; i < 4; i++) {
        assert_near(k, "rmsnorm_backward golden", i, (double)dx[i], golden_dx[i], 1e-6);
        assert_near(k, "rmsnorm_backward golden", i, (double)dscale[i], golden_dscale[i], 1e-6);
    }
    check_norm(k, "rmsnorm_backward", true);
}

/* By tanh, where the kernels go by the logistic function. */
static double gelu_slope(double x)
{
    const double c = 0.797884560802865355879892, at = fmax(-30, fmin(30, x)), t = tanh(c * (at + 0.044715 * at * at * at));
    return 0.5 * (1 + t) + 0.5 * at * (1 - t * t) * c * (1 + 3 * 0.044715 * at * at);
}

static double gelu(double x)
{
    return x / (1 + exp(-2 * 0.797884560802865355879892 * (x + 0.044715 * x * x * x)));
}

void check_gelu_backward(const pl_kernels *k)
{
    enum { BLOCK = 1021, STEP = 1009 };
    static const float at[] = {1, -1, 0.5f, -0.5f, 2, 3, -3, -0.75f, 0};
    static const double golden[] = {1.082964084, -0.082964084, 0.867369904, 0.132630096, 1.086099257, 1.011584167, -0.011584167, 0.001061744, 0.5};
    enum { GOLDENS = sizeof at / sizeof at[0] };
    float one[BLOCK], x[BLOCK], dx[BLOCK];
    for (size_t i = 0; i < BLOCK; i++)
        one[i] = 1;
    memset(dx, 0, sizeof dx);
    k->gelu_backward(GOLDENS, at, one, dx);
    for (size_t i = 0; i < GOLDENS; i++)
        assert_near(k, "gelu_backward golden", i, (double)dx[i], golden[i], 4e-7);

    double worst = 0;
    for (uint32_t bits = 0; bits < 0xff800000u;) { /* floats of every size */
        for (size_t i = 0; i < BLOCK; i++, bits += bits < 0xff800000u ? STEP : 0) {
            memcpy(x + i, &bits, sizeof bits);
            if (!isfinite(x[i]))
                x[i] = 0;
        }
        memset(dx, 0, sizeof dx);
        k->gelu_backward(BLOCK, x, one, dx);
        for (size_t i = 0; i < BLOCK; i++) {
            const double expected = gelu_slope((double)x[i]);
            assert_near(k, "gelu_backward", i, (double)dx[i], expected, 6e-7);
            worst = fmax(worst, fabs((double)dx[i] - expected));
        }
    }
    note_error(k, "gelu_backward, absolute", worst);

    const float special[] = {NAN, INFINITY, -INFINITY};
    float d[] = {0, 0, 0};
    k->gelu_backward(3, special, one, d);
    assert_true(isnan(d[0]) && d[1] == 1 && fabsf(d[2]) < 1e-30f);
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        const float *const in = edge_floats(n), *const dy = edge_floats(n);
        float *const out = edge_floats(n), *const before = edge_copy(n, out);
        k->gelu_backward(n, in, dy, out);
        for (size_t i = 0; i < n; i++)
            assert_near(k, "gelu_backward", i, (double)out[i], (double)before[i] + (double)dy[i] * gelu_slope((double)in[i]), 8e-7);
        edge_free_all();
    }
}

void check_geglu_backward(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        float *const gate = edge_floats(n), *const up = edge_floats(n), *const dy = edge_floats(n), *const before = edge_floats(n);
        k->scale(n, 12, gate); /* past where the slope is taken as 0 or 1 */
        float *const dgate = edge_copy(n, before), *const dup = edge_copy(n, before), *const alone[] = {edge_copy(n, before), edge_copy(n, before)};
        k->geglu_backward(n, gate, up, dy, dgate, dup);
        for (size_t i = 0; i < n; i++) {
            const double x = (double)gate[i], u = (double)up[i], d = (double)dy[i];
            assert_near(k, "geglu_backward gate", i, (double)dgate[i], (double)before[i] + d * u * gelu_slope(x), 8e-7);
            assert_near(k, "geglu_backward up", i, (double)dup[i], (double)before[i] + d * gelu(x), 4e-7 * fmax(2, fabs(x)));
        }
        k->geglu_backward(n, gate, up, dy, alone[0], NULL);
        k->geglu_backward(n, gate, up, dy, NULL, alone[1]);
        assert_same(k, "geglu_backward, gate only", n, alone[0], dgate);
        assert_same(k, "geglu_backward, up only", n, alone[1], dup);
        edge_free_all();
    }
}

void check_softcap_backward(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        const float cap = 30;
        float *const y = edge_floats(n), *const d = edge_floats(n), *const before = edge_copy(n, d);
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(30 * tanh(3 * (double)y[i])); /* of x = 90 * a random number */
        k->softcap_backward(n, cap, y, d);
        for (size_t i = 0; i < n; i++) {
            const double x = 30 * atanh((double)y[i] / 30), h = 1e-4;
            const double slope = (30 * tanh((x + h) / 30) - 30 * tanh((x - h) / 30)) / (2 * h);
            /* y's own rounding, 2^-24 of 1, twice; and of the difference 30 * 2^-53 / h */
            assert_near(k, "softcap_backward", i, (double)d[i], (double)before[i] * slope, 3e-7);
        }
        edge_free_all();
    }
}

/* Turning and turning back is the identity, for any angle. */
void check_rope_backward(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t half = lengths[l];
        float *const c = edge_floats(half), *const s = edge_floats(half), *const x = edge_floats(2 * half), *const before = edge_copy(2 * half, x);
        for (size_t i = 0; i < half; i++) {
            const double angle = 7 * (double)c[i];
            c[i] = (float)cos(angle);
            s[i] = (float)sin(angle);
        }
        k->rope_backward(half, c, s, x);
        for (size_t i = 0; i < half; i++)
            assert_near(k, "rope_backward", i, (double)x[i], (double)before[i] * (double)c[i] + (double)before[half + i] * (double)s[i], 2e-7);
        k->rope(half, c, s, x);
        for (size_t i = 0; i < 2 * half; i++)
            assert_near(k, "rope_backward and forward", i, (double)x[i], (double)before[i], 5e-7);
        edge_free_all();
    }
}

enum { VOCABULARY = 257216 };

void check_sum(const pl_kernels *k)
{
    for (size_t l = 0; l <= length_count; l++) {
        const size_t n = l < length_count ? lengths[l] : VOCABULARY;
        float *const x = edge_floats(n);
        double expected = 0;
        for (size_t i = 0; i < n; i++)
            expected += (double)(x[i] += 1);
        assert_near(k, "sum", n, k->sum(n, x), expected, 5e-7 * expected);
        edge_free_all();
    }
}

void check_exp_sum(const pl_kernels *k)
{
    for (size_t l = 0; l <= length_count; l++) {
        const size_t n = l < length_count ? lengths[l] : VOCABULARY;
        float *const x = edge_floats(n);
        double expected = 0;
        k->scale(n, 30, x);
        for (size_t i = 0; i < n; i++)
            expected += exp((double)x[i] - 30);
        assert_near(k, "exp_sum", n, k->exp_sum(n, 30, x), expected, 2.5e-6 * expected); /* the differences' own rounding, 2^-20 at most */
        for (size_t i = 0; i < n; i++)
            x[i] = -3.3f;
        assert_near(k, "exp_sum of equals", n, k->exp_sum(n, -3.3f, x), (double)n, 0);
        x[n / 2] = NAN;
        assert_true(isnan(k->exp_sum(n, 0, x)));
        x[n / 2] = INFINITY;
        assert_false(isfinite(k->exp_sum(n, 0, x)));
        edge_free_all();
    }
}

void check_add_exp(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        float *const x = edge_floats(n), *const y = edge_floats(n), *const before = edge_copy(n, y);
        k->scale(n, 4, x);
        k->add_exp(n, 0.3f, 2.5f, -0.01f, x, y);
        for (size_t i = 0; i < n; i++) {
            const double e = (double)0.3f * exp((double)x[i] - 2.5);
            assert_near(k, "add_exp", i, (double)y[i], (double)before[i] + e - (double)0.01f, 1e-6 * e + 1.5e-7);
        }
        edge_free_all();
    }
}

/* How many of n masks by two keys agree; about half of them do. */
static size_t agreement(const pl_kernels *k, size_t n, float *a, float *b, uint64_t first, uint64_t second)
{
    size_t same = 0;
    for (size_t i = 0; i < n; i++)
        a[i] = b[i] = 1;
    k->dropout(n, first, 1u << 31, 2, a);
    k->dropout(n, second, 1u << 31, 2, b);
    for (size_t i = 0; i < n; i++)
        same += a[i] == b[i];
    return same;
}

void check_dropout(const pl_kernels *k)
{
    const pl_kernels *const ref = pl_kernels_get("ref", NULL);
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        const uint64_t key = (uint64_t)random_bits() << 32 | random_bits();
        float *const x = edge_floats(n), *const expected = edge_copy(n, x), *const before = edge_copy(n, x);
        k->dropout(n, key, 0x40000000u, 4 / 3.0f, x);
        ref->dropout(n, key, 0x40000000u, 4 / 3.0f, expected);
        assert_same(k, "dropout", n, x, expected);
        for (size_t i = 0; i < n; i++)
            assert_true(memcmp(x + i, &(float){0}, sizeof *x) == 0 || x[i] == before[i] * (4 / 3.0f));
        memcpy(x, before, n * sizeof *x);
        k->dropout(n, key, 0, 1, x); /* rate 0 */
        assert_same(k, "dropout of none", n, x, before);
        edge_free_all();
    }
    enum { MANY = 1 << 16 };
    float *const x = edge_bytes(MANY * sizeof *x), *const y = edge_bytes(MANY * sizeof *y);
    for (size_t i = 0; i < MANY; i++)
        x[i] = 1;
    k->dropout(MANY, 12345, 0x1999999au, 1, x); /* a tenth */
    size_t kept = 0, pairs = 0;
    for (size_t i = 0; i < MANY; i++) {
        kept += x[i] > 0;
        pairs += i > 0 && x[i] > 0 && x[i - 1] > 0;
    }
    /* five standard deviations: sqrt(65536 * 0.9 * 0.1) = 77; of neighbours kept, 120 */
    assert_near(k, "dropout, kept", 0, (double)kept, 0.9 * MANY, 385);
    assert_near(k, "dropout, kept beside kept", 0, (double)pairs, 0.81 * MANY, 600);
    /* keys that differ in one bit, low or high, and by one: 128 is a standard deviation of the halves */
    for (unsigned bit = 0; bit < 64; bit += 7)
        assert_near(k, "dropout, another key", bit, (double)agreement(k, MANY, x, y, 77, 77 ^ (uint64_t)1 << bit), MANY / 2, 640);
}
