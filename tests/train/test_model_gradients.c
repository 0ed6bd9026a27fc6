/*
 * The objective's gradients through whole PaliGemmas of a few thousand random
 * weights, in double (tests/ops/double), against finite differences: every
 * weight of the list, adapters, dropout, both ways of keeping activations,
 * variants of the loss. The build cuts rows and logits into chunks of a few.
 */
#include "ops/double/slope.h"
#include "train/objective.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEP 1e-4
#define TOLERANCE 3e-7 /* finite differences are good to 1e-7 where a loss of 10 depends on a weight by 1e-4 */

enum {
    MOST_WEIGHTS = 400,
    EXAMPLES = 3,
    SIDE = 8,
    VOCABULARY = 23,
    RANK = 2,
};

/* What a test changes of the usual. */
typedef struct setting {
    const char *name;
    bool gemma2, untied, adapters, adapters_only, features, mlp_connector;
    bool shared;  /* the second example shows the first one's picture */
    bool patches; /* the first example's answer is said at the places of its picture */
    pl_spread spread;
    float smoothing, dropout, adapter_dropout;
    pl_keep keep;
    pl_layout_options layout;
} setting;

typedef struct toy {
    const setting *set;
    pl_paligemma model;
    pl_siglip_block blocks[2];
    pl_gemma_layer layers[3];
    pl_low_rank adapters[MOST_WEIGHTS];
    char names[MOST_WEIGHTS][160];
    float *values[MOST_WEIGHTS]; /* [weights] owned, gradients behind the values */
    size_t counts[MOST_WEIGHTS], weights;
    pl_parameter parameters[MOST_WEIGHTS];
    int32_t ids[EXAMPLES][8], patches[4];
    float pixels[3][3 * SIDE * SIDE];
    float features[3][16 * 6];
    pl_example_image images[3];
    pl_example examples[EXAMPLES];
    pl_microbatch batch;
    pl_objective objective;
    pl_arena arena;
    pl_tape tape;
    pl_context ctx;
} toy;

static double number(size_t i, size_t seed)
{
    uint64_t h = (i + 1) * 0x9e3779b97f4a7c15u + seed * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return (double)((h ^ h >> 31) >> 11) * 0x1p-52 - 1;
}

static void fill(float *x, size_t count, double scale, size_t seed)
{
    for (size_t i = 0; i < count; i++)
        x[i] = scale * number(i, seed);
}

/* ---- The model --------------------------------------------------------- */

/* A new weight, and its gradient in the list unless it is frozen. */
static float *add_weight(toy *t, size_t rows, size_t columns, bool frozen, const char *name)
{
    const size_t n = t->weights++, count = rows * columns;
    assert_true(t->weights <= MOST_WEIGHTS);
    t->values[n] = calloc(2 * count, sizeof(float));
    assert_non_null(t->values[n]);
    t->counts[n] = count;
    strncpy(t->names[n], name, sizeof t->names[n] - 1);
    fill(t->values[n], count, columns > 1 ? 1.5 / sqrt((double)columns) : 0.5, n + 10);
    if (!frozen)
        t->parameters[t->tape.parameter_count++] = (pl_parameter){.value = t->values[n], .gradient = t->values[n] + count, .count = count};
    return t->values[n];
}

static void adapt(toy *t, pl_linear *linear, const char *name)
{
    const size_t in = linear->weight.shape[1], out = linear->weight.shape[0];
    pl_low_rank *adapter = &t->adapters[t->weights];
    const float *a = add_weight(t, RANK, in, false, name), *b = add_weight(t, out, RANK, false, name);
    *adapter = (pl_low_rank){.a = a, .b = b, .rank = RANK, .scale = 0.7};
    linear->adapters = adapter;
}

static void add_listed_weight(toy *t, const pl_weight *weight, size_t layer)
{
    const pl_config *config = &t->model.config;
    const size_t rows = pl_dim_size(config, weight->rows), columns = pl_dim_size(config, weight->columns);
    char name[160];
    pl_weight_name(weight, config, layer, name);
    const float *values = add_weight(t, rows, columns, t->set->adapters_only, name);
    const pl_tensor tensor = {.dtype = PL_F32, .rank = weight->columns == PL_DIM_NONE ? 1 : 2, .shape = {rows, columns}, .data = values};
    pl_paligemma_point(&t->model, weight, layer, &tensor);
    if (t->set->adapters && weight->target == PL_TARGET_LINEAR)
        adapt(t, pl_weight_target(&t->model, weight, layer), name);
}

static int by_address(const void *a, const void *b)
{
    const pl_parameter *x = a, *y = b;
    return ((uintptr_t)x->value > (uintptr_t)y->value) - ((uintptr_t)x->value < (uintptr_t)y->value);
}

static void make_model(toy *t)
{
    const bool gemma2 = t->set->gemma2;
    t->model.config.gemma2 = gemma2;
    t->model.config.vision = (pl_siglip_config){.image_size = SIDE, .patch = 4, .width = 6, .layers = 2, .heads = 2, .mlp = 9, .eps = 1e-6, .mlp_connector = t->set->mlp_connector};
    t->model.config.text = (pl_gemma_config){
        .width = 10, .layers = 3, .heads = 4, .kv_heads = gemma2 ? 2 : 1, .head_dim = 6, .mlp = 14, .vocabulary = VOCABULARY,
        .eps = 1e-6, .norm_offset = 1, .rope_base = 10000, .query_scale = 0.4, .post_norms = gemma2,
        .attention_softcap = gemma2 ? 2 : 0, .final_softcap = gemma2 ? 3 : 0,
    };
    t->model.siglip.config = t->model.config.vision;
    t->model.siglip.blocks = t->blocks;
    t->model.gemma.config = t->model.config.text;
    t->model.gemma.layers = t->layers;
    for (size_t i = 0; i < pl_weight_count; i++)
        for (size_t layer = 0; layer < pl_part_layers(&t->model.config, pl_weights[i].part); layer++)
            if (pl_weight_present(&t->model.config, &pl_weights[i]))
                add_listed_weight(t, &pl_weights[i], layer);
    if (t->set->untied)
        add_listed_weight(t, &pl_head_weight, 0);
    else
        t->model.gemma.head.weight = t->model.gemma.embedding;
    qsort(t->parameters, t->tape.parameter_count, sizeof *t->parameters, by_address);
}

/* ---- The examples: one picture, none, two; 5, 7 and 4 ids --------------- */

static void make_examples(toy *t)
{
    static const size_t pictures[EXAMPLES] = {1, 0, 2}, counts[EXAMPLES] = {5, 7, 4}, prefixes[EXAMPLES] = {2, 4, 2};
    static const pl_example *list[EXAMPLES];
    size_t picture = 0;
    for (size_t i = 0; i < EXAMPLES; i++) {
        for (size_t k = 0; k < counts[i]; k++)
            t->ids[i][k] = (int32_t)((5 * i + 7 * k + k * k) % VOCABULARY);
        t->examples[i] = (pl_example){.ids = t->ids[i], .count = counts[i], .prefix_count = prefixes[i], .images = t->images + picture, .image_count = pictures[i]};
        list[i] = &t->examples[i];
        for (size_t k = 0; k < pictures[i]; k++, picture++) {
            fill(t->pixels[picture], 3 * SIDE * SIDE, 1, picture);
            fill(t->features[picture], 16 * 6, 1, picture + 3);
            t->images[picture] = (pl_example_image){.pixels = t->pixels[picture], .features = t->features[picture]};
        }
    }
    if (t->set->shared) {
        t->images[0].picture = (pl_feature_picture){.hash = 9, .bytes = 5, .width = SIDE, .height = SIDE};
        t->examples[1].images = t->images;
        t->examples[1].image_count = 1;
    }
    if (t->set->patches)
        t->examples[0].patches = t->patches;
    pl_layout_options layout = t->set->layout;
    layout.image_tokens = pl_image_tokens(&t->model);
    assert_int_equal(pl_microbatch_lay(&t->batch, &layout, list, EXAMPLES, NULL), PALI_OK);
    assert_int_equal(t->batch.pictures, 3);
    assert_int_equal(t->batch.aimed < t->batch.wanted, t->set->patches);
}

static double worst_error;

/* ---- Passes ------------------------------------------------------------ */

/* The sum of weighted losses; with records also backward. */
static double pass(toy *t, bool backward)
{
    const size_t mark = pl_arena_mark(&t->arena);
    pl_tape_clear(&t->tape);
    t->tape.paused = !backward;
    pl_objective_forward(&t->ctx, &t->objective, &t->batch);
    if (backward)
        pl_tape_backward(&t->ctx);
    pl_arena_release(&t->arena, mark);
    assert_false(t->ctx.failed);
    return pl_microbatch_loss(&t->batch);
}

static void toy_init(toy *t, const setting *set)
{
    *t = (toy){.set = set, .arena = pl_arena_plan()};
    pl_tape_init(&t->tape);
    t->tape.keep = set->keep;
    t->tape.dropout = set->dropout;
    t->tape.adapter_dropout = set->adapter_dropout;
    t->tape.dropout_key = 77;
    t->tape.parameters = t->parameters;
    memcpy(t->patches, (const int32_t[]){7, -1, 20, 3}, sizeof t->patches);
    make_model(t);
    make_examples(t);
    t->objective = (pl_objective){.model = &t->model, 
                                .spread = set->spread, .smoothing = set->smoothing, .features = set->features};
    t->ctx = (pl_context){.kernels = pl_kernels_get("ref", NULL), .arena = &t->arena, .tape = &t->tape, .regime = PL_REGIME_PREFILL};
    memset(t->batch.losses, 0, t->batch.wanted * sizeof *t->batch.losses);
    pass(t, true);
    assert_int_equal(pl_arena_init(&t->arena, t->arena.peak, "test", NULL), PALI_OK);
    assert_int_equal(pl_tape_reserve(&t->tape, t->tape.gradient_peak, NULL), PALI_OK);
}

static void toy_free(toy *t)
{
    for (size_t i = 0; i < t->weights; i++)
        free(t->values[i]);
    pl_microbatch_free(&t->batch);
    pl_tape_free(&t->tape);
    pl_arena_free(&t->arena);
}

static double loss_of(void *t)
{
    return pass(t, false);
}

/*
 * Of some weights the loss does not depend at all: of keys' biases, which a softmax does not see; of what pictures go
 * through when their features are given. Theirs is rounding; `scale` is the largest gradient of all.
 */
static void check_weight(toy *t, size_t n, double scale)
{
    const size_t count = t->counts[n];
    const float *gradient = t->values[n] + count;
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    const bool silent = strstr(t->names[n], "k_proj.bias") || (t->set->features && strncmp(t->names[n], "vision", 6) == 0);
    if (silent != (largest < 1e-12 * scale))
        fail_msg("%s: the largest gradient of %s is %.3g of %.3g", t->set->name, t->names[n], largest, scale);
    if (silent)
        return;
    const double error = slope_error(loss_of, t, t->values[n], gradient, count, 1, STEP);
    worst_error = fmax(worst_error, error);
    if (!(error <= TOLERANCE))
        fail_msg("%s: gradient of %s is off by %.3g", t->set->name, t->names[n], error);
}

static void test_setting(void **state)
{
    toy *t = malloc(sizeof *t);
    assert_non_null(t);
    toy_init(t, *state);
    const double loss = pass(t, false), recorded = pass(t, true);
    if (!(fabs(loss - recorded) <= 1e-12 * fabs(loss)))
        fail_msg("%s: %.17g while recording, %.17g without", t->set->name, recorded, loss);
    double scale = 0;
    for (size_t n = 0; n < t->tape.parameter_count; n++)
        for (size_t i = 0; i < t->parameters[n].count; i++)
            scale = fmax(scale, fabs(t->parameters[n].gradient[i]));
    for (size_t n = 0; n < t->weights; n++)
        if (pl_parameter_gradient(&t->ctx, t->values[n]))
            check_weight(t, n, scale);
    toy_free(t);
    free(t);
}

static const setting settings[] = {
    {.name = "PaliGemma 1"},
    {.name = "PaliGemma 2", .gemma2 = true},
    {.name = "PaliGemma 1, borders kept", .keep = PL_KEEP_BORDERS},
    {.name = "PaliGemma 2, borders kept", .gemma2 = true, .keep = PL_KEEP_BORDERS},
    {.name = "a head of its own", .untied = true},
    {.name = "a projector of two maps", .mlp_connector = true},
    {.name = "a projector of two maps, features of pictures", .mlp_connector = true, .features = true},
    {.name = "smoothing", .smoothing = 0.1},
    {.name = "locations and their neighbours", .spread = {.first = 3, .count = 12, .width = 1.2}},
    {.name = "a picture of two examples", .shared = true},
    {.name = "a picture of two examples, PaliGemma 2, borders kept", .gemma2 = true, .shared = true, .keep = PL_KEEP_BORDERS},
    {.name = "answers at places of the picture", .patches = true},
    {.name = "answers at places, root of tokens", .gemma2 = true, .shared = true, .patches = true, .layout = {.weight = PL_WEIGHT_ROOT}},
    {.name = "root of tokens", .layout = {.weight = PL_WEIGHT_ROOT}},
    {.name = "root of tokens, some of which count as a part", .layout = {.weight = PL_WEIGHT_ROOT, .share = {.first = 3, .count = 12, .part = 0.25F}}},
    {.name = "mean over tokens", .layout = {.weight = PL_WEIGHT_TOKEN}},
    {.name = "loss on the prefix", .gemma2 = true, .layout = {.loss_on_prefix = true}},
    {.name = "picture sees itself", .layout = {.attention = PL_ATTENTION_IMAGE}},
    {.name = "causal", .layout = {.attention = PL_ATTENTION_CAUSAL}},
    {.name = "features of pictures", .features = true},
    {.name = "adapters", .gemma2 = true, .adapters = true},
    {.name = "adapters only", .adapters = true, .adapters_only = true},
    {.name = "adapters only, dropout, borders kept", .adapters = true, .adapters_only = true, .dropout = 0.1, .adapter_dropout = 0.2, .keep = PL_KEEP_BORDERS},
    {.name = "dropout", .dropout = 0.2},
    {.name = "dropout, Gemma 2, borders kept", .gemma2 = true, .dropout = 0.2, .keep = PL_KEEP_BORDERS},
};

enum { SETTINGS = sizeof settings / sizeof *settings };

int main(void)
{
    struct CMUnitTest tests[SETTINGS];
    for (size_t i = 0; i < SETTINGS; i++)
        tests[i] = (struct CMUnitTest){.name = settings[i].name, .test_func = test_setting, .initial_state = (void *)&settings[i]};
    const int failed = _cmocka_run_group_tests("gradients of models", tests, SETTINGS, NULL, NULL);
    print_message("worst relative error %.1e\n", worst_error);
    return failed;
}
