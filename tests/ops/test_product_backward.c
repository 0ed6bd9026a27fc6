/*
 * The gradients of products against sums in double of the stored weights: of
 * every weight type, on every level, in floats and in bf16, at sizes that are no
 * multiples of anything; added to what was there, and of the same bits for any
 * number of threads.
 */
#include "ops/cpu/product.h"
#include "ops/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3 };

static const pl_dtype types[] = {PL_F32,  PL_BF16, PL_F16,        PL_Q8_0,     PL_Q4_0,       PL_Q4_K,
                                 PL_Q5_K, PL_Q6_K, PL_BF16_TILES, PL_Q8_TILES, PL_Q8_0_TILES, PL_Q4_0_TILES};

/* What int8 activations have is auto's backward. */
static const pl_activations activations[] = {PL_ACTIVATIONS_AUTO, PL_ACTIVATIONS_F32, PL_ACTIVATIONS_BF16};

typedef enum gradient { INPUT, WEIGHT, COLUMNS } gradient;

typedef struct setting {
    const pl_kernels *kernels;
    pl_activations activations;
    pl_pool *const *pools; /* [THREADS]: of one thread, two, ... */
} setting;

typedef struct problem {
    gradient what;
    const weights *w; /* of INPUT */
    pl_rows x, dy;    /* x of WEIGHT */
    size_t count;     /* values of the gradient */
    const float *start;
} problem;

/* The function under test, planned first, on `got`, which is added to. */
static void run(const setting *s, size_t threads, const problem *p, float *got)
{
    pl_arena plan = pl_arena_plan(), arena;
    pl_context ctx = {.kernels = s->kernels, .pool = s->pools[threads - 1], .arena = &plan, .activations = s->activations, .regime = PL_REGIME_PREFILL};
    memcpy(got, p->start, p->count * sizeof *got);
    for (int pass = 0; pass < 2; pass++) {
        switch (p->what) {
        case INPUT: pl_product_backward_input(&ctx, &p->w->linear.weight, p->dy, (pl_rows){.data = got, .count = p->x.count, .width = p->x.width}); break;
        case WEIGHT: pl_product_backward_weight(&ctx, p->dy, p->x, got); break;
        default: pl_column_sums(&ctx, p->dy, got); break;
        }
        assert_int_equal(ctx.arena->used, 0);
        if (pass == 0) {
            assert_memory_equal(got, p->start, p->count * sizeof *got); /* a dry run touches nothing */
            assert_int_equal(pl_arena_init(&arena, plan.peak, "test", NULL), PALI_OK);
        }
        ctx.arena = &arena;
    }
    assert_false(ctx.failed);
    pl_arena_free(&arena);
}

/* Value `at` of the gradient, and the sum of its terms' sizes. */
static double expected_of(const problem *p, size_t at, double *size)
{
    const size_t in = p->x.width, out = p->dy.width, row = at / in, column = at % in;
    const size_t terms = p->what == INPUT ? out : p->dy.count;
    double sum = (double)p->start[at];
    *size = fabs(sum);
    for (size_t i = 0; i < terms; i++) {
        double term;
        switch (p->what) {
        case INPUT: term = (double)p->dy.data[row * out + i] * (double)p->w->values[i * in + column]; break;
        case WEIGHT: term = (double)p->dy.data[i * out + row] * (double)p->x.data[i * in + column]; break;
        default: term = (double)p->dy.data[i * out + at]; break;
        }
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

/* As a part of the terms' sizes: chains in f32 (its last bits); or both operands rounded to bf16, 2^-8 each at most. */
static double bound_of(const setting *s, const problem *p)
{
    const bool narrow = p->what == INPUT && p->w->linear.weight.dtype != PL_F32;
    const bool bf16 = s->kernels->bf16_unit && p->what != COLUMNS && s->activations != PL_ACTIVATIONS_F32 && (narrow || s->activations == PL_ACTIVATIONS_BF16);
    return bf16 ? 0x1.01p-7 : 0x1p-20;
}

static void check(const setting *s, const problem *p)
{
    float *const got = random_floats(p->count), *const again = random_floats(p->count);
    const double bound = bound_of(s, p);
    run(s, 1, p, got);
    for (size_t i = 0; i < p->count; i++) {
        double size;
        const double expected = expected_of(p, i, &size);
        if (!(fabs((double)got[i] - expected) <= bound * size + 1e-7))
            fail_msg("%s, %s, activations %d, gradient %d, [%zu, %zu] by [%zu, %zu]: value %zu is %g, expected %g within %g", s->kernels->level,
                     p->w ? pl_dtype_name(p->w->linear.weight.dtype) : "floats", (int)s->activations, (int)p->what, p->dy.count, p->dy.width, p->x.count, p->x.width, i,
                     (double)got[i], expected, bound * size);
    }
    for (size_t threads = 2; threads <= THREADS; threads++) {
        run(s, threads, p, again);
        assert_memory_equal(got, again, p->count * sizeof *got);
    }
    free(again);
    free(got);
}

static void check_sizes(const setting *s, gradient what, pl_dtype type, size_t rows, size_t out, size_t in)
{
    weights w = {0};
    float *const x = random_floats(rows * in), *const dy = random_floats(rows * out), *const start = random_floats(what == INPUT ? rows * in : what == WEIGHT ? out * in : out);
    problem p = {.what = what, .x = {x, rows, in}, .dy = {dy, rows, out}, .start = start, .count = what == INPUT ? rows * in : what == WEIGHT ? out * in : out};
    if (what == INPUT) {
        w = random_weights(type, out, in);
        p.w = &w;
    }
    check(s, &p);
    free_weights(&w);
    free(start);
    free(dy);
    free(x);
}

/* A test of every level. */
static void on_every_level(void (*test)(setting s))
{
    pl_pool *pools[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        pools[i] = pl_pool_new(i + 1, NULL);
        assert_non_null(pools[i]);
    }
    for (const char *const *level = pl_kernel_levels(); *level; level++)
        test((setting){.kernels = pl_kernels_get(*level, NULL), .pools = pools});
    for (size_t i = 0; i < THREADS; i++)
        pl_pool_free(pools[i]);
}

static void inputs_of(setting s)
{
    static const size_t sizes[][3] = {{1, 30, 256}, {37, 17, 256}, {13, 515, 512}, {5, 1100, 256}};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t a = 0; a < sizeof activations / sizeof *activations; a++)
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                s.activations = activations[a];
                check_sizes(&s, INPUT, types[t], sizes[i][0], sizes[i][1], sizes[i][2]);
            }
}

/* Widths that are no multiple of any block, those of adapters among them. */
static void odd_inputs_of(setting s)
{
    static const pl_dtype odd[] = {PL_F32, PL_BF16, PL_F16, PL_BF16_TILES, PL_Q8_TILES, PL_Q8_0_TILES, PL_Q4_0_TILES};
    static const size_t sizes[][3] = {{29, 33, 588}, {21, 70, 8}, {700, 8, 99}, {2, 3, 1}, {9, 260, 330}};
    for (size_t t = 0; t < sizeof odd / sizeof *odd; t++)
        for (size_t a = 0; a < sizeof activations / sizeof *activations; a++)
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                s.activations = activations[a];
                check_sizes(&s, INPUT, odd[t], sizes[i][0], sizes[i][1], sizes[i][2]);
            }
}

static void weights_of(setting s)
{
    static const size_t sizes[][3] = {{1, 3, 5}, {7, 33, 65}, {300, 70, 99}, {547, 8, 130}, {259, 130, 8}, {65, 300, 600}, {1100, 17, 20}, {2500, 9, 40}, {70000, 2, 3}};
    for (size_t a = 0; a < sizeof activations / sizeof *activations; a++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            s.activations = activations[a];
            check_sizes(&s, WEIGHT, PL_F32, sizes[i][0], sizes[i][1], sizes[i][2]);
        }
}

static void columns_of(setting s)
{
    static const size_t sizes[][2] = {{1, 1}, {3, 17}, {256, 33}, {1000, 1100}, {257, 1024}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_sizes(&s, COLUMNS, PL_F32, sizes[i][0], sizes[i][1], 1);
}

static void test_input(void **state)
{
    (void)state;
    on_every_level(inputs_of);
}

static void test_odd_input(void **state)
{
    (void)state;
    on_every_level(odd_inputs_of);
}

static void test_weight(void **state)
{
    (void)state;
    on_every_level(weights_of);
}

static void test_columns(void **state)
{
    (void)state;
    on_every_level(columns_of);
}

/* No rows, no outputs, no inputs: nothing is touched, nothing fails. */
static void test_empty(void **state)
{
    (void)state;
    float value = 3;
    const pl_tensor w = {.dtype = PL_F32, .rank = 2, .shape = {1, 1}, .data = &value};
    for (size_t empty = 0; empty < 3; empty++) {
        pl_arena arena;
        const size_t rows = empty != 0, out = empty != 1, in = empty != 2;
        float dx = 1, dw = 2, sum = 4, one = 5;
        assert_int_equal(pl_arena_init(&arena, 1 << 20, "test", NULL), PALI_OK);
        pl_context ctx = {.kernels = pl_kernels_get(NULL, NULL), .arena = &arena, .regime = PL_REGIME_PREFILL};
        const pl_rows dy = {&one, rows, out}, x = {&one, rows, in};
        const pl_tensor part = {.dtype = PL_F32, .rank = 2, .shape = {out, in}, .data = w.data};
        pl_product_backward_input(&ctx, &part, dy, (pl_rows){&dx, rows, in});
        pl_product_backward_weight(&ctx, dy, x, &dw);
        pl_column_sums(&ctx, dy, &sum);
        assert_false(ctx.failed);
        assert_true(dx == 1 && dw == 2 && (sum == 4 || empty == 2));
        pl_arena_free(&arena);
    }
}

/* An arena that is too small: the context has failed, nothing is written. */
static void test_small_arena(void **state)
{
    (void)state;
    enum { T = 20, WIDTH = 40 };
    float *const x = random_floats(T * WIDTH), *const dw = random_floats(WIDTH * WIDTH), first = dw[0];
    for (int what = INPUT; what <= COLUMNS; what++) {
        pl_arena arena;
        assert_int_equal(pl_arena_init(&arena, 64, "test", NULL), PALI_OK);
        pl_context ctx = {.kernels = pl_kernels_get(NULL, NULL), .arena = &arena, .regime = PL_REGIME_PREFILL};
        const pl_tensor w = {.dtype = PL_F32, .rank = 2, .shape = {WIDTH, WIDTH}, .data = x};
        const pl_rows rows = {x, T, WIDTH}, dx = {dw, T, WIDTH};
        if (what == INPUT)
            pl_product_backward_input(&ctx, &w, rows, dx);
        else if (what == WEIGHT)
            pl_product_backward_weight(&ctx, rows, rows, dw);
        else
            pl_column_sums(&ctx, rows, dw);
        assert_true(ctx.failed && dw[0] == first);
        pl_arena_free(&arena);
    }
    free(dw);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input), cmocka_unit_test(test_odd_input), cmocka_unit_test(test_weight), cmocka_unit_test(test_columns), cmocka_unit_test(test_empty), cmocka_unit_test(test_small_arena),
    };
    return cmocka_run_group_tests_name("product_backward", tests, NULL, NULL);
}
