/*
 * Every op's backward in float: the same bits for any number of threads, in
 * every kind of numbers that products take; and on every level what `ref` gives.
 */
#include "ops/gradient_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_THREADS = 4 };

static const struct {
    const char *name;
    pl_activations activations;
    /*
     * Of an input's largest gradient, between levels. Floats: sums of up to 1,029 products in other orders. bf16
     * rounds each number by up to 2^-9 of it; over a sum of several that is some 2^-8 of its largest terms.
     */
    double tolerance;
} numbers[] = {
    {"f32", PL_ACTIVATIONS_F32, 1e-5},
    {"auto", PL_ACTIVATIONS_AUTO, 0.02},
    {"bf16", PL_ACTIVATIONS_BF16, 0.02},
};

typedef struct gradients {
    double loss;
    float *values[CASE_INPUTS]; /* owned */
} gradients;

static gradients take(const gradient_case *c, const pl_context *like)
{
    gradient_run run;
    gradients g = {0};
    gradient_run_init(&run, c, like);
    g.loss = gradient_run_backward(&run);
    for (size_t i = 0; i < run.inputs; i++) {
        g.values[i] = run.gradient[i];
        run.gradient[i] = NULL;
    }
    gradient_run_free(&run);
    return g;
}

static void drop(gradients *g)
{
    for (size_t i = 0; i < CASE_INPUTS; i++)
        free(g->values[i]);
}

static void expect_same(const gradient_case *c, const gradients *a, const gradients *b, const char *level, const char *name, size_t threads)
{
    if (memcmp(&a->loss, &b->loss, sizeof a->loss) != 0)
        fail_msg("%s %s, %s, %s: the loss differs with %zu threads", c->op, c->what, level, name, threads);
    for (size_t i = 0; i < CASE_INPUTS; i++)
        if (a->values[i] && memcmp(a->values[i], b->values[i], c->inputs[i].rows * c->inputs[i].width * sizeof(float)) != 0)
            fail_msg("%s %s, %s, %s: the gradient of %s differs with %zu threads", c->op, c->what, level, name, c->inputs[i].name, threads);
}

static void expect_near(const gradient_case *c, const gradients *a, const gradients *b, const char *level, size_t n)
{
    for (size_t i = 0; i < CASE_INPUTS; i++) {
        double worst = 0, largest = 0;
        for (size_t k = 0; a->values[i] && k < c->inputs[i].rows * c->inputs[i].width; k++) {
            const double difference = fabs((double)a->values[i][k] - (double)b->values[i][k]);
            worst = difference > worst || isnan(difference) ? difference : worst;
            largest = fmax(largest, fabs((double)b->values[i][k]));
        }
        if (!(worst <= numbers[n].tolerance * largest))
            fail_msg("%s %s, %s, %s: the gradient of %s is off by %.3g of %.3g", c->op, c->what, level, numbers[n].name, c->inputs[i].name, worst, largest);
    }
}

static pl_pool *pools[MOST_THREADS + 1];

/* All numbers of threads on a level; and what `ref` (in f32) gives, unless that is NULL. */
static void check_level(const gradient_case *c, const char *level, const gradients *ref)
{
    for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
        pl_context like = {.kernels = pl_kernels_get(level, NULL), .pool = pools[1], .activations = numbers[n].activations};
        gradients one = take(c, &like);
        if (ref)
            expect_near(c, &one, ref, like.kernels->level, n);
        for (size_t threads = 2; threads <= MOST_THREADS; threads++) {
            like.pool = pools[threads];
            gradients more = take(c, &like);
            expect_same(c, &one, &more, like.kernels->level, numbers[n].name, threads);
            drop(&more);
        }
        drop(&one);
    }
}

static void test_levels(void **state)
{
    (void)state;
    const char *const only = getenv("PALI_TEST_LEVEL"); /* emulated processors are slow */
    for (size_t i = 0; i < gradient_case_count; i++) {
        const gradient_case *c = &gradient_cases[i];
        if (c->large)
            continue;
        gradients ref = take(c, &(pl_context){.kernels = pl_kernels_get("ref", NULL), .activations = PL_ACTIVATIONS_F32});
        for (const char *const *level = pl_kernel_levels(); *level; level++)
            if (!only || strcmp(only, *level) == 0)
                check_level(c, *level, &ref);
        drop(&ref);
    }
}

/* Sizes at which sums are cut between tasks; on the best level. */
static void test_large(void **state)
{
    (void)state;
    for (size_t i = 0; i < gradient_case_count && !getenv("PALI_TEST_LEVEL"); i++)
        if (gradient_cases[i].large)
            check_level(&gradient_cases[i], NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels), cmocka_unit_test(test_large)};
    pali_error err = {0};
    for (size_t threads = 1; threads <= MOST_THREADS; threads++) {
        pools[threads] = pl_pool_new(threads, &err);
        if (!pools[threads])
            return 1;
    }
    const int failed = cmocka_run_group_tests_name("gradient bits", tests, NULL, NULL);
    for (size_t threads = 1; threads <= MOST_THREADS; threads++)
        pl_pool_free(pools[threads]);
    return failed;
}
