/* Opening the tiny checkpoints and comparing with goldens. */
#include "model/tiny.h"

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void expect_ok(pali_status status, const pali_error *err)
{
    if (status != PALI_OK)
        fail_msg("%s: %s", pali_status_text(status), err->message);
}

void tiny_open(tiny_model *tiny, const char *path, const pl_load_options *options, const char *level, size_t threads)
{
    pali_error err = {0};
    static const pl_load_options defaults = {0};
    memset(tiny, 0, sizeof *tiny);
    tiny->model = pl_paligemma_open(path, options ? options : &defaults, &err);
    if (!tiny->model)
        fail_msg("%s", err.message);
    tiny->engine = (pl_engine){.model = tiny->model, .kernels = pl_kernels_get(level, &err), .pool = pl_pool_new(threads, &err), .activations = PL_ACTIVATIONS_F32}; /* as published */
    assert_non_null(tiny->engine.kernels);
    assert_non_null(tiny->engine.pool);
    pl_timeline_init(&tiny->timeline, &tiny->engine, 0);
}

void tiny_close(tiny_model *tiny)
{
    pl_timeline_free(&tiny->timeline);
    pl_pool_free(tiny->engine.pool);
    pl_paligemma_close(tiny->model);
}

void tiny_images(tiny_model *tiny, const char *letters)
{
    enum { MOST = 8 };
    pali_error err = {0};
    pl_image images[MOST];
    const pl_image *list[MOST];
    const size_t count = strlen(letters);
    assert_true(count <= MOST);
    for (size_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, TINY "%c.png", letters[i]);
        expect_ok(pl_image_open(path, &images[i], &err), &err);
        list[i] = &images[i];
    }
    expect_ok(pl_timeline_set_images(&tiny->timeline, list, count, &err), &err);
    for (size_t i = 0; i < count; i++)
        pl_image_free(&images[i]);
}

void tiny_ask(tiny_model *tiny, const char *prompt, size_t most)
{
    pali_error err = {0};
    const pl_question question = {.max_tokens = most, .logprobs = true};
    expect_ok(pl_timeline_prompt(&tiny->timeline, prompt, &question, &err), &err);
    pl_timeline *timeline = &tiny->timeline;
    while (timeline->phase != PL_PHASE_DONE)
        expect_ok(pl_step(&timeline, 1, &err), &err);
}

double relative_error(const float *a, const float *b, size_t n)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)a[i] - (double)b[i]);
        worst = difference > worst || isnan(difference) ? difference : worst;
        largest = fmax(largest, fabs((double)b[i]));
    }
    return worst / largest;
}

const void *golden_values(const pl_tensor_file *file, const char *name, size_t *count)
{
    pali_error err = {0};
    const pl_tensor *tensor = pl_tensor_file_use(file, name, &err);
    if (!tensor)
        fail_msg("%s", err.message);
    assert_true(pl_tensor_count(tensor, count));
    return tensor->data;
}
