/*
 * What is trained: counted against the published shapes by name, converted from
 * every type, and the model answers with it as it did before.
 */
#include "train/parameters.h"

#include "base/folder.h"
#include "model/save_adapter.h"
#include "model/tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS(...) \
    (pl_patterns) { (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *) }

static pl_parameters *choose(const tiny_model *tiny, pl_parameters_options options)
{
    pali_error err = {0};
    pl_parameters *p = pl_parameters_choose(tiny->model, &options, &err);
    if (!p)
        fail_msg("%s", err.message);
    return p;
}

/* Chosen, attached and filled. */
static pl_parameters *take(tiny_model *tiny, pl_parameters_options options)
{
    pali_error err = {0};
    pl_parameters *p = choose(tiny, options);
    expect_ok(pl_parameters_attach(p, tiny->model, &err), &err);
    expect_ok(pl_parameters_fill(p, tiny->model, tiny->engine.pool, &err), &err);
    return p;
}

static void refuse(const tiny_model *tiny, pl_parameters_options options, const char *message)
{
    pali_error err = {0};
    assert_null(pl_parameters_choose(tiny->model, &options, &err));
    assert_int_equal(err.status, PALI_USAGE);
    if (!strstr(err.message, message))
        fail_msg("found \"%s\", expected \"%s\" in it", err.message, message);
}

/* Numbers of tensors: 16 a layer of the tower and 5; 2; 9 a layer of Gemma, 11 of Gemma 2, and 2 (two and three layers here). */
static void chooses_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *train, *freeze;
        size_t gemma1, gemma2;
    } cases[] = {
        {"all", NULL, 37 + 2 + 20, 37 + 2 + 35},
        {NULL, NULL, 59, 74},
        {"vision", NULL, 37, 37},
        {"projector", NULL, 2, 2},
        {"language", NULL, 20, 35},
        {"attention", NULL, 2 * 8 + 2 * 4, 2 * 8 + 3 * 4},
        {"language.attention", NULL, 8, 12},
        {"vision.attention.biases", NULL, 8, 8},
        {"mlp", NULL, 2 * 4 + 2 * 3, 2 * 4 + 3 * 3},
        {"norms", NULL, 2 * 4 + 2 + 2 * 2 + 1, 2 * 4 + 2 + 3 * 4 + 1},
        {"embeddings", NULL, 1, 1},
        {"positions", NULL, 1, 1},
        {"language", "embeddings", 19, 34},
        {"all", "vision", 22, 37},
        {NULL, "language.norms", 59 - 5, 74 - 13},
        {"text[.]layers[.]1[.].*", NULL, 9, 11},
        {"text\\.layers\\.\\d\\.mlp\\.(up|down)_proj\\.weight", NULL, 4, 6},
        {"vision[.].*[.]bias", "vision.norms", 13, 13},
    };
    for (int family = 0; family < 2; family++) {
        tiny_model tiny;
        tiny_open(&tiny, family ? TINY "pg2" : TINY "pg1", NULL, NULL, 1);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const pl_parameters_options options = {.train = {&cases[i].train, cases[i].train != NULL}, .freeze = {&cases[i].freeze, cases[i].freeze != NULL}};
            pl_parameters *p = choose(&tiny, options);
            if (p->count != (family ? cases[i].gemma2 : cases[i].gemma1))
                fail_msg("%s: found %zu tensors", cases[i].train, p->count);
            pl_parameters_free(p);
        }
        tiny_close(&tiny);
    }
}

static void refuses_patterns(void **state)
{
    (void)state;
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1", NULL, NULL, 1);
    refuse(&tiny, (pl_parameters_options){.train = WORDS("vision", "visoin")}, "train: found 'visoin', which names none of the weights");
    refuse(&tiny, (pl_parameters_options){.train = WORDS("up_proj")}, "which names none of the weights"); /* not a whole name */
    refuse(&tiny, (pl_parameters_options){.train = WORDS("head")}, "train: found 'head', which names none of the weights"); /* tied */
    refuse(&tiny, (pl_parameters_options){.train = WORDS("vision.projector")}, "which names none of the weights");
    refuse(&tiny, (pl_parameters_options){.train = WORDS("text.(")}, "train: found 'text.(', expected a part");
    refuse(&tiny, (pl_parameters_options){.train = WORDS("(((a{1,255}){1,255}){1,255})")}, "expected a part");
    refuse(&tiny, (pl_parameters_options){.train = WORDS("")}, "expected a part");
    refuse(&tiny, (pl_parameters_options){.train = WORDS("vision"), .freeze = WORDS("nothing")}, "freeze: found 'nothing'");
    refuse(&tiny, (pl_parameters_options){.train = WORDS("vision"), .freeze = WORDS("all")}, "nothing that is left to be trained");
    const pl_group_options group = {.match = WORDS("language"), .lr = 1, .weight_decay = (double)NAN, .warmup = (double)NAN};
    refuse(&tiny, (pl_parameters_options){.train = WORDS("vision"), .groups = &group, .group_count = 1}, "groups: found 'language', which names none of the tensors that are trained");
    refuse(&tiny, (pl_parameters_options){.lora = {.rank = 4, .targets = WORDS("lm_head")}}, "lora.targets: found 'lm_head'");
    refuse(&tiny, (pl_parameters_options){.lora = {.rank = 4, .targets = WORDS("embed_tokens")}}, "is none");
    refuse(&tiny, (pl_parameters_options){.lora = {.rank = 4, .targets = WORDS("fc1")}}, "lora.targets: found 'fc1'"); /* of the tower, which is not meant */
    refuse(&tiny, (pl_parameters_options){.lora = {.rank = 9}}, "lora.rank: found 9 for text.layers.0.self_attn.k_proj of [8, 32]");
    refuse(&tiny, (pl_parameters_options){.train = WORDS("language.mlp"), .lora = {.rank = 4}}, "which is trained itself");
    refuse(&tiny, (pl_parameters_options){.lora = {.further = true}}, "lora: found no adapter on the model");
    tiny_close(&tiny);
}

/* Every value as the weight's own type has it; q4_0 becomes tiles where the processor has a product for them. */
static void converts(void **state)
{
    (void)state;
    static const struct {
        const char *path, *type;
    } cases[] = {{TINY "pg1", NULL}, {TINY "pg1", "bf16"}, {TINY "pg1", "q8_0"}, {TINY "pg1", "q4_0"}, {TINY "pg1", "q8"}, {TINY "pg1-bf16-sharded", NULL}, {TINY "pg2", "f16"}, {TINY "pg1-q8_0.gguf", NULL}, {TINY "pg1.npz", NULL}, {TINY "pg1.npz", "bf16"}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const pl_load_options load = {.type = cases[c].type, .tokenizer = strstr(cases[c].path, "sharded") || strstr(cases[c].path, "npz") ? TINY "pg1" : NULL};
        tiny_model tiny, other;
        tiny_open(&tiny, cases[c].path, &load, NULL, 2);
        tiny_open(&other, cases[c].path, &load, NULL, 1);
        pl_parameters *p = take(&tiny, (pl_parameters_options){.seed = 1});
        uint64_t seen = 0;
        for (size_t i = 0; i < p->count; i++) {
            const pl_trained *t = &p->tensors[i];
            const pl_tensor from = pl_weight_tensor(other.model, p->origins[i].weight, p->origins[i].layer);
            const pl_tensor now = pl_weight_tensor(tiny.model, p->origins[i].weight, p->origins[i].layer);
            assert_ptr_equal(now.data, t->value);
            assert_int_equal(now.dtype, PL_F32);
            assert_int_equal(from.shape[0], t->rows);
            size_t row_bytes;
            float *row = malloc(t->columns * sizeof *row);
            assert_true(row && pl_dtype_row_bytes(from.dtype, t->columns, &row_bytes));
            for (size_t r = 0; r < t->rows; r++) {
                pl_read_row(from.dtype, from.data, row_bytes, r, 0, t->columns, row);
                for (size_t j = 0; j < t->columns; j++)
                    assert_true(t->value[r * t->columns + j] == row[j] * (from.scale ? from.scale[r] : 1));
            }
            free(row);
            seen += t->count;
        }
        assert_int_equal(seen, p->memory.trained);
        assert_true(pl_head_is_tied(tiny.model));
        assert_int_equal(p->memory.mapped + p->memory.copied + p->memory.adapters, 0);
        assert_int_equal(p->memory.values, seen * 4);
        assert_true(cases[c].type || c > 0 ? p->memory.widened > 0 || strstr(cases[c].path, "npz") : p->memory.widened == 0);
        pl_parameters_free(p);
        tiny_close(&tiny);
        tiny_close(&other);
    }
}

/* The same answer to the bit, before and after; with what changes nothing yet. */
static void answers_as_before(void **state)
{
    (void)state;
    const pl_parameters_options cases[] = {
        {.train = WORDS("all")},
        {.lora = {.rank = 4}},
        {.lora = {.rank = 4, .rank_stabilised = true, .gaussian = true, .targets = WORDS("q_proj", "v_proj", "vision[.].*fc1", "projector")}},
        {.train = WORDS("norms", "embeddings"), .lora = {.rank = 2, .targets = WORDS("language.attention")}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        tiny_model before, after;
        tiny_open(&before, TINY "pg2", NULL, NULL, 2);
        tiny_open(&after, TINY "pg2", NULL, NULL, 2);
        pl_parameters *p = take(&after, cases[c]);
        tiny_images(&before, "a");
        tiny_images(&after, "a");
        tiny_ask(&before, "caption en", 8);
        tiny_ask(&after, "caption en", 8);
        const size_t count = before.timeline.tokens.count;
        assert_true(count > 0 && count == after.timeline.tokens.count);
        assert_memory_equal(before.timeline.tokens.data, after.timeline.tokens.data, count * sizeof(int32_t));
        assert_memory_equal(before.timeline.logprobs, after.timeline.logprobs, count * sizeof *after.timeline.logprobs);
        pl_parameters_free(p);
        tiny_close(&before);
        tiny_close(&after);
    }
}

/* What the tape finds by address is the gradient of that tensor. */
static void lists_for_the_tape(void **state)
{
    (void)state;
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1", NULL, NULL, 1);
    pl_parameters *p = take(&tiny, (pl_parameters_options){.train = WORDS("projector", "language.mlp"), .lora = {.rank = 2, .targets = WORDS("language.attention")}});
    assert_int_equal(p->count, 2 + 6 + 2 * 8);
    pl_tape tape;
    pl_tape_init(&tape);
    tape.parameters = p->list;
    tape.parameter_count = p->count;
    const pl_context ctx = {.tape = &tape};
    for (size_t i = 0; i < p->count; i++) {
        assert_ptr_equal(pl_parameter_gradient(&ctx, p->tensors[i].value), p->tensors[i].gradient);
        for (size_t j = 0; j < p->tensors[i].count; j++)
            assert_true(p->tensors[i].gradient[j] == 0);
        p->tensors[i].gradient[p->tensors[i].count - 1] = 3;
    }
    pl_parameters_zero(p, tiny.engine.pool);
    for (size_t i = 0; i < p->count; i++)
        assert_true(p->tensors[i].gradient[p->tensors[i].count - 1] == 0);
    assert_null(pl_parameter_gradient(&ctx, tiny.model->gemma.embedding.data));
    assert_ptr_equal(pl_parameters_find(p, "projector.linear.bias")->value, tiny.model->siglip.projector.bias);
    assert_null(pl_parameters_find(p, "text.norm.weight"));
    pl_tape_free(&tape);
    pl_parameters_free(p);
    tiny_close(&tiny);
}

static void begins_adapters(void **state)
{
    (void)state;
    for (int gaussian = 0; gaussian < 2; gaussian++) {
        tiny_model tiny, other;
        tiny_open(&tiny, TINY "pg1", NULL, NULL, 1);
        tiny_open(&other, TINY "pg1", NULL, NULL, 1);
        const bool stable = gaussian == 1;
        pl_parameters *p = take(&tiny, (pl_parameters_options){.seed = 7, .lora = {.rank = 8, .alpha = 4, .gaussian = gaussian, .rank_stabilised = stable}});
        pl_parameters *q = take(&other, (pl_parameters_options){.seed = 7, .lora = {.rank = 8, .alpha = 4, .gaussian = gaussian, .targets = WORDS("down_proj")}});
        assert_int_equal(p->count, 2 * 7 * 2);
        assert_int_equal(q->count, 2 * 2);
        const pl_low_rank *low_rank = tiny.model->gemma.layers[1].down.adapters;
        assert_true(fabsf(low_rank->scale - (stable ? 4 / sqrtf(8) : 0.5f)) < 1e-6f);
        const pl_trained *a = pl_parameters_find(p, "text.layers.1.mlp.down_proj.lora_A.weight"), *b = pl_parameters_find(p, "text.layers.1.mlp.down_proj.lora_B.weight");
        assert_true(a && b && a->value == low_rank->a && b->value == low_rank->b);
        assert_int_equal(a->rows, 8);
        assert_int_equal(a->columns, 96);
        assert_int_equal(b->rows, 32);
        assert_int_equal(b->columns, 8);
        double mean = 0, square = 0, most = 0;
        for (size_t i = 0; i < a->count; i++) {
            mean += (double)a->value[i] / (double)a->count;
            square += (double)a->value[i] * (double)a->value[i] / (double)a->count;
            most = fmax(most, fabs((double)a->value[i]));
        }
        const double deviation = gaussian ? 0.125 : 1 / sqrt(3 * 96.0); /* of 768 values: known to 2.6 %, so 4 such */
        assert_true(fabs(sqrt(square) / deviation - 1) < 0.11 && fabs(mean) < 4 * deviation / sqrt(768));
        assert_true(gaussian || (most <= 1 / sqrt(96.0) && most > 0.98 / sqrt(96.0)));
        for (size_t i = 0; i < b->count; i++)
            assert_true(b->value[i] == 0);
        /* The same for the same seed, whatever else has an adapter; another for another tensor. */
        const pl_trained *same = pl_parameters_find(q, a->name), *elsewhere = pl_parameters_find(p, "text.layers.0.mlp.down_proj.lora_A.weight");
        assert_memory_equal(a->value, same->value, a->count * sizeof(float));
        assert_memory_not_equal(a->value, elsewhere->value, a->count * sizeof(float));
        assert_int_equal(q->memory.adapters, 2 * 8 * (96 + 32) * 4);
        assert_int_equal(q->memory.gradients, q->memory.adapters);
        pl_parameters_free(p);
        pl_parameters_free(q);
        tiny_close(&tiny);
        tiny_close(&other);
    }
}

/* Adapters that came with the model: their own values, moved where they lie. */
static void goes_on_with_adapters(void **state)
{
    (void)state;
    const char *const lora[] = {TINY "lora/all-new"};
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1", &(pl_load_options){.lora = lora, .lora_count = 1}, NULL, 1);
    const pl_low_rank *before = tiny.model->gemma.layers[0].q.adapters;
    assert_non_null(before);
    const float value = before->b[3];
    pl_parameters *p = take(&tiny, (pl_parameters_options){.lora = {.further = true}});
    const pl_trained *b = pl_parameters_find(p, "text.layers.0.self_attn.q_proj.lora_B.weight");
    assert_ptr_equal(b->value, before->b);
    assert_true(value != 0 && b->value[3] == value);
    assert_ptr_equal(tiny.model->gemma.layers[0].q.adapters, before);
    assert_null(before->next);
    pl_parameters_free(p);
    refuse(&tiny, (pl_parameters_options){.lora = {.further = true, .rank = 2}}, "a new and an old adapter on");
    /* Beside it a new one: the old one is frozen. */
    p = take(&tiny, (pl_parameters_options){.lora = {.rank = 2, .targets = WORDS("q_proj")}});
    assert_int_equal(p->count, 4);
    assert_ptr_equal(tiny.model->gemma.layers[0].q.adapters->next, before);
    pl_parameters_free(p);
    tiny_close(&tiny);
}

static void makes_groups(void **state)
{
    (void)state;
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1", NULL, NULL, 1);
    const double same = (double)NAN;
    const pl_group_options groups[] = {
        {.match = WORDS("vision.norms"), .lr = 3, .weight_decay = same, .warmup = same},
        {.match = WORDS("vision", "projector"), .lr = same, .weight_decay = same, .warmup = 0.5},
        {.match = WORDS("language.attention"), .lr = same, .weight_decay = 0.25, .warmup = same},
    };
    pl_parameters_options options = {.lr = 2, .weight_decay = 0.5, .schedule = {.kind = PL_SCHEDULE_COSINE, .total = 100, .warmup = 5}, .groups = groups, .group_count = 3};
    static const struct {
        const char *name;
        size_t group;
        bool decays[3]; /* by rule */
    } facts[] = {
        {"vision.post_layernorm.bias", 1, {false, false, true}},
        {"vision.embeddings.patch_embedding.weight", 2, {true, true, true}},
        {"vision.embeddings.position_embedding.weight", 2, {false, true, true}},
        {"vision.encoder.layers.1.mlp.fc1.weight", 2, {true, true, true}},
        {"vision.encoder.layers.1.mlp.fc1.bias", 2, {false, false, true}},
        {"projector.linear.weight", 2, {true, true, true}},
        {"text.layers.0.self_attn.o_proj.weight", 3, {true, true, true}},
        {"text.layers.0.mlp.up_proj.weight", 0, {false, true, true}},
        {"text.embed_tokens.weight", 0, {false, true, true}},
        {"text.norm.weight", 0, {false, false, true}},
    };
    for (int rule = PL_DECAY_KERNELS; rule <= PL_DECAY_ALL; rule++) {
        options.decay = (pl_decay_rule)rule;
        pl_parameters *p = choose(&tiny, options);
        assert_int_equal(p->group_count, 4);
        assert_true(p->groups[0].lr == 2 && p->groups[1].lr == 3 && p->groups[2].lr == 2);
        assert_true(p->groups[2].weight_decay == 0.5 && p->groups[3].weight_decay == 0.25);
        assert_int_equal(p->groups[0].schedule.warmup, 5);
        assert_int_equal(p->groups[2].schedule.warmup, 50);
        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
            const pl_trained *t = pl_parameters_find(p, facts[i].name);
            assert_non_null(t);
            assert_int_equal(t->group, facts[i].group);
            if (t->decays != facts[i].decays[rule])
                fail_msg("%s, rule %d", facts[i].name, rule);
        }
        pl_parameters_free(p);
    }
    tiny_close(&tiny);
}

/* Muon is for matrices between hidden layers: not patches, positions, embeddings, nor adapters. */
static void marks_hidden_matrices(void **state)
{
    (void)state;
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1", NULL, NULL, 1);
    pl_parameters *p = choose(&tiny, (pl_parameters_options){.train = WORDS("all")});
    size_t hidden = 0;
    for (size_t i = 0; i < p->count; i++) {
        hidden += p->tensors[i].hidden;
        assert_true(!p->tensors[i].hidden || (p->tensors[i].columns > 1 && !strstr(p->tensors[i].name, "embed")));
    }
    assert_int_equal(hidden, 2 * 6 + 1 + 2 * 7);
    pl_parameters_free(p);
    p = choose(&tiny, (pl_parameters_options){.lora = {.rank = 4}});
    for (size_t i = 0; i < p->count; i++)
        assert_false(p->tensors[i].hidden);
    pl_parameters_free(p);
    tiny_close(&tiny);
}

static void forecasts(void **state)
{
    (void)state;
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1-bf16-sharded", &(pl_load_options){.tokenizer = TINY "pg1"}, NULL, 1);
    uint64_t language = 0, rest = 0;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++)
        for (size_t layer = 0; layer < pl_part_layers(&tiny.model->config, w->part) && pl_weight_present(&tiny.model->config, w); layer++) {
            const pl_tensor t = pl_weight_tensor(tiny.model, w, layer);
            size_t count;
            assert_true(pl_tensor_count(&t, &count));
            *(strcmp(pl_part_name(w->part), "language") == 0 ? &language : &rest) += count;
        }
    pl_parameters *p = choose(&tiny, (pl_parameters_options){.train = WORDS("language")});
    pl_optimiser_options optimiser = pl_optimiser_defaults(PL_OPTIMISER_ADAM);
    const pl_training_memory m = pl_parameters_forecast(p, &optimiser);
    assert_int_equal(m.trained, language);
    assert_int_equal(m.values, 4 * language);
    assert_int_equal(m.gradients, 4 * language);
    assert_int_equal(m.state, 8 * language);
    assert_true(m.widened > 0 && m.widened < language); /* norms are f32 already */
    assert_int_equal(m.copied, 4 * (2 * (4 * 24 + 4 * 24 + 24 + 84) + 3 * 24 + 32)); /* norms and biases of the tower, converted when opened */
    assert_int_equal(m.mapped, 2 * (rest - m.copied / 4));
    pl_parameters_free(p);
    tiny_close(&tiny);
}

/* Blocks that a type was rounded to at load are given back when training has values of its own. */
static void gives_memory_back(void **state)
{
    (void)state;
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1", &(pl_load_options){.type = "bf16"}, NULL, 1);
    const uint64_t before = tiny.model->copied_bytes;
    pl_parameters *p = choose(&tiny, (pl_parameters_options){.train = WORDS("language")});
    const uint64_t frozen = p->memory.copied;
    pl_parameters_free(p);
    p = take(&tiny, (pl_parameters_options){.train = WORDS("language")});
    assert_true(before > frozen && frozen > 0);
    assert_int_equal(tiny.model->copied_bytes, frozen + p->memory.values);
    pl_parameters_free(p);
    tiny_close(&tiny);
}

/* Without a model's own folder: an adapter brings new tokens with their rows, where the matrix grew and where it had rows to spare. */
static void adapters_bring_tokens(void **state)
{
    (void)state;
    char folder[] = "/tmp/pali-tokens-XXXXXX", path[64], names[70][16];
    const char *pieces[70];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/adapter", folder);
    for (size_t i = 0; i < 70; i++) {
        snprintf(names[i], sizeof names[i], "<extra%zu>", i);
        pieces[i] = names[i];
    }
    for (size_t count = 2; count <= 70; count += 68) {
        tiny_model tiny, again;
        pali_error err = {0};
        tiny_open(&tiny, TINY "pg1", NULL, NULL, 1);
        expect_ok(pl_paligemma_add_tokens(tiny.model, pieces, count, 4, &err), &err);
        pl_parameters *p = take(&tiny, (pl_parameters_options){.lora = {.rank = 2}});
        const pl_trained *b = pl_parameters_find(p, "text.layers.0.mlp.down_proj.lora_B.weight");
        for (size_t i = 0; i < b->count; i++)
            b->value[i] = 0.25f;
        const pl_weight *embedding = pl_weights;
        while (embedding->rows != PL_DIM_VOCABULARY)
            embedding++;
        const pl_whole_module whole = {.weight = embedding};
        const pl_adapter_save_options options = {.whole = &whole, .whole_count = 1, .tokenizer = true, .force = true};
        expect_ok(pl_paligemma_save_adapter(tiny.model, path, &options, NULL, &err), &err);
        const char *const lora[] = {path};
        tiny_open(&again, TINY "pg1", &(pl_load_options){.lora = lora, .lora_count = 1}, NULL, 1);
        assert_int_equal(pl_tokenizer_count(again.model->tokenizer), 1537 + count);
        assert_int_equal(again.model->config.text.vocabulary, count > 63 ? 1664 : 1600);
        assert_false(again.model->banned[1536 + count]);
        tiny_images(&tiny, "a");
        tiny_images(&again, "a");
        tiny_ask(&tiny, "caption <extra1> en", 6);
        tiny_ask(&again, "caption <extra1> en", 6);
        assert_int_equal(tiny.timeline.prompt.count, again.timeline.prompt.count);
        assert_int_equal(tiny.timeline.tokens.count, again.timeline.tokens.count);
        assert_memory_equal(tiny.timeline.tokens.data, again.timeline.tokens.data, tiny.timeline.tokens.count * sizeof(int32_t));
        assert_memory_equal(tiny.timeline.logprobs, again.timeline.logprobs, tiny.timeline.tokens.count * sizeof(float));
        pl_parameters_free(p);
        tiny_close(&tiny);
        tiny_close(&again);
    }
    assert_int_equal(pl_folder_remove(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_by_name),   cmocka_unit_test(refuses_patterns), cmocka_unit_test(converts),
        cmocka_unit_test(answers_as_before), cmocka_unit_test(lists_for_the_tape), cmocka_unit_test(begins_adapters),
        cmocka_unit_test(goes_on_with_adapters), cmocka_unit_test(makes_groups), cmocka_unit_test(marks_hidden_matrices),
        cmocka_unit_test(forecasts),         cmocka_unit_test(gives_memory_back), cmocka_unit_test(adapters_bring_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
