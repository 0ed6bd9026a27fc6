/*
 * A recipe as a whole: what follows from other keys is filled in; what cannot
 * go together, or would mean nothing beside the rest, is refused.
 */
#include "train/codec_trainer.h"
#include "train/recipe_key.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where values come from. */
typedef struct origin {
    const pl_yaml *const *given; /* by key; NULL: not given */
    const char *name;            /* of the file, or NULL */
    pali_error *err;
} origin;

/* Where a key was given, or what the recipe is called. */
static const char *where(const origin *o, const char *key, char buf[256])
{
    const size_t at = pl_recipe_find(key);
    const pl_yaml *const node = at == SIZE_MAX ? NULL : o->given[at];
    if (node)
        return pl_yaml_key_place(node, buf);
    return o->name ? o->name : "recipe";
}

static pali_status set_text(char **place, const char *text, pali_error *err)
{
    if (*place || !text)
        return PALI_OK;
    *place = pl_strdup(text, err);
    return *place ? PALI_OK : PALI_MEMORY;
}

static pali_status fill_sources(const pl_recipe *recipe, pl_recipe_sources *sources, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; i < sources->count && status == PALI_OK; i++) {
        pl_recipe_source *const s = &sources->items[i];
        status = set_text(&s->images, recipe->images, err);
        if (status == PALI_OK)
            status = set_text(&s->prefix, recipe->prefix, err);
        if (status == PALI_OK)
            status = set_text(&s->suffix, recipe->suffix, err);
    }
    return status;
}

/* What does well for the mask codec, where nothing else is given. */
static pali_status fill_codec(const origin *o, pl_recipe *recipe, pali_error *err)
{
    const pl_codec_options usual = pl_codec_options_default();
    if (!recipe->codec)
        return PALI_OK;
    if (!o->given[pl_recipe_find("lr")])
        recipe->lr = usual.rate.lr;
    if (!o->given[pl_recipe_find("weight_decay")])
        recipe->weight_decay = usual.rate.weight_decay;
    if (!o->given[pl_recipe_find("warmup")])
        recipe->warmup = usual.warmup;
    if (!o->given[pl_recipe_find("batch")])
        recipe->batch = usual.batch;
    if (recipe->epochs == 0 && recipe->steps == 0)
        recipe->steps = usual.steps;
    pali_status status = set_text(&recipe->decay, "all", err);
    if (status != PALI_OK || o->given[pl_recipe_find("optimizer")])
        return status;
    free(recipe->optimizer);
    recipe->optimizer = pl_strdup("adamw", err);
    return recipe->optimizer ? PALI_OK : PALI_MEMORY;
}

/* What the objective goes through. */
static const char *usually_trained(const pl_recipe *recipe)
{
    if (strcmp(recipe->objective, "contrastive") == 0)
        return "vision";
    return strcmp(recipe->objective, "language") == 0 && strcmp(recipe->pictures, "none") == 0 ? "language" : "all";
}

/* Values that follow from others where they were not given. */
static pali_status fill(pl_recipe *recipe, pali_error *err)
{
    const bool muon = strcmp(recipe->optimizer, "muon") == 0;
    if (isnan(recipe->momentum))
        recipe->momentum = muon ? 0.95 : 0;
    if (recipe->epochs == 0 && recipe->steps == 0)
        recipe->epochs = 10;
    if (recipe->lora_rank && recipe->lora_alpha == 0)
        recipe->lora_alpha = (double)recipe->lora_rank;
    pali_status status = set_text(&recipe->decay, strcmp(recipe->optimizer, "adam") == 0 ? "kernels" : "matrices", err);
    if (status == PALI_OK)
        status = set_text(&recipe->pictures, strcmp(recipe->objective, "language") == 0 ? "none" : "needed", err);
    if (status == PALI_OK && recipe->train.count == 0 && recipe->lora_rank == 0 && !recipe->lora_adapter && !recipe->codec) {
        const pl_recipe_key *const key = &pl_recipe_keys[pl_recipe_find("train")];
        pl_yaml *const usual = pl_yaml_new_text(usually_trained(recipe), "train", err);
        status = usual ? pl_value_read(key, usual, NULL, &recipe->train, err) : PALI_MEMORY;
        pl_yaml_free(usual);
    }
    if (status == PALI_OK)
        status = fill_sources(recipe, &recipe->data, err);
    return status == PALI_OK ? fill_sources(recipe, &recipe->validation, err) : status;
}

/* True for a value that is what it is where nothing is said. */
static pali_status is_default(const pl_recipe_key *key, const pl_recipe *recipe, bool *same, pali_error *err)
{
    pl_recipe plain = {0};
    void *const place = (char *)&plain + key->place;
    pl_buffer texts[2] = {{0}, {0}};
    pali_status status = pl_value_default(key, place, err);
    if (status == PALI_OK)
        status = pl_value_write(key, place, &texts[0], err);
    if (status == PALI_OK)
        status = pl_value_write(key, (const char *)recipe + key->place, &texts[1], err);
    if (status == PALI_OK)
        *same = strcmp(texts[0].data, texts[1].data) == 0;
    pl_value_free(key, place);
    free(texts[0].data);
    free(texts[1].data);
    return status;
}

/* Refuses a key that is not what it is by default. */
static pali_status refuse_given(const origin *o, const pl_recipe *recipe, const char *name, const char *why)
{
    char place[256];
    bool same = true;
    const pl_recipe_key *const key = &pl_recipe_keys[pl_recipe_find(name)];
    const pali_status status = is_default(key, recipe, &same, o->err);
    if (status != PALI_OK || same)
        return status;
    return pl_fail(o->err, PALI_USAGE, "%s: %s %s", where(o, name, place), name, why);
}

/* Masks are learned once each, in no mixture. */
static pali_status check_masks(const origin *o, const char *key, const pl_recipe_source *source)
{
    const struct {
        bool given;
        const char *name;
    } rules[] = {{source->weight != 0, "weight"}, {source->prefix != NULL, "prefix"}, {source->suffix != NULL, "suffix"}, {source->repeat != 1, "repeat"}, {strcmp(source->choice, "no_replacement") != 0, "choice"}};
    char place[256];
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].given)
            return pl_fail(o->err, PALI_USAGE, "%s: %s of a source is given, but means nothing with codec", where(o, key, place), rules[i].name);
    return PALI_OK;
}

/* A mask codec is no model: what decides how one is taught does nothing to it. */
static pali_status check_codec(const origin *o, const pl_recipe *recipe)
{
    static const char *const of_models[] = {"tokenizer", "preprocess", "no_final_softcap", "new_tokens", "type", "precision", "objective", "train", "freeze", "lora.rank", "lora.adapter", "loss", "loss_on_prefix",
                                            "prefix_attention", "label_smoothing", "location_smoothing", "mask_weight", "dropout", "groups", "prefix", "suffix", "text_length", "shuffle", "workers", "cache_features",
                                            "feature_cache", "cache_type", "micro_batch", "checkpointing", "max_memory", "sample_every", "keep_checkpoints", "save_type", "adapter_layout", "leak_test"};
    pali_status status = PALI_OK;
    for (size_t i = 0; recipe->codec && i < sizeof of_models / sizeof *of_models && status == PALI_OK; i++)
        status = refuse_given(o, recipe, of_models[i], "is given, but means nothing with codec");
    for (size_t i = 0; recipe->codec && i < recipe->data.count && status == PALI_OK; i++)
        status = check_masks(o, "data", &recipe->data.items[i]);
    for (size_t i = 0; recipe->codec && i < recipe->validation.count && status == PALI_OK; i++)
        status = check_masks(o, "validation", &recipe->validation.items[i]);
    return status;
}

/* Keys that would be passed over without a word. */
static pali_status check_idle(const origin *o, const pl_recipe *recipe)
{
    const bool rank = recipe->lora_rank > 0, sgd = strcmp(recipe->optimizer, "sgd") == 0, contrastive = strcmp(recipe->objective, "contrastive") == 0;
    const struct {
        bool idle;
        const char *key, *why;
    } rules[] = {
        {!rank, "lora.alpha", "is given without lora.rank"},
        {!rank, "lora.targets", "is given without lora.rank"},
        {!rank, "lora.rslora", "is given without lora.rank"},
        {!rank, "lora.init", "is given without lora.rank"},
        {!rank && !recipe->lora_adapter, "lora.dropout", "is given without lora.rank"},
        {sgd, "beta1", "is given, but sgd has none"},
        {sgd, "beta2", "is given, but sgd has none"},
        {sgd, "eps", "is given, but sgd has none"},
        {strcmp(recipe->schedule, "rsqrt") != 0, "timescale", "is given, but the schedule is not rsqrt"},
        {!recipe->cache_features, "feature_cache", "is given with cache_features: false"},
        {!recipe->cache_features, "cache_type", "is given with cache_features: false"},
        {!recipe->model_config, "connector", "is given without model_config: a model has its own"},
        {!recipe->codec, "codec_widths", "is given without codec"},
        {contrastive, "loss", "is given, but there is one loss of all pairs with objective contrastive"},
        {contrastive, "loss_on_prefix", "is given, but nothing is said with objective contrastive"},
        {contrastive, "prefix_attention", "is given, but the language model has no part in objective contrastive"},
        {contrastive, "label_smoothing", "is given, but nothing is said with objective contrastive"},
        {contrastive, "location_smoothing", "is given, but nothing is said with objective contrastive"},
        {contrastive, "mask_weight", "is given, but nothing is said with objective contrastive"},
        {contrastive, "dropout", "is given, but the language model has no part in objective contrastive"},
    };
    pali_status status = check_codec(o, recipe);
    for (size_t i = 0; i < sizeof rules / sizeof *rules && status == PALI_OK; i++)
        if (rules[i].idle)
            status = refuse_given(o, recipe, rules[i].key, rules[i].why);
    return status;
}

/* What must, and what cannot, go together. */
static pali_status check(const origin *o, const pl_recipe *recipe)
{
    const bool contrastive = strcmp(recipe->objective, "contrastive") == 0;
    const struct {
        bool wrong;
        const char *key, *message;
    } rules[] = {
        {!recipe->model && !recipe->model_config && !recipe->codec, "model", "model is missing, expected the name of a model (or model_config, or codec)"},
        {recipe->model && recipe->model_config, "model_config", "model_config is given with model, expected one of them"},
        {recipe->codec && (recipe->model || recipe->model_config), "codec", "codec is given with a model, expected one of them"},
        {recipe->codec && strcmp(recipe->optimizer, "muon") == 0, "optimizer", "optimizer is muon, expected adamw, adam or sgd with codec: convolutions are no matrices between layers"},
        {recipe->codec && strcmp(recipe->decay, "kernels") == 0, "decay", "decay is kernels, which are a model's, expected all or matrices with codec"},
        {recipe->codec && recipe->mask_codec && strcmp(recipe->codec, recipe->mask_codec) == 0, "mask_codec", "mask_codec is the file that codec is written to, expected another one to begin from"},
        {recipe->model_config && !recipe->tokenizer, "model_config", "tokenizer is missing, expected one for the new model"},
        {recipe->data.count == 0, "data", "data is missing, expected a JSONL file or a list of sources"},
        {recipe->epochs > 0 && recipe->steps > 0, "steps", "steps is given with epochs, expected one of them"},
        {recipe->lora_rank && recipe->lora_adapter, "lora.rank", "lora.rank is given with lora.adapter, which has its own"},
        {contrastive && strcmp(recipe->pictures, "needed") != 0, "pictures", "pictures is given, expected needed with objective contrastive: a row is a picture and its text"},
        {contrastive && recipe->micro_batch != 0 && recipe->micro_batch != recipe->batch, "micro_batch", "micro_batch is given, but the batch of objective contrastive is computed as a whole"},
        {recipe->momentum != 0 && strncmp(recipe->optimizer, "adam", 4) == 0, "momentum", "momentum is given, but the optimizer has none: expected sgd or muon"},
    };
    char place[256];
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong)
            return pl_fail(o->err, PALI_USAGE, "%s: %s", where(o, rules[i].key, place), rules[i].message);
    return check_idle(o, recipe);
}

pali_status pl_recipe_settle(pl_recipe *recipe, const pl_yaml *const *given, const char *name, pali_error *err)
{
    const origin from = {.given = given, .name = name, .err = err};
    pali_status status = fill_codec(&from, recipe, err);
    if (status == PALI_OK)
        status = fill(recipe, err);
    return status == PALI_OK ? check(&from, recipe) : status;
}
