/* Arena pushes that remember a failure. */
#include "ops/context.h"

void *pl_push(pl_context *ctx, size_t count, size_t size)
{
    void *block = pl_arena_push(ctx->arena, count, size);
    if (!block)
        ctx->failed = true;
    return block;
}

pl_rows pl_rows_push(pl_context *ctx, size_t count, size_t width)
{
    size_t values = 0;
    if (!pl_mul(count, width, &values))
        ctx->failed = true;
    return (pl_rows){.data = pl_push(ctx, values, sizeof(float)), .count = count, .width = width};
}
