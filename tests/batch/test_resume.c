/* Runs that end early, wherever, and files that are not to be written to. */
#include "support.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

enum { ROWS = 30 };

static pali_model *model;
static char *rows, *whole; /* the input, and what a clean run makes of it */
static size_t whole_size;
static const pali_ask_options ask = {.max_tokens = 4};
static const pali_batch_options plain = {.ask = &ask, .batch = 4};

static int set_up(void **state)
{
    model = pali_model_open("tests/data/tiny/pg1", &(pali_model_options){.threads = 1}, NULL);
    if (!model || make_folder(state) != 0)
        return -1;
    rows = mixed_rows(ROWS);
    write_text(rows_path, rows);
    run_batch(model, &plain);
    whole = read_text(output_path, &whole_size);
    forget_output();
    return 0;
}

static int tear_down(void **state)
{
    pali_model_free(model);
    free(rows);
    free(whole);
    return remove_folder(state);
}

static void check_whole(void)
{
    size_t size;
    char *const output = read_text(output_path, &size);
    assert_int_equal(size, whole_size);
    assert_memory_equal(output, whole, size);
    free(output);
}

/* A file that ends anywhere, in the middle of a line or of a batch, is brought to the same end. */
static void test_torn(void **state)
{
    (void)state;
    run_batch(model, &plain);
    for (size_t cut = 0; cut <= whole_size; cut += cut < 300 || cut + 300 > whole_size ? 23 : 211) {
        assert_int_equal(truncate(output_path, (off_t)cut), 0);
        const pali_batch_report report = run_batch(model, &plain);
        assert_true(report.done == ROWS && report.resumed <= ROWS);
        check_whole();
    }
    /* A torn line behind the last one. */
    FILE *const longer = fopen(output_path, "ab");
    assert_non_null(longer);
    fputs("{\"row\":99", longer);
    fclose(longer);
    assert_int_equal(run_batch(model, &plain).resumed, ROWS);
    check_whole();
    /* What a file system may leave after the power failed: zeros, and nothing that ends a line. */
    FILE *const file = fopen(output_path, "r+b");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)whole_size / 2), 0);
    assert_int_equal(ftruncate(fileno(file), (off_t)whole_size), 0);
    fclose(file);
    run_batch(model, &plain);
    check_whole();
    /* A kill between the notes and the first line. */
    unlink(output_path);
    assert_int_equal(run_batch(model, &plain).resumed, 0);
    check_whole();
    forget_output();
}

typedef struct patience {
    size_t left;
} patience;

static bool run_out(void *context)
{
    patience *const p = context;
    return p->left-- == 0;
}

/* Interrupted again and again, each time a little later: whole lines each time, and the same file in the end. */
static void test_stopped(void **state)
{
    (void)state;
    pali_status status = PALI_CANCELLED;
    size_t runs = 0, before = 0;
    for (; status == PALI_CANCELLED; runs++) {
        patience p = {.left = 3 + runs};
        pali_batch_options options = plain;
        options.stop = run_out;
        options.stop_context = &p;
        pali_error err = {0};
        pali_batch_report report = {.size = sizeof report};
        status = pali_batch(model, rows_path, output_path, &options, &report, &err);
        assert_true(status == PALI_OK || (status == PALI_CANCELLED && report.done < ROWS));
        assert_true(report.done >= before && report.resumed == before);
        before = report.done;
        size_t size;
        char *const output = read_text(output_path, &size);
        assert_memory_equal(output, whole, size);
        assert_true(size == 0 || output[size - 1] == '\n');
        free(output);
    }
    assert_true(runs > 4);
    check_whole();
    forget_output();
}

/* The size of a batch, threads that decode, and progress are nobody's business but this run's. */
static void test_other_batch(void **state)
{
    (void)state;
    run_batch(model, &plain);
    assert_int_equal(truncate(output_path, (off_t)whole_size / 2), 0);
    run_batch(model, &(pali_batch_options){.ask = &ask, .batch = 7, .decoders = 3});
    check_whole();
    forget_output();
}

static void refused(const pali_batch_options *options, pali_status expected, const char *message)
{
    size_t before, after;
    char *const left = read_text(output_path, &before);
    pali_error err = {0};
    const pali_status status = pali_batch(model, rows_path, output_path, options, NULL, &err);
    if (status != expected || !strstr(err.message, message))
        fail_msg("found %d, %s\n  not %s", (int)status, err.message, message);
    char *const right = read_text(output_path, &after);
    assert_int_equal(before, after);
    assert_memory_equal(left, right, before);
    free(left);
    free(right);
}

/* What was begun with something else is not gone on with, and the message says with what. */
static void test_differences(void **state)
{
    (void)state;
    static const char *const type[] = {"type=q8_0"}, *const file[] = {"tests/data/tiny/pg1"};
    const pali_ask_options longer = {.max_tokens = 5}, warm = {.max_tokens = 4, .temperature = 1}, other = {.max_tokens = 4, .seed = 1}, begun = {.max_tokens = 4, .start = "a"}, sure = {.max_tokens = 4, .confidence = true},
                           wide = {.max_tokens = 4, .beams = 2};
    run_batch(model, &plain);
    refused(&(pali_batch_options){.ask = &longer}, PALI_USAGE, "options.max_tokens '4', expected what this one has, '5'");
    refused(&(pali_batch_options){.ask = &warm}, PALI_USAGE, "options.temperature");
    refused(&(pali_batch_options){.ask = &other}, PALI_USAGE, "options.seed");
    refused(&(pali_batch_options){.ask = &begun}, PALI_USAGE, "options.start 'null'");
    refused(&(pali_batch_options){.ask = &sure}, PALI_USAGE, "options.confidence");
    refused(&(pali_batch_options){.ask = &wide}, PALI_USAGE, "options.beams");
    refused(&(pali_batch_options){.ask = &ask, .prompt = "ocr"}, PALI_USAGE, "options.prompt");
    refused(&(pali_batch_options){.ask = &ask, .frames = 2}, PALI_USAGE, "options.frames");
    refused(&(pali_batch_options){.ask = &ask, .timings = true}, PALI_USAGE, "options.timings");
    refused(&(pali_batch_options){.ask = &ask, .shard = 1, .shards = 2}, PALI_USAGE, "rows.shards '1', expected what this one has, '2'");
    refused(&(pali_batch_options){.ask = &ask, .settings = type, .setting_count = 1}, PALI_USAGE, "settings.type 'nothing', expected what this one has, '\"q8_0\"'");
    refused(&(pali_batch_options){.ask = &ask, .files = file, .file_count = 1}, PALI_USAGE, "files");
    /* One letter of the input: same size, another hash. */
    char *const changed = strdup(rows), *const id = strstr(changed, "\"id\": \"1\"");
    assert_non_null(id);
    id[7] = '8';
    write_text(rows_path, changed);
    refused(&plain, PALI_USAGE, "rows.hash");
    free(changed);
    write_text(rows_path, rows);
    pali_model *const first = model;
    model = pali_model_open("tests/data/tiny/pg2", NULL, NULL);
    assert_non_null(model);
    refused(&plain, PALI_USAGE, "model.");
    pali_model_free(model);
    model = first;
    /* With force it begins anew. */
    const pali_batch_report report = run_batch(model, &(pali_batch_options){.ask = &longer, .force = true});
    assert_true(report.resumed == 0 && report.done == ROWS);
    refused(&plain, PALI_USAGE, "options.max_tokens '5'");
    forget_output();
}

/* Files of others stay as they are, with force too. */
static void test_foreign(void **state)
{
    (void)state;
    pali_batch_options forced = plain;
    forced.force = true;
    write_text(output_path, "what somebody wrote\n");
    refused(&plain, PALI_USAGE, "nothing is written over it");
    refused(&forced, PALI_USAGE, "nothing is written over it");
    write_text(notes_path, "{\"of\": \"something else\"}");
    refused(&plain, PALI_USAGE, "out.jsonl.run: found no notes");
    refused(&forced, PALI_USAGE, "out.jsonl.run: found no notes");
    write_text(notes_path, "no notes");
    refused(&plain, PALI_USAGE, "out.jsonl.run: found no notes");
    refused(&forced, PALI_USAGE, "out.jsonl.run: found no notes");
    forget_output();
    /* An empty file holds nothing to lose, be it left by a run with other options that wrote no line. */
    write_text(output_path, "");
    run_batch(model, &(pali_batch_options){.ask = &(pali_ask_options){.max_tokens = 5}});
    write_text(output_path, "");
    run_batch(model, &plain);
    check_whole();
    forget_output();
}

/* Ids of any kind are written as they are, to the last digit, and known again. */
static void test_ids(void **state)
{
    (void)state;
    static const char *const ids[] = {"0.12345678901234567", "12345678901234567", "{\"a\":[1.0,0.33333333333333331,null]}", "\"\\u00e9 \\\" \""};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char row[128];
        snprintf(row, sizeof row, "{\"image\": \"none.png\", \"prompt\": \"ocr\", \"id\": %s}\n", ids[i]);
        write_text(rows_path, row);
        run_batch(model, &plain);
        char *const text = read_text(output_path, NULL);
        json_t *const line = json_loads(text, 0, NULL), *const id = json_loads(ids[i], JSON_DECODE_ANY, NULL);
        assert_true(id && json_equal(json_object_get(line, "id"), id));
        assert_non_null(json_object_get(line, "error"));
        json_decref(line);
        json_decref(id);
        free(text);
        assert_int_equal(run_batch(model, &plain).resumed, 1);
        forget_output();
    }
    write_text(rows_path, rows);
}

/* Lines that were changed since are noticed before anything is added. */
static void test_changed_lines(void **state)
{
    (void)state;
    run_batch(model, &plain);
    char *const text = strdup(whole);
    char *const row = strstr(text, "{\"row\":3,"), *const id = strstr(text, "\"id\":\"2\"");
    assert_true(row && id);
    row[7] = '4';
    write_bytes(output_path, text, whole_size);
    refused(&plain, PALI_USAGE, "out.jsonl:3: found row 4, expected row 3");
    row[7] = '3';
    id[6] = '9';
    write_bytes(output_path, text, whole_size);
    refused(&plain, PALI_USAGE, "out.jsonl:3: found row 3 with another id");
    id[6] = '2';
    row[0] = '!';
    write_bytes(output_path, text, whole_size);
    refused(&plain, PALI_USAGE, "out.jsonl:3: found no JSON");
    row[0] = '{';
    char *const longer = calloc(1, whole_size + 64);
    memcpy(longer, whole, whole_size);
    strcpy(longer + whole_size, "{\"row\":99}\n");
    write_text(output_path, longer);
    refused(&plain, PALI_USAGE, "found more lines than the 30 rows");
    free(longer);
    free(text);
    forget_output();
}

/* Two runs at one output: the second is told. */
static void test_lock(void **state)
{
    (void)state;
    run_batch(model, &plain);
    const int fd = open(output_path, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    refused(&plain, PALI_FAILED, "another run is writing to it");
    close(fd);
    run_batch(model, &plain);
    check_whole();
    forget_output();
}

/* No more room: the message says so, what is there is whole, and with room it goes on. */
static void test_full(void **state)
{
    (void)state;
    struct rlimit before, little;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = before;
    little.rlim_cur = whole_size / 2;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    pali_error err = {0};
    pali_batch_report report = {.size = sizeof report};
    const pali_status status = pali_batch(model, rows_path, output_path, &plain, &report, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, PALI_FAILED);
    assert_non_null(strstr(err.message, "cannot write"));
    assert_in_range(report.done, 1, ROWS - 1);
    size_t size, lines = 0;
    char *const output = read_text(output_path, &size);
    for (size_t i = 0; i < size; i++)
        lines += output[i] == '\n';
    assert_int_equal(output[size - 1], '\n');
    assert_int_equal(lines, report.done);
    free(output);
    assert_int_equal(run_batch(model, &plain).resumed, lines);
    check_whole();
    forget_output();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torn), cmocka_unit_test(test_stopped), cmocka_unit_test(test_other_batch), cmocka_unit_test(test_differences),
        cmocka_unit_test(test_foreign), cmocka_unit_test(test_changed_lines), cmocka_unit_test(test_lock), cmocka_unit_test(test_full), cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests_name("batch: resumed", tests, set_up, tear_down);
}
