/* pali_eval on rows whose answers are known: metrics, predictions, wrong rows. */
#include "fake_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <pali/eval.h>

static char folder[] = "/tmp/pali-eval-XXXXXX";
static char rows_path[64], predictions_path[64];

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(rows_path, sizeof rows_path, "%s/rows.jsonl", folder);
    snprintf(predictions_path, sizeof predictions_path, "%s/out.jsonl", folder);
    write_file("a.png", "picture");
    write_file("b.png", "picture");
    write_file("broken.png", "picture");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"a.png", "b.png", "broken.png", "rows.jsonl", "out.jsonl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

#define A "<loc0000><loc0000><loc0400><loc0400>"
#define B "<loc0500><loc0500><loc0900><loc0900>"

static const fake_answer answers[] = {
    {.prompt = "answer en how many?", .answer = "2", .finish = PALI_FINISH_EOS},
    {.prompt = "answer en what colour?", .answer = "red ", .finish = PALI_FINISH_EOS},
    {.prompt = "caption en", .answer = "a cat", .finish = PALI_FINISH_LENGTH},
    {.prompt = "detect cat", .answer = A " cat", .finish = PALI_FINISH_EOS},
    {.prompt = "detect cat ; dog", .answer = A " cat ; " A " dog", .finish = PALI_FINISH_EOS},
    {.prompt = "detect bird", .answer = "", .finish = PALI_FINISH_EOS},
    {.prompt = "the left cat", .answer = A, .finish = PALI_FINISH_EOS},
    {.prompt = "", .answer = "x", .finish = PALI_FINISH_EOS},
    {.prompt = "fails", .answer = NULL, .finish = PALI_FINISH_NONE},
    {0},
};

static const char good_rows[] =
    "{\"image\": \"a.png\", \"prefix\": \"answer en how many?\", \"suffix\": \"2\"}\n"
    "{\"image\": \"a.png\", \"prefix\": \"answer en what colour?\", \"suffix\": \"red\"}\n" /* nothing is stripped */
    "\n"
    "{\"image\": [\"a.png\"], \"prefix\": \"caption en\", \"suffix\": [\"a dog\", \"a cat\"], \"id\": 7}\r\n"
    "{\"image\": \"b.png\", \"prefix\": \"detect cat\", \"suffix\": \"" A " cat\"}\n"
    "{\"image\": [\"b.png\", \"a.png\"], \"prefix\": \"detect cat ; dog\", \"suffix\": \"" A " cat ; " B " dog\"}\n"
    "{\"image\": [\"b.png\", \"a.png\"], \"prefix\": \"detect bird\", \"suffix\": \"\"}\n"
    "{\"image\": [\"a.png\", \"b.png\"], \"prefix\": \"the left cat\", \"suffix\": \"" A "\"}\n"
    "{\"image\": [\"a.png\", \"b.png\"], \"prefix\": \"\", \"suffix\": \"x\"}"; /* and no newline at the end */

typedef struct progress_log {
    uint64_t calls, done, total;
} progress_log;

static void on_progress(void *context, uint64_t done, uint64_t total)
{
    progress_log *const log = context;
    assert_true(log->calls == 0 || done > log->done);
    log->calls++;
    log->done = done;
    log->total = total;
}

/* The value at "a.b.c". */
static const json_t *at(const json_t *object, const char *path)
{
    char key[64];
    while (object && *path) {
        const size_t length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        object = json_object_get(object, key);
        path += length + (path[length] == '.');
    }
    return object;
}

static void assert_number(const json_t *object, const char *path, double expected)
{
    const json_t *const value = at(object, path);
    if (!json_is_number(value) || fabs(json_number_value(value) - expected) > 1e-9)
        fail_msg("%s is %g, not %g", path, json_number_value(value), expected);
}

static json_t *evaluate(pali_model *model, const pali_eval_options *options)
{
    pali_error err = {0};
    char *const text = pali_eval(model, rows_path, options, &err);
    if (!text)
        fail_msg("%s", err.message);
    json_t *const metrics = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(metrics);
    free(text);
    assert_int_equal(model->sessions, 0);
    return metrics;
}

static void metrics_of_known_answers(void **state)
{
    (void)state;
    write_file("rows.jsonl", good_rows);
    pali_model model = {.answers = answers};
    progress_log log = {0};
    const pali_eval_options options = {.size = sizeof options, .max_tokens = 9, .likelihood = true, .progress = on_progress, .progress_context = &log};
    json_t *const m = evaluate(&model, &options);
    assert_number(m, "rows", 8);
    assert_number(m, "matches", 6);
    assert_number(m, "exact", 0.75);
    assert_number(m, "cut_off", 1);
    assert_number(m, "kinds.answer.rows", 2);
    assert_number(m, "kinds.answer.exact", 0.5);
    assert_number(m, "kinds.caption.exact", 1);
    assert_number(m, "kinds.detect.rows", 3);
    assert_number(m, "kinds.detect.matches", 2);
    assert_number(m, "kinds.the.rows", 1);
    assert_number(m, "kinds.(none).rows", 1);
    /* Rows with boxes, and the detection row that expects none. */
    assert_number(m, "boxes.rows", 4);
    assert_number(m, "boxes.truths", 4);
    assert_number(m, "boxes.predictions", 4);
    assert_number(m, "boxes.mean_iou", 0.75);
    assert_number(m, "boxes.labels.cat.ap50", 1);
    assert_number(m, "boxes.labels.dog.ap50", 0);
    assert_number(m, "boxes.labels.(none).ap50", 1);
    assert_number(m, "boxes.ap50", 2.0 / 3);
    /* First of several suffixes; 1/4 a byte and one more token a row. */
    const double tokens = 2 + 4 + 6 + (36 + 4 + 1) + (36 + 4 + 3 + 36 + 4 + 1) + 1 + 37 + 2;
    assert_number(m, "log_likelihood.tokens", tokens);
    assert_number(m, "log_likelihood.per_row", -0.25 * tokens / 8);
    assert_number(m, "log_likelihood.per_token", -0.25);
    assert_number(m, "log_likelihood.row_average", -0.25);
    json_decref(m);
    /* Pictures of consecutive rows are encoded once. */
    assert_int_equal(model.encoded, 4);
    assert_int_equal(model.images, 2);
    assert_int_equal(model.max_tokens, 9);
    assert_true(log.calls >= 2 && log.done == 8 && log.total == 8);
    assert_int_equal(model.largest_step, 8);
}

#define CONFIDENT(p, ...) .prompt = p, .finish = PALI_FINISH_EOS, __VA_ARGS__

/* Two cats of which the surer is right, a text of each kind; the same without confidences. */
static void scores_against_what_was_right(void **state)
{
    (void)state;
    static const fake_answer rated[] = {
        {CONFIDENT("detect cat", .answer = B " cat ; " A " cat ; <loc0000><loc0000><loc0000><loc0009> cat", .confidences = {0.25, 0.75, 0.5})}, /* without area: no sample */
        {CONFIDENT("detect dog", .answer = B " dog ; " A " dog")},
        {CONFIDENT("one", .answer = "1", .text_score = 0.5)},
        {CONFIDENT("two", .answer = "2", .text_score = 0.25)},
        {0},
    };
    write_file("rows.jsonl", "{\"image\": \"a.png\", \"prefix\": \"detect cat\", \"suffix\": \"" A " cat\"}\n"
                             "{\"image\": \"a.png\", \"prefix\": \"one\", \"suffix\": \"1\"}\n"
                             "{\"image\": \"a.png\", \"prefix\": \"two\", \"suffix\": \"1\"}\n"
                             "{\"image\": \"a.png\", \"prefix\": \"detect dog\", \"suffix\": \"" A " dog\"}\n");
    pali_model model = {.answers = rated};
    json_t *m = evaluate(&model, &(pali_eval_options){.batch = 3});
    assert_true(model.rating);
    assert_int_equal(model.largest_step, 3);
    assert_number(m, "boxes.labels.cat.ap50", 1);   /* by confidence */
    assert_number(m, "boxes.labels.dog.ap50", 0.5); /* by output */
    assert_number(m, "boxes.labels.dog.ap", 0.5);
    assert_number(m, "reliability.boxes.samples", 2);
    assert_number(m, "reliability.boxes.right", 1);
    assert_number(m, "reliability.boxes.mean_score", 0.5);
    assert_number(m, "reliability.boxes.ece", 0.25);
    assert_number(m, "reliability.boxes.brier", 0.0625);
    assert_number(m, "reliability.text.samples", 2);
    assert_number(m, "reliability.text.brier", (0.25 + 0.0625) / 2);
    assert_null(at(m, "masks"));
    json_decref(m);
    json_decref(evaluate(&model, &(pali_eval_options){.no_confidence = true}));
    assert_false(model.rating);
    pali_error err = {0};
    assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.fit_calibration = predictions_path}, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_non_null(strstr(err.message, "found 2 boxes, 0 masks and 2 texts"));
    assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.fit_calibration = predictions_path, .no_confidence = true}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.fit_calibration = predictions_path, .predictions = predictions_path}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.calibration = rows_path, .no_confidence = true}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.calibration = rows_path}, &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.batch = 5000}, &err));
    assert_int_equal(err.status, PALI_USAGE);
}

static const char *const mask_row = "{\"image\": \"a.png\", \"prefix\": \"segment cat\", \"suffix\": \"" A " cat\", \"mask\": {\"size\": [32, 64], \"counts\": [0, 384, 1664]}}\n";

/* Without a codec what was found has no mask, and counts as wrong; with nano's it has one. */
static void masks_of_rows(void **state)
{
    (void)state;
    static const fake_answer found[] = {
        {CONFIDENT("segment cat", .answer = A "<seg000><seg000><seg000><seg000><seg000><seg000><seg000><seg000><seg000><seg000><seg000><seg000><seg000><seg000><seg000><seg000> cat", .confidences = {0.75})},
        {0},
    };
    write_file("rows.jsonl", mask_row);
    pali_model model = {.answers = found};
    json_t *m = evaluate(&model, NULL);
    assert_number(m, "boxes.mean_iou", 1);
    assert_number(m, "masks.truths", 1);
    assert_number(m, "masks.mean_iou", 0);
    assert_number(m, "refcoco.invalid", 1);
    assert_number(m, "refcoco.boxacc_75", 1);
    assert_number(m, "reliability.masks.right", 0);
    assert_null(at(m, "reliability.boxes"));
    json_decref(m);
    model.codec = "models/nano/vae-oid.npz";
    m = evaluate(&model, NULL);
    assert_number(m, "refcoco.invalid", 0);
    const double iou = json_number_value(at(m, "masks.mean_iou"));
    assert_true(iou > 0 && iou < 1);
    assert_number(m, "refcoco.miou", iou);
    json_decref(m);
    write_file("rows.jsonl", "{\"image\": \"a.png\", \"prefix\": \"segment cat\", \"suffix\": \"" A " cat\", \"mask\": [[0, 0, 1]]}\n");
    pali_error err = {0};
    assert_null(pali_eval(&model, rows_path, NULL, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_non_null(strstr(err.message, "rows.jsonl:1: mask 1: found a polygon of 3 numbers"));
}

static void limit_and_defaults(void **state)
{
    (void)state;
    /* The last row is wrong, but is not looked at. */
    write_file("rows.jsonl", "{\"image\": \"a.png\", \"prefix\": \"caption en\", \"suffix\": \"a cat\"}\n\n{\"image\": \"a.png\", \"prefix\": \"caption en\", \"suffix\": \"\"}\nnonsense\n");
    pali_model model = {.answers = answers};
    json_t *const m = evaluate(&model, &(pali_eval_options){.limit = 2});
    assert_number(m, "rows", 2);
    assert_number(m, "exact", 0.5);
    assert_null(at(m, "boxes"));
    assert_null(at(m, "log_likelihood"));
    assert_int_equal(model.encoded, 1);
    assert_int_equal(model.max_tokens, 0);
    json_decref(m);
}

static void predictions_are_written(void **state)
{
    (void)state;
    write_file("rows.jsonl", good_rows);
    pali_model model = {.answers = answers};
    json_decref(evaluate(&model, &(pali_eval_options){.predictions = predictions_path, .likelihood = true}));
    FILE *const file = fopen(predictions_path, "r");
    assert_non_null(file);
    static const int lines[] = {1, 2, 4, 5, 6, 7, 8, 9};
    for (size_t i = 0; i < 8; i++) {
        json_t *const row = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(row);
        assert_number(row, "row", lines[i]);
        assert_int_equal(json_is_true(at(row, "exact")), i != 1 && i != 4);
        if (i == 2) {
            assert_string_equal(json_string_value(at(row, "prefix")), "caption en");
            assert_string_equal(json_string_value(at(row, "prediction")), "a cat");
            assert_int_equal(json_array_size(at(row, "suffix")), 2);
            assert_string_equal(json_string_value(at(row, "finish_reason")), "length");
            assert_int_equal(json_integer_value(json_array_get(at(row, "tokens"), 0)), 5);
            assert_non_null(strstr(json_string_value(at(row, "image")), "/a.png"));
            assert_number(row, "log_likelihood", -1.5);
        }
        json_decref(row);
    }
    fclose(file);
    unlink(predictions_path);
}

static void wrong_rows_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *row, *message;
        pali_status status;
    } cases[] = {
        {"", "there are no rows", PALI_INPUT},
        {"{", ":2: ", PALI_INPUT},
        {"[]", ":2: found a list, expected an object", PALI_INPUT},
        {"{\"image\": \"a.png\", \"suffix\": \"\"}", ":2: field 'prefix': found nothing", PALI_INPUT},
        {"{\"image\": \"a.png\", \"prefix\": \"\"}", ":2: field 'suffix': found nothing", PALI_INPUT},
        {"{\"image\": \"a.png\", \"prefix\": 3, \"suffix\": \"\"}", ":2: field 'prefix': found a number", PALI_INPUT},
        {"{\"image\": \"a.png\", \"prefix\": \"\", \"suffix\": []}", ":2: field 'suffix': found an empty list", PALI_INPUT},
        {"{\"image\": \"a.png\", \"prefix\": \"\", \"suffix\": [\"a\", null]}", ":2: field 'suffix': found null", PALI_INPUT},
        {"{\"prefix\": \"\", \"suffix\": \"\"}", ":2: field 'image': found nothing", PALI_INPUT},
        {"{\"image\": \"none.png\", \"prefix\": \"\", \"suffix\": \"\"}", ":2: field 'image': there is no file", PALI_INPUT},
        {"{\"image\": [\"a.png\", \".\"], \"prefix\": \"\", \"suffix\": \"\"}", ":2: field 'image': there is no file", PALI_INPUT},
        {"{\"image\": \"a.png\", \"image\": \"b.png\", \"prefix\": \"\", \"suffix\": \"\"}", ":2: ", PALI_INPUT},
        {"{\"image\": \"a.png\", \"prefix\": \"\\u0000\", \"suffix\": \"\"}", ":2: ", PALI_INPUT},
        {"{\"image\": \"broken.png\", \"prefix\": \"\", \"suffix\": \"\"}", ":2: ", PALI_INPUT},
        {"{\"image\": [\"a.png\", \"broken.png\"], \"prefix\": \"\", \"suffix\": \"\"}", "no picture", PALI_INPUT},
        {"{\"image\": \"a.png\", \"prefix\": \"fails\", \"suffix\": \"\"}", ":2: fails: no answer", PALI_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "\n%s\n", cases[i].row);
        write_file("rows.jsonl", text);
        pali_model model = {.answers = answers};
        pali_error err = {0};
        assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.predictions = predictions_path}, &err));
        assert_int_equal(err.status, cases[i].status);
        if (!strstr(err.message, cases[i].message) || !strstr(err.message, "rows.jsonl"))
            fail_msg("%s\n   gave %s\n   not  %s", cases[i].row, err.message, cases[i].message);
        assert_null(pali_eval(&model, rows_path, NULL, NULL));
        assert_int_equal(model.sessions, 0);
        /* Nothing half done is left. */
        assert_int_not_equal(access(predictions_path, F_OK), 0);
    }
}

static void wrong_arguments(void **state)
{
    (void)state;
    write_file("rows.jsonl", good_rows);
    pali_model model = {.answers = answers};
    pali_error err = {0};
    assert_null(pali_eval(NULL, rows_path, NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_eval(&model, NULL, NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_eval(&model, "/no/such/rows", NULL, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.predictions = "/no/such/folder/out"}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.predictions = folder}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_null(pali_eval(&model, rows_path, &(pali_eval_options){.predictions = rows_path}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_int_equal(model.encoded, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_of_known_answers),
        cmocka_unit_test(scores_against_what_was_right),
        cmocka_unit_test(masks_of_rows),
        cmocka_unit_test(limit_and_defaults),
        cmocka_unit_test(predictions_are_written),
        cmocka_unit_test(wrong_rows_are_named),
        cmocka_unit_test(wrong_arguments),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
