/* Memory that runs out while the mask codec is taught: an error, and nothing is left. */
#include "base/folder.h"
#include "exhaust.h"
#include "train/codec_trainer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/pali-codec-memory-XXXXXX", rows[64], out[64];

static int begin(void **state)
{
    (void)state;
    FILE *file = mkdtemp(folder) ? (snprintf(rows, sizeof rows, "%s/rows.jsonl", folder), fopen(rows, "w")) : NULL;
    if (!file)
        return -1;
    fputs("{\"width\": 9, \"height\": 9, \"mask\": [[1, 1, 7, 1, 7, 7]]}\n{\"mask\": {\"size\": [3, 3], \"counts\": [3, 4, 2]}, \"box\": [0, 0, 3, 2]}\n", file);
    snprintf(out, sizeof out, "%s/codec.npz", folder);
    return fclose(file);
}

static int end(void **state)
{
    (void)state;
    return pl_folder_remove(folder);
}

static pali_status teach(const void *context, pali_error *err)
{
    const pl_mask_source source = {.path = rows};
    pl_codec_options o = pl_codec_options_default();
    pl_codec_report report;
    double overlap;
    (void)context;
    o.data = o.validation = &source;
    o.data_count = o.validation_count = 1;
    o.out = out;
    o.fresh = true;
    o.widths = (pl_codec_widths){.channels = {1, 2, 2, 3}, .code = 2};
    o.batch = 4;
    o.steps = 2;
    o.hands.kernels = pl_kernels_get(NULL, NULL);
    pl_codec_trainer *t = pl_codec_trainer_open(&o, err);
    pali_status status = t ? pl_codec_trainer_step(t, &report, err) : pl_status_of(err, PALI_MEMORY);
    if (status == PALI_OK)
        status = pl_codec_trainer_evaluate(t, &overlap, err);
    if (status == PALI_OK)
        status = pl_codec_trainer_save(t, err);
    pl_codec_trainer_free(t);
    return status;
}

static void runs_out(void **state)
{
    (void)state;
    count_jansson();
    exhaust("mask codec", teach, NULL, PALI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_out)};
    return cmocka_run_group_tests_name("mask codec training, memory", tests, begin, end);
}
