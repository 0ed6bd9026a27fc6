/*
 * What the released checkpoints leave unsaid. Their configurations, reduced to
 * the fields that stand in them, must give the sizes and constants of the
 * papers; the tiny goldens cannot tell 1e-6 from 1e-5 or see the 28B model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/config.h"

#define VISION_224 "\"vision_config\":{\"hidden_size\":1152,\"intermediate_size\":4304,\"num_attention_heads\":16,\"num_hidden_layers\":27,\"patch_size\":14}"
#define VISION_896 "\"vision_config\":{\"hidden_size\":1152,\"image_size\":896,\"intermediate_size\":4304,\"num_attention_heads\":16,\"num_hidden_layers\":27,\"patch_size\":14}"
#define TEXT(family, width, mlp, heads, kv, layers, more) \
    "\"text_config\":{\"model_type\":\"" family "\",\"hidden_size\":" #width ",\"intermediate_size\":" #mlp ",\"num_attention_heads\":" #heads ",\"num_key_value_heads\":" #kv ",\"num_hidden_layers\":" #layers ",\"vocab_size\":257216" more "}"
#define GEMMA2 ",\"attn_logit_softcapping\":50.0,\"final_logit_softcapping\":30.0,\"sliding_window\":4096,\"eos_token_id\":[1,107],\"hidden_activation\":\"gelu_pytorch_tanh\""
#define CONFIG(vision, text) "{\"model_type\":\"paligemma\",\"hidden_size\":2048,\"vocab_size\":257152,\"image_token_index\":257152," vision "," text "}"

static const struct released {
    const char *name, *config;
    size_t image_size;
    pl_gemma_config text;
    double query_scale;
} released[] = {
    {"paligemma-3b-pt-224", CONFIG(VISION_224, TEXT("gemma", 2048, 16384, 8, 1, 18, "")), 224,
     {.width = 2048, .layers = 18, .heads = 8, .kv_heads = 1, .head_dim = 256, .mlp = 16384}, 1.0 / 16},
    {"paligemma-3b-pt-896", CONFIG(VISION_896, TEXT("gemma", 2048, 16384, 8, 1, 18, "")), 896,
     {.width = 2048, .layers = 18, .heads = 8, .kv_heads = 1, .head_dim = 256, .mlp = 16384}, 1.0 / 16},
    {"paligemma2-3b", CONFIG(VISION_224, TEXT("gemma2", 2304, 9216, 8, 4, 26, GEMMA2 ",\"head_dim\":256,\"query_pre_attn_scalar\":256")), 224,
     {.width = 2304, .layers = 26, .heads = 8, .kv_heads = 4, .head_dim = 256, .mlp = 9216, .post_norms = true}, 1.0 / 16},
    {"paligemma2-3b, only what has no default", CONFIG(VISION_224, TEXT("gemma2", 2304, 9216, 8, 4, 26, "")), 224,
     {.width = 2304, .layers = 26, .heads = 8, .kv_heads = 4, .head_dim = 256, .mlp = 9216, .post_norms = true}, 1.0 / 16},
    {"paligemma2-10b, rope as newer saves nest it", CONFIG(VISION_224, TEXT("gemma2", 3584, 14336, 16, 8, 42, GEMMA2 ",\"head_dim\":256,\"query_pre_attn_scalar\":256,\"rope_parameters\":{\"rope_theta\":10000.0}")), 224,
     {.width = 3584, .layers = 42, .heads = 16, .kv_heads = 8, .head_dim = 256, .mlp = 14336, .post_norms = true}, 1.0 / 16},
    {"paligemma2-28b", CONFIG(VISION_896, TEXT("gemma2", 4608, 36864, 32, 16, 46, GEMMA2 ",\"head_dim\":128,\"query_pre_attn_scalar\":144")), 896,
     {.width = 4608, .layers = 46, .heads = 32, .kv_heads = 16, .head_dim = 128, .mlp = 36864, .post_norms = true}, 1.0 / 12},
};

static void read_config(pl_config *config, const char *text, const char *name)
{
    pali_error err = {0};
    pl_json *json = pl_json_open_memory(text, strlen(text), name, &err);
    if (!json || pl_config_from_json(config, json, &err) != PALI_OK)
        fail_msg("%s: %s", name, err.message);
    pl_json_close(json);
}

static void assert_constants(const char *name, const pl_gemma_config *text, bool gemma2, double query_scale)
{
    const double softcaps[2] = {gemma2 ? 50 : 0, gemma2 ? 30 : 0};
    if (text->query_scale != (float)query_scale)
        fail_msg("%s: query scale: found %.9g, expected %.9g", name, (double)text->query_scale, query_scale);
    if ((double)text->attention_softcap != softcaps[0] || (double)text->final_softcap != softcaps[1])
        fail_msg("%s: soft-caps: found %g and %g, expected %g and %g", name, (double)text->attention_softcap, (double)text->final_softcap, softcaps[0], softcaps[1]);
    if (text->post_norms != gemma2)
        fail_msg("%s: norms behind the branches: found %d, expected %d", name, text->post_norms, gemma2);
}

static void test_configurations(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof released / sizeof *released; i++) {
        const struct released *r = &released[i];
        pl_config config;
        read_config(&config, r->config, r->name);
        assert_int_equal(config.gemma2, r->text.post_norms);
        assert_int_equal(config.image_id, 257152);
        assert_false(config.untied_head);

        const pl_siglip_config *vision = &config.vision;
        assert_int_equal(vision->image_size, r->image_size);
        assert_int_equal(vision->patch, 14);
        assert_int_equal(vision->width, 1152);
        assert_int_equal(vision->layers, 27);
        assert_int_equal(vision->heads, 16);
        assert_int_equal(vision->mlp, 4304);
        assert_true(vision->eps == 1e-6f);

        const pl_gemma_config *text = &config.text;
        assert_int_equal(text->width, r->text.width);
        assert_int_equal(text->layers, r->text.layers);
        assert_int_equal(text->heads, r->text.heads);
        assert_int_equal(text->kv_heads, r->text.kv_heads);
        assert_int_equal(text->head_dim, r->text.head_dim);
        assert_int_equal(text->mlp, r->text.mlp);
        assert_true(text->eps == 1e-6f);
        assert_true(text->rope_base == 10000);
        assert_true(text->norm_offset == 1);
        assert_constants(r->name, text, config.gemma2, r->query_scale);
    }
}

/* A config without a vision part means the released tower at 224 pixels. */
static void test_vision_defaults(void **state)
{
    (void)state;
    pl_config config;
    read_config(&config, CONFIG("\"vision_config\":{}", TEXT("gemma", 2048, 16384, 8, 1, 18, "")), "config.json");
    assert_int_equal(config.vision.image_size, 224);
    assert_int_equal(config.vision.patch, 14);
    assert_int_equal(config.vision.width, 1152);
    assert_int_equal(config.vision.layers, 27);
    assert_int_equal(config.vision.heads, 16);
    assert_int_equal(config.vision.mlp, 4304);
}

/* Fine-tunes save the final cap as null, and other epsilons and bases where they have them. */
static void test_what_a_config_says_wins(void **state)
{
    (void)state;
    pl_config config;
    read_config(&config, CONFIG("\"vision_config\":{\"layer_norm_eps\":1e-5}", TEXT("gemma2", 2304, 9216, 8, 4, 26, ",\"final_logit_softcapping\":null,\"rms_norm_eps\":1e-5,\"rope_theta\":50000.0")),
                "config.json");
    assert_true(config.vision.eps == 1e-5f);
    assert_true(config.text.eps == 1e-5f);
    assert_true(config.text.rope_base == 50000);
    assert_true(config.text.attention_softcap == 50);
    assert_true(config.text.final_softcap == 0);
}

/* The same constants where only shapes are known: npz, and GGUF keys that say no more. */
static void test_constants_from_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof released / sizeof *released; i++) {
        const struct released *r = &released[i];
        pl_config config = {.gemma2 = r->text.post_norms, .text = r->text};
        config.text.post_norms = !config.gemma2;
        pl_config_released_constants(&config);
        assert_constants(r->name, &config.text, config.gemma2, r->query_scale);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configurations),
        cmocka_unit_test(test_vision_defaults),
        cmocka_unit_test(test_what_a_config_says_wins),
        cmocka_unit_test(test_constants_from_sizes),
    };
    return cmocka_run_group_tests_name("released", tests, NULL, NULL);
}
