/* Arena pushes that remember a failure. */
#include "ops/tape.h"

void *pl_push(pl_context *ctx, size_t count, size_t size)
{
    void *block = pl_arena_push(ctx->arena, count, size);
    if (!block)
        ctx->failed = true;
    return block;
}

pl_rows pl_constant_push(pl_context *ctx, size_t count, size_t width)
{
    size_t values = 0;
    if (!pl_mul(count, width, &values))
        ctx->failed = true;
    return (pl_rows){.data = pl_push(ctx, values, sizeof(float)), .count = count, .width = width};
}

pl_rows pl_rows_push(pl_context *ctx, size_t count, size_t width)
{
    const pl_rows rows = pl_constant_push(ctx, count, width);
    if (pl_recording(ctx))
        pl_tape_add_value(ctx, rows);
    return rows;
}

enum { FEW_ROWS = 8 }; /* where streaming and packing weights take about as long */

bool pl_few_rows(const pl_context *ctx, size_t rows)
{
    return ctx->regime == PL_REGIME_DECODE || (ctx->regime == PL_REGIME_BY_ROWS && rows <= FEW_ROWS);
}
