/*
 * What a run will be, before memory is taken: rows are surveyed, what is
 * trained is chosen, the objective is filled in, and the memory of all of it is
 * planned.
 */
#include "train/trainer_parts.h"

#include "base/folder.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { SURVEYED = 20000 }; /* rows whose texts are looked at; all of fewer */

const pl_objective_traits *pl_trainer_traits(const pl_trainer *t)
{
    return pl_objective_traits_of(pl_objective_find(t->recipe->objective));
}

/* ---- What is trained -------------------------------------------------- */

static pl_patterns patterns_of(const pl_recipe_words *words)
{
    return (pl_patterns){.items = (const char *const *)words->items, .count = words->count};
}

static pali_status choose_parameters(pl_trainer *t, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    pl_group_options *groups = pl_new(r->groups.count, sizeof *groups, "groups", err);
    pl_schedule_kind schedule = PL_SCHEDULE_COSINE;
    if (!groups)
        return PALI_MEMORY;
    pali_status status = pl_schedule_parse(r->schedule, "schedule", &schedule, err);
    for (size_t i = 0; i < r->groups.count; i++) {
        const pl_recipe_group *g = &r->groups.items[i];
        groups[i] = (pl_group_options){.match = patterns_of(&g->match), .lr = g->lr, .weight_decay = g->weight_decay, .warmup = g->warmup};
    }
    const pl_parameters_options options = {
        .train = patterns_of(&r->train), .extras = t->towers ? t->towers->tensors : NULL, .extra_count = t->towers ? t->towers->count : 0, .freeze = patterns_of(&r->freeze),
        .lora = {.rank = r->lora_rank, .alpha = r->lora_alpha, .rank_stabilised = r->lora_rslora, .gaussian = pl_says(r->lora_init, "gaussian"), .targets = patterns_of(&r->lora_targets),
                 .further = r->lora_adapter != NULL},
        .lr = r->lr, .weight_decay = r->weight_decay,
        .schedule = {.kind = schedule, .total = t->plan.steps, .warmup = pl_schedule_warmup(r->warmup, t->plan.steps), .timescale = r->timescale},
        .decay = pl_says(r->decay, "kernels") ? PL_DECAY_KERNELS : pl_says(r->decay, "matrices") ? PL_DECAY_MATRICES : PL_DECAY_ALL,
        .groups = groups, .group_count = r->groups.count, .seed = r->seed};
    if (status == PALI_OK)
        status = (t->parameters = pl_parameters_choose(t->model, &options, err)) ? PALI_OK : pl_status_of(err, PALI_USAGE);
    free(groups);
    if (status == PALI_OK && r->new_tokens.count > 0 && !pl_parameters_find(t->parameters, "text.embed_tokens.weight"))
        pl_trainer_tell(t, PL_TRAIN_WARNING, "new_tokens: their rows stay as they were drawn, as train does not name embeddings");
    return status == PALI_OK ? pl_parameters_attach(t->parameters, t->model, err) : status;
}

pali_status pl_trainer_optimiser_options(const pl_trainer *t, pl_optimiser_options *options, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    pl_optimiser_kind kind;
    const pali_status status = pl_optimiser_parse(r->optimizer, "optimizer", &kind, err);
    if (status != PALI_OK)
        return status;
    *options = pl_optimiser_defaults(kind);
    options->beta1 = r->beta1;
    options->beta2 = r->beta2;
    options->eps = r->eps;
    options->clip = r->clip;
    if (kind == PL_OPTIMISER_SGD || r->momentum > 0)
        options->momentum = r->momentum;
    return PALI_OK;
}

/* True when the vision tower moves, so that pictures are encoded anew in every step. */
static bool trains_vision(const pl_parameters *parameters)
{
    for (size_t i = 0; i < parameters->count; i++)
        if (strncmp(parameters->tensors[i].name, "vision.", strlen("vision.")) == 0)
            return true;
    return false;
}

static bool is_contrastive(const pl_trainer *t)
{
    return pl_objective_find(t->recipe->objective) == PL_OBJECTIVE_CONTRASTIVE;
}

/* What stands beside the model while pictures and texts are learned to belong together. */
static pali_status make_towers(pl_trainer *t, pali_error *err)
{
    if (!is_contrastive(t))
        return PALI_OK;
    if (t->plan.survey.pictures_most > 1)
        return pl_fail(err, PALI_INPUT, "data: found a row with %zu pictures, expected one in each row with objective contrastive", t->plan.survey.pictures_most);
    t->towers = pl_towers_new(&t->model->config, t->recipe->text_length, err);
    return t->towers ? PALI_OK : PALI_MEMORY;
}

static pl_prefix_attention attention_of(const pl_recipe *r)
{
    return pl_says(r->prefix_attention, "causal") ? PL_ATTENTION_CAUSAL : pl_says(r->prefix_attention, "image") ? PL_ATTENTION_IMAGE : PL_ATTENTION_FULL;
}

pl_layout_options pl_trainer_layout(const pl_trainer *t)
{
    const pl_recipe *r = t->recipe;
    const pl_special_ids *special = pl_tokenizer_special(t->model->tokenizer);
    return (pl_layout_options){.image_tokens = pl_image_tokens(t->model), .attention = attention_of(r), .loss_on_prefix = r->loss_on_prefix,
                               .weight = pl_says(r->loss, "token_mean") ? PL_WEIGHT_TOKEN : pl_says(r->loss, "root_mean") ? PL_WEIGHT_ROOT : PL_WEIGHT_EXAMPLE,
                               .share = {.first = special->seg, .count = special->seg_count, .part = (float)r->mask_weight},
                               .text_positions = is_contrastive(t) ? r->text_length : 0, .end = special->eos};
}

static void fill_objective(pl_trainer *t)
{
    t->layout = pl_trainer_layout(t);
    t->objective = (pl_objective){.model = t->model, .kind = pl_objective_find(t->recipe->objective), .towers = t->towers, .smoothing = (float)t->recipe->label_smoothing, .features = !trains_vision(t->parameters)};
    const pl_special_ids *special = pl_tokenizer_special(t->model->tokenizer);
    if (special->loc >= 0)
        t->objective.spread = (pl_spread){.first = special->loc, .count = special->loc_count, .width = (float)t->recipe->location_smoothing};
}

pl_plan_options pl_trainer_plan_options(const pl_trainer *t)
{
    const char *keep = t->recipe->checkpointing;
    pl_context ctx = pl_engine_context(&t->engine, NULL);
    ctx.regime = PL_REGIME_PREFILL;
    return (pl_plan_options){.context = ctx, .objective = &t->objective, .layout = &t->layout, .parameters = t->parameters, .micro_batch = t->recipe->micro_batch,
                             .whole_batch = pl_trainer_traits(t)->whole_batch, .keep = pl_says(keep, "none") ? PL_KEEP_ALL : pl_says(keep, "layers") ? PL_KEEP_BORDERS : -1, .max_memory = t->recipe->max_memory,
                             .dropout = (float)t->recipe->dropout, .adapter_dropout = (float)t->recipe->lora_dropout};
}

/* ---- The plan --------------------------------------------------------- */

static pali_status survey_data(pl_trainer *t, pali_error *err)
{
    pl_train_plan *p = &t->plan;
    const pl_recipe *r = t->recipe;
    const pali_status status = pl_dataset_survey(t->data, SURVEYED, &p->survey, err);
    if (status != PALI_OK)
        return status;
    if (p->survey.bad > 0 && pl_says(r->on_bad_row, "stop")) /* now rather than when its turn comes, hours from now */
        return pl_fail(err, PALI_INPUT, "%s (%zu of %zu rows cannot be used; on_bad_row=skip passes them over)", p->survey.first_bad.message, p->survey.bad, p->survey.rows);
    if (p->survey.texts > 0 && p->survey.silent == p->survey.texts && !p->survey.patches && !r->loss_on_prefix)
        return pl_fail(err, PALI_USAGE, "text_length: found %llu, expected enough for prompts and answers: of all %zu that were looked at no token of the answer is left", (unsigned long long)r->text_length, p->survey.texts);
    if (r->lora_rank > 0 && !(r->lr > 1e-5))
        pl_trainer_tell(t, PL_TRAIN_NOTE, "lr is %g, a rate for whole models; adapters learn at 1e-4 to 1e-3, those of small models at more", r->lr);
    p->batch = r->batch;
    p->examples = pl_dataset_epoch(t->data);
    p->steps = r->steps ? r->steps : pl_schedule_steps(r->epochs, p->examples, r->batch);
    p->most_pictures = p->survey.pictures_most;
    p->most_ids = p->survey.complete ? pl_max(2, p->survey.ids_most) : r->text_length + 1;
    return PALI_OK;
}

size_t pl_trainer_workers(const pl_trainer *t)
{
    return t->recipe->workers ? t->recipe->workers : pl_min(4, pl_pool_threads(t->pool));
}

/* Bytes of pictures of examples that wait, as pixels or as image tokens; those of the step at hand may have both. */
static uint64_t pictures_ahead(const pl_trainer *t)
{
    const pl_siglip_config *v = &t->model->config.vision;
    const uint64_t pixels = 3 * v->image_size * v->image_size, tokens = t->objective.features ? pl_image_tokens(t->model) * v->width : 0;
    const uint64_t waits = t->plan.most_pictures * pl_max(pixels, tokens) * sizeof(float);
    return pl_min(PL_TRAIN_EXAMPLES_AHEAD * waits, PL_TRAIN_BYTES_AHEAD + pl_trainer_workers(t) * waits) + t->plan.batch * t->plan.most_pictures * (pixels + tokens) * sizeof(float);
}

bool pl_trainer_caches(const pl_trainer *t)
{
    return t->objective.features && t->recipe->cache_features && t->plan.most_pictures > 0;
}

/* Better said now than found out when the first checkpoint is due. A run that goes on has most of its checkpoints already. */
static void tell_of_full_disk(const pl_trainer *t)
{
    const pl_train_plan *p = &t->plan;
    const uint64_t needed = p->checkpoint * p->checkpoints;
    char need[32], room[32];
    if (needed > p->room && !t->found.path)
        pl_trainer_tell(t, PL_TRAIN_WARNING, "%s: %zu checkpoints need %s, found %s free; keep_checkpoints says how many stay, lora.rank makes them small", t->recipe->out, p->checkpoints,
                        pl_bytes_text(needed, need), pl_bytes_text(p->room, room));
}

static pali_status make_plan(pl_trainer *t, pali_error *err)
{
    pl_optimiser_options optimiser;
    pl_plan_options options = pl_trainer_plan_options(t);
    uint64_t scratch = 0;
    pali_status status = pl_trainer_optimiser_options(t, &optimiser, err);
    if (status == PALI_OK)
        status = pl_optimiser_scratch(&optimiser, t->parameters->tensors, t->parameters->count, &options.context, &scratch, err);
    if (status != PALI_OK)
        return status;
    t->plan.memory = pl_parameters_forecast(t->parameters, &optimiser);
    t->plan.checkpoint = pl_trainer_checkpoint_bytes(t, &t->plan.memory);
    t->plan.checkpoints = t->recipe->keep_checkpoints + 1 + (t->held_out != NULL); /* one is written before another goes; the best stays */
    t->plan.room = t->recipe->out ? pl_folder_room(t->recipe->out) : UINT64_MAX;
    t->plan.memory.state += scratch;
    tell_of_full_disk(t);
    t->plan.examples_ahead = pictures_ahead(t);
    if (pl_trainer_caches(t))
        t->plan.cache = t->plan.survey.pictures * pl_image_tokens(t->model) * t->model->config.vision.width * (pl_says(t->recipe->cache_type, "bf16") ? 2 : 4);
    if (t->found.path && !(t->recipe->force && t->recipe->micro_batch)) /* how gradients are summed is part of what is resumed */
        options.micro_batch = (size_t)json_integer_value(json_object_get(t->found.notes, "micro_batch"));
    return pl_train_plan_make(&t->plan, &options, err);
}

pali_status pl_trainer_prepare(pl_trainer *t, pali_error *err)
{
    pali_status status = survey_data(t, err);
    if (status == PALI_OK)
        status = make_towers(t, err);
    if (status == PALI_OK)
        status = choose_parameters(t, err);
    if (status != PALI_OK)
        return status;
    fill_objective(t);
    return make_plan(t, err);
}
