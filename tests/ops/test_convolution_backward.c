/*
 * Backward of convolutions against their definition, term by term in double;
 * of ReLU; on every level. The bits do not depend on the number of threads.
 */
#include "ops/convolution.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct sample {
    bool transposed;
    size_t pictures, in, out, height, width, kernel, stride, padding;
} sample;

static const sample samples[] = {
    {false, 3, 1, 8, 16, 16, 4, 2, 1}, {false, 37, 5, 7, 4, 4, 3, 1, 1}, {false, 2, 16, 12, 9, 6, 1, 1, 0}, {false, 1, 3, 4, 11, 10, 5, 3, 0}, {false, 2, 2, 3, 1, 1, 3, 1, 2},
    {true, 19, 12, 9, 4, 4, 4, 2, 1},  {true, 2, 6, 1, 16, 16, 4, 2, 1}, {true, 2, 4, 3, 5, 6, 3, 3, 0},   {true, 1, 2, 2, 3, 5, 5, 2, 2},    {true, 2, 5, 1, 3, 3, 1, 1, 0},
};
enum { SAMPLES = sizeof samples / sizeof *samples, RESULTS = 4 };

/* Inputs, and the four results: y, and the gradients of x, weight and bias. */
typedef struct operands {
    sample s;
    pl_convolution c;
    size_t out_height, out_width, counts[RESULTS];
    float *x, *weight, *bias, *g; /* g: the gradient of y */
    double *expected[RESULTS];
} operands;

static float *random_values(size_t n)
{
    static uint32_t state = 3;
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
    return x;
}

/* What the published definitions say of one pair of pixels; `small` and `big` as numbers of their rows. */
static void add_pair(operands *o, size_t tap, size_t x_row, size_t y_row)
{
    const sample *s = &o->s;
    for (size_t i = 0; i < s->in; i++)
        for (size_t k = 0; k < s->out; k++) {
            const size_t w = s->transposed ? (tap * s->out + k) * s->in + i : (k * s->kernel * s->kernel + tap) * s->in + i, x = x_row * s->in + i, y = y_row * s->out + k;
            o->expected[0][y] += (double)o->x[x] * (double)o->weight[w];
            o->expected[1][x] += (double)o->g[y] * (double)o->weight[w];
            o->expected[2][w] += (double)o->g[y] * (double)o->x[x];
        }
}

static void expect(operands *o)
{
    const sample *s = &o->s;
    const size_t small[2] = {s->transposed ? s->height : o->out_height, s->transposed ? s->width : o->out_width};
    const size_t big[2] = {s->transposed ? o->out_height : s->height, s->transposed ? o->out_width : s->width};
    for (size_t i = 0; i < o->counts[0]; i++) {
        o->expected[0][i] = (double)o->bias[i % s->out];
        o->expected[3][i % s->out] += (double)o->g[i];
    }
    for (size_t p = 0; p < s->pictures; p++)
        for (size_t v = 0; v < small[0]; v++)
            for (size_t u = 0; u < small[1]; u++)
                for (size_t tap = 0; tap < s->kernel * s->kernel; tap++) {
                    const size_t row = v * s->stride + tap / s->kernel - s->padding, column = u * s->stride + tap % s->kernel - s->padding;
                    const size_t a = (p * small[0] + v) * small[1] + u, b = (p * big[0] + row) * big[1] + column;
                    if (row < big[0] && column < big[1])
                        add_pair(o, tap, s->transposed ? a : b, s->transposed ? b : a);
                }
}

static operands make_operands(sample s)
{
    operands o = {.s = s, .c = {.kernel = s.kernel, .stride = s.stride, .padding = s.padding}};
    const size_t taps = s.kernel * s.kernel;
    size_t (*const side)(const pl_convolution *c, size_t side) = s.transposed ? pl_convolution_transposed_side : pl_convolution_side;
    o.out_height = side(&o.c, s.height);
    o.out_width = side(&o.c, s.width);
    o.counts[0] = s.pictures * o.out_height * o.out_width * s.out;
    o.counts[1] = s.pictures * s.height * s.width * s.in;
    o.counts[2] = s.in * s.out * taps;
    o.counts[3] = s.out;
    o.x = random_values(o.counts[1]);
    o.weight = random_values(o.counts[2]);
    o.bias = random_values(s.out);
    o.g = random_values(o.counts[0]);
    for (size_t n = 0; n < RESULTS; n++) {
        o.expected[n] = calloc(o.counts[n], sizeof(double));
        assert_non_null(o.expected[n]);
    }
    o.c.map.weight = (pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {s.transposed ? s.out * taps : s.out, s.transposed ? s.in : s.in * taps}, .data = o.weight};
    o.c.map.bias = o.bias;
    expect(&o);
    return o;
}

static void free_operands(operands *o)
{
    for (size_t n = 0; n < RESULTS; n++)
        free(o->expected[n]);
    free(o->x);
    free(o->weight);
    free(o->bias);
    free(o->g);
}

/* Forward, twice, and backward: the gradients are added to, so they are twice what one pass gives. */
static void pass(pl_context *ctx, const operands *o, float *results[RESULTS])
{
    const pl_grid x = pl_grid_push(ctx, o->s.pictures, o->s.height, o->s.width, o->s.in);
    pl_grid y[2];
    if (!pl_dry(ctx))
        memcpy(x.rows.data, o->x, o->counts[1] * sizeof(float));
    for (size_t n = 0; n < 2; n++) {
        y[n] = pl_grid_push(ctx, o->s.pictures, o->out_height, o->out_width, o->s.out);
        (o->s.transposed ? pl_op_convolution_transposed : pl_op_convolution)(ctx, &o->c, x, y[n]);
    }
    const float *dx = pl_gradient(ctx, x.rows).data;
    for (size_t n = 0; n < 2 && !pl_dry(ctx); n++)
        memcpy(pl_gradient(ctx, y[n].rows).data, o->g, o->counts[0] * sizeof(float));
    pl_tape_backward(ctx);
    if (pl_dry(ctx))
        return;
    memcpy(results[0], y[1].rows.data, o->counts[0] * sizeof(float));
    memcpy(results[1], dx, o->counts[1] * sizeof(float));
}

static void run(const pl_kernels *kernels, pl_pool *pool, const operands *o, float *results[RESULTS])
{
    pl_parameter parameters[2] = {{o->weight, results[2], o->counts[2]}, {o->bias, results[3], o->counts[3]}};
    pl_tape tape;
    pl_arena arena = pl_arena_plan();
    pl_tape_init(&tape);
    tape.parameters = parameters;
    tape.parameter_count = 2;
    if (o->bias < o->weight) {
        parameters[0] = (pl_parameter){o->bias, results[3], o->counts[3]};
        parameters[1] = (pl_parameter){o->weight, results[2], o->counts[2]};
    }
    memset(results[2], 0, o->counts[2] * sizeof(float));
    memset(results[3], 0, o->counts[3] * sizeof(float));
    pl_context ctx = {.kernels = kernels, .pool = pool, .arena = &arena, .tape = &tape, .activations = PL_ACTIVATIONS_F32, .regime = PL_REGIME_PREFILL};
    pass(&ctx, o, NULL);
    const size_t peak = arena.peak;
    assert_int_equal(pl_arena_init(&arena, peak, "test", NULL), PALI_OK);
    assert_int_equal(pl_tape_reserve(&tape, tape.gradient_peak, NULL), PALI_OK);
    memset(arena.block, 0xff, peak); /* NaN: what is not written is not read */
    pass(&ctx, o, results);
    assert_false(ctx.failed);
    assert_int_equal(arena.peak, peak);
    pl_tape_free(&tape);
    pl_arena_free(&arena);
}

static void new_results(const operands *o, float *results[RESULTS])
{
    for (size_t n = 0; n < RESULTS; n++) {
        results[n] = calloc(o->counts[n], sizeof(float));
        assert_non_null(results[n]);
    }
}

static void free_results(float *results[RESULTS])
{
    for (size_t n = 0; n < RESULTS; n++)
        free(results[n]);
}

/* Sums in f32 of up to 1,500 products of numbers up to 1: 2^-19 of the largest of them. */
static void test_gradients(void **state)
{
    (void)state;
    static const char *const names[RESULTS] = {"y", "dx", "dweight", "dbias"};
    pl_pool *pool = pl_pool_new(2, NULL);
    for (size_t i = 0; i < SAMPLES; i++) {
        operands o = make_operands(samples[i]);
        float *results[RESULTS];
        new_results(&o, results);
        for (const char *const *level = pl_kernel_levels(); *level; level++) {
            run(pl_kernels_get(*level, NULL), pool, &o, results);
            for (size_t n = 0; n < RESULTS; n++) {
                const double factor = n ? 2 : 1;
                double largest = 0, worst = 0;
                for (size_t j = 0; j < o.counts[n]; j++) {
                    const double error = fabs((double)results[n][j] - factor * o.expected[n][j]);
                    largest = fmax(largest, fabs(factor * o.expected[n][j]));
                    worst = error <= worst ? worst : error; /* NaN too */
                }
                if (!(worst <= 0x1p-19 * largest))
                    fail_msg("%s: sample %zu: %s is wrong by %g of %g", *level, i, names[n], worst, largest);
            }
        }
        free_results(results);
        free_operands(&o);
    }
    pl_pool_free(pool);
}

static void test_bits(void **state)
{
    (void)state;
    pl_pool *pools[] = {NULL, pl_pool_new(2, NULL), pl_pool_new(5, NULL)};
    for (size_t i = 0; i < SAMPLES; i++) {
        operands o = make_operands(samples[i]);
        float *first[RESULTS], *other[RESULTS];
        new_results(&o, first);
        new_results(&o, other);
        for (size_t p = 0; p < 3; p++) {
            run(pl_kernels_get(NULL, NULL), pools[p], &o, p ? other : first);
            for (size_t n = 0; n < RESULTS && p; n++)
                assert_memory_equal(first[n], other[n], o.counts[n] * sizeof(float));
        }
        free_results(first);
        free_results(other);
        free_operands(&o);
    }
    for (size_t p = 0; p < 3; p++)
        pl_pool_free(pools[p]);
}

static void test_relu(void **state)
{
    (void)state;
    enum { COUNT = 40000 };
    float *values = random_values(COUNT);
    pl_tape tape;
    pl_arena arena;
    pl_tape_init(&tape);
    assert_int_equal(pl_arena_init(&arena, 1 << 20, "test", NULL), PALI_OK);
    assert_int_equal(pl_tape_reserve(&tape, 1 << 20, NULL), PALI_OK);
    pl_context ctx = {.kernels = pl_kernels_get(NULL, NULL), .arena = &arena, .tape = &tape};
    const pl_rows x = pl_rows_push(&ctx, 1, COUNT), y = pl_rows_push(&ctx, 1, COUNT);
    memcpy(x.data, values, COUNT * sizeof *values);
    x.data[7] = 0;
    pl_op_relu(&ctx, x, y);
    const float *dx = pl_gradient(&ctx, x).data;
    float *dy = pl_gradient(&ctx, y).data;
    for (size_t i = 0; i < COUNT; i++)
        dy[i] = (float)i;
    pl_op_relu(&ctx, y, y); /* again, in place */
    y.data[9] = -1;
    pl_tape_backward(&ctx);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(dx[i] == (x.data[i] > 0 && i != 9 ? (float)i : 0));
    pl_tape_free(&tape);
    pl_arena_free(&arena);
    free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_bits), cmocka_unit_test(test_relu)};
    return cmocka_run_group_tests_name("convolution backward", tests, NULL, NULL);
}
