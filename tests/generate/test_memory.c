/* Every allocation of searches, scores and embeddings fails once, on a model that is open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <pali/pali.h>

#include "exhaust.h"

#define TINY "tests/data/tiny/"

typedef struct fixture {
    pali_model *model;
    pali_image *image;
} fixture;

static int open_tiny(void **state)
{
    static fixture f;
    pali_error err = {0};
    f.model = pali_model_open(TINY "pg1", &(pali_model_options){.threads = 1}, &err);
    f.image = pali_image_open(TINY "a.png", &err);
    *state = &f;
    return f.model && f.image ? 0 : -1;
}

static int close_tiny(void **state)
{
    fixture *f = *state;
    pali_image_free(f->image);
    pali_model_free(f->model);
    return 0;
}

/* Two searches of one session, the second wider, so that memory is grown too. */
static pali_status search(const void *context, pali_error *err)
{
    const fixture *f = context;
    pali_session *session = pali_session_new(f->model, NULL, err);
    const pali_ask_options beams = {.max_tokens = 3, .logprobs = true, .beams = 2}, samples = {.max_tokens = 4, .temperature = 1, .best_of = 4, .confidence = true};
    pali_answer *first = session ? pali_ask(session, &f->image, 1, "caption en", &beams, err) : NULL;
    pali_answer *second = first ? pali_ask(session, NULL, 0, "ocr", &samples, err) : NULL;
    pali_answer_free(first);
    pali_answer_free(second);
    pali_session_free(session);
    return second ? PALI_OK : err->status;
}

static pali_status score(const void *context, pali_error *err)
{
    const fixture *f = context;
    static const char *const candidates[] = {"a cat", "", "a cat on a mat"};
    pali_scored out[3];
    pali_session *session = pali_session_new(f->model, NULL, err);
    pali_status status = session ? pali_session_set_images(session, &f->image, 1, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pali_score_many(session, "caption en", candidates, 3, NULL, out, err);
    pali_session_free(session);
    return status;
}

static void test_score(void **state)
{
    exhaust("score", score, *state, PALI_OK);
}

static pali_status embed(const void *context, pali_error *err)
{
    const fixture *f = context;
    static const int32_t layers[] = {0, -1};
    static const char *const paths[] = {"/tmp/pali-embed-memory.npz", "/tmp/pali-embed-memory.safetensors"};
    pali_session *session = pali_session_new(f->model, NULL, err);
    const pali_embed_options options = {.what = PALI_EMBED_HIDDEN, .layers = layers, .layer_count = 2};
    pali_embedding *one = session ? pali_embed(session, &f->image, 1, "caption en", &options, err) : NULL;
    pali_embedding *two = one ? pali_embed(session, &f->image, 1, "caption en", &options, err) : NULL;
    pali_status status = two ? pali_embedding_append(one, two, err) : err->status;
    for (size_t i = 0; i < 2 && status == PALI_OK; i++) {
        status = pali_embedding_save(one, paths[i], "f16", err);
        unlink(paths[i]);
    }
    pali_embedding_free(one);
    pali_embedding_free(two);
    pali_session_free(session);
    return status;
}

static void test_embed(void **state)
{
    exhaust("embed", embed, *state, PALI_OK);
}

static void test_search(void **state)
{
    exhaust("search", search, *state, PALI_OK);
}

/* Every token, at every place. */
static bool any_token(void *context, const int32_t *tokens, size_t count, unsigned char *allowed, size_t vocabulary)
{
    (void)context;
    (void)tokens;
    (void)count;
    for (size_t i = 0; i < vocabulary; i++)
        allowed[i] = 1;
    return true;
}

/* The grammar with labels of the prompt, of a list and free, choices, a function; confidence, filters, a fork. */
static pali_status constrain(const void *context, pali_error *err)
{
    const fixture *f = context;
    static const char *const labels[] = {"cat", "a mat"}, *const choices[] = {"a cat", "a mat"};
    const struct {
        const char *prompt;
        pali_ask_options options;
    } ways[] = {
        {"segment cat ; mat", {.max_tokens = 24, .confidence = true, .nms = 0.5f}},
        {"detect all classes", {.max_tokens = 9}},
        {"detect cat", {.max_tokens = 9, .labels = labels, .label_count = 2, .start = "<loc0001><loc0001>"}},
        {"detect cat", {.max_tokens = 9, .start = "I see"}},
        {"ocr", {.choices = choices, .choice_count = 2}},
        {"ocr", {.max_tokens = 2, .constraint = any_token}},
    };
    pali_session *session = pali_session_new(f->model, NULL, err);
    pali_status status = session ? pali_session_set_images(session, &f->image, 1, err) : PALI_MEMORY;
    for (size_t i = 0; i < sizeof ways / sizeof *ways && status == PALI_OK; i++) {
        status = pali_session_prompt(session, ways[i].prompt, &ways[i].options, err);
        if (status == PALI_OK)
            status = pali_step(&session, 1, err);
        pali_session *fork = status == PALI_OK ? pali_session_fork(session, NULL, err) : NULL;
        if (!fork)
            status = err->status;
        while (status == PALI_OK && !pali_session_done(fork))
            status = pali_step(&fork, 1, err);
        pali_answer *answer = status == PALI_OK ? pali_session_answer(fork, err) : NULL;
        if (status == PALI_OK && !answer)
            status = err->status;
        pali_answer_free(answer);
        pali_session_free(fork);
    }
    pali_session_free(session);
    return status;
}

static void test_constrain(void **state)
{
    exhaust("constrain", constrain, *state, PALI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_constrain), cmocka_unit_test(test_search), cmocka_unit_test(test_score), cmocka_unit_test(test_embed)};
    return cmocka_run_group_tests_name("generate: memory", tests, open_tiny, close_tiny);
}
