/*
 * Calls on a few sessions in any order, also ones that fail: whatever went
 * before, an answer can be had, written and freed, and a question asked anew
 * is answered as by a session that has seen nothing.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pali/pali.h>

#define TINY "tests/data/tiny/"

enum { SESSIONS = 4, CALLS = 1500 };

typedef struct fixture {
    pali_model *model;
    pali_image *images[4];
    pali_session *sessions[SESSIONS];
    uint64_t random;
    size_t answers, errors, objects;
} fixture;

static size_t below(fixture *f, size_t n)
{
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(f->random >> 33) % n;
}

/* Any ids, now and then none, at times the end of it. */
static bool whim(void *context, const int32_t *tokens, size_t count, unsigned char *allowed, size_t vocabulary)
{
    fixture *f = context;
    (void)tokens;
    for (size_t i = 0; i < 20 && below(f, 30); i++)
        allowed[below(f, vocabulary)] = 1;
    allowed[1] = count > 2;
    return below(f, 40) > 0;
}

static pali_ask_options any_options(fixture *f)
{
    static const char *const starts[] = {"", "<loc0100>", "<loc0900><loc0100><loc0800>", "<loc0100><loc0100><loc0200><loc0200> cat ; ", "cat", "\xff", "<loc1023>"};
    static const char *const labels[] = {"cat", "a dog ", "cat"}, *const choices[] = {"yes", "no", "yes, perhaps"};
    pali_ask_options o = {.max_tokens = 1 + below(f, 28), .confidence = below(f, 2), .logprobs = below(f, 3) == 0, .seed = below(f, 9)};
    switch (below(f, 8)) {
    case 0: o.beams = 1 + below(f, 5); break;
    case 1: o.best_of = 1 + below(f, 5); o.temperature = 2; break;
    case 2: o.temperature = 1; o.top_k = below(f, 30); o.top_p = (float)below(f, 12) / 10; break; /* 1.1 is wrong */
    default: break;
    }
    switch (below(f, 8)) {
    case 0: o.labels = labels; o.label_count = below(f, 4); break; /* three: one twice */
    case 1: o.choices = choices; o.choice_count = below(f, 4); break;
    case 2: o.constraint = whim; o.constraint_context = f; break;
    case 3: o.constrain = "off"; break;
    default: break;
    }
    if (below(f, 4) == 0)
        o.start = starts[below(f, sizeof starts / sizeof *starts)];
    if (below(f, 4) == 0)
        o.min_confidence = 0.01f, o.nms = 0.5f, o.top_objects = 2;
    o.max_objects = below(f, 3);
    return o;
}

static const char *any_prompt(fixture *f)
{
    static const char *const prompts[] = {"detect cat", "segment cat ; a dog", "detect all classes", "caption en", "detect", "segment ;", "detect  a<b ; \xc3\xa9t\xc3\xa9 ; \xff", ""};
    return prompts[below(f, sizeof prompts / sizeof *prompts)];
}

static void look(fixture *f, const pali_session *session)
{
    pali_error err = {0};
    pali_answer *answer = pali_session_answer(session, &err);
    if (!answer)
        fail_msg("%s", err.message);
    char *json = pali_answer_json(answer, &err);
    if (!json)
        fail_msg("%s", err.message);
    f->answers++;
    f->objects += pali_answer_object_count(answer);
    for (size_t i = 0; i < pali_answer_object_count(answer); i++) {
        const pali_object *o = pali_answer_object(answer, i);
        assert_true(o->first_token + o->token_count <= pali_answer_token_count(answer));
        assert_true(isnan(o->confidence) || (o->confidence >= 0 && o->confidence <= 1));
    }
    pali_free(json);
    pali_answer_free(answer);
}

static void call(fixture *f)
{
    static const char *const candidates[] = {"a cat", "", "<loc0001>", "a dog"};
    const size_t i = below(f, SESSIONS), other = below(f, SESSIONS), at = below(f, 3);
    pali_session *session = f->sessions[i];
    pali_status status = PALI_OK;
    pali_scored scored[4];
    pali_embedding *embedding = NULL;
    pali_ask_options options = any_options(f);
    switch (below(f, 12)) {
    case 0: status = pali_session_set_images(session, f->images + at, below(f, 3), NULL); break;
    case 1: status = pali_session_use_images(session, f->sessions[other], NULL); break;
    case 2: status = pali_score_many(session, any_prompt(f), candidates, below(f, 5), NULL, scored, NULL); break;
    case 3:
        embedding = pali_embed(session, f->images + at, 1, any_prompt(f), &(pali_embed_options){.what = below(f, 2) ? PALI_EMBED_HIDDEN : PALI_EMBED_SIGLIP}, NULL);
        pali_embedding_free(embedding);
        break;
    case 4:
        if (i != other) {
            pali_session *fork = pali_session_fork(session, below(f, 2) ? &options : NULL, NULL);
            status = fork ? PALI_OK : PALI_USAGE;
            if (fork) {
                pali_session_free(f->sessions[other]);
                f->sessions[other] = fork;
            }
        }
        break;
    case 5: pali_session_cancel(session); break;
    case 6:
    case 7:
    case 8: status = pali_session_prompt(session, any_prompt(f), &options, NULL); break;
    default:
        for (size_t steps = 1 + below(f, 32); steps > 0; steps--)
            status = pali_step(f->sessions, SESSIONS, NULL);
    }
    f->errors += status != PALI_OK;
    for (size_t s = 0; s < SESSIONS; s++)
        look(f, f->sessions[s]);
}

static pali_answer *ask(fixture *f, pali_session *session, const char *prompt, const pali_ask_options *options)
{
    pali_error err = {0};
    pali_answer *answer = pali_ask(session, f->images, 2, prompt, options, &err);
    if (!answer)
        fail_msg("%s", err.message);
    return answer;
}

static void test_any_order(void **state)
{
    fixture *f = *state;
    const pali_ask_options options = {.max_tokens = 24, .confidence = true, .logprobs = true};
    for (size_t c = 0; c < CALLS; c++) {
        call(f);
        if (c % 20)
            continue;
        static const char prompt[] = "segment cat ; dog";
        pali_session *fresh = pali_session_new(f->model, NULL, NULL);
        pali_answer *expected = ask(f, fresh, prompt, &options), *found = ask(f, f->sessions[c / 20 % SESSIONS], prompt, &options);
        char *a = pali_answer_json(expected, NULL), *b = pali_answer_json(found, NULL);
        assert_string_equal(a, b);
        pali_free(a);
        pali_free(b);
        pali_answer_free(expected);
        pali_answer_free(found);
        pali_session_free(fresh);
    }
    print_message("%zu answers, %zu objects, %zu errors\n", f->answers, f->objects, f->errors);
    assert_true(f->errors > CALLS / 20 && f->errors < CALLS / 2 && f->objects > 100);
}

static int set_up(void **state)
{
    static fixture f = {.random = 7};
    f.model = pali_model_open(TINY "pg2", &(pali_model_options){.threads = 2}, NULL);
    for (size_t i = 0; f.model && i < SESSIONS; i++) {
        f.images[i] = pali_image_open(i % 2 ? TINY "a.png" : TINY "b.png", NULL);
        f.sessions[i] = pali_session_new(f.model, NULL, NULL);
        if (!f.images[i] || !f.sessions[i])
            return 1;
    }
    *state = &f;
    return f.model ? 0 : 1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < SESSIONS; i++) {
        pali_image_free(f->images[i]);
        pali_session_free(f->sessions[i]);
    }
    pali_model_free(f->model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_order)};
    return cmocka_run_group_tests_name("any order", tests, set_up, tear_down);
}
