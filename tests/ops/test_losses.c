/*
 * Where gradients begin, and dropout: worked numbers of the losses, what masks
 * depend on, and contexts that have no room.
 */
#include "ops/ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Worked numbers --------------------------------------------------- */

typedef struct fixture {
    pl_arena arena;
    pl_tape tape;
    pl_context ctx;
} fixture;

static void open_fixture(fixture *f, size_t bytes)
{
    pali_error err = {0};
    pl_tape_init(&f->tape);
    assert_int_equal(pl_arena_init(&f->arena, bytes, "test", &err), PALI_OK);
    assert_int_equal(pl_tape_reserve(&f->tape, bytes, &err), PALI_OK);
    f->ctx = (pl_context){.kernels = pl_kernels_get(NULL, NULL), .arena = &f->arena, .tape = &f->tape, .regime = PL_REGIME_PREFILL};
}

static void close_fixture(fixture *f)
{
    pl_arena_free(&f->arena);
    pl_tape_free(&f->tape);
}

/* The loss of one row, and the sum of its gradient, which is 0: both distributions sum to 1. */
static double loss_of(size_t vocabulary, const float *logits, int32_t target, float smoothing)
{
    fixture f;
    open_fixture(&f, vocabulary * sizeof(float) + 4096);
    const float weight = 1;
    float loss = 0;
    const pl_rows x = pl_rows_push(&f.ctx, 1, vocabulary);
    memcpy(x.data, logits, vocabulary * sizeof(float));
    const float *const d = pl_gradient_at(&f.ctx, x.data);
    pl_op_cross_entropy(&f.ctx, x, &target, &weight, smoothing, &loss);
    assert_memory_equal(x.data, logits, vocabulary * sizeof(float));
    pl_tape_backward(&f.ctx);
    assert_false(f.ctx.failed);
    double sum = 0, size = 0;
    for (size_t i = 0; i < vocabulary; i++) {
        sum += (double)d[i];
        size += fabs((double)d[i]);
    }
    if (isfinite(loss) && target >= 0)
        assert_true(fabs(sum) <= 1e-6 && size > 1e-3);
    else
        assert_true(isnan(loss) ? isnan(sum) : size == 0);
    close_fixture(&f);
    return (double)loss;
}

/* spec: uniform logits give ln V; four logits with and without smoothing */
static void test_worked_losses(void **state)
{
    (void)state;
    static const float toy[] = {2, 1, 0, -1}, huge[] = {20000, -20000, 19999, 0}, broken[] = {1, NAN, 0, 1};
    assert_float_equal(loss_of(4, toy, 0, 0), 0.4401897, 1e-6);
    assert_float_equal(loss_of(4, toy, 0, 0.1f), 0.6401897, 1e-6);
    assert_float_equal(loss_of(4, huge, 2, 0), 1.3132617, 1e-6);
    assert_true(isnan(loss_of(4, broken, 0, 0)));
    assert_true(loss_of(4, toy, -1, 0) == 0);
    static const struct {
        size_t vocabulary;
        double loss;
    } uniform[] = {{257152, 12.4574226}, {257216, 12.4576715}};
    for (size_t i = 0; i < 2; i++) {
        float *const x = malloc(uniform[i].vocabulary * sizeof *x);
        for (size_t j = 0; j < uniform[i].vocabulary; j++)
            x[j] = -3.3f;
        assert_float_equal(loss_of(uniform[i].vocabulary, x, 257151, 0), uniform[i].loss, 1e-6);
        assert_float_equal(loss_of(uniform[i].vocabulary, x, 7, 0.1f), uniform[i].loss, 3e-6);
        free(x);
    }
}

/* With neighbours one place away as likely as exp(-1/2): by hand, and at the end of the run what lies outside is the last's. */
static void test_spread_losses(void **state)
{
    (void)state;
    static const float logits[] = {0.5f, 2, -1, 0, 1, 3};
    const float weight = 1;
    static const struct {
        int32_t target;
        int neighbours[7]; /* three places to each side */
    } cases[] = {{2, {1, 1, 1, 2, 3, 4, 4}}, {4, {1, 2, 3, 4, 4, 4, 4}}, {5, {5, 5, 5, 5, 5, 5, 5}}, {0, {0, 0, 0, 0, 0, 0, 0}}};
    double log_sum = 0, whole = 0;
    for (size_t i = 0; i < 6; i++)
        log_sum += exp((double)logits[i]);
    log_sum = log(log_sum);
    for (int k = -3; k <= 3; k++)
        whole += exp(-0.5 * k * k);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        fixture f;
        open_fixture(&f, 1 << 16);
        float loss = 0;
        const pl_rows x = pl_rows_push(&f.ctx, 1, 6);
        memcpy(x.data, logits, sizeof logits);
        pl_op_cross_entropy_spread(&f.ctx, x, &cases[c].target, &weight, 0, &(pl_spread){.first = 1, .count = 4, .width = 1}, &loss);
        double expected = 0;
        for (int k = -3; k <= 3; k++)
            expected += exp(-0.5 * k * k) / whole * (log_sum - (double)logits[cases[c].neighbours[k + 3]]);
        assert_float_equal(loss, expected, 1e-6);
        close_fixture(&f);
    }
}

/* Of PyTorch: temperature 10, bias -3. */
static void test_worked_contrastive(void **state)
{
    (void)state;
    static const float rows[2][9] = {{1, 2, -1, 0.5f, 0, 1, -2, 1, 3}, {1, 1, 0, 0, -1, 2, 1, 1, 1}};
    const float numbers[] = {2.302585093f, -3};
    float loss = 0, d[2] = {0};
    fixture f;
    open_fixture(&f, 1 << 20);
    const pl_parameter parameters[] = {{&numbers[0], &d[0], 1}, {&numbers[1], &d[1], 1}};
    f.tape.parameters = parameters;
    f.tape.parameter_count = 2;
    pl_rows units[2];
    for (size_t i = 0; i < 2; i++) {
        const pl_rows x = pl_constant_push(&f.ctx, 3, 3);
        memcpy(x.data, rows[i], sizeof rows[i]);
        units[i] = pl_rows_push(&f.ctx, 3, 3);
        pl_op_l2_normalise(&f.ctx, x, units[i]);
    }
    pl_op_sigmoid_contrastive(&f.ctx, units[0], units[1], &numbers[0], &numbers[1], &loss);
    pl_tape_backward(&f.ctx);
    assert_float_equal(loss, 3.70216586, 2e-6);
    assert_float_equal(d[0], 5.83149801, 4e-6);
    assert_float_equal(d[1], 0.94985160, 1e-6);
    close_fixture(&f);
}

/* ---- Dropout ---------------------------------------------------------- */

enum { MASK_ROWS = 50, MASK_WIDTH = 200, MASK = MASK_ROWS * MASK_WIDTH };

static void mask_of(pl_tape *tape, pl_pool *pool, float rate, uint64_t site, float *x)
{
    pl_arena arena = {0};
    pali_error err = {0};
    assert_int_equal(pl_arena_init(&arena, 64, "test", &err), PALI_OK);
    pl_context ctx = {.kernels = pl_kernels_get(NULL, NULL), .pool = pool, .arena = &arena, .tape = tape};
    for (size_t i = 0; i < MASK; i++)
        x[i] = 1;
    pl_op_dropout_inplace(&ctx, rate, site, (pl_rows){x, MASK_ROWS, MASK_WIDTH});
    pl_arena_free(&arena);
}

static size_t kept_in_both(const float *a, const float *b)
{
    size_t both = 0;
    for (size_t i = 0; i < MASK; i++)
        both += a[i] > 0 && b[i] > 0;
    return both;
}

static void test_dropout(void **state)
{
    (void)state;
    static float first[MASK], again[MASK], ones[MASK];
    pl_tape tape;
    pl_tape_init(&tape);
    tape.paused = true; /* a region that will run again drops the same values */
    tape.dropout_key = 7;
    pl_pool *const pool = pl_pool_new(3, NULL);
    mask_of(NULL, NULL, 0.1f, 1, ones); /* inference */
    mask_of(&tape, NULL, 0, 1, again);
    assert_memory_equal(ones, again, sizeof ones);
    mask_of(&tape, NULL, 0.1f, 1, first);
    mask_of(&tape, pool, 0.1f, 1, again);
    assert_memory_equal(first, again, sizeof first);
    for (size_t i = 0; i < MASK; i++)
        assert_true(first[i] == 0 || first[i] == 1 / 0.9f);
    /* five standard deviations of 10,000 values: 30 kept, 39 kept twice */
    assert_in_range(kept_in_both(first, ones), 8850, 9150);
    mask_of(&tape, NULL, 0.1f, 2, again); /* another site */
    assert_in_range(kept_in_both(first, again), 7900, 8300);
    tape.dropout_key = 8; /* another step */
    mask_of(&tape, NULL, 0.1f, 1, again);
    assert_in_range(kept_in_both(first, again), 7900, 8300);
    for (size_t i = 0; i < MASK; i++) /* the next row */
        again[i] = first[(i + MASK_WIDTH) % MASK];
    assert_in_range(kept_in_both(first, again), 7900, 8300);
    for (size_t i = 0; i < MASK; i++) /* the next column */
        again[i] = first[(i + 1) % MASK];
    assert_in_range(kept_in_both(first, again), 7900, 8300);
    mask_of(&tape, NULL, 1, 1, again); /* no value is left, and none is infinite */
    for (size_t i = 0; i < MASK; i++)
        assert_true(again[i] == 0);
    pl_pool_free(pool);
    pl_tape_free(&tape);
}

/* An arena that is too small is a failed context, no more. */
static void test_no_room(void **state)
{
    (void)state;
    for (size_t bytes = 64; bytes <= 640; bytes += 64) {
        fixture f;
        open_fixture(&f, bytes);
        static const float numbers[16] = {1};
        static const int32_t target[4] = {0};
        float scale_gradient[4] = {0}, losses[4];
        const pl_parameter parameter = {numbers, scale_gradient, 4};
        f.tape.parameters = &parameter;
        f.tape.parameter_count = 1;
        const pl_rows x = pl_rows_push(&f.ctx, 4, 4), y = pl_rows_push(&f.ctx, 4, 4);
        if (!f.ctx.failed)
            memset(x.data, 0, 16 * sizeof(float));
        pl_op_rmsnorm(&f.ctx, x, numbers, 0, 1e-6f, y);
        pl_op_cross_entropy(&f.ctx, y, target, numbers, 0, losses);
        pl_op_sigmoid_contrastive(&f.ctx, x, y, numbers, numbers, losses);
        pl_tape_backward(&f.ctx);
        assert_true(f.ctx.failed || bytes >= 256);
        close_fixture(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worked_losses),
        cmocka_unit_test(test_spread_losses),
        cmocka_unit_test(test_worked_contrastive),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests_name("losses", tests, NULL, NULL);
}
