/* Which rows come, in which order, and what is said of files that change. */
#include "data_support.h"

#include "base/text.h"
#include "train/row_text.h"
#include "train/shuffle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Two files, one with rows left out, one twice an epoch: each epoch has every row as often as it is to. */
static void an_epoch_visits_each_row(void **state)
{
    (void)state;
    const pl_data_source sources[] = {{.path = data_rows("one", 10), .skip = 2, .limit = 5}, {.path = data_rows("two", 7), .repeat = 2}, {.path = data_rows("three", 1)}};
    const pl_data_options options = data_options(sources, 3);
    pl_dataset *const dataset = data_open(&options);
    assert_int_equal(pl_dataset_rows(dataset, 0), 5);
    assert_int_equal(pl_dataset_epoch(dataset), 5 + 14 + 1);
    static const size_t visits[3] = {1, 2, 1}, rows[3] = {5, 7, 1};
    size_t moved = 0;
    for (uint64_t epoch = 0; epoch < 4; epoch++) {
        size_t seen[3][16] = {{0}};
        for (uint64_t i = 0; i < 20; i++) {
            const pl_place place = pl_dataset_place(dataset, epoch * 20 + i), before = pl_dataset_place(dataset, i);
            assert_true(place.source < 3 && place.row < rows[place.source]);
            assert_int_equal(place.n, epoch * 20 + i);
            const size_t visit = (size_t)place.visit;
            assert_in_range(visit, epoch * visits[place.source], (epoch + 1) * visits[place.source] - 1);
            seen[place.source][place.row] |= (size_t)1 << (visit - epoch * visits[place.source]);
            moved += place.source != before.source || place.row != before.row;
        }
        for (size_t s = 0; s < 3; s++)
            for (size_t r = 0; r < rows[s]; r++)
                assert_int_equal(seen[s][r], ((size_t)1 << visits[s]) - 1);
    }
    assert_true(moved > 40); /* of 60: each epoch has an order of its own */
    assert_int_equal(pl_dataset_line(dataset, 0, 0), 3);
    pl_dataset_free(dataset);
}

/* The same from another process, another when the seed is another one. */
static void order_follows_from_the_seed(void **state)
{
    (void)state;
    const pl_data_source source = {.path = data_rows("rows", 50)};
    pl_data_options options = data_options(&source, 1);
    pl_dataset *const one = data_open(&options), *const again = data_open(&options);
    options.seed++;
    pl_dataset *const other = data_open(&options);
    options.ordered = true;
    pl_dataset *const ordered = data_open(&options);
    size_t same = 0;
    for (uint64_t n = 0; n < 200; n++) {
        const uint64_t mixed = (n * 77 + 31) % 200; /* asked in any order */
        assert_int_equal(pl_dataset_place(one, mixed).row, pl_dataset_place(again, mixed).row);
        same += pl_dataset_place(one, n).row == pl_dataset_place(other, n).row;
        assert_int_equal(pl_dataset_place(ordered, n).row, n % 50);
        assert_int_equal(pl_dataset_place(ordered, n).visit, n / 50);
    }
    assert_true(same < 20);
    /* What a run was, it is to stay: a change of the shuffle would break every run that is resumed. */
    static const size_t first[] = {30, 43, 29, 26, 6, 15, 20, 49};
    for (size_t n = 0; n < sizeof first / sizeof *first; n++)
        assert_int_equal(pl_dataset_place(one, n).row, first[n]);
    pl_dataset_free(one);
    pl_dataset_free(again);
    pl_dataset_free(other);
    pl_dataset_free(ordered);
}

/* 3 : 1, whatever the numbers of rows; each source goes through its own epochs. */
static void weights_are_shares(void **state)
{
    (void)state;
    const pl_data_source sources[] = {{.path = data_rows("small", 5), .weight = 0.3}, {.path = data_rows("large", 1000), .weight = 0.1}};
    const pl_data_options options = data_options(sources, 2);
    pl_dataset *const dataset = data_open(&options);
    size_t counts[2] = {0}, seen[2][1000] = {{0}};
    for (uint64_t n = 0; n < 640; n++) {
        const pl_place place = pl_dataset_place(dataset, n);
        counts[place.source]++;
        seen[place.source][place.row]++;
        if (n % 64 == 63)
            assert_in_range(counts[0], (n + 1) * 3 / 4 - 1, (n + 1) * 3 / 4 + 1);
    }
    assert_int_equal(counts[0], 480);
    for (size_t r = 0; r < 5; r++)
        assert_int_equal(seen[0][r], 96);
    for (size_t r = 0; r < 1000; r++)
        assert_true(seen[1][r] <= 1);
    pl_dataset_free(dataset);
}

/* Each answer once in any round of as many visits; not the same round after round. */
static void answers_without_replacement(void **state)
{
    (void)state;
    size_t repeated = 0, uniform[4] = {0};
    for (size_t row = 0; row < 100; row++) {
        size_t last = 4;
        for (uint64_t round = 0; round < 10; round++) {
            unsigned seen = 0;
            for (uint64_t i = 0; i < 4; i++) {
                const pl_place place = {.row = row, .visit = round * 4 + i};
                const size_t choice = pl_row_choose(1, PL_CHOICE_NO_REPLACEMENT, place, 4);
                assert_true(choice < 4);
                seen |= 1u << choice;
                if (i == 0)
                    repeated += choice == last, last = choice;
                uniform[pl_row_choose(1, PL_CHOICE_UNIFORM, place, 4)]++;
            }
            assert_int_equal(seen, 15);
        }
    }
    assert_in_range(repeated, 150, 300); /* of 900 pairs of rounds a quarter begin alike */
    for (size_t i = 0; i < 4; i++)
        assert_in_range(uniform[i], 900, 1100);
    assert_int_equal(pl_row_choose(1, PL_CHOICE_FIRST, (pl_place){.visit = 3}, 4), 0);
}

static char *row_text(const pl_dataset *dataset, size_t row, pali_error *err)
{
    size_t length;
    return pl_dataset_read(dataset, 0, row, &length, err);
}

/* Blank lines, a byte order mark, CRLF, no newline at the end, a line longer than what is read at a time. */
static void lines_are_found(void **state)
{
    (void)state;
    pl_buffer text = {0};
    assert_int_equal(pl_buffer_printf(&text, NULL, "\xef\xbb\xbf{\"a\":1}\r\n\n  \t\r\n{\"b\":\""), PALI_OK);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(pl_buffer_append(&text, "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                                                 "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                                                 "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                                                 "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", 440, NULL), PALI_OK);
    assert_int_equal(pl_buffer_printf(&text, NULL, "\"}\n{\"c\":3}"), PALI_OK);
    const pl_data_source source = {.path = data_write("lines", text.data)};
    free(text.data);
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *const dataset = data_open(&options);
    assert_int_equal(pl_dataset_rows(dataset, 0), 3);
    static const size_t lines[] = {1, 4, 5};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pl_dataset_line(dataset, 0, i), lines[i]);
        char *const row = row_text(dataset, i, NULL);
        assert_non_null(row);
        assert_int_equal(strlen(row), i == 0 ? 8 : i == 1 ? 440 * 3000 + 8 : 7);
        assert_memory_equal(row, i == 0 ? "{\"a\":1}\r" : i == 1 ? "{\"b\":\"01" : "{\"c\":3}", 7);
        free(row);
    }
    pl_dataset_free(dataset);
}

/* A file that is cut, or written over, while it is read; one that only grew. */
static void a_file_that_changes_while_it_is_read(void **state)
{
    (void)state;
    const char *const path = data_rows("changing", 100);
    const pl_data_source source = {.path = path};
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *const dataset = data_open(&options);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    fputs("{\"more\": 1}\n", file);
    fflush(file);
    pali_error err = {0};
    char *row = row_text(dataset, 99, &err);
    assert_non_null(row);
    free(row);
    assert_int_equal(fseek(file, 3, SEEK_SET), 0);
    fputc('x', file);
    fflush(file);
    assert_null(row_text(dataset, 0, &err));
    assert_int_equal(err.status, PALI_FAILED);
    assert_non_null(strstr(err.message, "changing:1: the row has changed"));
    assert_int_equal(ftruncate(fileno(file), 200), 0);
    err = (pali_error){0};
    assert_null(row_text(dataset, 99, &err));
    assert_int_equal(err.status, PALI_FAILED);
    assert_non_null(strstr(err.message, "changing:100: the file has become shorter"));
    fclose(file);
    pl_dataset_free(dataset);
}

/* Between two runs: the same file elsewhere will do, another one will not. */
static void a_file_that_changes_between_runs(void **state)
{
    (void)state;
    pl_data_source source = {.path = data_rows("between", 20)};
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *dataset = data_open(&options);
    char *const identity = pl_dataset_identity(dataset, NULL);
    assert_non_null(identity);
    assert_int_equal(pl_dataset_check(dataset, identity, NULL), PALI_OK);
    pl_dataset_free(dataset);

    source.path = data_copy(data_path("between"), "moved");
    dataset = data_open(&options);
    assert_int_equal(pl_dataset_check(dataset, identity, NULL), PALI_OK);
    pali_error err = {0};
    assert_int_equal(pl_dataset_check(dataset, "[]", &err), PALI_INPUT);
    assert_int_equal(pl_dataset_check(dataset, "", &err), PALI_INPUT);
    assert_int_equal(pl_dataset_check(dataset, "[{}]", &err), PALI_INPUT);
    pl_dataset_free(dataset);

    source.path = data_rows("between", 19);
    dataset = data_open(&options);
    assert_int_equal(pl_dataset_check(dataset, identity, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "between: the file has changed since the run was saved: found 19 rows"));
    pl_dataset_free(dataset);
    free(identity);
}

static void refused(const pl_data_source *sources, size_t count, pali_status status, const char *message)
{
    const pl_data_options options = data_options(sources, count);
    pali_error err = {0};
    pl_dataset *const dataset = pl_dataset_open(&options, &err);
    assert_null(dataset);
    if (!strstr(err.message, message))
        fail_msg("found \"%s\", expected \"%s\"", err.message, message);
    assert_int_equal(err.status, status);
}

static void what_is_refused(void **state)
{
    (void)state;
    const char *const rows = data_rows("good", 3);
    refused(NULL, 0, PALI_USAGE, "data: found no source, expected one");
    refused(&(pl_data_source){0}, 1, PALI_USAGE, "a source has no path");
    refused(&(pl_data_source){.path = data_path("missing")}, 1, PALI_INPUT, "missing: cannot open: No such file");
    refused(&(pl_data_source){.path = "/tmp"}, 1, PALI_INPUT, "/tmp/annotations.jsonl: cannot open");
    refused(&(pl_data_source){.path = "/dev/null"}, 1, PALI_INPUT, "/dev/null: found a special file, expected a regular file");
    refused(&(pl_data_source){.path = data_write("blank", "\n \n")}, 1, PALI_INPUT, "blank: there are no rows");
    refused(&(pl_data_source){.path = rows, .skip = 3}, 1, PALI_INPUT, "good: found 3 rows, expected more than the 3 to be left out");
    refused(&(pl_data_source){.path = rows, .weight = -1}, 1, PALI_USAGE, "weight: found -1, expected a number from 0 on");
    refused(&(pl_data_source){.path = rows, .weight = 1, .repeat = 2}, 1, PALI_USAGE, "found both a weight and repeat");
    refused(&(pl_data_source){.path = rows, .repeat = 2000000}, 1, PALI_USAGE, "repeat: found 2000000, expected at most 1000000");
    refused((pl_data_source[]){{.path = rows, .weight = 1}, {.path = rows}}, 2, PALI_USAGE, "good: found no weight, expected one, as other sources have weights");
    refused(&(pl_data_source){.path = rows, .prefix = "answer {question"}, 1, PALI_USAGE, "prefix: \"answer {question\": found a '{' alone at character 8, expected {field}, or {{ for a brace");
    refused(&(pl_data_source){.path = rows, .suffix = "a } b"}, 1, PALI_USAGE, "suffix: \"a } b\": found a '}' alone at character 3");
}

/* A folder stands for its annotations, as the community's data sets have them. */
static void a_folder_of_annotations(void **state)
{
    (void)state;
    data_rows("annotations.jsonl", 4);
    char folder[256];
    snprintf(folder, sizeof folder, "%s", data_path(""));
    folder[strlen(folder) - 1] = '\0';
    const pl_data_source source = {.path = folder};
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *const dataset = data_open(&options);
    assert_int_equal(pl_dataset_rows(dataset, 0), 4);
    assert_string_equal(pl_dataset_folder(dataset, 0), folder);
    pl_dataset_free(dataset);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_visits_each_row), cmocka_unit_test(order_follows_from_the_seed), cmocka_unit_test(weights_are_shares),
        cmocka_unit_test(answers_without_replacement), cmocka_unit_test(lines_are_found), cmocka_unit_test(a_file_that_changes_while_it_is_read),
        cmocka_unit_test(a_file_that_changes_between_runs), cmocka_unit_test(what_is_refused), cmocka_unit_test(a_folder_of_annotations),
    };
    return cmocka_run_group_tests_name("dataset", tests, data_begin, data_end);
}
