/*
 * Numbers anyone can check about the released models (golden_facts.md, 1 to
 * 19): parameters from the list of weights, scales, caps, rotary frequencies.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/tiny.h"

typedef struct released {
    const char *name;
    size_t layers, width, mlp, heads, kv_heads, head_dim;
    bool gemma2;
    uint64_t layer_parameters, projector_parameters, total_npz, total_hf; /* totals at 224 */
    size_t tensors, cache_bytes;                                          /* cache: a position, in bf16 */
    double scale;
} released;

static const released models[] = {
    {"paligemma-3b", 18, 2048, 16384, 8, 1, 256, false, 110104576, 2361344, 2923335408, 2923466480, 603, 18432, 1.0 / 16},
    {"paligemma2-3b", 26, 2304, 9216, 8, 4, 256, true, 77865984, 2656512, 3032094960, 3032242416, 727, 106496, 1.0 / 16},
    {"paligemma2-10b", 42, 3584, 14336, 16, 8, 256, true, 198195200, 4132352, 9662409456, 9662638832, 903, 344064, 1.0 / 16},
    {"paligemma2-28b", 46, 4608, 36864, 32, 16, 128, true, 566249472, 5313024, 27650192112, 27650487024, 947, 376832, 1.0 / 12},
};

static pl_config config_of(const released *r, size_t image_size, size_t vocabulary)
{
    pl_config config = {
        .vision = {.image_size = image_size, .patch = 14, .width = 1152, .layers = 27, .heads = 16, .mlp = 4304, .eps = 1e-6f},
        .text = {.width = r->width, .layers = r->layers, .heads = r->heads, .kv_heads = r->kv_heads, .head_dim = r->head_dim, .mlp = r->mlp, .vocabulary = vocabulary, .eps = 1e-6f,
                 .norm_offset = 1, .rope_base = 10000},
        .gemma2 = r->gemma2,
    };
    pl_config_released_constants(&config);
    return config;
}

/* Parameters and tensors of the parts from first to last. */
static uint64_t count(const pl_config *config, pl_part first, pl_part last, size_t *tensors)
{
    uint64_t parameters = 0;
    *tensors = 0;
    for (size_t w = 0; w < pl_weight_count; w++) {
        const pl_weight *weight = &pl_weights[w];
        if (weight->part < first || weight->part > last || !pl_weight_present(config, weight))
            continue;
        const size_t layers = pl_part_layers(config, weight->part);
        parameters += (uint64_t)layers * pl_dim_size(config, weight->rows) * pl_dim_size(config, weight->columns);
        *tensors += layers;
    }
    return parameters;
}

static void test_parameters(void **state)
{
    (void)state;
    size_t tensors;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const released *r = &models[i];
        const pl_config npz = config_of(r, 224, 257152), hf = config_of(r, 224, 257216);
        assert_true(count(&npz, PL_PART_VISION, PL_PART_TEXT_LAYER, &tensors) == r->total_npz);
        assert_true(count(&hf, PL_PART_VISION, PL_PART_TEXT_LAYER, &tensors) == r->total_hf);
        assert_int_equal(tensors, r->tensors);
        assert_true(count(&hf, PL_PART_PROJECTOR, PL_PART_PROJECTOR, &tensors) == r->projector_parameters);
        assert_true(count(&hf, PL_PART_TEXT_LAYER, PL_PART_TEXT_LAYER, &tensors) == r->layer_parameters * r->layers);
        assert_true(count(&hf, PL_PART_VISION_BLOCK, PL_PART_VISION_BLOCK, &tensors) == 27u * 15239504u);
        pali_error err = {0};
        expect_ok(pl_config_check(&hf, r->name, &err), &err);
    }
    const size_t sides[3] = {224, 448, 896};
    const uint64_t vision[3] = {412442352, 413327088, 416866032};
    for (size_t i = 0; i < 3; i++) {
        const pl_config config = config_of(&models[0], sides[i], 257152);
        assert_true(count(&config, PL_PART_VISION, PL_PART_VISION_BLOCK, &tensors) == vision[i]);
        assert_int_equal(tensors, 437);
        assert_int_equal(pl_siglip_tokens(&config.vision), 256u << (2 * i));
    }
}

static void test_scales(void **state)
{
    (void)state;
    const double roots[4] = {45.254834, 48, 59.866518, 67.882251};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const pl_config config = config_of(&models[i], 224, 257216);
        assert_true(config.text.query_scale == (float)models[i].scale);
        assert_true(config.text.attention_softcap == (models[i].gemma2 ? 50 : 0));
        assert_true(config.text.final_softcap == (models[i].gemma2 ? 30 : 0));
        assert_true(config.text.post_norms == models[i].gemma2);
        assert_true(fabs(sqrt((double)config.text.width) - roots[i]) < 1e-6);
        pl_kv_cache cache;
        pl_kv_cache_init(&cache, config.text.layers, config.text.kv_heads * config.text.head_dim, PL_F32);
        assert_int_equal(pl_kv_cache_position_bytes(&cache) / 2, models[i].cache_bytes); /* ours is f32 */
    }
}

/* Frequencies as seen at position 1, and the worked rotation. */
static void test_rotary(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_arena arena;
    expect_ok(pl_arena_init(&arena, 1 << 16, "test", &err), &err);
    pl_context ctx = {.kernels = pl_kernels_get(NULL, &err), .arena = &arena};
    const uint32_t positions[2] = {1, 3};
    float cosine[2 * 128], sine[2 * 128];
    static const struct {
        size_t half, index;
        double frequency;
    } facts[] = {{128, 1, 0.930572041}, {128, 63, 0.0107460783}, {128, 64, 0.01}, {128, 127, 1.0746e-4}, {64, 1, 0.8659643}, {64, 32, 0.01}, {64, 63, 1.15478e-4}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        pl_op_rope_angles(&ctx, positions, 1, facts[i].half, 10000, cosine, sine);
        assert_true(fabs(asin((double)sine[facts[i].index]) / facts[i].frequency - 1) < 1e-5);
    }
    float x[4] = {1, 2, 3, 4};
    const double rotated[4] = {-1.41335252, 1.87911807, -2.82885748, 4.05819114};
    pl_op_rope_angles(&ctx, positions + 1, 1, 2, 10000, cosine, sine);
    pl_op_rope_inplace(&ctx, cosine, sine, 2, (pl_rows){.data = x, .count = 1, .width = 4});
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs((double)x[i] - rotated[i]) < 1e-6);
    pl_arena_free(&arena);
}

/* Names of any generation of transformers lead to one canonical name. */
static void test_names(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"language_model.model.layers.3.mlp.up_proj.weight", "text.layers.3.mlp.up_proj.weight"},
        {"model.language_model.layers.3.mlp.up_proj.weight", "text.layers.3.mlp.up_proj.weight"},
        {"vision_tower.vision_model.post_layernorm.bias", "vision.post_layernorm.bias"},
        {"model.vision_tower.vision_model.post_layernorm.bias", "vision.post_layernorm.bias"},
        {"model.vision_tower.post_layernorm.bias", "vision.post_layernorm.bias"},
        {"multi_modal_projector.linear.weight", "projector.linear.weight"},
        {"model.multi_modal_projector.linear.weight", "projector.linear.weight"},
        {"language_model.lm_head.weight", "head.weight"},
        {"lm_head.weight", "head.weight"},
    };
    char canonical[160];
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_true(pl_canonical_name(same[i][0], canonical));
        assert_string_equal(canonical, same[i][1]);
    }
    assert_false(pl_canonical_name("audio_tower.layers.0.weight", canonical));
    /* What Gemma 1 and Gemma 2 mean by post_attention_layernorm. */
    const pl_config first = {.gemma2 = false}, second = {.gemma2 = true};
    for (size_t w = 0; w < pl_weight_count; w++) {
        if (pl_weights[w].offset == offsetof(pl_gemma_layer, mlp_norm) && pl_weights[w].part == PL_PART_TEXT_LAYER) {
            assert_string_equal(pl_weight_name(&pl_weights[w], &first, 0, canonical), "text.layers.0.post_attention_layernorm.weight");
            assert_string_equal(pl_weight_name(&pl_weights[w], &second, 0, canonical), "text.layers.0.pre_feedforward_layernorm.weight");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_rotary),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
