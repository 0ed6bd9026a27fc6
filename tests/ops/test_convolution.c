/*
 * Convolutions against PyTorch's, on every level, with one thread and with
 * several, alone and several pictures at a time; the published little check
 * of the transposed one; what planning asks for.
 */
#include "ops/convolution.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PICKS = 40 };

/* As in make_convolution_goldens.py. */
static float *hashed(size_t n, uint32_t seed)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        uint32_t h = (uint32_t)i * 2654435761u + seed * 40503u;
        h ^= h >> 16;
        h *= 2246822519u;
        h ^= h >> 13;
        x[i] = (float)(h >> 9) / (1 << 22) - 1;
    }
    return x;
}

typedef struct golden {
    bool transposed;
    size_t pictures, in, out, height, width;
    pl_convolution c;
    size_t out_height, out_width;
    double sum, squares, picks[PICKS];
} golden;

static size_t read_goldens(golden *list)
{
    size_t count = 0, size = 0;
    char *line = NULL;
    FILE *file = fopen("tests/ops/data/convolution.txt", "r");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        if (line[0] == '#')
            continue;
        golden *g = &list[count++];
        *g = (golden){.transposed = line[0] == 't'};
        char *at = strchr(line, ' ');
        size_t *const numbers[] = {&g->pictures, &g->in, &g->out, &g->height, &g->width, &g->c.kernel, &g->c.stride, &g->c.padding};
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            *numbers[i] = strtoul(at, &at, 10);
        g->sum = strtod(at, &at);
        g->squares = strtod(at, &at);
        for (size_t i = 0; i < PICKS; i++)
            g->picks[i] = strtod(at, &at);
        g->out_height = (g->transposed ? pl_convolution_transposed_side : pl_convolution_side)(&g->c, g->height);
        g->out_width = (g->transposed ? pl_convolution_transposed_side : pl_convolution_side)(&g->c, g->width);
    }
    free(line);
    fclose(file);
    return count;
}

/* [n, channels, area] to [n, area, channels]. */
static void to_rows(const float *x, size_t n, size_t channels, size_t area, float *rows)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < area; p++)
                rows[(i * area + p) * channels + c] = x[(i * channels + c) * area + p];
}

/* The whole pass on an arena, planned or not; returns what came out. */
static pl_grid pass(pl_context *ctx, const golden *g, const float *input)
{
    pl_grid x = pl_grid_push(ctx, g->pictures, g->height, g->width, g->in);
    const pl_grid y = pl_grid_push(ctx, g->pictures, g->out_height, g->out_width, g->out);
    if (!pl_dry(ctx))
        to_rows(input, g->pictures, g->in, g->height * g->width, x.rows.data);
    (g->transposed ? pl_op_convolution_transposed : pl_op_convolution)(ctx, &g->c, x, y);
    return y;
}

/* The weight as the op wants it. */
static float *weight_of(golden *g)
{
    const size_t taps = g->c.kernel * g->c.kernel, in = g->in, out = g->out;
    float *w = hashed(in * out * taps, 2), *turned = malloc(in * out * taps * sizeof *turned);
    assert_non_null(turned);
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < in; i++)
            for (size_t k = 0; k < taps; k++) {
                if (g->transposed)
                    turned[(k * out + o) * in + i] = w[(i * out + o) * taps + k];
                else
                    turned[(o * taps + k) * in + i] = w[(o * in + i) * taps + k];
            }
    free(w);
    g->c.map.weight = (pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {g->transposed ? out * taps : out, g->transposed ? in : in * taps}, .data = turned};
    return turned;
}

static void compare(const golden *g, const float *nchw, const char *level)
{
    const size_t count = g->pictures * g->out * g->out_height * g->out_width, terms = g->in * g->c.kernel * g->c.kernel + 1;
    /* Sums of `terms` products of numbers up to 1, in f32: each of the steps rounds by at most 2^-24 of a partial sum, whose
       size is about the root of a third of their number; rounding errors add up like a walk: 2^-24 * terms / 2 is about
       what is to be expected, and this four times that. */
    const double tolerance = 2 * 0x1p-24 * (double)terms;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += nchw[i];
        squares += (double)nchw[i] * nchw[i];
    }
    for (size_t i = 0; i < PICKS; i++)
        if (!(fabs(nchw[i * 7919 % count] - g->picks[i]) <= tolerance))
            fail_msg("%s: %s %zux%zu kernel %zu: output %zu is %.9g, expected %.9g", level, g->transposed ? "transposed" : "conv", g->height, g->width, g->c.kernel, i * 7919 % count,
                     nchw[i * 7919 % count], g->picks[i]);
    /* the sums catch what the picks pass over */
    assert_true(fabs(sum - g->sum) <= tolerance * (double)count);
    assert_true(fabs(squares - g->squares) <= 4 * tolerance * sqrt(g->squares * (double)count) + tolerance);
}

static void run(golden *g, const pl_kernels *kernels, pl_regime regime, pl_pool *pool, float *out)
{
    float *input = hashed(g->pictures * g->in * g->height * g->width, 1), *bias = hashed(g->out, 3), *weight = weight_of(g);
    g->c.map.bias = bias;
    pl_arena arena = pl_arena_plan();
    pl_context ctx = {.kernels = kernels, .pool = pool, .arena = &arena, .activations = PL_ACTIVATIONS_F32, .regime = regime};
    pass(&ctx, g, NULL);
    const size_t peak = arena.peak;
    assert_int_equal(pl_arena_init(&arena, peak, "test", NULL), PALI_OK);
    const pl_grid y = pass(&ctx, g, input);
    assert_false(ctx.failed);
    assert_int_equal(arena.peak, peak);
    const size_t area = g->out_height * g->out_width;
    for (size_t i = 0; i < g->pictures; i++)
        for (size_t p = 0; p < area; p++)
            for (size_t c = 0; c < g->out; c++)
                out[(i * g->out + c) * area + p] = y.rows.data[(i * area + p) * g->out + c];
    pl_arena_free(&arena);
    free(input);
    free(bias);
    free(weight);
}

static void against_pytorch(void **state)
{
    (void)state;
    golden goldens[32];
    const size_t count = read_goldens(goldens);
    assert_int_equal(count, 15);
    pl_pool *pool = pl_pool_new(3, NULL);
    assert_non_null(pool);
    for (size_t g = 0; g < count; g++)
        for (const char *const *level = pl_kernel_levels(); *level; level++) {
            const size_t outputs = goldens[g].pictures * goldens[g].out * goldens[g].out_height * goldens[g].out_width;
            float *alone = malloc(outputs * sizeof *alone), *together = malloc(outputs * sizeof *together);
            assert_true(alone && together);
            run(&goldens[g], pl_kernels_get(*level, NULL), PL_REGIME_PREFILL, NULL, alone);
            compare(&goldens[g], alone, *level);
            run(&goldens[g], pl_kernels_get(*level, NULL), PL_REGIME_PREFILL, pool, together);
            assert_memory_equal(alone, together, outputs * sizeof *alone);
            free(alone);
            free(together);
        }
    pl_pool_free(pool);
}

/* From the description of the released decoder: one channel [[1,2],[3,4]], kernel 1..16. */
static void published_check(void **state)
{
    (void)state;
    static const float expected[16] = {6, 17, 20, 14, 16, 42, 52, 34, 32, 82, 92, 58, 30, 69, 76, 44};
    float weight[16], x[4] = {1, 2, 3, 4}, y[16];
    for (int i = 0; i < 16; i++)
        weight[i] = (float)(i + 1);
    pl_arena arena;
    assert_int_equal(pl_arena_init(&arena, 1 << 20, "test", NULL), PALI_OK);
    pl_context ctx = {.kernels = pl_kernels_get(NULL, NULL), .arena = &arena, .activations = PL_ACTIVATIONS_F32};
    const pl_convolution c = {.map.weight = {.dtype = PL_F32, .rank = 2, .shape = {16, 1}, .data = weight}, .kernel = 4, .stride = 2, .padding = 1};
    assert_int_equal(pl_convolution_transposed_side(&c, 2), 4);
    pl_op_convolution_transposed(&ctx, &c, (pl_grid){{x, 4, 1}, 2, 2}, (pl_grid){{y, 16, 1}, 4, 4});
    for (int i = 0; i < 16; i++)
        assert_true(y[i] == expected[i]);
    pl_arena_free(&arena);
}

/* 65 pictures of four pixels: where tasks take 64 of them, the last one's few rows are multiplied as the others' are. */
static void small_pictures(void **state)
{
    (void)state;
    golden g = {.pictures = 65, .in = 32, .out = 24, .height = 2, .width = 2, .out_height = 2, .out_width = 2, .c = {.kernel = 3, .stride = 1, .padding = 1}};
    const size_t outputs = g.pictures * g.out * 4;
    float *in_tasks = malloc(outputs * sizeof *in_tasks), *at_once = malloc(outputs * sizeof *at_once);
    assert_true(in_tasks && at_once);
    pl_pool *pool = pl_pool_new(3, NULL);
    assert_non_null(pool);
    for (const char *const *level = pl_kernel_levels(); *level; level++) {
        run(&g, pl_kernels_get(*level, NULL), PL_REGIME_BY_ROWS, NULL, in_tasks);
        run(&g, pl_kernels_get(*level, NULL), PL_REGIME_BY_ROWS, pool, at_once);
        assert_memory_equal(in_tasks, at_once, outputs * sizeof *in_tasks);
    }
    pl_pool_free(pool);
    free(in_tasks);
    free(at_once);
}

static void sides(void **state)
{
    (void)state;
    const pl_convolution c = {.kernel = 4, .stride = 2, .padding = 1}, wide = {.kernel = 5, .stride = 3}, thin = {.kernel = 1, .stride = 1, .padding = 2};
    assert_int_equal(pl_convolution_side(&c, 64), 32);
    assert_int_equal(pl_convolution_side(&c, 1), 0);
    assert_int_equal(pl_convolution_side(&wide, 4), 0);
    assert_int_equal(pl_convolution_side(&wide, 10), 2);
    assert_int_equal(pl_convolution_transposed_side(&c, 32), 64);
    assert_int_equal(pl_convolution_transposed_side(&c, 0), 0);
    assert_int_equal(pl_convolution_transposed_side(&thin, 3), 0);
}

static void relu(void **state)
{
    (void)state;
    enum { COUNT = 10007 };
    float *x = hashed(COUNT, 5), *y = malloc(COUNT * sizeof *y);
    x[3] = NAN;
    x[4] = -INFINITY;
    x[5] = INFINITY;
    pl_pool *pool = pl_pool_new(3, NULL);
    pl_arena arena;
    assert_int_equal(pl_arena_init(&arena, 1024, "test", NULL), PALI_OK);
    pl_context ctx = {.kernels = pl_kernels_get(NULL, NULL), .arena = &arena, .pool = pool};
    pl_op_relu(&ctx, (pl_rows){x, 1, COUNT}, (pl_rows){y, 1, COUNT});
    for (size_t i = 0; i < COUNT; i++)
        assert_true(i == 3 ? isnan(y[i]) : y[i] == (x[i] > 0 ? x[i] : 0));
    pl_arena_free(&arena);
    pl_pool_free(pool);
    free(x);
    free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_pytorch),
        cmocka_unit_test(published_check),
        cmocka_unit_test(small_pictures),
        cmocka_unit_test(sides),
        cmocka_unit_test(relu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
