/*
 * nano on pictures nobody tuned by hand: the text that transformers gives on
 * 100 held-out pictures, token for token, through files, resize, tokenizer and
 * model (tools/nano/goldens.py made the answers). And the same bits for any
 * number of threads. And its masks, through the codec that comes with it.
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

static pali_answer *ask(pali_session *session, const char *picture, const char *prompt, pali_error *err)
{
    char path[256];
    snprintf(path, sizeof path, DATA "%s", picture);
    pali_image *image = pali_image_open(path, err);
    const pali_ask_options options = {.max_tokens = 80, .constrain = "off"}; /* as transformers answers */
    pali_answer *answer = image ? pali_ask(session, &image, 1, prompt, &options, err) : NULL;
    if (!answer)
        fail_msg("%s: %s", picture, err->message);
    pali_image_free(image);
    return answer;
}

static void compare(const pali_answer *answer, const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "text")), *picture = json_string_value(json_object_get(row, "image"));
    const json_t *ids = json_object_get(row, "ids");
    if (strcmp(pali_answer_text(answer), text) != 0)
        fail_msg("%s, \"%s\": found \"%s\", expected \"%s\"", picture, json_string_value(json_object_get(row, "prompt")), pali_answer_text(answer), text);
    assert_true(pali_answer_token_count(answer) >= json_array_size(ids));
    for (size_t i = 0; i < json_array_size(ids); i++)
        assert_int_equal(pali_answer_tokens(answer)[i], json_integer_value(json_array_get(ids, i)));
}

static void test_golden_answers(void **state)
{
    (void)state;
    pali_error err = {0};
    pali_model *model = pali_model_open("models/nano", &(pali_model_options){.preprocess = "hf:pillow13", .activations = "f32"}, &err);
    if (!model)
        fail_msg("%s", err.message);
    pali_session *session = pali_session_new(model, NULL, &err);
    FILE *file = fopen(DATA "golden.jsonl", "r");
    assert_non_null(file);
    char line[4096], last[256] = "";
    size_t rows = 0, pictures = 0, masks = 0;
    while (fgets(line, sizeof line, file)) {
        json_t *row = json_loads(line, 0, NULL);
        assert_non_null(row);
        const char *picture = json_string_value(json_object_get(row, "image"));
        pali_answer *answer = ask(session, picture, json_string_value(json_object_get(row, "prompt")), &err);
        compare(answer, row);
        pictures += strcmp(picture, last) != 0;
        snprintf(last, sizeof last, "%s", picture);
        rows++;
        masks += strstr(pali_answer_text(answer), "<seg") != NULL;
        pali_answer_free(answer);
        json_decref(row);
    }
    fclose(file);
    print_message("%zu answers about %zu pictures\n", rows, pictures);
    assert_true(pictures >= 100);
    assert_true(masks >= 30);
    pali_session_free(session);
    pali_model_free(model);
}

/* One answer with its log-probabilities, on so many threads. */
static pali_answer *ask_on(size_t threads, const char *picture, const char *prompt)
{
    pali_error err = {0};
    pali_model *model = pali_model_open("models/nano", &(pali_model_options){.threads = threads}, &err);
    if (!model)
        fail_msg("%s", err.message);
    pali_session *session = pali_session_new(model, NULL, &err);
    pali_image *image = pali_image_open(picture, &err);
    pali_answer *answer = pali_ask(session, &image, 1, prompt, &(pali_ask_options){.max_tokens = 32, .logprobs = true}, &err);
    if (!answer)
        fail_msg("%s", err.message);
    pali_image_free(image);
    pali_session_free(session);
    pali_model_free(model);
    return answer;
}

static void test_threads(void **state)
{
    (void)state;
    static const char *const prompts[] = {"caption en", "detect star ; heart"};
    static const size_t threads[] = {2, 3, 5, 8};
    for (size_t p = 0; p < 2; p++) {
        pali_answer *one = ask_on(1, DATA "000000.jpg", prompts[p]);
        const size_t count = pali_answer_token_count(one);
        assert_in_range(count, 5, 32);
        for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
            pali_answer *many = ask_on(threads[i], DATA "000000.jpg", prompts[p]);
            assert_int_equal(pali_answer_token_count(many), count);
            assert_memory_equal(pali_answer_tokens(many), pali_answer_tokens(one), count * sizeof(int32_t));
            assert_memory_equal(pali_answer_logprobs(many), pali_answer_logprobs(one), count * sizeof(float));
            pali_answer_free(many);
        }
        pali_answer_free(one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_answers), cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests_name("nano", tests, NULL, NULL);
}
