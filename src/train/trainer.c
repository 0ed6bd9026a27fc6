/*
 * Opening a run: model, data, what is trained, and the plan; then, unless it is
 * a dry run, memory, state and the threads that read ahead.
 */
#include "train/trainer_parts.h"

#include "base/clock.h"
#include "base/folder.h"
#include "model/find.h"
#include "train/initialise.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pl_trainer_send(const pl_trainer *t, pl_train_event_kind kind, const char *text, const pl_train_sample *sample)
{
    pl_train_event event = t->last;
    event.kind = kind;
    event.text = text;
    if (sample) {
        event.prefix = sample->prefix;
        event.expected = sample->expected;
    }
    if (t->options.listen)
        t->options.listen(t->options.context, &event);
}

void pl_trainer_tell(const pl_trainer *t, pl_train_event_kind kind, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pl_trainer_send(t, kind, text, NULL);
}

pl_context pl_trainer_context(pl_trainer *t, pl_tape *tape)
{
    pl_context ctx = pl_engine_context(&t->engine, &t->arena);
    ctx.regime = PL_REGIME_PREFILL;
    ctx.tape = tape;
    return ctx;
}

/* ---- The model -------------------------------------------------------- */

static pali_status start_engine(pl_trainer *t, pali_error *err)
{
    t->engine.kernels = pl_kernels_get(NULL, err);
    if (!t->engine.kernels)
        return PALI_USAGE;
    t->pool = t->engine.pool = pl_pool_new(t->options.threads ? t->options.threads : t->recipe->threads, err);
    t->engine.cache_type = PL_F32;
    return t->pool ? PALI_OK : pl_status_of(err, PALI_MEMORY);
}

/* A model from nothing is made in OUT/initial, or for a dry run in a folder that goes away again. */
static char *make_model(pl_trainer *t, const char *tokenizer, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    const pl_initialise_options options = {.config = r->model_config, .tokenizer = tokenizer, .seed = r->seed, .mlp_connector = pl_says(r->connector, "mlp"), .pool = t->pool};
    const char *temporary = getenv("TMPDIR");
    char *path = t->options.dry_run ? pl_format(err, "%s/pali-XXXXXX", temporary ? temporary : "/tmp") : pl_format(err, "%s/initial", r->out);
    if (path && t->options.dry_run && !mkdtemp(path))
        pl_fail(err, PALI_FAILED, "%s: %s", path, strerror(errno));
    else if (path && pl_initialise(path, &options, err) == PALI_OK)
        return path;
    if (path && t->options.dry_run)
        pl_folder_remove(path);
    free(path);
    return NULL;
}

static pali_status open_model_with(pl_trainer *t, const char *tokenizer, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    const char *const lora = r->lora_adapter;
    const pl_load_options load = {.tokenizer = r->model_config ? NULL : tokenizer, .preprocess = r->preprocess, .type = r->type, .lora = lora ? &lora : NULL, .lora_count = lora != NULL,
                                  .no_final_softcap = r->no_final_softcap, .kernels = t->engine.kernels, .pool = t->pool};
    char *path = r->model_config ? make_model(t, tokenizer, err) : pl_model_find(r->model, err);
    if (!path)
        return pl_status_of(err, PALI_MODEL);
    t->model = pl_paligemma_open(path, &load, err);
    pali_status status = t->model ? PALI_OK : pl_status_of(err, PALI_MODEL);
    if (status == PALI_OK && r->new_tokens.count > 0)
        status = pl_paligemma_add_tokens(t->model, (const char *const *)r->new_tokens.items, r->new_tokens.count, r->seed, err);
    if (status == PALI_OK && !r->mask_codec)
        status = pl_codec_open_of(path, &t->codec, err);
    if (r->model_config && t->options.dry_run)
        pl_folder_remove(path); /* its files are mapped, and stay as long as that */
    free(path);
    return status;
}

/* The tokenizer may be named as models are. */
static pali_status open_model(pl_trainer *t, pali_error *err)
{
    char *const tokenizer = t->recipe->tokenizer ? pl_model_find(t->recipe->tokenizer, err) : NULL;
    if (t->recipe->tokenizer && !tokenizer)
        return pl_status_of(err, PALI_MODEL);
    const pali_status status = open_model_with(t, tokenizer, err);
    free(tokenizer);
    return status;
}

/* Which numbers products take: bf16 beside f32 masters, unless the model itself was stored in f32. */
static pl_activations precision_of(const pl_trainer *t)
{
    const char *precision = t->recipe->precision;
    const bool narrow = pl_says(precision, "bf16") || (pl_says(precision, "auto") && t->stored != PL_F32);
    return narrow ? PL_ACTIVATIONS_BF16 : PL_ACTIVATIONS_F32;
}

static pali_status open_all_of_model(pl_trainer *t, pali_error *err)
{
    pali_status status = start_engine(t, err);
    if (status == PALI_OK)
        status = open_model(t, err);
    if (status == PALI_OK && t->recipe->mask_codec)
        status = (t->codec = pl_codec_open(t->recipe->mask_codec, err)) ? PALI_OK : pl_status_of(err, PALI_MODEL);
    if (status != PALI_OK)
        return status;
    t->stored = t->model->gemma.layers[0].q.weight.dtype;
    t->engine.model = t->model;
    t->engine.activations = precision_of(t);
    return PALI_OK;
}

/* ---- Data ------------------------------------------------------------- */

static pl_dataset *open_dataset(pl_trainer *t, const pl_recipe_sources *list, bool ordered, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    pl_data_source *sources = pl_new(list->count, sizeof *sources, "sources of data", err);
    if (!sources)
        return NULL;
    for (size_t i = 0; i < list->count; i++) {
        const pl_recipe_source *s = &list->items[i];
        sources[i] = (pl_data_source){.path = s->path, .images = s->images, .weight = ordered ? 0 : s->weight, .skip = s->skip, .limit = s->limit, .repeat = ordered ? 1 : s->repeat,
                                      .prefix = s->prefix, .suffix = s->suffix,
                                      .choice = ordered || pl_says(s->choice, "first") ? PL_CHOICE_FIRST : pl_says(s->choice, "uniform") ? PL_CHOICE_UNIFORM : PL_CHOICE_NO_REPLACEMENT};
    }
    const pl_data_options options = {.sources = sources, .source_count = list->count, .seed = r->seed, .ordered = ordered || !r->shuffle, .text_length = r->text_length,
                                     .form = pl_trainer_traits(t)->form, .pictures = pl_says(r->pictures, "none") ? PL_PICTURES_NONE : pl_says(r->pictures, "optional") ? PL_PICTURES_OPTIONAL : PL_PICTURES_NEEDED,
                                     .tokenizer = t->model->tokenizer, .image_size = t->model->config.vision.image_size, .image_tokens = pl_image_tokens(t->model), .preprocess = t->model->config.preprocess,
                                     .kernels = t->engine.kernels, .codec = t->codec};
    pl_dataset *dataset = pl_dataset_open(&options, err);
    free(sources);
    return dataset;
}

static pali_status open_data(pl_trainer *t, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    t->data = open_dataset(t, &r->data, false, err);
    if (t->data && r->validation.count > 0)
        t->held_out = open_dataset(t, &r->validation, true, err);
    return t->data && (t->held_out || r->validation.count == 0) ? PALI_OK : pl_status_of(err, PALI_INPUT);
}

/* ---- Memory and state ------------------------------------------------- */

static pali_status open_cache(pl_trainer *t, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    if (!pl_trainer_caches(t))
        return PALI_OK;
    char *folder = r->feature_cache ? pl_format(err, "%s", r->feature_cache) : pl_format(err, "%s/features", r->out);
    char made[160];
    if (!folder)
        return PALI_MEMORY;
    snprintf(made, sizeof made, "%s %d, %s kernels, activations %d", pl_preprocess_name(t->model->config.preprocess.kind), (int)t->model->config.preprocess.filter, t->engine.kernels->level,
             (int)t->engine.activations);
    const pl_feature_options options = {.folder = folder, .model = pl_feature_model(&t->model->siglip), .made = made,
                                        .tokens = pl_image_tokens(t->model), .width = t->model->config.vision.width,
                                        .type = pl_says(r->cache_type, "bf16") ? PL_FEATURE_BF16 : PL_FEATURE_F32};
    t->cache = pl_feature_cache_open(&options, err);
    free(folder);
    return t->cache ? PALI_OK : pl_status_of(err, PALI_FAILED);
}

void pl_trainer_tell_bad_row(void *context, pl_place place, const pali_error *why)
{
    if (place.visit > 0) /* it was told of */
        return;
    pl_trainer_tell(context, PL_TRAIN_WARNING, "row passed over: %s", why->message);
}

pali_status pl_trainer_load_from(pl_trainer *t, uint64_t position, pali_error *err)
{
    pl_loader_free(t->loader);
    t->waited_before = 0; /* by this loader */
    const pl_loader_options options = {.first = position, .workers = pl_trainer_workers(t), .ahead = PL_TRAIN_EXAMPLES_AHEAD, .bytes = PL_TRAIN_BYTES_AHEAD,
                                       .stop_on_bad = pl_says(t->recipe->on_bad_row, "stop"), .cache = t->cache, .on_bad = pl_trainer_tell_bad_row, .on_bad_context = t};
    t->loader = pl_loader_new(t->data, &options, err);
    return t->loader ? PALI_OK : pl_status_of(err, PALI_MEMORY);
}

static pali_status take_memory(pl_trainer *t, pali_error *err)
{
    pl_optimiser_options options;
    pali_status status = pl_trainer_optimiser_options(t, &options, err);
    if (status == PALI_OK)
        status = pl_parameters_fill(t->parameters, t->model, t->pool, err);
    if (status != PALI_OK)
        return status;
    if (t->towers)
        pl_towers_fill(t->towers, t->recipe->seed, t->pool);
    t->optimiser = pl_optimiser_new(&options, t->parameters->tensors, t->parameters->count, t->parameters->groups, t->parameters->group_count, err);
    t->examples = pl_new(t->plan.batch, sizeof *t->examples, "examples of a step", err);
    if (!t->optimiser || !t->examples)
        return PALI_MEMORY;
    t->tape.parameters = t->parameters->list;
    t->tape.parameter_count = t->parameters->count;
    t->tape.keep = t->plan.keep;
    t->tape.dropout = (float)t->recipe->dropout;
    t->tape.adapter_dropout = (float)t->recipe->lora_dropout;
    status = pl_tape_reserve(&t->tape, t->plan.activation_gradients, err);
    return status == PALI_OK ? pl_arena_init(&t->arena, t->plan.activations, "activations", err) : status;
}

static pali_status start(pl_trainer *t, pali_error *err)
{
    pali_status status = take_memory(t, err);
    if (status == PALI_OK)
        status = open_cache(t, err);
    if (status == PALI_OK)
        status = pl_trainer_restore(t, err);
    if (status == PALI_OK && t->recipe->leak_test && pl_trainer_traits(t)->predicts)
        status = pl_trainer_check_leaks(t, err);
    if (status == PALI_OK)
        status = pl_trainer_take_folder(t, err);
    if (status == PALI_OK)
        status = pl_trainer_load_from(t, t->seen, err);
    if (status == PALI_OK)
        status = pl_log_open(&t->log, t->recipe->out, pl_train_columns, PL_TRAIN_COLUMNS, t->resumed, t->begun_at - t->unmeasured /* that step is logged again */, err);
    return status;
}

static pali_status open_all(pl_trainer *t, pali_error *err)
{
    t->recipe_text = pl_recipe_text(t->recipe, err);
    pali_status status = t->recipe_text ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK && !t->options.dry_run && !t->recipe->out)
        status = pl_fail(err, PALI_USAGE, "out: found nothing, expected a folder for checkpoints, logs and the report");
    if (status == PALI_OK && t->recipe->out && !t->options.rows_only)
        status = pl_trainer_find(t, err);
    if (status == PALI_OK)
        status = open_all_of_model(t, err);
    if (status == PALI_OK)
        status = open_data(t, err);
    if (status != PALI_OK || t->options.rows_only)
        return status;
    status = pl_trainer_prepare(t, err);
    return status == PALI_OK && !t->options.dry_run ? start(t, err) : status;
}

pl_trainer *pl_trainer_open(const pl_recipe *recipe, const pl_trainer_options *options, pali_error *err)
{
    pl_trainer *t = pl_new(1, sizeof *t, "trainer", err);
    if (!t)
        return NULL;
    t->recipe = recipe;
    t->options = *options;
    t->folder.lock = t->log.csv = t->log.events = -1;
    t->best = t->last.held_out = t->last.seconds_left = NAN;
    pl_tape_init(&t->tape);
    if (open_all(t, err) != PALI_OK) {
        pl_trainer_free(t);
        return NULL;
    }
    t->last.steps = t->plan.steps;
    t->began = t->last_logged = pl_now();
    return t;
}

void pl_trainer_free(pl_trainer *t)
{
    if (!t)
        return;
    pl_loader_free(t->loader);
    pl_feature_cache_free(t->cache);
    pl_log_close(&t->log);
    pl_optimiser_free(t->optimiser);
    pl_parameters_free(t->parameters);
    pl_towers_free(t->towers);
    pl_dataset_free(t->held_out);
    pl_dataset_free(t->data);
    pl_codec_free(t->codec);
    pl_paligemma_close(t->model);
    pl_pool_free(t->pool);
    pl_tape_free(&t->tape);
    pl_arena_free(&t->arena);
    pl_microbatch_free(&t->microbatch);
    pl_found_snapshot_close(&t->found);
    pl_run_folder_close(&t->folder);
    pl_trainer_free_samples(t);
    free(t->examples);
    free(t->recipe_text);
    free(t);
}

const pl_train_plan *pl_trainer_plan(const pl_trainer *t)
{
    return &t->plan;
}

const pl_parameters *pl_trainer_parameters(const pl_trainer *t)
{
    return t->parameters;
}

uint64_t pl_trainer_steps(const pl_trainer *t)
{
    return t->last.step;
}

const pl_dataset *pl_trainer_dataset(const pl_trainer *t, bool held_out)
{
    return held_out ? t->held_out : t->data;
}

pl_show_options pl_trainer_show(const pl_trainer *t)
{
    return (pl_show_options){.layout = pl_trainer_layout(t)};
}
