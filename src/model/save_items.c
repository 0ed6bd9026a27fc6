/*
 * What is written: every weight with the type and layout that wishes, format
 * and shape leave it.
 */
#include "model/save_items.h"

#include "model/recast.h"
#include "tensor/quantise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pl_is_plain(const pl_weight *weight)
{
    return weight->columns == PL_DIM_NONE || weight->rows == PL_DIM_VISION_TOKENS;
}

static pl_dtype wish_of(const pl_save_options *options, const pl_weight *weight)
{
    if (weight == &pl_head_weight)
        return options->head;
    if (weight->rows == PL_DIM_VOCABULARY)
        return options->embedding;
    return weight->part == PL_PART_TEXT || weight->part == PL_PART_TEXT_LAYER ? options->language : options->vision;
}

static bool is_float_type(pl_dtype type)
{
    return type == PL_F32 || type == PL_BF16 || type == PL_F16;
}

/* Where the weight's values are now: those of the file, or what an adapter put in their place. */
static void find_values(pl_item *item, const pl_paligemma *model)
{
    pl_tensor values = pl_weight_tensor(model, item->weight, item->layer);
    if (item->weight->target == PL_TARGET_LINEAR)
        item->adapters = ((const pl_linear *)pl_weight_target((pl_paligemma *)(uintptr_t)model, item->weight, item->layer))->adapters;
    if (values.data == item->order.data)
        return;
    if (values.rank == 1)
        values = (pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {1, item->order.rows}, .data = values.data};
    item->from = values;
    item->order.form = PL_NPZ_AS_IS;
    item->mapped = false;
}

/* The type of a weight that is to be left as it is. */
static pl_dtype kept_type(const pl_saving *saving, const pl_item *item)
{
    return saving->options->as_source ? item->source : item->from.dtype;
}

/* The type of a norm, bias or the positions; F32 in a GGUF, as ggml's tools want it. */
static pl_dtype plain_type(const pl_saving *saving, const pl_item *item)
{
    const pl_dtype wish = wish_of(saving->options, item->weight), kept = kept_type(saving, item);
    if (saving->options->container == PL_CONTAINER_GGUF)
        return PL_F32;
    if (is_float_type(wish))
        return wish;
    return saving->plain != PL_DTYPE_COUNT ? saving->plain : kept == PL_BF16 || kept == PL_F16 ? kept : PL_F32;
}

static pali_status refuse(const pl_item *item, const char *found, const char *expected, pali_error *err)
{
    return pl_fail(err, PALI_USAGE, "%s: tensor %s: found %s, expected %s", item->order.named->file, item->order.named->name, found, expected);
}

/* The tiled layout of a type, or the type itself. */
static pl_dtype tiled(pl_dtype type)
{
    static const pl_dtype tiles[] = {PL_BF16_TILES, PL_Q8_0_TILES, PL_Q4_0_TILES};
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++)
        if (pl_dtype_untiled(tiles[i]) == type)
            return tiles[i];
    return type;
}

static pali_status matrix_type(const pl_saving *saving, const pl_item *item, pl_dtype *type, pali_error *err)
{
    const pl_save_options *options = saving->options;
    const pl_dtype wish = wish_of(options, item->weight);
    const bool gguf = options->container == PL_CONTAINER_GGUF;
    char found[64];
    *type = wish == PL_DTYPE_COUNT ? kept_type(saving, item) : pl_weight_type(item->weight, &saving->model->config, wish);
    if (!gguf && wish == PL_DTYPE_COUNT) {
        *type = pl_dtype_untiled(*type);
        *type = is_float_type(*type) ? *type : PL_F32; /* exact */
    }
    if (!gguf && !is_float_type(*type))
        return pl_fail(err, PALI_USAGE, "type: found %s, expected f32, bf16 or f16 in this format; only a GGUF holds quantised types", pl_type_name(wish));
    if (gguf && item->adapters && wish == PL_DTYPE_COUNT && !pl_dtype_can_quantise(pl_dtype_untiled(*type)) && *type != PL_Q8_TILES)
        return refuse(item, pl_type_name(*type), "--type with it, to merge an adapter", err);
    if (options->layout == PL_LAYOUT_ROWS && *type == PL_Q8_TILES)
        return refuse(item, "layout rows for type q8", "tiles, the only layout it has, or another type", err);
    if (options->layout == PL_LAYOUT_ROWS)
        *type = pl_dtype_untiled(*type);
    if (options->layout != PL_LAYOUT_TILES || pl_dtype_is_tiled(*type))
        return PALI_OK;
    if (tiled(*type) == *type) {
        snprintf(found, sizeof found, "layout tiles for type %s", pl_type_name(*type));
        return refuse(item, found, "rows, or --type bf16, q8_0, q4_0 or q8 with it", err);
    }
    *type = tiled(*type);
    return PALI_OK;
}

static void add_item(pl_saving *saving, const pl_weight *weight, size_t layer, const pl_source *source)
{
    pl_item *item = &saving->items[saving->count++];
    const pl_config *config = &saving->model->config;
    *item = (pl_item){.weight = weight, .layer = layer, .order = *source, .from = pl_source_tensor(source, weight), .mapped = !source->named->copied};
    item->source = item->from.dtype;
    find_values(item, saving->model);
    const bool language = weight->part == PL_PART_TEXT || weight->part == PL_PART_TEXT_LAYER;
    if (weight->target == PL_TARGET_VECTOR && language)
        item->offset = config->text.norm_offset - 1;
    item->saved = item->from;
    item->saved.scale = NULL;
    item->saved.data = NULL;
}

static pali_status list_items(pl_saving *saving, pali_error *err)
{
    const pl_paligemma *model = saving->model;
    size_t most = 1;
    for (size_t w = 0; w < pl_weight_count; w++)
        most += pl_part_layers(&model->config, pl_weights[w].part);
    saving->items = pl_new(most, sizeof *saving->items, "list of weights", err);
    pali_status status = saving->items ? PALI_OK : PALI_MEMORY;
    pl_source source, embedding = {0};
    for (size_t w = 0; status == PALI_OK && w < pl_weight_count; w++) {
        const pl_weight *weight = &pl_weights[w];
        for (size_t layer = 0; status == PALI_OK && layer < pl_part_layers(&model->config, weight->part); layer++) {
            if (!pl_weight_present(&model->config, weight))
                continue;
            status = pl_checkpoint_source(model->checkpoint, weight, layer, &source, err);
            if (status == PALI_OK)
                add_item(saving, weight, layer, &source);
            if (weight->rows == PL_DIM_VOCABULARY)
                embedding = source;
        }
    }
    if (status != PALI_OK)
        return status;
    const pl_linear *head = &model->gemma.head;
    const bool other_type = saving->options->container == PL_CONTAINER_GGUF && saving->options->head != PL_DTYPE_COUNT && saving->options->head != saving->options->embedding;
    saving->own_head = head->adapters || head->weight.data != model->gemma.embedding.data || other_type;
    if (!saving->own_head)
        return PALI_OK;
    source = embedding; /* a tied one is made of it */
    const pl_entry *entry = pl_checkpoint_entry(model->checkpoint, "head.weight");
    if (entry && model->config.untied_head)
        status = pl_checkpoint_source_of(model->checkpoint, entry, &pl_head_weight, 0, &source, err);
    if (status == PALI_OK)
        add_item(saving, &pl_head_weight, 0, &source);
    return status;
}

/* The one type of norms, biases and positions in the source, or as its key says what they had before. */
static pali_status find_plain(pl_saving *saving, pali_error *err)
{
    const pl_checkpoint *checkpoint = saving->model->checkpoint;
    bool first = true;
    saving->plain = PL_DTYPE_COUNT;
    for (size_t i = 0; i < saving->count; i++) {
        if (!pl_is_plain(saving->items[i].weight))
            continue;
        const pl_dtype kept = kept_type(saving, &saving->items[i]);
        if (!first && saving->plain != kept)
            saving->plain = PL_DTYPE_COUNT;
        else if (first)
            saving->plain = kept;
        first = first && saving->plain == PL_DTYPE_COUNT;
    }
    if (!is_float_type(saving->plain))
        saving->plain = PL_DTYPE_COUNT;
    if (checkpoint->container != PL_CONTAINER_GGUF)
        return PALI_OK;
    pl_gguf_string key = {0};
    const pali_status status = pl_gguf_get_string(checkpoint->files[0], "pali.plain_type", &key, err);
    if (pl_gguf_string_is(key, "bf16"))
        saving->plain = PL_BF16;
    if (pl_gguf_string_is(key, "f16"))
        saving->plain = PL_F16;
    return status;
}

static pali_status settle(pl_saving *saving, pl_item *item, pali_error *err)
{
    pali_status status = PALI_OK;
    if (pl_is_plain(item->weight))
        item->saved.dtype = plain_type(saving, item);
    else
        status = matrix_type(saving, item, &item->saved.dtype, err);
    if (status != PALI_OK)
        return status;
    if (!pl_tensor_bytes(&item->saved, &item->bytes)) {
        char shape[96];
        return refuse(item, pl_shape_text(item->saved.shape, 2, shape), "rows that are whole blocks of its type", err);
    }
    saving->total += item->bytes;
    return PALI_OK;
}

pali_status pl_saving_init(pl_saving *saving, const pl_paligemma *model, const pl_save_options *options, pali_error *err)
{
    *saving = (pl_saving){.model = model, .options = options};
    pali_status status = list_items(saving, err);
    if (status == PALI_OK)
        status = find_plain(saving, err);
    for (size_t i = 0; status == PALI_OK && i < saving->count; i++)
        status = settle(saving, &saving->items[i], err);
    if (status != PALI_OK)
        pl_saving_free(saving);
    return status;
}

void pl_saving_free(pl_saving *saving)
{
    free(saving->items);
    saving->items = NULL;
    saving->count = 0;
}
