/*
 * Objects of an answer through the public calls: what a start with a box and
 * sixteen codes becomes, with a mask codec and without, in the API and in JSON.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <pali/mask.h>
#include <pali/pali.h>

#define CODEC "models/nano/vae-oid.npz"
#define CODES "<seg001><seg005><seg009><seg100><seg011><seg022><seg033><seg044><seg055><seg066><seg077><seg088><seg099><seg100><seg111><seg127>"
#define START "<loc0001> ; <loc0100><loc0200><loc0600><loc0700>" CODES " red circle ; <loc0700><loc0010><loc0700><loc0020>" CODES " flat"

static pali_answer *ask(pali_model *model, size_t width, size_t height)
{
    pali_error err = {0};
    uint8_t *const rgb = calloc(width * height, 3);
    pali_image *image = pali_image_from_rgb(rgb, width, height, &err);
    pali_session *session = pali_session_new(model, NULL, &err);
    pali_answer *const answer = pali_ask(session, &image, 1, "caption en", &(pali_ask_options){.start = START, .max_tokens = 1}, &err);
    if (!answer)
        fail_msg("%s", err.message);
    pali_session_free(session);
    pali_image_free(image);
    free(rgb);
    return answer;
}

static void test_with_codec(void **state)
{
    (void)state;
    pali_error err = {0};
    pali_model *model = pali_model_open("models/nano", NULL, &err); /* finds its own codec */
    pali_codec *codec = pali_codec_open(CODEC, &err);
    assert_non_null(model);
    assert_non_null(codec);
    pali_answer *answer = ask(model, 300, 200);
    assert_int_equal(pali_answer_object_count(answer), 2);
    assert_int_equal(pali_answer_dropped_count(answer), 1);
    const pali_object *const o = pali_answer_object(answer, 0), *const flat = pali_answer_object(answer, 1);
    assert_string_equal(o->label, "red circle");
    assert_null(o->problem);
    assert_true(fabs(o->pixels.y1 - 200 * 100 / 1023.0) < 1e-9 && fabs(o->pixels.x2 - 300 * 700 / 1023.0) < 1e-9);
    pali_mask_tokens tokens = {.bins = {100, 200, 600, 700}};
    memcpy(tokens.codes, o->codes, sizeof tokens.codes);
    pali_mask *mask = pali_codec_decode(codec, &tokens, 300, 200, PALI_PASTE_EVALUATOR, &err);
    assert_int_equal(pali_mask_width(o->mask), 300);
    assert_int_equal(pali_mask_height(o->mask), 200);
    assert_true(pali_mask_area(o->mask) > 0);
    assert_memory_equal(pali_mask_bytes(o->mask), pali_mask_bytes(mask), 300 * 200);
    assert_string_equal(flat->problem, "no area");
    assert_true(flat->has_codes && flat->mask == NULL);
    assert_null(pali_answer_object(answer, 2));

    char *const text = pali_answer_json(answer, &err), *const counts = pali_mask_rle(mask, &err);
    json_t *const json = json_loads(text, 0, NULL), *const first = json_array_get(json_object_get(json, "objects"), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(first, "mask"), "counts")), counts);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(json_object_get(first, "mask"), "size"), 0)), 200);
    assert_int_equal(json_array_size(json_object_get(first, "mask_codes")), PALI_MASK_TOKENS);
    assert_int_equal(json_integer_value(json_object_get(json, "dropped")), 1);
    json_decref(json);
    pali_free(text);
    pali_free(counts);
    pali_mask_free(mask);
    pali_answer_free(answer);
    pali_codec_free(codec);
    pali_model_free(model);
}

/* A model without a codec says its codes; one can be given to it. */
static void test_given_codec(void **state)
{
    (void)state;
    pali_error err = {0};
    pali_model *model = pali_model_open("tests/data/tiny/pg1", NULL, &err);
    if (!model)
        fail_msg("%s", err.message);
    pali_answer *answer = ask(model, 40, 30);
    assert_int_equal(pali_answer_object_count(answer), 2);
    assert_true(pali_answer_object(answer, 0)->has_codes);
    assert_null(pali_answer_object(answer, 0)->mask);
    pali_answer_free(answer);
    pali_model_free(model);
    model = pali_model_open("tests/data/tiny/pg1", &(pali_model_options){.codec = CODEC}, &err);
    assert_non_null(model);
    answer = ask(model, 40, 30);
    assert_int_equal(pali_mask_height(pali_answer_object(answer, 0)->mask), 30);
    pali_answer_free(answer);
    pali_model_free(model);
    assert_null(pali_model_open("tests/data/tiny/pg1", &(pali_model_options){.codec = "tests/data/tiny/a.png"}, &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_non_null(strstr(err.message, "a.png"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_codec),
        cmocka_unit_test(test_given_codec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
