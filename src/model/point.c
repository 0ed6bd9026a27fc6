/* Where each weight of the list lies in the structs of the model, and making it point there. */
#include "model/paligemma.h"

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

pl_tensor pl_weight_tensor(const pl_paligemma *model, const pl_weight *weight, size_t layer)
{
    const void *target = pl_weight_target((pl_paligemma *)(uintptr_t)model, weight, layer);
    pl_tensor vector = {.dtype = PL_F32, .rank = 1, .shape = {pl_dim_size(&model->config, weight->rows)}};
    switch (weight->target) {
    case PL_TARGET_LINEAR:
        return ((const pl_linear *)target)->weight;
    case PL_TARGET_TENSOR:
        return *(const pl_tensor *)target;
    case PL_TARGET_BIAS:
        vector.data = ((const pl_linear *)target)->bias;
        break;
    case PL_TARGET_VECTOR:
        vector.data = *(const float *const *)target;
        break;
    }
    return vector;
}

void pl_target_point(pl_target kind, void *target, const pl_tensor *tensor)
{
    switch (kind) {
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

void pl_paligemma_point(pl_paligemma *model, const pl_weight *weight, size_t layer, const pl_tensor *tensor)
{
    pl_target_point(weight->target, pl_weight_target(model, weight, layer), tensor);
}
