/*
 * Scores of candidate answers: against transformers and against distributions
 * computed anew for every token; the same to the last bit whatever the others
 * are; ranks, probabilities, limits.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pali/pali.h>

#include "formats/safetensors.h"
#include "generate/score.h"
#include "generate/whole.h"
#include "model/tiny.h"

/* Those of tools/goldens/scores.py. */
#define QUESTION "answer en how many cats?"
static const char *const candidates[] = {
    "1", "2", "", "no", "yes", "a cat", "a cat on a mat", "two cats", "<loc0100><loc0200><loc0900><loc1023> cat",
    "cat ; dog", "no", "there are two cats and a dog on the red car",
};
enum { CANDIDATES = sizeof candidates / sizeof *candidates };

static pali_session *open_session(const char *path, const pali_model_options *options, const char *picture, pali_model **model)
{
    pali_error err = {0};
    *model = pali_model_open(path, options, &err);
    pali_image *image = pali_image_open(picture, &err);
    pali_session *session = *model && image ? pali_session_new(*model, NULL, &err) : NULL;
    if (!session || pali_session_set_images(session, &image, 1, &err) != PALI_OK)
        fail_msg("%s", err.message);
    pali_image_free(image);
    return session;
}

static void close_session(pali_session *session, pali_model *model)
{
    pali_session_free(session);
    pali_model_free(model);
}

static void score(pali_session *session, const char *prompt, const char *const *list, size_t n, const pali_score_options *options, pali_scored *out)
{
    pali_error err = {0};
    if (pali_score_many(session, prompt, list, n, options, out, &err) != PALI_OK)
        fail_msg("%s", err.message);
}

static void check_golden(const pl_tensor_file *golden, const char *name)
{
    char path[64];
    size_t count = 0;
    pali_model *model;
    pali_scored found[CANDIDATES];
    snprintf(path, sizeof path, TINY "%s", name);
    pali_session *session = open_session(path, &(pali_model_options){.threads = 2, .preprocess = "hf:pillow13", .activations = "f32"}, TINY "a.png", &model);
    snprintf(path, sizeof path, "%s.first", name);
    const int32_t *first = golden_values(golden, path, &count);
    assert_int_equal(count, CANDIDATES + 1);
    snprintf(path, sizeof path, "%s.logprobs", name);
    const float *logprobs = golden_values(golden, path, &count);
    score(session, QUESTION, candidates, CANDIDATES, NULL, found);
    double worst = 0;
    for (size_t i = 0; i < CANDIDATES; i++) {
        double total = 0;
        for (int32_t k = first[i]; k < first[i + 1]; k++)
            total += (double)logprobs[k];
        assert_int_equal(found[i].tokens, first[i + 1] - first[i]);
        worst = fmax(worst, fabs(found[i].total - total) / fabs(total));
    }
    print_message("%s: worst relative error of a total %.1e\n", name, worst);
    assert_true(worst <= 1e-4); /* as for log-probabilities in test_golden.c; measured 2e-7 and 1e-6 */
    close_session(session, model);
}

static void test_golden(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_tensor_file *golden = pl_safetensors_open(TINY "scores.safetensors", &err);
    assert_non_null(golden);
    check_golden(golden, "pg1");
    check_golden(golden, "pg2");
    pl_tensor_file_close(golden);
}

/* nano, a distribution at a time; on kept and on rounded activations. */
static void test_literal(void **state)
{
    (void)state;
    static const char *const captions[] = {"red circle", "a red circle and a blue star", "", "three white rings"};
    pali_error err = {0};
    tiny_model tiny;
    tiny_open(&tiny, "models/nano", NULL, NULL, 2);
    tiny_images(&tiny, "a");
    const size_t vocabulary = tiny.model->config.text.vocabulary;
    float *logits = malloc(vocabulary * sizeof *logits);
    pl_scores scores;
    expect_ok(pl_score(&tiny.timeline, "caption en", captions, 4, NULL, &scores, &err), &err);
    for (size_t i = 0; i < 4; i++) {
        pl_ids ids = {0};
        expect_ok(pl_tokenizer_encode(tiny.model->tokenizer, captions[i], strlen(captions[i]), PL_TEXT_USER, &ids, &err), &err);
        expect_ok(pl_ids_push(&ids, pl_tokenizer_special(tiny.model->tokenizer)->eos, &err), &err);
        assert_int_equal(ids.count, scores.first[i + 1] - scores.first[i]);
        for (size_t k = 0; k < ids.count; k++) {
            whole_logits(&tiny.timeline, ids.data, k, logits);
            const double expected = (double)logits[ids.data[k]] - pl_log_sum_exp(logits, vocabulary);
            assert_true(fabs((double)scores.logprobs[scores.first[i] + k] - expected) <= 1e-4 * fmax(1, fabs(expected)));
        }
        pl_ids_free(&ids);
    }
    pl_scores_free(&scores);
    free(logits);
    tiny_close(&tiny);
}

enum { MANY = 400 };

/* Texts of one to some twenty words. */
static void make_texts(char texts[MANY][160], const char *list[MANY])
{
    static const char *const words[] = {"red", "blue", "circle", "star", "and", "a", "white", "ring", "three"};
    uint32_t random = 1;
    for (size_t i = 0; i < MANY; i++) {
        size_t used = 0, count = 1 + i % 20;
        if (i % 7)
            count = 1 + i % 3;
        for (size_t k = 0; k < count; k++) {
            random = random * 1664525 + 1013904223;
            used += (size_t)snprintf(texts[i] + used, sizeof texts[i] - used, k ? " %s" : "%s", words[(random >> 16) % (sizeof words / sizeof *words)]);
        }
        list[i] = texts[i];
    }
}

/* On default activations, where products of many rows are rounded: alone, all together, turned round, in part. */
static void test_company(void **state)
{
    (void)state;
    static char texts[MANY][160];
    static pali_scored all[MANY], turned[MANY], part[MANY];
    const char *list[MANY], *back[MANY];
    pali_model *model;
    pali_session *session = open_session("models/nano", &(pali_model_options){.threads = 2}, TINY "a.png", &model);
    make_texts(texts, list);
    for (size_t i = 0; i < MANY; i++)
        back[i] = list[MANY - 1 - i];
    score(session, "caption en", list, MANY, NULL, all);
    score(session, "caption en", back, MANY, NULL, turned);
    score(session, "caption en", list + 100, 5, NULL, part);
    for (size_t i = 0; i < MANY; i++)
        assert_true(all[i].total == turned[MANY - 1 - i].total && all[i].tokens == turned[MANY - 1 - i].tokens);
    for (size_t i = 0; i < 5; i++)
        assert_true(all[100 + i].total == part[i].total);
    for (size_t i = 0; i < MANY; i += 37) {
        double total = 0;
        size_t count = 0;
        pali_error err = {0};
        assert_int_equal(pali_score(session, "caption en", list[i], &total, &count, NULL, &err), PALI_OK);
        assert_true(all[i].total == total && all[i].tokens == count);
    }
    close_session(session, model);
}

/* Each option, and that ranks and probabilities are of one order. */
static void test_options(void **state)
{
    (void)state;
    pali_model *model;
    pali_session *session = open_session("models/nano", &(pali_model_options){.threads = 2}, TINY "a.png", &model);
    pali_scored found[4][CANDIDATES];
    for (size_t way = 0; way < 4; way++) {
        const pali_score_options options = {.by_mean = way & 1, .no_eos = way & 2};
        const char *list[CANDIDATES];
        memcpy(list, candidates, sizeof list);
        list[2] = "a"; /* without its end "" has no token */
        score(session, QUESTION, list, CANDIDATES, &options, found[way]);
        double sum = 0;
        bool taken[CANDIDATES] = {false};
        for (size_t i = 0; i < CANDIDATES; i++) {
            const pali_scored *x = &found[way][i];
            assert_in_range(x->rank, 0, CANDIDATES - 1);
            assert_false(taken[x->rank]);
            taken[x->rank] = true;
            sum += x->probability;
            assert_true(x->mean == x->total / (double)x->tokens);
            for (size_t k = 0; k < i; k++) {
                const pali_scored *y = &found[way][k];
                const double a = options.by_mean ? x->mean : x->total, b = options.by_mean ? y->mean : y->total;
                assert_true(a > b ? x->rank < y->rank && x->probability >= y->probability : y->rank < x->rank && y->probability >= x->probability);
            }
        }
        assert_true(fabs(sum - 1) < 1e-12);
        assert_true(found[way][3].total == found[way][10].total && found[way][3].rank + 1 == found[way][10].rank); /* "no" twice */
    }
    for (size_t i = 0; i < CANDIDATES; i++) {
        assert_int_equal(found[0][i].tokens, found[2][i].tokens + 1);
        assert_true(found[2][i].total > found[0][i].total);
        assert_true(found[0][i].total == found[1][i].total);
    }
    close_session(session, model);
}

/* The first token of a greedy answer has the log-probability that scoring finds. */
static void test_greedy(void **state)
{
    (void)state;
    pali_model *model;
    pali_session *session = open_session("models/nano", &(pali_model_options){.threads = 2}, "tests/data/nano/000000.jpg", &model);
    const char *const question = "caption en"; /* whose answer is words, which become the same tokens again */
    pali_error err = {0};
    pali_answer *answer = pali_ask(session, NULL, 0, question, &(pali_ask_options){.logprobs = true}, &err);
    assert_non_null(answer);
    float *logprobs = NULL;
    size_t count = 0;
    assert_int_equal(pali_score(session, question, pali_answer_text(answer), NULL, &count, &logprobs, &err), PALI_OK);
    assert_true(count >= 1 && logprobs[0] == pali_answer_logprobs(answer)[0]);
    pali_free(logprobs);
    pali_answer_free(answer);
    close_session(session, model);
}

static void expect_error(pali_session *session, const char *const *list, size_t n, const pali_score_options *options, pali_status status, const char *words)
{
    pali_error err = {0};
    pali_scored out[CANDIDATES];
    assert_int_equal(pali_score_many(session, QUESTION, list, n, options, out, &err), status);
    if (!strstr(err.message, words))
        fail_msg("found \"%s\", expected it to hold \"%s\"", err.message, words);
}

static void test_refusals(void **state)
{
    (void)state;
    pali_model *model;
    pali_error err = {0};
    pali_session *session = open_session(TINY "pg1", &(pali_model_options){.threads = 1}, TINY "a.png", &model);
    char *longest = malloc(40001);
    memset(longest, 'z', 40000);
    longest[40000] = '\0';
    const char *const with_long[2] = {"cat", longest}, *const with_null[2] = {"cat", NULL}, *const with_empty[2] = {"cat", ""};
    expect_error(session, candidates, 0, NULL, PALI_USAGE, "found 0 candidates");
    expect_error(session, NULL, 1, NULL, PALI_USAGE, "found NULL for candidates");
    expect_error(session, with_null, 2, NULL, PALI_USAGE, "found NULL for a candidate");
    expect_error(session, with_long, 2, NULL, PALI_INPUT, "candidate 2: found ");
    expect_error(session, with_empty, 2, &(pali_score_options){.no_eos = true}, PALI_INPUT, "candidate 2: found no token");
    pali_session *fresh = pali_session_new(model, NULL, &err), *small = pali_session_new(model, &(pali_session_options){.max_positions = 29}, &err);
    expect_error(fresh, candidates, 2, NULL, PALI_USAGE, "picture");
    pali_image *image = pali_image_open(TINY "a.png", &err);
    assert_int_equal(pali_session_set_images(small, &image, 1, &err), PALI_OK);
    expect_error(small, candidates, CANDIDATES, NULL, PALI_INPUT, "the session's 29");
    pali_scored out[2];
    score(session, QUESTION, candidates, 2, NULL, out); /* nothing is left of what failed */
    pali_image_free(image);
    pali_session_free(fresh);
    pali_session_free(small);
    free(longest);
    close_session(session, model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_literal), cmocka_unit_test(test_company), cmocka_unit_test(test_options),
        cmocka_unit_test(test_greedy), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("generate: scores", tests, NULL, NULL);
}
