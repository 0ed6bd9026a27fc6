/* What the targets of examples weigh, by numbers worked out by hand. */
#include "train/microbatch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TARGETS = 5, PLACES = 4 };

/* <bos> prompt "\n", then two tokens, two of a mask (ids from 100 on), and the end. */
static int32_t ids[] = {2, 40, 5, 50, 51, 100, 107, 1};
static const pl_example answer = {.ids = ids, .count = 8, .prefix_count = 3};

static void check_weights(const pl_example *const example, const pl_layout_options *const options, const double expected[], const size_t count, const double sum)
{
    pl_microbatch batch = {0};
    assert_int_equal(pl_microbatch_lay(&batch, options, &example, 1, NULL), PALI_OK);
    assert_int_equal(batch.wanted, count);
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)batch.weights[i] - expected[i]) <= 1e-7))
            fail_msg("target %zu: found weight %.9g, expected %.9g", i, (double)batch.weights[i], expected[i]);
    assert_true(fabs(batch.weight - sum) <= 1e-12);
    pl_microbatch_free(&batch);
}

static void check_alike(const pl_example_weight weight, const double expected, const double sum)
{
    const double all[TARGETS] = {expected, expected, expected, expected, expected};
    check_weights(&answer, &(pl_layout_options){.weight = weight}, all, TARGETS, sum);
}

static void weighs_examples(void **state)
{
    (void)state;
    check_alike(PL_WEIGHT_EXAMPLE, 0.2, 1);
    check_alike(PL_WEIGHT_ROOT, 1 / sqrt(5), sqrt(5));
    check_alike(PL_WEIGHT_TOKEN, 1, 5);
}

/* Each of the mask's as a quarter: they make up half a token of three and a half. */
static void weighs_masks(void **state)
{
    (void)state;
    const pl_token_share share = {.first = 100, .count = 8, .part = 0.25F};
    static const double parts[TARGETS] = {1, 1, 0.25, 0.25, 1};
    double root[TARGETS], mean[TARGETS];
    for (size_t i = 0; i < TARGETS; i++) {
        root[i] = parts[i] / sqrt(3.5);
        mean[i] = parts[i] / 3.5;
    }
    check_weights(&answer, &(pl_layout_options){.weight = PL_WEIGHT_EXAMPLE, .share = share}, mean, TARGETS, 1);
    check_weights(&answer, &(pl_layout_options){.weight = PL_WEIGHT_ROOT, .share = share}, root, TARGETS, sqrt(3.5));
    check_weights(&answer, &(pl_layout_options){.weight = PL_WEIGHT_TOKEN, .share = share}, parts, TARGETS, 3.5);
}

/* Of four places two are learned; the rows of the prompt put nothing out. */
static void weighs_places(void **state)
{
    (void)state;
    int32_t places[PLACES] = {50, -1, 101, -1};
    pl_example_image image = {0};
    const pl_example example = {.ids = ids, .count = 3, .prefix_count = 3, .patches = places, .images = &image, .image_count = 1};
    static const double expected[PLACES + 2] = {0.5, 0, 0.5, 0, 0, 0};
    check_weights(&example, &(pl_layout_options){.image_tokens = PLACES}, expected, PLACES + 2, 1);
}

/* An answer that was cut away counts as an example and teaches nothing. */
static void weighs_nothing(void **state)
{
    (void)state;
    const pl_example example = {.ids = ids, .count = 3, .prefix_count = 3};
    static const double none[1] = {0};
    check_weights(&example, &(pl_layout_options){.weight = PL_WEIGHT_EXAMPLE}, none, 1, 1);
    check_weights(&example, &(pl_layout_options){.weight = PL_WEIGHT_ROOT}, none, 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(weighs_examples), cmocka_unit_test(weighs_masks), cmocka_unit_test(weighs_places), cmocka_unit_test(weighs_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
