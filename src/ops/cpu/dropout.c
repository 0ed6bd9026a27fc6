/*
 * Dropout (Srivastava et al. 2014), inverted: what is kept is scaled up, so that
 * inference needs nothing. Masks are computed where they are needed, from a
 * counter, and stored nowhere; so a region that runs again has the same ones.
 */
#include "base/random.h"
#include "ops/ops.h"

typedef struct dropout {
    const pl_kernels *kernels;
    uint64_t key;
    uint32_t threshold; /* of 2^32: rate */
    float scale;
    pl_rows x;
} dropout;

static void dropout_row(void *context, size_t t, size_t thread)
{
    (void)thread;
    const dropout *d = context;
    const uint64_t golden = 0x9e3779b97f4a7c15u; /* 2^64 / the golden ratio: row 0 of key 0 is no fixed point */
    d->kernels->dropout(d->x.width, pl_random_mix(d->key + (t + 1) * golden), d->threshold, d->scale, d->x.data + t * d->x.width);
}

/* Drops values of d.x, or of its gradient. */
static void run_dropout(pl_context *ctx, dropout d)
{
    d.kernels = ctx->kernels;
    if (d.x.data && !pl_dry(ctx))
        pl_pool_run(ctx->pool, d.x.count, dropout_row, &d);
}

static void dropout_backward(pl_context *ctx, const void *record)
{
    dropout d = *(const dropout *)record;
    d.x = pl_gradient(ctx, d.x);
    run_dropout(ctx, d);
}

void pl_op_dropout_inplace(pl_context *ctx, float rate, uint64_t site, pl_rows x)
{
    if (!ctx->tape || !(rate > 0))
        return;
    const double kept = 1 - (double)rate;
    const dropout d = {
        .key = pl_random_mix(ctx->tape->dropout_key ^ pl_random_mix(site + 1)),
        .threshold = kept > 0 ? (uint32_t)((double)rate * 0x1p32) : UINT32_MAX,
        .scale = kept > 0 ? (float)(1 / kept) : 0,
        .x = x,
    };
    run_dropout(ctx, d);
    if (pl_recording(ctx))
        pl_record(ctx, dropout_backward, &d, sizeof d);
}
