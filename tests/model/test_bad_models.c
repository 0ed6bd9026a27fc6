/*
 * Models that cannot be used: each gives PALI_MODEL and a line that names the
 * file, the field, what was found and what was expected. Cases are copies of a
 * tiny model with one thing changed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "model/find.h"
#include "model/tiny.h"

static char folder[64];
static const char *const parts[] = {"config.json", "preprocessor_config.json", "model.safetensors", "tokenizer.json"};

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static char *read_all(const char *path, size_t *size)
{
    pali_error err = {0};
    char *text = pl_file_read(path, 1 << 24, size, PALI_MODEL, &err);
    if (!text)
        fail_msg("%s", err.message);
    return text;
}

static void write_all(const char *path, const void *bytes, size_t size)
{
    pali_error err = {0};
    expect_ok(pl_file_write(path, bytes, size, &err), &err);
}

static void copy_model(const char *from)
{
    char path[128];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t size;
        snprintf(path, sizeof path, TINY "%s/%s", from, parts[i]);
        char *bytes = read_all(path, &size);
        write_all(in_folder(parts[i]), bytes, size);
        free(bytes);
    }
}

/* Replaces the first `from` in a file by `to`; the test fails when it is not there. */
static void edit(const char *name, const char *from, const char *to)
{
    size_t size;
    char *text = read_all(in_folder(name), &size);
    char *at = memmem(text, size, from, strlen(from));
    if (!at)
        fail_msg("%s holds no %s", name, from);
    const size_t before = (size_t)(at - text), behind = size - before - strlen(from);
    char *edited = malloc(size + strlen(to) + 1);
    memcpy(edited, text, before);
    memcpy(edited + before, to, strlen(to));
    memcpy(edited + before + strlen(to), at + strlen(from), behind);
    write_all(in_folder(name), edited, before + strlen(to) + behind);
    free(edited);
    free(text);
}

/* Opens and expects a refusal whose message holds every fragment ('|' between them). */
static void refuse(const char *what, const char *path, const pl_load_options *options, const char *fragments)
{
    static const pl_load_options none = {0};
    pali_error err = {0};
    pl_paligemma *model = pl_paligemma_open(path, options ? options : &none, &err);
    if (model)
        fail_msg("%s: was opened", what);
    if (err.status != PALI_MODEL)
        fail_msg("%s: found status %d (%s), expected %d", what, (int)err.status, err.message, PALI_MODEL);
    char list[256];
    snprintf(list, sizeof list, "%s", fragments);
    for (char *save, *fragment = strtok_r(list, "|", &save); fragment; fragment = strtok_r(NULL, "|", &save))
        if (!strstr(err.message, fragment))
            fail_msg("%s: found \"%s\", expected it to name \"%s\"", what, err.message, fragment);
    assert_null(strchr(err.message, '\n'));
}

static void test_config(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *fragments;
    } cases[] = {
        {"\"model_type\": \"paligemma\"", "\"model_type\": \"llava\"", "config.json|model_type|llava|paligemma"},
        {"\"model_type\": \"paligemma\",", "", "config.json|model_type|missing"},
        {"\"model_type\": \"gemma\"", "\"model_type\": \"llama\"", "text_config.model_type|llama|gemma"},
        {"\"hidden_size\": 32,\n    \"intermediate_size\"", "\"intermediate_size\"", "text_config.hidden_size|missing"},
        {"\"intermediate_size\": 96", "\"intermediate_size\": \"96\"", "text_config.intermediate_size|96|number"},
        {"\"intermediate_size\": 96", "\"intermediate_size\": -96", "text_config.intermediate_size|-96"},
        {"\"intermediate_size\": 96", "\"intermediate_size\": 97", "gate_proj|[96, 32]|[97, 32]"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "layers.2|missing"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", "text layers|found 0"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000000000", "text layers|4000000000"},
        {"\"num_attention_heads\": 4", "\"num_attention_heads\": 0", "text heads|found 0"},
        {"\"num_attention_heads\": 4", "\"num_attention_heads\": 8", "q_proj|[32, 32]|[64, 32]"},
        {"\"num_key_value_heads\": 1", "\"num_key_value_heads\": 3", "kv heads|found 3|4"},
        {"\"head_dim\": 8", "\"head_dim\": 7", "head dim|found 7|even"},
        {"\"head_dim\": 8", "\"head_dim\": 8.5", "head_dim|8.5"},
        {"\"head_dim\": 8,", "\"head_dim\": 8, \"rms_norm_eps\": 0,", "eps"},
        {"\"head_dim\": 8,", "\"head_dim\": 8, \"hidden_activation\": \"relu\",", "hidden_activation|relu|GELU"},
        {"\"image_size\": 56", "\"image_size\": 57", "image size|57|14"},
        {"\"image_size\": 56", "\"image_size\": 70", "size.height|found 56|expected 70"},
        {"\"patch_size\": 14", "\"patch_size\": 0", "patch size|found 0"},
        {"\"num_attention_heads\": 2", "\"num_attention_heads\": 5", "vision heads|5|24"},
        {"\"text_config\": {", "\"text_config\": 3, \"x\": {", "text_config"},
        {"{", "", "config.json|JSON"},
        {"\"ignore_index\": -100", "\"ignore_index\": -100, \"tie_word_embeddings\": false", "lm_head|missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_model("pg1");
        edit("config.json", cases[i].from, cases[i].to);
        refuse(cases[i].to, folder, NULL, cases[i].fragments);
    }
    copy_model("pg2");
    edit("config.json", "\"query_pre_attn_scalar\": 10", "\"query_pre_attn_scalar\": 0");
    refuse("scalar", folder, NULL, "query_pre_attn_scalar|above 0");
    edit("config.json", "\"query_pre_attn_scalar\": 0", "\"query_pre_attn_scalar\": 10, \"attn_logit_softcapping\": \"no\", \"was\": 1");
}

static void test_preprocessor(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *fragments;
    } cases[] = {
        {"\"height\": 56", "\"height\": 224", "preprocessor_config.json|size.height|224|56"},
        {"\"resample\": 3", "\"resample\": 9", "resample|9"},
        {"\"rescale_factor\": 0.00392156862745098", "\"rescale_factor\": 1", "rescale_factor|1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_model("pg1");
        edit("preprocessor_config.json", cases[i].from, cases[i].to);
        refuse(cases[i].to, folder, NULL, cases[i].fragments);
    }
}

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(parts[i], "preprocessor_config.json") == 0)
            continue; /* only says how pictures are resized, and may be absent */
        copy_model("pg1");
        unlink(in_folder(parts[i]));
        refuse("missing", folder, NULL, strcmp(parts[i], "tokenizer.json") == 0 ? "tokenizer" : parts[i]);
        write_all(in_folder(parts[i]), "", 0);
        refuse("empty", folder, NULL, parts[i]);
        write_all(in_folder(parts[i]), "\x7f" "ELF\1\2\3\4\5\6\7\10\11", 13);
        refuse("another kind", folder, NULL, parts[i]);
        unlink(in_folder(parts[i]));
        assert_int_equal(mkdir(in_folder(parts[i]), 0700), 0);
        refuse("a folder", folder, NULL, strcmp(parts[i], "tokenizer.json") == 0 ? "tokenizer" : parts[i]);
        rmdir(in_folder(parts[i]));
    }
    copy_model("pg1");
    size_t size;
    char *bytes = read_all(in_folder("model.safetensors"), &size);
    for (size_t cut = 0; cut < size; cut += 1 + size / 97) {
        write_all(in_folder("model.safetensors"), bytes, cut);
        refuse("cut short", folder, NULL, "model.safetensors");
    }
    free(bytes);
    refuse("not there", "tests/data/tiny/nowhere.npz", NULL, "nowhere.npz");
    refuse("unknown kind", TINY "a.png", NULL, "a.png|unknown kind|npz");
    refuse("npz without tokenizer", TINY "pg1.npz", &(pl_load_options){.tokenizer = TINY "a.png"}, "a.png");
    refuse("text only", TINY "pg1-text.gguf", &(pl_load_options){.vision = TINY "quants.gguf"}, "quants.gguf");
    refuse("several vision files", TINY "pg1-text.gguf", NULL, "several|--vision");
}

/* A tensor's name or type changed in the header, its length kept. */
static void test_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *fragments;
    } cases[] = {
        {"language_model.model.norm.weight", "language_model.model.nerm.weight", "text.norm.weight|missing"},
        {"vision_tower.vision_model.post_layernorm.bias", "vision_tower.vision_model.post_layernorm.bios", "post_layernorm.bias|missing"},
        {"language_model.model.norm.weight\":{\"dtype\":\"F32\"", "language_model.model.norm.weight\":{\"dtype\":\"I32\"", "norm.weight|i32|floating-point"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_model("pg1");
        edit("model.safetensors", cases[i].from, cases[i].to);
        refuse(cases[i].to, folder, NULL, cases[i].fragments);
    }
}

static void test_adapters(void **state)
{
    (void)state;
    const char *lora[1];
    const pl_load_options options = {.lora = lora, .lora_count = 1};
    lora[0] = TINY "nowhere";
    refuse("no adapter", TINY "pg1", &options, "nowhere/adapter_config.json");
    lora[0] = TINY "lora/text-old"; /* of another model */
    refuse("another shape", TINY "pg2", &options, "_proj|expected");
    static const struct {
        const char *from, *to, *fragments;
    } cases[] = {
        {"\"peft_type\": \"LORA\"", "\"peft_type\": \"IA3\"", "adapter_config.json|peft_type|IA3"},
        {"\"use_dora\": false", "\"use_dora\": true", "use_dora|true"},
        {"\"bias\": \"none\"", "\"bias\": \"all\"", "bias|all"},
        {"\"lora_alpha\": 6", "\"lora_alpha\": \"six\"", "lora_alpha|six"},
        {"\"alpha_pattern\": {}", "\"alpha_pattern\": {\"((a{1,99}){1,99}){1,99}\": 3}", "alpha_pattern|{1,99}"},
        {"\"alpha_pattern\": {}", "\"alpha_pattern\": {\"(q_proj\": 3}", "alpha_pattern|(q_proj"},
        {"\"alpha_pattern\": {}", "\"alpha_pattern\": {\"q_proj\": \"3\"}", "alpha_pattern|q_proj|number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
        for (size_t f = 0; f < 2; f++) {
            char path[128];
            size_t size;
            snprintf(path, sizeof path, TINY "lora/all-new/%s", files[f]);
            char *bytes = read_all(path, &size);
            write_all(in_folder(files[f]), bytes, size);
            free(bytes);
        }
        edit("adapter_config.json", cases[i].from, cases[i].to);
        lora[0] = folder;
        refuse(cases[i].to, TINY "pg1", &options, cases[i].fragments);
    }
    /* A rank whose product with the width comes round to the zero values that are there. */
    static const char wrapping[] =
        "{\"language_model.model.layers.0.self_attn.q_proj.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[1152921504606846976,0],\"data_offsets\":[0,0]},"
        "\"language_model.model.layers.0.self_attn.q_proj.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[32,0],\"data_offsets\":[0,0]}}";
    unsigned char file[8 + sizeof wrapping - 1] = {(sizeof wrapping - 1) & 0xff, (sizeof wrapping - 1) >> 8};
    memcpy(file + 8, wrapping, sizeof wrapping - 1);
    edit("adapter_config.json", "\"alpha_pattern\": {\"q_proj\": \"3\"}", "\"alpha_pattern\": {}");
    write_all(in_folder("adapter_model.safetensors"), file, sizeof file);
    refuse("wrapping rank", TINY "pg1", &options, "q_proj|[r, 32]");
    unlink(in_folder("adapter_model.safetensors"));
    unlink(in_folder("adapter_config.json"));
}

/* Adds lm_head.weight, zeros of 4 bytes each, to the model's weights. */
static void add_head(const char *type)
{
    enum { HEAD = 1600 * 32 * 4 };
    size_t size;
    uint64_t length;
    char *bytes = read_all(in_folder("model.safetensors"), &size), entry[128];
    memcpy(&length, bytes, sizeof length);
    const size_t data = size - 8 - length;
    const size_t added = (size_t)snprintf(entry, sizeof entry, "{\"lm_head.weight\":{\"dtype\":\"%s\",\"shape\":[1600,32],\"data_offsets\":[%zu,%zu]},", type, data, data + HEAD) - 1;
    unsigned char *file = calloc(size + added + HEAD, 1);
    const uint64_t longer = length + added;
    memcpy(file, &longer, sizeof longer);
    memcpy(file + 8, entry, added + 1);
    memcpy(file + 8 + added + 1, bytes + 9, size - 9); /* without its own bracket */
    write_all(in_folder("model.safetensors"), file, size + added + HEAD);
    free(file);
    free(bytes);
}

/* An output matrix of its own must meet what every weight must, and is converted as they are. */
static void test_head(void **state)
{
    (void)state;
    pali_error err = {0};
    const char *const untied[2] = {"\"ignore_index\": -100", "\"ignore_index\": -100, \"tie_word_embeddings\": false"};
    copy_model("pg1");
    edit("config.json", untied[0], untied[1]);
    add_head("I32");
    refuse("whole numbers", folder, NULL, "lm_head.weight|i32|floating-point");
    copy_model("pg1");
    edit("config.json", untied[0], untied[1]);
    add_head("F32");
    pl_paligemma *model = pl_paligemma_open(folder, &(pl_load_options){.type = "bf16"}, &err);
    if (!model)
        fail_msg("%s", err.message);
    assert_int_equal(model->gemma.head.weight.dtype, PL_BF16);
    assert_ptr_not_equal(model->gemma.head.weight.data, model->gemma.embedding.data);
    pl_paligemma_close(model);
}

/* Names: a path, the hub's cache, nano. */
static void test_names(void **state)
{
    (void)state;
    pali_error err = {0};
    char path[256];
    copy_model("pg1");
    const char *const steps[] = {"hub", "hub/models--google--paligemma-tiny", "hub/models--google--paligemma-tiny/refs", "hub/models--google--paligemma-tiny/snapshots"};
    setenv("HF_HUB_CACHE", in_folder("hub"), 1);
    assert_null(pl_model_find("google/paligemma-tiny", &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_non_null(strstr(err.message, "accept its licence at https://huggingface.co/google/paligemma-tiny"));
    assert_non_null(strstr(err.message, "hf download google/paligemma-tiny"));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_true(mkdir(in_folder(steps[i]), 0700) == 0 || errno == EEXIST);
    assert_null(pl_model_find("google/paligemma-tiny", &err));
    assert_non_null(strstr(err.message, "refs/main"));
    write_all(in_folder("hub/models--google--paligemma-tiny/refs/main"), "abc123\n", 7);
    snprintf(path, sizeof path, "%s/hub/models--google--paligemma-tiny/snapshots/abc123", folder);
    assert_int_equal(symlink(folder, path), 0);
    char *found = pl_model_find("google/paligemma-tiny", &err), *bare = pl_model_find("paligemma-tiny", &err);
    assert_string_equal(found, path);
    assert_string_equal(bare, path);
    const pl_load_options none = {0};
    pl_paligemma *model = pl_paligemma_open(found, &none, &err);
    assert_non_null(model);
    pl_paligemma_close(model);
    free(found);
    free(bare);
    assert_null(pl_model_find("../etc/passwd/x", &err));
    assert_null(pl_model_find("", &err));
    unlink(path);
    unlink(in_folder("hub/models--google--paligemma-tiny/refs/main"));
    for (size_t i = sizeof steps / sizeof *steps; i-- > 0;)
        rmdir(in_folder(steps[i]));
    unsetenv("HF_HUB_CACHE");
}

static int make_folder(void **state)
{
    (void)state;
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/pali-test-XXXXXX", temporary ? temporary : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        unlink(in_folder(parts[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),  cmocka_unit_test(test_preprocessor), cmocka_unit_test(test_files),
        cmocka_unit_test(test_tensors), cmocka_unit_test(test_adapters),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_head),
    };
    return cmocka_run_group_tests_name("bad models", tests, make_folder, remove_folder);
}
