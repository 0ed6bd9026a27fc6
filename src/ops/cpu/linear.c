/*
 * Affine maps, alone and with what follows them. Low-rank adapters are added
 * to the plain map, so what follows it is then an op of its own.
 */
#include "ops/cpu/product.h"

/* y += scale * B A x for each adapter, y being the outputs from `first` on. */
static void add_adapters_inplace(pl_context *ctx, const pl_linear *linear, pl_rows x, size_t first, pl_rows y)
{
    for (const pl_low_rank *change = linear->adapters; change; change = change->next) {
        const size_t mark = pl_arena_mark(ctx->arena);
        const pl_tensor a = {.dtype = PL_F32, .rank = 2, .shape = {change->rank, x.width}, .data = change->a};
        const pl_tensor b = {.dtype = PL_F32, .rank = 2, .shape = {y.width, change->rank}, .data = change->b + first * change->rank};
        const pl_rows down = pl_rows_push(ctx, x.count, change->rank), up = pl_rows_push(ctx, y.count, y.width);
        pl_product(ctx, &a, &(pl_epilogue){0}, x, down);
        pl_product(ctx, &b, &(pl_epilogue){0}, down, up);
        if (!pl_dry(ctx))
            for (size_t t = 0; t < y.count; t++)
                ctx->kernels->axpy(y.width, change->scale, up.data + t * y.width, y.data + t * y.width);
        pl_arena_release(ctx->arena, mark);
    }
}

void pl_op_linear(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows y)
{
    pl_product(ctx, &linear->weight, &(pl_epilogue){.bias = linear->bias}, x, y);
    add_adapters_inplace(ctx, linear, x, 0, y);
}

void pl_op_linear_gelu(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows y)
{
    pl_product(ctx, &linear->weight, &(pl_epilogue){.bias = linear->bias, .gelu = !linear->adapters}, x, y);
    if (!linear->adapters)
        return;
    add_adapters_inplace(ctx, linear, x, 0, y);
    pl_op_gelu(ctx, y, y);
}

void pl_op_linear_add(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows add, pl_rows y)
{
    pl_product(ctx, &linear->weight, &(pl_epilogue){.bias = linear->bias, .add = add.data}, x, y);
    add_adapters_inplace(ctx, linear, x, 0, y); /* sums may be taken in any order */
}

void pl_op_linear_softcap(pl_context *ctx, const pl_linear *linear, float cap, pl_rows x, pl_rows y)
{
    pl_op_linear_softcap_part(ctx, linear, cap, x, 0, y);
}

/* Blocks of outputs begin at the same places as in the whole, so that nothing tells the two apart. */
void pl_op_linear_softcap_part(pl_context *ctx, const pl_linear *linear, float cap, pl_rows x, size_t first, pl_rows y)
{
    const pl_epilogue epilogue = {.bias = linear->bias ? linear->bias + first : NULL, .cap = linear->adapters ? 0 : cap};
    pl_tensor part = linear->weight;
    part.shape[0] = y.width;
    part.data = pl_tensor_row(&linear->weight, first);
    part.scale = part.scale ? part.scale + first : NULL;
    pl_product(ctx, &part, &epilogue, x, y);
    if (!linear->adapters)
        return;
    add_adapters_inplace(ctx, linear, x, first, y);
    if (cap > 0)
        pl_op_softcap_inplace(ctx, cap, y);
}

void pl_op_linear_geglu(pl_context *ctx, const pl_linear *gate, const pl_linear *up, pl_rows x, pl_rows y)
{
    if (!gate->adapters && !up->adapters && !gate->bias && gate->weight.dtype == up->weight.dtype) {
        pl_product(ctx, &up->weight, &(pl_epilogue){.bias = up->bias, .gate = &gate->weight}, x, y);
        return;
    }
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows gated = pl_rows_push(ctx, y.count, y.width);
    pl_op_linear(ctx, gate, x, gated);
    pl_op_linear(ctx, up, x, y);
    pl_op_geglu(ctx, gated, y, y);
    pl_arena_release(ctx->arena, mark);
}
