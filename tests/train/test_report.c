/*
 * The report: nothing that comes from outside can become markup, tags close in
 * order, curves stay within their chart, and a page is replaced whole or not.
 */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/folder.h"
#include "train/report.h"
#include "train/report_chart.h"

static char out[64], page[96], metrics[96];

static int begin(void **state)
{
    (void)state;
    snprintf(out, sizeof out, "/tmp/pali-report-XXXXXX");
    if (!mkdtemp(out))
        return -1;
    snprintf(page, sizeof page, "%s/report.html", out);
    snprintf(metrics, sizeof metrics, "%s/metrics.csv", out);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return pl_folder_remove(out);
}

static void expect_ok(pali_status status, const pali_error *err)
{
    if (status != PALI_OK)
        fail_msg("%s: %s", pali_status_text(status), err->message);
}

static const pl_log_column columns[] = {
    {.name = "loss", .chart = "Loss", .log_scale = true},
    {.name = "lr", .chart = "Learning rate"},
    {.name = "held_out", .chart = "Loss"},
    {.name = "examples"},
    {.name = "flat", .chart = "Flat"},
    {.name = "empty", .chart = "Never"},
};
enum { COLUMNS = 6, SIDE = 400 };

static void make_metrics(size_t rows)
{
    pali_error err = {0};
    pl_log log;
    expect_ok(pl_log_open(&log, out, columns, COLUMNS, false, 0, &err), &err);
    for (size_t i = 0; i < rows; i++) {
        const double t = (double)i / (double)(rows + 1);
        const double values[COLUMNS] = {i == 5 ? INFINITY : 3 * exp(-4 * t) + 0.05 + 0.1 * (double)(i * 7919 % 13) / 13, 1e-4 * cos(1.57 * t), i % 50 == 49 ? 3 * exp(-3 * t) : NAN,
                                        (double)i * 32, 7, NAN};
        expect_ok(pl_log_row(&log, i + 1, values, 0, &err), &err);
    }
    pl_log_close(&log);
}

static char *write_page(const pl_report *report)
{
    pali_error err = {0};
    size_t size;
    expect_ok(pl_report_write(report, page, &err), &err);
    char *const html = pl_file_read(page, 1 << 24, &size, PALI_INPUT, &err);
    assert_non_null(html);
    assert_int_equal(strlen(html), size);
    return html;
}

/* Every tag is closed, the last opened first; returns how many there were. */
static size_t check_tags(const char *html)
{
    char open[64][16];
    size_t depth = 0, count = 0;
    for (const char *at = strchr(html, '<'); at; at = strchr(at + 1, '<'), count++) {
        char name[16];
        const bool closing = at[1] == '/';
        const char *const from = at + 1 + closing, *const close = strchr(at, '>');
        size_t length = 0;
        assert_non_null(close);
        while (length < 15 && (isalnum((unsigned char)from[length]) || from[length] == '!'))
            length++;
        memcpy(name, from, length);
        name[length] = '\0';
        if (close[-1] == '/' || strcmp(name, "meta") == 0 || strcmp(name, "img") == 0 || name[0] == '!')
            continue;
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], name);
        } else {
            assert_true(depth < 64);
            memcpy(open[depth++], name, sizeof name);
        }
    }
    assert_int_equal(depth, 0);
    return count;
}

static size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

static void test_page(void **state)
{
    (void)state;
    unsigned char *const rgb = malloc(SIDE * SIDE * 3);
    for (size_t i = 0; i < SIDE * SIDE * 3; i++)
        rgb[i] = (unsigned char)(i / 3 % SIDE);
    const pl_image picture = {.width = SIDE, .height = SIDE, .rgb = rgb};
    const pl_report_fact facts[] = {{"Model", "nano"}, {"Rows", "1,024"}};
    const pl_report_sample samples[] = {{.prefix = "caption en", .expected = "a cat", .answer = "a dog", .picture = &picture}, {.prefix = "count", .expected = "2", .answer = "2", .score = "1"}};
    const pl_report_snapshot snapshots[] = {{"checkpoint-50", 50, 1.25, false, true}, {"checkpoint-99", 99, NAN, true, false}};
    make_metrics(1500);
    const pl_report report = {.title = "nano on shapes", .state = "running", .facts = facts, .fact_count = 2, .columns = columns, .column_count = COLUMNS, .metrics = metrics,
                              .samples = samples, .sample_count = 2, .samples_step = 99, .snapshots = snapshots, .snapshot_count = 2, .recipe = "model: nano\nlr: 1e-5\n"};
    char *const html = write_page(&report);
    assert_true(check_tags(html) > 100);
    assert_int_equal(occurrences(html, "<svg "), 4); /* loss with held-out, rate, flat; nothing for what never was; and the picture */
    assert_int_equal(occurrences(html, "data:image/jpeg;base64,/9j/"), 1);
    assert_int_equal(occurrences(html, "http"), 1); /* http-equiv: nothing is fetched */
    assert_int_equal(occurrences(html, "<script"), 0);
    assert_non_null(strstr(html, "<td>checkpoint-50</td><td class=\"n\">50</td><td class=\"n\">1.25</td><td>best</td>"));
    assert_non_null(strstr(html, "<dd>a dog</dd>"));
    assert_non_null(strstr(html, "model: nano\nlr: 1e-5\n</pre>"));
    assert_true(strlen(html) < 200000);
    if (getenv("PALI_KEEP_REPORT")) { /* to be looked at */
        pali_error err = {0};
        expect_ok(pl_report_write(&report, getenv("PALI_KEEP_REPORT"), &err), &err);
    }
    free(html);
    free(rgb);
}

/* Numbers of a line stay in the viewBox, whatever the values are. */
static void test_charts(void **state)
{
    (void)state;
    static const double cases[][4] = {{1, 1, 1, 1},          {NAN, 5, NAN, NAN},   {-1e-9, 1e9, 0, 3},        {1e-300, 1e300, 1, 1}, {0, 0, 0, 0},
                                      {-5, -4, -3, INFINITY}, {1e-5, 1e-4, 1e-3, 1}, {1000000, 1000001, 1000002, 1000003}};
    static const double steps[] = {1, 2, 3, 100000};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int is_log = 0; is_log < 2; is_log++) {
            pl_buffer html = {0};
            pali_error err = {0};
            const pl_curve curve = {"value", cases[i]};
            expect_ok(pl_chart_append(&(pl_chart){.title = "a", .steps = steps, .count = 4, .stride = 1, .curves = &curve, .curve_count = 1, .log_scale = is_log}, &html, &err), &err);
            assert_true(check_tags(html.data) > 8);
            assert_null(strstr(html.data, "nan"));
            assert_null(strstr(html.data, "inf"));
            assert_true(occurrences(html.data, "class=\"grid\"") >= 2 && occurrences(html.data, "class=\"grid\"") < 12);
            for (const char *at = strstr(html.data, "cx=\""); at; at = strstr(at + 1, "cx=\"")) {
                double x, y;
                assert_int_equal(sscanf(at, "cx=\"%lf\" cy=\"%lf\"", &x, &y), 2);
                assert_true(x >= 0 && x <= 640 && y >= 0 && y <= 240);
            }
            free(html.data);
        }
}

static void test_escapes(void **state)
{
    (void)state;
    static const char evil[] = "</pre></dd><script>alert(1)</script>\" onerror=\"x' \x01\x80 <loc0001> \xf0\x9f\x90\xb1";
    const pl_image picture = {.width = 1, .height = 1, .rgb = (unsigned char[]){1, 2, 3}};
    const pl_report_fact fact = {evil, evil};
    const pl_report_sample sample = {.prefix = evil, .expected = evil, .answer = evil, .score = evil, .picture = &picture};
    const pl_report_snapshot snapshot = {.name = evil};
    const pl_log_column column = {.name = "loss", .chart = evil};
    make_metrics(3);
    const pl_report report = {.title = evil, .state = evil, .facts = &fact, .fact_count = 1, .columns = &column, .column_count = 1, .metrics = metrics, .samples = &sample,
                              .sample_count = 1, .snapshots = &snapshot, .snapshot_count = 1, .recipe = evil};
    char *const html = write_page(&report);
    check_tags(html);
    assert_int_equal(occurrences(html, "<script"), 0);
    assert_int_equal(occurrences(html, "\" onerror"), 0);
    assert_int_equal(occurrences(html, "&#60;script&#62;alert(1)"), 13); /* title twice; a picture's text; each other field once */
    assert_int_equal(occurrences(html, "&#60;loc0001&#62; \xf0\x9f\x90\xb1"), 13);
    assert_int_equal(occurrences(html, "\xef\xbf\xbd\xef\xbf\xbd"), 13);
    assert_null(strchr(html, '\x01'));
    free(html);
}

/* A quarter and a half of a picture of 1023 by 2046, shown at 160 by 320; a box without area is not drawn. */
static void test_boxes(void **state)
{
    (void)state;
    unsigned char *const pixels = calloc(1023 * 2046, 3);
    const pl_image picture = {.width = 1023, .height = 2046, .rgb = pixels};
    const pl_report_sample sample = {.prefix = "detect cat", .expected = "<loc0000><loc0000><loc0512><loc1023> cat", .answer = "<loc0000><loc0512><loc0512><loc1023> cat ; <loc0009><loc0009><loc0009><loc0009> cat",
                                     .picture = &picture};
    const pl_report report = {.samples = &sample, .sample_count = 1};
    char *const html = write_page(&report);
    check_tags(html);
    assert_int_equal(occurrences(html, "<rect"), 2);
    assert_non_null(strstr(html, "viewBox=\"0 0 160 320\""));
    assert_non_null(strstr(html, "<rect class=\"box c2\" x=\"0.0\" y=\"0.0\" width=\"160.0\" height=\"160.2\"/>"));
    assert_non_null(strstr(html, "<rect class=\"box c1\" x=\"80.1\" y=\"0.0\" width=\"79.9\" height=\"160.2\"/>"));
    free(html);
    free(pixels);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit before;
    pali_error err = {0};
    char *const html = write_page(&(pl_report){.title = "first"});
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, before.rlim_max});
    const pali_status status = pl_report_write(&(pl_report){.title = "second"}, page, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, PALI_FAILED);
    size_t size;
    char *const now = pl_file_read(page, 1 << 24, &size, PALI_INPUT, &err);
    assert_string_equal(now, html);
    free(now);
    free(html);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_page), cmocka_unit_test(test_charts), cmocka_unit_test(test_escapes), cmocka_unit_test(test_boxes), cmocka_unit_test(test_full_disk)};
    return cmocka_run_group_tests(tests, begin, end);
}
