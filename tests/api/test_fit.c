/*
 * Memory and threads that are less than asked for, on machines that are made
 * up: what is planned is what is taken, and one kilobyte decides.
 */
#include "api/handles.h"
#include "base/made_up.h"
#include "generate/fit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TINY "tests/data/tiny/"

static char noted[512];

static void take_note(void *context, const char *line)
{
    assert_ptr_equal(context, noted);
    snprintf(noted, sizeof noted, "%s", line);
}

static void put_memory(uint64_t left)
{
    char text[64];
    snprintf(text, sizeof text, "MemAvailable: %llu kB\n", (unsigned long long)(left / 1024));
    made_up_put("/proc/meminfo", text);
}

/* Opens under the made-up machine with so much memory left. */
static pali_model *open_with(uint64_t left, const char *name, pali_model_options options, pali_error *err)
{
    put_memory(left);
    noted[0] = '\0';
    *err = (pali_error){0};
    options.note = take_note;
    options.note_context = noted;
    return pl_model_open(made_up_root, name, &options, err);
}

static void expect_refused(uint64_t left, const char *name, pali_model_options options, const char *words)
{
    pali_error err;
    assert_null(open_with(left, name, options, &err));
    assert_int_equal(err.status, PALI_MEMORY);
    if (!strstr(err.message, "memory: found") || !strstr(err.message, words))
        fail_msg("found \"%s\", expected \"%s\"", err.message, words);
    assert_string_equal(noted, "");
}

static void expect_opened(uint64_t left, const char *name, pali_model_options options, const char *note)
{
    pali_error err;
    pali_model *model = open_with(left, name, options, &err);
    if (!model)
        fail_msg("%s", err.message);
    if (*note ? !strstr(noted, note) : *noted)
        fail_msg("noted \"%s\", expected \"%s\"", noted, note);
    pali_model_free(model);
}

enum { PLENTY = 1 << 30, PAGE = 1024 };

static void memory_decides(void **state)
{
    (void)state;
    pali_error err;
    const pali_model_options two = {.threads = 2};
    pali_model *model = open_with(PLENTY, TINY "pg1", two, &err);
    assert_non_null(model);
    const pl_fit fit = pl_fit_plan(&model->engine, NULL);
    pali_model_free(model);
    assert_true(fit.alone <= fit.question && fit.mapped > PAGE);
    const uint64_t need = fit.weights + fit.question;
    expect_opened(need + fit.mapped + PAGE, TINY "pg1", two, "");
    expect_opened(need + fit.mapped - PAGE, TINY "pg1", two, "every token will read them from disk again");
    expect_opened(need + PAGE, TINY "pg1", two, "left for weights (this machine)");
    expect_refused(need - PAGE, TINY "pg1", two, "left (this machine)");
    expect_refused(0, TINY "pg1", two, "a model of fewer pixels or layers would need less");
}

static void what_would_fit(void **state)
{
    (void)state;
    pali_error err;
    made_up_put("/proc/thread-self/status", "Cpus_allowed_list:\t0-7\n");
    const pali_model_options as_is = {.threads = 8}, bf16 = {.threads = 8, .type = "bf16"}, npz = {.threads = 8, .tokenizer = TINY "pg1/tokenizer.json"};
    pali_model *model = open_with(PLENTY, TINY "pg1", as_is, &err);
    assert_non_null(model);
    const pl_fit fit = pl_fit_plan(&model->engine, NULL);
    pali_model_free(model);
    const uint64_t need = fit.weights + fit.question + PAGE;
    expect_opened(need, TINY "pg1", as_is, "memory");
    expect_refused(need, TINY "pg1", bf16, "the file's own type would need");
    expect_refused(need, TINY "pg1.npz", npz, "a GGUF file or Hugging Face folder would need");
    assert_true(fit.alone + fit.weights + 2 * PAGE < need);
    expect_refused(fit.alone + fit.weights + PAGE, TINY "pg1", as_is, "one thread would need");
}

static void groups_limit_memory(void **state)
{
    (void)state;
    made_up_put("/proc/self/mountinfo", "25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    made_up_put("/proc/self/cgroup", "0::/job\n");
    made_up_put("/sys/fs/cgroup/job/memory.max", "4096\n");
    expect_refused(PLENTY, TINY "pg1", (pali_model_options){.threads = 1}, "(/sys/fs/cgroup/job/memory.max)");
}

static void threads_beyond_processors(void **state)
{
    (void)state;
    made_up_put("/proc/thread-self/status", "Cpus_allowed_list:\t0-2\n");
    expect_opened(PLENTY, TINY "pg1", (pali_model_options){.threads = 3}, "");
    expect_opened(PLENTY, TINY "pg1", (pali_model_options){.threads = 4}, "threads: found 4, expected at most the 3 processors");
    pali_error err;
    assert_null(open_with(PLENTY, TINY "pg1", (pali_model_options){.threads = 4097}, &err));
    assert_int_equal(err.status, PALI_USAGE);
}

/* The sizes that were told before anything was copied. */
typedef struct plan {
    uint64_t copied, mapped;
} plan;

static pali_status keep_plan(void *context, const pl_paligemma *planned, pali_error *err)
{
    (void)err;
    assert_true(planned->planning);
    *(plan *)context = (plan){.copied = planned->copied_peak, .mapped = planned->mapped_bytes};
    return PALI_OK;
}

static void planned_is_what_is_copied(void **state)
{
    (void)state;
    static const struct {
        const char *path, *type;
        bool peak; /* a matrix is turned, then converted: more at a time than is kept */
    } cases[] = {{TINY "pg1", NULL, false}, {TINY "pg1", "bf16", false}, {TINY "pg1-bf16-sharded", "f32", false}, {TINY "pg1.npz", NULL, false}, {TINY "pg1.npz", "bf16", true}, {TINY "pg1-q8_0.gguf", "bf16", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        plan found = {0};
        pali_error err = {0};
        const pl_load_options options = {.type = cases[i].type, .tokenizer = TINY "pg1/tokenizer.json", .check = keep_plan, .check_context = &found};
        pl_paligemma *model = pl_paligemma_open(cases[i].path, &options, &err);
        if (!model)
            fail_msg("%s: %s", cases[i].path, err.message);
        assert_false(model->planning);
        assert_int_equal(found.mapped, model->mapped_bytes);
        assert_int_equal(found.copied, model->copied_peak);
        uint64_t blocks = model->copied_bytes;
        for (size_t f = 0; f < 2 && model->checkpoint->files[f]; f++)
            blocks -= pl_tensor_file_bytes_copied(model->checkpoint->files[f]);
        if (cases[i].peak)
            assert_true(found.copied > blocks);
        else
            assert_int_equal(found.copied, blocks);
        pl_paligemma_close(model);
    }
}

/* What a question is said to take is what its session holds. */
static void planned_is_what_is_asked(void **state)
{
    (void)state;
    pali_error err = {0};
    pali_model *model = pali_model_open(TINY "pg1", &(pali_model_options){.threads = 2}, &err);
    assert_non_null(model);
    pali_session *session = pali_session_new(model, NULL, &err);
    pali_image *image = pali_image_open(TINY "a.png", &err);
    assert_int_equal(pali_session_set_images(session, &image, 1, &err), PALI_OK);
    const uint64_t of_picture = session->timeline.arena.size;
    char prompt[400]; /* so long that the prefill takes more than the picture */
    memset(prompt, 'a', sizeof prompt);
    for (size_t i = 1; i < sizeof prompt; i += 2)
        prompt[i] = ' ';
    prompt[sizeof prompt - 1] = '\0';
    assert_int_equal(pali_session_prompt(session, prompt, NULL, &err), PALI_OK);
    assert_int_equal(pali_step(&session, 1, &err), PALI_OK);
    const pl_timeline *t = &session->timeline;
    const uint64_t arena = t->arena.size;
    assert_true(arena > of_picture);
    const size_t side = model->weights->config.vision.image_size, rows = t->features->rows.count;
    const uint64_t held = side * side * 3 * sizeof(float) + rows * t->features->rows.width * sizeof(float) + arena +
                          pl_kv_cache_position_bytes(&t->cache) * (rows + t->prompt.count + PL_DEFAULT_MAX_TOKENS);
    assert_int_equal(pl_question_bytes(&model->engine, 1, t->prompt.count, PL_DEFAULT_MAX_TOKENS), held);
    pali_image_free(image);
    pali_session_free(session);
    pali_model_free(model);
}

#define MADE_UP(test) cmocka_unit_test_setup_teardown(test, made_up_begin, made_up_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MADE_UP(memory_decides),
        MADE_UP(what_would_fit),
        MADE_UP(groups_limit_memory),
        MADE_UP(threads_beyond_processors),
        cmocka_unit_test(planned_is_what_is_copied),
        cmocka_unit_test(planned_is_what_is_asked),
    };
    return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
