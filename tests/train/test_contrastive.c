/*
 * SigLIP's loss over the model's own image encoder, the head that pools and the
 * text tower, against transformers' SiglipModel in float64: rows, loss, and the
 * gradient of every parameter (make_contrastive_golden.py). Bound: 1e-4 of a
 * tensor's largest gradient; rounding in f32 takes a tenth of it at most.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/safetensors.h"
#include "train/contrastive.h"

enum { PAIRS = 4, WIDTH = 12, LAYERS = 2, SIDE = 8, POSITIONS = 6, VOCABULARY = 19, MOST_TENSORS = 128, PIXELS = SIDE * SIDE * 3 };

#define GRADIENT_BOUND 1e-4

/* A parameter by name; value and gradient [count] each, owned. */
typedef struct trained {
    char name[200];
    size_t count;
    float *value, *gradient;
} trained;

typedef struct fixture {
    pl_tensor_file *golden;
    pl_paligemma model;
    pl_siglip_block blocks[LAYERS];
    pl_towers *towers;
    trained tensors[MOST_TENSORS];
    size_t count;
    pl_parameter list[MOST_TENSORS];
    pl_example_image images[PAIRS];
    pl_example examples[PAIRS];
    const pl_example *laid[PAIRS];
    int32_t ids[PAIRS][POSITIONS + 1];
    pl_microbatch batch;
    pl_objective objective;
    pl_arena arena;
    pl_tape tape;
    pl_context ctx;
} fixture;

static const pl_tensor *golden_of(const fixture *f, const char *name)
{
    pali_error err = {0};
    const pl_tensor *found = pl_tensor_file_use(f->golden, name, &err);
    if (!found)
        fail_msg("%s", err.message);
    return found;
}

static void add_tensor(fixture *f, const char *name, size_t count, float *value)
{
    trained *t = &f->tensors[f->count++];
    char key[220];
    size_t there = 0;
    assert_true(f->count <= MOST_TENSORS);
    snprintf(t->name, sizeof t->name, "%s", name);
    snprintf(key, sizeof key, "value.%s", name);
    const pl_tensor *golden = golden_of(f, key);
    assert_true(pl_tensor_count(golden, &there));
    if (there != count)
        fail_msg("%s: found %zu values, expected %zu", name, there, count);
    t->count = count;
    t->value = value;
    t->gradient = calloc(count, sizeof(float));
    assert_non_null(t->gradient);
    memcpy(t->value, golden->data, count * sizeof(float));
}

static int by_address(const void *a, const void *b)
{
    const uintptr_t x = (uintptr_t)((const pl_parameter *)a)->value, y = (uintptr_t)((const pl_parameter *)b)->value;
    return (x > y) - (x < y);
}

/* The image encoder from the list of weights; what stands beside it from its own. */
static void make_weights(fixture *f)
{
    const pl_config *config = &f->model.config;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++)
        for (size_t layer = 0; layer < pl_part_layers(config, w->part) && (w->part == PL_PART_VISION || w->part == PL_PART_VISION_BLOCK); layer++) {
            char name[160];
            const size_t rows = pl_dim_size(config, w->rows), columns = pl_dim_size(config, w->columns);
            float *value = malloc(rows * columns * sizeof *value);
            assert_non_null(value);
            add_tensor(f, pl_weight_name(w, config, layer, name), rows * columns, value);
            const pl_tensor tensor = {.dtype = PL_F32, .rank = w->columns == PL_DIM_NONE ? 1 : 2, .shape = {rows, columns}, .data = value};
            pl_paligemma_point(&f->model, w, layer, &tensor);
        }
    for (size_t i = 0; i < f->towers->count; i++)
        add_tensor(f, f->towers->tensors[i].name, f->towers->tensors[i].rows * f->towers->tensors[i].columns, f->towers->tensors[i].value);
    for (size_t i = 0; i < f->count; i++)
        f->list[i] = (pl_parameter){.value = f->tensors[i].value, .gradient = f->tensors[i].gradient, .count = f->tensors[i].count};
    qsort(f->list, f->count, sizeof *f->list, by_address);
}

/* Texts are given as far as their end, which fills them up. */
static void make_batch(fixture *f)
{
    const int32_t *ids = golden_of(f, "ids")->data;
    const float *pixels = golden_of(f, "pixels")->data;
    for (size_t i = 0; i < PAIRS; i++) {
        size_t length = 0;
        f->ids[i][length++] = 2; /* <bos>, which texts of pairs are without */
        while (length <= POSITIONS && ids[i * POSITIONS + length - 1] != 1) {
            f->ids[i][length] = ids[i * POSITIONS + length - 1];
            length++;
        }
        f->images[i] = (pl_example_image){.pixels = (float *)(uintptr_t)(pixels + i * PIXELS)};
        f->examples[i] = (pl_example){.ids = f->ids[i], .count = length, .prefix_count = 1, .images = &f->images[i], .image_count = 1};
        f->laid[i] = &f->examples[i];
    }
    const pl_layout_options layout = {.image_tokens = 4, .text_positions = POSITIONS, .end = 1};
    assert_int_equal(pl_microbatch_lay(&f->batch, &layout, f->laid, PAIRS, NULL), PALI_OK);
    assert_memory_equal(f->batch.ids, ids, PAIRS * POSITIONS * sizeof *ids);
}

static void pass(fixture *f)
{
    const size_t mark = pl_arena_mark(f->ctx.arena);
    pl_objective_forward(&f->ctx, &f->objective, &f->batch);
    pl_tape_backward(&f->ctx);
    assert_false(f->ctx.failed);
    pl_arena_release(f->ctx.arena, mark);
}

static void open_fixture(fixture *f, const char *level, size_t threads, pl_keep keep)
{
    pali_error err = {0};
    *f = (fixture){.golden = pl_safetensors_open("tests/train/contrastive.safetensors", &err)};
    if (!f->golden)
        fail_msg("%s", err.message);
    f->model.config.vision = (pl_siglip_config){.image_size = SIDE, .patch = 4, .width = WIDTH, .layers = LAYERS, .heads = 3, .mlp = 20, .eps = 1e-6f};
    f->model.config.text.vocabulary = VOCABULARY;
    f->model.siglip.config = f->model.config.vision;
    f->model.siglip.blocks = f->blocks;
    f->towers = pl_towers_new(&f->model.config, POSITIONS, &err);
    assert_non_null(f->towers);
    make_weights(f);
    make_batch(f);
    f->objective = (pl_objective){.model = &f->model, .kind = PL_OBJECTIVE_CONTRASTIVE, .towers = f->towers};
    pl_tape_init(&f->tape);
    f->tape.keep = keep;
    f->tape.parameters = f->list;
    f->tape.parameter_count = f->count;
    pl_arena plan = pl_arena_plan();
    f->ctx = (pl_context){.kernels = pl_kernels_get(level, &err), .pool = pl_pool_new(threads, &err), .arena = &plan, .tape = &f->tape, .activations = PL_ACTIVATIONS_F32,
                          .regime = PL_REGIME_PREFILL};
    assert_true(f->ctx.kernels && f->ctx.pool);
    pass(f);
    assert_int_equal(pl_arena_init(&f->arena, plan.peak, "test", NULL), PALI_OK);
    assert_int_equal(pl_tape_reserve(&f->tape, f->tape.gradient_peak, NULL), PALI_OK);
    f->ctx.arena = &f->arena;
}

static void close_fixture(fixture *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->tensors[i].gradient);
        if (i < f->count - f->towers->count)
            free(f->tensors[i].value);
    }
    pl_towers_free(f->towers);
    pl_microbatch_free(&f->batch);
    pl_tape_free(&f->tape);
    pl_arena_free(&f->arena);
    pl_pool_free(f->ctx.pool);
    pl_tensor_file_close(f->golden);
}

static double largest(const float *x, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* Of what, and how far off in parts of the scale. A softmax does not see the bias of keys: rounding, against the largest of all. */
static double compare(const char *name, const float *found, const float *expected, size_t count, double scale)
{
    double worst = 0;
    scale = strstr(name, "k_proj.bias") ? scale : largest(expected, count);
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, isnan(found[i]) ? INFINITY : fabs((double)found[i] - (double)expected[i]));
    if (!(worst <= GRADIENT_BOUND * scale))
        fail_msg("%s is off by %.3g of %.3g", name, worst, scale);
    return worst / scale;
}

static void test_golden(void **state)
{
    (void)state;
    for (const char *const *level = pl_kernel_levels(); *level; level++) {
        fixture f;
        double worst = 0;
        open_fixture(&f, *level, 2, PL_KEEP_ALL);
        pass(&f);
        const double expected = *(const double *)golden_of(&f, "loss")->data, loss = pl_microbatch_loss(&f.batch);
        if (!(fabs(loss - expected) <= 1e-5 * expected) || f.batch.weight != 1)
            fail_msg("%s: the loss is %.9g, expected %.9g", *level, loss, expected);
        for (size_t i = 0; i < f.count; i++) {
            char key[220];
            snprintf(key, sizeof key, "grad.%s", f.tensors[i].name);
            worst = fmax(worst, compare(f.tensors[i].name, f.tensors[i].gradient, golden_of(&f, key)->data, f.tensors[i].count, 1));
        }
        assert_int_equal(2 * f.count + 5, pl_tensor_file_count(f.golden));
        print_message("%s: loss off by %.1e, gradients by %.1e\n", *level, fabs(loss / expected - 1), worst);
        close_fixture(&f);
    }
}

static void test_rows(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, NULL, 1, PL_KEEP_ALL);
    f.ctx.tape = NULL;
    const pl_rows images = pl_rows_push(&f.ctx, PAIRS, WIDTH), texts = pl_rows_push(&f.ctx, PAIRS, WIDTH);
    pl_contrastive_rows(&f.ctx, &f.objective, &f.batch, images, texts);
    assert_false(f.ctx.failed);
    compare("images", images.data, golden_of(&f, "images")->data, PAIRS * WIDTH, 1);
    compare("texts", texts.data, golden_of(&f, "texts")->data, PAIRS * WIDTH, 1);
    close_fixture(&f);
}

/* Any number of threads and both ways of keeping activations: the same bits. */
static void test_bits(void **state)
{
    (void)state;
    fixture one;
    open_fixture(&one, NULL, 1, PL_KEEP_ALL);
    pass(&one);
    for (size_t threads = 2; threads <= 4; threads++) {
        fixture f;
        open_fixture(&f, NULL, threads, threads % 2 ? PL_KEEP_ALL : PL_KEEP_BORDERS);
        pass(&f);
        for (size_t i = 0; i < f.count; i++)
            if (memcmp(f.tensors[i].gradient, one.tensors[i].gradient, f.tensors[i].count * sizeof(float)) != 0)
                fail_msg("%s: %zu threads give another gradient", f.tensors[i].name, threads);
        close_fixture(&f);
    }
    close_fixture(&one);
}

/* Texts that are too long lose what is behind, and end all the same. */
static void test_cut(void **state)
{
    (void)state;
    int32_t ids[] = {2, 11, 12, 13, 14, 15};
    const pl_example example = {.ids = ids, .count = 6, .prefix_count = 1};
    const pl_example *const list[] = {&example};
    pl_microbatch batch = {0};
    assert_int_equal(pl_microbatch_lay(&batch, &(pl_layout_options){.text_positions = 4, .end = 1}, list, 1, NULL), PALI_OK);
    assert_memory_equal(batch.ids, ((const int32_t[]){11, 12, 13, 1}), 4 * sizeof(int32_t));
    pl_microbatch_free(&batch);
}

/* What training from nothing begins with. */
static void test_fill(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, NULL, 1, PL_KEEP_ALL);
    pl_towers_fill(f.towers, 5, f.ctx.pool);
    assert_true(fabs((double)*f.towers->log_temperature - log(10)) < 1e-6);
    assert_true(fabs((double)*f.towers->bias + 10) < 1e-6);
    assert_true(f.towers->text_head.bias[0] == 0 && f.towers->image_head.block.norm2.scale[WIDTH - 1] == 1);
    const float *words = f.towers->embedding.data;
    double squares = 0;
    for (size_t i = 0; i < VOCABULARY * WIDTH; i++)
        squares += (double)words[i] * (double)words[i];
    assert_true(fabs(squares / VOCABULARY - 1) < 0.3);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_rows), cmocka_unit_test(test_bits), cmocka_unit_test(test_cut), cmocka_unit_test(test_fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
