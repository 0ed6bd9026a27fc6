/*
 * Vectors by way of the trace: the pass is the one that answers run, and the
 * trace shows each stage under its name. Hidden states are numbered as
 * transformers' output_hidden_states numbers them.
 */
#include "generate/embed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the trace fills in: item `item` of the tensors. */
typedef struct tap {
    pl_embedding *embedding;
    size_t item;
    size_t layers; /* of the language model */
} tap;

/* The mean of the rows, summed in double. */
static void pool_rows(pl_rows rows, float *out)
{
    for (size_t i = 0; i < rows.width; i++) {
        double sum = 0;
        for (size_t r = 0; r < rows.count; r++)
            sum += (double)rows.data[r * rows.width + i];
        out[i] = (float)(sum / (double)rows.count);
    }
}

/* Divides each row by its length; a row of zeros stays. */
static void normalise_rows(float *data, size_t rows, size_t width)
{
    for (size_t r = 0; r < rows; r++, data += width) {
        double sum = 0;
        for (size_t i = 0; i < width; i++)
            sum += (double)data[i] * (double)data[i];
        const double length = sqrt(sum);
        for (size_t i = 0; i < width && length > 0; i++)
            data[i] = (float)((double)data[i] / length);
    }
}

static void fill(const tap *t, pl_embedded *tensor, pl_rows rows)
{
    float *out = tensor->data + t->item * tensor->rows * tensor->width;
    if (t->embedding->pooled)
        pool_rows(rows, out);
    else
        memcpy(out, rows.data, tensor->rows * tensor->width * sizeof *out);
    if (t->embedding->normalised)
        normalise_rows(out, tensor->rows, tensor->width);
}

/* Stage `name` of a pass; SigLIP and projector come once a picture, in order, the projector last. */
static void on_stage(void *context, const char *name, size_t index, pl_rows rows)
{
    tap *t = context;
    pl_embedding *e = t->embedding;
    if (e->what == PL_EMBED_HIDDEN) {
        size_t layer = SIZE_MAX;
        if (strcmp(name, "text.embeddings") == 0)
            layer = 0;
        else if (strcmp(name, "text.layer") == 0 && index + 1 < t->layers)
            layer = index + 1;
        else if (strcmp(name, "text.norm") == 0)
            layer = t->layers;
        for (size_t i = 0; i < e->count; i++)
            if (e->tensors[i].layer == layer)
                fill(t, &e->tensors[i], rows);
        return;
    }
    if (strcmp(name, e->what == PL_EMBED_SIGLIP ? "vision.post_layernorm" : "projector") != 0)
        return;
    fill(t, &e->tensors[0], rows);
    t->item++;
}

/* Room for one tensor of the embedding's items. */
static pali_status add_tensor(pl_embedding *e, const char *name, size_t rows, size_t width, pali_error *err)
{
    pl_embedded *tensor = &e->tensors[e->count++];
    size_t floats;
    *tensor = (pl_embedded){.rows = e->pooled ? 1 : rows, .width = width};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    if (!pl_mul(e->items, tensor->rows, &floats) || !pl_mul(floats, width, &floats))
        return pl_fail_memory(err, "embedding", 0);
    tensor->data = pl_new_raw(floats, sizeof *tensor->data, "embedding", err);
    tensor->capacity = floats;
    return tensor->data ? PALI_OK : PALI_MEMORY;
}

/* Runs SigLIP and the projector, seen by the tap unless it is NULL; the timeline keeps the pictures. */
static pali_status encode(pl_timeline *timeline, const pl_image *const *images, size_t count, tap *t, pali_error *err)
{
    const pl_engine *const engine = timeline->engine;
    pl_engine tapped = *engine;
    if (t) {
        tapped.trace = on_stage;
        tapped.trace_context = t;
        timeline->engine = &tapped;
    }
    const pali_status status = pl_timeline_set_images(timeline, images, count, err);
    timeline->engine = engine;
    return status;
}

static pali_status embed_pictures(pl_timeline *timeline, const pl_image *const *images, size_t count, pl_embedding *e, pali_error *err)
{
    const pl_paligemma *model = timeline->engine->model;
    const bool siglip = e->what == PL_EMBED_SIGLIP;
    tap t = {.embedding = e};
    e->items = count;
    e->tensors = pl_new(1, sizeof *e->tensors, "embedding", err);
    if (!e->tensors)
        return PALI_MEMORY;
    const pali_status status = add_tensor(e, siglip ? "siglip" : "projector", pl_image_tokens(model), siglip ? model->config.vision.width : model->config.text.width, err);
    return status == PALI_OK ? encode(timeline, images, count, &t, err) : status;
}

/* The layer that a number names, 0 to `last`. */
static pali_status find_layer(int32_t asked, size_t last, size_t *layer, pali_error *err)
{
    const int64_t from_start = asked < 0 ? (int64_t)last + 1 + asked : asked;
    if (from_start < 0 || from_start > (int64_t)last)
        return pl_fail(err, PALI_USAGE, "layers: found %d, expected 0 (what goes into the first) to %zu (the last after the final norm), or -1 to -%zu from the end", (int)asked, last, last + 1);
    *layer = (size_t)from_start;
    return PALI_OK;
}

/* The tensors of hidden states, without data yet. */
static pali_status list_layers(const pl_embed_options *options, size_t last, size_t rows, size_t width, pl_embedding *e, pali_error *err)
{
    const int32_t only = -1, *layers = options->layer_count ? options->layers : &only;
    const size_t count = pl_max(options->layer_count, 1);
    e->items = 1;
    e->tensors = pl_new(count, sizeof *e->tensors, "embedding", err);
    pali_status status = e->tensors ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        size_t layer = 0;
        char name[32];
        status = find_layer(layers[i], last, &layer, err);
        for (size_t k = 0; status == PALI_OK && k < i; k++)
            if (e->tensors[k].layer == layer)
                status = pl_fail(err, PALI_USAGE, "layers: found layer %zu twice, expected different ones", layer);
        if (status != PALI_OK)
            break;
        snprintf(name, sizeof name, "hidden.%zu", layer);
        status = add_tensor(e, name, rows, width, err);
        e->tensors[i].layer = layer;
    }
    return status;
}

/* The prompt's rows through all layers, every one of them put out. */
static void compute_hidden(pl_context *ctx, pl_timeline *timeline, size_t rows)
{
    const pl_gemma *gemma = &timeline->engine->model->gemma;
    const pl_rows x = pl_rows_push(ctx, rows, gemma->config.width), out = pl_rows_push(ctx, rows, gemma->config.width);
    const pl_segment segment = {.cache = &timeline->cache, .rows = rows, .prefix = timeline->prefix};
    pl_timeline_embed_prompt(ctx, timeline, x, 0);
    ctx->regime = PL_REGIME_PREFILL;
    pl_gemma_forward_inplace(ctx, gemma, x, &segment, 1, out);
}

static pali_status embed_hidden(pl_timeline *timeline, const char *prompt, const pl_embed_options *options, pl_embedding *e, pali_error *err)
{
    const pl_gemma_config *text = &timeline->engine->model->config.text;
    const pl_question question = {.max_tokens = 1, .special = options->special};
    pali_status status = pl_timeline_prompt(timeline, prompt, &question, err);
    timeline->phase = PL_PHASE_IDLE;
    if (status != PALI_OK)
        return status;
    const size_t rows = timeline->features->rows.count + timeline->prompt.count;
    status = list_layers(options, text->layers, rows, text->width, e, err);
    if (status != PALI_OK)
        return status;
    pl_arena plan = pl_arena_plan();
    tap t = {.embedding = e, .layers = text->layers};
    pl_context ctx = pl_engine_context(timeline->engine, &plan);
    ctx.trace = on_stage;
    ctx.trace_context = &t;
    compute_hidden(&ctx, timeline, rows);
    status = pl_timeline_reserve(timeline, plan.peak, err);
    if (status != PALI_OK)
        return status;
    ctx.arena = &timeline->arena;
    compute_hidden(&ctx, timeline, rows);
    return ctx.failed ? pl_fail_memory(err, "embedding", plan.peak) : PALI_OK;
}

static pali_status check_finite(const pl_timeline *timeline, const pl_embedding *e, pali_error *err)
{
    for (size_t i = 0; i < e->count; i++)
        if (!timeline->engine->kernels->all_finite(e->items * e->tensors[i].rows * e->tensors[i].width, e->tensors[i].data))
            return pl_fail(err, PALI_FAILED, "%s: found values that are not finite, expected numbers; the weights may be damaged: try `pali inspect --check`", e->tensors[i].name);
    return PALI_OK;
}

pali_status pl_embed(pl_timeline *timeline, const pl_image *const *images, size_t count, const char *prompt, const pl_embed_options *options, pl_embedding *embedding, pali_error *err)
{
    pl_embedding e = {.what = options->what, .pooled = options->pool, .normalised = options->normalise};
    pali_status status;
    if (options->what == PL_EMBED_HIDDEN) {
        e.prompt = pl_strdup(prompt, err);
        status = e.prompt ? encode(timeline, images, count, NULL, err) : PALI_MEMORY;
        if (status == PALI_OK)
            status = embed_hidden(timeline, prompt, options, &e, err);
    } else {
        status = embed_pictures(timeline, images, count, &e, err);
    }
    if (status == PALI_OK)
        status = check_finite(timeline, &e, err);
    if (status == PALI_OK)
        *embedding = e;
    else
        pl_embedding_clear(&e);
    return status;
}

pali_status pl_embedding_append(pl_embedding *embedding, const pl_embedding *more, pali_error *err)
{
    size_t items, floats;
    if (embedding->count != more->count || embedding->pooled != more->pooled)
        return pl_fail(err, PALI_USAGE, "embedding: found %zu tensors to append to %zu, expected the same ones", more->count, embedding->count);
    for (size_t i = 0; i < more->count; i++) {
        const pl_embedded *a = &embedding->tensors[i], *b = &more->tensors[i];
        if (strcmp(a->name, b->name) != 0 || a->rows != b->rows || a->width != b->width)
            return pl_fail(err, PALI_USAGE, "embedding: found %s of [%zu, %zu] to append to %s of [%zu, %zu], expected the same", b->name, b->rows, b->width, a->name, a->rows, a->width);
    }
    if (!pl_add(embedding->items, more->items, &items))
        return pl_fail_memory(err, "embedding", 0);
    for (size_t i = 0; i < more->count; i++) { /* one that was grown before another failed is only larger than need be */
        pl_embedded *a = &embedding->tensors[i];
        if (!pl_mul(items, a->rows, &floats) || !pl_mul(floats, a->width, &floats))
            return pl_fail_memory(err, "embedding", 0);
        const pali_status status = pl_grow(&a->data, &a->capacity, floats, sizeof *a->data, "embedding", err);
        if (status != PALI_OK)
            return status;
    }
    for (size_t i = 0; i < more->count; i++) {
        const pl_embedded *a = &embedding->tensors[i], *b = &more->tensors[i];
        memcpy(a->data + embedding->items * a->rows * a->width, b->data, more->items * b->rows * b->width * sizeof *b->data);
    }
    embedding->items = items;
    return PALI_OK;
}

size_t pl_embedding_shape(const pl_embedding *embedding, size_t i, size_t shape[3])
{
    size_t rank = 0;
    if (embedding->items != 1)
        shape[rank++] = embedding->items;
    if (!embedding->pooled)
        shape[rank++] = embedding->tensors[i].rows;
    shape[rank++] = embedding->tensors[i].width;
    return rank;
}

void pl_embedding_clear(pl_embedding *embedding)
{
    for (size_t i = 0; i < embedding->count; i++)
        free(embedding->tensors[i].data);
    free(embedding->tensors);
    free(embedding->prompt);
    *embedding = (pl_embedding){0};
}
