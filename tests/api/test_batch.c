/*
 * A thousand questions to nano, one at a time and in batches of up to sixteen
 * sessions that begin and end at different times: the same tokens and the same
 * log-probabilities, to the bit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pali/pali.h>

enum { PICTURES = 100, QUESTIONS = 1000, MOST = 16 };

static const char *const prompts[] = {
    "caption en", "detect red circle", "answer en how many crosses?", "ocr", "answer en what color is the heart?",
    "detect blue star ; white ring", "answer en how many stars?", "detect all classes", "caption en", "answer en what color is the circle?",
};

typedef struct fixture {
    pali_model *model;
    pali_image *images[PICTURES];
    pali_answer *alone[QUESTIONS];
} fixture;

static pali_image *picture_of(const fixture *f, size_t question)
{
    return f->images[question % PICTURES];
}

static const char *prompt_of(size_t question)
{
    return prompts[question / PICTURES];
}

static const pali_ask_options options = {.max_tokens = 32, .logprobs = true};

static void open_all(fixture *f)
{
    pali_error err = {0};
    f->model = pali_model_open("models/nano", NULL, &err);
    assert_non_null(f->model);
    for (size_t i = 0; i < PICTURES; i++) {
        static const char *const kinds[] = {"jpg", "png"};
        for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds && !f->images[i]; kind++) {
            char path[64];
            snprintf(path, sizeof path, "tests/data/nano/%06zu.%s", i, kinds[kind]);
            f->images[i] = pali_image_open(path, NULL);
        }
        assert_non_null(f->images[i]);
    }
}

static void ask_alone(fixture *f)
{
    pali_error err = {0};
    pali_session *session = pali_session_new(f->model, NULL, &err);
    for (size_t i = 0; i < QUESTIONS; i++) {
        pali_image *image = picture_of(f, i);
        f->alone[i] = pali_ask(session, &image, 1, prompt_of(i), &options, &err);
        if (!f->alone[i])
            fail_msg("question %zu: %s", i, err.message);
    }
    pali_session_free(session);
}

static void compare(const fixture *f, size_t question, pali_session *session)
{
    pali_error err = {0};
    pali_answer *answer = pali_session_answer(session, &err);
    const pali_answer *alone = f->alone[question];
    const size_t count = pali_answer_token_count(alone);
    assert_non_null(answer);
    if (strcmp(pali_answer_text(answer), pali_answer_text(alone)) != 0)
        fail_msg("question %zu: found \"%s\", alone \"%s\"", question, pali_answer_text(answer), pali_answer_text(alone));
    assert_int_equal(pali_answer_token_count(answer), count);
    assert_memory_equal(pali_answer_tokens(answer), pali_answer_tokens(alone), count * sizeof(int32_t));
    assert_memory_equal(pali_answer_logprobs(answer), pali_answer_logprobs(alone), count * sizeof(float));
    pali_answer_free(answer);
}

/* Sessions take the next question as soon as theirs is answered; how many there are changes as questions go by. */
static void test_batches(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_session *sessions[MOST];
    size_t asked[MOST], next = 0, done = 0;
    for (size_t i = 0; i < MOST; i++) {
        sessions[i] = pali_session_new(f->model, NULL, &err);
        asked[i] = QUESTIONS;
    }
    while (done < QUESTIONS) {
        const size_t width = 1 + done / 10 % MOST;
        for (size_t i = 0; i < MOST; i++) {
            if (asked[i] != QUESTIONS && pali_session_done(sessions[i])) {
                compare(f, asked[i], sessions[i]);
                asked[i] = QUESTIONS;
                done++;
            }
            if (asked[i] == QUESTIONS && i < width && next < QUESTIONS) {
                pali_image *image = picture_of(f, next);
                assert_int_equal(pali_session_set_images(sessions[i], &image, 1, &err), PALI_OK);
                assert_int_equal(pali_session_prompt(sessions[i], prompt_of(next), &options, &err), PALI_OK);
                asked[i] = next++;
            }
        }
        assert_int_equal(pali_step(sessions, MOST, &err), PALI_OK);
    }
    for (size_t i = 0; i < MOST; i++)
        pali_session_free(sessions[i]);
}

static int set_up(void **state)
{
    static fixture f;
    open_all(&f);
    ask_alone(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < QUESTIONS; i++)
        pali_answer_free(f->alone[i]);
    for (size_t i = 0; i < PICTURES; i++)
        pali_image_free(f->images[i]);
    pali_model_free(f->model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_batches)};
    return cmocka_run_group_tests_name("batch", tests, set_up, tear_down);
}
