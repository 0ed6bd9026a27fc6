/*
 * An adapter's gradients through frozen weights of every type a model can be
 * loaded in (QLoRA), against those through the same values in f32; and the same
 * bits for any number of threads. Products in floats leave rounding; with those
 * of bf16, gradients, activations and weights are rounded by up to 2^-9 each,
 * product by product, so there it is the length of the difference that counts.
 */
#include "model/tiny.h"
#include "train/school.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FLOAT_BOUND 2e-5
#define BF16_BOUND 0.04 /* half of it is measured: some 50 roundings of 1e-3 one after the other */

static const char *const types[] = {"bf16", "f16", "q8_0", "q4_0", "q8"};

enum { TYPES = sizeof types / sizeof *types, BATCH = 3, MOST_BLOCKS = 200 };

static school_options options_of(const char *type, size_t threads, pl_activations activations)
{
    return (school_options){
        .model = "pg1", .golden = "train.lora.all-new.safetensors", .lora = TINY "lora/all-new", .type = type, .threads = threads, .activations = activations};
}

/* ---- The same values in f32 -------------------------------------------- */

static float *unpacked(const pl_tensor *from)
{
    const size_t rows = from->shape[0], columns = from->shape[1], group = pl_dtype_rows(from->dtype);
    size_t row_bytes = 0;
    float *values = malloc(rows * columns * sizeof *values);
    assert_non_null(values);
    assert_true(pl_dtype_row_bytes(from->dtype, columns, &row_bytes));
    for (size_t r = 0; r < rows; r++) {
        pl_read_row(from->dtype, pl_tensor_row(from, r), row_bytes, r % group, 0, columns, values + r * columns);
        for (size_t i = 0; from->scale && i < columns; i++)
            values[r * columns + i] *= from->scale[r];
    }
    return values;
}

/* Makes `to` use the values of the matrices of `from` that are not f32; the number of them. */
static size_t copy_weights(const school *from, school *to, float *blocks[MOST_BLOCKS])
{
    size_t count = 0;
    for (size_t i = 0; i < pl_weight_count; i++) {
        const pl_weight *weight = &pl_weights[i];
        if (weight->columns == PL_DIM_NONE || !pl_weight_present(&from->model->config, weight))
            continue;
        for (size_t layer = 0; layer < pl_part_layers(&from->model->config, weight->part); layer++) {
            const void *target = pl_weight_target(from->model, weight, layer);
            pl_tensor tensor = weight->target == PL_TARGET_LINEAR ? ((const pl_linear *)target)->weight : *(const pl_tensor *)target;
            if (tensor.dtype == PL_F32)
                continue;
            assert_true(count < MOST_BLOCKS);
            tensor.data = blocks[count++] = unpacked(&tensor);
            tensor.dtype = PL_F32;
            tensor.scale = NULL;
            pl_paligemma_point(to->model, weight, layer, &tensor);
        }
    }
    to->model->gemma.head.weight = to->model->gemma.embedding;
    return count;
}

/* ---- Comparing ----------------------------------------------------------- */

/* The worst of all tensors' largest errors. */
static double largest_error(const school *a, const school *b)
{
    double worst = 0;
    for (size_t n = 0; n < a->parameters->count; n++) {
        const double error = relative_error(a->parameters->tensors[n].gradient, b->parameters->tensors[n].gradient, a->parameters->tensors[n].count);
        worst = error <= worst ? worst : error; /* NaN too */
    }
    return worst;
}

/* The length of the difference of all gradients, by that of the gradients. */
static double length_of_error(const school *a, const school *b)
{
    double squares = 0, all = 0;
    for (size_t n = 0; n < a->parameters->count; n++)
        for (size_t i = 0; i < a->parameters->tensors[n].count; i++) {
            const double expected = (double)b->parameters->tensors[n].gradient[i], difference = (double)a->parameters->tensors[n].gradient[i] - expected;
            squares += difference * difference;
            all += expected * expected;
        }
    return sqrt(squares / all);
}

static void check_type(const char *type, pl_activations activations)
{
    school narrow, wide;
    float *blocks[MOST_BLOCKS];
    const school_options options = options_of(type, 2, activations), in_f32 = options_of(NULL, 2, PL_ACTIVATIONS_F32);
    school_open(&narrow, &options);
    school_open(&wide, &in_f32);
    const size_t changed = copy_weights(&narrow, &wide, blocks);
    assert_true(changed > 10);
    const double loss = school_pass(&narrow, 0, BATCH), expected = school_pass(&wide, 0, BATCH);
    const bool floats = activations == PL_ACTIVATIONS_F32;
    const double bound = floats ? FLOAT_BOUND : BF16_BOUND, error = floats ? largest_error(&narrow, &wide) : length_of_error(&narrow, &wide);
    print_message("%s: %zu matrices, loss off by %.1e, gradients by %.1e\n", type, changed, fabs(loss / expected - 1), error);
    if (!(fabs(loss / expected - 1) <= bound) || !(error <= bound))
        fail_msg("%s: loss %.9g, expected %.9g; gradients off by %.3g", type, loss, expected, error);
    school_close(&narrow);
    school_close(&wide);
    for (size_t i = 0; i < changed; i++)
        free(blocks[i]);
}

static void test_floats(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPES; i++)
        check_type(types[i], PL_ACTIVATIONS_F32);
}

/* What the processor is fastest with. */
static void test_auto(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPES; i++)
        check_type(types[i], PL_ACTIVATIONS_AUTO);
}

static void test_bits(void **state)
{
    (void)state;
    static const pl_activations numbers[] = {PL_ACTIVATIONS_F32, PL_ACTIVATIONS_AUTO, PL_ACTIVATIONS_INT8};
    for (size_t i = 0; i < TYPES; i++)
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
            float *first = NULL;
            for (size_t threads = 1; threads <= 4; threads++) {
                school s;
                size_t count = 0;
                const school_options options = options_of(types[i], threads, numbers[n]);
                school_open(&s, &options);
                school_pass(&s, 0, BATCH);
                float *gradients = school_gradients(&s, &count);
                if (first && memcmp(first, gradients, count * sizeof *first) != 0)
                    fail_msg("%s, numbers %zu: %zu threads give other gradients", types[i], n, threads);
                if (!first)
                    first = gradients;
                else
                    free(gradients);
                school_close(&s);
            }
            free(first);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_auto),
        cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
