/*
 * What every op is given: the kernels of this processor, the threads, and the
 * arena that outputs and scratch live in. On a plan arena ops compute nothing
 * and only the arena's peak counts, so that one dry run fixes the memory of a
 * forward pass. Training has a tape besides (tape.h).
 */
#ifndef PL_OPS_CONTEXT_H
#define PL_OPS_CONTEXT_H

#include "base/memory.h"
#include "base/pool.h"
#include "kernels/kernels.h"
#include "tensor/tensor.h"

/* A matrix of activations, rows end to end without gaps. */
typedef struct pl_rows {
    float *data; /* [count, width] f32, in the arena */
    size_t count, width;
} pl_rows;

/* Sees named intermediate results, for goldens and for exporting hidden states; index is the layer, or 0. */
typedef void pl_trace_fn(void *context, const char *name, size_t index, pl_rows rows);

/* In which numbers products take their activations; sums are f32 always. */
typedef enum pl_activations {
    PL_ACTIVATIONS_AUTO, /* many rows: bf16 where the processor is faster with it; few: two int8 planes for 8- and 4-bit weights */
    PL_ACTIVATIONS_F32,  /* floats everywhere: the published arithmetic to its last bits, slower */
    PL_ACTIVATIONS_INT8, /* as auto, but many rows with 8- and 4-bit weights: one int8 plane */
    PL_ACTIVATIONS_BF16, /* as auto, but many rows in bf16 with f32 weights too: mixed precision, for training */
} pl_activations;

/*
 * Products of few rows stream the weights, those of many pack them. Who runs several sequences at once says
 * which it is, so that a row's bits do not depend on how many others come along.
 */
typedef enum pl_regime { PL_REGIME_BY_ROWS, PL_REGIME_DECODE, PL_REGIME_PREFILL } pl_regime;

typedef struct pl_tape pl_tape;

typedef struct pl_context {
    const pl_kernels *kernels;
    pl_pool *pool; /* NULL: the caller's thread only */
    pl_arena *arena;
    pl_trace_fn *trace; /* NULL: none */
    void *trace_context;
    pl_activations activations;
    pl_regime regime;
    pl_tape *tape; /* records what backward needs; NULL: nothing */
    bool failed; /* an arena push did not fit: results are not to be used */
} pl_context;

/* True when ops must not touch memory: planning, or failed before. */
static inline bool pl_dry(const pl_context *ctx)
{
    return ctx->failed || pl_arena_planning(ctx->arena);
}

/* Products of that many rows stream the weights. */
bool pl_few_rows(const pl_context *ctx, size_t rows);

/* Arena memory of count*size bytes; sets failed and returns NULL when it does not fit. */
void *pl_push(pl_context *ctx, size_t count, size_t size);

/* A fresh matrix in the arena, not initialised; on a tape that records it has a gradient. */
pl_rows pl_rows_push(pl_context *ctx, size_t count, size_t width);

/* Rows first..first+count of a matrix, as a view; of a planned one, which has no data, too. */
static inline pl_rows pl_rows_view(pl_rows rows, size_t first, size_t count)
{
    return (pl_rows){.data = rows.data ? rows.data + first * rows.width : NULL, .count = count, .width = rows.width};
}

static inline void pl_trace(const pl_context *ctx, const char *name, size_t index, pl_rows rows)
{
    if (ctx->trace && !pl_dry(ctx))
        ctx->trace(ctx->trace_context, name, index, rows);
}

#endif
