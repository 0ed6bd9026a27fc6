/* pali bench: what this machine gives, and what pali makes of it. */
#include "bench.h"

#include "options.h"
#include "say.h"
#include "use.h"

#include "base/machine.h"
#include "model/find.h"
#include "model/random.h"
#include "model/recast.h"
#include "model/shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SHAPE "paligemma-3b-224"
enum { DEFAULT_PROMPT = 16, FEWEST_RUNS = 3, MOST_RUNS = 512, MOST_BATCH = 256 };
static const double default_seconds = 3, memory_spare = 300e6 /* pictures, the program, what others take meanwhile */;

static const char *const stage_names[BENCH_STAGE_COUNT] = {
#define STAGE_NAME(name, text) [BENCH_##name] = text,
    BENCH_STAGE_LIST(STAGE_NAME)
#undef STAGE_NAME
};

const char *bench_stage_name(bench_stage stage)
{
    return stage_names[stage];
}

static int compare_times(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

pali_status bench_measure(const bench *b, bench_fn *run, void *context, bench_time *time, pali_error *err)
{
    double times[MOST_RUNS];
    size_t runs = 0;
    pali_status status = run(context, err);
    const double start = pl_now();
    double last = 0;
    while (status == PALI_OK && runs < MOST_RUNS && (pl_now() - start < b->seconds || (runs < FEWEST_RUNS && last < b->seconds))) {
        const double begun = pl_now();
        status = run(context, err);
        times[runs++] = last = pl_now() - begun;
    }
    if (status != PALI_OK)
        return status;
    qsort(times, runs, sizeof *times, compare_times);
    *time = (bench_time){.median = times[runs / 2], .low = times[runs / 10], .high = times[runs - 1 - runs / 10], .runs = runs};
    return PALI_OK;
}

uint64_t bench_memory_left(void)
{
    pl_memory_limit limit;
    pl_memory_limit_read("", &limit);
    return limit.left;
}

/* ---- What is asked for ------------------------------------------------ */

/* The next word of a list with commas, into word; false at its end. */
static bool next_word(const char **list, char word[32])
{
    if (!*list)
        return false;
    const size_t length = strcspn(*list, ",");
    snprintf(word, 32, "%.*s", (int)length, *list);
    *list = (*list)[length] ? *list + length + 1 : NULL;
    return true;
}

static int read_stages(const settings *given, bench *b)
{
    const char *list = given->stage;
    for (size_t s = 0; s < BENCH_STAGE_COUNT; s++)
        b->wanted[s] = !list && (s != BENCH_LOAD || given->model);
    char word[32];
    while (next_word(&list, word)) {
        size_t s = 0;
        while (s < BENCH_STAGE_COUNT && strcmp(stage_names[s], word) != 0)
            s++;
        if (s == BENCH_STAGE_COUNT)
            return fail_usage(&bench_command, "--stage: found '%s', expected a list of ceilings, load, picture, resize, vision, prefill, first-token, decode", word);
        b->wanted[s] = true;
    }
    if (b->wanted[BENCH_LOAD] && !given->model)
        return fail_usage(&bench_command, "--stage load: there is nothing to load without --model");
    return 0;
}

static int read_batches(const settings *given, bench *b)
{
    const char *list = given->batch ? given->batch : "1,4,8";
    const size_t most = sizeof b->batches / sizeof *b->batches;
    char word[32];
    while (next_word(&list, word)) {
        uint64_t batch;
        if (b->batch_count == most || !read_count(word, 1, MOST_BATCH, &batch))
            return fail_usage(&bench_command, "--batch: found '%s', expected up to %zu whole numbers from 1 to %d", given->batch, most, (int)MOST_BATCH);
        b->batches[b->batch_count++] = (size_t)batch;
    }
    return 0;
}

/* The type of random weights; that of a file's is left to the loader. */
static int read_type(const settings *given, bench *b)
{
    b->type = PL_BF16;
    if (!given->type || given->model || pl_type_parse(given->type, "type", &b->type, NULL) == PALI_OK)
        return 0;
    for (b->type = 0; b->type < PL_DTYPE_COUNT; b->type++)
        if ((pl_dtype_is_float(b->type) || pl_dtype_is_tiled(b->type)) && strcmp(pl_dtype_name(b->type), given->type) == 0)
            return 0;
    return fail_usage(&bench_command, "--type: found '%s', expected a type of weights, such as f32, bf16, q8, q8_0, q4_0 or q4_0_tiles", given->type);
}

static int read_settings(const settings *given, bench *b)
{
    if (given->operands.count)
        return fail_usage(&bench_command, "no argument expected, found '%s'", given->operands.items[0]);
    if (given->model && given->shape)
        return fail_usage(&bench_command, "--model and --shape: expected one of them");
    b->given = given;
    b->name = given->model ? given->model : given->shape ? given->shape : DEFAULT_SHAPE;
    b->seconds = given->seconds > 0 ? given->seconds : default_seconds;
    b->prompt_tokens = given->prompt_tokens ? (size_t)given->prompt_tokens : DEFAULT_PROMPT;
    if (given->kv_cache)
        b->cache_type = strcmp(given->kv_cache, "bf16") == 0 ? PL_BF16 : strcmp(given->kv_cache, "q8_0") == 0 ? PL_Q8_0 : PL_F32;
    if (given->activations)
        b->activations = strcmp(given->activations, "f32") == 0 ? PL_ACTIVATIONS_F32 : strcmp(given->activations, "int8") == 0 ? PL_ACTIVATIONS_INT8 : PL_ACTIVATIONS_AUTO;
    int code = read_stages(given, b);
    if (!code)
        code = read_batches(given, b);
    return code ? code : read_type(given, b);
}

/* ---- What it is measured on ------------------------------------------- */

static bool needs_model(const bench *b)
{
    return b->wanted[BENCH_LOAD] || b->wanted[BENCH_VISION] || b->wanted[BENCH_PREFILL] || b->wanted[BENCH_FIRST_TOKEN] || b->wanted[BENCH_DECODE];
}

/* What the stages take with random weights of a shape and type. */
static double memory_need(const bench *b, const pl_config *config, pl_dtype type)
{
    bench other = *b;
    other.config = *config;
    return (double)pl_random_bytes(config, type) + (double)bench_compute_bytes(&other) + memory_spare;
}

/* Refuses a shape that memory does not hold, and names one that it does. */
static int check_memory(const bench *b)
{
    static const char *const shapes[] = {NULL, DEFAULT_SHAPE, "nano"};
    static const pl_dtype types[] = {PL_BF16, PL_Q8_0, PL_Q4_0};
    const double left = (double)bench_memory_left(), need = memory_need(b, &b->config, b->type);
    if (!needs_model(b) || need <= left)
        return 0;
    for (size_t i = 0; i < 9; i++) {
        const char *const shape = shapes[i / 3] ? shapes[i / 3] : b->name;
        const pl_dtype type = types[i % 3];
        pl_config config;
        if (pl_config_from_shape(&config, shape, NULL) == PALI_OK && memory_need(b, &config, type) <= left)
            return fail(PALI_MEMORY, "%s in %s needs %.1f GB of memory, found %.1f GB; what fits: --shape %s --type %s (%.1f GB)", b->name, pl_dtype_name(b->type), need / 1e9,
                        left / 1e9, shape, pl_dtype_name(type), memory_need(b, &config, type) / 1e9);
    }
    return fail(PALI_MEMORY, "%s in %s needs %.1f GB of memory, found %.1f GB", b->name, pl_dtype_name(b->type), need / 1e9, left / 1e9);
}

static pali_status load(void *context, pali_error *err)
{
    bench *const b = context;
    const pl_load_options options = {.type = b->given->type, .tokenizer = b->given->tokenizer, .vision = b->given->vision, .pool = b->pool};
    pl_paligemma_close(b->model);
    b->model = pl_paligemma_open(b->path, &options, err);
    return b->model ? PALI_OK : pl_status_of(err, PALI_MODEL);
}

/* The model of a file, opened again and again if that is what is measured, or of random weights. */
static pali_status open_model(bench *b, bench_row *row, pali_error *err)
{
    pali_status status = PALI_OK;
    if (b->given->model) {
        status = b->wanted[BENCH_LOAD] ? bench_measure(b, load, b, &row->time, err) : load(b, err);
        if (status == PALI_OK)
            b->config = b->model->config;
    } else if (needs_model(b)) {
        b->model = pl_paligemma_random(&b->config, b->type, b->pool, err);
        status = b->model ? PALI_OK : pl_status_of(err, PALI_MEMORY);
    }
    if (status == PALI_OK && !pl_kv_cache_type_fits(b->cache_type, b->config.text.head_dim))
        return pl_fail(err, PALI_USAGE, "--kv-cache: found %s for heads of %zu values", pl_dtype_name(b->cache_type), b->config.text.head_dim);
    b->engine = (pl_engine){.model = b->model, .pool = b->pool, .kernels = b->levels[b->level_count - 1], .activations = b->activations, .cache_type = b->cache_type};
    return status;
}

/* ---- The command ------------------------------------------------------ */

static pali_status compute_levels(bench *b, pali_error *err)
{
    pali_status status = PALI_OK;
    for (b->level = 0; status == PALI_OK && b->level < b->level_count; b->level++) {
        b->engine.kernels = b->levels[b->level];
        status = bench_compute(b, err);
    }
    return status;
}

static pali_status measure(bench *b, pali_error *err)
{
    bench_row loading = {.stage = BENCH_LOAD, .batch = 1};
    bench_report_begin(b);
    pali_status status = b->wanted[BENCH_CEILINGS] ? bench_measure_memory(b, err) : PALI_OK;
    if (status == PALI_OK && b->wanted[BENCH_CEILINGS]) {
        bench_measure_units(b);
        bench_report_ceilings(b);
    }
    if (status == PALI_OK)
        status = open_model(b, &loading, err);
    if (status == PALI_OK)
        status = bench_picture_make(&b->picture, err);
    if (status != PALI_OK)
        return status;
    bench_report_model(b);
    if (b->wanted[BENCH_LOAD]) {
        loading.bytes = (double)b->model->weight_bytes;
        bench_report_row(b, &loading);
    }
    status = bench_pictures(b, err);
    return status == PALI_OK ? compute_levels(b, err) : status;
}

/*
 * The best level, or all up to it. `ref` is left out: it says what is right and
 * is not made for speed.
 */
static pali_status choose_levels(bench *b, pali_error *err)
{
    const pl_kernels *const best = pl_kernels_get(NULL, err); /* PALI_CPU may name none */
    if (!best)
        return pl_status_of(err, PALI_USAGE);
    const char *const *level = pl_kernel_levels();
    for (; b->given->levels && strcmp(*level, best->level) != 0; level++)
        if (strcmp(*level, "ref") != 0 && b->level_count + 1 < BENCH_MOST_LEVELS)
            b->levels[b->level_count++] = pl_kernels_get(*level, NULL);
    b->levels[b->level_count++] = best;
    return PALI_OK;
}

/* Everything between the settings and the report. */
static int prepare(bench *b)
{
    pali_error err = {0};
    if (choose_levels(b, &err) != PALI_OK)
        return fail_error(&err);
    pl_machine machine;
    char line[160];
    pl_machine_read("", &machine);
    if (pl_machine_is_crowded(&machine, (size_t)b->given->threads, line))
        note(b->given, "%s", line);
    if (b->given->model && !(b->path = pl_model_find(b->given->model, &err)))
        return fail_error(&err);
    if (!b->given->model && pl_config_from_shape(&b->config, b->name, &err) != PALI_OK)
        return fail_usage(&bench_command, "--shape: %s", err.message);
    const int code = b->given->model ? 0 : check_memory(b);
    if (code)
        return code;
    b->report = b->given->json ? json_object() : NULL;
    b->pool = pl_pool_new((size_t)b->given->threads, &err);
    if (b->pool && b->given->pin)
        pl_pool_pin(b->pool);
    return b->pool ? 0 : fail_error(&err);
}

static int run_bench(const settings *given)
{
    bench b = {0};
    int code = read_settings(given, &b);
    if (!code)
        code = prepare(&b);
    if (!code) {
        pali_error err = {0};
        code = measure(&b, &err) == PALI_OK ? bench_report_end(&b) : fail_error(&err);
    }
    json_decref(b.report);
    pl_paligemma_close(b.model);
    pl_pool_free(b.pool);
    free(b.picture.jpeg);
    free(b.path);
    return code;
}

static const option own_options[] = {
    {"model", 'm', OPTION_TEXT, offsetof(settings, model), "MODEL", 0, 0, "measure these weights: folder, file, hub name or nano"},
    {"shape", 0, OPTION_TEXT, offsetof(settings, shape), "SHAPE", 0, 0, "random weights of this shape (" DEFAULT_SHAPE ")"},
    {"type", 0, OPTION_TEXT, offsetof(settings, type), "T", 0, 0, "type of the random weights (bf16), or convert MODEL"},
    {"activations", 0, OPTION_CHOICE, offsetof(settings, activations), "auto|f32|int8", 0, 0, "what products take; f32: exact, slower"},
    {"kv-cache", 0, OPTION_CHOICE, offsetof(settings, kv_cache), "f32|bf16|q8_0", 0, 0, "type of the keys and values that are kept"},
    {"threads", 't', OPTION_COUNT, offsetof(settings, threads), "N", 1, MOST_THREADS, "threads (one a core, or PALI_THREADS)"},
    {"pin", 0, OPTION_FLAG, offsetof(settings, pin), NULL, 0, 0, "hold each thread on a core of its own"},
    {"stage", 0, OPTION_TEXT, offsetof(settings, stage), "NAME,...", 0, 0, "these stages only"},
    {"batch", 0, OPTION_TEXT, offsetof(settings, batch), "N,...", 0, 0, "decode so many sequences at a time (1,4,8)"},
    {"prompt-tokens", 0, OPTION_COUNT, offsetof(settings, prompt_tokens), "N", 1, 8192, "tokens of the prompt after the image's (16)"},
    {"seconds", 0, OPTION_NUMBER, offsetof(settings, seconds), "S", 0, 3600, "repeat each stage for so long (3)"},
    {"levels", 0, OPTION_FLAG, offsetof(settings, levels), NULL, 0, 0, "with every kernel level of this processor but ref"},
    {"tokenizer", 0, OPTION_TEXT, offsetof(settings, tokenizer), "PATH", 0, 0, "tokenizer.json, tokenizer.model or their folder"},
    {"vision", 0, OPTION_TEXT, offsetof(settings, vision), "FILE", 0, 0, "GGUF file with the vision tower (mmproj)"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "one JSON object in place of the table"},
    {0},
};

const command bench_command = {
    .name = "bench",
    .operands = "",
    .summary = "measure how fast this machine is, and what pali makes of it",
    .about = "Measures what this machine reads and computes at most (its ceilings), and every\n"
             "stage from a picture to a token: time (the median, and how far the runs spread),\n"
             "rate, and the part of the ceiling that is reached. Without -m the weights are\n"
             "random, of a released shape: paligemma-3b, paligemma2-3b, -10b or -28b, each with\n"
             "-224, -448 or -896, or nano. Stages: ceilings, load (of -m), picture (a 12-\n"
             "megapixel JPEG), resize, vision, prefill, first-token, decode.",
    .examples = "  pali bench\n"
                "  pali bench --shape paligemma2-10b-448 --type q4_0 --stage decode --batch 1,8,32\n"
                "  pali bench -m nano --json\n",
    .options = (const option *const[]){own_options, common_options, NULL},
    .run = run_bench,
};
