/* See school.h. */
#include "train/school.h"

#include "formats/safetensors.h"
#include "model/tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const void *values_of(const school *s, const char *name)
{
    size_t count = 0;
    return golden_values(s->golden, name, &count);
}

double school_golden(const school *s, const char *name, size_t index)
{
    return ((const double *)values_of(s, name))[index];
}

/* The golden's pictures are [3, side, side]. */
static void read_pixels(school *s, const char *folder)
{
    pali_error err = {0};
    char path[160];
    snprintf(path, sizeof path, TINY "%s/golden.safetensors", folder);
    pl_tensor_file *file = pl_safetensors_open(path, &err);
    if (!file)
        fail_msg("%s", err.message);
    const size_t side = s->model->config.vision.image_size, area = side * side;
    for (size_t i = 0; i < 2; i++) {
        size_t count = 0;
        const float *planes = golden_values(file, i == 0 ? "pixels" : "b.pixels", &count);
        assert_int_equal(count, 3 * area);
        s->pixels[i] = malloc(3 * area * sizeof(float));
        assert_non_null(s->pixels[i]);
        for (size_t k = 0; k < 3 * area; k++)
            s->pixels[i][k] = planes[k % 3 * area + k / 3];
    }
    pl_tensor_file_close(file);
}

static void make_examples(school *s)
{
    const int32_t *ids = values_of(s, "ids"), *lengths = values_of(s, "lengths"), *prefixes = values_of(s, "prefixes"), *pictures = values_of(s, "pictures");
    for (size_t i = 0; i < SCHOOL_EXAMPLES; ids += lengths[i], i++) {
        s->images[i] = (pl_example_image){.pixels = s->pixels[pictures[i]]};
        s->examples[i] = (pl_example){
            .ids = (int32_t *)(uintptr_t)ids, .count = (size_t)lengths[i], .prefix_count = (size_t)prefixes[i], .images = &s->images[i], .image_count = 1};
    }
    s->layout.image_tokens = pl_image_tokens(s->model);
}

static void choose_parameters(school *s, const school_options *options)
{
    static const char *const all[] = {"all"};
    pali_error err = {0};
    pl_parameters_options chosen = options->parameters;
    if (options->lora)
        chosen.lora.further = true;
    else
        chosen.train = (pl_patterns){all, 1};
    s->parameters = pl_parameters_choose(s->model, &chosen, &err);
    if (!s->parameters)
        fail_msg("%s", err.message);
    expect_ok(pl_parameters_attach(s->parameters, s->model, &err), &err);
    expect_ok(pl_parameters_fill(s->parameters, s->model, s->ctx.pool, &err), &err);
    s->tape.parameters = s->parameters->list;
    s->tape.parameter_count = s->parameters->count;
}

void school_open(school *s, const school_options *options)
{
    pali_error err = {0};
    char path[160];
    *s = (school){0};
    snprintf(path, sizeof path, TINY "%s", options->golden);
    s->golden = pl_safetensors_open(path, &err);
    if (!s->golden)
        fail_msg("%s", err.message);
    snprintf(path, sizeof path, TINY "%s", options->model);
    s->model = pl_paligemma_open(path, &(pl_load_options){.type = options->type, .lora = &options->lora, .lora_count = options->lora != NULL}, &err);
    if (!s->model)
        fail_msg("%s", err.message);
    pl_tape_init(&s->tape);
    s->tape.keep = options->keep;
    s->ctx = (pl_context){.kernels = pl_kernels_get(options->level, &err), .pool = pl_pool_new(options->threads ? options->threads : 1, &err), .tape = &s->tape,
                          .activations = options->activations, .regime = PL_REGIME_PREFILL};
    assert_non_null(s->ctx.kernels);
    assert_non_null(s->ctx.pool);
    read_pixels(s, options->model);
    make_examples(s);
    choose_parameters(s, options);
    s->objective.model = s->model;
}

void school_close(school *s)
{
    pl_microbatch_free(&s->batch);
    pl_parameters_free(s->parameters);
    pl_tape_free(&s->tape);
    pl_arena_free(&s->arena);
    pl_pool_free(s->ctx.pool);
    pl_paligemma_close(s->model);
    pl_tensor_file_close(s->golden);
    free(s->pixels[0]);
    free(s->pixels[1]);
}

static void run(school *s, pl_arena *arena)
{
    s->ctx.arena = arena;
    const size_t mark = pl_arena_mark(arena);
    pl_objective_forward(&s->ctx, &s->objective, &s->batch);
    pl_tape_backward(&s->ctx);
    assert_false(s->ctx.failed);
    pl_arena_release(arena, mark);
}

/* Room for the batch as it is laid out, by a dry run. */
static void make_room(school *s)
{
    pali_error err = {0};
    pl_arena plan = pl_arena_plan();
    run(s, &plan);
    if (plan.peak > s->arena.size) {
        pl_arena_free(&s->arena);
        expect_ok(pl_arena_init(&s->arena, plan.peak, "test", &err), &err);
    }
    if (s->tape.gradient_peak > s->tape.gradient_size)
        expect_ok(pl_tape_reserve(&s->tape, s->tape.gradient_peak, &err), &err);
}

double school_pass(school *s, size_t first, size_t count)
{
    pali_error err = {0};
    const pl_example *list[SCHOOL_EXAMPLES];
    for (size_t i = 0; i < count; i++)
        list[i] = &s->examples[(first + i) % SCHOOL_EXAMPLES];
    expect_ok(pl_microbatch_lay(&s->batch, &s->layout, list, count, &err), &err);
    make_room(s);
    run(s, &s->arena);
    return pl_microbatch_loss(&s->batch);
}

float *school_gradients(const school *s, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < s->parameters->count; i++)
        *count += s->parameters->tensors[i].count;
    float *all = malloc(*count * sizeof *all), *to = all;
    assert_non_null(all);
    for (size_t i = 0; i < s->parameters->count; to += s->parameters->tensors[i].count, i++)
        memcpy(to, s->parameters->tensors[i].gradient, s->parameters->tensors[i].count * sizeof *to);
    return all;
}
