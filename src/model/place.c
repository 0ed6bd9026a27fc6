/*
 * Putting one weight in its place. What lies as [out, in] and aligned is used
 * where it is; big_vision's transposed arrays are turned once, in parallel; a
 * wish for another type converts. Norms and biases become f32.
 */
#include "model/paligemma.h"

#include <stdlib.h>
#include <string.h>

void *pl_weight_target(pl_paligemma *model, const pl_weight *weight, size_t layer)
{
    unsigned char *base = NULL;
    switch (weight->part) {
    case PL_PART_VISION:
    case PL_PART_PROJECTOR:
        base = (unsigned char *)&model->siglip;
        break;
    case PL_PART_VISION_BLOCK:
        base = (unsigned char *)&model->siglip.blocks[layer];
        break;
    case PL_PART_TEXT:
        base = (unsigned char *)&model->gemma;
        break;
    case PL_PART_TEXT_LAYER:
        base = (unsigned char *)&model->gemma.layers[layer];
        break;
    case PL_PART_COUNT:
        break;
    }
    return base + weight->offset;
}

void pl_paligemma_point(pl_paligemma *model, const pl_weight *weight, size_t layer, const pl_tensor *tensor)
{
    void *target = pl_weight_target(model, weight, layer);
    switch (weight->target) {
    case PL_TARGET_LINEAR:
        ((pl_linear *)target)->weight = *tensor;
        break;
    case PL_TARGET_BIAS:
        ((pl_linear *)target)->bias = tensor->data;
        break;
    case PL_TARGET_TENSOR:
        *(pl_tensor *)target = *tensor;
        break;
    case PL_TARGET_VECTOR:
        *(const float **)target = tensor->data;
        break;
    }
}

/* Where value (row, column) of [out, in] lies in a slice of the given form. */
static size_t index_of(const pl_source *s, size_t row, size_t column)
{
    switch (s->form) {
    case PL_NPZ_AS_IS:
        return row * s->columns + column;
    case PL_NPZ_TRANSPOSE:
        return column * s->rows + row;
    case PL_NPZ_HEADS: {
        const size_t dim = s->rows / s->heads;
        return (row / dim * s->columns + column) * dim + row % dim;
    }
    case PL_NPZ_PATCH: { /* column = (channel, y, x); the array is [y, x, channel, out] */
        const size_t area = s->patch * s->patch, channel = column / area, at = column % area;
        return (at * 3 + channel) * s->rows + row;
    }
    }
    return 0;
}

enum { TILE = 32 }; /* rows and columns turned at a time, so that both sides stay in cache lines */

typedef struct turn_job {
    const pl_source *source;
    unsigned char *out;
    size_t bytes; /* of a value: 2, 4 or 8 */
} turn_job;

static void turn_rows(void *context, size_t task, size_t thread)
{
    (void)thread;
    const turn_job *job = context;
    const pl_source *s = job->source;
    const size_t first = task * TILE, last = pl_min(first + TILE, s->rows), bytes = job->bytes;
    for (size_t c = 0; c < s->columns; c += TILE)
        for (size_t column = c; column < pl_min(c + TILE, s->columns); column++)
            for (size_t row = first; row < last; row++)
                memcpy(job->out + (row * s->columns + column) * bytes, s->data + index_of(s, row, column) * bytes, bytes);
}

/* The weight as an own block of the same type in [rows, columns] order. */
static const void *copy_in_order(pl_paligemma *model, const pl_source *source, pl_pool *pool, pali_error *err)
{
    size_t bytes = 0;
    const pl_tensor shape = {.dtype = source->dtype, .rank = 2, .shape = {source->rows, source->columns}};
    if (!pl_tensor_bytes(&shape, &bytes)) {
        pl_fail(err, PALI_MODEL, "%s: tensor %s: rows of %zu values do not fit blocks of %s", source->named->file, source->named->name, source->columns, pl_dtype_name(source->dtype));
        return NULL;
    }
    unsigned char *out = pl_paligemma_block(model, bytes, source->named->name, err);
    if (!out)
        return NULL;
    if (source->form == PL_NPZ_AS_IS) {
        memcpy(out, source->data, bytes);
    } else {
        turn_job job = {.source = source, .out = out, .bytes = pl_dtype_bytes(source->dtype)};
        pl_pool_run(pool, (source->rows + TILE - 1) / TILE, turn_rows, &job);
    }
    return out;
}

typedef struct convert_job {
    const pl_kernels *kernels;
    const pl_tensor *from;
    pl_dtype type;
    unsigned char *out;
} convert_job;

static void convert_row(void *context, size_t row, size_t thread)
{
    (void)thread;
    enum { PIECE = 256 }; /* a multiple of every block */
    const convert_job *job = context;
    const size_t columns = job->from->shape[1], block = pl_dtype_block(job->from->dtype);
    const unsigned char *from = pl_tensor_row(job->from, row);
    for (size_t i = 0; i < columns; i += PIECE) {
        float values[PIECE];
        const size_t n = pl_min(PIECE, columns - i);
        job->kernels->unpack[job->from->dtype](n, from + i / block * pl_dtype_bytes(job->from->dtype), values);
        if (job->type == PL_F32) {
            memcpy(job->out + (row * columns + i) * sizeof(float), values, n * sizeof(float));
            continue;
        }
        for (size_t j = 0; j < n; j++) {
            const uint16_t bits = pl_f32_to_bf16(values[j]);
            memcpy(job->out + (row * columns + i + j) * sizeof bits, &bits, sizeof bits);
        }
    }
}

/* The tensor as an own block of f32 or bf16. */
static const void *convert(pl_paligemma *model, const pl_tensor *from, pl_dtype type, const char *name, pl_pool *pool, pali_error *err)
{
    const pl_kernels *kernels = pl_kernels_get(NULL, err);
    unsigned char *out = kernels ? pl_paligemma_block(model, from->shape[0] * from->shape[1] * pl_dtype_bytes(type), name, err) : NULL;
    if (!out)
        return NULL;
    convert_job job = {.kernels = kernels, .from = from, .type = type, .out = out};
    pl_pool_run(pool, from->shape[0], convert_row, &job);
    return out;
}

pali_status pl_paligemma_place(pl_paligemma *model, const pl_weight *weight, size_t layer, const pl_source *source, pl_dtype type, pl_pool *pool, pali_error *err)
{
    const bool vector = weight->target == PL_TARGET_VECTOR || weight->target == PL_TARGET_BIAS;
    pl_tensor tensor = {.dtype = source->dtype, .rank = 2, .shape = {source->rows, source->columns}, .data = source->data};
    if (vector) { /* one row: quantised blocks run along it */
        tensor.shape[0] = 1;
        tensor.shape[1] = source->rows;
        type = PL_F32;
    }
    const size_t blocks = model->block_count;
    size_t bytes;
    if (!pl_tensor_bytes(&tensor, &bytes))
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: rows of %zu values do not fit blocks of %s", source->named->file, source->named->name, tensor.shape[1],
                       pl_dtype_name(source->dtype));
    if (source->form != PL_NPZ_AS_IS || !pl_tensor_aligned(&tensor))
        tensor.data = copy_in_order(model, source, pool, err);
    if (tensor.data && type != PL_DTYPE_COUNT && type != tensor.dtype) {
        tensor.data = convert(model, &tensor, type, source->named->name, pool, err);
        tensor.dtype = type;
    }
    if (!tensor.data)
        return pl_status_of(err, PALI_MEMORY);
    if (model->block_count == blocks + 2) { /* turned, then converted: the first copy has served */
        free(model->blocks[blocks]);
        model->blocks[blocks] = model->blocks[blocks + 1];
        model->block_count--;
        model->copied_bytes -= bytes;
    }

    pl_paligemma_point(model, weight, layer, &tensor);
    return PALI_OK;
}
