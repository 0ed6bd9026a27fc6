/* pali_model_*, tokenizing, inspecting: everything that is not a session. */
#include "api/handles.h"

#include "base/text.h"
#include "generate/fit.h"
#include "model/find.h"
#include "model/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pl_take_options(void *own, size_t own_size, const void *options)
{
    memset(own, 0, own_size);
    if (!options)
        return;
    size_t given;
    memcpy(&given, options, sizeof given);
    memcpy(own, options, given && given < own_size ? given : own_size);
}

pali_status pl_need(const void *pointer, const char *call, const char *name, pali_error *err)
{
    return pointer ? PALI_OK : pl_fail(err, PALI_USAGE, "%s: found NULL for %s, expected a value", call, name);
}

const char *pali_version(void)
{
    return PALI_VERSION;
}

void pali_free(void *block)
{
    free(block);
}

/* What opening works with. */
typedef struct opening {
    pali_model *model;
    const pali_model_options *options;
    const char *root;
} opening;

static void note(const opening *o, const char *line)
{
    if (o->options->note && *line)
        o->options->note(o->options->note_context, line);
}

static pali_status check_memory(const opening *o, const pl_engine *engine, pali_error *err)
{
    const bool turned = engine->model->checkpoint->container == PL_CONTAINER_NPZ;
    const pl_fit fit = pl_fit_plan(engine, turned ? "a GGUF file or Hugging Face folder" : o->options->type ? "the file's own type" : NULL);
    pl_memory_limit limit;
    pl_memory_limit_read(o->root, &limit);
    char warning[400];
    const pali_status status = pl_fit_check(&fit, &limit, warning, err);
    note(o, warning);
    return status;
}

/* What can be told before any work. */
static pali_status check_plan(void *context, const pl_paligemma *planned, pali_error *err)
{
    const opening *o = context;
    pl_engine engine = o->model->engine;
    engine.model = planned;
    const size_t head_dim = planned->config.text.head_dim;
    if (!pl_kv_cache_type_fits(engine.cache_type, head_dim))
        return pl_fail(err, PALI_USAGE, "kv_cache: found %s for heads of %zu values, expected a multiple of %zu", pl_dtype_name(engine.cache_type), head_dim,
                       pl_dtype_block(engine.cache_type));
    return check_memory(o, &engine, err);
}

/* The mask codec that is asked for, else the model's own; it may have none. */
static pali_status open_codec(pali_model *model, const char *name, const char *path, pali_error *err)
{
    if (name) {
        model->codec = pali_codec_open(name, err);
        return model->codec ? PALI_OK : pl_status_of(err, PALI_MODEL);
    }
    pl_codec *network = NULL;
    const pali_status status = pl_codec_open_of(path, &network, err);
    if (status != PALI_OK || !network)
        return status;
    model->codec = pl_codec_wrap(network, model->engine.kernels, err);
    return model->codec ? PALI_OK : PALI_MEMORY;
}

static pali_status open_weights(opening *job, const char *name, pali_error *err)
{
    char *path = pl_model_find(name, err);
    if (!path)
        return pl_status_of(err, PALI_MODEL);
    pali_model *model = job->model;
    const pali_model_options *o = job->options;
    const pl_load_options load = {.tokenizer = o->tokenizer, .vision = o->vision, .preprocess = o->preprocess, .type = o->type, .lora = o->lora, .lora_count = o->lora_count,
                                  .no_final_softcap = o->no_final_softcap, .kernels = model->engine.kernels, .pool = model->engine.pool, .check = check_plan, .check_context = job,
                                  .progress = o->progress, .progress_context = o->progress_context};
    model->weights = pl_paligemma_open(path, &load, err);
    pali_status status = model->weights ? PALI_OK : pl_status_of(err, PALI_MODEL);
    if (status == PALI_OK)
        status = open_codec(model, o->codec, path, err);
    free(path);
    return status;
}

/* The place of a word in a list; the first for NULL. */
static pali_status parse_choice(const char *option, const char *text, const char *const *names, size_t count, size_t *choice, pali_error *err)
{
    char list[64] = "";
    for (*choice = 0; text && *choice < count; ++*choice) {
        if (strcmp(text, names[*choice]) == 0)
            return PALI_OK;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *choice ? ", " : "", names[*choice]);
    }
    return text ? pl_fail(err, PALI_USAGE, "%s: found \"%s\", expected one of: %s", option, text, list) : PALI_OK;
}

/* How the model computes: kernels, numbers, type of caches. */
static pali_status fill_engine(pl_engine *engine, const pali_model_options *o, pali_error *err)
{
    static const char *const activations[] = {[PL_ACTIVATIONS_AUTO] = "auto", [PL_ACTIVATIONS_F32] = "f32", [PL_ACTIVATIONS_INT8] = "int8"};
    static const char *const caches[] = {"f32", "bf16", "q8_0"};
    static const pl_dtype cache_types[] = {PL_F32, PL_BF16, PL_Q8_0};
    size_t choice = 0;
    pali_status status = parse_choice("activations", o->activations, activations, 3, &choice, err);
    engine->activations = (pl_activations)choice;
    if (status == PALI_OK)
        status = parse_choice("kv_cache", o->kv_cache, caches, 3, &choice, err);
    if (status != PALI_OK)
        return status;
    engine->cache_type = cache_types[choice];
    engine->kernels = pl_kernels_get(o->cpu, err);
    return engine->kernels ? PALI_OK : PALI_USAGE;
}

static pali_status start_threads(const opening *o, pali_error *err)
{
    pl_machine machine;
    char line[160];
    pl_machine_read(o->root, &machine);
    if (pl_machine_is_crowded(&machine, o->options->threads, line))
        note(o, line);
    pl_pool *pool = o->model->pool = pl_pool_new(o->options->threads, err);
    if (!pool)
        return pl_status_of(err, PALI_MEMORY);
    if (o->options->pin)
        pl_pool_pin(pool);
    return PALI_OK;
}

pali_model *pl_model_open(const char *root, const char *name, const pali_model_options *options, pali_error *err)
{
    pali_model_options o;
    pl_take_options(&o, sizeof o, options);
    if (pl_need(name, "pali_model_open", "name", err) != PALI_OK)
        return NULL;
    const double start = pl_now();
    pl_engine engine = {0};
    pali_model *model = fill_engine(&engine, &o, err) == PALI_OK ? pl_new(1, sizeof *model, "model", err) : NULL;
    if (!model)
        return NULL;
    opening job = {.model = model, .options = &o, .root = root};
    pali_status status = start_threads(&job, err);
    model->engine = engine;
    model->engine.pool = model->pool;
    if (status == PALI_OK)
        status = open_weights(&job, name, err);
    if (status != PALI_OK) {
        pali_model_free(model);
        return NULL;
    }
    model->engine.model = model->weights;
    model->preprocess = pl_preprocess_name(model->weights->config.preprocess.kind);
    model->load_seconds = pl_now() - start;
    return model;
}

pali_model *pali_model_open(const char *name, const pali_model_options *options, pali_error *err)
{
    return pl_model_open("", name, options, err);
}

const char *pali_cpu_level(const char *cpu, pali_error *err)
{
    const pl_kernels *kernels = pl_kernels_get(cpu, err);
    return kernels ? kernels->level : NULL;
}

void pali_model_free(pali_model *model)
{
    if (!model)
        return;
    pali_codec_free(model->codec);
    pl_paligemma_close(model->weights);
    pl_pool_free(model->pool);
    free(model);
}

uint64_t pali_model_question_bytes(const pali_model *model, size_t images, size_t prompt_tokens, size_t answer_tokens)
{
    return model ? pl_question_bytes(&model->engine, images, prompt_tokens, answer_tokens) : 0;
}

pali_status pali_model_describe(const pali_model *model, pali_model_info *info, pali_error *err)
{
    pali_status status = pl_need(model, "pali_model_describe", "model", err);
    if (status == PALI_OK)
        status = pl_need(info, "pali_model_describe", "info", err);
    if (status != PALI_OK)
        return status;
    const pl_paligemma *w = model->weights;
    *info = (pali_model_info){
        .path = w->checkpoint->path,
        .format = pl_container_name(w->checkpoint->container),
        .family = w->config.gemma2 ? "paligemma2" : "paligemma",
        .preprocess = model->preprocess,
        .cpu = model->engine.kernels->level,
        .threads = pl_pool_threads(model->pool),
        .image_size = w->config.vision.image_size,
        .image_tokens = pl_image_tokens(w),
        .vision_layers = w->config.vision.layers,
        .vision_width = w->config.vision.width,
        .text_layers = w->config.text.layers,
        .text_width = w->config.text.width,
        .vocabulary = w->config.text.vocabulary,
        .parameters = w->parameters,
        .weight_bytes = w->weight_bytes,
        .copied_bytes = w->copied_bytes,
        .load_seconds = model->load_seconds,
        .codec = model->codec ? model->codec->network->path : NULL,
    };
    return PALI_OK;
}

pali_status pali_tokenize(const pali_model *model, const char *text, int32_t **ids, size_t *count, pali_error *err)
{
    pali_status status = pl_need(model, "pali_tokenize", "model", err);
    if (status == PALI_OK)
        status = pl_need(text, "pali_tokenize", "text", err);
    if (status == PALI_OK)
        status = pl_need(ids, "pali_tokenize", "ids", err);
    if (status == PALI_OK)
        status = pl_need(count, "pali_tokenize", "count", err);
    pl_ids list = {0};
    if (status == PALI_OK)
        status = pl_tokenizer_encode(model->weights->tokenizer, text, strlen(text), PL_TEXT_USER, &list, err);
    if (status == PALI_OK && !list.data)
        status = (list.data = pl_new(1, sizeof *list.data, "ids", err)) ? PALI_OK : PALI_MEMORY;
    if (status != PALI_OK) {
        pl_ids_free(&list);
        return status;
    }
    *ids = list.data;
    *count = list.count;
    return PALI_OK;
}

char *pali_detokenize(const pali_model *model, const int32_t *ids, size_t count, pali_error *err)
{
    pl_buffer text = {0};
    if (pl_need(model, "pali_detokenize", "model", err) != PALI_OK || (count && pl_need(ids, "pali_detokenize", "ids", err) != PALI_OK))
        return NULL;
    if (pl_buffer_append(&text, "", 0, err) == PALI_OK && pl_tokenizer_decode(model->weights->tokenizer, ids, count, &text, err) == PALI_OK)
        return text.data;
    free(text.data);
    return NULL;
}

char *pali_model_find(const char *name, pali_error *err)
{
    return pl_need(name, "pali_model_find", "name", err) == PALI_OK ? pl_model_find(name, err) : NULL;
}

char *pali_inspect(const char *name, const pali_inspect_options *options, pali_error *err)
{
    pali_inspect_options o;
    pl_take_options(&o, sizeof o, options);
    char *path = pl_kernels_get(NULL, err) ? pali_model_find(name, err) : NULL; /* a wrong PALI_CPU is no fault of the model's */
    if (!path)
        return NULL;
    const pl_inspect_options inside = {.tokenizer = o.tokenizer, .vision = o.vision, .check = o.check, .tensors = o.tensors};
    char *report = pl_model_inspect(path, &inside, err);
    free(path);
    return report;
}
