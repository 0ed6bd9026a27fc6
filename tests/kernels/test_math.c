/*
 * GELU, GeGLU, soft-cap and the exponential of softmax: golden numbers, values
 * that are not finite, and the largest error over floats of every size (every
 * 1,009th bit pattern) against libm in double. PALI_TEST_VERBOSE=1 prints it.
 */
#include "kernels/check.h"

#include <math.h>
#include <string.h>

enum { SWEEP_STEP = 1009, BLOCK = 1021 };

static double gelu(double x)
{
    return x / (1 + exp(-2 * 0.797884560802865355879892 * (x + 0.044715 * x * x * x)));
}

/* The next BLOCK finite floats of the sweep; false at the end. */
static bool sweep(uint32_t *bits, float x[BLOCK])
{
    if (*bits >= 0xff800000u)
        return false;
    for (size_t i = 0; i < BLOCK; i++) {
        memcpy(x + i, bits, sizeof *bits);
        if (!isfinite(x[i]))
            x[i] = 0;
        if (*bits < 0xff800000u)
            *bits += SWEEP_STEP;
    }
    return true;
}

void check_gelu(const pl_kernels *k)
{
    static const float x7[] = {1, -1, 0.5f, -0.5f, 2, 3, -3};
    static const double golden[] = {0.841191991, -0.158808009, 0.345714010, -0.154285990, 1.954597694, 2.996362608, -0.003637392};
    float y7[7];
    k->gelu(7, x7, y7);
    for (size_t i = 0; i < 7; i++)
        assert_near(k, "gelu golden", i, (double)y7[i], golden[i], 3e-7);

    float x[BLOCK], y[BLOCK];
    double worst = 0;
    for (uint32_t bits = 0; sweep(&bits, x);) {
        k->gelu(BLOCK, x, y);
        for (size_t i = 0; i < BLOCK; i++) {
            const double expected = gelu((double)x[i]), size = fmax(1, fabs((double)x[i]));
            assert_near(k, "gelu", i, (double)y[i], expected, 3e-7 * size);
            worst = fmax(worst, fabs((double)y[i] - expected) / size);
        }
    }
    note_error(k, "gelu, absolute or of |x| beyond 1", worst);

    float special[] = {NAN, INFINITY, -INFINITY, 1};
    k->gelu(4, special, special);
    assert_true(isnan(special[0]) && special[1] == INFINITY && !(fabsf(special[2]) > 0) && special[3] > 0.8f);
    for (size_t l = 0; l < length_count; l++) { /* tails, in place */
        float *const in = edge_floats(lengths[l]);
        float *const out = edge_copy(lengths[l], in);
        k->gelu(lengths[l], out, out);
        for (size_t i = 0; i < lengths[l]; i++)
            assert_near(k, "gelu in place", i, (double)out[i], gelu((double)in[i]), 3e-7);
        edge_free_all();
    }
}

void check_geglu(const pl_kernels *k)
{
    for (size_t l = 0; l < length_count; l++) {
        const size_t n = lengths[l];
        const float *const gate = edge_floats(n), *const up = edge_floats(n);
        float *const y = edge_floats(n), *const on_gate = edge_copy(n, gate), *const on_up = edge_copy(n, up);
        k->geglu(n, gate, up, y);
        for (size_t i = 0; i < n; i++)
            assert_near(k, "geglu", i, (double)y[i], gelu((double)gate[i]) * (double)up[i], 3e-7);
        k->geglu(n, on_gate, up, on_gate);
        k->geglu(n, gate, on_up, on_up);
        assert_same(k, "geglu in place of the gate", n, on_gate, y);
        assert_same(k, "geglu in place of the other", n, on_up, y);
        edge_free_all();
    }
}

void check_softcap(const pl_kernels *k)
{
    static const struct {
        float cap, x;
        double y;
    } golden[] = {{50, 10, 9.8687661}, {50, 50, 38.0797078}, {50, 100, 48.2013790}, {50, -60, -41.6827304},
        {30, 10, 9.6453821}, {30, 30, 22.8478247}, {30, 100, 29.9237390}, {30, -60, -28.9208274}};
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        float x = golden[i].x;
        k->softcap(1, golden[i].cap, &x);
        assert_near(k, "softcap golden", i, (double)x, golden[i].y, 5e-6);
    }
    float x[BLOCK], y[BLOCK];
    double worst = 0;
    for (uint32_t bits = 0; sweep(&bits, x);) {
        memcpy(y, x, sizeof y);
        k->softcap(BLOCK, 30, y);
        for (size_t i = 0; i < BLOCK; i++) {
            const double expected = 30 * tanh((double)x[i] / 30), size = fmax(fabs(expected), 0x1p-120);
            assert_near(k, "softcap", i, (double)y[i], expected, 4e-7 * size);
            worst = fmax(worst, fabs((double)y[i] - expected) / size);
        }
    }
    note_error(k, "softcap, relative", worst);

    float special[] = {NAN, INFINITY, -INFINITY};
    k->softcap(3, 30, special);
    assert_true(isnan(special[0]) && special[1] == 30 && special[2] == -30);
    for (size_t l = 0; l < length_count; l++) { /* tails */
        float *const in = edge_floats(lengths[l]);
        float *const out = edge_copy(lengths[l], in);
        k->softcap(lengths[l], 0.5f, out);
        for (size_t i = 0; i < lengths[l]; i++)
            assert_near(k, "softcap", i, (double)out[i], 0.5 * tanh((double)in[i] / 0.5), 3e-7);
        edge_free_all();
    }
}

/* The exponential as softmax_step uses it, of 0 and below, down to where it vanishes. */
void check_exp(const pl_kernels *k)
{
    float x[BLOCK], y[BLOCK];
    double worst = 0;
    for (uint32_t bits = 0x80000000u; bits < 0xc2d20000u && sweep(&bits, x);) { /* -0 to -105 */
        float maximum = 0, sum = 0;
        memcpy(y, x, sizeof y);
        k->softmax_step(BLOCK, y, &maximum, &sum);
        for (size_t i = 0; i < BLOCK; i++) {
            const double expected = exp((double)x[i]);
            assert_near(k, "exp", i, (double)y[i], expected, 2e-7 * expected + 0x1p-149);
            if (expected > 0x1p-126)
                worst = fmax(worst, fabs((double)y[i] - expected) / expected);
        }
    }
    note_error(k, "exp, relative", worst);
}
