/* Calibration files: what is refused and how it is said. */
#include "answer/calibration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "{\"pali_calibration\": 1, \"kind\": \"isotonic\", \"model\": {\"family\": \"paligemma\", \"parameters\": 9, \"image_size\": 112, \"vocabulary\": 50}"

static pali_calibration *read_text(const char *text, pali_error *err)
{
    return pl_calibration_open_memory(text, strlen(text), "c.json", err);
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "c.json"},
        {"[1]", "is not a JSON object"},
        {"{\"pali_calibration\": 1", "is not valid JSON"},
        {"{\"layers\": 2}", "field pali_calibration: found nothing, expected 1"},
        {"{\"pali_calibration\": 2, \"kind\": \"isotonic\"}", "field pali_calibration: found 2, expected 1"},
        {"{\"pali_calibration\": \"1\"}", "field pali_calibration: found string"},
        {"{\"pali_calibration\": 1}", "field kind: found nothing, expected \"isotonic\""},
        {"{\"pali_calibration\": 1, \"kind\": \"platt\"}", "field kind: found string 'platt', expected \"isotonic\""},
        {HEAD "}", "found none of the fields boxes, masks and text"},
        {HEAD ", \"boxes\": 3}", "field boxes: found 3, expected an object"},
        {HEAD ", \"boxes\": {}}", "field boxes.points: found nothing of 0 points"},
        {HEAD ", \"boxes\": {\"points\": []}}", "field boxes.points: found a list of 0 points"},
        {HEAD ", \"boxes\": {\"points\": [[0.5]]}}", "field boxes.points: point 1 is not a score and a probability"},
        {HEAD ", \"boxes\": {\"points\": [[0.5, 1.5]]}}", "point 1 is not"},
        {HEAD ", \"boxes\": {\"points\": [[-0.5, 0.5]]}}", "point 1 is not"},
        {HEAD ", \"boxes\": {\"points\": [[0.5, null]]}}", "point 1 is not"},
        {HEAD ", \"boxes\": {\"points\": [[0.5, NaN]]}}", "is not valid JSON"},
        {HEAD ", \"boxes\": {\"points\": [[0.5, 0.5], [0.5, 0.6]]}}", "point 2 does not rise"},
        {HEAD ", \"boxes\": {\"points\": [[0.5, 0.5], [0.4, 0.6]]}}", "point 2 does not rise"},
        {HEAD ", \"masks\": {\"points\": [[0.5, 0.5], [0.6, 0.4]]}}", "field masks.points: point 2 does not rise: found (0.6, 0.4) after (0.5, 0.5)"},
        {HEAD ", \"boxes\": {\"points\": [[0.5, 0.5]], \"labels\": [1]}}", "field boxes.labels: found an array of 1, expected an object"},
        {HEAD ", \"text\": {\"points\": [[0.5, 0.5]], \"labels\": {\"a b\": {\"points\": [0]}}}}", "field text.labels.'a b'.points: point 1 is not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pali_error err = {0};
        assert_null(read_text(cases[i].text, &err));
        assert_int_equal(err.status, PALI_MODEL);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s\n   gave %s\n   not  %s", cases[i].text, err.message, cases[i].message);
        assert_null(read_text(cases[i].text, NULL));
    }
    pali_error err = {0};
    assert_null(pl_calibration_open("/no/such/file.json", &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_non_null(strstr(err.message, "/no/such/file.json"));
}

static void other_models_are_refused(void **state)
{
    (void)state;
    pali_error err = {0};
    pali_calibration *const calibration = read_text(HEAD ", \"text\": {\"points\": [[0.5, 0.5]]}}", &err);
    assert_non_null(calibration);
    const pali_model_info same = {.family = "paligemma", .parameters = 9, .image_size = 112, .vocabulary = 50};
    assert_int_equal(pl_calibration_check(calibration, &same, &err), PALI_OK);
    pali_model_info others[] = {same, same, same, same};
    others[0].family = "paligemma2";
    others[1].parameters = 8;
    others[2].image_size = 224;
    others[3].vocabulary = 51;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pl_calibration_check(calibration, &others[i], &err), PALI_MODEL);
        assert_non_null(strstr(err.message, "c.json: fitted on a paligemma of 9 parameters, 112 pixels"));
    }
    pl_calibration_free(calibration);
}

/* The label's own curve wherever it stands among them; the kind's for the others. */
static void labels_have_curves_of_their_own(void **state)
{
    (void)state;
    pali_error err = {0};
    pali_calibration *const calibration =
        read_text(HEAD ", \"boxes\": {\"points\": [[0, 0], [1, 1]], \"labels\": {\"cat\": {\"points\": [[0.5, 0.25]]}}}, \"masks\": {\"points\": [[0.5, 0.75]]}}", &err);
    if (!calibration)
        fail_msg("%s", err.message);
    assert_true(pl_calibration_apply(calibration, PALI_CALIBRATED_BOX, "cat", 0.9) == 0.25);
    assert_true(pl_calibration_apply(calibration, PALI_CALIBRATED_BOX, "dog", 0.875) == 0.875);
    assert_true(pl_calibration_apply(calibration, PALI_CALIBRATED_BOX, NULL, 0.875) == 0.875);
    assert_true(pl_calibration_apply(calibration, PALI_CALIBRATED_MASK, "cat", 0.1) == 0.75);
    assert_true(pl_calibration_apply(calibration, PALI_CALIBRATED_TEXT, NULL, 0.1) == 0.1);
    pl_calibration_free(calibration);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(other_models_are_refused),
        cmocka_unit_test(labels_have_curves_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
