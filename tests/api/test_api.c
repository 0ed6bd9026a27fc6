/* The public calls as a program uses them: arguments, streaming, cancelling, batches, forks, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pali/pali.h>

#define TINY "tests/data/tiny/"

typedef struct fixture {
    pali_model *model;
    pali_session *session;
    pali_image *a, *b;
} fixture;

static int open_tiny(void **state)
{
    static fixture f;
    pali_error err = {0};
    f.model = pali_model_open(TINY "pg1", &(pali_model_options){.threads = 2}, &err);
    f.session = f.model ? pali_session_new(f.model, NULL, &err) : NULL;
    f.a = pali_image_open(TINY "a.png", &err);
    f.b = pali_image_open(TINY "b.png", &err);
    *state = &f;
    return f.session && f.a && f.b ? 0 : -1;
}

static int close_tiny(void **state)
{
    fixture *f = *state;
    pali_image_free(f->a);
    pali_image_free(f->b);
    pali_session_free(f->session);
    pali_model_free(f->model);
    return 0;
}

static pali_answer *ask(fixture *f, const char *prompt, pali_ask_options options)
{
    pali_error err = {0};
    pali_answer *answer = pali_ask(f->session, &f->a, 1, prompt, &options, &err);
    if (!answer)
        fail_msg("%s", err.message);
    return answer;
}

static void test_encoding(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    const char *formats[] = {"jpeg", "png", "webp"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pali_image_encode(f->a, formats[i], &(pali_encode_options){.lossless = i == 2}, &bytes, &size, &err), PALI_OK);
        pali_image *back = pali_image_decode(bytes, size, NULL, &err);
        assert_non_null(back);
        assert_int_equal(pali_image_height(back), pali_image_height(f->a));
        if (i > 0)
            assert_memory_equal(pali_image_rgb(back), pali_image_rgb(f->a), 3 * pali_image_width(back) * pali_image_height(back));
        pali_image_free(back);
        pali_free(bytes);
    }
    char *text = NULL;
    assert_int_equal(pali_image_preview(f->a, PALI_PREVIEW_SIXEL, 10, 10, &text, &size, &err), PALI_OK);
    assert_memory_equal(text, "\033P", 2);
    assert_int_equal(strlen(text), size);
    pali_free(text);
    assert_int_equal(pali_image_preview(f->a, (pali_preview)3, 10, 10, &text, &size, &err), PALI_USAGE);
    assert_int_equal(pali_image_preview(f->a, PALI_PREVIEW_KITTY, 10, 10, NULL, &size, &err), PALI_USAGE);
    assert_string_equal(pali_image_format("a/b.JPG", &err), "jpeg");
    assert_null(pali_image_format("a/b", &err));
    assert_null(pali_image_format(NULL, &err));
    assert_int_equal(pali_image_encode(f->a, "gif", NULL, &bytes, &size, &err), PALI_USAGE);
    assert_int_equal(pali_image_encode(f->a, "png", NULL, NULL, &size, &err), PALI_USAGE);
    assert_int_equal(pali_image_encode(f->a, "jpeg", &(pali_encode_options){.quality = (size_t)1 << 40}, &bytes, &size, &err), PALI_USAGE);
    assert_int_equal(pali_image_save(f->a, "/nowhere/a.png", NULL, &err), PALI_FAILED);
    assert_int_equal(pali_image_save(f->a, "a.tiff", NULL, &err), PALI_USAGE);
    assert_int_equal(pali_image_save(NULL, "a.png", NULL, &err), PALI_USAGE);
    assert_int_equal(pali_image_save(f->a, NULL, NULL, &err), PALI_USAGE);
}

static void test_arguments(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_model_info info;
    assert_null(pali_model_open(NULL, NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_model_open(NULL, NULL, NULL));
    assert_null(pali_session_new(NULL, NULL, &err));
    assert_null(pali_image_open(NULL, &err));
    assert_null(pali_image_from_rgb(NULL, 1, 1, &err));
    assert_null(pali_image_from_rgb((const uint8_t *)"abc", 0, 1, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_int_equal(pali_model_describe(f->model, NULL, &err), PALI_USAGE);
    assert_int_equal(pali_model_describe(f->model, &info, &err), PALI_OK);
    assert_int_equal(info.image_tokens, 16);
    assert_string_equal(info.family, "paligemma");
    assert_string_equal(info.preprocess, "hf");
    assert_null(pali_ask(f->session, &f->a, 1, NULL, NULL, &err));
    assert_null(pali_ask(f->session, &f->a, 1, "x", &(pali_ask_options){.temperature = -1}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_ask(f->session, &f->a, 1, "x", &(pali_ask_options){.top_p = 1.5f}, &err));
    assert_null(pali_model_open(TINY "pg1", &(pali_model_options){.cpu = "cray"}, &err));
    assert_null(pali_model_open(TINY "pg1", &(pali_model_options){.type = "q2"}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_model_open(TINY "pg1", &(pali_model_options){.preprocess = "opencv"}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    pali_session *fresh = pali_session_new(f->model, NULL, &err);
    assert_null(pali_ask(fresh, NULL, 0, "caption en", NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    pali_session_free(fresh);
    assert_int_equal(pali_step(&f->session, 0, &err), PALI_USAGE);
    pali_session *const twice[2] = {f->session, f->session};
    assert_int_equal(pali_step(twice, 2, &err), PALI_USAGE);
    pali_model_free(NULL);
    pali_session_free(NULL);
    pali_image_free(NULL);
    pali_answer_free(NULL);
    pali_session_cancel(NULL);
}

/* A caller built against an older, shorter struct is understood. */
static void test_options_size(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    struct {
        size_t size, max_tokens;
        unsigned char beyond[128];
    } old;
    memset(&old, 0xff, sizeof old);
    old.size = 2 * sizeof(size_t);
    old.max_tokens = 3;
    pali_answer *answer = pali_ask(f->session, &f->a, 1, "caption en", (const pali_ask_options *)&old, &err);
    assert_non_null(answer);
    assert_int_equal(pali_answer_token_count(answer), 3);
    assert_null(pali_answer_logprobs(answer));
    pali_answer_free(answer);
}

typedef struct heard {
    char text[512];
    size_t length, calls, most;
} heard;

static bool listen(void *context, const char *text, size_t length)
{
    heard *h = context;
    memcpy(h->text + h->length, text, length);
    h->length += length;
    return ++h->calls != h->most;
}

static void test_streaming(void **state)
{
    fixture *f = *state;
    heard all = {.most = 0}, some = {.most = 3};
    pali_answer *answer = ask(f, "caption en", (pali_ask_options){.max_tokens = 24, .on_text = listen, .on_text_context = &all});
    assert_int_equal(pali_answer_finish(answer), PALI_FINISH_LENGTH);
    assert_int_equal(all.length, strlen(pali_answer_text(answer)));
    assert_memory_equal(all.text, pali_answer_text(answer), all.length);
    pali_answer *cut = ask(f, "caption en", (pali_ask_options){.max_tokens = 24, .on_text = listen, .on_text_context = &some});
    assert_int_equal(pali_answer_finish(cut), PALI_FINISH_CANCELLED);
    assert_true(pali_answer_token_count(cut) < 24);
    assert_memory_equal(pali_answer_text(answer), some.text, some.length);
    pali_answer_free(cut);
    pali_answer_free(answer);
}

static void test_cancel(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    assert_int_equal(pali_session_set_images(f->session, &f->a, 1, &err), PALI_OK);
    assert_int_equal(pali_session_prompt(f->session, "caption en", NULL, &err), PALI_OK);
    assert_int_equal(pali_step(&f->session, 1, &err), PALI_OK);
    assert_false(pali_session_done(f->session));
    pali_session_cancel(f->session);
    assert_int_equal(pali_step(&f->session, 1, &err), PALI_OK);
    assert_true(pali_session_done(f->session));
    pali_answer *answer = pali_session_answer(f->session, &err);
    assert_int_equal(pali_answer_finish(answer), PALI_FINISH_CANCELLED);
    assert_int_equal(pali_answer_token_count(answer), 2);
    pali_answer_free(answer);
    /* While pictures are encoded, it means the question about them. */
    assert_int_equal(pali_session_set_images(f->session, &f->a, 1, &err), PALI_OK);
    pali_session_cancel(f->session);
    answer = pali_ask(f->session, NULL, 0, "caption en", NULL, &err);
    assert_int_equal(pali_answer_finish(answer), PALI_FINISH_CANCELLED);
    assert_int_equal(pali_answer_token_count(answer), 1);
    pali_answer_free(answer);
    /* The next question is not touched by it, nor by one that came too late. */
    pali_session_cancel(f->session);
    answer = ask(f, "caption en", (pali_ask_options){.max_tokens = 4});
    assert_int_equal(pali_answer_token_count(answer), 4);
    pali_answer_free(answer);
}

/* An answer made to begin with the first answer's text goes on as that did. */
static void test_start(void **state)
{
    fixture *f = *state;
    pali_answer *answer = ask(f, "caption en", (pali_ask_options){.max_tokens = 3, .start = "<loc0001><loc0002>"});
    assert_int_equal(strncmp(pali_answer_text(answer), "<loc0001><loc0002>", 18), 0);
    assert_int_equal(pali_answer_token_count(answer), 3);
    pali_answer_free(answer);
}

/* Pictures stay for the next question; without new ones nothing is encoded. */
static void test_same_pictures(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_answer *first = ask(f, "detect cat ; dog", (pali_ask_options){.max_tokens = 8});
    pali_answer *again = pali_ask(f->session, NULL, 0, "detect cat ; dog", &(pali_ask_options){.max_tokens = 8}, &err);
    assert_non_null(again);
    assert_string_equal(pali_answer_text(first), pali_answer_text(again));
    assert_true(pali_answer_timings(first).encode > 0);
    assert_true(pali_answer_timings(again).encode == 0);
    pali_answer_free(first);
    pali_answer_free(again);
}

static void expect_forgotten(fixture *f)
{
    pali_error err = {0};
    pali_answer *answer = pali_session_answer(f->session, &err);
    assert_non_null(answer);
    assert_int_equal(pali_answer_token_count(answer), 0);
    assert_string_equal(pali_answer_text(answer), "");
    assert_int_equal(pali_answer_finish(answer), PALI_FINISH_NONE);
    pali_answer_free(answer);
}

/* Other pictures, and a question that cannot be asked, leave nothing of the last answer: its places are those of other rows. */
static void test_forgotten(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_image *const both[2] = {f->a, f->b};
    pali_session *other = pali_session_new(f->model, NULL, &err);
    assert_int_equal(pali_session_set_images(other, both, 2, &err), PALI_OK);
    pali_answer_free(ask(f, "detect cat", (pali_ask_options){.max_tokens = 4, .constrain = "off"}));
    assert_int_equal(pali_session_set_images(f->session, both, 2, &err), PALI_OK);
    expect_forgotten(f);
    pali_answer_free(ask(f, "detect cat", (pali_ask_options){.max_tokens = 4, .constrain = "off"}));
    assert_int_equal(pali_session_use_images(f->session, other, &err), PALI_OK);
    expect_forgotten(f);
    const pali_ask_options wrong[] = {{.temperature = -1}, {.constrain = "maybe"}, {.choice_count = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pali_answer_free(ask(f, "caption en", (pali_ask_options){.max_tokens = 4}));
        assert_int_equal(pali_session_prompt(f->session, "caption en", &wrong[i], &err), PALI_USAGE);
        assert_true(pali_session_done(f->session));
        expect_forgotten(f);
    }
    pali_session_free(other);
}

/* What is no UTF-8 in a start is replaced in JSON, and nothing is left out. */
static void test_json_text(void **state)
{
    fixture *f = *state;
    pali_answer *answer = ask(f, "detect cat", (pali_ask_options){.max_tokens = 2, .constrain = "off", .start = "\xff<loc0001><loc0002><loc0003><loc0004> \xfe"});
    char *json = pali_answer_json(answer, NULL);
    assert_non_null(json);
    assert_non_null(strstr(json, "\"text\":\"\xef\xbf\xbd<loc0001>"));
    assert_non_null(strstr(json, "\"label\":\"\xef\xbf\xbd"));
    pali_free(json);
    pali_answer_free(answer);
}

static void test_batch_and_fork(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_session *sessions[3] = {pali_session_new(f->model, NULL, &err), pali_session_new(f->model, NULL, &err), NULL};
    pali_image *const both[2] = {f->a, f->b};
    assert_int_equal(pali_session_set_images(sessions[0], both, 2, &err), PALI_OK);
    assert_int_equal(pali_session_set_images(sessions[1], &f->b, 1, &err), PALI_OK);
    assert_int_equal(pali_session_prompt(sessions[0], "answer en how many cats?", &(pali_ask_options){.max_tokens = 9}, &err), PALI_OK);
    assert_int_equal(pali_session_prompt(sessions[1], "ocr", &(pali_ask_options){.max_tokens = 5}, &err), PALI_OK);
    assert_int_equal(pali_step(sessions, 2, &err), PALI_OK);
    sessions[2] = pali_session_fork(sessions[0], NULL, &err);
    assert_non_null(sessions[2]);
    while (!pali_session_done(sessions[0]) || !pali_session_done(sessions[1]) || !pali_session_done(sessions[2]))
        assert_int_equal(pali_step(sessions, 3, &err), PALI_OK);
    pali_answer *answers[3], *alone = pali_ask(f->session, both, 2, "answer en how many cats?", &(pali_ask_options){.max_tokens = 9}, &err);
    for (size_t i = 0; i < 3; i++)
        answers[i] = pali_session_answer(sessions[i], &err);
    assert_string_equal(pali_answer_text(answers[0]), pali_answer_text(alone));
    assert_string_equal(pali_answer_text(answers[2]), pali_answer_text(alone));
    assert_int_equal(pali_answer_token_count(answers[1]), 5);
    for (size_t i = 0; i < 3; i++) {
        pali_answer_free(answers[i]);
        pali_session_free(sessions[i]);
    }
    pali_answer_free(alone);
}

/* A clip's frames repeat in a circle up to the number asked for, and are cut beyond it. */
static void test_frames(void **state)
{
    (void)state;
    enum { MOST = 16 };
    pali_error err = {0};
    pali_image *frames[MOST], *fewer[2];
    assert_int_equal(pali_image_open_frames("tests/data/image/clip2.gif", MOST, frames, &err), PALI_OK);
    assert_int_equal(pali_image_open_frames("tests/data/image/clip2.gif", 2, fewer, &err), PALI_OK);
    const size_t bytes = 3 * pali_image_width(frames[0]) * pali_image_height(frames[0]);
    size_t period = 1;
    while (period < MOST && memcmp(pali_image_rgb(frames[period]), pali_image_rgb(frames[0]), bytes) != 0)
        period++;
    assert_in_range(period, 2, MOST / 2);
    for (size_t i = 0; i < MOST; i++)
        assert_memory_equal(pali_image_rgb(frames[i]), pali_image_rgb(frames[i % period]), bytes);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(pali_image_rgb(fewer[i]), pali_image_rgb(frames[i]), bytes);
        pali_image_free(fewer[i]);
    }
    for (size_t i = 0; i < MOST; i++)
        pali_image_free(frames[i]);
    assert_int_equal(pali_image_open_frames("tests/data/image/nowhere.gif", 2, fewer, &err), PALI_INPUT);
    assert_int_equal(pali_image_open_frames("tests/data/image/clip2.gif", 0, fewer, &err), PALI_USAGE);
}

/* Forks draw their own random numbers when told to; their answers may be longer, not shorter than what is there. */
static void test_fork_options(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    pali_session *forks[3];
    pali_answer *answers[3];
    assert_int_equal(pali_session_set_images(f->session, &f->a, 1, &err), PALI_OK);
    assert_int_equal(pali_session_prompt(f->session, "caption en", &(pali_ask_options){.max_tokens = 4}, &err), PALI_OK);
    assert_int_equal(pali_step(&f->session, 1, &err), PALI_OK);
    for (size_t i = 0; i < 3; i++) {
        const pali_ask_options options = {.max_tokens = 20, .temperature = 3, .seed = i / 2};
        forks[i] = pali_session_fork(f->session, &options, &err);
        assert_non_null(forks[i]);
    }
    assert_null(pali_session_fork(f->session, &(pali_ask_options){.max_tokens = 1}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    while (!pali_session_done(forks[0]) || !pali_session_done(forks[1]) || !pali_session_done(forks[2]))
        assert_int_equal(pali_step(forks, 3, &err), PALI_OK);
    for (size_t i = 0; i < 3; i++)
        answers[i] = pali_session_answer(forks[i], &err);
    assert_string_equal(pali_answer_text(answers[0]), pali_answer_text(answers[1]));
    assert_string_not_equal(pali_answer_text(answers[0]), pali_answer_text(answers[2]));
    for (size_t i = 0; i < 3; i++) {
        pali_answer_free(answers[i]);
        pali_session_free(forks[i]);
    }
}

/* Greedy tokens' log-probabilities are what scoring their text finds. */
static void test_score(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    double total = 0;
    size_t count = 0;
    float *each = NULL;
    assert_int_equal(pali_session_set_images(f->session, &f->a, 1, &err), PALI_OK);
    assert_int_equal(pali_score(f->session, "caption en", "<loc0001> cat", &total, &count, &each, &err), PALI_OK);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(each[i] <= 0);
        sum += (double)each[i];
    }
    assert_true(count >= 3 && sum == total);
    pali_free(each);
    assert_int_equal(pali_score(f->session, "caption en", "", &total, &count, NULL, &err), PALI_OK);
    assert_int_equal(count, 1); /* the end of text alone */
}

static void test_limits(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    char *longest = malloc(60001);
    memset(longest, 'z', 60000);
    longest[60000] = '\0';
    assert_null(pali_ask(f->session, &f->a, 1, longest, NULL, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_non_null(strstr(err.message, "8192"));
    free(longest);
    pali_session *small = pali_session_new(f->model, &(pali_session_options){.max_positions = 26}, &err);
    pali_answer *answer = pali_ask(small, &f->a, 1, "caption en", NULL, &err);
    assert_non_null(answer); /* 16 + 7 positions leave room for three */
    assert_int_equal(pali_answer_token_count(answer), 3);
    assert_int_equal(pali_answer_finish(answer), PALI_FINISH_LENGTH);
    pali_answer_free(answer);
    assert_int_equal(pali_session_prompt(small, "caption en", &(pali_ask_options){.max_tokens = 1}, &err), PALI_OK);
    pali_session *fork = pali_session_fork(small, &(pali_ask_options){.max_tokens = 50}, &err);
    assert_non_null(fork);
    while (!pali_session_done(fork))
        assert_int_equal(pali_step(&fork, 1, &err), PALI_OK);
    answer = pali_session_answer(fork, &err);
    assert_int_equal(pali_answer_token_count(answer), 3); /* the session's limit is the fork's too */
    pali_answer_free(answer);
    pali_session_free(fork);
    answer = pali_ask(small, NULL, 0, "caption en", &(pali_ask_options){.max_tokens = SIZE_MAX}, &err);
    assert_non_null(answer);
    assert_int_equal(pali_answer_token_count(answer), 3);
    pali_answer_free(answer);
    assert_null(pali_ask(small, &f->a, 1, "answer en how many cats?", &(pali_ask_options){.logprobs = true}, &err));
    assert_int_equal(err.status, PALI_INPUT);
    answer = pali_session_answer(small, &err); /* nothing is left of the question before */
    assert_non_null(answer);
    assert_int_equal(pali_answer_token_count(answer), 0);
    assert_string_equal(pali_answer_text(answer), "");
    pali_answer_free(answer);
    double total;
    assert_int_equal(pali_score(small, "caption en", "a cat on a mat", &total, NULL, NULL, &err), PALI_INPUT);
    assert_null(pali_ask(f->session, &f->a, 1, "caption en", &(pali_ask_options){.max_tokens = SIZE_MAX}, &err));
    assert_int_equal(err.status, PALI_MEMORY);
    pali_session_free(small);
}

static void test_text(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    int32_t *ids;
    size_t count;
    assert_int_equal(pali_tokenize(f->model, "detect cat ; dog", &ids, &count, &err), PALI_OK);
    char *text = pali_detokenize(f->model, ids, count, &err);
    assert_string_equal(text, "detect cat ; dog");
    pali_free(text);
    pali_free(ids);
    assert_int_equal(pali_tokenize(f->model, "", &ids, &count, &err), PALI_OK);
    assert_int_equal(count, 0);
    pali_free(ids);
    assert_null(pali_detokenize(f->model, (const int32_t[]){1 << 30}, 1, &err));
}

static void test_inspect(void **state)
{
    (void)state;
    pali_error err = {0};
    char *report = pali_inspect(TINY "pg2.gguf", &(pali_inspect_options){.check = true, .tensors = true}, &err);
    assert_non_null(report);
    assert_non_null(strstr(report, "\"usable\": true"));
    assert_non_null(strstr(report, "\"family\": \"paligemma2\""));
    pali_free(report);
    assert_null(pali_inspect(TINY "nowhere", NULL, &err));
    assert_int_equal(err.status, PALI_MODEL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_arguments), cmocka_unit_test(test_options_size),  cmocka_unit_test(test_streaming), cmocka_unit_test(test_cancel), cmocka_unit_test(test_start),
        cmocka_unit_test(test_same_pictures), cmocka_unit_test(test_forgotten), cmocka_unit_test(test_json_text), cmocka_unit_test(test_batch_and_fork), cmocka_unit_test(test_fork_options), cmocka_unit_test(test_frames), cmocka_unit_test(test_score),     cmocka_unit_test(test_limits), cmocka_unit_test(test_text),
        cmocka_unit_test(test_inspect),
    };
    return cmocka_run_group_tests_name("api", tests, open_tiny, close_tiny);
}
