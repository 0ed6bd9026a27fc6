/*
 * Choosing what is trained. Names are matched before anything else is done, so
 * that a pattern that means nothing is an error while it costs nothing yet.
 */
#include "train/parameters.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One weight of the model in one layer. */
typedef struct place {
    const pl_weight *weight;
    size_t layer;
    bool tied; /* the output matrix, which is the embedding: it may have an adapter, no more */
} place;

typedef struct choosing {
    pl_parameters *p;
    const pl_paligemma *model;
    const pl_parameters_options *options;
    place *places; /* [place_count] owned */
    size_t place_count;
} choosing;

/* The affine map of a place, NULL where it is none that adapters go with. */
static const pl_linear *linear_of(const choosing *c, const place *at)
{
    if (at->weight->target != PL_TARGET_LINEAR || at->weight->columns == PL_DIM_PATCH)
        return NULL;
    return pl_weight_target((pl_paligemma *)(uintptr_t)c->model, at->weight, at->layer);
}

static pali_status list_places(choosing *c, pali_error *err)
{
    const pl_config *config = &c->model->config;
    size_t most = 1;
    for (size_t w = 0; w < pl_weight_count; w++)
        most += pl_part_layers(config, pl_weights[w].part);
    c->places = pl_new(most, sizeof *c->places, "list of weights", err);
    if (!c->places)
        return PALI_MEMORY;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++)
        for (size_t layer = 0; layer < pl_part_layers(config, w->part) && pl_weight_present(config, w); layer++)
            c->places[c->place_count++] = (place){.weight = w, .layer = layer};
    c->places[c->place_count++] = (place){.weight = &pl_head_weight, .tied = pl_head_is_tied(c->model)};
    return PALI_OK;
}

/* ---- The list of tensors ---------------------------------------------- */

static pl_trained *add_tensor(choosing *c, const pl_origin *origin, size_t rows, size_t columns, pali_error *err)
{
    pl_parameters *p = c->p;
    size_t capacity = p->capacity;
    if (pl_grow(&p->tensors, &capacity, p->count + 1, sizeof *p->tensors, "list of what is trained", err) != PALI_OK ||
        pl_grow(&p->origins, &p->capacity, p->count + 1, sizeof *p->origins, "list of what is trained", err) != PALI_OK)
        return NULL;
    p->origins[p->count] = *origin;
    pl_trained *tensor = &p->tensors[p->count++];
    *tensor = (pl_trained){.rows = rows, .columns = columns, .count = rows * columns};
    if (origin->weight)
        pl_weight_name(origin->weight, &c->model->config, origin->layer, tensor->name);
    p->memory.trained += tensor->count;
    p->memory.gradients += tensor->count * sizeof(float);
    return tensor;
}

static pali_status add_weight(choosing *c, const place *at, pali_error *err)
{
    const pl_tensor from = pl_weight_tensor(c->model, at->weight, at->layer);
    const pl_origin origin = {.weight = at->weight, .layer = at->layer};
    pl_trained *tensor = add_tensor(c, &origin, from.shape[0], from.rank > 1 ? from.shape[1] : 1, err);
    if (!tensor)
        return PALI_MEMORY;
    tensor->hidden = at->weight->target == PL_TARGET_LINEAR && at->weight->columns != PL_DIM_PATCH && at->weight != &pl_head_weight;
    c->p->memory.values += tensor->count * sizeof(float);
    c->p->memory.widened += from.dtype == PL_F32 ? 0 : tensor->count;
    return PALI_OK;
}

static bool is_trained(const pl_parameters *p, const place *at)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->origins[i].weight == at->weight && p->origins[i].layer == at->layer && !p->origins[i].adapter)
            return true;
    return false;
}

/* A frozen weight is counted where it lies. */
static void count_frozen(choosing *c, const place *at)
{
    size_t bytes = 0;
    const pl_tensor tensor = pl_weight_tensor(c->model, at->weight, at->layer);
    pl_tensor_bytes(&tensor, &bytes);
    if (tensor.scale)
        bytes += tensor.shape[0] * sizeof(float);
    *(c->model->checkpoint && !pl_paligemma_owns(c->model, tensor.data) ? &c->p->memory.mapped : &c->p->memory.copied) += bytes;
}

static pali_status choose_weights(choosing *c, pl_selection *train, pl_selection *freeze, bool all, pali_error *err)
{
    for (size_t i = 0; i < c->place_count; i++) {
        const place *at = &c->places[i];
        char name[160];
        const pl_subject subject = {.weight = at->weight, .name = pl_weight_name(at->weight, &c->model->config, at->layer, name)};
        if (at->tied)
            continue;
        const bool named = pl_selection_names(train, &subject) || all, frozen = pl_selection_names(freeze, &subject);
        if (named && !frozen && add_weight(c, at, err) != PALI_OK)
            return PALI_MEMORY;
        if (!named || frozen)
            count_frozen(c, at);
    }
    const pali_status status = pl_selection_check(train, "weights", err);
    return status == PALI_OK ? pl_selection_check(freeze, "weights", err) : status;
}

/* ---- Adapters --------------------------------------------------------- */

/* The canonical name of the module: that of its weight without the ending. */
static const char *module_name(const choosing *c, const place *at, char name[160])
{
    pl_weight_name(at->weight, &c->model->config, at->layer, name);
    name[strlen(name) - strlen(".weight")] = '\0';
    return name;
}

static pali_status add_adapter(choosing *c, const place *at, const pl_low_rank *low_rank, size_t rank, pali_error *err)
{
    const pl_linear *linear = linear_of(c, at);
    char name[160];
    pl_origin origin = {.weight = at->weight, .layer = at->layer, .adapter = true, .fresh = !low_rank, .low_rank = low_rank};
    module_name(c, at, name);
    pl_trained *a = add_tensor(c, &origin, rank, linear->weight.shape[1], err);
    if (!a)
        return PALI_MEMORY;
    snprintf(a->name, sizeof a->name, "%s.lora_A.weight", name);
    origin.second = true;
    pl_trained *b = add_tensor(c, &origin, linear->weight.shape[0], rank, err);
    if (!b)
        return PALI_MEMORY;
    snprintf(b->name, sizeof b->name, "%s.lora_B.weight", name);
    return PALI_OK;
}

static uint64_t adapter_bytes(const pl_linear *linear, size_t rank)
{
    return (uint64_t)rank * (linear->weight.shape[0] + linear->weight.shape[1]) * sizeof(float);
}

/* The adapters that the model has: counted, and trained further if that is asked for. */
static pali_status choose_present(choosing *c, pali_error *err)
{
    const size_t before = c->p->count;
    for (size_t i = 0; i < c->place_count; i++) {
        const place *at = &c->places[i];
        const pl_linear *linear = linear_of(c, at);
        char name[160];
        for (const pl_low_rank *l = linear ? linear->adapters : NULL; l; l = l->next)
            c->p->memory.adapters += adapter_bytes(linear, l->rank);
        if (!c->options->lora.further || !linear || !linear->adapters)
            continue;
        if (linear->adapters->next || c->options->lora.rank)
            return pl_fail(err, PALI_USAGE, "lora: found %s adapter on %s, expected one to be trained further", linear->adapters->next ? "more than one" : "a new and an old",
                           module_name(c, at, name));
        if (add_adapter(c, at, linear->adapters, linear->adapters->rank, err) != PALI_OK)
            return PALI_MEMORY;
    }
    return c->options->lora.further && c->p->count == before ? pl_fail(err, PALI_USAGE, "lora: found no adapter on the model, expected one to be trained further") : PALI_OK;
}

/* Targets as expressions: PEFT's names are those of modules of the language model, or ends of them. */
static char *expression_of(const char *target, pali_error *err)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";
    static const char *const above[] = {"text.", "vision.", "projector."};
    if (strcmp(target, "all-linear") == 0)
        return pl_strdup("text[.]layers[.].*", err);
    bool whole = target[strspn(target, plain)] != '\0' || pl_is_word_pattern(target);
    for (size_t i = 0; i < sizeof above / sizeof *above; i++)
        whole = whole || pl_starts_with(target, above[i]);
    return whole ? pl_strdup(target, err) : pl_format(err, "text[.](.*[.])?%s", target);
}

static pali_status choose_targets(choosing *c, pl_selection *targets, pali_error *err)
{
    const pl_lora_options *lora = &c->options->lora;
    for (size_t i = 0; i < c->place_count; i++) {
        const place *at = &c->places[i];
        const pl_linear *linear = at->tied ? NULL : linear_of(c, at);
        char name[160];
        if (!linear || !pl_selection_names(targets, &(pl_subject){.weight = at->weight, .name = module_name(c, at, name)}))
            continue;
        if (is_trained(c->p, at))
            return pl_fail(err, PALI_USAGE, "lora.targets: found %s, which is trained itself; expected an adapter or the weight, not both", name);
        if (lora->rank > pl_min(linear->weight.shape[0], linear->weight.shape[1]))
            return pl_fail(err, PALI_USAGE, "lora.rank: found %zu for %s of [%zu, %zu], expected no more than its smaller side", lora->rank, name, linear->weight.shape[0],
                           linear->weight.shape[1]);
        if (add_adapter(c, at, NULL, lora->rank, err) != PALI_OK)
            return PALI_MEMORY;
        c->p->memory.adapters += adapter_bytes(linear, lora->rank);
    }
    return pl_selection_check(targets, "linear modules (an embedding, and an output matrix tied to it, is none)", err);
}

static pali_status choose_fresh(choosing *c, pali_error *err)
{
    static const char *const every[] = {"all-linear"};
    const pl_lora_options *lora = &c->options->lora;
    const pl_patterns wanted = lora->targets.count ? lora->targets : (pl_patterns){every, 1};
    pl_parameters *p = c->p;
    p->rank = lora->rank;
    p->alpha = lora->alpha > 0 ? lora->alpha : (double)lora->rank;
    p->rank_stabilised = lora->rank_stabilised;
    p->gaussian = lora->gaussian;
    p->scale = (float)(p->alpha / (lora->rank_stabilised ? sqrt((double)lora->rank) : (double)lora->rank));
    char **expressions = pl_new(wanted.count, sizeof *expressions, "patterns", err);
    pali_status status = expressions ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < wanted.count; i++)
        status = (expressions[i] = expression_of(wanted.items[i], err)) ? PALI_OK : PALI_MEMORY;
    pl_selection targets = {0};
    if (status == PALI_OK)
        status = pl_selection_init(&targets, (pl_patterns){(const char *const *)expressions, wanted.count}, "lora.targets", err);
    if (status == PALI_OK) {
        targets.patterns = wanted; /* as the user wrote them, for messages */
        status = choose_targets(c, &targets, err);
    }
    targets.patterns.count = wanted.count;
    pl_selection_free(&targets);
    for (size_t i = 0; expressions && i < wanted.count; i++)
        free(expressions[i]);
    free(expressions);
    return status;
}

/* ---- Beside the model ------------------------------------------------- */

static pali_status add_extras(choosing *c, pali_error *err)
{
    for (size_t i = 0; i < c->options->extra_count; i++) {
        const pl_extra *extra = &c->options->extras[i];
        const pl_origin origin = {.extra = extra};
        pl_trained *tensor = add_tensor(c, &origin, extra->rows, extra->columns, err);
        if (!tensor)
            return PALI_MEMORY;
        snprintf(tensor->name, sizeof tensor->name, "%s", extra->name);
        tensor->hidden = extra->kernel;
        c->p->memory.values += tensor->count * sizeof(float);
    }
    return PALI_OK;
}

/* ---- Groups ----------------------------------------------------------- */

/* The matrix of an affine map outside the language model. */
static bool is_kernel(const pl_origin *origin)
{
    if (origin->extra)
        return origin->extra->kernel;
    const pl_part part = origin->weight->part;
    return part != PL_PART_TEXT && part != PL_PART_TEXT_LAYER && !origin->adapter && origin->weight->target == PL_TARGET_LINEAR;
}

static bool decays(const pl_parameters_options *options, const pl_trained *tensor, const pl_origin *origin)
{
    switch (options->decay) {
    case PL_DECAY_KERNELS:
        return is_kernel(origin);
    case PL_DECAY_MATRICES:
        return tensor->columns > 1;
    case PL_DECAY_ALL:
        break;
    }
    return true;
}

static void fill_group(const pl_parameters_options *options, const pl_group_options *group, pl_rate_group *rates)
{
    *rates = (pl_rate_group){.lr = options->lr, .weight_decay = options->weight_decay, .schedule = options->schedule};
    if (!group)
        return;
    if (!isnan(group->lr))
        rates->lr = group->lr;
    if (!isnan(group->weight_decay))
        rates->weight_decay = group->weight_decay;
    if (!isnan(group->warmup))
        rates->schedule.warmup = pl_schedule_warmup(group->warmup, options->schedule.total);
}

static pali_status assign_groups(choosing *c, pali_error *err)
{
    pl_parameters *p = c->p;
    const pl_parameters_options *options = c->options;
    for (size_t i = 0; i < p->count; i++)
        p->tensors[i].decays = decays(options, &p->tensors[i], &p->origins[i]);
    p->group_count = options->group_count + 1;
    p->groups = pl_new(p->group_count, sizeof *p->groups, "groups", err);
    if (!p->groups)
        return PALI_MEMORY;
    fill_group(options, NULL, &p->groups[0]);
    pali_status status = PALI_OK;
    for (size_t g = 0; status == PALI_OK && g < options->group_count; g++) {
        const pl_group_options *group = &options->groups[g];
        pl_selection match;
        fill_group(options, group, &p->groups[g + 1]);
        status = pl_selection_init(&match, group->match, "groups", err);
        for (size_t i = 0; status == PALI_OK && i < p->count; i++) {
            const pl_subject subject = {.weight = p->origins[i].weight, .name = p->tensors[i].name, .adapter = p->origins[i].adapter};
            if (!pl_selection_names(&match, &subject) || p->tensors[i].group)
                continue;
            p->tensors[i].group = g + 1;
            p->tensors[i].decays = p->tensors[i].decays || !isnan(group->weight_decay);
        }
        if (status == PALI_OK)
            status = pl_selection_check(&match, "tensors that are trained", err);
        pl_selection_free(&match);
    }
    return status;
}

static pali_status choose(choosing *c, pali_error *err)
{
    const pl_parameters_options *options = c->options;
    const bool all = options->train.count == 0 && options->lora.rank == 0 && !options->lora.further;
    pl_selection train = {0}, freeze = {0};
    pali_status status = list_places(c, err);
    if (status == PALI_OK)
        status = pl_selection_init(&train, options->train, "train", err);
    if (status == PALI_OK)
        status = pl_selection_init(&freeze, options->freeze, "freeze", err);
    if (status == PALI_OK)
        status = choose_weights(c, &train, &freeze, all, err);
    if (status == PALI_OK)
        status = choose_present(c, err);
    if (status == PALI_OK && options->lora.rank)
        status = choose_fresh(c, err);
    if (status == PALI_OK)
        status = add_extras(c, err);
    if (status == PALI_OK && c->p->count == 0)
        status = pl_fail(err, PALI_USAGE, "train: found nothing that is left to be trained, expected something: freeze names all of it");
    if (status == PALI_OK)
        status = assign_groups(c, err);
    pl_selection_free(&train);
    pl_selection_free(&freeze);
    return status;
}

pl_parameters *pl_parameters_choose(const pl_paligemma *model, const pl_parameters_options *options, pali_error *err)
{
    pl_parameters *p = pl_new(1, sizeof *p, "list of what is trained", err);
    if (!p)
        return NULL;
    p->seed = options->seed;
    choosing c = {.p = p, .model = model, .options = options};
    const pali_status status = choose(&c, err);
    free(c.places);
    if (status == PALI_OK)
        return p;
    pl_parameters_free(p);
    return NULL;
}
