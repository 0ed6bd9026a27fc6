/* Forward of both towers; the loss over all pairs is an op (ops/cpu/contrastive.c). */
#include "train/contrastive.h"

/* Each different picture goes through the encoder once. */
static void encode_images(pl_context *ctx, const pl_objective *o, const pl_microbatch *batch, pl_rows images)
{
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows pooled = pl_rows_push(ctx, batch->pictures, images.width), different = pl_rows_push(ctx, batch->pictures, images.width);
    pl_siglip_pool(ctx, &o->model->siglip, &o->towers->image_head, pl_objective_pictures(ctx, o, batch), pooled);
    pl_op_l2_normalise(ctx, pooled, different);
    pl_op_gather(ctx, different, batch->picture_of, images);
    pl_release(ctx, mark);
}

/* A text's row is that of its last position, where all texts have the same token. */
static void encode_texts(pl_context *ctx, const pl_towers *towers, const int32_t *ids, pl_rows texts)
{
    const size_t count = texts.count, width = texts.width, positions = towers->text.position.shape[0], mark = pl_arena_mark(ctx->arena);
    const pl_rows x = pl_rows_push(ctx, count * positions, width), hidden = pl_rows_push(ctx, count * positions, width);
    const pl_rows last = pl_rows_push(ctx, count, width), turned = pl_rows_push(ctx, count, width);
    size_t *rows = pl_push(ctx, count, sizeof *rows);
    for (size_t i = 0; i < count && !pl_dry(ctx); i++)
        rows[i] = (i + 1) * positions - 1;
    pl_op_embed(ctx, &towers->embedding, ids, 1, x);
    pl_siglip_encode_inplace(ctx, &towers->text, x, hidden);
    pl_op_gather(ctx, hidden, rows, last);
    pl_op_linear(ctx, &towers->text_head, last, turned);
    pl_op_l2_normalise(ctx, turned, texts);
    pl_release(ctx, mark);
}

void pl_contrastive_rows(pl_context *ctx, const pl_objective *o, const pl_microbatch *batch, pl_rows images, pl_rows texts)
{
    encode_images(ctx, o, batch, images);
    encode_texts(ctx, o->towers, batch->ids, texts);
}

void pl_contrastive_forward(pl_context *ctx, const pl_objective *o, pl_microbatch *batch)
{
    const size_t count = batch->count, width = o->model->siglip.config.width, mark = pl_arena_mark(ctx->arena);
    const pl_rows images = pl_rows_push(ctx, count, width), texts = pl_rows_push(ctx, count, width);
    pl_contrastive_rows(ctx, o, batch, images, texts);
    pl_op_sigmoid_contrastive(ctx, images, texts, o->towers->log_temperature, o->towers->bias, batch->losses);
    for (size_t i = 1; i < count && !pl_dry(ctx); i++)
        batch->losses[i] = batch->losses[0];
    pl_release(ctx, mark);
}
