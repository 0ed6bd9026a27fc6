/* Mask metrics: AP against pycocotools ("segm"), RefCOCO figures against numpy, matching by hand; expected masks in their forms. */
#include "eval/masks.h"
#include "eval/truth.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 16 };

static double number(const json_t *object, const char *key)
{
    const json_t *const value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static pl_mask mask_of(const json_t *rle)
{
    const json_t *const size = json_object_get(rle, "size");
    pl_rle runs = {0};
    pl_mask mask = {0};
    assert_int_equal(pl_rle_of_text(json_string_value(json_object_get(rle, "counts")), &runs, NULL), PALI_OK);
    assert_int_equal(pl_mask_of_counts(runs.counts, runs.count, (size_t)json_integer_value(json_array_get(size, 1)), (size_t)json_integer_value(json_array_get(size, 0)), &mask, NULL), PALI_OK);
    pl_rle_free(&runs);
    return mask;
}

/* A row's objects of the golden file; masks [MOST] are the caller's to free. */
static size_t read_objects(const json_t *list, pl_mask_object objects[MOST], pl_mask masks[MOST])
{
    size_t i;
    json_t *item;
    assert_true(json_array_size(list) <= MOST);
    json_array_foreach((json_t *)list, i, item) {
        const json_t *const box = json_object_get(item, "box"), *const rle = json_object_get(item, "mask");
        masks[i] = json_is_object(rle) ? mask_of(rle) : (pl_mask){0};
        objects[i] = (pl_mask_object){
            .label = json_string_value(json_object_get(item, "label")),
            .box = {json_number_value(json_array_get(box, 0)), json_number_value(json_array_get(box, 1)), json_number_value(json_array_get(box, 2)), json_number_value(json_array_get(box, 3))},
            .mask = masks[i].bits ? &masks[i] : NULL,
            .confidence = json_number_value(json_object_get(item, "confidence")),
        };
    }
    return json_array_size(list);
}

static void free_masks(pl_mask masks[MOST])
{
    for (size_t i = 0; i < MOST; i++)
        pl_mask_free(&masks[i]);
}

static void ap_is_that_of_pycocotools(void **state)
{
    const json_t *const golden = *state;
    pl_mask_score score = {0};
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "rows"), i, row) {
        pl_mask_object truths[MOST], found[MOST];
        pl_mask truth_masks[MOST] = {{0}}, found_masks[MOST] = {{0}};
        const size_t truth_count = read_objects(json_object_get(row, "truths"), truths, truth_masks);
        const size_t count = read_objects(json_object_get(row, "found"), found, found_masks);
        assert_int_equal(pl_mask_score_add(&score, truths, truth_count, found, count, NULL, NULL), PALI_OK);
        free_masks(truth_masks);
        free_masks(found_masks);
    }
    assert_int_equal(score.rows, 30);
    assert_int_equal(score.ap.count, 2);
    for (i = 0; i < score.ap.count; i++) {
        const json_t *const expected = json_object_get(json_object_get(golden, "labels"), score.ap.labels[i].label);
        double ap[PL_AP_THRESHOLDS];
        assert_int_equal(pl_ap_of_label(&score.ap.labels[i], ap, NULL), PALI_OK);
        for (size_t t = 0; t < PL_AP_THRESHOLDS; t++) /* the same sums in another order */
            assert_true(fabs(ap[t] - json_number_value(json_array_get(expected, t))) < 1e-12);
    }
    pl_mask_score_free(&score);
}

static void refcoco_is_as_published(void **state)
{
    const json_t *const golden = *state, *const expected = json_object_get(golden, "refcoco");
    pl_refcoco sums = {0};
    size_t i;
    json_t *answer;
    json_array_foreach(json_object_get(golden, "answers"), i, answer) {
        const json_t *const row = json_array_get(json_object_get(golden, "rows"), (size_t)json_integer_value(json_object_get(answer, "row")));
        pl_mask_object truths[MOST], found[MOST];
        pl_mask truth_masks[MOST] = {{0}}, found_masks[MOST] = {{0}};
        read_objects(json_object_get(row, "truths"), truths, truth_masks);
        read_objects(json_object_get(row, "found"), found, found_masks);
        bool valid;
        pali_mask_tokens tokens;
        assert_int_equal(pl_refcoco_parse(json_string_value(json_object_get(answer, "text")), &valid, &tokens, NULL), PALI_OK);
        pl_refcoco_add(&sums, &truths[0], valid ? &tokens : NULL, found[0].mask);
        free_masks(truth_masks);
        free_masks(found_masks);
    }
    assert_true(sums.rows == 24 && (double)sums.rows == number(expected, "rows"));
    assert_true((double)sums.invalid == number(expected, "invalid"));
    assert_true(fabs(sums.iou - number(expected, "iou")) < 1e-12);
    assert_true(fabs(sums.box_iou - number(expected, "box_iou")) < 1e-12);
    assert_true((double)sums.box_50 == number(expected, "box_50") && (double)sums.box_75 == number(expected, "box_75"));
}

static void mean_iou_is_of_matched_objects(void **state)
{
    (void)state;
    pl_mask left, right;
    assert_int_equal(pl_mask_new(4, 1, "left", &left, NULL), PALI_OK);
    assert_int_equal(pl_mask_new(4, 1, "right", &right, NULL), PALI_OK);
    left.bits[0] = left.bits[1] = right.bits[2] = right.bits[3] = 1;
    const pali_box a = {0, 0, 1, 0.5}, b = {0, 0.5, 1, 1}, most_of_a = {0, 0, 1, 0.375};
    const pl_mask_object truths[] = {{.label = "cat", .box = a, .mask = &left}, {.label = "cat", .box = b, .mask = &right}};
    /* The better box of the two on `a` has the wrong mask: it is the one that counts. Nothing is left for `b` but a dog. */
    const pl_mask_object found[] = {
        {.label = "cat", .box = most_of_a, .mask = &left, .confidence = 0.5},
        {.label = "cat", .box = a, .mask = &right, .confidence = 0.25},
        {.label = "dog", .box = b, .mask = &right, .confidence = 0.75},
    };
    pl_mask_score score = {0};
    uint16_t hits[3];
    assert_int_equal(pl_mask_score_add(&score, truths, 2, found, 3, hits, NULL), PALI_OK);
    assert_true(hits[0] & 1u && hits[1] & 1u && !(hits[2] & 1u));
    json_t *const json = pl_mask_score_json(&score, NULL);
    assert_true(number(json, "mean_iou") == 0 && number(json, "truths") == 2 && number(json, "predictions") == 3);
    json_decref(json);
    pl_mask_score_free(&score);
    score = (pl_mask_score){0};
    assert_int_equal(pl_mask_score_add(&score, truths, 2, found, 1, hits, NULL), PALI_OK);
    json_t *const alone = pl_mask_score_json(&score, NULL);
    assert_true(number(alone, "mean_iou") == 0.5);
    json_decref(alone);
    pl_mask_score_free(&score);
    pl_mask_free(&left);
    pl_mask_free(&right);
}

static pali_status read_truth(const char *line, const pl_mask_maker *maker, pl_truth *truth, pali_error *err)
{
    char path[] = "/tmp/pali-truth-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, line, strlen(line)), (ssize_t)strlen(line));
    close(fd);
    pl_eval_rows rows = {0};
    pali_status status = pl_eval_rows_read(path, 0, &rows, err);
    if (status == PALI_OK)
        status = pl_truth_read(&rows.items[0], maker, truth, err);
    pl_eval_rows_free(&rows);
    unlink(path);
    return status;
}

#define ROW "{\"image\": \"/dev/../etc/passwd\", \"prefix\": \"segment cat\", \"suffix\": "
#define A "<loc0000><loc0000><loc1023><loc0512>"
#define SEG "<seg000><seg001><seg002><seg003><seg004><seg005><seg006><seg007><seg008><seg009><seg010><seg011><seg012><seg013><seg014><seg015>"

static void expected_masks_in_their_forms(void **state)
{
    (void)state;
    const pl_mask_maker maker = {.width = 4, .height = 2};
    static const struct {
        const char *line;
        size_t count;
    } cases[] = {
        {ROW "\"" A " cat\", \"mask\": {\"size\": [2, 4], \"counts\": [0, 4, 4]}}", 1},
        {ROW "\"" A " cat\", \"mask\": {\"size\": [2, 4], \"counts\": \"044\"}}", 1},
        {ROW "\"" A " cat\", \"mask\": [[0, 0, 2, 0, 2, 2, 0, 2]]}", 1},
        {ROW "\"\", \"masks\": [[[0, 0, 2, 0, 2, 2, 0, 2]], {\"size\": [2, 4], \"counts\": [0, 4, 4]}]}", 2}, /* no boxes: those of the masks */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_truth truth = {0};
        pali_error err = {0};
        if (read_truth(cases[i].line, &maker, &truth, &err) != PALI_OK)
            fail_msg("%s\n   %s", cases[i].line, err.message);
        assert_int_equal(truth.objects.count, cases[i].count);
        for (size_t k = 0; k < truth.objects.count; k++) {
            assert_memory_equal(truth.masks[k].bits, ((const unsigned char[]){1, 1, 0, 0, 1, 1, 0, 0}), 8);
            assert_true(fabs(truth.objects.items[k].box.x2 - 0.5) < 1e-3 && truth.objects.items[k].bins[2] == 1023 && truth.objects.items[k].valid);
        }
        pl_truth_free(&truth);
    }
    /* Sixteen codes, but no codec: boxes only. */
    pl_truth truth = {0};
    assert_int_equal(read_truth(ROW "\"" A SEG " cat\"}", &maker, &truth, NULL), PALI_OK);
    assert_true(truth.objects.count == 1 && !truth.masks);
    pl_truth_free(&truth);
    const pl_mask_maker own = {.width = 64, .height = 64, .codec = pl_codec_open("models/nano/vae-oid.npz", NULL), .hands = {.kernels = pl_kernels_get(NULL, NULL)}};
    assert_non_null(own.codec);
    assert_int_equal(read_truth(ROW "\"" A SEG " cat\"}", &own, &truth, NULL), PALI_OK);
    assert_true(truth.masks && truth.masks[0].width == 64);
    pl_truth_free(&truth);
    pl_codec_free((pl_codec *)own.codec);
}

static void wrong_masks_are_refused(void **state)
{
    (void)state;
    const pl_mask_maker maker = {.width = 4, .height = 2};
    static const struct {
        const char *line, *message;
    } cases[] = {
        {ROW "\"\", \"mask\": 3}", "field 'mask': found a number, expected a path"},
        {ROW "\"\", \"masks\": []}", "field 'masks': found an empty list"},
        {ROW "\"\", \"masks\": \"a.png\"}", "field 'masks': found text"},
        {ROW "\"\", \"masks\": [null]}", "field 'masks': found null"},
        {ROW "\"\", \"mask\": \"/no/such.png\"}", "field 'mask': there is no file /no/such.png"},
        {ROW "\"\", \"mask\": [[0,0,1,1,2,2]], \"masks\": [[[0,0,1,1,2,2]]]}", "found both 'mask' and 'masks'"},
        {ROW "\"" A " cat ; " A " dog\", \"mask\": [[0,0,1,1,2,2]]}", "found 1 masks and 2 boxes"},
        {ROW "\"\", \"mask\": []}", "mask 1: found an empty list, expected polygons"},
        {ROW "\"\", \"mask\": [[0,0,1,1]]}", "mask 1: found a polygon of 4 numbers"},
        {ROW "\"\", \"mask\": [[0,0,1,1,2,\"2\"]]}", "mask 1: number 6 of a polygon is none"},
        {ROW "\"\", \"mask\": {\"counts\": [8]}}", "mask 1: run lengths without \"size\""},
        {ROW "\"\", \"mask\": {\"size\": [2, 4]}}", "mask 1: run lengths without \"counts\""},
        {ROW "\"\", \"mask\": {\"size\": [2, 4], \"counts\": [9]}}", "mask 1: "},
        {ROW "\"\", \"mask\": {\"size\": [2, 4], \"counts\": [-8, 16]}}", "mask 1: run length 1 is no whole number"},
        {ROW "\"\", \"mask\": {\"size\": [4, 2], \"counts\": [8]}}", "mask 1: found 2 x 4 pixels, expected the picture's 4 x 2"},
        {ROW "\"\", \"mask\": {\"size\": [3, 4], \"counts\": [12]}}", "mask 1: found 4 x 3 pixels"},
        {ROW "\"\", \"mask\": \"/etc/passwd\"}", "mask 1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_truth truth = {0};
        pali_error err = {0};
        assert_int_equal(read_truth(cases[i].line, &maker, &truth, &err), PALI_INPUT);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s\n   gave %s\n   not  %s", cases[i].line, err.message, cases[i].message);
        pl_truth_free(&truth);
    }
}

static int set_up(void **state)
{
    *state = json_load_file("tests/eval/golden_masks.json", 0, NULL);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    json_decref(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ap_is_that_of_pycocotools, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refcoco_is_as_published, set_up, tear_down),
        cmocka_unit_test(mean_iou_is_of_matched_objects),
        cmocka_unit_test(expected_masks_in_their_forms),
        cmocka_unit_test(wrong_masks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
