/* Isotonic regression against scikit-learn, calibration error against numpy, and a file fitted, written, read and applied. */
#include "eval/reliability.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void read_samples(const json_t *list, pl_samples *samples)
{
    size_t i;
    json_t *pair;
    json_array_foreach((json_t *)list, i, pair) {
        const pl_sample sample = {.score = json_number_value(json_array_get(pair, 0)), .right = json_integer_value(json_array_get(pair, 1)) != 0};
        assert_int_equal(pl_samples_add(samples, sample, NULL), PALI_OK);
    }
    pl_samples_sort(samples);
}

/* The regression's value at a score: the share of right ones in its block. */
static double fitted_at(double score, const pl_samples *sorted, const pl_block *blocks, size_t count)
{
    size_t end = 0;
    for (size_t b = 0; b < count; b++) {
        end += blocks[b].count;
        if (score <= sorted->items[end - 1].score)
            return (double)blocks[b].right / (double)blocks[b].count;
    }
    fail_msg("no block holds %g", score);
    return 0;
}

static void regression_is_that_of_scikit_learn(void **state)
{
    (void)state;
    json_t *const golden = json_load_file("tests/eval/golden_calibration.json", 0, NULL);
    assert_non_null(golden);
    size_t c, i;
    json_t *item, *pair;
    json_array_foreach(golden, c, item) {
        const json_t *const list = json_object_get(item, "samples");
        pl_samples samples = {0};
        read_samples(list, &samples);
        pl_block *blocks = NULL;
        size_t count = 0;
        assert_int_equal(pl_isotonic_blocks(samples.items, samples.count, &blocks, &count, NULL), PALI_OK);
        json_array_foreach((json_t *)list, i, pair) {
            const double expected = json_number_value(json_array_get(json_object_get(item, "fitted"), i));
            const double found = fitted_at(json_number_value(json_array_get(pair, 0)), &samples, blocks, count);
            assert_true(fabs(found - expected) < 1e-12); /* sums of small whole numbers, divided once */
        }
        const pl_reliability r = pl_reliability_of(samples.items, samples.count);
        assert_true(fabs(r.ece - json_number_value(json_object_get(item, "ece"))) < 1e-12); /* the same sums in another order */
        assert_true(fabs(r.brier - json_number_value(json_object_get(item, "brier"))) < 1e-12);
        free(blocks);
        free(samples.items);
    }
    assert_int_equal(json_array_size(golden), 5);
    json_decref(golden);
}

static void points_by_hand(void **state)
{
    (void)state;
    /* 0.2 wrong, 0.4 right, 0.5 wrong (pooled with it), 0.75 right twice. */
    static const pl_sample samples[] = {{.score = 0.2}, {.score = 0.4, .right = true}, {.score = 0.5}, {.score = 0.75, .right = true}, {.score = 0.75, .right = true}};
    static const pl_curve_point expected[] = {{0.2, 0.25}, {0.45, 0.5}, {0.75, 2.5 / 3}};
    pl_curve_point *points = NULL;
    size_t count = 0;
    assert_int_equal(pl_isotonic_fit(samples, 5, &points, &count, NULL), PALI_OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++)
        assert_true(fabs(points[i].score - expected[i].score) < 1e-15 && fabs(points[i].probability - expected[i].probability) < 1e-15);
    assert_true(pl_curve_at(points, count, 0) == 0.25);
    assert_true(pl_curve_at(points, count, 1) == points[2].probability);
    assert_true(fabs(pl_curve_at(points, count, 0.325) - 0.375) < 1e-15);
    assert_true(pl_curve_at(points, count, 0.75) == points[2].probability);
    free(points);
    /* Nine of ten, then one of one: smoothed, the second would fall below the first. */
    pl_sample many[101] = {{.score = 0}};
    for (size_t i = 0; i < 101; i++)
        many[i] = (pl_sample){.score = i < 100 ? 0.5 : 0.9, .right = i > 0};
    assert_int_equal(pl_isotonic_fit(many, 101, &points, &count, NULL), PALI_OK);
    assert_int_equal(count, 2);
    assert_true(points[1].probability == points[0].probability);
    free(points);
}

static const pali_model_info model = {.family = "paligemma", .parameters = 123, .image_size = 112, .vocabulary = 3008};

/* Boxes of two labels: of scores i/n, right where the pattern says; "cat" is right more often. */
static void made_up_samples(pl_samples samples[PALI_CALIBRATED_KINDS], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double score = ((double)i + 0.5) / (double)n;
        const bool is_cat = i % 2;
        const pl_sample box = {.score = score, .right = (i * 7919) % n < (is_cat ? n * 9 / 10 : n / 3), .label = is_cat ? "cat" : "dog"};
        assert_int_equal(pl_samples_add(&samples[PALI_CALIBRATED_BOX], box, NULL), PALI_OK);
    }
    assert_int_equal(pl_samples_add(&samples[PALI_CALIBRATED_TEXT], (pl_sample){.score = 0.5, .right = true}, NULL), PALI_OK);
    assert_int_equal(pl_samples_add(&samples[PALI_CALIBRATED_TEXT], (pl_sample){.score = (double)NAN}, NULL), PALI_OK);
}

static void free_samples(pl_samples samples[PALI_CALIBRATED_KINDS])
{
    for (size_t kind = 0; kind < PALI_CALIBRATED_KINDS; kind++)
        free(samples[kind].items);
}

static double number(const json_t *object, const char *first, const char *second)
{
    const json_t *const value = json_object_get(json_object_get(object, first), second);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void fitted_written_read_applied(void **state)
{
    (void)state;
    char path[] = "/tmp/pali-calibration-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    pl_samples samples[PALI_CALIBRATED_KINDS] = {{0}};
    made_up_samples(samples, 600);
    json_t *summary = NULL;
    pali_error err = {0};
    if (pl_calibration_write(path, "a model", &model, samples, &summary, &err) != PALI_OK)
        fail_msg("%s", err.message);
    assert_true(number(summary, "boxes", "samples") == 600 && number(summary, "boxes", "labels") == 2);
    assert_true(json_is_null(json_object_get(summary, "masks")) && json_is_null(json_object_get(summary, "text")));
    json_decref(summary);
    pali_calibration *const calibration = pl_calibration_open(path, &err);
    if (!calibration)
        fail_msg("%s", err.message);
    unlink(path);
    assert_int_equal(pl_calibration_check(calibration, &model, &err), PALI_OK);
    /* Scores of these samples say nothing about right and wrong, labels do. */
    assert_true(fabs(pl_calibration_apply(calibration, PALI_CALIBRATED_BOX, "cat", 0.5) - 0.9) < 0.1);
    assert_true(fabs(pl_calibration_apply(calibration, PALI_CALIBRATED_BOX, "dog", 0.5) - 1.0 / 3) < 0.1);
    assert_true(fabs(pl_calibration_apply(calibration, PALI_CALIBRATED_BOX, "bird", 0.5) - 0.62) < 0.1);
    assert_true(pl_calibration_apply(calibration, PALI_CALIBRATED_MASK, "cat", 0.5) == pl_calibration_apply(calibration, PALI_CALIBRATED_BOX, "cat", 0.5));
    assert_true(pl_calibration_apply(calibration, PALI_CALIBRATED_TEXT, NULL, 0.25) == 0.25);
    assert_true(isnan(pl_calibration_apply(calibration, PALI_CALIBRATED_BOX, "cat", (double)NAN)));
    json_t *const figures = pl_reliability_json(samples, calibration, &err);
    assert_true(number(figures, "boxes", "ece") > 0.2);
    assert_true(number(figures, "boxes_calibrated", "ece") < 0.05);
    assert_true(number(figures, "boxes_calibrated", "brier") < number(figures, "boxes", "brier") - 0.1);
    assert_true(number(figures, "text", "samples") == 1);
    assert_null(json_object_get(figures, "masks"));
    json_decref(figures);
    pl_calibration_free(calibration);
    free_samples(samples);
}

static void too_few_and_unwritable(void **state)
{
    (void)state;
    pl_samples samples[PALI_CALIBRATED_KINDS] = {{0}};
    json_t *summary = NULL;
    pali_error err = {0};
    made_up_samples(samples, 40);
    assert_int_equal(pl_calibration_write("/tmp/never", "a model", &model, samples, &summary, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "found 40 boxes, 0 masks and 1 texts with a score, expected 50"));
    assert_int_not_equal(access("/tmp/never", F_OK), 0);
    made_up_samples(samples, 60);
    assert_int_not_equal(pl_calibration_write("/no/such/folder/file", "a model", &model, samples, &summary, &err), PALI_OK);
    assert_non_null(strstr(err.message, "/no/such/folder/file"));
    assert_null(summary);
    for (size_t i = 0; i < samples[0].count; i++) /* nothing wrong: no probability is known */
        samples[0].items[i].right = true;
    assert_int_equal(pl_calibration_write("/tmp/never", "a model", &model, samples, &summary, &err), PALI_INPUT);
    free_samples(samples);
}

/* A probability that rounding raised above 1 must not make a file that cannot be read. */
static void scores_end_at_one(void **state)
{
    (void)state;
    pl_samples samples = {0};
    assert_int_equal(pl_samples_add(&samples, (pl_sample){.score = 1 + 1e-15, .right = true}, NULL), PALI_OK);
    assert_int_equal(pl_samples_add(&samples, (pl_sample){.score = (double)NAN}, NULL), PALI_OK);
    assert_int_equal(samples.count, 1);
    assert_true(samples.items[0].score == 1);
    free(samples.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_end_at_one),
        cmocka_unit_test(regression_is_that_of_scikit_learn),
        cmocka_unit_test(points_by_hand),
        cmocka_unit_test(fitted_written_read_applied),
        cmocka_unit_test(too_few_and_unwritable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
