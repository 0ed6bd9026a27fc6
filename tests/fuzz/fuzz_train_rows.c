/* Fuzz target: any bytes as the rows of a training run: indexed, surveyed, read, shown. */
#include "train/loader.h"
#include "train/show.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pl_tokenizer *tokenizer;
static char path[] = "/tmp/pali-fuzz-rows-XXXXXX";

static void begin(void)
{
    tokenizer = pl_tokenizer_open("tests/data/tiny/pg2", false, NULL);
    const int fd = mkstemp(path);
    if (!tokenizer || fd < 0)
        abort();
    close(fd);
}

/* Every example that can be read is what it is said to be. */
static void check(const pl_dataset *dataset, const pl_example *example)
{
    const pl_data_options *const o = pl_dataset_options(dataset);
    if (example->count > o->text_length + 1 || example->prefix_count > example->count || example->alternative >= example->alternatives)
        abort();
    const pl_show_options show = {.layout = {.image_tokens = 4}};
    char *const text = pl_example_text(dataset, example, &show, NULL), *const json = pl_example_json(dataset, example, &show, NULL);
    if (!text || !json)
        abort();
    free(text);
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!tokenizer)
        begin();
    FILE *const file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        abort();
    const pl_data_source sources[] = {{.path = path, .images = "tests/data/tiny"}, {.path = path, .prefix = "{labels} {a}", .suffix = "{b} {objects}", .images = "tests/data/tiny", .repeat = 2}};
    const pl_data_options options = {.sources = sources, .source_count = 2, .text_length = 20, .pictures = PL_PICTURES_OPTIONAL, .tokenizer = tokenizer, .image_size = 28,
                                     .preprocess = pl_preprocess_default(), .kernels = pl_kernels_get(NULL, NULL)};
    pl_dataset *const dataset = pl_dataset_open(&options, NULL);
    if (!dataset)
        return 0;
    pl_data_survey survey;
    if (pl_dataset_survey(dataset, SIZE_MAX, &survey, NULL) != PALI_OK || survey.ids_most > 21)
        abort();
    for (uint64_t n = 0; n < pl_dataset_epoch(dataset) && n < 50; n++) {
        pali_error err = {0};
        pl_example *const example = pl_example_read(dataset, pl_dataset_place(dataset, n), NULL, n % 2, &err);
        if (example)
            check(dataset, example);
        else if (err.status == PALI_OK || err.message[0] == '\0')
            abort();
        pl_example_free(example);
    }
    pl_dataset_free(dataset);
    return 0;
}
