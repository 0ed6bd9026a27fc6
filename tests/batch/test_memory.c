/*
 * Memory that runs out at any allocation of a run: it either ends with
 * PALI_MEMORY, or goes on, with rows that had no memory reported in their
 * place. No line is wrong, nothing is left behind, and the next run goes on.
 */
#include "exhaust.h"
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pali_model *model;
static char *whole;
static const pali_ask_options ask = {.max_tokens = 2};
static const pali_batch_options options = {.ask = &ask, .batch = 2, .decoders = 1};

/* Each line is that of a clean run, or tells that there was no memory. */
static bool is_right(const char *output)
{
    const char *expected = whole;
    for (; *output && *expected; expected += strcspn(expected, "\n") + 1) {
        const size_t length = strcspn(output, "\n") + 1;
        const char *const end = strchr(output, '\n'), *const reason = strstr(output, "\"status\":\"memory\"");
        if (!end || (strncmp(output, expected, length) != 0 && !(reason && reason < end)))
            return false;
        output += length;
    }
    return *output == '\0';
}

static pali_status run_twice(const void *context, pali_error *err)
{
    (void)context;
    char text[1 << 16]; /* no allocation of this test's may count */
    pali_status status = PALI_MEMORY;
    for (int turn = 0; turn < 2; turn++) {
        pali_error own = {0};
        const pali_status ended = pali_batch(model, rows_path, output_path, &options, NULL, &own);
        FILE *const file = fopen(output_path, "rb");
        const size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
        if (file)
            fclose(file);
        text[size] = '\0';
        if ((ended != PALI_OK && ended != PALI_MEMORY) || !is_right(text))
            status = pl_fail(err, PALI_FAILED, "%d: %s: %s", (int)ended, own.message, text);
    }
    forget_output();
    return status == PALI_MEMORY ? pl_fail_memory(err, "as expected", 0) : status;
}

static void test_run(void **state)
{
    (void)state;
    exhaust("batch", run_twice, NULL, PALI_MEMORY);
}

static int set_up(void **state)
{
    count_jansson();
    model = pali_model_open("tests/data/tiny/pg1", &(pali_model_options){.threads = 1}, NULL);
    if (!model || make_folder(state) != 0)
        return -1;
    char *const rows = mixed_rows(10);
    write_text(rows_path, strstr(rows, "{\"id\": \"5\"")); /* 5 and 6 show the same, 7 is missing, 8 has two pictures, 9 is no JSON */
    free(rows);
    run_batch(model, &options);
    whole = read_text(output_path, NULL);
    forget_output();
    return 0;
}

static int tear_down(void **state)
{
    free(whole);
    pali_model_free(model);
    return remove_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_run)};
    return cmocka_run_group_tests_name("batch: memory", tests, set_up, tear_down);
}
