/*
 * Backward of affine maps and of what is added to them: for y = s x W^T + bias,
 * dx += s dy W, dW += s dy^T x, dbias += the sum of dy's rows.
 */
#include "ops/cpu/product.h"
#include "ops/cpu/rows.h"

#include <string.h>

typedef struct product_record {
    pl_tensor weight;
    const float *bias;
    float scale;
    pl_rows x, y;
} product_record;

/* factor * rows, in the arena; rows themselves where the factor is 1. */
static pl_rows scaled(pl_context *ctx, float factor, pl_rows rows)
{
    if (factor == 1)
        return rows;
    const pl_rows copy = pl_constant_push(ctx, rows.count, rows.width);
    if (!pl_dry(ctx)) {
        memcpy(copy.data, rows.data, rows.count * rows.width * sizeof *rows.data);
        ctx->kernels->scale(rows.count * rows.width, factor, copy.data);
    }
    return copy;
}

/* A factor goes to the narrower side: that is the low rank of an adapter's second matrix, or 1. */
static void product_backward(pl_context *ctx, const void *record)
{
    const product_record *r = record;
    const pl_rows dy = pl_gradient(ctx, r->y), dx = pl_gradient(ctx, r->x);
    float *dw = pl_parameter_gradient(ctx, r->weight.data), *dbias = pl_parameter_gradient(ctx, r->bias);
    const size_t mark = pl_arena_mark(ctx->arena);
    if (!dy.data)
        return;
    if (dx.data && r->scale == 1) {
        pl_product_backward_input(ctx, &r->weight, dy, dx);
    } else if (dx.data) {
        const pl_rows part = pl_constant_push(ctx, dx.count, dx.width);
        if (!pl_dry(ctx))
            memset(part.data, 0, part.count * part.width * sizeof *part.data);
        pl_product_backward_input(ctx, &r->weight, dy, part);
        if (!pl_dry(ctx))
            ctx->kernels->axpy(dx.count * dx.width, r->scale, part.data, dx.data);
    }
    if (dw)
        pl_product_backward_weight(ctx, dy, scaled(ctx, r->scale, r->x), dw);
    if (dbias)
        pl_column_sums(ctx, dy, dbias);
    pl_arena_release(ctx->arena, mark);
}

void pl_record_product(pl_context *ctx, const pl_tensor *weight, const float *bias, float scale, pl_rows x, pl_rows y)
{
    const product_record record = {.weight = *weight, .bias = bias, .scale = scale, .x = x, .y = y};
    if (pl_recording(ctx))
        pl_record(ctx, product_backward, &record, sizeof record);
}

void pl_record_sum(pl_context *ctx, pl_rows x, pl_rows y)
{
    const pl_row_job record = {.x = x, .y = y};
    if (pl_recording(ctx))
        pl_record(ctx, pl_copy_backward, &record, sizeof record);
}
