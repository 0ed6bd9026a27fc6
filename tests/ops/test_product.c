/*
 * Affine maps with all that may follow them, of every weight type, on every
 * level, in every number format, for few rows and many: against sums in double
 * of the stored weights. A row's bits depend neither on the number of threads
 * nor on the rows beside it.
 */
#include "ops/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 40, ARENA = 16 << 20 };

static const pl_dtype types[] = {PL_F32, PL_BF16, PL_F16, PL_Q8_0, PL_Q4_0, PL_Q6_K, PL_BF16_TILES, PL_Q8_TILES, PL_Q8_0_TILES, PL_Q4_0_TILES};

/* ---- One product ----------------------------------------------------- */

typedef struct setting {
    const pl_kernels *kernels;
    pl_activations activations;
    pl_regime regime;
    pl_pool *pool;
} setting;

typedef enum follow { PLAIN, GELU, ADD, ADD_IN_PLACE, SOFTCAP, GEGLU, FOLLOWS } follow;

/* The op under test, planned first, as it is used. */
static void run(const setting *s, follow what, const weights *w, const weights *gate, pl_rows x, const float *add, float *result)
{
    pl_arena plan = pl_arena_plan(), arena;
    pali_error err = {0};
    const pl_rows y = {.data = result, .count = x.count, .width = w->linear.weight.shape[0]}, added = {.data = (float *)(uintptr_t)add, .count = y.count, .width = y.width};
    pl_context ctx = {.kernels = s->kernels, .pool = s->pool, .arena = &plan, .activations = s->activations, .regime = s->regime};
    if (what == ADD_IN_PLACE)
        memcpy(result, add, y.count * y.width * sizeof *result);
    for (int pass = 0; pass < 2; pass++) {
        switch (what) {
        case PLAIN: pl_op_linear(&ctx, &w->linear, x, y); break;
        case GELU: pl_op_linear_gelu(&ctx, &w->linear, x, y); break;
        case ADD: pl_op_linear_add(&ctx, &w->linear, x, added, y); break;
        case ADD_IN_PLACE: pl_op_linear_add(&ctx, &w->linear, x, y, y); break;
        case SOFTCAP: pl_op_linear_softcap(&ctx, &w->linear, 3, x, y); break;
        default: pl_op_linear_geglu(&ctx, &gate->linear, &w->linear, x, y); break;
        }
        if (pass == 0)
            assert_int_equal(pl_arena_init(&arena, plan.peak, "test", &err), PALI_OK);
        ctx.arena = &arena;
    }
    assert_false(ctx.failed);
    pl_arena_free(&arena);
}

static double gelu(double x)
{
    return x / 2 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

/* W x + bias of one row, and the sum of its terms' sizes. */
static double affine(const weights *w, const float *x, size_t r, bool bias, double *size)
{
    const size_t in = w->linear.weight.shape[1];
    double sum = bias ? (double)w->bias[r] : 0;
    *size = fabs(sum);
    for (size_t i = 0; i < in; i++) {
        const double term = (double)w->values[r * in + i] * (double)x[i];
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

/*
 * How far a sum may be off, as a part of its terms' sizes: f32 chains; operands in bf16 (2^-9 each, most of
 * which cancels); planes of 16 bits of the largest value; one plane of 8 bits, and weights rounded to 8 bits a row.
 */
static double bound_of(const setting *s, pl_dtype type, size_t rows)
{
    const pl_context ctx = {.regime = s->regime};
    const pl_kernels *k = s->kernels;
    const bool few_planes = k->few_i8[type] && pl_few_rows(&ctx, rows);
    const bool exact = s->activations == PL_ACTIVATIONS_F32 || (type == PL_F32 && s->activations != PL_ACTIVATIONS_BF16) || (!k->bf16_unit && !k->i8_unit && !few_planes);
    const bool codes = type != PL_BF16 && type != PL_F16 && type != PL_BF16_TILES;
    if (exact)
        return 0x1p-19;
    if (pl_few_rows(&ctx, rows))
        return 0x1p-13;
    if (s->activations == PL_ACTIVATIONS_INT8 && k->i8_unit && codes)
        return 0x1p-5;
    return k->bf16_unit ? 0x1p-8 : 0x1p-13;
}

static void check_values(const setting *s, follow what, const weights *w, const weights *gate, pl_rows x, const float *add, const float *got)
{
    const size_t out = w->linear.weight.shape[0];
    const double bound = bound_of(s, w->linear.weight.dtype, x.count);
    for (size_t t = 0; t < x.count; t++) {
        for (size_t r = 0; r < out; r++) {
            double size, gate_size = 0, expected = affine(w, x.data + t * x.width, r, true, &size), slope = 1;
            if (what == GELU) {
                expected = gelu(expected);
                slope = 1.2;
            } else if (what == ADD || what == ADD_IN_PLACE) {
                expected += (double)add[t * out + r];
                size += fabs((double)add[t * out + r]);
            } else if (what == SOFTCAP) {
                expected = 3 * tanh(expected / 3);
            } else if (what == GEGLU) {
                const double open = affine(gate, x.data + t * x.width, r, false, &gate_size), before = expected;
                expected *= gelu(open);
                slope = fabs(gelu(open)) + 1.2 * bound * gate_size;
                gate_size *= 1.2 * fabs(before);
            }
            const double error = fabs((double)got[t * out + r] - expected), most = bound * (slope * size + gate_size) + 1e-6;
            if (!(error <= most))
                fail_msg("%s, %s, activations %d, regime %d, following %d, [%zu, %zu] x [%zu, %zu]: (%zu, %zu) is %g, expected %g, bound %g", s->kernels->level,
                         pl_dtype_name(w->linear.weight.dtype), (int)s->activations, (int)s->regime, (int)what, x.count, x.width, out, x.width, t, r,
                         (double)got[t * out + r], expected, most);
        }
    }
}

static void check(const setting *s, pl_dtype type, size_t rows, size_t in, size_t out, follow what)
{
    weights w = random_weights(type, out, in), gate = random_weights(type, out, in);
    gate.linear.bias = NULL;
    float *x = random_floats(rows * in), *add = random_floats(rows * out), *got = random_floats(rows * out), *again = random_floats(rows * out);
    const pl_rows all = {.data = x, .count = rows, .width = in};
    run(s, what, &w, &gate, all, add, got);
    check_values(s, what, &w, &gate, all, add, got);

    setting alone = *s; /* one thread, and the last row by itself */
    alone.pool = NULL;
    run(&alone, what, &w, &gate, all, add, again);
    assert_memory_equal(got, again, rows * out * sizeof *got);
    if (s->regime != PL_REGIME_BY_ROWS) {
        run(&alone, what, &w, &gate, pl_rows_view(all, rows - 1, 1), add + (rows - 1) * out, again);
        assert_memory_equal(got + (rows - 1) * out, again, out * sizeof *got);
    }
    free(again);
    free(got);
    free(add);
    free(x);
    free_weights(&gate);
    free_weights(&w);
}

static void test_products(void **state)
{
    (void)state;
    static const struct {
        size_t rows, in, out;
    } sizes[] = {{1, 256, 30}, {5, 512, 130}, {MOST_ROWS, 256, 70}, {17, 1280, 300}};
    pl_pool *pool = pl_pool_new(3, NULL);
    size_t count = 0;
    for (const char *const *level = pl_kernel_levels(); *level; level++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            for (int activations = PL_ACTIVATIONS_AUTO; activations <= PL_ACTIVATIONS_BF16; activations++)
                for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++, count++) {
                    const setting s = {.kernels = pl_kernels_get(*level, NULL), .activations = (pl_activations)activations, .regime = (pl_regime)(count % 3), .pool = pool};
                    check(&s, types[t], sizes[i].rows, sizes[i].in, sizes[i].out, (follow)(count * 5 % FOLLOWS));
                }
    pl_pool_free(pool);
}

/* The widths of the model that are no multiple of any block: fc2 and the patches. */
static void test_odd_widths(void **state)
{
    (void)state;
    static const pl_dtype odd[] = {PL_F32, PL_BF16, PL_BF16_TILES, PL_Q8_TILES};
    for (const char *const *level = pl_kernel_levels(); *level; level++)
        for (size_t t = 0; t < sizeof odd / sizeof *odd; t++)
            for (int regime = PL_REGIME_DECODE; regime <= PL_REGIME_PREFILL; regime++) {
                const setting s = {.kernels = pl_kernels_get(*level, NULL), .regime = (pl_regime)regime};
                check(&s, odd[t], 3, 588, 33, GELU);
                check(&s, odd[t], 2, 4304, 17, ADD);
            }
}

/* Many rows and few outputs, as adapters have them: threads share the rows. */
static void test_few_outputs(void **state)
{
    (void)state;
    static const pl_dtype some[] = {PL_F32, PL_BF16, PL_Q8_TILES};
    pl_pool *pool = pl_pool_new(3, NULL);
    for (const char *const *level = pl_kernel_levels(); *level; level++)
        for (size_t t = 0; t < sizeof some / sizeof *some; t++)
            for (int what = PLAIN; what < FOLLOWS; what++) {
                const setting s = {.kernels = pl_kernels_get(*level, NULL), .activations = what % 2 ? PL_ACTIVATIONS_BF16 : PL_ACTIVATIONS_AUTO, .regime = PL_REGIME_PREFILL, .pool = pool};
                check(&s, some[t], 301, 64, 8 + 10 * (size_t)what, (follow)what);
            }
    pl_pool_free(pool);
}

/* Outputs first.. of the product under test, as parts of several widths: the bits of the whole. */
static void check_parts(const setting *s, const weights *w, pl_rows x, const float *whole)
{
    const size_t out = w->linear.weight.shape[0];
    static const size_t firsts[] = {0, 64, 192, 256, 64}, widths[] = {64, 128, 64, SIZE_MAX, SIZE_MAX};
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        const size_t width = firsts[i] + widths[i] < widths[i] || firsts[i] + widths[i] > out ? out - firsts[i] : widths[i];
        pl_arena plan = pl_arena_plan(), arena;
        pl_context ctx = {.kernels = s->kernels, .pool = s->pool, .arena = &plan, .activations = s->activations, .regime = s->regime};
        float *part = random_floats(x.count * width);
        const pl_rows y = {.data = part, .count = x.count, .width = width};
        pl_op_linear_softcap_part(&ctx, &w->linear, 3, x, firsts[i], y);
        assert_int_equal(pl_arena_init(&arena, plan.peak, "test", NULL), PALI_OK);
        ctx.arena = &arena;
        pl_op_linear_softcap_part(&ctx, &w->linear, 3, x, firsts[i], y);
        assert_false(ctx.failed);
        for (size_t t = 0; t < x.count; t++)
            if (memcmp(part + t * width, whole + t * out + firsts[i], width * sizeof *part) != 0)
                fail_msg("%s, %s, activations %d, %zu rows: outputs %zu to %zu are not those of the whole", s->kernels->level, pl_dtype_name(w->linear.weight.dtype),
                         (int)s->activations, x.count, firsts[i], firsts[i] + width);
        pl_arena_free(&arena);
        free(part);
    }
}

/* The head's rows that can win, and no others: of every type, with an adapter and without. */
static void test_parts(void **state)
{
    (void)state;
    enum { OUT = 331, IN = 512, RANK = 5 };
    pl_pool *pool = pl_pool_new(3, NULL);
    float *a = random_floats(RANK * IN), *b = random_floats(OUT * RANK), *whole = random_floats(MOST_ROWS * OUT), *x = random_floats(MOST_ROWS * IN);
    const pl_low_rank adapter = {.a = a, .b = b, .rank = RANK, .scale = 0.5f};
    for (const char *const *level = pl_kernel_levels(); *level; level++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            for (size_t rows = 1; rows <= MOST_ROWS; rows += rows == 1 ? 3 : MOST_ROWS - 4) {
                weights w = random_weights(types[t], OUT, IN);
                const setting s = {.kernels = pl_kernels_get(*level, NULL), .activations = (pl_activations)(t % 3), .regime = rows == MOST_ROWS ? PL_REGIME_PREFILL : PL_REGIME_DECODE, .pool = pool};
                const pl_rows in = {.data = x, .count = rows, .width = IN};
                w.linear.adapters = t % 2 ? &adapter : NULL;
                run(&s, SOFTCAP, &w, NULL, in, NULL, whole);
                check_parts(&s, &w, in, whole);
                free_weights(&w);
            }
    free(a);
    free(b);
    free(x);
    free(whole);
    pl_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_odd_widths),
        cmocka_unit_test(test_few_outputs),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests_name("product", tests, NULL, NULL);
}
