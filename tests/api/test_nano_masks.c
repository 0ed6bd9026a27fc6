/*
 * nano's masks on held-out pictures, against what the scene generator drew
 * (tools/nano/goldens.py): its codec encodes them to the codes that PyTorch
 * gave, decodes them to nearly the same masks, and the model's own masks
 * overlap them as its card says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <pali/pali.h>

#define DATA "tests/data/nano/"

static struct fixture {
    pali_model *model;
    pali_session *session;
    pali_codec *codec;
    json_t *rows; /* those with masks */
} f;

static int open_nano(void **state)
{
    (void)state;
    pali_error err = {0};
    f.model = pali_model_open("models/nano", &(pali_model_options){.preprocess = "hf:pillow13", .activations = "f32"}, &err);
    f.session = f.model ? pali_session_new(f.model, NULL, &err) : NULL;
    f.codec = f.session ? pali_codec_open("models/nano", &err) : NULL;
    FILE *file = fopen(DATA "rows.jsonl", "r");
    if (!f.codec || !file) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    f.rows = json_array();
    char line[4096];
    while (fgets(line, sizeof line, file)) {
        json_t *row = json_loads(line, 0, NULL);
        if (json_object_get(row, "masks"))
            json_array_append(f.rows, row);
        json_decref(row);
    }
    fclose(file);
    return 0;
}

static int close_nano(void **state)
{
    (void)state;
    json_decref(f.rows);
    pali_codec_free(f.codec);
    pali_session_free(f.session);
    pali_model_free(f.model);
    return 0;
}

static const char *text_of(const json_t *row, const char *field)
{
    const char *text = json_string_value(json_object_get(row, field));
    assert_non_null(text);
    return text;
}

static pali_mask *drawn(const json_t *row, size_t i)
{
    pali_error err = {0};
    char path[256];
    snprintf(path, sizeof path, DATA "%s", json_string_value(json_array_get(json_object_get(row, "masks"), i)));
    pali_mask *mask = pali_mask_open(path, &err);
    if (!mask)
        fail_msg("%s", err.message);
    return mask;
}

/* The mask that stands at the beginning of a text, and its tokens; NULL where there is none. */
static pali_mask *decoded(const char *text, pali_mask_tokens *tokens, const pali_mask *like)
{
    char object[PALI_MASK_TEXT_SIZE];
    snprintf(object, sizeof object, "%s", text);
    if (pali_mask_tokens_parse(object, tokens, NULL) != PALI_OK)
        return NULL;
    pali_error err = {0};
    pali_mask *mask = pali_codec_decode(f.codec, tokens, pali_mask_width(like), pali_mask_height(like), PALI_PASTE_EVALUATOR, &err);
    if (!mask)
        fail_msg("%s", err.message);
    return mask;
}

static void test_codec(void **state)
{
    (void)state;
    double sum = 0.0;
    size_t masks = 0;
    for (size_t r = 0; r < json_array_size(f.rows); r++) {
        const json_t *row = json_array_get(f.rows, r);
        const char *text = text_of(row, "suffix");
        for (size_t i = 0; i < json_array_size(json_object_get(row, "masks")); i++, masks++) {
            pali_error err = {0};
            pali_mask_tokens expected, found;
            pali_mask *truth = drawn(row, i), *back = decoded(text, &expected, truth);
            assert_non_null(back);
            const double height = (double)pali_mask_height(truth), width = (double)pali_mask_width(truth);
            const pali_box box = {.y1 = expected.bins[0] / 1023.0 * height,
                                  .x1 = expected.bins[1] / 1023.0 * width,
                                  .y2 = expected.bins[2] / 1023.0 * height,
                                  .x2 = expected.bins[3] / 1023.0 * width};
            if (pali_codec_encode(f.codec, truth, &box, &found, &err) != PALI_OK)
                fail_msg("%s", err.message);
            assert_memory_equal(&found, &expected, sizeof found);
            sum += pali_mask_iou(back, truth);
            pali_mask_free(back);
            pali_mask_free(truth);
            text = strstr(text, " ; ");
            text = text ? text + 3 : "";
        }
    }
    print_message("%zu masks: mean IoU %.3f after encoding and decoding\n", masks, sum / (double)masks);
    assert_true(masks >= 40);
    /* 0.977 for larger pictures, boxes not rounded (models/nano/README.md). Here objects are of some twenty pixels a
     * side, and pasting cuts boxes down to whole ones: one pixel of twenty is 0.05. */
    assert_true(sum / (double)masks >= 0.88);
}

/* Mean IoU as the RefCOCO evaluator has it, over the rows that name one object. */
static double mean_iou(const char *constrain, size_t *rows)
{
    double sum = 0.0;
    *rows = 0;
    for (size_t r = 0; r < json_array_size(f.rows); r++) {
        const json_t *row = json_array_get(f.rows, r);
        if (json_array_size(json_object_get(row, "masks")) != 1)
            continue;
        pali_error err = {0};
        char path[256];
        snprintf(path, sizeof path, DATA "%s", text_of(row, "image"));
        pali_image *image = pali_image_open(path, &err);
        pali_answer *answer = image ? pali_ask(f.session, &image, 1, text_of(row, "prefix"), &(pali_ask_options){.constrain = constrain}, &err) : NULL;
        if (!answer)
            fail_msg("%s: %s", path, err.message);
        pali_mask_tokens tokens;
        pali_mask *truth = drawn(row, 0), *found = decoded(pali_answer_text(answer), &tokens, truth);
        sum += found ? pali_mask_iou(found, truth) : 0.0;
        ++*rows;
        pali_mask_free(found);
        pali_mask_free(truth);
        pali_answer_free(answer);
        pali_image_free(image);
    }
    return sum / (double)*rows;
}

static void test_model(void **state)
{
    (void)state;
    size_t rows, again;
    const double alone = mean_iou("off", &rows), constrained = mean_iou("auto", &again);
    print_message("%zu prompts: mIoU %.3f, constrained %.3f\n", rows, alone, constrained);
    assert_true(rows >= 25 && again == rows);
    assert_true(alone >= 0.6); /* what was asked of it; its card has the figure of 300 prompts */
    assert_true(constrained >= 0.6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_codec), cmocka_unit_test(test_model)};
    return cmocka_run_group_tests_name("nano: masks", tests, open_nano, close_nano);
}
