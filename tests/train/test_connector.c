/*
 * The connector of the paper's ablation, an MLP of one hidden layer in the place
 * of the affine map: made, computed as its equation says, trained, saved and
 * opened again; refused where a format has no room for it. Its gradients are in
 * test_model_gradients.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data_support.h"
#include "model/save.h"
#include "train/initialise.h"
#include "train/trainer_parts.h"

#define SHAPE                                                                                                                                          \
    "vision_config: {image_size: 28, patch_size: 14, hidden_size: 12, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16}, "          \
    "text_config: {hidden_size: 20, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8, intermediate_size: 24}"

enum { VISION = 12, TEXT = 20, TOKENS = 4 };

static pl_paligemma *open_model(const char *path)
{
    pali_error err = {0};
    pl_paligemma *model = pl_paligemma_open(path, &(pl_load_options){0}, &err);
    if (!model)
        fail_msg("%s", err.message);
    return model;
}

/* Rows of the projector, [TOKENS, TEXT]. */
static void project(const pl_paligemma *model, const float *tokens, float *out)
{
    pl_arena arena;
    assert_int_equal(pl_arena_init(&arena, 1 << 20, "test", NULL), PALI_OK);
    pl_context ctx = {.kernels = pl_kernels_get("ref", NULL), .arena = &arena, .activations = PL_ACTIVATIONS_F32};
    const pl_rows x = pl_rows_push(&ctx, TOKENS, VISION), y = pl_rows_push(&ctx, TOKENS, TEXT);
    memcpy(x.data, tokens, TOKENS * VISION * sizeof *tokens);
    pl_projector_forward(&ctx, &model->siglip, x, y);
    assert_false(ctx.failed);
    memcpy(out, y.data, TOKENS * TEXT * sizeof *out);
    pl_arena_free(&arena);
}

static void apply(const pl_linear *linear, const double *x, double *y)
{
    const float *w = linear->weight.data;
    const size_t out = linear->weight.shape[0], in = linear->weight.shape[1];
    for (size_t i = 0; i < out; i++) {
        y[i] = (double)linear->bias[i];
        for (size_t k = 0; k < in; k++)
            y[i] += (double)w[i * in + k] * x[k];
    }
}

/* W2 gelu(W1 x + b1) + b2, in double. */
static void expect_equation(const pl_paligemma *model, const float *tokens, const float *found)
{
    for (size_t t = 0; t < TOKENS; t++) {
        double x[VISION], hidden[TEXT], y[TEXT];
        for (size_t i = 0; i < VISION; i++)
            x[i] = (double)tokens[t * VISION + i];
        apply(&model->siglip.projector_hidden, x, hidden);
        for (size_t i = 0; i < TEXT; i++)
            hidden[i] *= 0.5 * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (hidden[i] + 0.044715 * pow(hidden[i], 3))));
        apply(&model->siglip.projector, hidden, y);
        for (size_t i = 0; i < TEXT; i++)
            if (!(fabs(y[i] - (double)found[t * TEXT + i]) < 1e-5)) /* f32 sums of numbers near 1 */
                fail_msg("row %zu, column %zu: %g, expected %g", t, i, (double)found[t * TEXT + i], y[i]);
    }
}

static void make_tokens(float tokens[TOKENS * VISION])
{
    for (size_t i = 0; i < TOKENS * VISION; i++)
        tokens[i] = (float)sin(0.7 * (double)i);
}

static void test_there_and_back(void **state)
{
    (void)state;
    pali_error err = {0};
    char made[300], saved[300];
    snprintf(made, sizeof made, "%s", data_path("made"));
    snprintf(saved, sizeof saved, "%s", data_path("saved"));
    const pl_initialise_options options = {
        .config = "{\"vision_config\": {\"image_size\": 28, \"patch_size\": 14, \"hidden_size\": 12, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"intermediate_size\": 16}, "
                  "\"text_config\": {\"hidden_size\": 20, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"head_dim\": 8, \"intermediate_size\": 24}, "
                  "\"connector\": \"mlp\"}",
        .tokenizer = "models/nano", .seed = 3, .projector_random = true};
    if (pl_initialise(made, &options, &err) != PALI_OK)
        fail_msg("%s", err.message);
    pl_paligemma *model = open_model(made);
    float tokens[TOKENS * VISION], rows[TOKENS * TEXT], again[TOKENS * TEXT];
    make_tokens(tokens);
    project(model, tokens, rows);
    expect_equation(model, tokens, rows);
    pl_save_options save = {.container = PL_CONTAINER_SAFETENSORS, .vision = PL_F32, .language = PL_F32, .embedding = PL_F32, .head = PL_F32};
    pl_save_report report;
    if (pl_paligemma_save(model, saved, &save, &report, &err) != PALI_OK)
        fail_msg("%s", err.message);
    pl_paligemma *copy = open_model(saved);
    assert_true(copy->config.vision.mlp_connector);
    project(copy, tokens, again);
    assert_memory_equal(rows, again, sizeof rows);
    pl_paligemma_close(copy);
    static const struct {
        pl_container container;
        const char *name, *message;
    } refused[] = {{PL_CONTAINER_GGUF, "no.gguf", "connector mlp), expected one: a GGUF holds no other"}, {PL_CONTAINER_NPZ, "no.npz", "connector mlp), expected one: an npz holds no other"}};
    for (size_t i = 0; i < 2; i++) {
        save.container = refused[i].container;
        assert_int_equal(pl_paligemma_save(model, data_path(refused[i].name), &save, &report, &err), PALI_USAGE);
        if (!strstr(err.message, refused[i].message))
            fail_msg("%s", err.message);
    }
    pl_paligemma_close(model);
}

/* ---- Trained ----------------------------------------------------------- */

static pali_status parse(pl_recipe *recipe, const char *lines, const char *out, pali_error *err)
{
    pl_buffer text = {0};
    *recipe = (pl_recipe){0};
    assert_int_equal(pl_buffer_printf(&text, NULL, "data: %s\nout: %s\nsteps: 4\nbatch: 4\nlr: 1e-3\nreport: false\nsamples: 0\nthreads: 2\n%s", data_path("rows.jsonl"), out, lines), PALI_OK);
    const pali_status status = pl_recipe_parse(recipe, text.data, text.length, "recipe", NULL, NULL, 0, err);
    free(text.data);
    return status;
}

/* From nothing both maps move: the second begins with 0, and the first is heard as soon as it is not. */
static void test_trained(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_recipe recipe;
    char last[300], initial[300];
    const char *const out = data_path("run");
    snprintf(last, sizeof last, "%s/last", out);
    snprintf(initial, sizeof initial, "%s/initial", out);
    data_rows("rows.jsonl", 8);
    if (parse(&recipe, "tokenizer: models/nano\nconnector: mlp\nmodel_config: {" SHAPE "}\n", out, &err) != PALI_OK)
        fail_msg("%s", err.message);
    pl_trainer *t = pl_trainer_open(&recipe, &(pl_trainer_options){0}, &err);
    if (!t || pl_trainer_run(t, &err) != PALI_OK)
        fail_msg("%s", err.message);
    pl_paligemma *before = open_model(initial), *after = open_model(last);
    const pl_linear *const maps[2][2] = {{&before->siglip.projector_hidden, &before->siglip.projector}, {&after->siglip.projector_hidden, &after->siglip.projector}};
    const float *const second = maps[0][1]->weight.data;
    for (size_t i = 0; i < TEXT * TEXT; i++)
        assert_true(second[i] == 0);
    assert_true(*(const float *)maps[0][0]->weight.data != 0);
    for (size_t i = 0; i < 2; i++) {
        const size_t bytes = TEXT * (i ? TEXT : VISION) * sizeof(float);
        assert_memory_not_equal(maps[0][i]->weight.data, maps[1][i]->weight.data, bytes);
        const pl_trained *trained = pl_parameters_find(t->parameters, i ? "projector.linear_2.weight" : "projector.linear_1.weight");
        assert_non_null(trained);
        assert_memory_equal(trained->value, maps[1][i]->weight.data, bytes);
    }
    pl_paligemma_close(before);
    pl_paligemma_close(after);
    pl_trainer_free(t);
    pl_recipe_close(&recipe);
}

static void test_refused(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_recipe recipe;
    assert_int_equal(parse(&recipe, "model: nano\nconnector: mlp\n", "out", &err), PALI_USAGE);
    assert_non_null(strstr(err.message, "connector is given without model_config"));
    pl_recipe_close(&recipe);
    const pl_initialise_options options = {.config = "{\"vision_config\": {}, \"text_config\": {}, \"connector\": \"conv\"}", .tokenizer = "models/nano"};
    assert_int_equal(pl_initialise(data_path("bad"), &options, &err), PALI_MODEL);
    if (!strstr(err.message, "field connector: found string 'conv', expected \"linear\" or \"mlp\""))
        fail_msg("%s", err.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_trained), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, data_begin, data_end);
}
