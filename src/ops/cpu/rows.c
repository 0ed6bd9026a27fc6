/*
 * Ops that treat each row by itself: norms, activations, sums, table look-ups.
 * A task is a run of rows.
 */
#include "ops/ops.h"

#include <string.h>

enum { ROWS_A_TASK = 8 };

typedef struct row_job row_job;
struct row_job {
    const pl_kernels *kernels;
    void (*row)(const row_job *job, size_t t);
    pl_rows x, z, y;
    const float *scale, *bias;
    float eps, number; /* number: RMSNorm's offset, the cap, or the embedding's scale */
    const pl_tensor *table;
    const int32_t *ids;
    const size_t *rows;
    size_t first;
};

static void run_rows(void *context, size_t task, size_t thread)
{
    (void)thread;
    const row_job *job = context;
    const size_t end = pl_min(job->y.count, (task + 1) * ROWS_A_TASK);
    for (size_t t = task * ROWS_A_TASK; t < end; t++)
        job->row(job, t);
}

static void each_row(pl_context *ctx, row_job job)
{
    job.kernels = ctx->kernels;
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, (job.y.count + ROWS_A_TASK - 1) / ROWS_A_TASK, run_rows, &job);
}

static float *row_of(pl_rows rows, size_t t)
{
    return rows.data + t * rows.width;
}

static void layernorm_row(const row_job *job, size_t t)
{
    job->kernels->layernorm(job->y.width, row_of(job->x, t), job->scale, job->bias, job->eps, row_of(job->y, t));
}

void pl_op_layernorm(pl_context *ctx, pl_rows x, const float *scale, const float *bias, float eps, pl_rows y)
{
    each_row(ctx, (row_job){.row = layernorm_row, .x = x, .scale = scale, .bias = bias, .eps = eps, .y = y});
}

static void rmsnorm_row(const row_job *job, size_t t)
{
    job->kernels->rmsnorm(job->y.width, row_of(job->x, t), job->scale, job->number, job->eps, row_of(job->y, t));
}

void pl_op_rmsnorm(pl_context *ctx, pl_rows x, const float *scale, float offset, float eps, pl_rows y)
{
    each_row(ctx, (row_job){.row = rmsnorm_row, .x = x, .scale = scale, .number = offset, .eps = eps, .y = y});
}

static void gelu_row(const row_job *job, size_t t)
{
    job->kernels->gelu(job->y.width, row_of(job->x, t), row_of(job->y, t));
}

void pl_op_gelu(pl_context *ctx, pl_rows x, pl_rows y)
{
    each_row(ctx, (row_job){.row = gelu_row, .x = x, .y = y});
}

static void geglu_row(const row_job *job, size_t t)
{
    job->kernels->geglu(job->y.width, row_of(job->x, t), row_of(job->z, t), row_of(job->y, t));
}

void pl_op_geglu(pl_context *ctx, pl_rows gate, pl_rows up, pl_rows y)
{
    each_row(ctx, (row_job){.row = geglu_row, .x = gate, .z = up, .y = y});
}

static void add_row(const row_job *job, size_t t)
{
    float *y = row_of(job->y, t);
    if (job->x.data != job->y.data)
        memcpy(y, row_of(job->x, t), job->y.width * sizeof *y);
    job->kernels->add(job->y.width, row_of(job->z, t), y);
}

void pl_op_add(pl_context *ctx, pl_rows a, pl_rows b, pl_rows y)
{
    each_row(ctx, (row_job){.row = add_row, .x = a, .z = b, .y = y});
}

/* Values [first, first + n) of a row of a weight; first is at a multiple of PIECE. */
enum { PIECE = 256 }; /* a multiple of every block */

static void read_table(const row_job *job, size_t row, size_t first, size_t n, float *values)
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
static void add_table_row(const row_job *job, size_t t)
{
    float piece[PIECE], *y = row_of(job->y, t);
    for (size_t i = 0; i < job->y.width; i += PIECE) {
        const size_t n = pl_min(PIECE, job->y.width - i);
        read_table(job, job->first + t, i, n, piece);
        job->kernels->add(n, piece, y + i);
    }
}

void pl_op_add_table_inplace(pl_context *ctx, const pl_tensor *table, size_t first, pl_rows x)
{
    each_row(ctx, (row_job){.row = add_table_row, .table = table, .first = first, .y = x});
}

static void embed_row(const row_job *job, size_t t)
{
    float *y = row_of(job->y, t);
    read_table(job, (size_t)job->ids[t], 0, job->y.width, y);
    job->kernels->scale(job->y.width, job->number, y);
}

void pl_op_embed(pl_context *ctx, const pl_tensor *table, const int32_t *ids, float scale, pl_rows y)
{
    each_row(ctx, (row_job){.row = embed_row, .table = table, .ids = ids, .number = scale, .y = y});
}

static void gather_row(const row_job *job, size_t t)
{
    memcpy(row_of(job->y, t), row_of(job->x, job->rows[t]), job->y.width * sizeof(float));
}

void pl_op_gather(pl_context *ctx, pl_rows x, const size_t *rows, pl_rows y)
{
    each_row(ctx, (row_job){.row = gather_row, .x = x, .rows = rows, .y = y});
}

static void softcap_row(const row_job *job, size_t t)
{
    job->kernels->softcap(job->y.width, job->number, row_of(job->y, t));
}

void pl_op_softcap_inplace(pl_context *ctx, float cap, pl_rows x)
{
    each_row(ctx, (row_job){.row = softcap_row, .number = cap, .y = x});
}
