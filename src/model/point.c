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
