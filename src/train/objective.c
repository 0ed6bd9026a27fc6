/*
 * Forward of a micro-batch. Logits of a large vocabulary are the largest
 * matrix of all, so targets go through the head a chunk at a time, each chunk a
 * region of the tape.
 */
#include "train/objective.h"

#include "image/preprocess.h"
#include "train/contrastive.h"

#include <string.h>

#ifndef PL_LOSS_LOGITS
#define PL_LOSS_LOGITS (1 << 24) /* tests take fewer */
#endif

enum { LOGITS = PL_LOSS_LOGITS }; /* floats of a chunk, or one row */

static void fill_patches(const pl_siglip_config *vision, const float *const *pixels, size_t count, pl_rows patches)
{
    const size_t tokens = pl_siglip_tokens(vision);
    for (size_t i = 0; i < count; i++)
        pl_patches(pixels[i], vision->image_size, vision->patch, pl_rows_view(patches, i * tokens, tokens).data);
}

void pl_objective_encode(pl_context *ctx, const pl_paligemma *model, const float *const *pixels, size_t count, pl_rows features)
{
    const pl_siglip_config *vision = &model->config.vision;
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows patches = pl_constant_push(ctx, features.count, 3 * vision->patch * vision->patch);
    if (!pl_dry(ctx))
        fill_patches(vision, pixels, count, patches);
    pl_siglip_forward(ctx, &model->siglip, patches, features);
    pl_release(ctx, mark);
}

pl_rows pl_objective_pictures(pl_context *ctx, const pl_objective *o, const pl_microbatch *batch)
{
    const pl_siglip_config *vision = &o->model->config.vision;
    const size_t tokens = pl_siglip_tokens(vision), rows = batch->pictures * tokens;
    const pl_rows features = o->features ? pl_constant_push(ctx, rows, vision->width) : pl_rows_push(ctx, rows, vision->width);
    const float **pixels = pl_push(ctx, batch->pictures, sizeof *pixels);
    for (size_t i = 0; i < batch->count && !pl_dry(ctx); i++) /* a picture that several share is written again, the same */
        for (size_t k = 0; k < batch->examples[i]->image_count; k++) {
            const pl_example_image *image = &batch->examples[i]->images[k];
            const size_t picture = batch->picture_of[i] + k;
            pixels[picture] = image->pixels;
            if (o->features)
                memcpy(pl_rows_view(features, picture * tokens, tokens).data, image->features, tokens * vision->width * sizeof(float));
        }
    if (!o->features)
        pl_objective_encode(ctx, o->model, pixels, batch->pictures, features);
    return features;
}

/* Embeddings of pictures and text, an example after the other. */
static void embed_rows(pl_context *ctx, const pl_objective *o, const pl_microbatch *batch, pl_rows x)
{
    const size_t tokens = pl_image_tokens(o->model), mark = pl_arena_mark(ctx->arena);
    pl_rows projected = {0};
    if (batch->pictures > 0) {
        projected = pl_rows_push(ctx, batch->pictures * tokens, x.width);
        pl_projector_forward(ctx, &o->model->siglip, pl_objective_pictures(ctx, o, batch), projected);
    }
    const int32_t *ids = batch->ids;
    size_t row = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const size_t images = batch->examples[i]->image_count;
        if (images > 0)
            pl_op_copy(ctx, pl_rows_view(projected, batch->picture_of[i] * tokens, images * tokens), pl_rows_view(x, row, images * tokens));
        row += images * tokens;
        pl_gemma_embed(ctx, &o->model->gemma, ids, pl_rows_view(x, row, batch->text_of[i]));
        row += batch->text_of[i];
        ids += batch->text_of[i];
    }
    pl_release(ctx, mark);
}

void pl_objective_hidden(pl_context *ctx, const pl_objective *o, const pl_microbatch *batch, pl_rows hidden)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows x = pl_rows_push(ctx, batch->rows, o->model->gemma.config.width);
    embed_rows(ctx, o, batch, x);
    pl_gemma_forward_inplace(ctx, &o->model->gemma, x, batch->segments, batch->count, hidden);
    pl_release(ctx, mark);
}

typedef struct loss_chunk {
    const pl_gemma *gemma;
    const int32_t *targets;
    const float *weights;
    float *losses;
    float smoothing;
    pl_spread spread;
} loss_chunk;

/* There is no output but the losses. */
static void chunk_forward(pl_context *ctx, const void *arguments, pl_rows hidden, pl_rows none)
{
    (void)none;
    const loss_chunk *c = arguments;
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows logits = pl_rows_push(ctx, hidden.count, c->gemma->config.vocabulary);
    pl_gemma_logits(ctx, c->gemma, hidden, logits);
    pl_op_cross_entropy_spread(ctx, logits, c->targets, c->weights, c->smoothing, &c->spread, c->losses);
    pl_release(ctx, mark);
}

/* Rows with a target and what goes with them, end to end: views of the batch's own where all have one. */
typedef struct aimed_rows {
    pl_rows hidden;
    int32_t *targets;
    float *weights, *losses; /* [hidden.count] */
} aimed_rows;

static aimed_rows gather_aimed(pl_context *ctx, const pl_microbatch *batch, pl_rows hidden)
{
    if (batch->aimed == batch->wanted)
        return (aimed_rows){hidden, batch->targets, batch->weights, batch->losses};
    aimed_rows a = {.hidden = pl_rows_push(ctx, batch->aimed, hidden.width)};
    size_t *const rows = pl_push(ctx, batch->aimed, sizeof *rows);
    a.targets = pl_push(ctx, batch->aimed, sizeof *a.targets);
    a.weights = pl_push(ctx, batch->aimed, sizeof *a.weights);
    a.losses = pl_push(ctx, batch->aimed, sizeof *a.losses);
    for (size_t i = 0, to = 0; i < batch->wanted && !pl_dry(ctx); i++)
        if (batch->targets[i] >= 0) {
            rows[to] = i;
            a.targets[to] = batch->targets[i];
            a.weights[to++] = batch->weights[i];
        }
    pl_op_gather(ctx, hidden, rows, a.hidden);
    return a;
}

/* Losses back to the rows that they are of; those without a target have none. */
static void scatter_losses(const pl_microbatch *batch, const aimed_rows *a)
{
    for (size_t i = 0, from = 0; i < batch->wanted && a->losses != batch->losses; i++)
        batch->losses[i] = batch->targets[i] >= 0 ? a->losses[from++] : 0;
}

static void predict_tokens(pl_context *ctx, const pl_objective *o, pl_microbatch *batch)
{
    const pl_gemma *gemma = &o->model->gemma;
    const size_t mark = pl_arena_mark(ctx->arena), step = pl_max(1, LOGITS / gemma->config.vocabulary);
    const pl_rows hidden = pl_rows_push(ctx, batch->wanted, gemma->config.width);
    pl_objective_hidden(ctx, o, batch, hidden);
    const aimed_rows a = gather_aimed(ctx, batch, hidden);
    for (size_t first = 0; first < batch->aimed; first += step) {
        const loss_chunk chunk = {.gemma = gemma, .targets = a.targets + first, .weights = a.weights + first, .losses = a.losses + first, .smoothing = o->smoothing, .spread = o->spread};
        const pl_rows rows = pl_rows_view(a.hidden, first, pl_min(step, batch->aimed - first));
        pl_tape_region(ctx, chunk_forward, &chunk, sizeof chunk, rows, (pl_rows){0});
    }
    if (!pl_dry(ctx) && !ctx->failed)
        scatter_losses(batch, &a);
    pl_release(ctx, mark);
}

/* ---- Kinds ------------------------------------------------------------ */

static const pl_objective_traits kinds[PL_OBJECTIVES] = {
    [PL_OBJECTIVE_PREFIX_LM] = {.name = "prefix_lm", .form = PL_DATA_PREFIX_LM, .predicts = true, .answers = true, .forward = predict_tokens},
    [PL_OBJECTIVE_LANGUAGE] = {.name = "language", .form = PL_DATA_LANGUAGE, .predicts = true, .forward = predict_tokens},
    [PL_OBJECTIVE_CONTRASTIVE] = {.name = "contrastive", .form = PL_DATA_LANGUAGE, .whole_batch = true, .forward = pl_contrastive_forward},
};

const pl_objective_traits *pl_objective_traits_of(pl_objective_kind kind)
{
    return &kinds[kind];
}

pl_objective_kind pl_objective_find(const char *name)
{
    pl_objective_kind kind = PL_OBJECTIVE_PREFIX_LM;
    while (kind < PL_OBJECTIVES && strcmp(kinds[kind].name, name) != 0)
        kind++;
    return kind;
}

void pl_objective_forward(pl_context *ctx, const pl_objective *o, pl_microbatch *batch)
{
    kinds[o->kind].forward(ctx, o, batch);
}
