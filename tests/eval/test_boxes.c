/* Box metrics: AP50 against pycocotools, and cases counted by hand. */
#include "eval/boxes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 200 }; /* objects of an answer */

/* The objects that an answer of that text has, their confidences from a list, or NAN. */
static size_t objects_of(const char *text, const json_t *confidences, pl_location_list *list, pali_object objects[MOST])
{
    assert_int_equal(pl_locations_of_text(text, list, NULL), PALI_OK);
    assert_true(list->count <= MOST);
    for (size_t i = 0; i < list->count; i++) {
        const json_t *const confidence = json_array_get(confidences, i);
        objects[i] = (pali_object){.label = list->items[i].label, .problem = list->items[i].valid ? NULL : "no area", .confidence = confidence ? json_number_value(confidence) : (double)NAN};
        memcpy(objects[i].bins, list->items[i].bins, sizeof objects[i].bins);
    }
    return list->count;
}

static void add_ranked(pl_box_score *score, const char *suffix, const char *prediction, const json_t *confidences, uint16_t *hits)
{
    static pali_object objects[MOST];
    pl_location_list truths = {0}, found = {0};
    assert_int_equal(pl_locations_of_text(suffix, &truths, NULL), PALI_OK);
    const size_t count = objects_of(prediction, confidences, &found, objects);
    assert_int_equal(pl_box_score_add(score, &truths, objects, count, hits, NULL), PALI_OK);
    pl_location_list_free(&truths);
    pl_location_list_free(&found);
}

static void add(pl_box_score *score, const char *suffix, const char *prediction)
{
    add_ranked(score, suffix, prediction, NULL, NULL);
}

static double number(const json_t *object, const char *key)
{
    const json_t *const value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void ap_is_that_of_pycocotools(void **state)
{
    (void)state;
    json_t *const golden = json_load_file("tests/eval/golden_ap50.json", 0, NULL);
    assert_non_null(golden);
    pl_box_score score = {0};
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "rows"), i, row)
        add(&score, json_string_value(json_object_get(row, "suffix")), json_string_value(json_object_get(row, "prediction")));
    assert_true(score.rows >= 40);
    json_t *const found = pl_box_score_json(&score, NULL);
    assert_non_null(found);
    /* The same sums in another order. */
    assert_true(fabs(number(found, "ap50") - number(golden, "ap50")) < 1e-12);
    const char *label;
    json_t *ap;
    json_object_foreach(json_object_get(golden, "labels"), label, ap) {
        const json_t *const own = json_object_get(json_object_get(found, "labels"), label);
        assert_true(fabs(number(own, "ap50") - json_number_value(ap)) < 1e-12);
    }
    /* A label that nothing is expected of has no AP and does not lower the mean. */
    assert_true(json_is_null(json_object_get(json_object_get(json_object_get(found, "labels"), "bird"), "ap50")));
    json_decref(found);
    json_decref(golden);
    pl_box_score_free(&score);
}

/* Every label at every threshold, ranked by confidences of which many are equal. */
static void ranked_ap_is_that_of_pycocotools(void **state)
{
    (void)state;
    json_t *const golden = json_load_file("tests/eval/golden_ap.json", 0, NULL);
    assert_non_null(golden);
    pl_box_score score = {0};
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "rows"), i, row)
        add_ranked(&score, json_string_value(json_object_get(row, "suffix")), json_string_value(json_object_get(row, "prediction")), json_object_get(row, "confidences"), NULL);
    const json_t *const labels = json_object_get(golden, "labels");
    assert_int_equal(json_object_size(labels), 3);
    for (i = 0; i < score.ap.count; i++) {
        const json_t *const expected = json_object_get(labels, score.ap.labels[i].label);
        double ap[PL_AP_THRESHOLDS];
        assert_int_equal(pl_ap_of_label(&score.ap.labels[i], ap, NULL), PALI_OK);
        for (size_t t = 0; expected && t < PL_AP_THRESHOLDS; t++)
            assert_true(fabs(ap[t] - json_number_value(json_array_get(expected, t))) < 1e-12);
    }
    json_t *const found = pl_box_score_json(&score, NULL);
    assert_true(fabs(number(found, "ap") - number(golden, "ap")) < 1e-12);
    assert_true(fabs(number(found, "ap50") - number(golden, "ap50")) < 1e-12);
    /* Equal ranks give something else: confidences count. */
    assert_true(fabs(number(golden, "ap50") - 0.279842506269961) > 0.03);
    json_decref(found);
    json_decref(golden);
    pl_box_score_free(&score);
}

#define A "<loc0000><loc0000><loc0400><loc0400>"
#define HALF_A "<loc0000><loc0000><loc0400><loc0200>"
#define B "<loc0500><loc0500><loc0900><loc0900>"
#define FLAT "<loc0500><loc0500><loc0500><loc0900>"

static void check(pl_box_score *score, double truths, double predictions, double invalid, double iou, double ap)
{
    json_t *const found = pl_box_score_json(score, NULL);
    assert_true(number(found, "truths") == truths);
    assert_true(number(found, "predictions") == predictions);
    assert_true(number(found, "invalid") == invalid);
    assert_true(fabs(number(found, "mean_iou") - iou) < 1e-12);
    assert_true(fabs(number(found, "ap50") - ap) < 1e-12);
    json_decref(found);
}

static void counted_by_hand(void **state)
{
    (void)state;
    static const struct {
        const char *suffix, *prediction;
        double truths, predictions, invalid, iou, ap;
    } cases[] = {
        {A " cat", A " cat", 1, 1, 0, 1, 1},
        {A " cat", HALF_A " cat", 1, 1, 0, 0.5, 1}, /* exactly 1/2 is enough */
        {A " cat", A " dog", 1, 1, 0, 0, 0},
        {A " cat", "", 1, 0, 0, 0, 0},
        {A " cat", FLAT " cat", 1, 1, 1, 0, 0},
        {A " cat", A " cat ; " A " cat", 1, 2, 0, 1, 1},        /* the second is wrong, but after full recall */
        {A " cat", B " cat ; " A " cat", 1, 2, 0, 1, 0.5},      /* the first is wrong */
        {A " cat ; " B " cat", A " cat", 2, 1, 0, 0.5, 51.0 / 101}, /* recalls 0 to 0.5 */
        {A " cat ; " B " dog", A " cat", 2, 1, 0, 0.5, 0.5},    /* mean of 1 and 0 */
        {A, A, 1, 1, 0, 1, 1},                                  /* no label is a label too */
        {A " cat ; " HALF_A " cat", A " cat ; " A " cat", 2, 2, 0, 0.75, 1}, /* each takes one */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_box_score score = {0};
        add(&score, cases[i].suffix, cases[i].prediction);
        check(&score, cases[i].truths, cases[i].predictions, cases[i].invalid, cases[i].iou, cases[i].ap);
        pl_box_score_free(&score);
    }
}

static void nothing_expected_is_null(void **state)
{
    (void)state;
    pl_box_score score = {0};
    add(&score, "", A " cat");
    json_t *const found = pl_box_score_json(&score, NULL);
    assert_true(json_is_null(json_object_get(found, "ap50")));
    assert_true(json_is_null(json_object_get(found, "mean_iou")));
    json_decref(found);
    pl_box_score_free(&score);
}

/* What an empty picture is said to hold counts against the label elsewhere. */
static void boxes_on_empty_pictures_count(void **state)
{
    (void)state;
    pl_box_score score = {0};
    add(&score, "", A " cat");
    add(&score, A " cat", A " cat");
    check(&score, 1, 2, 0, 1, 0.5);
    pl_box_score_free(&score);
}

/* Which boxes are right does not follow the order of output but that of confidence: one truth, two boxes on it. */
static void hits_go_to_the_confident(void **state)
{
    (void)state;
    pl_box_score score = {0};
    json_t *const confidences = json_pack("[f, f]", 0.25, 0.75);
    uint16_t hits[2];
    add_ranked(&score, A " cat", HALF_A " cat ; " A " cat", confidences, hits);
    assert_int_equal(hits[0], 0);
    assert_int_equal(hits[1], 0x3ff);
    add_ranked(&score, A " cat", HALF_A " cat ; " FLAT " cat", NULL, hits);
    assert_int_equal(hits[0], 1); /* IoU 1/2: the first threshold only */
    assert_int_equal(hits[1], 0);
    assert_int_equal(score.invalid, 1);
    assert_int_equal(score.malformed, 1);
    json_decref(confidences);
    pl_box_score_free(&score);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ap_is_that_of_pycocotools),
        cmocka_unit_test(ranked_ap_is_that_of_pycocotools),
        cmocka_unit_test(hits_go_to_the_confident),
        cmocka_unit_test(counted_by_hand),
        cmocka_unit_test(nothing_expected_is_null),
        cmocka_unit_test(boxes_on_empty_pictures_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
