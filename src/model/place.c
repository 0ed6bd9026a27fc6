/*
 * Putting one weight in its place. What lies as [out, in] and aligned is used
 * where it is; big_vision's transposed arrays are turned once, in parallel; a
 * wish for another type converts. Norms and biases become f32.
 */
#include "model/paligemma.h"

#include "model/recast.h"
#include "model/turn.h"

#include <stdlib.h>
#include <string.h>

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
    if (!out || model->planning)
        return out;
    if (source->form == PL_NPZ_AS_IS) /* any type, not aligned */
        memcpy(out, source->data, bytes);
    else
        pl_turn(source, pl_dtype_bytes(source->dtype), source->data, out, pool);
    return out;
}

/* The tensor as an own block of another type, scales of its rows behind it. */
static pali_status convert(pl_paligemma *model, pl_tensor *tensor, pl_dtype type, const pl_named_tensor *named, pl_pool *pool, pali_error *err)
{
    const pl_tensor from = *tensor;
    const pl_recast recast = {.from = &from, .type = type, .file = named->file, .name = named->name};
    size_t bytes = 0;
    tensor->dtype = type;
    tensor->scale = NULL;
    if (!pl_tensor_bytes(tensor, &bytes))
        return pl_fail_memory(err, named->name, SIZE_MAX);
    const size_t scale_at = pl_round_up(bytes, sizeof(float)), scales = type == PL_Q8_TILES ? from.shape[0] * sizeof(float) : 0;
    unsigned char *out = pl_paligemma_block(model, scale_at + scales, named->name, err);
    if (!out)
        return PALI_MEMORY;
    float *scale = scales ? (float *)(void *)(out + scale_at) : NULL;
    tensor->data = out;
    tensor->scale = scale;
    return model->planning ? PALI_OK : pl_recast_rows(&recast, pool, 0, from.shape[0], out, scale, err);
}

pali_status pl_paligemma_place(pl_paligemma *model, const pl_weight *weight, size_t layer, const pl_source *source, pl_dtype type, pl_pool *pool, pali_error *err)
{
    pl_tensor tensor = pl_source_tensor(source, weight);
    const size_t blocks = model->block_count;
    size_t bytes;
    if (!pl_tensor_bytes(&tensor, &bytes))
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: rows of %zu values do not fit blocks of %s", source->named->file, source->named->name, tensor.shape[1],
                       pl_dtype_name(source->dtype));
    if (source->form != PL_NPZ_AS_IS || !pl_tensor_aligned(&tensor))
        tensor.data = copy_in_order(model, source, pool, err);
    if (!tensor.data)
        return pl_status_of(err, PALI_MEMORY);
    type = weight->columns != PL_DIM_NONE && type == PL_DTYPE_COUNT ? tensor.dtype : pl_weight_type(weight, &model->config, type);
    if (type != tensor.dtype) {
        const pali_status status = convert(model, &tensor, type, source->named, pool, err);
        if (status != PALI_OK)
            return status;
    }
    if (model->block_count == blocks + 2) { /* turned, then converted: the first copy has served */
        free(model->blocks[blocks]);
        model->blocks[blocks] = model->blocks[blocks + 1];
        model->block_count--;
        model->copied_bytes -= bytes;
    }

    pl_paligemma_point(model, weight, layer, &tensor);
    return PALI_OK;
}
