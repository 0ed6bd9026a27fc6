/*
 * Optimisers against torch.optim and written-out formulas in double (make_optimiser_golden.py), the reference's
 * worked chain, threads, and gradients that are no numbers.
 */
#include "train/optimiser.h"

#include "formats/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 20, TENSORS = 3, MOST_TENSORS = 4, KEPT = 4 };
static const int kept[KEPT] = {1, 2, 5, 20};

/* Tensors of one test with memory of their own. */
typedef struct set {
    pl_trained tensors[MOST_TENSORS];
    size_t count;
} set;

static void add_tensor(set *s, const char *name, size_t rows, size_t columns)
{
    pl_trained *t = &s->tensors[s->count++];
    *t = (pl_trained){.rows = rows, .columns = columns, .count = rows * columns, .decays = columns > 1, .hidden = columns > 1};
    snprintf(t->name, sizeof t->name, "%s", name);
    t->value = calloc(t->count, sizeof(float));
    t->gradient = calloc(t->count, sizeof(float));
    assert_non_null(t->value);
    assert_non_null(t->gradient);
}

static void free_set(set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->tensors[i].value);
        free(s->tensors[i].gradient);
    }
}

static const float *golden(const pl_tensor_file *file, const char *what, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "%s.%s", what, name);
    const pl_named_tensor *tensor = pl_tensor_file_find(file, full);
    assert_non_null(tensor);
    return tensor->tensor.data;
}

static pl_context context_of(pl_pool *pool)
{
    return (pl_context){.kernels = pl_kernels_get(NULL, NULL), .pool = pool, .activations = PL_ACTIVATIONS_F32};
}

/* Twenty steps on the golden gradients; the worst difference at any kept step must be within the bound. */
static void follow(const char *name, pl_activations activations, const pl_optimiser_options *options, const pl_rate_group *group, bool decay_all, double bound)
{
    static const struct {
        const char *name;
        size_t rows, columns;
    } shapes[TENSORS] = {{"wide", 8, 12}, {"tall", 13, 5}, {"bias", 7, 1}};
    pl_tensor_file *file = pl_safetensors_open("tests/train/optimisers.safetensors", NULL);
    assert_non_null(file);
    set s = {.count = 0};
    for (size_t i = 0; i < TENSORS; i++) {
        add_tensor(&s, shapes[i].name, shapes[i].rows, shapes[i].columns);
        s.tensors[i].decays = s.tensors[i].decays || decay_all;
        memcpy(s.tensors[i].value, golden(file, "start", shapes[i].name), s.tensors[i].count * sizeof(float));
    }
    pl_optimiser *optimiser = pl_optimiser_new(options, s.tensors, s.count, group, 1, NULL);
    assert_non_null(optimiser);
    pl_context ctx = context_of(NULL);
    ctx.activations = activations;
    size_t checked = 0;
    double worst = 0;
    for (int step = 0; step < STEPS; step++) {
        for (size_t i = 0; i < TENSORS; i++)
            memcpy(s.tensors[i].gradient, golden(file, "gradient", shapes[i].name) + (size_t)step * s.tensors[i].count, s.tensors[i].count * sizeof(float));
        assert_int_equal(pl_optimiser_step(optimiser, &ctx, 1, NULL, NULL), PALI_OK);
        if (step + 1 != kept[checked])
            continue;
        for (size_t i = 0; i < TENSORS; i++) {
            const float *expected = golden(file, name, shapes[i].name) + checked * s.tensors[i].count;
            for (size_t j = 0; j < s.tensors[i].count; j++)
                worst = fmax(worst, fabs((double)s.tensors[i].value[j] - (double)expected[j]));
        }
        checked++;
    }
    assert_int_equal(checked, KEPT);
    print_message("%s: within %.2g of double\n", name, worst);
    assert_true(worst <= bound);
    pl_optimiser_free(optimiser);
    free_set(&s);
    pl_tensor_file_close(file);
}

static const pl_schedule cosine = {.kind = PL_SCHEDULE_COSINE, .total = 20, .warmup = 3}, constant = {.kind = PL_SCHEDULE_CONSTANT};

/* Values are about 1 and are rounded in each of 20 steps: 20 * 2^-24 and as much for what moves them. */
static const double rounding = 2.4e-6;

static void follows_reference(void **state)
{
    (void)state;
    const pl_optimiser_options options = pl_optimiser_defaults(PL_OPTIMISER_ADAM);
    follow("adam", PL_ACTIVATIONS_F32, &options, &(pl_rate_group){.lr = 0.01, .weight_decay = 0.003, .schedule = cosine}, false, rounding);
}

static void follows_adamw(void **state)
{
    (void)state;
    const pl_optimiser_options options = pl_optimiser_defaults(PL_OPTIMISER_ADAMW);
    follow("adamw", PL_ACTIVATIONS_F32, &options, &(pl_rate_group){.lr = 0.01, .weight_decay = 0.05, .schedule = cosine}, true, rounding);
}

static void follows_sgd(void **state)
{
    (void)state;
    pl_optimiser_options options = pl_optimiser_defaults(PL_OPTIMISER_SGD);
    follow("sgd", PL_ACTIVATIONS_F32, &options, &(pl_rate_group){.lr = 0.01, .schedule = constant}, true, rounding);
    options.momentum = 0.9;
    follow("sgd_momentum", PL_ACTIVATIONS_F32, &options, &(pl_rate_group){.lr = 0.01, .weight_decay = 0.02, .schedule = cosine}, true, rounding);
}

/* The iteration raises small singular values 3.4-fold five times, and rounding with them: 3.4^5 * 2^-24 of a step of 0.01, twenty times. */
static void follows_muon(void **state)
{
    (void)state;
    pl_optimiser_options options = pl_optimiser_defaults(PL_OPTIMISER_MUON);
    options.beta2 = 0.98;
    follow("muon", PL_ACTIVATIONS_F32, &options, &(pl_rate_group){.lr = 0.01, .weight_decay = 0.1, .schedule = cosine}, false, 8e-6);
    /* Rounded to 8 bits, values of a direction move by about a hundredth: of twenty steps of 0.2 sqrt(13) times 0.01, this part. */
    follow("muon", PL_ACTIVATIONS_AUTO, &options, &(pl_rate_group){.lr = 0.01, .weight_decay = 0.1, .schedule = cosine}, false, 0.01 * 20 * 0.2 * 3.6 * 0.01);
}

/* The reference's worked numbers: p = 1, gradients 0.1, 0.2, -0.3, s = 0, 0.5, 1. */
static void worked_chain(void **state)
{
    (void)state;
    static const float gradients[3] = {0.1f, 0.2f, -0.3f};
    static const double expected[3] = {1, 0.9945174090, 0.9846388339};
    set s = {.count = 0};
    add_tensor(&s, "p", 1, 1);
    s.tensors[0].decays = true;
    s.tensors[0].value[0] = 1;
    pl_optimiser_options options = pl_optimiser_defaults(PL_OPTIMISER_ADAM);
    options.clip = 0;
    const pl_rate_group group = {.lr = 1e-3, .weight_decay = 1e-2, .schedule = {.kind = PL_SCHEDULE_CONSTANT, .warmup = 2}};
    pl_optimiser *optimiser = pl_optimiser_new(&options, s.tensors, 1, &group, 1, NULL);
    assert_non_null(optimiser);
    const pl_context ctx = context_of(NULL);
    for (size_t i = 0; i < 3; i++) {
        s.tensors[0].gradient[0] = gradients[i];
        pl_step_report report;
        assert_int_equal(pl_optimiser_step(optimiser, &ctx, 1, &report, NULL), PALI_OK);
        assert_true(fabs((double)s.tensors[0].value[0] - expected[i]) < 1.2e-7);
        assert_true(fabs(report.norm - fabs((double)gradients[i])) < 1e-12);
        assert_true(fabs(report.lr - 1e-3 * (double)i / 2) < 1e-15);
    }
    assert_int_equal(pl_optimiser_steps(optimiser), 3);
    pl_optimiser_free(optimiser);
    free_set(&s);
}

/* A clipped step is the step of the gradients scaled by hand; gradient_scale is, too. */
static void clips(void **state)
{
    (void)state;
    set s = {.count = 0};
    add_tensor(&s, "a", 3, 1);
    add_tensor(&s, "b", 2, 2);
    const float parts[7] = {3, 0, -4, 0, 12, 0, 0}; /* norm 13 */
    memcpy(s.tensors[0].gradient, parts, 3 * sizeof(float));
    memcpy(s.tensors[1].gradient, parts + 3, 4 * sizeof(float));
    pl_optimiser_options options = pl_optimiser_defaults(PL_OPTIMISER_SGD);
    const pl_rate_group group = {.lr = 1, .schedule = constant};
    pl_optimiser *optimiser = pl_optimiser_new(&options, s.tensors, 2, &group, 1, NULL);
    const pl_context ctx = context_of(NULL);
    pl_step_report report;
    assert_int_equal(pl_optimiser_step(optimiser, &ctx, 0.5, &report, NULL), PALI_OK);
    assert_true(fabs(report.norm - 6.5) < 1e-12 && fabs(report.moved - 1 / 13.0) < 1e-12);
    for (size_t i = 0; i < 3; i++)
        assert_true(fabsf(s.tensors[0].value[i] + parts[i] / 13) < 1e-7f);
    for (size_t i = 0; i < 4; i++)
        assert_true(fabsf(s.tensors[1].value[i] + parts[3 + i] / 13) < 1e-7f);
    assert_int_equal(pl_optimiser_step(optimiser, &ctx, 0.01, &report, NULL), PALI_OK);
    assert_true(fabs(report.moved - 0.01) < 1e-15);
    pl_optimiser_free(optimiser);
    free_set(&s);
}

/* Values of a few steps on gradients that a generator makes; the copy is the caller's. */
static float *train_on(size_t threads, pl_optimiser_kind kind, pl_activations activations, size_t *count)
{
    set s = {.count = 0};
    add_tensor(&s, "large", 301, 257);
    add_tensor(&s, "largest", 1030, 260); /* cut among threads by Muon, too */
    add_tensor(&s, "small", 37, 53);
    add_tensor(&s, "vector", 40001, 1);
    uint32_t seed = 1;
    pl_pool *pool = pl_pool_new(threads, NULL);
    assert_non_null(pool);
    pl_optimiser_options options = pl_optimiser_defaults(kind);
    options.momentum = 0.9;
    const pl_rate_group group = {.lr = 0.01, .weight_decay = 0.01, .schedule = constant};
    pl_optimiser *optimiser = pl_optimiser_new(&options, s.tensors, s.count, &group, 1, NULL);
    assert_non_null(optimiser);
    pl_context ctx = context_of(pool);
    ctx.activations = activations;
    for (int step = 0; step < 2; step++) {
        for (size_t i = 0; i < s.count; i++)
            for (size_t j = 0; j < s.tensors[i].count; j++) {
                seed = seed * 1664525 + 1013904223;
                s.tensors[i].gradient[j] = (float)(int32_t)seed * 0x1p-31f;
            }
        assert_int_equal(pl_optimiser_step(optimiser, &ctx, 1, NULL, NULL), PALI_OK);
    }
    *count = 0;
    for (size_t i = 0; i < s.count; i++)
        *count += s.tensors[i].count;
    float *values = malloc(*count * sizeof *values), *at = values;
    assert_non_null(values);
    for (size_t i = 0; i < s.count; at += s.tensors[i++].count)
        memcpy(at, s.tensors[i].value, s.tensors[i].count * sizeof *values);
    pl_optimiser_free(optimiser);
    pl_pool_free(pool);
    free_set(&s);
    return values;
}

static void same_for_any_threads(void **state)
{
    (void)state;
    for (int kind = 0; kind <= PL_OPTIMISER_MUON + 1; kind++) { /* Muon in both kinds of numbers */
        size_t count;
        const pl_optimiser_kind own = (pl_optimiser_kind)(kind > PL_OPTIMISER_MUON ? PL_OPTIMISER_MUON : kind);
        const pl_activations activations = kind == PL_OPTIMISER_MUON ? PL_ACTIVATIONS_F32 : PL_ACTIVATIONS_AUTO;
        float *one = train_on(1, own, activations, &count);
        for (size_t threads = 2; threads <= 4; threads++) {
            float *several = train_on(threads, own, activations, &count);
            assert_memory_equal(one, several, count * sizeof *one);
            free(several);
        }
        free(one);
    }
}

/* Nothing is changed, and the message names the tensor. */
static void refuses_what_is_no_number(void **state)
{
    (void)state;
    static const float bad[3] = {NAN, INFINITY, -INFINITY};
    for (size_t b = 0; b < 3; b++) {
        set s = {.count = 0};
        add_tensor(&s, "first", 3, 4);
        add_tensor(&s, "second", 40000, 1);
        for (size_t i = 0; i < 40000; i++)
            s.tensors[1].gradient[i] = 3e38f; /* squares of these do not fit floats */
        s.tensors[0].value[2] = 7;
        const pl_optimiser_options options = pl_optimiser_defaults(PL_OPTIMISER_ADAM);
        const pl_rate_group group = {.lr = 1, .schedule = constant};
        pl_optimiser *optimiser = pl_optimiser_new(&options, s.tensors, 2, &group, 1, NULL);
        const pl_context ctx = context_of(NULL);
        assert_int_equal(pl_optimiser_step(optimiser, &ctx, 1, NULL, NULL), PALI_OK);
        const float before = s.tensors[0].value[2], moment = pl_optimiser_tensor_at(optimiser, 2).data[39999];
        s.tensors[1].gradient[39999] = bad[b];
        pali_error err = {0};
        assert_int_equal(pl_optimiser_step(optimiser, &ctx, 1, NULL, &err), PALI_FAILED);
        assert_non_null(strstr(err.message, "gradient of second"));
        assert_true(s.tensors[0].value[2] == before && pl_optimiser_tensor_at(optimiser, 2).data[39999] == moment);
        assert_int_equal(pl_optimiser_steps(optimiser), 1);
        pl_optimiser_free(optimiser);
        free_set(&s);
    }
}

/* A copy of the state and the number of steps is all that going on needs. */
static void goes_on_from_its_state(void **state)
{
    (void)state;
    for (int kind = 0; kind <= PL_OPTIMISER_MUON; kind++) {
        set s = {.count = 0};
        add_tensor(&s, "matrix", 6, 9);
        add_tensor(&s, "vector", 11, 1);
        pl_optimiser_options options = pl_optimiser_defaults((pl_optimiser_kind)kind);
        options.momentum = 0.9;
        const pl_rate_group group = {.lr = 0.1, .weight_decay = 0.1, .schedule = cosine};
        pl_optimiser *first = pl_optimiser_new(&options, s.tensors, 2, &group, 1, NULL), *second = pl_optimiser_new(&options, s.tensors, 2, &group, 1, NULL);
        const pl_context ctx = context_of(NULL);
        for (size_t i = 0; i < 54; i++)
            s.tensors[0].gradient[i] = (float)((i * 7 + i * i * 3) % 23) - 11;
        assert_int_equal(pl_optimiser_step(first, &ctx, 1, NULL, NULL), PALI_OK);
        assert_int_equal(pl_optimiser_step(first, &ctx, 1, NULL, NULL), PALI_OK);
        uint64_t bytes = 0;
        assert_int_equal(pl_optimiser_tensor_count(first), kind == PL_OPTIMISER_SGD ? 2 : kind == PL_OPTIMISER_MUON ? 3 : 4);
        for (size_t i = 0; i < pl_optimiser_tensor_count(first); i++) {
            const pl_optimiser_tensor from = pl_optimiser_tensor_at(first, i), to = pl_optimiser_tensor_at(second, i);
            assert_string_equal(from.name, to.name);
            memcpy(to.data, from.data, from.rows * from.columns * sizeof(float));
            bytes += from.rows * from.columns * sizeof(float);
        }
        assert_int_equal(bytes, pl_optimiser_bytes(&options, s.tensors, 2));
        pl_optimiser_set_steps(second, pl_optimiser_steps(first));
        float start[54], after[54];
        memcpy(start, s.tensors[0].value, sizeof start);
        assert_int_equal(pl_optimiser_step(first, &ctx, 1, NULL, NULL), PALI_OK);
        memcpy(after, s.tensors[0].value, sizeof after);
        assert_memory_not_equal(start, after, sizeof after);
        memcpy(s.tensors[0].value, start, sizeof start);
        assert_int_equal(pl_optimiser_step(second, &ctx, 1, NULL, NULL), PALI_OK);
        assert_memory_equal(s.tensors[0].value, after, sizeof after);
        pl_optimiser_free(first);
        pl_optimiser_free(second);
        free_set(&s);
    }
}

/* Groups have rates and warm-ups of their own. */
static void moves_groups(void **state)
{
    (void)state;
    set s = {.count = 0};
    add_tensor(&s, "fast", 1, 1);
    add_tensor(&s, "slow", 1, 1);
    s.tensors[1].group = 1;
    s.tensors[0].gradient[0] = s.tensors[1].gradient[0] = 0.25f;
    const pl_optimiser_options options = pl_optimiser_defaults(PL_OPTIMISER_SGD);
    const pl_rate_group groups[2] = {{.lr = 1, .schedule = constant}, {.lr = 0.5, .schedule = {.kind = PL_SCHEDULE_CONSTANT, .warmup = 4}}};
    pl_optimiser *optimiser = pl_optimiser_new(&options, s.tensors, 2, groups, 2, NULL);
    const pl_context ctx = context_of(NULL);
    for (int step = 0; step < 3; step++)
        assert_int_equal(pl_optimiser_step(optimiser, &ctx, 1, NULL, NULL), PALI_OK);
    assert_true(fabsf(s.tensors[0].value[0] + 0.75f) < 1e-6f);
    assert_true(fabsf(s.tensors[1].value[0] + 0.25f * 0.5f * 0.75f) < 1e-6f); /* 0 + 1/4 + 2/4 */
    pl_optimiser_free(optimiser);
    free_set(&s);
}

/* Muon's products need room, and only where there is a matrix for them; Adam needs none. */
static void tells_its_scratch(void **state)
{
    (void)state;
    const pl_context ctx = context_of(NULL);
    const pl_optimiser_options muon = pl_optimiser_defaults(PL_OPTIMISER_MUON), adam = pl_optimiser_defaults(PL_OPTIMISER_ADAM);
    set s = {0};
    uint64_t small = 1, large = 1, none = 1;
    add_tensor(&s, "bias", 8, 1);
    assert_int_equal(pl_optimiser_scratch(&muon, s.tensors, s.count, &ctx, &none, NULL), PALI_OK);
    assert_int_equal(none, 0);
    add_tensor(&s, "weight", 16, 8);
    assert_int_equal(pl_optimiser_scratch(&muon, s.tensors, s.count, &ctx, &small, NULL), PALI_OK);
    assert_true(small >= 16 * 8 * sizeof(float));
    add_tensor(&s, "wide", 64, 96);
    assert_int_equal(pl_optimiser_scratch(&muon, s.tensors, s.count, &ctx, &large, NULL), PALI_OK);
    assert_true(large > small);
    assert_int_equal(pl_optimiser_scratch(&adam, s.tensors, s.count, &ctx, &none, NULL), PALI_OK);
    assert_int_equal(none, 0);
    free_set(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_reference),    cmocka_unit_test(follows_adamw),
        cmocka_unit_test(follows_sgd),          cmocka_unit_test(follows_muon),
        cmocka_unit_test(worked_chain),         cmocka_unit_test(clips),
        cmocka_unit_test(same_for_any_threads), cmocka_unit_test(refuses_what_is_no_number),
        cmocka_unit_test(tells_its_scratch),    cmocka_unit_test(goes_on_from_its_state),
        cmocka_unit_test(moves_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
