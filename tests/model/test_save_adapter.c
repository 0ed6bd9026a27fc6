/*
 * Adapters written by us: the model answers with them as with those they were
 * read from, to the bit, under both spellings; and the configuration says what
 * peft needs to find the modules. A merged model can be unmerged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "model/save.h"
#include "model/save_adapter.h"
#include "model/tiny.h"

static char work[64], target[128];

static int begin(void **state)
{
    (void)state;
    snprintf(work, sizeof work, "/tmp/pali-adapter-XXXXXX");
    if (!mkdtemp(work))
        return -1;
    snprintf(target, sizeof target, "%s/adapter", work);
    return 0;
}

static void clear_target(void)
{
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors"};
    for (size_t i = 0; i < 2; i++) {
        char path[192];
        snprintf(path, sizeof path, "%s/%s", target, names[i]);
        unlink(path);
    }
    rmdir(target);
}

static int end(void **state)
{
    (void)state;
    clear_target();
    return rmdir(work); /* fails where something was left */
}

static pl_paligemma *open_with(const char *adapter)
{
    pali_error err = {0};
    const pl_load_options load = {.lora = &adapter, .lora_count = adapter != NULL};
    pl_paligemma *model = pl_paligemma_open(TINY "pg1", &load, &err);
    expect_ok(model ? PALI_OK : err.status, &err);
    return model;
}

static void save(const char *adapter, const pl_adapter_save_options *options)
{
    pali_error err = {0};
    pl_adapter_save_report report;
    pl_paligemma *model = open_with(adapter);
    expect_ok(pl_paligemma_save_adapter(model, target, options, &report, &err), &err);
    assert_true(report.tensors > 0 && report.bytes == report.parameters * 4);
    pl_paligemma_close(model);
}

enum { TOKENS = 8 };

static void ask(tiny_model *tiny, const char *const *adapters, size_t count)
{
    const pl_load_options load = {.lora = adapters, .lora_count = count};
    tiny_open(tiny, TINY "pg1", &load, "ref", 2);
    tiny_images(tiny, "a");
    tiny_ask(tiny, "caption en", TOKENS);
}

static void expect_same(const char *a, const char *b)
{
    tiny_model one, two;
    ask(&one, &a, 1);
    ask(&two, &b, 1);
    assert_int_equal(one.timeline.tokens.count, two.timeline.tokens.count);
    assert_memory_equal(one.timeline.logprobs, two.timeline.logprobs, one.timeline.tokens.count * sizeof(float));
    tiny_close(&one);
    tiny_close(&two);
}

static void expect_field(const char *field, const char *expected)
{
    pali_error err = {0};
    char path[192];
    const char *value = NULL;
    snprintf(path, sizeof path, "%s/adapter_config.json", target);
    pl_json *config = pl_json_open(path, &err);
    expect_ok(config ? PALI_OK : err.status, &err);
    expect_ok(pl_json_get_string(config, field, &value, &err), &err);
    assert_string_equal(value, expected);
    pl_json_close(config);
}

static void expect_tensor(const char *name, bool there)
{
    pali_error err = {0};
    char path[192];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", target);
    pl_tensor_file *file = pl_safetensors_open(path, &err);
    assert_non_null(file);
    assert_int_equal(pl_tensor_file_find(file, name) != NULL, there);
    pl_tensor_file_close(file);
}

/* Through both spellings, ranks and alphas that differ, rank-stabilised scales. */
static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *adapter;
        bool rank_stabilised;
    } sources[] = {{TINY "lora/text-old", false}, {TINY "lora/all-new", true}, {TINY "lora/patterns", false}};
    for (size_t s = 0; s < 3; s++)
        for (int old = 0; old < 2; old++) {
            save(sources[s].adapter, &(pl_adapter_save_options){.keys = old ? PL_ADAPTER_KEYS_OLD : PL_ADAPTER_KEYS_NEW, .rank_stabilised = sources[s].rank_stabilised});
            expect_same(sources[s].adapter, target);
            expect_tensor(old ? "base_model.model.language_model.model.layers.1.self_attn.q_proj.lora_B.weight" : "base_model.model.model.language_model.layers.1.self_attn.q_proj.lora_B.weight", true);
            clear_target();
        }
}

static void test_configuration(void **state)
{
    (void)state;
    save(TINY "lora/text-old", &(pl_adapter_save_options){.base = "google/paligemma-3b-pt-224"});
    expect_field("target_modules", ".*language_model\\..*\\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)");
    expect_field("base_model_name_or_path", "google/paligemma-3b-pt-224");
    expect_field("task_type", "CAUSAL_LM");
    clear_target();
    save(TINY "lora/patterns", &(pl_adapter_save_options){.base = TINY "pg1"});
    expect_field("target_modules", ".*language_model\\..*\\.(q_proj|v_proj|down_proj)|.*vision_tower\\..*\\.(q_proj|v_proj|fc1)");
    clear_target();
}

/* One pair alone is told by its layer. */
static void test_some_pairs(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_paligemma *model = open_with(TINY "lora/text-old");
    const pl_low_rank *pairs[] = {model->gemma.layers[1].v.adapters, model->gemma.layers[0].gate.adapters, model->gemma.layers[1].gate.adapters};
    expect_ok(pl_paligemma_save_adapter(model, target, &(pl_adapter_save_options){.pairs = pairs, .pair_count = 3}, NULL, &err), &err);
    expect_field("target_modules", ".*language_model\\..*\\.(gate_proj)|.*language_model\\..*layers\\.1\\.self_attn\\.v_proj");
    expect_tensor("base_model.model.model.language_model.layers.0.self_attn.v_proj.lora_A.weight", false);
    clear_target();
    pl_paligemma_close(model);
}

static const pl_weight *weight_named(const pl_paligemma *model, const char *expected, size_t layer)
{
    char name[160];
    for (size_t w = 0; w < pl_weight_count; w++)
        if (strcmp(pl_weight_name(&pl_weights[w], &model->config, layer, name), expected) == 0)
            return &pl_weights[w];
    fail_msg("no weight %s", expected);
    return NULL;
}

/* A weight asked for brings its bias along, once; a norm and the embedding are modules of their own. */
static void test_whole_modules(void **state)
{
    (void)state;
    pali_error err = {0};
    for (int old = 0; old < 2; old++) {
        pl_paligemma *model = open_with(TINY "lora/saved");
        const pl_whole_module whole[] = {{weight_named(model, "projector.linear.weight", 0), 0}, {weight_named(model, "projector.linear.bias", 0), 0},
                                         {weight_named(model, "text.layers.1.input_layernorm.weight", 1), 1}, {weight_named(model, "text.embed_tokens.weight", 0), 0},
                                         {weight_named(model, "vision.embeddings.patch_embedding.weight", 0), 0}};
        const pl_adapter_save_options options = {.keys = old ? PL_ADAPTER_KEYS_OLD : PL_ADAPTER_KEYS_NEW, .whole = whole, .whole_count = 5};
        pl_adapter_save_report report;
        expect_ok(pl_paligemma_save_adapter(model, target, &options, &report, &err), &err);
        assert_int_equal(report.tensors, 16 + 7 /* with the head */);
        pl_paligemma_close(model);
        expect_tensor(old ? "base_model.model.multi_modal_projector.linear.bias" : "base_model.model.model.multi_modal_projector.linear.bias", true);
        expect_same(TINY "lora/saved", target);
        clear_target();
    }
}

/* An adapter's folder opens as the model it is for, adapted. */
static void test_opened_alone(void **state)
{
    (void)state;
    const char *const adapter = TINY "lora/text-old";
    save(adapter, &(pl_adapter_save_options){0});
    tiny_model one, two;
    ask(&one, &adapter, 1);
    tiny_open(&two, target, NULL, "ref", 2);
    tiny_images(&two, "a");
    tiny_ask(&two, "caption en", TOKENS);
    assert_memory_equal(one.timeline.logprobs, two.timeline.logprobs, TOKENS * sizeof(float));
    tiny_close(&one);
    tiny_close(&two);
    clear_target();
    save(adapter, &(pl_adapter_save_options){.base = "owner/no-such-model"});
    pali_error err = {0};
    assert_null(pl_paligemma_open(target, &(pl_load_options){0}, &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_non_null(strstr(err.message, "its base model: owner/no-such-model: no such file"));
    clear_target();
}

/* A merged model with the adapter taken off again has the weights that it had, but for rounding in f32. */
static void test_unmerged(void **state)
{
    (void)state;
    pali_error err = {0};
    char merged[128], plain[128], spec[160], file[192];
    const char *adapters[1] = {TINY "lora/all-new"};
    const pl_save_options f32 = {.vision = PL_F32, .language = PL_F32, .embedding = PL_F32, .head = PL_F32};
    snprintf(merged, sizeof merged, "%s/merged", work);
    snprintf(plain, sizeof plain, "%s/plain", work);
    snprintf(spec, sizeof spec, "%s:-1", adapters[0]);
    for (int step = 0; step < 2; step++) {
        const char *from = step ? merged : TINY "pg1";
        pl_save_report report;
        adapters[0] = step ? spec : adapters[0];
        pl_paligemma *model = pl_paligemma_open(from, &(pl_load_options){.outline = true, .lora = adapters, .lora_count = 1}, &err);
        expect_ok(model ? PALI_OK : err.status, &err);
        expect_ok(pl_paligemma_save(model, step ? plain : merged, &f32, &report, &err), &err);
        pl_paligemma_close(model);
    }
    pl_tensor_file *a = pl_safetensors_open_folder(TINY "pg1", &err), *b = pl_safetensors_open_folder(plain, &err), *m = pl_safetensors_open_folder(merged, &err);
    assert_true(a && b && m);
    double moved = 0;
    for (size_t i = 0; i < pl_tensor_file_count(a); i++) {
        const pl_named_tensor *tensor = pl_tensor_file_at(a, i), *back = pl_tensor_file_find(b, tensor->name), *changed = pl_tensor_file_find(m, tensor->name);
        size_t count;
        if (!back || !changed)
            continue; /* not in both forms of the names */
        pl_tensor_count(&tensor->tensor, &count);
        assert_true(relative_error(back->tensor.data, tensor->tensor.data, count) < 1e-6);
        const double error = relative_error(changed->tensor.data, tensor->tensor.data, count);
        moved = error > moved ? error : moved;
    }
    assert_true(moved > 1e-2);
    pl_tensor_file_close(a);
    pl_tensor_file_close(b);
    pl_tensor_file_close(m);
    const char *whole = TINY "lora/saved:-1"; /* has modules saved whole, whose originals are gone */
    assert_null(pl_paligemma_open(TINY "pg1", &(pl_load_options){.outline = true, .lora = &whole, .lora_count = 1}, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_non_null(strstr(err.message, "found a module saved whole"));
    for (int step = 0; step < 2; step++) {
        snprintf(file, sizeof file, "rm -r %s", step ? plain : merged);
        assert_int_equal(system(file), 0);
    }
}

static void expect_refused(pl_paligemma *model, const pl_adapter_save_options *options, pali_status status, const char *message)
{
    pali_error err = {0};
    assert_int_equal(pl_paligemma_save_adapter(model, target, options, NULL, &err), status);
    if (!strstr(err.message, message))
        fail_msg("\"%s\" has no \"%s\"", err.message, message);
}

static void test_refused(void **state)
{
    (void)state;
    pl_paligemma *model = open_with(NULL);
    expect_refused(model, &(pl_adapter_save_options){0}, PALI_USAGE, "found no low-rank pair");
    pl_paligemma_close(model);
    const char *const both[] = {TINY "lora/text-old", TINY "lora/all-new"};
    pali_error err = {0};
    model = pl_paligemma_open(TINY "pg1", &(pl_load_options){.lora = both, .lora_count = 2}, &err);
    assert_non_null(model);
    expect_refused(model, &(pl_adapter_save_options){0}, PALI_USAGE, "found two pairs on model.language_model.layers.0.self_attn.q_proj");
    pl_paligemma_close(model);
    model = open_with(both[0]);
    expect_ok(pl_paligemma_save_adapter(model, target, &(pl_adapter_save_options){0}, NULL, &err), &err);
    expect_refused(model, &(pl_adapter_save_options){0}, PALI_USAGE, "found a folder of that name");
    expect_ok(pl_paligemma_save_adapter(model, target, &(pl_adapter_save_options){.force = true}, NULL, &err), &err);
    clear_target();
    pl_paligemma_close(model);
}

/* A file that may not grow stands for a full disk: nothing stays. */
static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    pl_paligemma *model = open_with(TINY "lora/text-old");
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, before.rlim_max});
    pali_error err = {0};
    const pali_status status = pl_paligemma_save_adapter(model, target, &(pl_adapter_save_options){0}, NULL, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, PALI_FAILED);
    assert_non_null(strstr(err.message, "cannot write"));
    assert_false(pl_is_folder(target));
    pl_paligemma_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),       cmocka_unit_test(test_configuration), cmocka_unit_test(test_some_pairs),
        cmocka_unit_test(test_whole_modules), cmocka_unit_test(test_opened_alone),  cmocka_unit_test(test_unmerged), cmocka_unit_test(test_refused),       cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
