/* Recipes: what is read, every way to be wrong and where it is said to be, and the way out and back. */
#include "train/recipe.h"

#include "base/file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_ARGUMENTS = 8 };

/* "lr=1|steps=5" as arguments. */
static size_t split(char *text, const char **arguments)
{
    size_t count = 0;
    char *saved = NULL;
    for (char *part = strtok_r(text, "|", &saved); part; part = strtok_r(NULL, "|", &saved))
        arguments[count++] = part;
    return count;
}

static pali_status parse(pl_recipe *recipe, const char *text, const char *given, pali_error *err)
{
    char copy[1024];
    const char *arguments[MOST_ARGUMENTS];
    snprintf(copy, sizeof copy, "%s", given);
    const size_t count = split(copy, arguments);
    *recipe = (pl_recipe){0};
    return pl_recipe_parse(recipe, text, text ? strlen(text) : 0, text ? "r.yaml" : NULL, "/recipes/a", arguments, count, err);
}

static void parse_good(pl_recipe *recipe, const char *text, const char *given)
{
    pali_error err = {0};
    const pali_status status = parse(recipe, text, given, &err);
    if (status != PALI_OK)
        fail_msg("%s: %s", given, err.message);
}

static char *written(const pl_recipe *recipe)
{
    pl_buffer out = {0};
    assert_int_equal(pl_recipe_write(recipe, &out, NULL), PALI_OK);
    return out.data;
}

/* ---- What is read ----------------------------------------------------- */

static void test_defaults(void **state)
{
    (void)state;
    pl_recipe r;
    parse_good(&r, NULL, "model=no-such-model|data=/rows.jsonl");
    assert_string_equal(r.model, "no-such-model");
    assert_int_equal(r.data.count, 1);
    assert_string_equal(r.data.items[0].path, "/rows.jsonl");
    assert_string_equal(r.data.items[0].choice, "no_replacement");
    assert_int_equal(r.data.items[0].repeat, 1);
    assert_string_equal(r.optimizer, "adam");
    assert_string_equal(r.decay, "kernels");
    assert_string_equal(r.schedule, "cosine");
    assert_true(r.lr == 1e-5 && r.warmup == 0.05 && r.beta2 == 0.999 && r.clip == 1 && r.momentum == 0);
    assert_true(r.epochs == 10 && r.steps == 0);
    assert_int_equal(r.batch, 32);
    assert_int_equal(r.text_length, 128);
    assert_int_equal(r.train.count, 1);
    assert_string_equal(r.train.items[0], "all");
    assert_string_equal(r.pictures, "needed");
    assert_null(r.out);
    assert_null(r.type);
    assert_true(r.shuffle && r.leak_test && !r.force);
    pl_recipe_close(&r);
}

static const char whole[] = "# all kinds of values\n"
                            "model: ./weights/../none\n"
                            "tokenizer: google/none\n"
                            "out: ../run # beside\n"
                            "data:\n"
                            "- rows.jsonl\n"
                            "- {path: /b.jsonl, weight: 2, prefix: 'answer en {question}', limit: 64}\n"
                            "- path: c.jsonl\n"
                            "  images: pictures\n"
                            "  choice: uniform\n"
                            "validation: held.jsonl\n"
                            "prefix: \"caption en\"\n"
                            "lora:\n"
                            "  rank: 8\n"
                            "  targets: [q_proj, 'text[.]layers[.][0-3][.].*']\n"
                            "lora.dropout: .05\n"
                            "groups:\n"
                            "  - match: vision\n"
                            "    lr: 0\n"
                            "    warmup: 100\n"
                            "  - {match: [norms, projector], weight_decay: 1e-7}\n"
                            "max_memory: 12 GB\n"
                            "lr: 3e-5\n"
                            "warmup: 20\n"
                            "shuffle: no\n"
                            "steps: 1000\n"
                            "seed: 18446744073709551615\n"
                            "report: True\n";

static void test_kinds(void **state)
{
    (void)state;
    pl_recipe r;
    parse_good(&r, whole, "");
    assert_string_equal(r.model, "/recipes/a/weights/../none");
    assert_string_equal(r.tokenizer, "google/none"); /* nothing is there: a name */
    assert_string_equal(r.out, "/recipes/run");
    assert_int_equal(r.data.count, 3);
    assert_string_equal(r.data.items[0].path, "/recipes/a/rows.jsonl");
    assert_string_equal(r.data.items[0].prefix, "caption en");
    assert_string_equal(r.data.items[1].prefix, "answer en {question}");
    assert_true(r.data.items[1].weight == 2);
    assert_int_equal(r.data.items[1].limit, 64);
    assert_string_equal(r.data.items[2].images, "/recipes/a/pictures");
    assert_string_equal(r.data.items[2].choice, "uniform");
    assert_string_equal(r.validation.items[0].path, "/recipes/a/held.jsonl");
    assert_string_equal(r.validation.items[0].prefix, "caption en");
    assert_int_equal(r.lora_rank, 8);
    assert_true(r.lora_alpha == 8 && r.lora_dropout == 0.05);
    assert_int_equal(r.lora_targets.count, 2);
    assert_string_equal(r.lora_targets.items[1], "text[.]layers[.][0-3][.].*");
    assert_int_equal(r.train.count, 0); /* adapters only */
    assert_int_equal(r.groups.count, 2);
    assert_true(r.groups.items[0].lr == 0 && isnan(r.groups.items[0].weight_decay) && r.groups.items[0].warmup == 100);
    assert_true(isnan(r.groups.items[1].lr) && r.groups.items[1].weight_decay == 1e-7);
    assert_int_equal(r.groups.items[1].match.count, 2);
    assert_true(r.max_memory == 12000000000u);
    assert_true(r.lr == 3e-5 && r.warmup == 20 && r.epochs == 0 && r.steps == 1000);
    assert_true(r.seed == UINT64_MAX);
    assert_true(!r.shuffle && r.report);
    pl_recipe_close(&r);
}

/* Arguments come after the file; paths in them are of the current folder. */
static void test_arguments(void **state)
{
    (void)state;
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    strcat(here, "/mine");
    pl_recipe r;
    parse_good(&r, whole, "lr=1|lora.rank=4|out=mine|data.1.limit=7|prefix=a: {b}|train=[vision, projector]|lora={rslora: true}|max_memory=null");
    assert_true(r.lr == 1 && r.lora_rslora && r.max_memory == 0);
    assert_int_equal(r.lora_rank, 4);
    assert_string_equal(r.out, here);
    assert_int_equal(r.data.items[1].limit, 7);
    assert_string_equal(r.data.items[0].prefix, "a: {b}");
    assert_string_equal(r.data.items[0].path, "/recipes/a/rows.jsonl");
    assert_int_equal(r.train.count, 2);
    pl_recipe_close(&r);

    parse_good(&r, whole, "data.0.limit=5|data.0.images=mine|data.0.suffix={answers}|validation.limit=9|groups.1.lr=0.5");
    assert_string_equal(r.data.items[0].path, "/recipes/a/rows.jsonl");
    assert_string_equal(r.data.items[0].images, here);
    assert_int_equal(r.data.items[0].limit, 5);
    assert_string_equal(r.data.items[0].suffix, "{answers}");
    assert_int_equal(r.validation.items[0].limit, 9);
    assert_true(r.groups.items[1].lr == 0.5);
    pl_recipe_close(&r);

    parse_good(&r, "data: x\ntokenizer: t\nmodel_config: {text_config: {hidden_size: 64, act: \"7\"}, tie: true}\n", "model_config.text_config.hidden_size=.5|model_config.new=no|epochs=0.5");
    assert_string_equal(r.model_config, "{\"text_config\": {\"hidden_size\": 0.5, \"act\": \"7\"}, \"tie\": true, \"new\": \"no\"}");
    assert_true(r.epochs == 0.5);
    pl_recipe_close(&r);
}

/* ---- Out and back ----------------------------------------------------- */

static void test_there_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *text, *given;
    } cases[] = {
        {NULL, "model=nano|data=rows.jsonl"},
        {whole, ""},
        {whole, "optimizer=muon|prefix=\"quoted\" \xc3\xa9\xe2\x80\xa8 \x01\t\\ #: \xf0\x9f\x98\x80|new_tokens=[<a>, 'no', \"1\", ~]"},
        {"data: x\ntokenizer: t\nmodel_config: {a: [1, 1.5e3, .5, null, yes, TRUE, \"\\x7f\", {}, []], 'b c': -0}\n", "lr=0.1"},
        {whole, "prefix=null|lora.alpha=0.30000000000000004|beta1=-0"},
        {whole, "prefix=no|suffix=null |clip=123456789.125"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_recipe r, again;
        pali_error err = {0};
        parse_good(&r, cases[i].text, cases[i].given);
        char *const first = written(&r);
        if (parse(&again, first, "", &err) != PALI_OK)
            fail_msg("case %zu: %s\n%s", i, err.message, first);
        char *const second = written(&again);
        assert_string_equal(first, second);
        pl_buffer out = {0};
        size_t count = 1;
        assert_int_equal(pl_recipe_difference(&r, &again, true, &out, &count, NULL), PALI_OK);
        assert_int_equal(count, 0);
        assert_null(out.data);
        free(first);
        free(second);
        pl_recipe_close(&r);
        pl_recipe_close(&again);
    }
}

static void test_difference(void **state)
{
    (void)state;
    pl_recipe r, other;
    parse_good(&r, whole, "");
    parse_good(&other, whole, "lr=1e-4|save_every=7|data.1.weight=3|lora.targets=v_proj");
    pl_buffer out = {0};
    size_t count;
    assert_int_equal(pl_recipe_difference(&r, &other, false, &out, &count, NULL), PALI_OK);
    assert_int_equal(count, 3);
    assert_non_null(strstr(out.data, "lr: 3e-05 -> 0.0001; "));
    assert_non_null(strstr(out.data, "lora.targets: [q_proj, \"text[.]layers[.][0-3][.].*\"] -> [v_proj]; "));
    assert_non_null(strstr(out.data, "weight: 2, prefix"));
    assert_null(strstr(out.data, "save_every"));
    free(out.data);
    out = (pl_buffer){0};
    assert_int_equal(pl_recipe_difference(&r, &other, true, &out, &count, NULL), PALI_OK);
    assert_int_equal(count, 4);
    assert_non_null(strstr(out.data, "; save_every: 500 -> 7"));
    free(out.data);
    pl_recipe_close(&other);
    /* Where data lies. */
    parse_good(&other, whole, "data.1.path=moved/rows.jsonl|data.0.images=moved");
    out = (pl_buffer){0};
    assert_int_equal(pl_recipe_difference(&r, &other, false, &out, &count, NULL), PALI_OK);
    assert_int_equal(count, 0);
    assert_int_equal(pl_recipe_difference(&r, &other, true, &out, &count, NULL), PALI_OK);
    assert_int_equal(count, 1);
    assert_non_null(strstr(out.data, "moved/rows.jsonl"));
    free(out.data);
    pl_recipe_close(&r);
    pl_recipe_close(&other);
}

/* Paths in a file are of its folder, however it is named. */
static void test_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/recipe-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char real[4096], path[4200], expected[4200];
    assert_non_null(realpath(folder, real));
    snprintf(path, sizeof path, "%s/r.yaml", folder);
    static const char text[] = "model: .\ndata: ../x.jsonl\nout: run\n";
    assert_int_equal(pl_file_write(path, text, sizeof text - 1, NULL), PALI_OK);
    pl_recipe r = {0};
    assert_int_equal(pl_recipe_open(&r, path, NULL, 0, NULL), PALI_OK);
    assert_string_equal(r.model, real); /* something is there: a path */
    snprintf(expected, sizeof expected, "%s/run", real);
    assert_string_equal(r.out, expected);
    *strrchr(real, '/') = '\0';
    snprintf(expected, sizeof expected, "%s/x.jsonl", real);
    assert_string_equal(r.data.items[0].path, expected);
    pl_recipe_close(&r);
    unlink(path);
    rmdir(folder);
    pali_error err = {0};
    r = (pl_recipe){0};
    assert_int_equal(pl_recipe_open(&r, path, NULL, 0, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, path));
    pl_recipe_close(&r);
}

/* ---- What is wrong ---------------------------------------------------- */

#define GOOD "model: m\ndata: d\n"

static const struct {
    const char *text, *given, *message;
} wrong[] = {
    {GOOD "lora:\n  rnak: 8\n", "", "r.yaml:4:3: unknown key 'lora.rnak', did you mean lora.rank?"},
    {GOOD "rank: 8\n", "", "r.yaml:3:1: unknown key 'rank', did you mean lora.rank?"},
    {GOOD "what: 8\n", "", "r.yaml:3:1: unknown key 'what'"},
    {GOOD "lr: fast\n", "", "r.yaml:3:5: lr: found 'fast', expected a number from 0 to 1000"},
    {GOOD "lr: -1\n", "", "r.yaml:3:5: lr: found '-1', expected a number from 0 to 1000"},
    {GOOD "lr: 1001\n", "", "r.yaml:3:5: lr: found '1001', expected a number from 0 to 1000"},
    {GOOD "lora: {rank: 4097}\n", "", "r.yaml:3:14: lora.rank: found '4097', expected a whole number from 0 to 4096"},
    {GOOD "lr: nan\n", "", "r.yaml:3:5: lr: found 'nan'"},
    {GOOD "lr: 0x1\n", "", "r.yaml:3:5: lr: found '0x1'"},
    {GOOD "lr:\n", "", "r.yaml:3:4: lr: no value, expected a number from 0 to 1000 (null: the default)"},
    {GOOD "lr: [1]\n", "", "r.yaml:3:5: lr: found a list, expected a number"},
    {GOOD "lr: 1\nlr: 2\n", "", "r.yaml:4:1: 'lr' stands here again; it was in line 3 already"},
    {GOOD "lora: {rank: 1}\nlora.rank: 2\n", "", "r.yaml:4:1: lora.rank is given again, after r.yaml:3:8"},
    {GOOD "lora: 8\n", "", "r.yaml:3:7: lora: expected a map of keys"},
    {GOOD "batch: 1.5\n", "", "r.yaml:3:8: batch: found '1.5', expected a whole number from 1 to 65536"},
    {GOOD "batch: 0\n", "", "r.yaml:3:8: batch: found '0', expected a whole number from 1 to 65536"},
    {GOOD "seed: 18446744073709551616\n", "", "expected a whole number from 0 on"},
    {GOOD "warmup: 1.5\n", "", "expected a part of all steps below 1, or a whole number of them"},
    {GOOD "shuffle: maybe\n", "", "r.yaml:3:10: shuffle: found 'maybe', expected true or false"},
    {GOOD "schedule: cosin\n", "", "r.yaml:3:11: schedule: found 'cosin', expected one of cosine|rsqrt|linear|constant"},
    {GOOD "schedule: cos\n", "", "found 'cos', expected one of"},
    {GOOD "max_memory: 12 gigs\n", "", "expected bytes, such as 800 MB or 12 GB"},
    {GOOD "max_memory: 99999999999 TB\n", "", "expected bytes"},
    {GOOD "out: {a: b}\n", "", "r.yaml:3:6: out: found a map, expected a path"},
    {GOOD "out: \"\"\n", "", "out: found '', expected a path"},
    {GOOD "train: [a, [b]]\n", "", "r.yaml:3:12: train: found a list, expected a text, or a list of texts"},
    {GOOD "model_config: x\n", "", "model_config: found 'x', expected a map"},
    {"model: m\ndata:\n - {weight: 1}\n", "", "r.yaml:3:4: data: path is missing"},
    {"model: m\ndata:\n - {path: null}\n", "", "data: path is missing"},
    {"model: m\ndata:\n - {path: a, wieght: 1}\n", "", "r.yaml:3:14: data: unknown key 'wieght', did you mean weight?"},
    {"model: m\ndata:\n - {path: a, repeat: 0}\n", "", "r.yaml:3:22: repeat: found '0', expected a whole number from 1 to 1000000"},
    {GOOD "groups: [vision]\n", "", "r.yaml:3:10: groups: found 'vision', expected a map of match, lr, ..."},
    {GOOD "groups: [{lr: 1}]\n", "", "groups: match is missing"},
    {GOOD "groups: [{match: [], lr: 1}]\n", "", "groups: match is missing"},
    {"model: m\n", "", "r.yaml: data is missing"},
    {"data: d\n", "", "r.yaml: model is missing"},
    {NULL, "data=d", "recipe: model is missing"},
    {"model: m\ndata: []\n", "", "r.yaml:2:1: data is missing"},
    {GOOD "steps: 5\nepochs: 2\n", "", "r.yaml:3:1: steps is given with epochs"},
    {GOOD "steps: 5\n", "epochs=2", "r.yaml:3:1: steps is given with epochs"},
    {GOOD "model_config: {}\n", "", "r.yaml:3:1: model_config is given with model"},
    {"model_config: {}\ndata: d\n", "", "r.yaml:1:1: tokenizer is missing"},
    {GOOD "lora.alpha: 16\n", "", "r.yaml:3:1: lora.alpha is given without lora.rank"},
    {GOOD "lora: {targets: q_proj}\n", "", "r.yaml:3:8: lora.targets is given without lora.rank"},
    {GOOD "lora: {init: gaussian}\n", "lora.adapter=a", "r.yaml:3:8: lora.init is given without lora.rank"},
    {GOOD "optimizer: sgd\nbeta2: 0.99\n", "", "r.yaml:4:1: beta2 is given, but sgd has none"},
    {GOOD "timescale: 5\n", "", "r.yaml:3:1: timescale is given, but the schedule is not rsqrt"},
    {GOOD "cache_features: false\nfeature_cache: x\n", "", "r.yaml:4:1: feature_cache is given with cache_features: false"},
    {GOOD "momentum: 0.9\n", "", "r.yaml:3:1: momentum is given, but the optimizer has none"},
    {GOOD "codec: c.npz\n", "", "r.yaml:3:1: codec is given with a model"},
    {"codec: c.npz\ndata: a.jsonl\nlora: {rank: 3}\n", "", "r.yaml:3:8: lora.rank is given, but means nothing with codec"},
    {"codec: c.npz\ndata: a.jsonl\n", "precision=bf16", "argument 'precision=bf16': precision is given, but means nothing with codec"},
    {"codec: /c.npz\ndata: a.jsonl\nmask_codec: /c.npz\n", "", "r.yaml:3:1: mask_codec is the file that codec is written to"},
    {"- a\n", "", "r.yaml:1:1: expected a map of keys"},
    {"a: [1\n", "", "r.yaml:2:1: no YAML: "},
    {"a: b: c\n", "", "r.yaml:1:5: no YAML: mapping values are not allowed"},
    {"\tlr: 1\n", "", "r.yaml:1:1: no YAML: "},
    {"a: \xff\n", "", "no YAML: "},
    {GOOD "lr: &x 1\n", "", "r.yaml:3:5: an anchor"},
    {GOOD "lr: *x\n", "", "r.yaml:3:5: an alias"},
    {GOOD "lr: !!float 1\n", "", "r.yaml:3:5: a tag"},
    {GOOD "? [a]\n: 1\n", "", "r.yaml:3:3: expected a key that is a text"},
    {GOOD "---\nlr: 1\n", "", "a second document"},
    {GOOD "prefix: \"a\\0b\"\n", "", "r.yaml:3:9: a text with a NUL"},
    {GOOD, "lr", "argument 'lr': expected KEY=VALUE"},
    {GOOD, "=1", "argument '=1': expected KEY=VALUE"},
    {GOOD, "lr=", "argument 'lr=': lr: no value"},
    {GOOD, "suffix=", "argument 'suffix=': suffix: no value, expected a text"},
    {GOOD, "lr=x", "argument 'lr=x': lr: found 'x', expected a number"},
    {GOOD, "lr=1|lr=2", "argument 'lr=2': lr is given again, after argument 'lr=1'"},
    {GOOD, "lora={rank: 4}|lora.rank=3", "argument 'lora.rank=3': lora.rank is given again"},
    {GOOD, "lora.rnak=8", "argument 'lora.rnak=8': unknown key 'lora.rnak', did you mean lora.rank?"},
    {GOOD, "lora=8", "argument 'lora=8': lora: expected a map of keys, or one of them, lora.KEY"},
    {GOOD, "learning_rate=1", "unknown key 'learning_rate', did you mean lr?"},
    {GOOD, "batch_size=1", "unknown key 'batch_size', did you mean batch?"},
    {GOOD, "train=[a", "argument 'train=[a':2:1: no YAML: "},
    {GOOD, "data.4.weight=1", "argument 'data.4.weight=1': data has no '4'"},
    {"model: m\ndata: [d]\n", "data.4.weight=1", "argument 'data.4.weight=1': data has no item '4'"},
    {GOOD, "groups.0.lr=1", "argument 'groups.0.lr=1': groups is not there to be changed"},
    {GOOD, "data.0.wieght=1", "argument 'data.0.wieght=1': data: unknown key 'wieght', did you mean weight?"},
    {GOOD, "prefix=\xff", "argument 'prefix=?': not UTF-8"},
    {GOOD, "lr.x=1", "argument 'lr.x=1': unknown key 'lr.x'"},
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pl_recipe r;
        pali_error err = {0};
        const pali_status status = parse(&r, wrong[i].text, wrong[i].given, &err);
        if (status != PALI_USAGE || !strstr(err.message, wrong[i].message))
            fail_msg("case %zu: found status %d, '%s', expected '%s'", i, (int)status, err.message, wrong[i].message);
        assert_int_equal(err.status, PALI_USAGE);
        pl_recipe_close(&r);
    }
}

/* Deep and wide input is refused, not followed. */
static void test_hostile(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    char *const text = malloc(2 * MANY + 64);
    assert_non_null(text);
    pl_recipe r;
    pali_error err = {0};
    memset(text, '[', 1000);
    text[1000] = '\0';
    assert_int_equal(parse(&r, text, "", &err), PALI_USAGE);
    assert_non_null(strstr(err.message, "deep"));
    pl_recipe_close(&r);
    size_t at = (size_t)sprintf(text, "train: [");
    for (size_t i = 0; i < MANY; i++, at += 2)
        memcpy(text + at, "a,", 2);
    strcpy(text + at, "a]");
    assert_int_equal(parse(&r, text, "", &err), PALI_USAGE);
    assert_non_null(strstr(err.message, "more values"));
    pl_recipe_close(&r);
    free(text);
}

static void test_help(void **state)
{
    (void)state;
    pl_buffer out = {0};
    assert_int_equal(pl_recipe_help(&out, NULL), PALI_OK);
    assert_non_null(strstr(out.data, "lora.rank=0..4096"));
    assert_non_null(strstr(out.data, "schedule=cosine|rsqrt|linear|constant"));
    assert_non_null(strstr(out.data, "choice=no_replacement|uniform|first"));
    free(out.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_kinds), cmocka_unit_test(test_arguments), cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_difference),     cmocka_unit_test(test_file),  cmocka_unit_test(test_wrong),     cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
