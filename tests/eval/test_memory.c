/* Memory that runs out while metrics are gathered, and while a calibration is read and fitted. */
#include "eval/boxes.h"
#include "eval/masks.h"
#include "eval/reliability.h"
#include "eval/truth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "exhaust.h"

#define A "<loc0000><loc0000><loc1023><loc0512>"

static pali_object object(const char *label, double confidence)
{
    return (pali_object){.label = label, .bins = {0, 0, 1023, 512}, .box = {0, 0, 1, 0.5}, .confidence = confidence};
}

/* A row's truth from polygons, its boxes and masks scored, its samples kept. */
static pali_status score_row(const void *context, pali_error *err)
{
    const pl_eval_row *const row = context;
    const pl_mask_maker maker = {.width = 8, .height = 4};
    const pali_object objects[] = {object("dog", 0.25), object("cat", 0.75)};
    pl_truth truth = {0};
    pl_box_score boxes = {0};
    pl_mask_score masks = {0};
    pl_samples samples = {0};
    uint16_t hits[2];
    pali_status status = pl_truth_read(row, &maker, &truth, err);
    if (status == PALI_OK)
        status = pl_box_score_add(&boxes, &truth.objects, objects, 2, hits, err);
    if (status == PALI_OK) {
        const pl_mask_object expected = {.label = "cat", .box = truth.objects.items[0].box, .mask = &truth.masks[0]};
        const pl_mask_object found = {.label = "cat", .box = objects[1].box, .mask = &truth.masks[0], .confidence = 0.75};
        status = pl_mask_score_add(&masks, &expected, 1, &found, 1, hits, err);
    }
    for (size_t i = 0; status == PALI_OK && i < 2; i++)
        status = pl_samples_add(&samples, (pl_sample){.score = objects[i].confidence, .right = hits[0] & 1u}, err);
    double ap[PL_AP_THRESHOLDS];
    for (size_t i = 0; status == PALI_OK && i < boxes.ap.count; i++)
        status = pl_ap_of_label(&boxes.ap.labels[i], ap, err);
    free(samples.items);
    pl_mask_score_free(&masks);
    pl_box_score_free(&boxes);
    pl_truth_free(&truth);
    return status;
}

static void rows(void **state)
{
    (void)state;
    static const char *suffix = A " cat";
    json_t *const polygons = json_pack("[[i,i,i,i,i,i,i,i]]", 0, 0, 4, 0, 4, 4, 0, 4), *const runs = json_pack("{s:[i,i], s:[i,i,i]}", "size", 4, 8, "counts", 0, 16, 16);
    pl_eval_mask mask = {.json = polygons};
    const pl_eval_row row = {.suffixes = &suffix, .suffix_count = 1, .masks = &mask, .mask_count = 1};
    exhaust("polygons", score_row, &row, PALI_OK);
    mask.json = runs;
    exhaust("runs", score_row, &row, PALI_OK);
    json_decref(polygons);
    json_decref(runs);
}

static pali_status fit(const void *context, pali_error *err)
{
    (void)context;
    pl_samples samples = {0};
    pl_curve_point *points = NULL;
    size_t count;
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < 20; i++)
        status = pl_samples_add(&samples, (pl_sample){.score = (double)i / 20, .right = i % 3 == 0}, err);
    if (status == PALI_OK) {
        pl_samples_sort(&samples);
        status = pl_isotonic_fit(samples.items, samples.count, &points, &count, err);
    }
    free(points);
    free(samples.items);
    return status;
}

static pali_status read_curves(const void *context, pali_error *err)
{
    pali_calibration *const calibration = pl_calibration_open_memory(context, strlen(context), "c.json", err);
    const pali_status status = calibration ? PALI_OK : pl_status_of(err, PALI_FAILED);
    pl_calibration_free(calibration);
    return status;
}

static void curves(void **state)
{
    (void)state;
    exhaust("fit", fit, NULL, PALI_OK);
    exhaust("read", read_curves,
        "{\"pali_calibration\": 1, \"kind\": \"isotonic\", \"model\": {\"family\": \"a\"}, \"boxes\": {\"points\": [[0, 0], [1, 1]], \"labels\": {\"cat\": {\"points\": [[1, 1]]}}}}", PALI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows), cmocka_unit_test(curves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
