/*
 * big_vision's npz: the layers of a weight stacked in one array, pairs beside
 * each other, in big_vision's order of axes (checkpoints.md, 5).
 */
#include "model/save_items.h"

#include "formats/npz_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One array: the items that it is stacked of, first for each layer; second for the other of a pair. */
typedef struct stack {
    pl_item *first, *second;
    size_t layers;
    pl_dtype dtype;
} stack;

/* Puts an axis of outputs or inputs, cut into heads where big_vision has it so; 0: whole. */
static void push_axis(size_t *shape, size_t *rank, size_t size, size_t heads)
{
    if (heads)
        shape[(*rank)++] = heads;
    shape[(*rank)++] = heads ? size / heads : size;
}

/* Heads that the rows, or the columns, of a weight are cut into. */
static size_t heads_of(const pl_config *config, const pl_weight *weight, bool columns)
{
    const bool vision = weight->part == PL_PART_VISION_BLOCK && strstr(weight->npz, "MultiHeadDotProductAttention_0/");
    const bool out = strstr(weight->npz, "/out/") || strstr(weight->npz, "attn_vec");
    if (out != columns || (out && weight->columns == PL_DIM_NONE))
        return 0;
    return vision ? config->vision.heads : strstr(weight->npz, "attn_vec") ? config->text.heads : 0;
}

static size_t shape_of(const pl_config *config, const stack *s, size_t shape[PL_MAX_RANK])
{
    const pl_item *item = s->first;
    const pl_weight *weight = item->weight;
    const size_t rows = item->order.rows, columns = item->order.columns, patch = config->vision.patch;
    size_t rank = 0;
    if (weight->part == PL_PART_VISION_BLOCK || weight->part == PL_PART_TEXT_LAYER)
        shape[rank++] = s->layers;
    if (weight->pair >= 0)
        shape[rank++] = 2;
    if (weight->rows == PL_DIM_VISION_TOKENS)
        shape[rank++] = 1;
    switch (weight->form) {
    case PL_NPZ_AS_IS:
        push_axis(shape, &rank, rows, heads_of(config, weight, false));
        if (weight->columns != PL_DIM_NONE)
            shape[rank++] = columns;
        break;
    case PL_NPZ_TRANSPOSE:
        push_axis(shape, &rank, columns, heads_of(config, weight, true));
        push_axis(shape, &rank, rows, heads_of(config, weight, false));
        break;
    case PL_NPZ_HEADS:
        shape[rank++] = rows / config->text.head_dim;
        shape[rank++] = columns;
        shape[rank++] = config->text.head_dim;
        break;
    case PL_NPZ_PATCH:
        shape[rank++] = patch;
        shape[rank++] = patch;
        shape[rank++] = 3;
        shape[rank++] = rows;
        break;
    }
    return rank;
}

/* Takes the type of all, or f32 where layers differ: an array has one type. */
static void settle_type(pl_saving *saving, const stack *s)
{
    for (size_t layer = 0; layer < s->layers; layer++)
        for (size_t i = 0; i < 2; i++) {
            pl_item *item = i ? s->second : s->first;
            if (!item || item[layer].saved.dtype == s->dtype)
                continue;
            saving->total -= item[layer].bytes;
            item[layer].saved.dtype = s->dtype;
            pl_tensor_bytes(&item[layer].saved, &item[layer].bytes);
            saving->total += item[layer].bytes;
        }
}

static pl_dtype common_type(const stack *s)
{
    for (size_t layer = 0; layer < s->layers; layer++)
        if (s->first[layer].saved.dtype != s->first->saved.dtype || (s->second && s->second[layer].saved.dtype != s->first->saved.dtype))
            return PL_F32;
    return s->first->saved.dtype;
}

static pali_status npz_sink(void *file, const void *bytes, size_t size, pali_error *err)
{
    return pl_npz_write(file, bytes, size, err);
}

/* One layer's values: in pieces where the order is ours, else as a whole. */
static pali_status write_slice(pl_saving *saving, const pl_item *item, pl_npz_writer *w, pali_error *err)
{
    if (item->weight->form == PL_NPZ_AS_IS)
        return pl_item_write(saving, item, npz_sink, w, NULL, err);
    void *slice = pl_new_aligned(item->bytes, item->weight->npz, err);
    pali_status status = slice ? pl_item_turned(saving, item, slice, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_npz_write(w, slice, item->bytes, err);
    if (status == PALI_OK)
        status = pl_saving_advance(saving, item->bytes, err);
    free(slice);
    return status;
}

static pali_status write_stack(pl_saving *saving, const stack *s, pl_npz_writer *w, pali_error *err)
{
    char name[160];
    size_t shape[PL_MAX_RANK];
    const size_t rank = shape_of(&saving->model->config, s, shape);
    snprintf(name, sizeof name, "params/%s", s->first->weight->npz);
    pali_status status = pl_npz_begin(w, name, s->dtype, shape, rank, err);
    for (size_t layer = 0; status == PALI_OK && layer < s->layers; layer++) {
        status = write_slice(saving, &s->first[layer], w, err);
        if (status == PALI_OK && s->second)
            status = write_slice(saving, &s->second[layer], w, err);
    }
    return status == PALI_OK ? pl_npz_end(w, err) : status;
}

/* The stack that begins with item i; false if i is the second of a pair, or another layer. */
static bool find_stack(const pl_saving *saving, size_t i, stack *s)
{
    pl_item *item = &saving->items[i];
    if (item->layer > 0 || item->weight->pair == 1)
        return false;
    *s = (stack){.first = item, .layers = pl_part_layers(&saving->model->config, item->weight->part)};
    for (size_t j = 0; item->weight->pair == 0 && j < saving->count; j++)
        if (saving->items[j].layer == 0 && saving->items[j].weight->pair == 1 && strcmp(saving->items[j].weight->npz, item->weight->npz) == 0)
            s->second = &saving->items[j];
    s->dtype = common_type(s);
    return true;
}

pali_status pl_save_npz(pl_saving *saving, const char *path, pali_error *err)
{
    pl_npz_writer w = {0};
    stack s;
    if (saving->model->config.vision.mlp_connector)
        return pl_fail(err, PALI_USAGE, "%s: found a projector of two maps (connector mlp), expected one: an npz holds no other", saving->model->checkpoint->path);
    if (saving->own_head)
        return pl_fail(err, PALI_USAGE, "%s: found an output matrix of its own, expected one tied to the embedding: an npz holds no other", saving->model->checkpoint->path);
    for (size_t i = 0; i < saving->count; i++)
        if (find_stack(saving, i, &s))
            settle_type(saving, &s);
    pali_status status = pl_npz_create(&w, path, err);
    for (size_t i = 0; status == PALI_OK && i < saving->count; i++)
        if (find_stack(saving, i, &s))
            status = write_stack(saving, &s, &w, err);
    if (status == PALI_OK)
        status = pl_npz_commit(&w, err);
    pl_npz_abandon(&w);
    return status;
}
