/*
 * The log: events are byte for byte those of the tensorboard package
 * (make_events_golden.py); both files go on after the step resumed from.
 */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/checksum.h"
#include "base/file.h"
#include "base/folder.h"
#include "train/log.h"

static char out[64];

static int begin(void **state)
{
    (void)state;
    snprintf(out, sizeof out, "/tmp/pali-log-XXXXXX");
    return mkdtemp(out) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return pl_folder_remove(out);
}

static const pl_log_column columns[] = {
    {.name = "loss", .tag = "train/loss", .chart = "Loss"},
    {.name = "lr", .tag = "train/lr", .chart = "Learning rate"},
    {.name = "held_out", .tag = "held-out/loss", .chart = "Loss"},
    {.name = "examples"},
};
enum { COLUMNS = 4 };

static void expect_ok(pali_status status, const pali_error *err)
{
    if (status != PALI_OK)
        fail_msg("%s: %s", pali_status_text(status), err->message);
}

static void open_log(pl_log *log, bool resume, uint64_t step)
{
    pali_error err = {0};
    expect_ok(pl_log_open(log, out, columns, COLUMNS, resume, step, &err), &err);
}

static void put(pl_log *log, uint64_t step, double loss, double lr, double held_out, double wall)
{
    pali_error err = {0};
    expect_ok(pl_log_row(log, step, (const double[]){loss, lr, held_out, (double)step * 32}, wall, &err), &err);
}

/* The bytes of a file in the folder; the caller frees them. */
static char *read_out(const char *name, size_t *size)
{
    char path[128];
    pali_error err = {0};
    snprintf(path, sizeof path, "%s/%s", out, name);
    char *const bytes = pl_file_read(path, 1 << 20, size, PALI_INPUT, &err);
    if (!bytes)
        fail_msg("%s", err.message);
    return bytes;
}

static void expect_text(const char *name, const char *expected)
{
    size_t size;
    char *const text = read_out(name, &size);
    assert_string_equal(text, expected);
    free(text);
}

static const char events_name[] = "tensorboard/events.out.tfevents.pali";

static void test_checksum(void **state)
{
    (void)state;
    static const unsigned char zeros[32];
    assert_int_equal(pl_crc32c(0, "123456789", 9), 0xe3069283); /* RFC 3720, B.4, and the usual check */
    assert_int_equal(pl_crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(pl_crc32c_by_tables(0, "123456789", 9), 0xe3069283);
    for (size_t size = 0; size < 32; size++) /* both ways, any remainder */
        assert_int_equal(pl_crc32c(7, "0123456789abcdefghijklmnopqrstuvwxyz", size), pl_crc32c_by_tables(7, "0123456789abcdefghijklmnopqrstuvwxyz", size));
    for (size_t cut = 0; cut <= 9; cut++)
        assert_int_equal(pl_crc32c(pl_crc32c(0, "123456789", cut), &"123456789"[cut], 9 - cut), 0xe3069283);
}

static void test_golden(void **state)
{
    (void)state;
    pl_log log;
    size_t size, expected_size;
    pali_error err = {0};
    open_log(&log, false, 0);
    put(&log, 1, 12.457442, 0, NAN, 1700000000.25);
    put(&log, 200, 1.5, 1e-5, 2.25, 1700000001.5);
    put(&log, 70000, NAN, 3e-6, NAN, 1700000002);
    expect_ok(pl_log_sync(&log, &err), &err);
    pl_log_close(&log);
    char *const bytes = read_out(events_name, &size), *const expected = pl_file_read("tests/train/data/events.golden", 1 << 20, &expected_size, PALI_INPUT, &err);
    assert_non_null(expected);
    assert_int_equal(size, expected_size);
    assert_memory_equal(bytes, expected, size);
    free(expected);
    free(bytes);
    expect_text("metrics.csv", "step,loss,lr,held_out,examples\n1,12.457442,0,,32\n200,1.5,1e-05,2.25,6400\n70000,,3e-06,,2240000\n");
    pl_log_table table;
    char path[128];
    snprintf(path, sizeof path, "%s/metrics.csv", out);
    expect_ok(pl_log_read(path, &table, &err), &err);
    assert_int_equal(table.rows, 3);
    assert_int_equal(table.columns, 5);
    assert_string_equal(table.names[3], "held_out");
    assert_true(table.values[5 + 3] == 2.25 && isnan(table.values[3]) && table.values[10] == 70000);
    pl_log_table_free(&table);
}

/* What came after the step goes, with what a kill has torn; the rest is the same bytes, and an uninterrupted run's. */
static void test_resume(void **state)
{
    (void)state;
    pl_log log;
    size_t size, whole_size;
    open_log(&log, false, 0);
    for (uint64_t step = 1; step <= 6; step++)
        put(&log, step, 1.0 / (double)step, 1e-5, NAN, (double)step);
    pl_log_close(&log);
    char *const whole = read_out(events_name, &whole_size), *const rows = read_out("metrics.csv", &size);
    for (int torn = 0; torn < 2; torn++) {
        for (uint64_t back = 0; back <= 6; back++) {
            char path[128];
            struct stat info;
            for (int file = 0; torn && file < 2; file++) { /* half a row more */
                snprintf(path, sizeof path, "%s/%s", out, file ? events_name : "metrics.csv");
                assert_int_equal(stat(path, &info), 0);
                assert_int_equal(truncate(path, info.st_size - 3), 0);
            }
            const uint64_t from = torn && back > 5 ? 5 : back;
            open_log(&log, true, from);
            for (uint64_t step = from + 1; step <= 6; step++)
                put(&log, step, 1.0 / (double)step, 1e-5, NAN, (double)step);
            pl_log_close(&log);
            expect_text("metrics.csv", rows);
            char *const now = read_out(events_name, &size);
            assert_int_equal(size, whole_size);
            assert_memory_equal(now, whole, size);
            free(now);
        }
    }
    free(whole);
    free(rows);
}

static void test_other_columns(void **state)
{
    (void)state;
    pl_log log;
    pali_error err = {0};
    open_log(&log, false, 0);
    put(&log, 1, 1, 1, 1, 1);
    pl_log_close(&log);
    expect_ok(pl_log_open(&log, out, columns, 1, true, 5, &err), &err);
    expect_ok(pl_log_row(&log, 6, (const double[]){0.1}, 2, &err), &err);
    pl_log_close(&log);
    expect_text("metrics.csv", "step,loss\n6,0.1\n");
    expect_text("metrics.csv.old", "step,loss,lr,held_out,examples\n1,1,1,1,32\n");
    open_log(&log, false, 0); /* anew */
    pl_log_close(&log);
    expect_text("metrics.csv", "step,loss,lr,held_out,examples\n");
}

/* A row is there whole or not at all. */
static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit before;
    pl_log log;
    pali_error err = {0};
    open_log(&log, false, 0);
    put(&log, 1, 1, 1, 1, 1);
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){50, before.rlim_max});
    const pali_status status = pl_log_row(&log, 2, (const double[]){1.23456, 1, 1, 1}, 1, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, PALI_FAILED);
    expect_text("metrics.csv", "step,loss,lr,held_out,examples\n1,1,1,1,32\n");
    put(&log, 2, INFINITY, 1, 1, 1);
    pl_log_close(&log);
    expect_text("metrics.csv", "step,loss,lr,held_out,examples\n1,1,1,1,32\n2,inf,1,1,64\n");
}

static void test_bad_table(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {{"", "no line of names"}, {"step,loss", "no line of names"}, {"step,loss\n1,2,3\n", ":2: found a row"}, {"step,loss\n1,2\nx\n", ":3: found a row"}, {"step,loss\n1,2x\n", ":2: "}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[128];
        pl_log_table table;
        pali_error err = {0};
        snprintf(path, sizeof path, "%s/bad.csv", out);
        expect_ok(pl_file_write(path, bad[i].text, strlen(bad[i].text), &err), &err);
        assert_int_equal(pl_log_read(path, &table, &err), PALI_FAILED);
        if (!strstr(err.message, bad[i].message))
            fail_msg("%s", err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum),      cmocka_unit_test(test_golden),    cmocka_unit_test(test_resume),
        cmocka_unit_test(test_other_columns), cmocka_unit_test(test_full_disk), cmocka_unit_test(test_bad_table),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
