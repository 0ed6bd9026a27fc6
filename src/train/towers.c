/*
 * What stands beside the model for contrastive learning: which tensors, where
 * they go, and what they begin with. Blocks and norms are those of the model's
 * list of weights; log temperature log 10 and bias -10 as arXiv 2303.15343, 3.1.
 */
#include "train/contrastive.h"

#include "base/random.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 16 /* floats of a cache line: a tensor begins at one */ };

/* Where a tensor goes. */
typedef struct placed {
    void *target;
    pl_target kind;
} placed;

typedef struct building {
    pl_towers *towers;
    placed *places; /* [towers->count] owned */
    size_t capacity;
    pali_error *err;
    pali_status status; /* of the first addition that failed */
} building;

static void add(building *b, const char *prefix, const char *name, const placed *at, const size_t shape[2], pl_distribution distribution)
{
    pl_towers *t = b->towers;
    if (b->status == PALI_OK)
        b->status = pl_grow(&t->tensors, &t->capacity, t->count + 1, sizeof *t->tensors, "towers", b->err);
    if (b->status == PALI_OK)
        b->status = pl_grow(&t->distributions, &t->distribution_capacity, t->count + 1, sizeof *t->distributions, "towers", b->err);
    if (b->status == PALI_OK)
        b->status = pl_grow(&b->places, &b->capacity, t->count + 1, sizeof *b->places, "towers", b->err);
    if (b->status != PALI_OK)
        return;
    pl_extra *extra = &t->tensors[t->count];
    *extra = (pl_extra){.rows = shape[0], .columns = shape[1], .kernel = at->kind == PL_TARGET_LINEAR};
    snprintf(extra->name, sizeof extra->name, "%s%s", prefix, name);
    t->distributions[t->count] = distribution;
    b->places[t->count++] = *at;
}

/* A weight of the image encoder's list in a struct of another tower; `rows` 0: as many as the list says. */
static void add_listed(building *b, const pl_config *config, const char *prefix, const pl_weight *weight, void *base, size_t rows)
{
    const size_t shape[2] = {rows ? rows : pl_dim_size(config, weight->rows), pl_dim_size(config, weight->columns)};
    const placed at = {(unsigned char *)base + weight->offset, weight->target};
    add(b, prefix, weight->name, &at, shape, pl_distribution_of_vision(weight, (double)shape[1], (double)shape[0]));
}

static void add_blocks(building *b, const pl_config *config, size_t positions)
{
    pl_towers *t = b->towers;
    char prefix[64];
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++) {
        if (w->part == PL_PART_VISION && w->offset != offsetof(pl_siglip, patch))
            add_listed(b, config, "text_tower.", w, &t->text, w->rows == PL_DIM_VISION_TOKENS ? positions : 0);
        if (w->part != PL_PART_VISION_BLOCK)
            continue;
        if (!pl_starts_with(w->name, "layer_norm1."))
            add_listed(b, config, "image_head.", w, &t->image_head.block, 0);
        for (size_t layer = 0; layer < config->vision.layers; layer++) {
            snprintf(prefix, sizeof prefix, "text_tower.layers.%zu.", layer);
            add_listed(b, config, prefix, w, &t->text.blocks[layer], 0);
        }
    }
}

static void add_rest(building *b, const pl_config *config)
{
    pl_towers *t = b->towers;
    const size_t width = config->vision.width;
    const double w = (double)width;
    const struct {
        const char *name;
        placed at;
        size_t shape[2];
        pl_distribution distribution;
    } rest[] = {
        {"image_head.probe", {&t->image_head.probe, PL_TARGET_TENSOR}, {1, width}, {PL_DISTRIBUTION_UNIFORM, sqrt(6 / (1 + w))}},
        {"text_tower.embeddings.token_embedding.weight", {&t->embedding, PL_TARGET_TENSOR}, {config->text.vocabulary, width}, {PL_DISTRIBUTION_NORMAL, 1 / sqrt(w)}},
        {"text_tower.head.weight", {&t->text_head, PL_TARGET_LINEAR}, {width, width}, {PL_DISTRIBUTION_TRUNCATED, 1 / sqrt(w)}},
        {"text_tower.head.bias", {&t->text_head, PL_TARGET_BIAS}, {width, 1}, {PL_DISTRIBUTION_CONSTANT, 0}},
        {"log_temperature", {(void *)&t->log_temperature, PL_TARGET_VECTOR}, {1, 1}, {PL_DISTRIBUTION_CONSTANT, log(10)}},
        {"bias", {(void *)&t->bias, PL_TARGET_VECTOR}, {1, 1}, {PL_DISTRIBUTION_CONSTANT, -10}},
    };
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        add(b, "", rest[i].name, &rest[i].at, rest[i].shape, rest[i].distribution);
}

/* One block for all values, and everything pointed into it. */
static pali_status place_all(building *b)
{
    pl_towers *t = b->towers;
    size_t total = 0;
    for (size_t i = 0; i < t->count; i++)
        total += pl_round_up(t->tensors[i].rows * t->tensors[i].columns, LINE);
    t->values = pl_new_bulk(total, sizeof *t->values, "towers", b->err);
    if (!t->values)
        return PALI_MEMORY;
    float *at = t->values;
    for (size_t i = 0; i < t->count; i++) {
        pl_extra *e = &t->tensors[i];
        const bool vector = b->places[i].kind == PL_TARGET_BIAS || b->places[i].kind == PL_TARGET_VECTOR;
        const pl_tensor tensor = {.dtype = PL_F32, .rank = vector ? 1 : 2, .shape = {e->rows, e->columns}, .data = at};
        e->value = at;
        at += pl_round_up(e->rows * e->columns, LINE);
        pl_target_point(b->places[i].kind, b->places[i].target, &tensor);
    }
    return PALI_OK;
}

pl_towers *pl_towers_new(const pl_config *config, size_t positions, pali_error *err)
{
    pl_towers *t = pl_new(1, sizeof *t, "towers", err);
    if (!t)
        return NULL;
    building b = {.towers = t, .err = err};
    t->text.config = config->vision;
    t->text.blocks = pl_new(config->vision.layers, sizeof *t->text.blocks, "towers", err);
    b.status = t->text.blocks ? PALI_OK : PALI_MEMORY;
    if (b.status == PALI_OK) {
        add_blocks(&b, config, positions);
        add_rest(&b, config);
    }
    if (b.status == PALI_OK)
        b.status = place_all(&b);
    free(b.places);
    if (b.status == PALI_OK)
        return t;
    pl_towers_free(t);
    return NULL;
}

void pl_towers_free(pl_towers *towers)
{
    if (!towers)
        return;
    free(towers->text.blocks);
    free(towers->tensors);
    free(towers->distributions);
    free(towers->values);
    free(towers);
}

void pl_towers_fill(pl_towers *towers, uint64_t seed, pl_pool *pool)
{
    for (size_t i = 0; i < towers->count; i++) {
        const pl_extra *e = &towers->tensors[i];
        pl_distribution_draw(&towers->distributions[i], pl_random_key(seed, pl_hash(e->name, strlen(e->name))), 0, e->rows * e->columns, e->value, pool);
    }
}
