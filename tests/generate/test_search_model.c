/*
 * Beam search and best-of-n on models: against a literal search that runs the
 * whole sequence anew for every distribution it looks at, and against the same
 * questions asked one sample at a time; alone, in batches, forked, cancelled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pali/pali.h>

#include "generate/literal.h"
#include "generate/whole.h"
#include "model/tiny.h"

static size_t compared, cut_off;

static void check_beams(tiny_model *tiny, const char *prompt, size_t width, size_t most)
{
    pali_error err = {0};
    pl_timeline literal_timeline, *timeline = &tiny->timeline;
    const pl_question question = {.max_tokens = most, .logprobs = true, .search = PL_SEARCH_BEAMS, .width = width};
    pl_timeline_init(&literal_timeline, &tiny->engine, 0);
    expect_ok(pl_timeline_prompt(timeline, prompt, &question, &err), &err);
    expect_ok(pl_timeline_fork(timeline, &literal_timeline, NULL, &err), &err); /* has the prompt's ids */
    while (timeline->phase != PL_PHASE_DONE)
        expect_ok(pl_step(&timeline, 1, &err), &err);
    const literal_model model = {.logits = whole_logits, .context = &literal_timeline, .vocabulary = tiny->model->config.text.vocabulary,
                                 .eos = pl_tokenizer_special(tiny->model->tokenizer)->eos, .banned = tiny->model->banned};
    bool cut;
    double margin;
    const literal_list expected = literal_beam_search(&model, width, most, &cut, &margin);
    /* The two add up in different orders; a decision nearer than that may go either way, and would not be compared. */
    if (margin > 1e-3) {
        compared++;
        cut_off += cut;
        assert_int_equal(timeline->ending, cut ? PL_ENDING_LENGTH : PL_ENDING_EOS);
        assert_int_equal(timeline->tokens.count, expected.count);
        assert_memory_equal(timeline->tokens.data, expected.tokens, expected.count * sizeof(int32_t));
        double score = 0;
        for (size_t i = 0; i < expected.count; i++)
            score += (double)timeline->logprobs[i];
        assert_true(fabs(score - expected.score) <= 1e-4 * fabs(expected.score));
    }
    pl_timeline_free(&literal_timeline);
}

/* Random weights spread their choices over hundreds of tokens, nano's stand on few: both kinds of search. */
static void test_literal(void **state)
{
    (void)state;
    static const struct {
        const char *path, *prompts[2];
        size_t most;
    } models[] = {
        {TINY "pg1", {"caption en", "detect cat ; dog"}, 6},
        {TINY "pg2", {"caption en", "ocr"}, 12},
        {"models/nano", {"caption en", "answer en how many stars?"}, 10},
    };
    size_t asked = 0;
    compared = cut_off = 0;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        tiny_model tiny;
        tiny_open(&tiny, models[m].path, NULL, NULL, 2);
        tiny_images(&tiny, m == 1 ? "b" : "a");
        for (size_t width = 1; width <= 5; width++, asked++)
            check_beams(&tiny, models[m].prompts[width % 2], width, models[m].most);
        tiny_close(&tiny);
    }
    print_message("%zu of %zu searches compared, %zu cut off\n", compared, asked, cut_off);
    assert_true(compared >= asked - 2 && cut_off > 0 && cut_off < compared);
}

typedef struct fixture {
    pali_model *model;
    pali_session *session;
    pali_image *image;
} fixture;

static int open_nano(void **state)
{
    static fixture f;
    pali_error err = {0};
    f.model = pali_model_open("models/nano", &(pali_model_options){.threads = 2}, &err);
    f.session = f.model ? pali_session_new(f.model, NULL, &err) : NULL;
    f.image = pali_image_open("tests/data/nano/000003.jpg", NULL);
    if (!f.image)
        f.image = pali_image_open("tests/data/nano/000003.png", &err);
    *state = &f;
    return f.session && f.image && pali_session_set_images(f.session, &f.image, 1, &err) == PALI_OK ? 0 : -1;
}

static int close_nano(void **state)
{
    fixture *f = *state;
    pali_image_free(f->image);
    pali_session_free(f->session);
    pali_model_free(f->model);
    return 0;
}

static pali_answer *ask(const fixture *f, const char *prompt, const pali_ask_options *options)
{
    pali_error err = {0};
    pali_answer *answer = pali_ask(f->session, NULL, 0, prompt, options, &err);
    if (!answer)
        fail_msg("%s", err.message);
    return answer;
}

static void same_answer(const pali_answer *a, const pali_answer *b)
{
    const size_t count = pali_answer_token_count(a);
    assert_int_equal(count, pali_answer_token_count(b));
    assert_memory_equal(pali_answer_tokens(a), pali_answer_tokens(b), count * sizeof(int32_t));
    assert_memory_equal(pali_answer_logprobs(a), pali_answer_logprobs(b), count * sizeof(float));
    assert_string_equal(pali_answer_text(a), pali_answer_text(b));
    assert_int_equal(pali_answer_finish(a), pali_answer_finish(b));
}

static double sum(const pali_answer *answer)
{
    double total = 0;
    for (size_t i = 0; i < pali_answer_token_count(answer); i++)
        total += (double)pali_answer_logprobs(answer)[i];
    return total;
}

/* Samples are what the seeds draw alone. */
static void test_best_of(void **state)
{
    const fixture *f = *state;
    enum { SAMPLES = 5 };
    size_t later = 0;
    for (uint64_t seed = 0; seed < 60; seed += 6) {
        pali_ask_options options = {.max_tokens = seed % 4 ? 24 : 3, .temperature = 3, .top_p = 0.95f, .seed = seed, .logprobs = true, .best_of = SAMPLES};
        pali_answer *found = ask(f, "caption en", &options), *best = NULL;
        options.best_of = 0;
        for (size_t i = 0; i < SAMPLES; i++) {
            options.seed = seed + i;
            pali_answer *one = ask(f, "caption en", &options);
            const bool better = !best || sum(one) > sum(best);
            later += better && best;
            pali_answer_free(better ? best : one);
            best = better ? one : best;
        }
        assert_string_equal(pali_answer_text(found), pali_answer_text(best));
        assert_int_equal(pali_answer_finish(found), pali_answer_finish(best));
        assert_true(fabs(sum(found) - sum(best)) <= 1e-4); /* a shared beginning is attended to as a block of its own: rounding */
        pali_answer_free(found);
        pali_answer_free(best);
    }
    assert_true(later > 0);
}

/* Searches beside greedy questions in one batch: each as alone. */
static void test_batch(void **state)
{
    const fixture *f = *state;
    enum { SESSIONS = 5 };
    static const struct {
        const char *prompt;
        pali_ask_options options;
    } cases[SESSIONS] = {
        {"caption en", {.max_tokens = 24, .logprobs = true, .beams = 3}},
        {"detect all classes", {.max_tokens = 24, .logprobs = true}},
        {"caption en", {.max_tokens = 5, .logprobs = true, .temperature = 1, .best_of = 4}},
        {"answer en how many stars?", {.max_tokens = 24, .logprobs = true, .beams = 2}},
        {"ocr", {.max_tokens = 24, .logprobs = true}},
    };
    pali_error err = {0};
    pali_session *sessions[SESSIONS];
    for (size_t i = 0; i < SESSIONS; i++) {
        sessions[i] = pali_session_new(f->model, NULL, &err);
        assert_int_equal(pali_session_set_images(sessions[i], &f->image, 1, &err), PALI_OK);
        assert_int_equal(pali_session_prompt(sessions[i], cases[i].prompt, &cases[i].options, &err), PALI_OK);
    }
    bool done = false;
    while (!done) {
        assert_int_equal(pali_step(sessions, SESSIONS, &err), PALI_OK);
        done = true;
        for (size_t i = 0; i < SESSIONS; i++)
            done = done && pali_session_done(sessions[i]);
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        pali_answer *together = pali_session_answer(sessions[i], &err), *alone = ask(f, cases[i].prompt, &cases[i].options);
        same_answer(together, alone);
        pali_answer_free(together);
        pali_answer_free(alone);
        pali_session_free(sessions[i]);
    }
}

typedef struct heard {
    char text[512];
    size_t length, calls;
} heard;

static bool listen(void *context, const char *text, size_t length)
{
    heard *h = context;
    memcpy(h->text + h->length, text, length);
    h->length += length;
    h->calls++;
    return true;
}

/* The text comes once and whole; a wider search never finds a less likely caption here; the next question is greedy again. */
static void test_answers(void **state)
{
    const fixture *f = *state;
    heard h = {.calls = 0};
    pali_answer *greedy = ask(f, "caption en", &(pali_ask_options){.logprobs = true});
    pali_answer *beams = ask(f, "caption en", &(pali_ask_options){.logprobs = true, .beams = 4, .on_text = listen, .on_text_context = &h});
    pali_answer *again = ask(f, "caption en", &(pali_ask_options){.logprobs = true});
    assert_int_equal(h.calls, 1);
    assert_int_equal(h.length, strlen(pali_answer_text(beams)));
    assert_memory_equal(h.text, pali_answer_text(beams), h.length);
    assert_int_equal(pali_answer_finish(beams), PALI_FINISH_EOS);
    assert_true(sum(beams) >= sum(greedy) - 1e-4);
    same_answer(greedy, again);
    pali_answer *started = ask(f, "caption en", &(pali_ask_options){.beams = 2, .start = "a red"});
    assert_int_equal(strncmp(pali_answer_text(started), "a red", 5), 0);
    assert_null(pali_answer_logprobs(started));
    pali_answer_free(started);
    pali_answer_free(greedy);
    pali_answer_free(beams);
    pali_answer_free(again);
}

/* Forks before the first step search for themselves; later ones are refused and the search goes on. */
static void test_forks(void **state)
{
    const fixture *f = *state;
    pali_error err = {0};
    const pali_ask_options beams = {.max_tokens = 24, .logprobs = true, .beams = 3}, greedy = {.max_tokens = 24, .logprobs = true};
    assert_int_equal(pali_session_prompt(f->session, "caption en", &beams, &err), PALI_OK);
    pali_session *sessions[3] = {f->session, pali_session_fork(f->session, NULL, &err), pali_session_fork(f->session, &greedy, &err)};
    assert_non_null(sessions[1]);
    assert_non_null(sessions[2]);
    assert_int_equal(pali_step(sessions, 3, &err), PALI_OK);
    assert_null(pali_session_fork(f->session, NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_session_fork(sessions[2], &beams, &err));
    while (!pali_session_done(sessions[0]) || !pali_session_done(sessions[1]) || !pali_session_done(sessions[2]))
        assert_int_equal(pali_step(sessions, 3, &err), PALI_OK);
    pali_answer *answers[3];
    for (size_t i = 0; i < 3; i++)
        answers[i] = pali_session_answer(sessions[i], &err);
    pali_answer *alone = ask(f, "caption en", &beams), *plain = ask(f, "caption en", &greedy);
    same_answer(answers[0], alone);
    same_answer(answers[1], alone);
    same_answer(answers[2], plain);
    pali_session_free(sessions[1]);
    pali_session_free(sessions[2]);
    for (size_t i = 0; i < 3; i++)
        pali_answer_free(answers[i]);
    pali_answer_free(alone);
    pali_answer_free(plain);
}

/* A search that is stopped gives the best it had; an abandoned one leaves nothing behind. */
static void test_stopped(void **state)
{
    const fixture *f = *state;
    pali_error err = {0};
    for (size_t best_of = 0; best_of < 2; best_of++) {
        const pali_ask_options options = {.max_tokens = 24, .beams = best_of ? 0 : 3, .best_of = best_of ? 3 : 0, .temperature = best_of ? 1 : 0};
        assert_int_equal(pali_session_prompt(f->session, "caption en", &options, &err), PALI_OK);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pali_step((pali_session *const *)&f->session, 1, &err), PALI_OK);
        pali_session_cancel(f->session);
        assert_int_equal(pali_step((pali_session *const *)&f->session, 1, &err), PALI_OK);
        assert_true(pali_session_done(f->session));
        pali_answer *answer = pali_session_answer(f->session, &err);
        assert_int_equal(pali_answer_finish(answer), PALI_FINISH_CANCELLED);
        assert_int_equal(pali_answer_token_count(answer), 3);
        assert_true(strlen(pali_answer_text(answer)) > 0);
        pali_answer_free(answer);
        assert_int_equal(pali_session_prompt(f->session, "caption en", &options, &err), PALI_OK);
        assert_int_equal(pali_step((pali_session *const *)&f->session, 1, &err), PALI_OK);
    }
    pali_answer_free(ask(f, "ocr", NULL));
}

/* Of some texts that alone may be answers, a search that can hold them all finds the one that scores best. */
static void test_choices(void **state)
{
    const fixture *f = *state;
    enum { CHOICES = 5 };
    static const char *const choices[CHOICES] = {"a red circle", "three blue stars", "three", "no", "a red circle and a green heart"};
    static const char *const prompts[] = {"caption en", "answer en how many stars?", "answer en is there a circle?"};
    for (size_t p = 0; p < sizeof prompts / sizeof *prompts; p++) {
        pali_error err = {0};
        pali_scored scored[CHOICES];
        const pali_ask_options options = {.logprobs = true, .beams = CHOICES, .choices = choices, .choice_count = CHOICES};
        pali_answer *answer = ask(f, prompts[p], &options);
        assert_int_equal(pali_answer_finish(answer), PALI_FINISH_EOS);
        assert_int_equal(pali_score_many(f->session, prompts[p], choices, CHOICES, NULL, scored, &err), PALI_OK);
        size_t best = 0;
        while (scored[best].rank > 0)
            best++;
        assert_string_equal(pali_answer_text(answer), choices[best]);
        assert_true(fabs(sum(answer) - scored[best].total) <= 1e-2 * fabs(scored[best].total)); /* rows of candidates are those of a prefill, rounded to bf16 */
        pali_answer_free(answer);
    }
}

/* Constrained searches end in whole objects of the label, however few tokens there are for them. */
static void test_objects(void **state)
{
    const fixture *f = *state;
    static const pali_ask_options ways[] = {{.beams = 3}, {.beams = 4, .max_tokens = 9}, {.beams = 2, .max_tokens = 13}, {.best_of = 4, .temperature = 3}, {.best_of = 3, .temperature = 2, .max_tokens = 8}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        pali_answer *answer = ask(f, "detect red circle ; blue star", &ways[w]);
        const size_t objects = pali_answer_object_count(answer);
        for (size_t i = 0; i < objects; i++) {
            const pali_object *o = pali_answer_object(answer, i);
            assert_true(strcmp(o->label, "red circle") == 0 || strcmp(o->label, "blue star") == 0);
        }
        /* Each takes four locations and a label; separators stand between. */
        size_t separators = 0;
        for (const char *at = pali_answer_text(answer); (at = strstr(at, " ; ")); at++)
            separators++;
        assert_int_equal(objects, *pali_answer_text(answer) ? separators + 1 : 0);
        pali_answer_free(answer);
    }
}

static void test_usage(void **state)
{
    const fixture *f = *state;
    static const pali_ask_options wrong[] = {
        {.beams = 257}, {.best_of = 257, .temperature = 1}, {.beams = 2, .temperature = 1}, {.beams = 2, .best_of = 2}, {.best_of = 2},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pali_error err = {0};
        assert_null(pali_ask(f->session, NULL, 0, "caption en", &wrong[i], &err));
        assert_int_equal(err.status, PALI_USAGE);
        assert_non_null(strstr(err.message, wrong[i].beams ? "beams" : "best_of"));
    }
    pali_answer *plain = ask(f, "ocr", &(pali_ask_options){.logprobs = true}), *one = ask(f, "ocr", &(pali_ask_options){.logprobs = true, .beams = 1, .best_of = 1});
    same_answer(plain, one);
    pali_answer_free(plain);
    pali_answer_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literal), cmocka_unit_test(test_best_of), cmocka_unit_test(test_batch), cmocka_unit_test(test_answers),
        cmocka_unit_test(test_forks), cmocka_unit_test(test_stopped), cmocka_unit_test(test_choices),
        cmocka_unit_test(test_objects), cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests_name("generate: search on models", tests, open_nano, close_nano);
}
