/* Memory that runs out while data is opened, read, read ahead, cached and shown. */
#include "data_support.h"

#include "answer/mask_codec.h"
#include "train/loader.h"
#include "train/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "exhaust.h"

static const char row_text[] = "{\"image\": [\"a.png\", \"a.png\"], \"thing\": \"ring\", \"label\": \"ring\", \"mask\": [[1, 1, 9, 1, 9, 9, 1, 9]], \"of\": [\"a\", \"b\"]}\n"
                               "{\"image\": \"a.png\", \"prefix\": \"p\", \"suffix\": [\"s\", \"t\"]}\n";

/* Options, and what is to be done with the dataset. */
typedef struct job {
    pl_data_options options;
    pali_status (*work)(const pl_dataset *dataset, pali_error *err);
} job;

static pali_status open_and_work(const void *context, pali_error *err)
{
    const job *const j = context;
    pl_dataset *const dataset = pl_dataset_open(&j->options, err);
    if (!dataset)
        return err->status;
    const pali_status status = j->work ? j->work(dataset, err) : PALI_OK;
    pl_dataset_free(dataset);
    return status;
}

static pali_status survey(const pl_dataset *dataset, pali_error *err)
{
    pl_data_survey found;
    return pl_dataset_survey(dataset, SIZE_MAX, &found, err);
}

static pali_status identify(const pl_dataset *dataset, pali_error *err)
{
    char *const identity = pl_dataset_identity(dataset, err);
    const pali_status status = identity ? pl_dataset_check(dataset, identity, err) : err->status;
    free(identity);
    return status;
}

static pali_status read_one(const pl_dataset *dataset, pali_error *err)
{
    pl_example *const example = pl_example_read(dataset, pl_dataset_place(dataset, 0), NULL, true, err);
    pl_example_free(example);
    return example ? PALI_OK : err->status;
}

static pali_status read_ahead(const pl_dataset *dataset, pali_error *err)
{
    pl_loader *const loader = pl_loader_new(dataset, &(pl_loader_options){.ahead = 2}, err);
    pali_status status = loader ? PALI_OK : err->status;
    for (size_t i = 0; status == PALI_OK && i < 3; i++) {
        pl_example *example;
        status = pl_loader_next(loader, &example, err);
        pl_example_free(example);
    }
    pl_loader_free(loader);
    return status;
}

static pali_status show(const pl_dataset *dataset, pali_error *err)
{
    pl_example *const example = pl_example_read(dataset, pl_dataset_place(dataset, 0), NULL, false, err);
    if (!example)
        return err->status;
    const pl_show_options options = {.layout = {.image_tokens = 4}, .colour = true};
    char *const text = pl_example_text(dataset, example, &options, err);
    pl_example_free(example);
    free(text);
    return text ? PALI_OK : err->status;
}

static pali_status keep(const pl_dataset *dataset, pali_error *err)
{
    const pl_feature_options options = {.folder = data_path("features"), .tokens = 2, .width = 3, .type = PL_FEATURE_BF16};
    pl_feature_cache *const cache = pl_feature_cache_open(&options, err);
    if (!cache)
        return err->status;
    static const float rows[6] = {1, 2, 3};
    pl_example *example = pl_example_read(dataset, pl_dataset_place(dataset, 0), NULL, false, err);
    pali_status status = example ? pl_feature_cache_put(cache, &example->images[0].picture, rows, err) : err->status;
    pl_example_free(example);
    if (status == PALI_OK) {
        example = pl_example_read(dataset, pl_dataset_place(dataset, 0), cache, true, err);
        status = example ? PALI_OK : err->status;
        pl_example_free(example);
    }
    pl_feature_cache_free(cache);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    count_jansson();
    data_copy("tests/data/tiny/a.png", "a.png");
    pl_codec *codec = NULL;
    assert_int_equal(pl_codec_open_of("models/nano", &codec, NULL), PALI_OK);
    char path[256], folder[256];
    snprintf(path, sizeof path, "%s", data_write("rows.jsonl", row_text));
    snprintf(folder, sizeof folder, "%s", data_path(""));
    const pl_data_source objects = {.path = path, .limit = 1, .prefix = "segment {labels} {thing}", .suffix = "{of} {objects}"}, plain = {.path = path, .skip = 1},
                         both[] = {{.path = path, .limit = 1, .prefix = "p", .suffix = "s", .weight = 1}, {.path = path, .skip = 1, .images = folder, .weight = 2}};
    job j = {.options = data_options(both, 2)};
    j.options.codec = codec;
    exhaust("open", open_and_work, &j, PALI_OK);
    j.work = identify;
    exhaust("identity", open_and_work, &j, PALI_OK);
    j.options.sources = &objects;
    j.options.source_count = 1;
    j.work = survey;
    exhaust("survey", open_and_work, &j, PALI_OK);
    j.work = read_one;
    exhaust("example with objects", open_and_work, &j, PALI_OK);
    j.options.sources = &plain;
    exhaust("example", open_and_work, &j, PALI_OK);
    j.work = read_ahead;
    exhaust("loader", open_and_work, &j, PALI_OK);
    j.work = show;
    exhaust("show", open_and_work, &j, PALI_OK);
    const pl_data_source clip = {.path = data_write("clip.jsonl", "{\"image\": \"clip0.gif\", \"frames\": 2, \"prefix\": \"p\", \"suffix\": \"s\"}"), .images = "tests/data/image"};
    j.options.sources = &clip;
    j.work = read_one;
    exhaust("clip", open_and_work, &j, PALI_OK);
    j.options.sources = &plain;
    j.work = keep;
    exhaust("features", open_and_work, &j, PALI_OK);
    pl_codec_free(codec);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests_name("memory of data", tests, data_begin, data_end);
}
