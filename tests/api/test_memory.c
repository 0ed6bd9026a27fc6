/* Every allocation on the way from files to an answer fails once: out of memory each time, and nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pali/pali.h>

#include "exhaust.h"

#define TINY "tests/data/tiny/"

typedef struct way {
    const char *model, *lora, *type, *tokenizer;
} way;

static pali_status score(pali_session *session, pali_error *err)
{
    double total;
    size_t count;
    float *each = NULL;
    const pali_status status = pali_score(session, "caption en", "a cat", &total, &count, &each, err);
    pali_free(each);
    return status;
}

static pali_status ask(pali_session *session, pali_error *err)
{
    pali_image *image = pali_image_open(TINY "a.png", err);
    const pali_ask_options options = {.max_tokens = 4, .logprobs = true, .start = "<loc0001><loc0001><loc0900><loc0900> cat"};
    pali_answer *answer = image ? pali_ask(session, &image, 1, "caption en", &options, err) : NULL;
    pali_image *drawn = answer ? pali_answer_draw(answer, image, NULL, err) : NULL;
    pali_session *fork = drawn ? pali_session_fork(session, NULL, err) : NULL;
    pali_status status = fork ? score(session, err) : err->status;
    pali_image_free(drawn);
    pali_session_free(fork);
    pali_answer_free(answer);
    pali_image_free(image);
    return status;
}

/* A fork that fails leaves the first session able to go on. */
static pali_status fork_halfway(pali_session *session, pali_error *err)
{
    pali_error later = {0};
    const pali_ask_options options = {.max_tokens = 4};
    pali_status status = pali_session_prompt(session, "caption en", &options, err);
    if (status == PALI_OK)
        status = pali_step(&session, 1, err);
    if (status != PALI_OK)
        return status;
    pali_session *fork = pali_session_fork(session, NULL, err);
    while (!pali_session_done(session) && pali_step(&session, 1, fork ? err : &later) == PALI_OK) {
    }
    pali_session_free(fork);
    return err->status;
}

static pali_status open_and_ask(const void *context, pali_error *err)
{
    const way *w = context;
    const pali_model_options options = {.threads = 2, .tokenizer = w->tokenizer, .lora = &w->lora, .lora_count = w->lora ? 1 : 0, .type = w->type};
    pali_model *model = pali_model_open(w->model, &options, err);
    pali_session *session = model ? pali_session_new(model, NULL, err) : NULL;
    pali_status status = session ? ask(session, err) : err->status;
    if (status == PALI_OK)
        status = fork_halfway(session, err);
    pali_session_free(session);
    pali_model_free(model);
    return status;
}

static void test_answers(void **state)
{
    (void)state;
    const way ways[] = {
        {.model = TINY "pg1", .lora = TINY "lora/saved"},
        {.model = TINY "pg1-bf16-sharded", .type = "f32", .tokenizer = TINY "pg2/tokenizer.model"},
        {.model = TINY "pg2.bf16.npz", .tokenizer = TINY "pg2/tokenizer.model"},
        {.model = TINY "pg2.gguf"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        exhaust(ways[i].model, open_and_ask, &ways[i], PALI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers)};
    return cmocka_run_group_tests_name("api: memory", tests, NULL, NULL);
}
