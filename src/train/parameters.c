/*
 * Choosing walks the model's list of weights once for what is trained itself
 * and once for adapters. Attaching makes f32 blocks of the model's own and
 * points it to them; what was there before is remembered until it is converted.
 */
#include "train/parameters.h"

#include "base/random.h"
#include "base/text.h"
#include "model/recast.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE = 16,       /* floats of a cache line: gradients begin at one */
    PIECE = 1 << 18  /* floats cleared as one task */
};

/* ---- Attaching -------------------------------------------------------- */

/* Makes the model use f32 values in the place of a weight; an output matrix that is the embedding goes with it. */
static void point(pl_paligemma *model, const pl_origin *origin, const float *values)
{
    const bool tied = origin->weight->rows == PL_DIM_VOCABULARY && pl_head_is_tied(model);
    pl_tensor tensor = origin->from;
    tensor.dtype = PL_F32;
    tensor.scale = NULL;
    tensor.data = values;
    pl_paligemma_point(model, origin->weight, origin->layer, &tensor);
    if (tied)
        model->gemma.head.weight = tensor;
}

static pali_status attach_weight(pl_paligemma *model, pl_trained *tensor, pl_origin *origin, pali_error *err)
{
    tensor->value = pl_paligemma_block(model, tensor->count * sizeof(float), tensor->name, err);
    if (!tensor->value)
        return PALI_MEMORY;
    origin->from = pl_weight_tensor(model, origin->weight, origin->layer);
    point(model, origin, tensor->value);
    return PALI_OK;
}

/* A and B of one adapter, which stand one after the other; a new one is hung on its weight. */
static pali_status attach_adapter(const pl_parameters *p, pl_paligemma *model, pl_trained *tensors, pl_origin *origins, pali_error *err)
{
    if (origins[0].fresh)
        origins[0].low_rank = origins[1].low_rank = pl_paligemma_attach(model, pl_weight_target(model, origins[0].weight, origins[0].layer), p->rank, p->scale, err);
    if (!origins[0].low_rank)
        return PALI_MEMORY;
    tensors[0].value = (float *)(uintptr_t)origins[0].low_rank->a; /* blocks of the model, which are the trainer's to write */
    tensors[1].value = (float *)(uintptr_t)origins[0].low_rank->b;
    return PALI_OK;
}

static int by_address(const void *a, const void *b)
{
    const uintptr_t x = (uintptr_t)((const pl_parameter *)a)->value, y = (uintptr_t)((const pl_parameter *)b)->value;
    return (x > y) - (x < y);
}

static pali_status make_gradients(pl_parameters *p, pali_error *err)
{
    for (size_t i = 0; i < p->count; i++)
        p->gradient_count += pl_round_up(p->tensors[i].count, LINE);
    p->gradients = pl_new_bulk(p->gradient_count, sizeof *p->gradients, "gradients", err);
    p->list = pl_new(p->count, sizeof *p->list, "gradients", err);
    if (!p->gradients || !p->list)
        return PALI_MEMORY;
    float *at = p->gradients;
    for (size_t i = 0; i < p->count; i++) {
        p->tensors[i].gradient = at;
        at += pl_round_up(p->tensors[i].count, LINE);
        p->list[i] = (pl_parameter){.value = p->tensors[i].value, .gradient = p->tensors[i].gradient, .count = p->tensors[i].count};
    }
    qsort(p->list, p->count, sizeof *p->list, by_address);
    return PALI_OK;
}

pali_status pl_parameters_attach(pl_parameters *parameters, pl_paligemma *model, pali_error *err)
{
    for (size_t i = 0; i < parameters->count; i++) {
        pl_trained *tensor = &parameters->tensors[i];
        pl_origin *origin = &parameters->origins[i];
        pali_status status = PALI_OK;
        if (origin->extra)
            tensor->value = origin->extra->value;
        else if (!origin->adapter)
            status = attach_weight(model, tensor, origin, err);
        else if (!origin->second)
            status = attach_adapter(parameters, model, tensor, origin, err);
        if (status != PALI_OK)
            return pl_status_of(err, status);
    }
    return make_gradients(parameters, err);
}

/* ---- Filling ---------------------------------------------------------- */

static pali_status fill_weight(pl_paligemma *model, const pl_trained *tensor, pl_origin *origin, pl_pool *pool, pali_error *err)
{
    const pl_tensor from = origin->from;
    const pl_tensor rows = {.dtype = from.dtype, .rank = 2, .shape = {tensor->rows, tensor->columns}, .data = from.data, .scale = from.scale};
    const pl_recast recast = {.from = &rows, .type = PL_F32, .file = model->checkpoint ? model->checkpoint->path : "model", .name = tensor->name};
    const pali_status status = pl_recast_rows(&recast, pool, 0, tensor->rows, tensor->value, NULL, err);
    size_t bytes = 0;
    pl_tensor_bytes(&from, &bytes);
    pl_paligemma_drop(model, from.data, bytes);
    origin->from = (pl_tensor){0};
    return status;
}

/* A new adapter changes nothing yet: B is 0. A is as peft begins (LoraLayer.reset_lora_parameters). */
static void fill_adapter(const pl_parameters *p, const pl_trained *tensor, const pl_origin *origin)
{
    const uint64_t key = pl_random_key(p->seed, pl_hash(tensor->name, strlen(tensor->name)));
    const double bound = 1 / sqrt((double)tensor->columns), deviation = 1 / (double)p->rank;
    if (origin->second) {
        memset(tensor->value, 0, tensor->count * sizeof *tensor->value);
        return;
    }
    for (size_t i = 0; i < tensor->count; i++)
        tensor->value[i] = (float)(p->gaussian ? deviation * pl_random_normal(key, i) : bound * (2 * pl_random_uniform(key, i) - 1));
}

pali_status pl_parameters_fill(pl_parameters *parameters, pl_paligemma *model, pl_pool *pool, pali_error *err)
{
    for (size_t i = 0; i < parameters->count; i++) {
        pl_origin *origin = &parameters->origins[i];
        pali_status status = PALI_OK;
        if (origin->weight && !origin->adapter)
            status = fill_weight(model, &parameters->tensors[i], origin, pool, err);
        else if (origin->fresh)
            fill_adapter(parameters, &parameters->tensors[i], origin);
        if (status != PALI_OK)
            return status;
    }
    pl_parameters_zero(parameters, pool);
    return PALI_OK;
}

static void clear_piece(void *context, size_t task, size_t thread)
{
    (void)thread;
    const pl_parameters *p = context;
    const size_t first = task * PIECE;
    memset(p->gradients + first, 0, pl_min(PIECE, p->gradient_count - first) * sizeof *p->gradients);
}

void pl_parameters_zero(const pl_parameters *parameters, pl_pool *pool)
{
    pl_pool_run(pool, (parameters->gradient_count + PIECE - 1) / PIECE, clear_piece, (void *)(uintptr_t)parameters);
}

/* ---- The rest --------------------------------------------------------- */

void pl_parameters_free(pl_parameters *parameters)
{
    if (!parameters)
        return;
    free(parameters->tensors);
    free(parameters->origins);
    free(parameters->groups);
    free(parameters->list);
    free(parameters->gradients);
    free(parameters);
}

const pl_trained *pl_parameters_find(const pl_parameters *parameters, const char *name)
{
    for (size_t i = 0; i < parameters->count; i++)
        if (strcmp(parameters->tensors[i].name, name) == 0)
            return &parameters->tensors[i];
    return NULL;
}

pl_training_memory pl_parameters_forecast(const pl_parameters *parameters, const pl_optimiser_options *optimiser)
{
    pl_training_memory memory = parameters->memory;
    memory.state = pl_optimiser_bytes(optimiser, parameters->tensors, parameters->count);
    return memory;
}
