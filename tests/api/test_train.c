/* Training from outside: plans, loops of one's own, runs that stop and go on, rows, and a model that says what it was taught. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <pali/train.h>

#include "base/file.h"

enum { MOST = 24 };

static char work[] = "/tmp/pali-train-XXXXXX";
static char rows_path[64];

static const char rows_text[] = "{\"image\": \"000000.jpg\", \"prefix\": \"answer en who is it?\", \"suffix\": \"seven blue stars\"}\n"
                                "{\"image\": \"000001.png\", \"prefix\": \"answer en who is it?\", \"suffix\": \"one white cross\"}\n";

static int make_work(void **state)
{
    (void)state;
    if (!mkdtemp(work))
        return 1;
    snprintf(rows_path, sizeof rows_path, "%s/rows.jsonl", work);
    return pl_file_write(rows_path, rows_text, sizeof rows_text - 1, NULL) != PALI_OK;
}

static int remove_work(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", work);
    return system(command) != 0;
}

/* Settings that all runs share, then those of the text "lr=1|steps=2"; `store` holds them. */
static size_t settings_of(const char *text, char store[MOST][128], const char *list[MOST])
{
    size_t count = 0;
    snprintf(store[count++], 128, "model=models/nano");
    snprintf(store[count++], 128, "data=%s", rows_path);
    snprintf(store[count++], 128, "images=tests/data/nano");
    snprintf(store[count++], 128, "samples=0");
    while (*text) {
        const size_t length = strcspn(text, "|");
        snprintf(store[count++], 128, "%.*s", (int)length, text);
        text += length + (text[length] == '|');
    }
    for (size_t i = 0; i < count; i++)
        list[i] = store[i];
    return count;
}

/* A run in the folder `out` of the test's; NULL options: none. */
static pali_trainer *open_run(const char *out, const char *text, const pali_train_options *options, pali_error *err)
{
    char store[MOST][128];
    const char *list[MOST];
    size_t count = settings_of(text, store, list);
    snprintf(store[count], 128, "out=%s/%s", work, out);
    list[count] = store[count];
    return pali_trainer_new(NULL, list, count + 1, options, err);
}

static pali_trainer *open_good(const char *out, const char *text, const pali_train_options *options)
{
    pali_error err = {0};
    pali_trainer *const trainer = open_run(out, text, options, &err);
    if (!trainer)
        fail_msg("%s: %s", text, err.message);
    return trainer;
}

#define ADAPTER "lora.rank=4|lr=2e-3|batch=2|text_length=32"

static void test_plan(void **state)
{
    (void)state;
    pali_error err = {0};
    const pali_train_options options = {.dry_run = true};
    pali_trainer *const t = open_good("dry", ADAPTER "|steps=7", &options);
    pali_train_plan plan = {0};
    assert_int_equal(pali_trainer_plan(t, &plan, &err), PALI_OK);
    assert_true(plan.size == sizeof plan && plan.steps == 7 && plan.done == 0 && plan.batch == 2 && plan.examples == 2);
    assert_true(plan.trained > 0 && plan.gradients == 4 * plan.trained && plan.activations > 0 && plan.total > plan.gradients && plan.total < plan.limit);
    /* A caller with a shorter struct gets as much as it has room for. */
    pali_train_plan shorter = {.size = offsetof(pali_train_plan, examples), .examples = 99};
    assert_int_equal(pali_trainer_plan(t, &shorter, &err), PALI_OK);
    assert_true(shorter.steps == 7 && shorter.examples == 99 && shorter.size == offsetof(pali_train_plan, examples));
    char *const text = pali_trainer_describe(t, &err);
    assert_non_null(text);
    pali_free(text);
    assert_non_null(strstr(pali_trainer_recipe(t), "\nsteps: 7\n"));
    assert_int_equal(pali_trainer_step(t, NULL, &err), PALI_USAGE);
    assert_non_null(strstr(err.message, "dry run"));
    assert_int_equal(pali_trainer_run(t, &err), PALI_USAGE);
    pali_trainer_free(t);
    char path[128];
    snprintf(path, sizeof path, "%s/dry", work);
    assert_false(pl_is_folder(path));
}

typedef struct watch {
    uint64_t stop_at, steps, saved, last;
    double loss;
} watch;

static void listen(void *context, const pali_train_event *event)
{
    watch *const w = context;
    w->steps += event->kind == PALI_TRAIN_STEP;
    w->saved += event->kind == PALI_TRAIN_SAVED;
    w->last = event->step;
    if (event->kind == PALI_TRAIN_STEP) {
        assert_true(event->steps == 6 && event->examples == 2 * event->step);
        assert_true(isfinite(event->loss) && isfinite(event->gradient_norm));
        w->loss = event->loss;
    }
}

static bool stop(void *context)
{
    const watch *const w = context;
    return w->stop_at && w->last >= w->stop_at;
}

static char *adapter_bytes(const char *out, size_t *size)
{
    char path[160];
    pali_error err = {0};
    snprintf(path, sizeof path, "%s/%s/last/adapter_model.safetensors", work, out);
    char *const bytes = pl_file_read(path, 64 << 20, size, PALI_INPUT, &err);
    if (!bytes)
        fail_msg("%s", err.message);
    return bytes;
}

static void assert_same_adapters(const char *a, const char *b)
{
    size_t sizes[2];
    char *const first = adapter_bytes(a, &sizes[0]), *const second = adapter_bytes(b, &sizes[1]);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(first, second, sizes[0]);
    free(first);
    free(second);
}

/* In one go; step by step by hand; stopped, freed and gone on with: the same bits, with other numbers of threads. */
static void test_same_bits(void **state)
{
    (void)state;
    static const char text[] = ADAPTER "|steps=6|dropout=0.1";
    pali_error err = {0};
    watch w = {0};
    pali_train_options options = {.size = sizeof options, .listen = listen, .listen_context = &w, .stop = stop, .stop_context = &w, .threads = 1};
    pali_trainer *t = open_good("whole", text, &options);
    assert_int_equal(pali_trainer_run(t, &err), PALI_OK);
    pali_trainer_free(t);
    assert_true(w.steps == 6 && w.saved == 1);

    options.threads = 2;
    w = (watch){.stop_at = 3};
    t = open_good("parts", text, &options);
    assert_int_equal(pali_trainer_run(t, &err), PALI_CANCELLED);
    pali_trainer_free(t);
    assert_true(w.steps == 3 && w.saved == 1);
    w = (watch){0};
    t = open_good("parts", text, &options);
    pali_train_plan plan = {0};
    assert_int_equal(pali_trainer_plan(t, &plan, &err), PALI_OK);
    assert_int_equal(plan.done, 3);
    assert_int_equal(pali_trainer_run(t, &err), PALI_OK);
    assert_int_equal(w.steps, 3);
    pali_trainer_free(t);
    assert_same_adapters("whole", "parts");

    options = (pali_train_options){.threads = 3};
    t = open_good("hand", text, &options);
    for (size_t i = 0; i < 6; i++) {
        double loss = NAN;
        assert_int_equal(pali_trainer_step(t, &loss, &err), PALI_OK);
        assert_true(isfinite(loss));
    }
    assert_int_equal(pali_trainer_evaluate(t, &(double){0}, &err), PALI_USAGE);
    assert_int_equal(pali_trainer_save(t, &err), PALI_OK);
    pali_trainer_free(t);
    assert_same_adapters("whole", "hand");
}

static bool stop_once(void *context)
{
    bool *const stopped = context;
    const bool now = !*stopped;
    *stopped = true;
    return now;
}

/* A step that was given up is made again with the same rows. */
static void test_step_again(void **state)
{
    (void)state;
    pali_error err = {0};
    bool stopped = false;
    const pali_train_options options = {.size = sizeof options, .stop = stop_once, .stop_context = &stopped};
    pali_trainer *const t = open_good("again", ADAPTER "|steps=6|dropout=0.1", &options);
    assert_int_equal(pali_trainer_step(t, NULL, &err), PALI_CANCELLED);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pali_trainer_step(t, NULL, &err), PALI_OK);
    assert_int_equal(pali_trainer_save(t, &err), PALI_OK);
    pali_trainer_free(t);
    assert_same_adapters("whole", "again");
}

/* Held-out losses as they are told. */
typedef struct measured {
    uint64_t stop_at, last;
    size_t count;
    uint64_t steps[8];
    double losses[8];
} measured;

static void listen_measured(void *context, const pali_train_event *event)
{
    measured *const m = context;
    m->last = event->step;
    if (event->kind != PALI_TRAIN_EVALUATED)
        return;
    assert_in_range(m->count, 0, 7);
    m->steps[m->count] = event->step;
    m->losses[m->count++] = event->held_out;
}

/* First asked after the last step while that is looked after. */
static bool stop_measuring(void *context)
{
    const measured *const m = context;
    return m->stop_at && m->last >= m->stop_at;
}

/* Stopped while the last held-out loss is measured: the run that goes on measures it, though no step is left. */
static void test_stopped_measuring(void **state)
{
    (void)state;
    char text[256], command[512];
    pali_error err = {0};
    measured whole = {0}, parts = {.stop_at = 6};
    snprintf(text, sizeof text, ADAPTER "|steps=6|eval_every=2|validation=%s", rows_path);
    pali_train_options options = {.size = sizeof options, .listen = listen_measured, .listen_context = &whole};
    pali_trainer *t = open_good("measured", text, &options);
    assert_int_equal(pali_trainer_run(t, &err), PALI_OK);
    pali_trainer_free(t);
    assert_int_equal(whole.count, 3);

    options = (pali_train_options){.listen = listen_measured, .listen_context = &parts, .stop = stop_measuring, .stop_context = &parts};
    t = open_good("stopped", text, &options);
    assert_int_equal(pali_trainer_run(t, &err), PALI_CANCELLED);
    pali_trainer_free(t);
    assert_int_equal(parts.count, 2);
    parts.stop_at = 0;
    for (size_t i = 0; i < 2; i++) { /* the second time from the same checkpoint, as if killed before another was written */
        snprintf(command, sizeof command, i ? "rm -r '%s/stopped/checkpoint-6' && mv '%s/kept' '%s/stopped/checkpoint-6'" : "cp -r '%s/stopped/checkpoint-6' '%s/kept'", work, work, work);
        assert_int_equal(system(command), 0);
        parts.count = 2;
        t = open_good("stopped", text, &options);
        assert_int_equal(pali_trainer_run(t, &err), PALI_OK);
        pali_trainer_free(t);
        assert_int_equal(parts.count, 3);
    }
    assert_memory_equal(whole.steps, parts.steps, sizeof whole.steps);
    assert_memory_equal(whole.losses, parts.losses, sizeof whole.losses);
    assert_same_adapters("measured", "stopped");
    /* Of the log all but speed and time, which are last. */
    for (size_t i = 0; i < 2; i++) {
        const char *const name = i ? "stopped" : "measured";
        snprintf(command, sizeof command, "cut -d, -f1-6 '%s/%s/metrics.csv' >'%s/%s.csv'", work, name, work, name);
        assert_int_equal(system(command), 0);
    }
    snprintf(command, sizeof command, "cmp '%s/measured.csv' '%s/stopped.csv'", work, work);
    assert_int_equal(system(command), 0);
}

/* Another recipe in the same folder is refused, and the difference told. */
static void test_other_recipe(void **state)
{
    (void)state;
    pali_error err = {0};
    pali_trainer *const t = open_good("other", ADAPTER "|steps=1", NULL);
    assert_int_equal(pali_trainer_run(t, &err), PALI_OK);
    assert_null(open_run("other", ADAPTER "|steps=1|seed=5", NULL, &err)); /* in use */
    assert_int_equal(err.status, PALI_FAILED);
    pali_trainer_free(t);
    assert_null(open_run("other", ADAPTER "|steps=1|seed=5", NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_non_null(strstr(err.message, "seed: 0 -> 5"));
    pali_trainer *const again = open_good("other", ADAPTER "|steps=1|save_every=3|log_every=2", NULL);
    pali_trainer_free(again);
}

static char *ask(const char *adapter, const char *picture)
{
    pali_error err = {0};
    const pali_model_options options = {.lora = &adapter, .lora_count = 1};
    pali_model *const model = pali_model_open("models/nano", &options, &err);
    pali_session *const session = model ? pali_session_new(model, NULL, &err) : NULL;
    pali_image *const image = pali_image_open(picture, &err);
    pali_answer *const answer = session && image ? pali_ask(session, &image, 1, "answer en who is it?", NULL, &err) : NULL;
    if (!answer)
        fail_msg("%s", err.message);
    char *const text = strdup(pali_answer_text(answer));
    pali_answer_free(answer);
    pali_image_free(image);
    pali_session_free(session);
    pali_model_free(model);
    return text;
}

/* Two pictures, two answers that it never gave before. */
static void test_taught(void **state)
{
    (void)state;
    pali_error err = {0};
    pali_trainer *const t = open_good("taught", "lora.rank=8|lr=5e-3|batch=2|text_length=32|steps=150", NULL);
    if (pali_trainer_run(t, &err) != PALI_OK)
        fail_msg("%s", err.message);
    pali_trainer_free(t);
    char adapter[128];
    snprintf(adapter, sizeof adapter, "%s/taught/last", work);
    char *const first = ask(adapter, "tests/data/nano/000000.jpg"), *const second = ask(adapter, "tests/data/nano/000001.png");
    assert_string_equal(first, "seven blue stars");
    assert_string_equal(second, "one white cross");
    free(first);
    free(second);
}

static void test_rows(void **state)
{
    (void)state;
    pali_error err = {0};
    char store[MOST][128];
    const char *list[MOST];
    char bad[96], setting[128];
    snprintf(bad, sizeof bad, "%s/bad.jsonl", work);
    static const char text[] = "{\"image\": \"none.png\", \"prefix\": \"a\", \"suffix\": \"b\"}\n{\"image\": \"000000.jpg\", \"prefix\": \"ocr\", \"suffix\": \"LAB\"}\n";
    assert_int_equal(pl_file_write(bad, text, sizeof text - 1, NULL), PALI_OK);
    size_t count = settings_of("shuffle=false", store, list);
    snprintf(setting, sizeof setting, "validation=%s", bad);
    list[count++] = setting;
    pali_rows *rows = pali_rows_open(NULL, list, count, NULL, &err);
    if (!rows)
        fail_msg("%s", err.message);
    assert_int_equal(pali_rows_count(rows), 2);
    char *shown = pali_rows_show(rows, 0, &err);
    assert_non_null(strstr(shown, "seven blue stars"));
    pali_free(shown);
    shown = pali_rows_json(rows, 1, &err);
    assert_non_null(strstr(shown, "\"suffix\":\"one white cross\""));
    pali_free(shown);
    pali_rows_free(rows);

    const pali_rows_options held_out = {.size = sizeof held_out, .validation = true};
    rows = pali_rows_open(NULL, list, count, &held_out, &err);
    assert_non_null(rows);
    assert_null(pali_rows_show(rows, 0, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_non_null(strstr(err.message, "bad.jsonl:1"));
    shown = pali_rows_show(rows, 1, &err);
    assert_non_null(strstr(shown, "LAB"));
    pali_free(shown);
    pali_rows_free(rows);
    assert_null(pali_rows_open(NULL, list, count - 1, &held_out, &err));
    assert_int_equal(err.status, PALI_USAGE);
}

static void test_misuse(void **state)
{
    (void)state;
    pali_error err = {0};
    double loss;
    pali_train_plan plan = {0};
    assert_null(pali_trainer_new(NULL, NULL, 3, NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_trainer_new(NULL, NULL, 0, NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_trainer_new("/nowhere.yaml", NULL, 0, NULL, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_null(pali_rows_open(NULL, NULL, 1, NULL, &err));
    assert_null(pali_recipe_resolve(NULL, NULL, 1, NULL));
    assert_int_equal(pali_trainer_run(NULL, &err), PALI_USAGE);
    assert_int_equal(pali_trainer_step(NULL, &loss, &err), PALI_USAGE);
    assert_int_equal(pali_trainer_evaluate(NULL, &loss, &err), PALI_USAGE);
    assert_int_equal(pali_trainer_save(NULL, &err), PALI_USAGE);
    assert_int_equal(pali_trainer_plan(NULL, &plan, &err), PALI_USAGE);
    assert_null(pali_trainer_describe(NULL, &err));
    assert_null(pali_trainer_recipe(NULL));
    assert_null(pali_rows_show(NULL, 0, &err));
    assert_int_equal(pali_rows_count(NULL), 0);
    pali_trainer_free(NULL);
    pali_rows_free(NULL);
    char *const keys = pali_recipe_keys(&err);
    assert_non_null(strstr(keys, "lora.rank"));
    pali_free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),   cmocka_unit_test(test_same_bits), cmocka_unit_test(test_other_recipe),
        cmocka_unit_test(test_taught), cmocka_unit_test(test_rows),      cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_step_again), cmocka_unit_test(test_stopped_measuring),
    };
    return cmocka_run_group_tests(tests, make_work, remove_work);
}
