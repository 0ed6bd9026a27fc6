/* Examples read ahead: in order for any number of threads, from any place on, past bad rows; and the cache of features under them. */
#include "data_support.h"

#include "base/file.h"
#include "base/text.h"
#include "train/loader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* 60 rows: two pictures in turn, each seventh row without its picture, one that is no JSON. */
static const char *mixed_rows(void)
{
    data_copy("tests/data/tiny/a.png", "a.png");
    data_copy("tests/data/tiny/b.png", "b.png");
    pl_buffer text = {0};
    for (size_t i = 0; i < 60; i++) {
        const char *const picture = i % 7 == 3 ? "none" : i % 2 ? "a" : "b";
        char line[200];
        if (i == 40)
            snprintf(line, sizeof line, "{\"image\": \"a.png\", 3}\n");
        else
            snprintf(line, sizeof line, "{\"image\": \"%s.png\", \"prefix\": \"caption en\", \"suffix\": [\"red %zu\", \"blue %zu\"]}\n", picture, i, i);
        assert_int_equal(pl_buffer_append(&text, line, strlen(line), NULL), PALI_OK);
    }
    const char *const path = data_write("mixed.jsonl", text.data);
    free(text.data);
    return path;
}

/* What an example is, as one number. */
static uint64_t digest(const pl_example *example)
{
    const uint64_t words[] = {example->place.n, example->place.row, example->alternative, example->image_count, pl_hash(example->ids, example->count * sizeof *example->ids),
                              pl_hash(example->images[0].pixels, 3 * 28 * 28 * sizeof(float))};
    return pl_hash(words, sizeof words);
}

typedef struct heard {
    size_t count, rows[64];
    char last[512];
} heard;

static void on_bad(void *context, pl_place place, const pali_error *why)
{
    heard *const h = context;
    assert_true(h->count < 64);
    h->rows[h->count++] = place.row;
    snprintf(h->last, sizeof h->last, "%s", why->message);
}

/* The digests of all examples from `first` to `end`; returns their number, and the places after each. */
static size_t collect(const pl_dataset *dataset, pl_loader_options options, uint64_t digests[256], uint64_t places[256], heard *h)
{
    *h = (heard){0};
    options.on_bad = on_bad;
    options.on_bad_context = h;
    pali_error err = {0};
    pl_loader *const loader = pl_loader_new(dataset, &options, &err);
    assert_non_null(loader);
    size_t count = 0;
    for (;;) {
        pl_example *example;
        if (pl_loader_next(loader, &example, &err) != PALI_OK)
            fail_msg("%s", err.message);
        if (!example)
            break;
        assert_true(count < 256);
        digests[count] = digest(example);
        places[count++] = pl_loader_position(loader);
        pl_example_free(example);
    }
    assert_int_equal(pl_loader_skipped(loader), h->count);
    assert_int_equal(pl_loader_position(loader), options.end);
    assert_true(pl_loader_waited(loader) >= 0);
    pl_loader_free(loader);
    return count;
}

static void order_does_not_depend_on_threads(void **state)
{
    (void)state;
    const pl_data_source source = {.path = mixed_rows()};
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *const dataset = data_open(&options);
    static uint64_t expected[256], digests[256], places[256], after[256];
    heard first, h;
    const size_t count = collect(dataset, (pl_loader_options){.end = 150}, expected, places, &first);
    assert_int_equal(first.count + count, 150);
    assert_true(first.count >= 20 && first.count <= 26); /* of 60 rows 10 are bad: 9 without a picture, one no JSON */
    for (size_t workers = 1; workers <= 4; workers++)
        for (size_t ahead = 1; ahead <= 9; ahead += 4) {
            assert_int_equal(collect(dataset, (pl_loader_options){.end = 150, .workers = workers, .ahead = ahead, .bytes = ahead == 5 ? 1 : 0}, digests, after, &h), count);
            assert_memory_equal(digests, expected, count * sizeof *digests);
            assert_memory_equal(after, places, count * sizeof *after);
            assert_int_equal(h.count, first.count);
            assert_memory_equal(h.rows, first.rows, sizeof h.rows);
        }
    /* From where any example left the run, and in parts. */
    for (size_t i = 0; i < count; i += 1 + i % 3) {
        assert_int_equal(collect(dataset, (pl_loader_options){.first = places[i], .end = 150, .workers = i % 4}, digests, after, &h), count - i - 1);
        assert_memory_equal(digests, expected + i + 1, (count - i - 1) * sizeof *digests);
    }
    pl_dataset_free(dataset);
}

static void bad_rows_are_passed_over_or_stop(void **state)
{
    (void)state;
    const pl_data_source source = {.path = mixed_rows()};
    pl_data_options options = data_options(&source, 1);
    options.ordered = true;
    pl_dataset *const dataset = data_open(&options);
    static uint64_t digests[256], places[256];
    heard h;
    assert_int_equal(collect(dataset, (pl_loader_options){.end = 60, .workers = 2}, digests, places, &h), 50);
    assert_int_equal(h.count, 10);
    static const size_t bad[] = {3, 10, 17, 24, 31, 38, 40, 45, 52, 59};
    assert_memory_equal(h.rows, bad, sizeof bad);
    assert_non_null(strstr(h.last, "mixed.jsonl:60: "));
    assert_non_null(strstr(h.last, "none.png: cannot open"));

    pali_error err = {0};
    pl_loader *const loader = pl_loader_new(dataset, &(pl_loader_options){.workers = 2, .stop_on_bad = true}, &err);
    pl_example *example;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pl_loader_next(loader, &example, &err), PALI_OK);
        pl_example_free(example);
    }
    assert_int_equal(pl_loader_next(loader, &example, &err), PALI_INPUT);
    assert_null(example);
    assert_non_null(strstr(err.message, "mixed.jsonl:4: "));
    pl_loader_free(loader); /* with others on their way */
    pl_dataset_free(dataset);
}

/* A run without an end ends all the same when no row is good. */
static void nothing_but_bad_rows(void **state)
{
    (void)state;
    const pl_data_source source = {.path = data_write("bad.jsonl", "{}\n[]\n3\n")};
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *const dataset = data_open(&options);
    pali_error err = {0};
    pl_loader *const loader = pl_loader_new(dataset, &(pl_loader_options){.workers = 1}, &err);
    pl_example *example;
    assert_int_equal(pl_loader_next(loader, &example, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "none of 3 rows can be used; the last: "));
    assert_int_equal(pl_loader_skipped(loader), 3);
    pl_loader_free(loader);
    pl_dataset_free(dataset);
}

/* A file that is cut under the loader ends the run, also where bad rows are passed over. */
static void a_file_that_is_cut_ends_the_run(void **state)
{
    (void)state;
    const char *const path = mixed_rows();
    const pl_data_source source = {.path = path};
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *const dataset = data_open(&options);
    assert_int_equal(truncate(path, 10), 0);
    pali_error err = {0};
    pl_loader *const loader = pl_loader_new(dataset, &(pl_loader_options){.workers = 3}, &err);
    pl_example *example;
    assert_int_equal(pl_loader_next(loader, &example, &err), PALI_FAILED);
    assert_non_null(strstr(err.message, "the file has become shorter"));
    pl_loader_free(loader);
    pl_dataset_free(dataset);
}

/* Freed at any moment: nothing hangs, nothing is left (asan, tsan). */
static void freed_at_any_moment(void **state)
{
    (void)state;
    const pl_data_source source = {.path = mixed_rows()};
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *const dataset = data_open(&options);
    for (size_t i = 0; i < 40; i++) {
        pl_loader *const loader = pl_loader_new(dataset, &(pl_loader_options){.first = i, .workers = i % 5, .ahead = 1 + i % 7}, NULL);
        assert_non_null(loader);
        for (size_t taken = 0; taken < i % 3; taken++) {
            pl_example *example;
            assert_int_equal(pl_loader_next(loader, &example, NULL), PALI_OK);
            pl_example_free(example);
        }
        if (i % 4 == 0)
            usleep(300);
        pl_loader_free(loader);
    }
    pl_loader_free(NULL);
    pl_dataset_free(dataset);
}

/* With features in the cache pictures are not decoded, and boxes are where they were. */
static void features_from_the_cache(void **state)
{
    (void)state;
    data_copy("tests/data/tiny/a.png", "a.png");
    data_copy("tests/data/tiny/b.png", "b.png");
    const pl_data_source source = {.path = data_write("cached.jsonl", "{\"image\": [\"a.png\", \"b.png\"], \"prefix\": \"detect x\", \"box\": [1, 1, 5, 4]}\n")};
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *const dataset = data_open(&options);
    pl_feature_cache *const cache = pl_feature_cache_open(&(pl_feature_options){.folder = data_path("features"), .model = 1, .tokens = 4, .width = 8}, NULL);
    assert_non_null(cache);
    pl_example *const cold = pl_example_read(dataset, pl_dataset_place(dataset, 0), cache, true, NULL);
    assert_non_null(cold);
    assert_non_null(cold->images[0].pixels);
    assert_null(cold->images[0].features);
    float rows[32];
    for (size_t i = 0; i < 32; i++)
        rows[i] = (float)i / 7;
    assert_int_equal(pl_feature_cache_put(cache, &cold->images[0].picture, rows, NULL), PALI_OK);
    pl_example *const warm = pl_example_read(dataset, pl_dataset_place(dataset, 0), cache, true, NULL);
    assert_non_null(warm);
    assert_null(warm->images[0].pixels);
    assert_memory_equal(warm->images[0].features, rows, sizeof rows);
    assert_non_null(warm->images[1].pixels);
    assert_int_equal(warm->bytes, sizeof rows + 3 * 28 * 28 * sizeof(float));
    assert_string_equal(warm->suffix, cold->suffix);
    assert_memory_equal(warm->ids, cold->ids, cold->count * sizeof *cold->ids);
    pl_example_free(cold);
    pl_example_free(warm);
    pl_feature_cache_free(cache);
    pl_dataset_free(dataset);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_does_not_depend_on_threads), cmocka_unit_test(bad_rows_are_passed_over_or_stop), cmocka_unit_test(nothing_but_bad_rows),
        cmocka_unit_test(a_file_that_is_cut_ends_the_run), cmocka_unit_test(freed_at_any_moment), cmocka_unit_test(features_from_the_cache),
    };
    return cmocka_run_group_tests_name("loader", tests, data_begin, data_end);
}
