/*
 * The gradient of every parameter of the tiny PaliGemma 1 and 2, and of an
 * adapter's factors, against PyTorch's in float64; and twenty steps of each
 * optimiser. Bounds: 1e-4 of a tensor's largest gradient, 1e-5 of a loss.
 * Rounding in f32 takes about 1e-6 of them in PaliGemma 1; the random attention
 * of PaliGemma 2 is nearly hard, and magnifies it about tenfold.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "formats/safetensors.h"
#include "model/tiny.h"
#include "train/school.h"

#define GRADIENT_BOUND 1e-4
#define LOSS_BOUND 1e-5

enum { BATCH = 3, STEPS = 20 };

static const char *const models[] = {"pg1", "pg2"};
static const char *const goldens[] = {"train.pg1.safetensors", "train.pg2.safetensors"};

#define LORA "tests/data/tiny/lora/all-new", .model = "pg1", .golden = "train.lora.all-new.safetensors"

static void expect_loss(const school *s, const char *what, double loss, const char *name, size_t index)
{
    const double expected = school_golden(s, name, index);
    if (!(fabs(loss - expected) <= LOSS_BOUND * expected))
        fail_msg("%s: %s[%zu] is %.9g, expected %.9g", what, name, index, loss, expected);
}

/* ---- Gradients --------------------------------------------------------- */

/* "vision_tower.encoder..." and "base_model.model.model.vision_tower..." as the canonical name. */
static const pl_trained *find_trained(const school *s, const char *name)
{
    char full[200], canonical[160];
    const char *const peft = "base_model.model.";
    if (pl_starts_with(name, peft))
        snprintf(full, sizeof full, "%s", name + strlen(peft));
    else
        snprintf(full, sizeof full, "model.%s", name);
    assert_true(pl_canonical_name(full, canonical));
    const pl_trained *trained = pl_parameters_find(s->parameters, canonical);
    if (!trained)
        fail_msg("%s: no parameter %s", name, canonical);
    return trained;
}

static double largest(const float *x, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* The bias of keys has no gradient, for a softmax does not see it: what rounding leaves is held against that of the queries. */
static double scale_of(const school *s, const pl_trained *trained, const float *expected)
{
    char name[192];
    snprintf(name, sizeof name, "%s", trained->name);
    char *key = strstr(name, "k_proj.bias");
    if (!key)
        return largest(expected, trained->count);
    *key = 'q';
    const pl_trained *query = pl_parameters_find(s->parameters, name);
    assert_non_null(query);
    return largest(query->gradient, query->count);
}

/* Every gradient of the golden file, multiplied by `factor` here; the worst error. */
static double compare_gradients(const school *s, const char *what, double factor)
{
    static const char prefix[] = "grad.";
    size_t compared = 0;
    double worst_of_all = 0;
    for (size_t n = 0; n < pl_tensor_file_count(s->golden); n++) {
        const pl_named_tensor *named = pl_tensor_file_at(s->golden, n);
        if (!pl_starts_with(named->name, prefix))
            continue;
        const pl_trained *trained = find_trained(s, named->name + sizeof prefix - 1);
        const float *expected = named->tensor.data;
        const double scale = scale_of(s, trained, expected);
        size_t count = 0;
        assert_true(pl_tensor_count(&named->tensor, &count) && count == trained->count);
        double worst = 0;
        for (size_t i = 0; i < count; i++) {
            const double difference = fabs((double)trained->gradient[i] * factor - (double)expected[i]);
            worst = difference > worst || isnan(difference) ? difference : worst;
        }
        if (!(worst <= GRADIENT_BOUND * scale))
            fail_msg("%s: %s is off by %.3g of %.3g", what, named->name, worst, scale);
        worst_of_all = fmax(worst_of_all, worst / scale);
        compared++;
    }
    assert_int_equal(compared, s->parameters->count);
    return worst_of_all;
}

static void check_gradients(const school_options *options)
{
    school s;
    school_open(&s, options);
    char what[120];
    snprintf(what, sizeof what, "%s%s, %s", options->model, options->lora ? " with an adapter" : "", options->level);
    const double loss = school_pass(&s, 0, BATCH) / s.batch.weight;
    expect_loss(&s, what, loss, "loss", 0);
    const double worst = compare_gradients(&s, what, 1 / s.batch.weight);
    print_message("%s: loss off by %.1e, gradients by %.1e\n", what, fabs(loss / school_golden(&s, "loss", 0) - 1), worst);
    /* the same a micro-batch at a time */
    pl_parameters_zero(s.parameters, s.ctx.pool);
    double sum = school_pass(&s, 0, 1);
    sum += school_pass(&s, 1, 2);
    expect_loss(&s, what, sum / BATCH, "loss", 0);
    compare_gradients(&s, "in two micro-batches", 1.0 / BATCH);
    school_close(&s);
}

static void test_gradients(void **state)
{
    (void)state;
    for (const char *const *level = pl_kernel_levels(); *level; level++) {
        for (size_t i = 0; i < 2; i++)
            check_gradients(&(school_options){.model = models[i], .golden = goldens[i], .level = *level, .threads = 2, .activations = PL_ACTIVATIONS_F32});
        check_gradients(&(school_options){.lora = LORA, .level = *level, .threads = 2, .activations = PL_ACTIVATIONS_F32});
    }
}

/* ---- A picture that neighbours share ----------------------------------- */

/* The fifth example and the first show the same picture: encoded once where that is known, with the same losses and gradients. */
static void test_shared_picture(void **state)
{
    (void)state;
    school s;
    school_open(&s, &(school_options){.model = models[0], .golden = goldens[0], .threads = 2, .activations = PL_ACTIVATIONS_F32});
    const double apart = school_pass(&s, 4, 2);
    assert_int_equal(s.batch.pictures, 2);
    size_t count = 0;
    float *expected = school_gradients(&s, &count);
    s.images[0].picture = s.images[4].picture = (pl_feature_picture){.hash = 5, .bytes = 100, .width = 30, .height = 20};
    s.images[1].picture = (pl_feature_picture){.hash = 5, .bytes = 101, .width = 30, .height = 20};
    pl_parameters_zero(s.parameters, s.ctx.pool);
    assert_true(school_pass(&s, 4, 2) == apart);
    assert_int_equal(s.batch.pictures, 1);
    float *found = school_gradients(&s, &count);
    const double scale = largest(expected, count);
    for (size_t i = 0; i < count; i++)
        assert_true(fabs((double)found[i] - (double)expected[i]) <= 1e-5 * scale);
    free(expected);
    free(found);
    school_pass(&s, 4, 3); /* the second example's picture is another */
    assert_int_equal(s.batch.pictures, 2);
    school_close(&s);
}

/* ---- Variants of the loss: the loss, and the norm of each gradient ------ */

static const struct {
    const char *name;
    float smoothing;
    pl_layout_options layout;
} variants[] = {
    {"smoothed", 0.1f, {0}},
    {"token_mean", 0, {.weight = PL_WEIGHT_TOKEN}},
    {"everywhere", 0, {.loss_on_prefix = true}},
    {"image_block", 0, {.attention = PL_ATTENTION_IMAGE}},
    {"causal", 0, {.attention = PL_ATTENTION_CAUSAL}},
};

static void compare_norms(const school *s, const char *variant, double factor)
{
    char prefix[64];
    size_t compared = 0;
    snprintf(prefix, sizeof prefix, "%s.grad_norm.", variant);
    for (size_t n = 0; n < pl_tensor_file_count(s->golden); n++) {
        const pl_named_tensor *named = pl_tensor_file_at(s->golden, n);
        if (!pl_starts_with(named->name, prefix))
            continue;
        const pl_trained *trained = find_trained(s, named->name + strlen(prefix));
        const double expected = *(const double *)named->tensor.data;
        double squares = 0;
        for (size_t i = 0; i < trained->count; i++)
            squares += (double)trained->gradient[i] * (double)trained->gradient[i];
        const double norm = sqrt(squares) * factor, scale = strstr(named->name, "k_proj.bias") ? 1 : expected;
        if (!(fabs(norm - expected) <= GRADIENT_BOUND * scale))
            fail_msg("%s is %.9g, expected %.9g", named->name, norm, expected);
        compared++;
    }
    assert_int_equal(compared, s->parameters->count);
}

static void test_variants(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        school s;
        school_open(&s, &(school_options){.model = models[i], .golden = goldens[i], .activations = PL_ACTIVATIONS_F32});
        for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
            char name[64];
            snprintf(name, sizeof name, "%s.loss", variants[v].name);
            const size_t tokens = s.layout.image_tokens;
            s.layout = variants[v].layout;
            s.layout.image_tokens = tokens;
            s.objective.smoothing = variants[v].smoothing;
            pl_parameters_zero(s.parameters, s.ctx.pool);
            expect_loss(&s, models[i], school_pass(&s, 0, BATCH) / s.batch.weight, name, 0);
            compare_norms(&s, variants[v].name, 1 / s.batch.weight);
        }
        school_close(&s);
    }
}

/* ---- Bits --------------------------------------------------------------- */

static float *gradients_with(const school_options *options, double *loss, size_t *count)
{
    school s;
    school_open(&s, options);
    *loss = school_pass(&s, 0, SCHOOL_EXAMPLES);
    float *gradients = school_gradients(&s, count);
    school_close(&s);
    return gradients;
}

/* Any number of threads and both ways of keeping activations give the same gradients, in all numbers that products take. */
static void test_bits(void **state)
{
    (void)state;
    static const pl_activations numbers[] = {PL_ACTIVATIONS_F32, PL_ACTIVATIONS_AUTO, PL_ACTIVATIONS_BF16};
    for (size_t i = 0; i < 2; i++)
        for (size_t n = 0; n < 3; n++) {
            school_options options = {.model = models[i], .golden = goldens[i], .activations = numbers[n]};
            double loss = 0, other = 0;
            size_t count = 0;
            float *gradients = gradients_with(&options, &loss, &count);
            for (size_t threads = 1; threads <= 4; threads++) {
                options.threads = threads;
                options.keep = threads % 2 ? PL_KEEP_BORDERS : PL_KEEP_ALL;
                float *others = gradients_with(&options, &other, &count);
                if (loss != other || memcmp(gradients, others, count * sizeof *others) != 0)
                    fail_msg("%s, numbers %zu: %zu threads give other gradients", models[i], n, threads);
                free(others);
            }
            free(gradients);
        }
}

/* ---- Steps --------------------------------------------------------------- */

/* As in tools/goldens/train.py. */
static pl_optimiser_options optimiser_of(const char *name, pl_parameters_options *parameters)
{
    pl_optimiser_options options;
    if (strcmp(name, "adamw") == 0) {
        options = pl_optimiser_defaults(PL_OPTIMISER_ADAMW);
        options.clip = 0;
        *parameters = (pl_parameters_options){.lr = 1e-3, .weight_decay = 0.01, .decay = PL_DECAY_ALL};
    } else if (strcmp(name, "sgd") == 0) {
        options = pl_optimiser_defaults(PL_OPTIMISER_SGD);
        options.momentum = 0.9;
        options.clip = 1;
        *parameters = (pl_parameters_options){.lr = 0.02, .weight_decay = 0.001, .decay = PL_DECAY_ALL};
    } else {
        options = pl_optimiser_defaults(PL_OPTIMISER_ADAM);
        *parameters = (pl_parameters_options){.lr = 1e-3, .weight_decay = 1e-4, .decay = PL_DECAY_KERNELS};
    }
    const bool chain = options.kind == PL_OPTIMISER_ADAM;
    parameters->schedule = (pl_schedule){.kind = chain ? PL_SCHEDULE_COSINE : PL_SCHEDULE_CONSTANT, .total = STEPS, .warmup = chain ? pl_schedule_warmup(0.05, STEPS) : 0};
    return options;
}

static double golden_scale(const char *golden, const char *name)
{
    pali_error err = {0};
    char path[160];
    size_t count = 0;
    snprintf(path, sizeof path, TINY "%s", golden);
    pl_tensor_file *file = pl_safetensors_open(path, &err);
    assert_non_null(file);
    const double scale = *(const double *)golden_values(file, name, &count);
    pl_tensor_file_close(file);
    return scale;
}

static void check_steps(const char *name, const school_options *base)
{
    pali_error err = {0};
    school_options options = *base;
    char key[40];
    snprintf(key, sizeof key, "%s.scale", name);
    const double scale = golden_scale(options.golden, key);
    const pl_optimiser_options rule = optimiser_of(name, &options.parameters);
    options.parameters.lr *= scale;
    if (rule.kind == PL_OPTIMISER_ADAM) /* the reference multiplies decay by nothing but the schedule */
        options.parameters.weight_decay *= scale;
    school s;
    school_open(&s, &options);
    pl_optimiser *optimiser = pl_optimiser_new(&rule, s.parameters->tensors, s.parameters->count, s.parameters->groups, s.parameters->group_count, &err);
    assert_non_null(optimiser);
    snprintf(key, sizeof key, "%s.losses", name);
    double worst = 0;
    for (size_t step = 0; step <= STEPS; step++) {
        pl_step_report report;
        pl_parameters_zero(s.parameters, s.ctx.pool);
        const double loss = school_pass(&s, BATCH * step, BATCH) / s.batch.weight;
        expect_loss(&s, options.model, loss, key, step);
        worst = fmax(worst, fabs(loss / school_golden(&s, key, step) - 1));
        if (step < STEPS)
            expect_ok(pl_optimiser_step(optimiser, &s.ctx, 1 / s.batch.weight, &report, &err), &err);
    }
    print_message("%s%s, %s: losses off by %.1e\n", options.model, options.lora ? " with an adapter" : "", name, worst);
    pl_optimiser_free(optimiser);
    school_close(&s);
}

static void test_steps(void **state)
{
    (void)state;
    static const char *const names[] = {"adamw", "sgd", "chain"};
    for (size_t i = 0; i < 2; i++)
        for (size_t n = 0; n < 3; n++)
            check_steps(names[n], &(school_options){.model = models[i], .golden = goldens[i], .threads = 2, .activations = PL_ACTIVATIONS_F32});
    check_steps("adamw", &(school_options){.lora = LORA, .threads = 2, .activations = PL_ACTIVATIONS_F32});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_shared_picture),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
