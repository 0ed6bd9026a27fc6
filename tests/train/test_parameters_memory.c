/* Memory that runs out anywhere between choosing what is trained and its first step is an error, and nothing is left. */
#include "exhaust.h"
#include "train/parameters.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const train[] = {"language.norms", "vision.mlp", "vision[.].*self_attn.*"};
static const char *const targets[] = {"language.attention", "down_proj"};
static const char *const fast[] = {"lora"};

static const float zeros[40 * 16];

/* Weights of zeros: bf16 matrices, f32 norms and biases. Made by few allocations, and at once. */
static pl_paligemma *make_model(const pl_config *config, pali_error *err)
{
    pl_paligemma *model = pl_new(1, sizeof *model, "model", err);
    if (!model)
        return NULL;
    model->config = *config;
    model->siglip.config = config->vision;
    model->gemma.config = config->text;
    model->siglip.blocks = pl_new(config->vision.layers, sizeof *model->siglip.blocks, "model", err);
    model->gemma.layers = pl_new(config->text.layers, sizeof *model->gemma.layers, "model", err);
    if (!model->siglip.blocks || !model->gemma.layers) {
        pl_paligemma_close(model);
        return NULL;
    }
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++) {
        const pl_tensor tensor = {.dtype = w->columns == PL_DIM_NONE ? PL_F32 : PL_BF16, .rank = 2, .shape = {pl_dim_size(config, w->rows), pl_dim_size(config, w->columns)}, .data = zeros};
        pl_paligemma_point(model, w, 0, &tensor);
    }
    model->gemma.head = (pl_linear){.weight = model->gemma.embedding};
    return model;
}

static pali_status learn(const void *context, pali_error *err)
{
    const pl_optimiser_kind *kind = context;
    const pl_config config = {.vision = {.image_size = 28, .patch = 14, .width = 16, .layers = 1, .heads = 2, .mlp = 24, .eps = 1e-6f},
                        .text = {.width = 16, .layers = 1, .heads = 2, .kv_heads = 1, .head_dim = 8, .mlp = 24, .vocabulary = 40, .eps = 1e-6f, .norm_offset = 1}};
    const pl_group_options group = {.match = {fast, 1}, .lr = 1, .weight_decay = (double)NAN, .warmup = (double)NAN};
    const pl_parameters_options options = {.train = {train, 3}, .lora = {.rank = 2, .targets = {targets, 2}}, .lr = 0.1, .groups = &group, .group_count = 1,
                                           .schedule = {.kind = PL_SCHEDULE_CONSTANT}};
    const pl_optimiser_options how = pl_optimiser_defaults(*kind);
    pl_paligemma *model = make_model(&config, err);
    pl_parameters *p = model ? pl_parameters_choose(model, &options, err) : NULL;
    pali_status status = p ? pl_parameters_attach(p, model, err) : pl_status_of(err, PALI_MEMORY);
    if (status == PALI_OK)
        status = pl_parameters_fill(p, model, NULL, err);
    pl_optimiser *optimiser = status == PALI_OK ? pl_optimiser_new(&how, p->tensors, p->count, p->groups, p->group_count, err) : NULL;
    const pl_context ctx = {.kernels = pl_kernels_get(NULL, NULL)};
    if (status == PALI_OK)
        status = optimiser ? pl_optimiser_step(optimiser, &ctx, 1, NULL, err) : PALI_MEMORY;
    pl_optimiser_free(optimiser);
    pl_parameters_free(p);
    pl_paligemma_close(model);
    return status;
}

static void runs_out(void **state)
{
    (void)state;
    static const pl_optimiser_kind kinds[] = {PL_OPTIMISER_ADAM, PL_OPTIMISER_MUON};
    exhaust("adam", learn, &kinds[0], PALI_OK);
    exhaust("muon", learn, &kinds[1], PALI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
