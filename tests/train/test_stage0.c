/*
 * What comes before pictures and prompts are learned together, from nothing on
 * a few seconds of one core: pairs of pictures and texts by SigLIP's loss, and
 * plain text. Both learn, are resumed to the bit, and leave a model that opens.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data_support.h"
#include "image/encode.h"
#include "train/trainer_parts.h"

enum { PAIRS = 64, SIDE = 28, TEXTS = 16 };

/* ---- Rows -------------------------------------------------------------- */

static const char *const colours[] = {"red", "green", "blue", "yellow", "white", "black", "purple", "cyan"};
static const unsigned char values[][3] = {{220, 30, 30}, {30, 200, 40}, {40, 60, 230}, {230, 220, 40}, {250, 250, 250}, {10, 10, 10}, {150, 30, 160}, {40, 220, 220}};
static const char *const places[] = {"top left", "top", "top right", "left", "right", "bottom left", "bottom", "bottom right"};
static const size_t corners[][2] = {{1, 1}, {1, 10}, {1, 19}, {10, 1}, {10, 19}, {19, 1}, {19, 10}, {19, 19}}; /* row, column */

/* A square in one of eight colours at one of eight places, on grey. */
static void draw_pair(size_t i)
{
    unsigned char rgb[SIDE * SIDE * 3];
    memset(rgb, 128, sizeof rgb);
    for (size_t y = 0; y < 8; y++)
        for (size_t x = 0; x < 8; x++)
            memcpy(rgb + 3 * ((corners[i / 8][0] + y) * SIDE + corners[i / 8][1] + x), values[i % 8], 3);
    char name[32];
    snprintf(name, sizeof name, "pair%zu.png", i);
    assert_int_equal(pl_image_save(&(pl_raster){.bytes = rgb, .width = SIDE, .height = SIDE, .channels = 3}, &(pl_encode_options){.format = PL_FORMAT_PNG}, data_path(name), NULL), PALI_OK);
}

static const char *write_pairs(void)
{
    pl_buffer text = {0};
    for (size_t i = 0; i < PAIRS; i++) {
        draw_pair(i);
        assert_int_equal(pl_buffer_printf(&text, NULL, "{\"image\": \"pair%zu.png\", \"suffix\": \"a %s square %s\"}\n", i, colours[i % 8], places[i / 8]), PALI_OK);
    }
    const char *const path = data_write("pairs.jsonl", text.data);
    free(text.data);
    return path;
}

static const char *write_texts(void)
{
    pl_buffer text = {0};
    for (size_t i = 0; i < TEXTS; i++)
        assert_int_equal(pl_buffer_printf(&text, NULL, "{\"suffix\": \"the %s square is %s of the %s one\"}\n", colours[i % 8], places[i / 2], colours[(i + 3) % 8]), PALI_OK);
    const char *const path = data_write("texts.jsonl", text.data);
    free(text.data);
    return path;
}

/* ---- Runs -------------------------------------------------------------- */

static const char shape[] = "tokenizer: models/nano\n"
                            "model_config:\n"
                            "  vision_config: {image_size: 28, patch_size: 7, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 64}\n"
                            "  text_config: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 16, intermediate_size: 64}\n"
                            "report: false\nlog_every: 20\nsamples: 0\nthreads: 2\nseed: 7\n";

typedef struct stopper {
    uint64_t after; /* steps; 0: never */
    const pl_trainer *const *trainer;
} stopper;

static bool stop_after(void *context)
{
    const stopper *s = context;
    return s->after > 0 && *s->trainer && pl_trainer_steps(*s->trainer) >= s->after;
}

/* A trainer of shape and lines in folder `out`, after its run, stopped before the end after `most` steps (0: not). The recipe is the caller's to close. */
static pl_trainer *run(pl_recipe *recipe, const char *lines, const char *out, uint64_t most, double *first_loss)
{
    pali_error err = {0};
    pl_buffer text = {0};
    pl_trainer *trainer = NULL;
    stopper stop = {.after = most, .trainer = (const pl_trainer *const *)&trainer};
    *recipe = (pl_recipe){0};
    assert_int_equal(pl_buffer_printf(&text, NULL, "%s%sout: %s\n", shape, lines, data_path(out)), PALI_OK);
    if (pl_recipe_parse(recipe, text.data, text.length, "recipe", NULL, NULL, 0, &err) != PALI_OK)
        fail_msg("%s", err.message);
    trainer = pl_trainer_open(recipe, &(pl_trainer_options){.stop = stop_after, .context = &stop}, &err);
    if (!trainer)
        fail_msg("%s", err.message);
    if (first_loss && pl_trainer_step(trainer, first_loss, &err) != PALI_OK)
        fail_msg("%s", err.message);
    const pali_status status = pl_trainer_run(trainer, &err);
    if (status != (most ? PALI_CANCELLED : PALI_OK))
        fail_msg("%s", err.message);
    trainer->options = (pl_trainer_options){0};
    free(text.data);
    return trainer;
}

static void expect_same(const pl_trainer *a, const pl_trainer *b)
{
    assert_int_equal(a->parameters->count, b->parameters->count);
    for (size_t i = 0; i < a->parameters->count; i++) {
        const pl_trained *x = &a->parameters->tensors[i], *y = &b->parameters->tensors[i];
        if (memcmp(x->value, y->value, x->count * sizeof(float)) != 0)
            fail_msg("%s is another one after a resumed run", x->name);
    }
}

/* A run of 6 steps at one stretch, and one that is stopped after 3 and gone on with. */
static void check_resume(const char *lines, const char *name)
{
    char whole[40], parts[40];
    pl_recipe recipes[3];
    snprintf(whole, sizeof whole, "%s-whole", name);
    snprintf(parts, sizeof parts, "%s-parts", name);
    pl_trainer *const one = run(&recipes[0], lines, whole, 0, NULL);
    pl_trainer_free(run(&recipes[1], lines, parts, 3, NULL));
    pl_trainer *const two = run(&recipes[2], lines, parts, 0, NULL);
    assert_true(two->resumed && two->begun_at == 3);
    expect_same(one, two);
    pl_trainer_free(one);
    pl_trainer_free(two);
    for (size_t i = 0; i < 3; i++)
        pl_recipe_close(&recipes[i]);
}

static void expect_model(const char *out)
{
    pali_error err = {0};
    char path[300];
    snprintf(path, sizeof path, "%s/last", data_path(out));
    pl_paligemma *model = pl_paligemma_open(path, &(pl_load_options){0}, &err);
    if (!model)
        fail_msg("%s", err.message);
    pl_paligemma_close(model);
}

/* ---- Pairs ------------------------------------------------------------- */

/* How many of the pictures have their own text as the nearest of all. */
static size_t retrieved(pl_trainer *t)
{
    pl_example *examples[PAIRS];
    for (uint64_t i = 0; i < PAIRS; i++) {
        examples[i] = pl_example_read(t->data, pl_dataset_place(t->data, i), NULL, true, NULL); /* an epoch: each row once */
        assert_non_null(examples[i]);
    }
    pl_context ctx = pl_trainer_context(t, NULL);
    pl_arena arena;
    assert_int_equal(pl_arena_init(&arena, (size_t)1 << 26, "test", NULL), PALI_OK);
    ctx.arena = &arena;
    assert_int_equal(pl_microbatch_lay(&t->microbatch, &t->layout, (const pl_example *const *)examples, PAIRS, NULL), PALI_OK);
    const size_t width = t->model->config.vision.width;
    const pl_rows images = pl_rows_push(&ctx, PAIRS, width), texts = pl_rows_push(&ctx, PAIRS, width);
    pl_contrastive_rows(&ctx, &t->objective, &t->microbatch, images, texts);
    assert_false(ctx.failed);
    size_t right = 0;
    for (size_t i = 0; i < PAIRS; i++) {
        size_t nearest = 0;
        double most = -INFINITY;
        for (size_t k = 0; k < PAIRS; k++) {
            double product = 0;
            for (size_t j = 0; j < width; j++)
                product += (double)images.data[i * width + j] * (double)texts.data[k * width + j];
            if (product > most) {
                most = product;
                nearest = k;
            }
        }
        right += nearest == i;
    }
    for (size_t i = 0; i < PAIRS; i++)
        pl_example_free(examples[i]);
    pl_arena_free(&arena);
    return right;
}

/* Two towers: the text sees all of itself and no picture; <bos> goes to neither. */
static void expect_shown(const pl_trainer *t)
{
    const pl_show_options options = pl_trainer_show(t);
    pl_example *example = pl_example_read(t->data, pl_dataset_place(t->data, 0), NULL, false, NULL);
    assert_non_null(example);
    char *text = pl_example_text(t->data, example, &options, NULL), sight[40];
    assert_non_null(text);
    snprintf(sight, sizeof sight, " 17-%zu\n", 16 + example->count - 1);
    const char *const bos = strstr(text, "'<bos>'"), *const eos = strstr(text, "'<eos>'");
    if (!bos || !eos || !strstr(bos, "(left out)") || !strstr(eos, sight) || strstr(text, "yes"))
        fail_msg("%s", text);
    free(text);
    pl_example_free(example);
}

static void test_pairs_learn(void **state)
{
    (void)state;
    char lines[500];
    pl_recipe recipe;
    double first = 0;
    snprintf(lines, sizeof lines, "objective: contrastive\ndata: %s\ntext_length: 12\nbatch: 32\nsteps: 160\nlr: 3e-3\n", write_pairs());
    pl_trainer *const t = run(&recipe, lines, "pairs", 0, &first);
    const size_t right = retrieved(t);
    print_message("loss %.3f, then %.3f; %zu of %d pictures find their text; temperature %.3g, bias %.3g\n", first, t->last.loss, right, PAIRS, exp((double)*t->towers->log_temperature),
                  (double)*t->towers->bias);
    assert_true(right >= PAIRS / 2); /* one by chance */
    assert_true(t->last.loss < first / 2);
    /* the image encoder and what stands beside the model are trained, all of it, and nothing else */
    size_t vision = 0;
    for (size_t i = 0; i < t->parameters->count; i++)
        vision += strncmp(t->parameters->tensors[i].name, "vision.", 7) == 0;
    assert_int_equal(vision, 3 + 2 + 2 * 16); /* patches and positions, the last norm, two blocks */
    assert_int_equal(t->parameters->count, vision + t->towers->count);
    for (size_t i = 0; i < t->towers->count; i++)
        if (!pl_parameters_find(t->parameters, t->towers->tensors[i].name))
            fail_msg("%s is not trained", t->towers->tensors[i].name);
    assert_true(*t->towers->bias != -10);
    expect_shown(t);
    pl_trainer_free(t);
    pl_recipe_close(&recipe);
    expect_model("pairs");
}

static void test_pairs_resume(void **state)
{
    (void)state;
    char lines[500];
    snprintf(lines, sizeof lines, "objective: contrastive\ndata: %s\nvalidation: %s\ntext_length: 8\nbatch: 16\nsteps: 6\nlr: 1e-3\n", data_path("pairs.jsonl"), data_path("pairs.jsonl"));
    check_resume(lines, "pairs");
    /* the image encoder as it is, its rows from the cache */
    snprintf(lines, sizeof lines, "objective: contrastive\ndata: %s\ntext_length: 8\nbatch: 16\nsteps: 6\nlr: 1e-3\ntrain: projector\n", data_path("pairs.jsonl"));
    check_resume(lines, "locked");
}

/* ---- Text --------------------------------------------------------------- */

static void test_text_learns(void **state)
{
    (void)state;
    char lines[500];
    pl_recipe recipe;
    double first = 0;
    snprintf(lines, sizeof lines, "objective: language\ndata: %s\ntext_length: 24\nbatch: 16\nsteps: 120\nlr: 1e-2\n", write_texts());
    pl_trainer *const t = run(&recipe, lines, "text", 0, &first);
    print_message("loss %.3f, then %.3f\n", first, t->last.loss);
    const double uniform = log((double)t->model->config.text.vocabulary);
    assert_true(fabs(first - uniform) < 1.5); /* nothing is known yet */
    assert_true(t->last.loss < 0.5);
    for (size_t i = 0; i < t->parameters->count; i++)
        assert_int_equal(strncmp(t->parameters->tensors[i].name, "text.", 5), 0); /* what texts go through */
    pl_trainer_free(t);
    pl_recipe_close(&recipe);
    expect_model("text");
    snprintf(lines, sizeof lines, "objective: language\ndata: %s\ntext_length: 24\nbatch: 4\nsteps: 6\nlr: 1e-3\n", data_path("texts.jsonl"));
    check_resume(lines, "text");
}

/* ---- What is refused ---------------------------------------------------- */

static void expect_refused(const char *lines, const char *message)
{
    pali_error err = {0};
    pl_buffer text = {0};
    pl_recipe recipe = {0};
    assert_int_equal(pl_buffer_printf(&text, NULL, "%s%s", shape, lines), PALI_OK);
    pali_status status = pl_recipe_parse(&recipe, text.data, text.length, "recipe", NULL, NULL, 0, &err);
    if (status == PALI_OK) {
        pl_trainer *const t = pl_trainer_open(&recipe, &(pl_trainer_options){.dry_run = true}, &err);
        status = t ? PALI_OK : err.status;
        pl_trainer_free(t);
    }
    if (status == PALI_OK || !strstr(err.message, message))
        fail_msg("found '%s', expected '%s'", err.message, message);
    pl_recipe_close(&recipe);
    free(text.data);
}

static void test_refused(void **state)
{
    (void)state;
    char lines[600];
    const char *const pairs = data_path("pairs.jsonl"), *const two = data_write("two.jsonl", "{\"image\": [\"pair0.png\", \"pair1.png\"], \"suffix\": \"two\"}\n");
    const struct {
        const char *path, *line, *message;
    } cases[] = {
        {pairs, "micro_batch: 4", "micro_batch is given, but the batch of objective contrastive is computed as a whole"},
        {pairs, "pictures: optional", "pictures is given, expected needed with objective contrastive"},
        {pairs, "label_smoothing: 0.1", "label_smoothing is given, but nothing is said with objective contrastive"},
        {pairs, "max_memory: 1 MB", "; a smaller batch"},
        {two, "batch: 8", "found a row with 2 pictures, expected one in each row with objective contrastive"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(lines, sizeof lines, "objective: contrastive\ntext_length: 8\ndata: %s\n%s\n", cases[i].path, cases[i].line);
        expect_refused(lines, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_learn), cmocka_unit_test(test_pairs_resume), cmocka_unit_test(test_text_learns), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, data_begin, data_end);
}
