/*
 * A task is a group of 16 rows: each is read as floats, changed, and rounded
 * to the type of its row; tiles are then made of the group.
 */
#include "model/recast.h"

#include "tensor/quantise.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    pl_dtype type;
} types[] = {{"f32", PL_F32}, {"bf16", PL_BF16}, {"f16", PL_F16}, {"q8_0", PL_Q8_0}, {"q4_0", PL_Q4_0}, {"q8", PL_Q8_TILES}};

pali_status pl_type_parse(const char *text, const char *what, pl_dtype *type, pali_error *err)
{
    *type = PL_DTYPE_COUNT;
    if (!text)
        return PALI_OK;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(text, types[i].name) == 0)
            *type = types[i].type;
    char found[80];
    return *type != PL_DTYPE_COUNT ? PALI_OK
                                   : pl_fail(err, PALI_USAGE, "%s: found %s, expected f32, bf16, f16, q8_0, q4_0 or q8", what, pl_printable(text, strlen(text), found));
}

const char *pl_type_name(pl_dtype type)
{
    return type == PL_Q8_TILES ? "q8" : pl_dtype_name(pl_dtype_untiled(type));
}

pl_dtype pl_weight_type(const pl_weight *weight, const pl_config *config, pl_dtype type)
{
    const pl_dtype row = pl_dtype_untiled(type);
    if (weight->columns == PL_DIM_NONE)
        return PL_F32;
    if (weight->rows == PL_DIM_VISION_TOKENS)
        return row == PL_I8 || pl_dtype_block(row) > 1 ? PL_F32 : row;
    return pl_dim_size(config, weight->columns) % pl_dtype_block(row) ? PL_BF16 : type;
}

typedef struct recast_job {
    const pl_recast *recast;
    const pl_kernels *kernels;
    size_t first, count, row_bytes; /* row_bytes: of a row of the type, untiled */
    unsigned char *out;
    float *scale;
    unsigned char *scratch; /* [threads, scratch_bytes]: a row of floats, and a group of rows */
    size_t scratch_bytes;
    bool same; /* only the layout changes */
    atomic_bool misfit;
} recast_job;

/* Row r of the source as floats, changed as wished. */
static void read_row(const recast_job *job, size_t r, float *values)
{
    const pl_tensor *from = job->recast->from;
    const size_t columns = from->shape[1];
    size_t group_bytes = 0;
    if (pl_dtype_is_tiled(from->dtype)) {
        pl_dtype_row_bytes(from->dtype, columns, &group_bytes);
        pl_read_row(from->dtype, from->data, group_bytes, r, 0, columns, values);
    } else {
        job->kernels->unpack[from->dtype](columns, pl_tensor_row(from, r), values);
    }
    if (from->scale)
        job->kernels->scale(columns, from->scale[r], values);
    for (const pl_low_rank *change = job->recast->adapters; change; change = change->next)
        for (size_t i = 0; i < change->rank; i++)
            job->kernels->axpy(columns, change->scale * change->b[r * change->rank + i], change->a + i * columns, values);
    if (job->recast->offset < 0 || job->recast->offset > 0)
        for (size_t i = 0; i < columns; i++)
            values[i] += job->recast->offset;
}

/* Row r in the type of its row. */
static bool make_row(const recast_job *job, size_t r, float *values, unsigned char *row)
{
    const pl_tensor *from = job->recast->from;
    const pl_dtype type = pl_dtype_untiled(job->recast->type);
    if (job->same && pl_dtype_is_tiled(from->dtype)) {
        pl_untile_row(from->dtype, pl_tensor_row(from, r), r % PL_TILE_ROWS, from->shape[1], row);
        return true;
    }
    if (job->same) {
        memcpy(row, pl_tensor_row(from, r), job->row_bytes);
        return true;
    }
    read_row(job, r, values);
    if (type == PL_I8)
        return pl_quantise_codes(from->shape[1], values, (int8_t *)row, &job->scale[r - job->first]);
    return pl_quantise_row(type, from->shape[1], values, row);
}

static void recast_group(void *context, size_t task, size_t thread)
{
    recast_job *job = context;
    const pl_recast *recast = job->recast;
    const size_t columns = recast->from->shape[1], begin = task * PL_TILE_ROWS, rows = pl_min(PL_TILE_ROWS, job->count - begin);
    const bool tiled = pl_dtype_is_tiled(recast->type);
    float *values = (float *)(void *)(job->scratch + thread * job->scratch_bytes);
    unsigned char *group = (unsigned char *)(values + pl_round_up(columns, 16));
    for (size_t r = 0; r < rows; r++) {
        unsigned char *row = tiled ? group + r * job->row_bytes : job->out + (begin + r) * job->row_bytes;
        if (!make_row(job, job->first + begin + r, values, row))
            atomic_store(&job->misfit, true);
    }
    if (!tiled)
        return;
    size_t bytes = 0;
    pl_dtype_row_bytes(recast->type, columns, &bytes);
    pl_tile_rows(recast->type, rows, columns, group, job->row_bytes, job->out + task * bytes);
    if (recast->type == PL_Q8_TILES && job->same)
        memcpy(job->scale + begin, recast->from->scale + job->first + begin, rows * sizeof(float));
}

pali_status pl_recast_rows(const pl_recast *recast, pl_pool *pool, size_t first, size_t count, void *out, float *scale, pali_error *err)
{
    const pl_tensor *from = recast->from;
    recast_job job = {.recast = recast, .kernels = pl_kernels_get(NULL, err), .first = first, .count = count, .out = out, .scale = scale};
    if (!job.kernels)
        return pl_status_of(err, PALI_FAILED);
    const bool changed = recast->adapters || recast->offset < 0 || recast->offset > 0;
    job.same = !changed && pl_dtype_untiled(from->dtype) == pl_dtype_untiled(recast->type);
    pl_dtype_row_bytes(pl_dtype_untiled(recast->type), from->shape[1], &job.row_bytes);
    job.scratch_bytes = pl_round_up(from->shape[1], 16) * sizeof(float) + pl_round_up(PL_TILE_ROWS * job.row_bytes, 64);
    job.scratch = pl_new_aligned((pool ? pl_pool_threads(pool) : 1) * job.scratch_bytes, "rows to convert", err);
    if (!job.scratch)
        return PALI_MEMORY;
    pl_pool_run(pool, (count + PL_TILE_ROWS - 1) / PL_TILE_ROWS, recast_group, &job);
    free(job.scratch);
    if (atomic_load(&job.misfit))
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: found values that are not finite or too large for %s, expected none", recast->file, recast->name,
                       pl_type_name(recast->type));
    return PALI_OK;
}
