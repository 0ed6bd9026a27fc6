#include "data_support.h"

#include "base/file.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const pl_tokenizer *data_tokenizer;
static pl_tokenizer *opened;
static char folder[] = "/tmp/pali-data-XXXXXX";

int data_begin(void **state)
{
    (void)state;
    pali_error err = {0};
    opened = pl_tokenizer_open("models/nano", false, &err);
    if (!opened)
        fprintf(stderr, "%s\n", err.message);
    data_tokenizer = opened;
    return opened && mkdtemp(folder) ? 0 : -1;
}

int data_end(void **state)
{
    (void)state;
    pl_tokenizer_free(opened);
    char command[80];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

const char *data_path(const char *name)
{
    static char paths[8][256];
    static size_t next;
    char *const path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *data_write(const char *name, const char *text)
{
    const char *const path = data_path(name);
    assert_int_equal(pl_file_write(path, text, strlen(text), NULL), PALI_OK);
    return path;
}

const char *data_copy(const char *from, const char *name)
{
    size_t size;
    char *const bytes = pl_file_read(from, (size_t)1 << 24, &size, PALI_INPUT, NULL);
    assert_non_null(bytes);
    const char *const path = data_path(name);
    assert_int_equal(pl_file_write(path, bytes, size, NULL), PALI_OK);
    free(bytes);
    return path;
}

const char *data_rows(const char *name, size_t count)
{
    data_copy("tests/data/tiny/a.png", "a.png");
    pl_buffer text = {0};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pl_buffer_printf(&text, NULL, "{\"image\": \"a.png\", \"prefix\": \"caption en\", \"suffix\": \"%s %zu\"}\n", name, i), PALI_OK);
    const char *const path = data_write(name, text.data);
    free(text.data);
    return path;
}

pl_data_options data_options(const pl_data_source *sources, size_t count)
{
    return (pl_data_options){.sources = sources, .source_count = count, .seed = 11, .text_length = 64, .tokenizer = data_tokenizer, .image_size = 28,
                             .preprocess = pl_preprocess_default(), .kernels = pl_kernels_get(NULL, NULL)};
}

pl_dataset *data_open(const pl_data_options *options)
{
    pali_error err = {0};
    pl_dataset *const dataset = pl_dataset_open(options, &err);
    if (!dataset)
        fail_msg("%s", err.message);
    return dataset;
}
