/* Models from nothing: distributions by name, the same for any threads, opened and asked like any other. */
#include "train/initialise.h"

#include "base/folder.h"
#include "model/tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pali-initialise-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return pl_folder_remove(folder);
}

#define VISION "\"vision_config\": {\"hidden_size\": 96, \"intermediate_size\": 160, \"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"image_size\": 56, \"patch_size\": 14}"
#define TEXT_WITH(more) "\"text_config\": {" more ", \"hidden_size\": 64, \"intermediate_size\": 192, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"head_dim\": 16}"
#define TEXT(family) TEXT_WITH("\"num_key_value_heads\": 2, \"model_type\": \"" family "\"")

static void make(const char *config, size_t threads, pl_paligemma **model)
{
    pali_error err = {0};
    pl_pool *pool = pl_pool_new(threads, &err);
    const pl_initialise_options options = {.config = config, .tokenizer = TINY "pg1", .seed = 3, .pool = pool};
    expect_ok(pl_initialise(folder, &options, &err), &err);
    pl_pool_free(pool);
    *model = pl_paligemma_open(folder, &(pl_load_options){0}, &err);
    if (!*model)
        fail_msg("%s", err.message);
}

/* Mean, deviation and largest value of a weight over its layers. */
static void measure(const pl_paligemma *model, const char *name, double *mean, double *deviation, double *most, size_t *count)
{
    *mean = *deviation = *most = 0;
    *count = 0;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++)
        for (size_t layer = 0; layer < pl_part_layers(&model->config, w->part); layer++) {
            char own[160];
            size_t values;
            pl_weight_name(w, &model->config, layer, own);
            if (!strstr(own, name) || !pl_weight_present(&model->config, w))
                continue;
            const pl_tensor tensor = pl_weight_tensor(model, w, layer);
            const float *x = tensor.data;
            assert_true(tensor.dtype == PL_F32 && pl_tensor_count(&tensor, &values));
            for (size_t i = 0; i < values; i++) {
                *mean += (double)x[i];
                *deviation += (double)x[i] * (double)x[i];
                *most = fmax(*most, fabs((double)x[i]));
            }
            *count += values;
        }
    assert_true(*count > 0);
    *mean /= (double)*count;
    *deviation = sqrt(fmax(0, *deviation / (double)*count - *mean * *mean));
}

static void draws_as_the_reference(void **state)
{
    (void)state;
    const double uniform = 1 / sqrt(3.0), cut = 2 / 0.87962566103423978;
    const struct {
        const char *name;
        double mean, deviation, most; /* most: bound of what is bounded, else 0 */
    } facts[] = {
        {"patch_embedding.weight", 0, 1 / sqrt(588.0), cut / sqrt(588.0)},
        {"position_embedding", 0, 1 / sqrt(96.0), 0},
        {"vision.encoder.layers.0.self_attn.q_proj.weight", 0, uniform * sqrt(6 / 192.0), sqrt(6 / 192.0)},
        {"self_attn.out_proj.weight", 0, uniform * sqrt(6 / 192.0), sqrt(6 / 192.0)},
        {"mlp.fc1.weight", 0, uniform * sqrt(6 / 256.0), sqrt(6 / 256.0)},
        {"mlp.fc2.weight", 0, uniform * sqrt(6 / 256.0), sqrt(6 / 256.0)},
        {"mlp.fc1.bias", 0, 1e-6, 0},
        {"q_proj.bias", 0, 0, 0},
        {"patch_embedding.bias", 0, 0, 0},
        {"layer_norm1.weight", 1, 0, 1},
        {"layer_norm2.bias", 0, 0, 0},
        {"post_layernorm.weight", 1, 0, 1},
        {"projector.linear.weight", 0, 0, 0},
        {"embed_tokens", 0, 1 / sqrt(64.0), 0},
        {"text.layers.1.self_attn.k_proj", 0, 1 / sqrt(64.0), cut / sqrt(64.0)},
        {"o_proj", 0, 1 / sqrt(64.0), cut / sqrt(64.0)},
        {"gate_proj", 0, 1 / sqrt(64.0), cut / sqrt(64.0)},
        {"down_proj", 0, 1 / sqrt(192.0), cut / sqrt(192.0)},
        {"input_layernorm", 0, 0, 0},
        {"post_feedforward_layernorm", 0, 0, 0},
        {"text.norm", 0, 0, 0},
    };
    pl_paligemma *model;
    make("{" VISION ", " TEXT("gemma2") "}", 2, &model);
    assert_true(model->config.gemma2);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        double mean, deviation, most;
        size_t count;
        measure(model, facts[i].name, &mean, &deviation, &most, &count);
        const double share = 4 / sqrt((double)count); /* four deviations of a mean; a deviation is known better */
        if (!(fabs(mean - facts[i].mean) <= share * facts[i].deviation && fabs(deviation - facts[i].deviation) <= share * facts[i].deviation))
            fail_msg("%s: mean %g, deviation %g, expected %g, %g", facts[i].name, mean, deviation, facts[i].mean, facts[i].deviation);
        if (facts[i].most > 0)
            assert_true(most <= facts[i].most * (1 + 1e-7) && most > 0.95 * facts[i].most);
    }
    assert_int_equal(model->config.text.vocabulary, 1600); /* 1537 pieces, in whole steps of 64 */
    pl_paligemma_close(model);
}

static void is_the_same_for_any_threads(void **state)
{
    (void)state;
    pl_paligemma *one, *three;
    make("{" VISION ", " TEXT("gemma") "}", 1, &one);
    make("{" VISION ", " TEXT("gemma") "}", 3, &three); /* in the place of the first, which is mapped still */
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++)
        for (size_t layer = 0; layer < pl_part_layers(&one->config, w->part) && pl_weight_present(&one->config, w); layer++) {
            const pl_tensor a = pl_weight_tensor(one, w, layer), b = pl_weight_tensor(three, w, layer);
            size_t bytes;
            assert_true(pl_tensor_bytes(&a, &bytes));
            assert_memory_equal(a.data, b.data, bytes);
        }
    pl_paligemma_close(one);
    pl_paligemma_close(three);
}

static void answers(void **state)
{
    (void)state;
    pl_paligemma *model;
    make("{" VISION ", " TEXT("gemma") ", \"tie_word_embeddings\": false}", 2, &model);
    assert_false(pl_head_is_tied(model));
    pl_paligemma_close(model);
    tiny_model tiny;
    tiny_open(&tiny, folder, NULL, NULL, 1);
    tiny_images(&tiny, "a");
    tiny_ask(&tiny, "caption en", 4);
    assert_true(tiny.timeline.tokens.count > 0 && isfinite(tiny.timeline.logprobs[0]));
    tiny_close(&tiny);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *config, *tokenizer, *message;
    } cases[] = {
        {"{", TINY "pg1", "model_config"},
        {"{\"vision_config\": {\"hidden_size\": \"x\"}}", TINY "pg1", "vision_config.hidden_size"},
        {"{" VISION ", " TEXT_WITH("\"num_key_value_heads\": 3") "}", TINY "pg1", "kv heads"},
        {"{" VISION ", " TEXT_WITH("\"num_key_value_heads\": 2, \"vocab_size\": 1000") "}", TINY "pg1", "text_config.vocab_size: found 1000, expected at least the 1537 pieces"},
        {"{}", TINY "nothing", "nothing"},
        {"{}", NULL, "tokenizer: found none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[80];
        pali_error err = {0};
        snprintf(path, sizeof path, "%s/none", folder);
        const pl_initialise_options options = {.config = cases[i].config, .tokenizer = cases[i].tokenizer};
        assert_int_not_equal(pl_initialise(path, &options, &err), PALI_OK);
        if (!strstr(err.message, cases[i].message))
            fail_msg("found \"%s\", expected \"%s\" in it", err.message, cases[i].message);
        assert_int_not_equal(access(path, F_OK), 0);
        strcat(path, ".tmp");
        assert_int_not_equal(access(path, F_OK), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_as_the_reference), cmocka_unit_test(is_the_same_for_any_threads),
        cmocka_unit_test(answers),                cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
