/*
 * Memory that runs out anywhere while a snapshot is saved, found and read, a
 * row logged, a report or an adapter written: an error, nothing left behind,
 * and a folder in which the next run finds something whole.
 */
#include "exhaust.h"
#include "base/folder.h"
#include "model/random.h"
#include "train/report.h"
#include "train/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char out[64], path[96], metrics[96];
static float values[6] = {1, 2, 3, 4, 5, 6};
static const pl_state_tensor tensors[] = {{"a", values, 2, 2}, {"b", &values[4], 2, 1}};
static json_t *notes;

static int begin(void **state)
{
    (void)state;
    count_jansson();
    snprintf(out, sizeof out, "/tmp/pali-exhaust-XXXXXX");
    notes = json_pack("{s:s}", "recipe", "x");
    return mkdtemp(out) && notes ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    json_decref(notes);
    return pl_folder_remove(out);
}

static pali_status save_and_find(const void *context, pali_error *err)
{
    (void)context;
    static uint64_t step = 2; /* few, as what cannot be removed for want of memory stays until the next */
    pl_run_folder folder = {.lock = -1};
    pl_found_snapshot found = {0};
    const pl_snapshot snapshot = {.step = step ^= 1, .tensors = tensors, .count = 2, .notes = notes, .keep = 1};
    pali_error own = {0};
    pali_status status = pl_run_folder_open(&folder, out, &own);
    if (status == PALI_OK)
        status = pl_snapshot_save(&folder, &snapshot, NULL, &own);
    const pali_status saved = status;
    if (status == PALI_OK)
        status = pl_snapshot_find(out, &found, &own);
    const bool right = status != PALI_OK || (found.path && found.refused == 0 && found.step >= step);
    if (status == PALI_OK)
        status = pl_snapshot_read(&found, tensors, 2, &own);
    pl_found_snapshot_close(&found);
    pl_run_folder_close(&folder);
    if (saved != PALI_OK) { /* with its memory back, there is a whole one */
        status = pl_snapshot_find(out, &found, NULL) == PALI_OK && found.refused == 0 ? saved : PALI_FAILED;
        pl_found_snapshot_close(&found);
    }
    /* what it does beyond its duty, such as counting bytes, may go without memory */
    return right && (status == PALI_OK || status == PALI_MEMORY) ? pl_fail_memory(err, "as expected", 0) : pl_fail(err, PALI_FAILED, "%s", own.message);
}

static const pl_log_column columns[] = {{.name = "loss", .tag = "loss", .chart = "Loss"}, {.name = "lr", .tag = "lr", .chart = "Rate"}};

static pali_status log_and_report(const void *context, pali_error *err)
{
    (void)context;
    pl_log log;
    const pl_image picture = {.width = 2, .height = 1, .rgb = (unsigned char[]){1, 2, 3, 4, 5, 6}};
    const pl_report_sample sample = {.prefix = "a", .expected = "b", .answer = "c", .picture = &picture};
    const pl_report report = {.title = "t", .columns = columns, .column_count = 2, .metrics = metrics, .samples = &sample, .sample_count = 1, .recipe = "r"};
    pali_status status = pl_log_open(&log, out, columns, 2, true, 1, err);
    if (status == PALI_OK)
        status = pl_log_row(&log, 1, (const double[]){1, 2}, 3, err);
    if (status == PALI_OK)
        status = pl_log_row(&log, 2, (const double[]){1, 2}, 3, err);
    pl_log_close(&log);
    return status == PALI_OK ? pl_report_write(&report, path, err) : status;
}

static pali_status save_adapter(const void *context, pali_error *err)
{
    const pl_paligemma *const model = context;
    const pl_whole_module whole = {&pl_weights[0], 0};
    return pl_paligemma_save_adapter(model, path, &(pl_adapter_save_options){.base = "nano", .force = true, .whole = &whole, .whole_count = 1}, NULL, err);
}

static void test_snapshots(void **state)
{
    (void)state;
    exhaust("snapshot", save_and_find, NULL, PALI_MEMORY);
}

static void test_reports(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/report.html", out);
    snprintf(metrics, sizeof metrics, "%s/metrics.csv", out);
    exhaust("report", log_and_report, NULL, PALI_OK);
}

static void test_adapters(void **state)
{
    (void)state;
    static const float ones[64 * 2];
    const pl_config config = {.vision = {.image_size = 28, .patch = 14, .width = 16, .layers = 1, .heads = 2, .mlp = 24, .eps = 1e-6f},
                              .text = {.width = 16, .layers = 1, .heads = 2, .kv_heads = 1, .head_dim = 8, .mlp = 24, .vocabulary = 40, .eps = 1e-6f, .norm_offset = 1}};
    pl_paligemma *const model = pl_paligemma_random(&config, PL_BF16, NULL, NULL);
    assert_non_null(model);
    const pl_low_rank pair = {.a = ones, .b = ones, .rank = 2, .scale = 1}, other = {.a = ones, .b = ones, .rank = 1, .scale = 1};
    model->gemma.layers[0].q.adapters = &pair;
    model->gemma.layers[0].up.adapters = &other;
    snprintf(path, sizeof path, "%s/adapter", out);
    exhaust("adapter", save_adapter, model, PALI_OK);
    model->gemma.layers[0].q.adapters = model->gemma.layers[0].up.adapters = NULL;
    pl_paligemma_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_snapshots), cmocka_unit_test(test_reports), cmocka_unit_test(test_adapters)};
    return cmocka_run_group_tests(tests, begin, end);
}
