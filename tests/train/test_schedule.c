/* Schedules against the numbers of the reference and against their formulas. */
#include "train/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_close(double found, double expected, double bound)
{
    if (!(fabs(found - expected) <= bound))
        fail_msg("found %.12g, expected %.12g", found, expected);
}

static void test_cosine_golden(void **state)
{
    (void)state;
    static const struct {
        uint64_t step;
        double factor, digits;
    } golden[] = {{0, 0, 0}, {1, 0.02, 1e-15}, {25, 0.5, 1e-15}, {50, 1, 0}, {51, 0.999997266, 1e-9}, {525, 0.5, 1e-12}, {900, 0.027091379, 1e-9}, {999, 2.734e-6, 1e-9}, {1000, 0, 1e-15}, {1001, 0, 1e-15}};
    const pl_schedule cosine = {.kind = PL_SCHEDULE_COSINE, .total = 1000, .warmup = pl_schedule_warmup(0.05, 1000)};
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        assert_close(pl_schedule_at(&cosine, golden[i].step), golden[i].factor, golden[i].digits);
}

/* Numbers of steps in the published recipes. */
static void test_steps(void **state)
{
    (void)state;
    assert_int_equal(pl_schedule_steps(5, 113287, 256), 2213);
    assert_int_equal(pl_schedule_steps(10, 44812, 256), 1750);
    assert_int_equal(pl_schedule_steps(10, 658111, 256), 25707);
    assert_int_equal(pl_schedule_steps(1, 1, 256), 1);
    assert_int_equal(pl_schedule_warmup(0.05, 2213), 111);
    assert_int_equal(pl_schedule_warmup(0.05, 1750), 88);
    assert_int_equal(pl_schedule_warmup(0.05, 25707), 1285);
    assert_int_equal(pl_schedule_warmup(0.05, 3), 1);
    assert_int_equal(pl_schedule_warmup(0, 1000), 0);
    assert_int_equal(pl_schedule_warmup(2, 1000), 2);
    assert_int_equal(pl_schedule_warmup(300, 1000), 300);
}

static void test_others(void **state)
{
    (void)state;
    pl_schedule s = {.kind = PL_SCHEDULE_LINEAR, .total = 110, .warmup = 10};
    assert_close(pl_schedule_at(&s, 5), 0.5, 0);
    assert_close(pl_schedule_at(&s, 60), 0.5, 1e-15);
    assert_close(pl_schedule_at(&s, 110), 0, 0);
    s.kind = PL_SCHEDULE_CONSTANT;
    assert_close(pl_schedule_at(&s, 0), 0, 0);
    assert_close(pl_schedule_at(&s, 9), 0.9, 1e-15);
    assert_close(pl_schedule_at(&s, 1000), 1, 0);
    s.kind = PL_SCHEDULE_RSQRT;
    s.timescale = 100;
    assert_close(pl_schedule_at(&s, 5), 0.5, 0);
    assert_close(pl_schedule_at(&s, 10), 1, 0);
    assert_close(pl_schedule_at(&s, 310), 0.5, 1e-15); /* 1 / sqrt(1 + 300 / 100) */
    s.timescale = 0;
    assert_close(pl_schedule_at(&s, 30010), 0.5, 1e-15);
    s.warmup = 0;
    assert_close(pl_schedule_at(&s, 0), 1, 0);
}

/* A warm-up as long as the run, and runs of one step. */
static void test_edges(void **state)
{
    (void)state;
    static const pl_schedule_kind kinds[] = {PL_SCHEDULE_COSINE, PL_SCHEDULE_RSQRT, PL_SCHEDULE_LINEAR, PL_SCHEDULE_CONSTANT};
    for (size_t k = 0; k < 4; k++)
        for (uint64_t total = 1; total < 5; total++)
            for (uint64_t warmup = 0; warmup < 7; warmup++)
                for (uint64_t step = 0; step < 8; step++) {
                    const pl_schedule s = {.kind = kinds[k], .total = total, .warmup = warmup};
                    const double factor = pl_schedule_at(&s, step);
                    assert_true(factor >= 0 && factor <= 1);
                    if (step < warmup)
                        assert_close(factor, (double)step / (double)warmup, 1e-15);
                }
}

static void test_names(void **state)
{
    (void)state;
    pl_schedule_kind kind = PL_SCHEDULE_COSINE;
    pali_error err = {0};
    assert_int_equal(pl_schedule_parse("rsqrt", "schedule", &kind, &err), PALI_OK);
    assert_int_equal(kind, PL_SCHEDULE_RSQRT);
    assert_int_equal(pl_schedule_parse("cosine2", "schedule", &kind, &err), PALI_USAGE);
    assert_string_equal(err.message, "schedule: found 'cosine2', expected cosine, rsqrt, linear or constant");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cosine_golden), cmocka_unit_test(test_steps), cmocka_unit_test(test_others),
        cmocka_unit_test(test_edges),         cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
