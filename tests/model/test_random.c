/*
 * Shapes by name against the parameter counts that the published
 * implementation reports (of one decoder layer, the tower, the projector), and
 * models of random weights: the values' spread in every type, the same for any
 * number of threads, and activations that stay finite.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/random.h"
#include "model/shapes.h"
#include "model/tiny.h"

static size_t parameters_of(const pl_config *config, const char *part, bool one_layer)
{
    size_t total = 0;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++) {
        const size_t layers = one_layer ? w->part == PL_PART_TEXT_LAYER : pl_part_layers(config, w->part);
        if (strcmp(pl_part_name(w->part), part) == 0 && pl_weight_present(config, w))
            total += layers * pl_dim_size(config, w->rows) * pl_dim_size(config, w->columns);
    }
    return total;
}

static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t tower, projector, layer, layers;
    } facts[] = {
        {"paligemma-3b-224", 412442352, 2361344, 110104576, 18},
        {"paligemma2-3b-448", 413327088, 2656512, 77865984, 26},
        {"paligemma2-10b-896", 416866032, 4132352, 198195200, 42},
        {"paligemma2-28b-224", 412442352, 5313024, 566249472, 46},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        pl_config config;
        pali_error err = {0};
        expect_ok(pl_config_from_shape(&config, facts[i].name, &err), &err);
        assert_int_equal(parameters_of(&config, "vision", false), facts[i].tower);
        assert_int_equal(parameters_of(&config, "projector", false), facts[i].projector);
        assert_int_equal(parameters_of(&config, "language", true), facts[i].layer);
        assert_int_equal(config.text.layers, facts[i].layers);
        assert_int_equal(config.text.vocabulary, 257216);
        assert_true(config.text.query_scale == (facts[i].layers == 46 ? 1.0f / 12 : 1.0f / 16));
    }
}

static void test_shape_of_nano(void **state)
{
    (void)state;
    pl_config shape;
    pali_error err = {0};
    expect_ok(pl_config_from_shape(&shape, "nano", &err), &err);
    pl_checkpoint *nano = pl_checkpoint_open("models/nano", NULL, &err);
    if (!nano)
        fail_msg("%s", err.message);
    assert_memory_equal(&shape.vision, &nano->config.vision, sizeof shape.vision);
    assert_memory_equal(&shape.text, &nano->config.text, sizeof shape.text);
    pl_checkpoint_close(nano);
}

static void test_unknown_shapes(void **state)
{
    (void)state;
    static const char *const names[] = {"", "paligemma-3b", "paligemma-3b-225", "paligemma-3b-224x", "nano-224"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        pl_config config;
        pali_error err = {0};
        assert_int_equal(pl_config_from_shape(&config, names[i], &err), PALI_USAGE);
        assert_non_null(strstr(err.message, "paligemma2-28b-224|448|896, nano"));
    }
}

/* Gemma 2 with widths that every type's blocks fit, but for the tower's MLP, which only bf16 and smaller blocks fit. */
static pl_config small(void)
{
    pl_config config = {
        .gemma2 = true,
        .vision = {.image_size = 28, .patch = 14, .width = 256, .layers = 1, .heads = 2, .mlp = 304, .eps = 1e-6f},
        .text = {.width = 256, .layers = 2, .heads = 2, .kv_heads = 1, .head_dim = 128, .mlp = 512, .vocabulary = 300, .eps = 1e-6f, .norm_offset = 1, .rope_base = 10000},
    };
    pl_config_released_constants(&config);
    return config;
}

/* Mean and deviation of a weight's values as f32. */
static void measure(const pl_tensor *tensor, double *mean, double *deviation)
{
    pali_error err = {0};
    const pl_kernels *kernels = pl_kernels_get("ref", &err);
    const size_t rows = tensor->shape[0], columns = tensor->shape[1];
    float *values = calloc(columns, sizeof *values);
    double sum = 0, squares = 0;
    for (size_t r = 0; r < rows; r++) {
        size_t row_bytes;
        assert_true(pl_dtype_row_bytes(tensor->dtype, columns, &row_bytes));
        pl_read_row(tensor->dtype, tensor->data, row_bytes, r, 0, columns, values);
        if (tensor->scale)
            kernels->scale(columns, tensor->scale[r], values);
        for (size_t c = 0; c < columns; c++) {
            sum += (double)values[c];
            squares += (double)values[c] * (double)values[c];
        }
    }
    free(values);
    *mean = sum / (double)(rows * columns);
    *deviation = sqrt(squares / (double)(rows * columns) - *mean * *mean);
}

/* One picture and three tokens through the whole model. */
static void expect_finite(const pl_paligemma *model)
{
    enum { PIXELS = 28 * 28 * 3, TOKENS = 4, TEXT = 3 };
    static float pixels[PIXELS];
    static const int32_t ids[TEXT] = {2, 17, 299};
    pali_error err = {0};
    pl_arena arena;
    pl_kv_cache cache;
    expect_ok(pl_arena_init(&arena, 16 << 20, "test", &err), &err);
    pl_kv_cache_init(&cache, 2, 128, PL_F32);
    expect_ok(pl_kv_cache_reserve(&cache, TOKENS + TEXT, &err), &err);
    pl_context ctx = {.kernels = pl_kernels_get(NULL, &err), .arena = &arena};
    for (size_t i = 0; i < PIXELS; i++)
        pixels[i] = (float)(i % 255) / 127 - 1;
    const pl_rows x = pl_rows_push(&ctx, TOKENS + TEXT, 256), out = pl_rows_push(&ctx, TOKENS + TEXT, 256);
    const pl_rows logits = pl_rows_push(&ctx, TOKENS + TEXT, 300);
    pl_paligemma_encode(&ctx, model, pixels, pl_rows_view(x, 0, TOKENS));
    pl_gemma_embed(&ctx, &model->gemma, ids, pl_rows_view(x, TOKENS, TEXT));
    const pl_segment segment = {.cache = &cache, .rows = TOKENS + TEXT, .prefix = TOKENS + TEXT};
    pl_gemma_forward_inplace(&ctx, &model->gemma, x, &segment, 1, out);
    pl_gemma_logits(&ctx, &model->gemma, out, logits);
    assert_false(ctx.failed);
    assert_true(ctx.kernels->all_finite(logits.count * logits.width, logits.data));
    pl_kv_cache_free(&cache);
    pl_arena_free(&arena);
}

static void test_every_type(void **state)
{
    (void)state;
    const pl_config config = small();
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        if (!pl_dtype_is_float(type) && !pl_dtype_is_tiled(type))
            continue;
        pali_error err = {0};
        pl_paligemma *model = pl_paligemma_random(&config, type, NULL, &err);
        if (!model)
            fail_msg("%s: %s", pl_dtype_name(type), err.message);
        const pl_tensor *embedding = &model->gemma.embedding, *fc2 = &model->siglip.blocks[0].fc2.weight;
        double mean, deviation;
        measure(embedding, &mean, &deviation);
        assert_int_equal(embedding->dtype, type);
        /* A stretch of values is repeated: 256 KiB of the largest block are 262,144 / 210 * 256 samples. */
        if (fabs(mean) > 0.02 / 16 || fabs(deviation * 16 - 1) > 0.05)
            fail_msg("%s: found mean %g and deviation %g, expected 0 and %g", pl_dtype_name(type), mean, deviation, 1.0 / 16);
        assert_int_equal(fc2->dtype, pl_dtype_block(type) == 1 || type == PL_BF16_TILES || type == PL_Q8_TILES ? type : PL_BF16);
        assert_true(model->gemma.layers[1].mlp_post_norm != NULL && model->siglip.norm.bias != NULL);
        assert_true(fabs((double)model->siglip.norm.scale[7] - 1) < 0.6);
        assert_true(fabs((double)model->gemma.norm[7]) < 0.6);
        expect_finite(model);
        pl_paligemma_close(model);
    }
}

static void test_bytes_and_threads(void **state)
{
    (void)state;
    const pl_config config = small();
    pali_error err = {0};
    pl_pool *pool = pl_pool_new(3, &err);
    pl_paligemma *alone = pl_paligemma_random(&config, PL_Q8_0, NULL, &err), *together = pl_paligemma_random(&config, PL_Q8_0, pool, &err);
    assert_true(alone && together);
    const size_t bytes = pl_random_bytes(&config, PL_Q8_0);
    assert_true(alone->weight_bytes <= bytes && bytes < alone->weight_bytes + 64 * 100);
    assert_int_equal(alone->parameters, parameters_of(&config, "vision", false) + parameters_of(&config, "projector", false) + parameters_of(&config, "language", false));
    assert_memory_equal(alone->blocks[0], together->blocks[0], bytes);
    pl_paligemma_close(alone);
    pl_paligemma_close(together);
    pl_pool_free(pool);
}

static void test_impossible_type(void **state)
{
    (void)state;
    const pl_config config = small();
    pali_error err = {0};
    assert_null(pl_paligemma_random(&config, PL_I32, NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),         cmocka_unit_test(test_shape_of_nano),     cmocka_unit_test(test_unknown_shapes),
        cmocka_unit_test(test_every_type),     cmocka_unit_test(test_bytes_and_threads), cmocka_unit_test(test_impossible_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
