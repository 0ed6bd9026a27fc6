/*
 * Affine maps, alone and with what follows them. Low-rank adapters are added
 * to the plain map, so what follows it is then an op of its own, as it is on a
 * tape where its backward needs what it was given.
 */
#include "ops/cpu/product.h"
#include "ops/cpu/rows.h"

/* x as an adapter sees it while it is taught: some values dropped (arXiv 2106.09685, section 4). */
static pl_rows adapter_input(pl_context *ctx, pl_rows x)
{
    if (!ctx->tape || ctx->tape->adapter_dropout <= 0)
        return x;
    const pl_rows dropped = pl_rows_push(ctx, x.count, x.width);
    pl_op_copy(ctx, x, dropped);
    pl_op_dropout_inplace(ctx, ctx->tape->adapter_dropout, ctx->tape->sites++, dropped);
    return dropped;
}

static void add_scaled_row(const pl_row_job *job, size_t t)
{
    job->kernels->axpy(job->y.width, job->number, pl_row_of(job->x, t), pl_row_of(job->y, t));
}

/* y += scale * B A x for each adapter, y being the outputs from `first` on. */
static void add_adapters_inplace(pl_context *ctx, const pl_linear *linear, pl_rows x, size_t first, pl_rows y)
{
    for (const pl_low_rank *change = linear->adapters; change; change = change->next) {
        const size_t mark = pl_arena_mark(ctx->arena);
        const pl_tensor a = {.dtype = PL_F32, .rank = 2, .shape = {change->rank, x.width}, .data = change->a};
        const pl_tensor b = {.dtype = PL_F32, .rank = 2, .shape = {y.width, change->rank}, .data = change->b + first * change->rank};
        const pl_rows input = adapter_input(ctx, x), down = pl_rows_push(ctx, x.count, change->rank);
        const size_t inner = pl_arena_mark(ctx->arena);
        const pl_rows up = pl_constant_push(ctx, y.count, y.width);
        pl_product(ctx, &a, &(pl_epilogue){0}, input, down);
        pl_product(ctx, &b, &(pl_epilogue){0}, down, up);
        pl_each_row(ctx, add_scaled_row, (pl_row_job){.x = up, .y = y, .number = change->scale});
        pl_arena_release(ctx->arena, inner);
        pl_record_product(ctx, &a, NULL, 1, input, down);
        pl_record_product(ctx, &b, NULL, change->scale, down, y);
        pl_release(ctx, mark);
    }
}

void pl_op_linear(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows y)
{
    pl_product(ctx, &linear->weight, &(pl_epilogue){.bias = linear->bias}, x, y);
    pl_record_product(ctx, &linear->weight, linear->bias, 1, x, y);
    add_adapters_inplace(ctx, linear, x, 0, y);
}

void pl_op_linear_gelu(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows y)
{
    if (!linear->adapters && !pl_recording(ctx)) {
        pl_product(ctx, &linear->weight, &(pl_epilogue){.bias = linear->bias, .gelu = true}, x, y);
        return;
    }
    const pl_rows before = pl_rows_or_fresh(ctx, y);
    pl_op_linear(ctx, linear, x, before);
    pl_op_gelu(ctx, before, y);
}

void pl_op_linear_add(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows add, pl_rows y)
{
    pl_product(ctx, &linear->weight, &(pl_epilogue){.bias = linear->bias, .add = add.data}, x, y);
    pl_record_sum(ctx, add, y);
    pl_record_product(ctx, &linear->weight, linear->bias, 1, x, y);
    add_adapters_inplace(ctx, linear, x, 0, y); /* sums may be taken in any order */
}

void pl_op_linear_softcap(pl_context *ctx, const pl_linear *linear, float cap, pl_rows x, pl_rows y)
{
    if (!pl_recording(ctx)) {
        pl_op_linear_softcap_part(ctx, linear, cap, x, 0, y);
        return;
    }
    pl_op_linear(ctx, linear, x, y);
    if (cap > 0)
        pl_op_softcap_inplace(ctx, cap, y);
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
    const bool plain = !gate->adapters && !up->adapters && !pl_recording(ctx);
    if (plain && !gate->bias && gate->weight.dtype == up->weight.dtype) {
        pl_product(ctx, &up->weight, &(pl_epilogue){.bias = up->bias, .gate = &gate->weight}, x, y);
        return;
    }
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows gated = pl_rows_push(ctx, y.count, y.width), raised = pl_rows_or_fresh(ctx, y);
    pl_op_linear(ctx, gate, x, gated);
    pl_op_linear(ctx, up, x, raised);
    pl_op_geglu(ctx, gated, raised, y);
    pl_release(ctx, mark);
}
