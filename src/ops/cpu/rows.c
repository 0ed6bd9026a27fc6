/*
 * Ops that treat each row by itself: norms, activations, sums, table look-ups.
 * A task is a run of rows.
 */
#include "ops/cpu/rows.h"

#include <string.h>

enum { ROWS_A_TASK = 8 };

static void run_rows(void *context, size_t task, size_t thread)
{
    (void)thread;
    const pl_row_job *job = context;
    const size_t end = pl_min(job->y.count, (task + 1) * ROWS_A_TASK);
    for (size_t t = task * ROWS_A_TASK; t < end; t++)
        job->row(job, t);
}

void pl_each_row(pl_context *ctx, pl_row_fn *row, pl_row_job job)
{
    job.kernels = ctx->kernels;
    job.row = row;
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, (job.y.count + ROWS_A_TASK - 1) / ROWS_A_TASK, run_rows, &job);
}

void pl_row_op(pl_context *ctx, pl_row_fn *row, pl_backward_fn *backward, pl_row_job job)
{
    pl_each_row(ctx, row, job);
    if (pl_recording(ctx))
        pl_record(ctx, backward, &job, sizeof job);
}

static void layernorm_row(const pl_row_job *job, size_t t)
{
    job->kernels->layernorm(job->y.width, pl_row_of(job->x, t), job->scale, job->bias, job->eps, pl_row_of(job->y, t));
}

void pl_op_layernorm(pl_context *ctx, pl_rows x, const float *scale, const float *bias, float eps, pl_rows y)
{
    pl_row_op(ctx, layernorm_row, pl_layernorm_backward, (pl_row_job){.x = x, .scale = scale, .bias = bias, .eps = eps, .y = y});
}

static void rmsnorm_row(const pl_row_job *job, size_t t)
{
    job->kernels->rmsnorm(job->y.width, pl_row_of(job->x, t), job->scale, job->number, job->eps, pl_row_of(job->y, t));
}

void pl_op_rmsnorm(pl_context *ctx, pl_rows x, const float *scale, float offset, float eps, pl_rows y)
{
    pl_row_op(ctx, rmsnorm_row, pl_rmsnorm_backward, (pl_row_job){.x = x, .scale = scale, .number = offset, .eps = eps, .y = y});
}

static void gelu_row(const pl_row_job *job, size_t t)
{
    job->kernels->gelu(job->y.width, pl_row_of(job->x, t), pl_row_of(job->y, t));
}

void pl_op_gelu(pl_context *ctx, pl_rows x, pl_rows y)
{
    pl_row_op(ctx, gelu_row, pl_gelu_backward, (pl_row_job){.x = x, .y = y});
}

static void geglu_row(const pl_row_job *job, size_t t)
{
    job->kernels->geglu(job->y.width, pl_row_of(job->x, t), pl_row_of(job->z, t), pl_row_of(job->y, t));
}

void pl_op_geglu(pl_context *ctx, pl_rows gate, pl_rows up, pl_rows y)
{
    pl_row_op(ctx, geglu_row, pl_geglu_backward, (pl_row_job){.x = gate, .z = up, .y = y});
}

static void copy_row(const pl_row_job *job, size_t t)
{
    memcpy(pl_row_of(job->y, t), pl_row_of(job->x, t), job->y.width * sizeof(float));
}

void pl_op_copy(pl_context *ctx, pl_rows x, pl_rows y)
{
    pl_row_op(ctx, copy_row, pl_copy_backward, (pl_row_job){.x = x, .y = y});
}

static void add_row(const pl_row_job *job, size_t t)
{
    float *y = pl_row_of(job->y, t);
    if (job->x.data != job->y.data)
        memcpy(y, pl_row_of(job->x, t), job->y.width * sizeof *y);
    job->kernels->add(job->y.width, pl_row_of(job->z, t), y);
}

void pl_op_add(pl_context *ctx, pl_rows a, pl_rows b, pl_rows y)
{
    pl_row_op(ctx, add_row, pl_add_backward, (pl_row_job){.x = a, .z = b, .y = y});
}

/* Values [first, first + n) of a row of a weight; first is at a multiple of PIECE. */
enum { PIECE = 256 }; /* a multiple of every block */

static void read_table(const pl_row_job *job, size_t row, size_t first, size_t n, float *values)
{
    const pl_tensor *table = job->table;
    const unsigned char *from = pl_tensor_row(table, row);
    size_t row_bytes = 0;
    pl_dtype_row_bytes(table->dtype, table->shape[1], &row_bytes);
    if (pl_dtype_is_tiled(table->dtype))
        pl_read_row(table->dtype, from, row_bytes, row % PL_TILE_ROWS, first, n, values);
    else
        job->kernels->unpack[table->dtype](n, from + first / pl_dtype_block(table->dtype) * pl_dtype_bytes(table->dtype), values);
    if (table->scale)
        job->kernels->scale(n, table->scale[row], values);
}

/* Table rows are unpacked a piece at a time, on the stack. */
static void add_table_row(const pl_row_job *job, size_t t)
{
    float piece[PIECE], *y = pl_row_of(job->y, t);
    for (size_t i = 0; i < job->y.width; i += PIECE) {
        const size_t n = pl_min(PIECE, job->y.width - i);
        read_table(job, job->first + t, i, n, piece);
        job->kernels->add(n, piece, y + i);
    }
}

void pl_op_add_table_inplace(pl_context *ctx, const pl_tensor *table, size_t first, pl_rows x)
{
    pl_row_op(ctx, add_table_row, pl_add_table_backward, (pl_row_job){.table = table, .first = first, .y = x});
}

static void embed_row(const pl_row_job *job, size_t t)
{
    float *y = pl_row_of(job->y, t);
    read_table(job, (size_t)job->ids[t], 0, job->y.width, y);
    job->kernels->scale(job->y.width, job->number, y);
}

void pl_op_embed(pl_context *ctx, const pl_tensor *table, const int32_t *ids, float scale, pl_rows y)
{
    pl_row_op(ctx, embed_row, pl_embed_backward, (pl_row_job){.table = table, .ids = ids, .number = scale, .y = y});
}

static void gather_row(const pl_row_job *job, size_t t)
{
    memcpy(pl_row_of(job->y, t), pl_row_of(job->x, job->rows[t]), job->y.width * sizeof(float));
}

void pl_op_gather(pl_context *ctx, pl_rows x, const size_t *rows, pl_rows y)
{
    pl_row_op(ctx, gather_row, pl_gather_backward, (pl_row_job){.x = x, .rows = rows, .y = y});
}

static void softcap_row(const pl_row_job *job, size_t t)
{
    job->kernels->softcap(job->y.width, job->number, pl_row_of(job->y, t));
}

void pl_op_softcap_inplace(pl_context *ctx, float cap, pl_rows x)
{
    pl_row_op(ctx, softcap_row, pl_softcap_backward, (pl_row_job){.number = cap, .y = x});
}
