/* pali_batch with the tiny model: what the lines say, whatever the batch, the threads and the shards. */
#include "batch/runner.h"
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

enum { TOKENS = 5 };

static pali_model *model;

static int set_up(void **state)
{
    model = pali_model_open("tests/data/tiny/pg2", &(pali_model_options){.threads = 2}, NULL);
    return model ? make_folder(state) : -1;
}

static int tear_down(void **state)
{
    pali_model_free(model);
    return remove_folder(state);
}

static const pali_ask_options ask = {.max_tokens = TOKENS, .logprobs = true};
static const pali_ask_options sampled = {.max_tokens = TOKENS, .logprobs = true, .temperature = 1.5f, .seed = 3};

/* Line `i` of a text as JSON. */
static json_t *line_of(const char *text, size_t i)
{
    for (; i > 0; i--)
        text = strchr(text, '\n') + 1;
    json_t *const line = json_loadb(text, strcspn(text, "\n"), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    return line;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; (text = strchr(text, '\n')); text++)
        count++;
    return count;
}

/* Each row alone, through the calls of pali.h: the line holds that answer. */
static void check_answer(const json_t *line, const json_t *row, pali_session *session)
{
    pali_error err = {0};
    const json_t *const image = json_object_get(row, "image"), *prompt = json_object_get(row, "prompt");
    const size_t count = json_is_array(image) ? json_array_size(image) : 1;
    pali_image *images[4];
    prompt = prompt ? prompt : json_object_get(row, "prefix");
    for (size_t i = 0; i < count; i++) {
        const char *const path = json_string_value(json_is_array(image) ? json_array_get(image, i) : image);
        images[i] = pali_image_open(path, &err);
        assert_non_null(images[i]);
        const json_t *const shown = json_array_get(json_object_get(line, "images"), i);
        assert_string_equal(json_string_value(json_object_get(shown, "path")), path);
        assert_int_equal(json_integer_value(json_object_get(shown, "width")), pali_image_width(images[i]));
        assert_int_equal(json_integer_value(json_object_get(shown, "height")), pali_image_height(images[i]));
    }
    pali_ask_options own = sampled; /* the row's number is part of its seed */
    own.seed += (uint64_t)json_integer_value(json_object_get(line, "row"));
    pali_answer *const answer = pali_ask(session, images, count, json_string_value(prompt), &own, &err);
    char *const text = pali_answer_json(answer, &err);
    json_t *const alone = json_loads(text, 0, NULL);
    const char *key;
    json_t *value;
    assert_true(json_object_size(alone) >= 5);
    json_object_foreach(alone, key, value) if (!json_equal(value, json_object_get(line, key))) fail_msg("%s differs", key);
    assert_true(json_equal(json_object_get(line, "prompt"), prompt));
    assert_true(json_integer_value(json_object_get(line, "prompt_tokens")) == (json_int_t)pali_answer_timings(answer).prompt_tokens);
    assert_null(json_object_get(line, "timings"));
    json_decref(alone);
    pali_free(text);
    pali_answer_free(answer);
    for (size_t i = 0; i < count; i++)
        pali_image_free(images[i]);
}

/* Every good row is answered as it is alone, every bad one reported, each in its place. */
static void test_lines(void **state)
{
    (void)state;
    enum { ROWS = 40 };
    char *const rows = mixed_rows(ROWS);
    write_text(rows_path, rows);
    const pali_batch_report report = run_batch(model, &(pali_batch_options){.ask = &sampled});
    char *const output = read_text(output_path, NULL);
    assert_int_equal(count_lines(output), ROWS);
    pali_session *const session = pali_session_new(model, NULL, NULL);
    size_t failed = 0, number = 1;
    for (size_t i = 0; i < ROWS; i++, number += i % 11 == 10 ? 3 : 1) { /* two blank lines after what is no JSON */
        json_t *const line = line_of(output, i), *const row = i % 11 == 9 ? NULL : line_of(rows, number - 1);
        const json_t *const error = json_object_get(line, "error"), *const id = json_object_get(line, "id");
        assert_int_equal(json_integer_value(json_object_get(line, "row")), number);
        assert_true(row ? json_equal(id, json_object_get(row, "id")) : !id);
        assert_int_equal(error != NULL, i % 11 == 7 || i % 11 == 9);
        if (error) {
            failed++;
            assert_string_equal(json_string_value(json_object_get(error, "status")), "input");
            assert_non_null(strstr(json_string_value(json_object_get(error, "message")), i % 11 == 7 ? "none-" : "column"));
            assert_null(json_object_get(line, "text"));
        } else {
            check_answer(line, row, session);
        }
        json_decref(line);
        json_decref(row);
    }
    assert_true(report.rows == ROWS && report.done == ROWS && report.resumed == 0 && report.failed == failed && report.first_failed == 8);
    /* Once more: it is all there. */
    const pali_batch_report again = run_batch(model, &(pali_batch_options){.ask = &sampled});
    assert_true(again.rows == ROWS && again.done == ROWS && again.resumed == ROWS && again.failed == failed && again.first_failed == 8);
    char *const same = read_text(output_path, NULL);
    assert_string_equal(same, output);
    pali_session_free(session);
    free(same);
    free(output);
    free(rows);
    forget_output();
}

/* What can be wrong with a row, and what is said. */
static void test_bad_rows(void **state)
{
    (void)state;
    static const struct {
        const char *row, *message;
    } cases[] = {
        {"{", "column"},
        {"[1]", "found a list, expected an object"},
        {"\"a.png\"", "column"},
        {"{\"prompt\": \"ocr\"}", "field 'image': found nothing"},
        {"{\"image\": 5, \"prompt\": \"ocr\"}", "field 'image': found a number"},
        {"{\"image\": [], \"prompt\": \"ocr\"}", "field 'image': found an empty list"},
        {"{\"image\": [null], \"prompt\": \"ocr\"}", "field 'image': found null in the list"},
        {"{\"image\": \"\", \"prompt\": \"ocr\"}", "field 'image': found ''"},
        {"{\"image\": \"-\", \"prompt\": \"ocr\"}", "field 'image': found '-'"},
        {"{\"image\": \"a.png\"}", "field 'prompt': found nothing"},
        {"{\"image\": \"a.png\", \"prompt\": 3}", "field 'prompt': found a number"},
        {"{\"image\": \"a.png\", \"prompt\": \"\\u0000\"}", "column"},
        {"{\"image\": \"a.png\", \"image\": \"b.png\", \"prompt\": \"ocr\"}", "column"},
        {"{\"image\": \"a.png\", \"prompt\": \"ocr\", \"frames\": 0}", "field 'frames': found another number, expected a whole number from 1 to 256"},
        {"{\"image\": \"a.png\", \"prompt\": \"ocr\", \"frames\": 257}", "field 'frames'"},
        {"{\"image\": \"a.png\", \"prompt\": \"ocr\", \"frames\": 1e300}", "field 'frames': found a number"},
        {"{\"image\": \"a.png\", \"prompt\": \"ocr\", \"frames\": 2, \"stride\": \"2\"}", "field 'stride': found text"},
        {"{\"image\": \"/no/such/picture.png\", \"prompt\": \"ocr\"}", "/no/such/picture.png"},
        {"{\"image\": \"rows.jsonl\", \"prompt\": \"ocr\"}", "rows.jsonl: found"},
        {"{\"image\": \".\", \"prompt\": \"ocr\"}", "a folder"},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    char text[4096] = "";
    for (size_t i = 0; i < CASES; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", cases[i].row);
    write_text(rows_path, text);
    const pali_batch_report report = run_batch(model, &(pali_batch_options){.batch = 3});
    assert_true(report.failed == CASES && report.first_failed == 1 && report.done == CASES);
    char *const output = read_text(output_path, NULL);
    for (size_t i = 0; i < CASES; i++) {
        json_t *const line = line_of(output, i);
        const char *const message = json_string_value(json_object_get(json_object_get(line, "error"), "message"));
        if (!message || !strstr(message, cases[i].message))
            fail_msg("%s\n  gave %s\n  not  %s", cases[i].row, message, cases[i].message);
        json_decref(line);
    }
    free(output);
    forget_output();
}

/* A prompt that is too long is its row's own matter, as are more pictures than a question has. */
static void test_too_much(void **state)
{
    (void)state;
    const size_t words = 9000;
    char *const text = calloc(words + 2000, 8), *end = text, here[256];
    assert_non_null(getcwd(here, sizeof here));
    end += sprintf(end, "{\"image\": \"%s/" PICTURES "a.png\", \"prompt\": \"", here);
    for (size_t i = 0; i < words; i++)
        end += sprintf(end, "word ");
    end += sprintf(end, "\"}\n{\"image\": [\"a.png\"");
    for (size_t i = 0; i < 256; i++)
        end += sprintf(end, ",\"a.png\"");
    sprintf(end, "], \"prompt\": \"ocr\"}\n{\"image\": \"%s/" PICTURES "a.png\", \"prompt\": \"ocr\"}", here);
    write_text(rows_path, text);
    const pali_batch_report report = run_batch(model, &(pali_batch_options){.ask = &ask});
    assert_int_equal(report.failed, 2);
    char *const output = read_text(output_path, NULL);
    json_t *const lines[] = {line_of(output, 0), line_of(output, 1), line_of(output, 2)};
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(lines[0], "error"), "message")), "prompt: found"));
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(lines[1], "error"), "message")), "found 257 paths"));
    assert_non_null(json_object_get(lines[2], "text"));
    for (size_t i = 0; i < 3; i++)
        json_decref(lines[i]);
    free(output);
    free(text);
    forget_output();
}

/* However many rows together and threads ahead, the same lines; searches and a temperature too. */
static void test_ways(void **state)
{
    (void)state;
    char *const rows = mixed_rows(45);
    write_text(rows_path, rows);
    const pali_ask_options asks[] = {
        ask, sampled, {.max_tokens = TOKENS, .beams = 3}, {.max_tokens = TOKENS, .best_of = 2, .temperature = 1}, {.max_tokens = TOKENS, .choices = (const char *const[]){"a", "b c"}, .choice_count = 2},
    };
    for (size_t a = 0; a < sizeof asks / sizeof *asks; a++) {
        const pali_batch_options ways[] = {{.ask = &asks[a], .batch = 1, .decoders = 1}, {.ask = &asks[a], .batch = 32, .decoders = 4}, {.ask = &asks[a], .batch = 7, .decoders = 2}, {.ask = &asks[a]}};
        char *first = NULL;
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            run_batch(model, &ways[i]);
            char *const output = read_text(output_path, NULL);
            if (first)
                assert_string_equal(output, first);
            else
                first = strdup(output);
            free(output);
            forget_output();
        }
        free(first);
    }
    free(rows);
}

typedef struct witness {
    size_t reads, first_read, told, first_told, flushes;
} witness;

static pali_status read_nothing(void *context, size_t i, pl_row *row, pali_error *err)
{
    witness *const w = context;
    w->first_read = w->reads++ ? w->first_read : i;
    *row = (pl_row){.number = i + 1};
    return pl_fail(err, PALI_INPUT, "no row %zu", i);
}

static pali_status hear(void *context, size_t i, const pl_outcome *outcome, pali_error *err)
{
    (void)err;
    witness *const w = context;
    w->first_told = w->told++ ? w->first_told : i;
    assert_int_equal(i, w->first_told + w->told - 1);
    assert_null(outcome->answer);
    assert_int_equal(outcome->why->status, PALI_INPUT);
    return PALI_OK;
}

static pali_status count_flush(void *context, pali_error *err)
{
    (void)err;
    ((witness *)context)->flushes++;
    return PALI_OK;
}

/* A run that begins in the middle of a batch forms the batches of one that begins at the first row, and tells only what is new. */
static void test_same_batches(void **state)
{
    (void)state;
    for (size_t decoders = 0; decoders < 3; decoders++) {
        witness w = {0};
        const pl_rows_job job = {.first = 6, .count = 10, .batch = 4, .decoders = decoders, .read = read_nothing, .finish = hear, .flush = count_flush, .context = &w};
        pali_error err = {0};
        assert_int_equal(pl_rows_run(model, &job, &err), PALI_OK);
        assert_true(w.reads == 6 && w.first_read == 4 && w.told == 4 && w.first_told == 6 && w.flushes == 2);
    }
}

/* Three shards hold each row once; put together by row they are the whole. */
static void test_shards(void **state)
{
    (void)state;
    enum { ROWS = 44, SHARDS = 3 };
    char *const rows = mixed_rows(ROWS), *parts[SHARDS], *merged = calloc(1, 1 << 16), *end = merged;
    const char *next[SHARDS];
    size_t lines = 0;
    write_text(rows_path, rows);
    for (size_t s = 0; s < SHARDS; s++) {
        const pali_batch_report report = run_batch(model, &(pali_batch_options){.ask = &ask, .shard = s + 1, .shards = SHARDS, .batch = 4});
        parts[s] = read_text(output_path, NULL);
        next[s] = parts[s];
        lines += report.rows;
        forget_output();
    }
    assert_int_equal(lines, ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        const size_t s = i % SHARDS, length = strcspn(next[s], "\n") + 1;
        memcpy(end, next[s], length);
        end += length;
        next[s] += length;
    }
    run_batch(model, &(pali_batch_options){.ask = &ask});
    char *const whole = read_text(output_path, NULL);
    assert_string_equal(merged, whole);
    for (size_t s = 0; s < SHARDS; s++)
        free(parts[s]);
    free(whole);
    free(merged);
    forget_output();
    /* More shards than rows: nothing to do is no failure. */
    const pali_batch_report none = run_batch(model, &(pali_batch_options){.ask = &ask, .shard = 99, .shards = 99});
    assert_true(none.rows == 0 && none.done == 0);
    forget_output();
    free(rows);
}

/* A default prompt, clips, timings; the pictures of consecutive rows are encoded once, across batches too. */
static void test_options(void **state)
{
    (void)state;
    char text[4096], here[256];
    assert_non_null(getcwd(here, sizeof here));
    snprintf(text, sizeof text,
             "{\"image\": \"%s/tests/data/clip/clip.gif\"}\n"
             "{\"image\": \"%s/tests/data/clip/clip.gif\", \"prompt\": \"ocr\"}\n"
             "nonsense\n"
             "{\"image\": \"%s/tests/data/clip/clip.gif\", \"prompt\": \"caption \\ufffd en\"}\n"
             "{\"image\": \"%s/tests/data/clip/clip.gif\", \"stride\": 2}\n"
             "{\"image\": [\"%s/tests/data/clip/00.png\", \"%s/tests/data/clip/01.png\", \"%s/tests/data/clip/02.png\"]}\n",
             here, here, here, here, here, here, here);
    write_text(rows_path, text);
    const pali_batch_report report = run_batch(model, &(pali_batch_options){.ask = &ask, .prompt = "caption \xff en", .frames = 3, .batch = 2, .timings = true});
    assert_int_equal(report.failed, 1);
    char *const output = read_text(output_path, NULL);
    static const bool encoded[] = {true, false, false, false, true, true};
    json_t *lines[6];
    for (size_t i = 0; i < 6; i++) {
        lines[i] = line_of(output, i);
        if (i == 2)
            continue;
        assert_int_equal(json_array_size(json_object_get(lines[i], "images")), 3);
        const json_t *const timings = json_object_get(lines[i], "timings");
        assert_int_equal(json_real_value(json_object_get(timings, "encode")) > 0, encoded[i]);
        assert_true(json_real_value(json_object_get(timings, "prefill")) > 0);
    }
    assert_string_equal(json_string_value(json_object_get(lines[0], "prompt")), "caption \xef\xbf\xbd en");
    assert_string_equal(json_string_value(json_object_get(lines[1], "prompt")), "ocr");
    /* The animation's frames and their files, the shared and the own encoding: the same answer. A stride: another. */
    assert_true(json_equal(json_object_get(lines[0], "logprobs"), json_object_get(lines[3], "logprobs")));
    assert_true(json_equal(json_object_get(lines[0], "logprobs"), json_object_get(lines[5], "logprobs")));
    assert_false(json_equal(json_object_get(lines[0], "logprobs"), json_object_get(lines[4], "logprobs")));
    for (size_t i = 0; i < 6; i++)
        json_decref(lines[i]);
    free(output);
    forget_output();
}

/* What is wrong with the call itself begins nothing. */
static void test_arguments(void **state)
{
    (void)state;
    char *const rows = mixed_rows(3);
    const pali_ask_options cold = {.temperature = -1};
    const char *const folder = in_folder("");
    write_text(rows_path, rows);
    const struct {
        pali_batch_options options;
        const char *rows, *output, *message;
        pali_status status;
    } cases[] = {
        {{0}, NULL, output_path, "rows is NULL", PALI_USAGE},
        {{0}, rows_path, NULL, "output is NULL", PALI_USAGE},
        {{.batch = 4097}, rows_path, output_path, "batch: found 4097", PALI_USAGE},
        {{.shard = 4, .shards = 3}, rows_path, output_path, "shard: found 4 of 3", PALI_USAGE},
        {{.shards = 3}, rows_path, output_path, "shard: found 0 of 3", PALI_USAGE},
        {{.frames = 300}, rows_path, output_path, "frames: found 300", PALI_USAGE},
        {{.ask = &cold}, rows_path, output_path, "temperature", PALI_USAGE},
        {{0}, "/no/such/rows", output_path, "/no/such/rows", PALI_INPUT},
        {{0}, rows_path, rows_path, "is the file of the rows", PALI_USAGE},
        {{0}, rows_path, folder, "found a folder", PALI_USAGE},
        {{0}, rows_path, "/dev/null", "found a special file", PALI_USAGE},
        {{0}, rows_path, "/no/such/folder/out", "cannot write", PALI_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pali_error err = {0};
        pali_batch_report report = {.size = sizeof report};
        const pali_status status = pali_batch(model, cases[i].rows, cases[i].output, &cases[i].options, &report, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].message))
            fail_msg("case %zu: %d, %s, not %s", i, (int)status, err.message, cases[i].message);
        assert_int_equal(report.done, 0);
        size_t size;
        free(read_text(output_path, &size));
        assert_int_equal(size, 0);
        forget_output();
    }
    pali_error err = {0};
    assert_int_equal(pali_batch(NULL, rows_path, output_path, NULL, NULL, &err), PALI_USAGE);
    write_text(rows_path, "\n \t\r\n\n");
    assert_int_equal(pali_batch(model, rows_path, output_path, NULL, NULL, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "there are no rows"));
    char *const still = read_text(rows_path, NULL);
    assert_string_equal(still, "\n \t\r\n\n");
    free(still);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines), cmocka_unit_test(test_bad_rows), cmocka_unit_test(test_too_much), cmocka_unit_test(test_ways), cmocka_unit_test(test_same_batches),
        cmocka_unit_test(test_shards), cmocka_unit_test(test_options), cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests_name("batch: rows", tests, set_up, tear_down);
}
