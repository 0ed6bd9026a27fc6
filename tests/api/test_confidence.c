/*
 * Confidences on nano against their definition, worked out from whole rows of
 * logits that the engine's trace sees; and what is dropped by them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/handles.h"

enum { PICTURES = 40, MOST_TOKENS = 64, END = 1, SPACE = 361 /* of " ; ", which ends a label; a word of nano brings its own */ };

typedef struct fixture {
    pali_model *model;
    pali_session *session;
    float *rows[MOST_TOKENS]; /* logits of each token of the answer under way */
    size_t row_count, vocabulary;
    int32_t location;
} fixture;

static void see(void *context, const char *name, size_t index, pl_rows rows)
{
    fixture *f = context;
    (void)index;
    if (strcmp(name, "logits") != 0 || f->row_count == MOST_TOKENS)
        return;
    f->rows[f->row_count] = realloc(f->rows[f->row_count], rows.width * sizeof(float));
    memcpy(f->rows[f->row_count++], rows.data, rows.width * sizeof(float));
}

static int set_up(void **state)
{
    static fixture f;
    f.model = pali_model_open("models/nano", NULL, NULL);
    f.session = f.model ? pali_session_new(f.model, NULL, NULL) : NULL;
    if (!f.session)
        return 1;
    f.model->engine.trace = see;
    f.model->engine.trace_context = &f;
    f.vocabulary = f.model->weights->config.text.vocabulary;
    f.location = pl_tokenizer_special(f.model->weights->tokenizer)->loc;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < MOST_TOKENS; i++)
        free(f->rows[i]);
    pali_session_free(f->session);
    pali_model_free(f->model);
    return 0;
}

static pali_answer *ask(fixture *f, size_t picture, const char *prompt, const pali_ask_options *options)
{
    static const char *const kinds[] = {"jpg", "png"};
    pali_image *image = NULL;
    pali_error err = {0};
    for (size_t kind = 0; kind < 2 && !image; kind++) {
        char path[64];
        snprintf(path, sizeof path, "tests/data/nano/%06zu.%s", picture, kinds[kind]);
        image = pali_image_open(path, NULL);
    }
    f->row_count = 0;
    pali_answer *answer = pali_ask(f->session, &image, 1, prompt, options, &err);
    if (!answer)
        fail_msg("picture %zu: %s", picture, err.message);
    pali_image_free(image);
    return answer;
}

/* Softmax, in the plainest way. */
static double probability(const fixture *f, size_t token, int32_t id)
{
    double sum = 0;
    for (size_t i = 0; i < f->vocabulary; i++)
        sum += exp((double)f->rows[token][i]);
    return exp((double)f->rows[token][id]) / sum;
}

static double mass(const fixture *f, size_t token, int from, int to)
{
    double sum = 0;
    for (int i = from < 0 ? 0 : from; i <= (to > 1023 ? 1023 : to); i++)
        sum += probability(f, token, f->location + i);
    return sum;
}

/* As confidence.h defines it; `given` sides of the first object were not made. */
static double confidence(const fixture *f, const pali_answer *answer, const pali_object *o, size_t given, bool by_class)
{
    double product = 1;
    for (size_t i = given; i < 4 && !by_class; i++) {
        const int along = o->bins[i % 2 + 2] - o->bins[i % 2], reach = along > 4 ? (int)rint(0.25 * along) : 1;
        product *= pow(mass(f, o->first_token + i - given, o->bins[i] - reach, o->bins[i] + reach), 0.25);
    }
    const int32_t *const tokens = pali_answer_tokens(answer);
    for (size_t t = o->first_token + 4 - given; t < o->first_token + o->token_count && tokens[t] != END && tokens[t] != SPACE; t++)
        product *= probability(f, t, tokens[t]);
    return product;
}

/* Logits are floats: 1e-5 of the value leaves room for sums of 1,024 of their exponentials in another order. */
static void compare(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-5 * expected))
        fail_msg("found %.9g, expected %.9g", found, expected);
}

static void test_definition(void **state)
{
    fixture *f = *state;
    size_t objects = 0, forced = 0;
    for (size_t i = 0; i < PICTURES; i++) {
        const char *prompt = i % 2 ? "detect star ; blue square ; red circle" : "detect circle";
        pali_answer *answer = ask(f, i, prompt, &(pali_ask_options){.confidence = true, .max_tokens = MOST_TOKENS, .temperature = i % 3 ? 0.0f : 1.0f, .seed = i});
        double sum = 0;
        for (size_t t = 0; t < pali_answer_token_count(answer); t++)
            sum += log(probability(f, t, pali_answer_tokens(answer)[t]));
        compare(-pali_answer_log_likelihood(answer), -sum);
        compare(pali_answer_confidence(answer), exp(sum / (double)pali_answer_token_count(answer)));
        for (size_t k = 0; k < pali_answer_object_count(answer); k++, objects++) {
            const pali_object *o = pali_answer_object(answer, k);
            compare(o->confidence, confidence(f, answer, o, 0, false));
            forced += o->confidence < 0.01;
        }
        pali_answer_free(answer);
    }
    print_message("%zu objects, %zu below 0.01\n", objects, forced);
    assert_true(objects > 20);
}

static void test_given_start(void **state)
{
    fixture *f = *state;
    for (size_t given = 1; given <= 4; given++) {
        char start[64] = "";
        for (size_t i = 0; i < given; i++)
            strcat(start, i == 0 ? "<loc0100>" : i == 1 ? "<loc0200>" : i == 2 ? "<loc0600>" : "<loc0700>");
        pali_answer *answer = ask(f, 0, "detect circle ; star", &(pali_ask_options){.confidence = true, .max_tokens = 24, .start = start});
        const pali_object *o = pali_answer_object(answer, 0);
        assert_non_null(o);
        compare(o->confidence, confidence(f, answer, o, given, false));
        pali_answer_free(answer);
    }
    /* All of an object was given: nothing of it was the model's, the end neither. */
    pali_answer *answer = ask(f, 0, "detect circle", &(pali_ask_options){.confidence = true, .start = "<loc0100><loc0200><loc0600><loc0700> circle", .max_objects = 1});
    assert_int_equal(pali_answer_token_count(answer), 1);
    assert_true(pali_answer_object(answer, 0)->confidence == 1);
    pali_answer_free(answer);
}

static void test_noise(void **state)
{
    fixture *f = *state;
    /* A picture whose labels nano ends, in words it knows: it never learnt this prompt. */
    pali_answer *answer = ask(f, 8, "detect all classes", &(pali_ask_options){.confidence = true, .max_tokens = MOST_TOKENS, .noise_token = "\xe2\x96\x81""circle", .max_objects = 4});
    assert_int_equal(pali_answer_object_count(answer), 4);
    for (size_t i = 0; i < 4; i++)
        compare(pali_answer_object(answer, i)->confidence, confidence(f, answer, pali_answer_object(answer, i), 0, true));
    pali_answer_free(answer);
}

/* Log-probabilities are told only where asked for; a malformed object has no confidence. */
static void test_telling(void **state)
{
    fixture *f = *state;
    pali_answer *answer = ask(f, 6, "detect circle", &(pali_ask_options){.confidence = true});
    char *json = pali_answer_json(answer, NULL);
    assert_null(strstr(json, "\"logprobs\""));
    assert_non_null(strstr(json, "\"log_likelihood\":"));
    pali_free(json);
    pali_answer_free(answer);
    answer = ask(f, 6, "detect circle", &(pali_ask_options){.logprobs = true});
    json = pali_answer_json(answer, NULL);
    assert_non_null(strstr(json, "\"logprobs\""));
    assert_null(strstr(json, "confidence"));
    assert_true(isnan(pali_answer_object(answer, 0)->confidence));
    pali_free(json);
    pali_answer_free(answer);
    answer = ask(f, 6, "detect circle", &(pali_ask_options){.confidence = true, .constrain = "off", .start = "<loc0500><loc0500><loc0100><loc0100>", .max_tokens = 3});
    assert_non_null(pali_answer_object(answer, 0)->problem);
    assert_true(pali_answer_object(answer, 0)->confidence == 0); /* exactly */
    pali_answer_free(answer);
}

/* Forks carry the evidence on, and both rate what they make. */
static void test_fork(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    const pali_ask_options options = {.min_confidence = 0.3f, .max_tokens = 48};
    pali_answer *alone = ask(f, 6, "detect circle", &options);
    assert_true(pali_answer_object_count(alone) > 1);
    assert_int_equal(pali_session_prompt(f->session, "detect circle", &options, &err), PALI_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pali_step(&f->session, 1, &err), PALI_OK);
    pali_session *both[2] = {f->session, pali_session_fork(f->session, NULL, &err)};
    assert_non_null(both[1]);
    while (!pali_session_done(both[0]) || !pali_session_done(both[1]))
        assert_int_equal(pali_step(both, 2, &err), PALI_OK);
    pali_answer *answers[2] = {pali_session_answer(both[0], &err), pali_session_answer(both[1], &err)};
    assert_int_equal(pali_answer_object_count(answers[0]), pali_answer_object_count(alone));
    assert_int_equal(pali_answer_object_count(answers[1]), pali_answer_object_count(alone));
    for (size_t k = 0; k < pali_answer_object_count(alone); k++) {
        const double first = pali_answer_object(answers[0], k)->confidence, expected = pali_answer_object(alone, k)->confidence;
        assert_true(first == pali_answer_object(answers[1], k)->confidence); /* to the bit */
        assert_true(fabs(first - expected) < 1e-3 * expected); /* a cache in two parts is summed in another order, of numbers of 8 bits */
    }
    pali_answer_free(answers[0]);
    pali_answer_free(answers[1]);
    assert_null(pali_session_fork(f->session, &(pali_ask_options){.beams = 2}, &err));
    pali_answer_free(alone);
    pali_session_free(both[1]);
}

/* The tokens of an answer, and no others. */
static bool as_before(void *context, const int32_t *tokens, size_t count, unsigned char *allowed, size_t vocabulary)
{
    const pali_answer *answer = context;
    (void)tokens;
    (void)vocabulary;
    allowed[pali_answer_tokens(answer)[count]] = 1;
    return true;
}

/* What a search has found is rated as the same tokens are without one: evidence follows its hypothesis. */
static void test_searches(void **state)
{
    fixture *f = *state;
    size_t objects = 0, moved = 0;
    for (size_t i = 0; i < 3 * PICTURES; i++) {
        const char *prompt = i % 2 ? "detect star ; blue square ; red circle" : "detect circle", *start = i % 5 ? NULL : "<loc0100><loc0200>";
        pali_ask_options options = {.confidence = true, .max_tokens = 16, .max_objects = 2, .start = start};
        if (i % 3)
            options.beams = 1 + i % 3;
        else
            options.best_of = 5, options.temperature = 1, options.seed = i;
        /* An answer that has to be an object: beams end at once where they may, and nothing is the likeliest of all. */
        const bool forced = i % 3 && i % 2;
        static const char *const choices[] = {"<loc0100><loc0200><loc0600><loc0700> circle", "<loc0110><loc0200><loc0500><loc0700> star", "<loc0300><loc0300><loc0600><loc0700> red circle"};
        if (forced)
            options.choices = choices, options.choice_count = 3, options.start = NULL;
        pali_answer *found = ask(f, i % PICTURES, prompt, &options);
        pali_answer *again = ask(f, i % PICTURES, prompt, &(pali_ask_options){.confidence = true, .max_tokens = pali_answer_token_count(found), .start = options.start, .constraint = as_before, .constraint_context = found});
        assert_int_equal(pali_answer_token_count(found), pali_answer_token_count(again));
        assert_memory_equal(pali_answer_tokens(found), pali_answer_tokens(again), pali_answer_token_count(found) * sizeof(int32_t));
        compare(pali_answer_confidence(found), pali_answer_confidence(again));
        assert_int_equal(pali_answer_object_count(found), pali_answer_object_count(again));
        for (size_t k = 0; k < pali_answer_object_count(found); k++, objects++)
            compare(pali_answer_object(found, k)->confidence, pali_answer_object(again, k)->confidence);
        moved += forced && pali_answer_object_count(found) > 0;
        pali_answer_free(found);
        pali_answer_free(again);
    }
    print_message("%zu objects, %zu of beams that had to find one\n", objects, moved);
    assert_true(objects > 60 && moved > 20);
}

/* A fork may begin a search of its own, and goes on from the evidence of its prompt. */
static void test_forked_search(void **state)
{
    fixture *f = *state;
    pali_error err = {0};
    const pali_ask_options options = {.confidence = true, .max_tokens = 24, .start = "<loc0100><loc0200>"}, search = {.max_tokens = 24, .best_of = 3, .temperature = 1, .seed = 2};
    pali_ask_options both = search;
    both.confidence = true;
    both.start = options.start;
    pali_answer *alone = ask(f, 6, "detect circle", &both);
    assert_int_equal(pali_session_prompt(f->session, "detect circle", &options, &err), PALI_OK);
    pali_session *fork = pali_session_fork(f->session, &search, &err);
    assert_non_null(fork);
    while (!pali_session_done(fork))
        assert_int_equal(pali_step(&fork, 1, &err), PALI_OK);
    pali_answer *answer = pali_session_answer(fork, &err);
    assert_in_range(pali_answer_object_count(alone), 1, 99);
    assert_int_equal(pali_answer_object_count(answer), pali_answer_object_count(alone));
    for (size_t k = 0; k < pali_answer_object_count(alone); k++)
        assert_true(pali_answer_object(answer, k)->confidence == pali_answer_object(alone, k)->confidence);
    pali_answer_free(answer);
    pali_answer_free(alone);
    pali_session_free(fork);
}

static void test_filters(void **state)
{
    fixture *f = *state;
    pali_answer *all = ask(f, 6, "detect circle", &(pali_ask_options){.confidence = true});
    const size_t count = pali_answer_object_count(all);
    double highest = 0;
    for (size_t i = 0; i < count; i++)
        highest = fmax(highest, pali_answer_object(all, i)->confidence);
    assert_true(count > 2);
    pali_answer *one = ask(f, 6, "detect circle", &(pali_ask_options){.top_objects = 1});
    assert_int_equal(pali_answer_object_count(one), 1);
    assert_true(pali_answer_object(one, 0)->confidence == highest);
    assert_string_equal(pali_answer_text(one), pali_answer_text(all));
    /* Two that were given lie on each other. */
    const char *const twice = "<loc0100><loc0200><loc0600><loc0700> circle ; <loc0120><loc0200><loc0600><loc0700> circle";
    pali_answer *apart = ask(f, 6, "detect circle", &(pali_ask_options){.start = twice, .max_objects = 2, .nms = 0.3f});
    assert_int_equal(pali_answer_object_count(apart), 1);
    pali_answer_free(one);
    pali_answer_free(apart);
    pali_answer_free(all);
    const pali_ask_options wrong[] = {{.min_confidence = 1.5f}, {.min_confidence = NAN}, {.nms = -1}, {.nms = 2}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pali_error err = {0};
        assert_int_equal(pali_session_prompt(f->session, "detect circle", &wrong[i], &err), PALI_USAGE);
    }
}

/* A calibration is not looked at once its question is over; an answer whose objects were all dropped is no text. */
static void test_calibration(void **state)
{
    fixture *f = *state;
    static const char file[] = "{\"pali_calibration\": 1, \"kind\": \"isotonic\", \"model\": {\"family\": \"paligemma\", \"parameters\": 9, \"image_size\": 112, \"vocabulary\": 50}, "
                               "\"text\": {\"points\": [[0, 0.125]]}}";
    pali_error err = {0};
    pali_calibration *calibration = pl_calibration_open_memory(file, sizeof file - 1, "made up", &err);
    assert_non_null(calibration);
    pali_answer *text = ask(f, 6, "caption en", &(pali_ask_options){.calibration = calibration});
    assert_true(pali_answer_confidence(text) == 0.125);
    pali_answer *objects = ask(f, 6, "detect circle", &(pali_ask_options){.calibration = calibration});
    pali_answer *none = ask(f, 6, "detect circle", &(pali_ask_options){.calibration = calibration, .min_confidence = 1});
    assert_true(pali_answer_object_count(objects) > 0);
    assert_int_equal(pali_answer_object_count(none), 0);
    assert_true(pali_answer_confidence(objects) != 0.125);
    assert_true(pali_answer_confidence(none) == pali_answer_confidence(objects));
    pali_answer_free(text);
    pali_answer_free(objects);
    pali_answer_free(none);
    pali_calibration_free(calibration);
    enum { LONG = 20000 };
    char *prompt = malloc(LONG + 1);
    memset(prompt, ';', LONG);
    prompt[LONG] = '\0';
    assert_int_equal(pali_session_prompt(f->session, prompt, &(pali_ask_options){.confidence = true}, &err), PALI_INPUT);
    free(prompt);
    pali_answer *lost = pali_session_answer(f->session, &err);
    assert_int_equal(pali_answer_token_count(lost), 0);
    assert_true(isnan(pali_answer_confidence(lost)));
    pali_answer_free(lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition), cmocka_unit_test(test_given_start), cmocka_unit_test(test_noise),   cmocka_unit_test(test_telling),
        cmocka_unit_test(test_fork),       cmocka_unit_test(test_filters),     cmocka_unit_test(test_calibration), cmocka_unit_test(test_searches), cmocka_unit_test(test_forked_search),
    };
    return cmocka_run_group_tests_name("confidence", tests, set_up, tear_down);
}
