/* What choosing and attaching both need to know of a model. Inside the room only. */
#ifndef PL_TRAIN_CHOOSE_H
#define PL_TRAIN_CHOOSE_H

#include "model/paligemma.h"

/* Is the output matrix the embedding itself? */
static inline bool pl_head_is_tied(const pl_paligemma *model)
{
    return model->gemma.head.weight.data == model->gemma.embedding.data;
}

/* What the model uses as that weight: a matrix, or the f32 values of a norm or bias. */
pl_tensor pl_weight_tensor(const pl_paligemma *model, const pl_weight *weight, size_t layer);

#endif
