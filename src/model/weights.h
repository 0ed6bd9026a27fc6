/*
 * Every weight of the model, once: what it is, its shape, its name in each
 * checkpoint format, and where it goes. Loading, inspecting and adapters all
 * expand this list.
 */
#ifndef PL_MODEL_WEIGHTS_H
#define PL_MODEL_WEIGHTS_H

#include "model/config.h"

/* Sizes that shapes are made of. */
typedef enum pl_dim {
    PL_DIM_NONE, /* the weight is a vector */
    PL_DIM_VISION_WIDTH,
    PL_DIM_VISION_MLP,
    PL_DIM_VISION_TOKENS,
    PL_DIM_PATCH, /* 3 * patch * patch */
    PL_DIM_TEXT_WIDTH,
    PL_DIM_TEXT_MLP,
    PL_DIM_TEXT_Q,
    PL_DIM_TEXT_KV,
    PL_DIM_VOCABULARY,
} pl_dim;

size_t pl_dim_size(const pl_config *config, pl_dim dim);

typedef enum pl_part { PL_PART_VISION, PL_PART_VISION_BLOCK, PL_PART_PROJECTOR, PL_PART_TEXT, PL_PART_TEXT_LAYER, PL_PART_COUNT } pl_part;

/* "vision", "projector" or "language": the parts as a user sees them. */
const char *pl_part_name(pl_part part);

/* Layers a part's weights repeat over (1 for those that do not). */
size_t pl_part_layers(const pl_config *config, pl_part part);

/* How a big_vision array becomes [out, in] (checkpoints.md, 5). */
typedef enum pl_npz_form {
    PL_NPZ_AS_IS,     /* rows in the order wanted, leading axes of one dropped */
    PL_NPZ_TRANSPOSE, /* [in..., out...] */
    PL_NPZ_HEADS,     /* [heads, in, head_dim] */
    PL_NPZ_PATCH,     /* [row, column, channel, out] */
} pl_npz_form;

/* What the model has a weight as. */
typedef enum pl_target { PL_TARGET_LINEAR, PL_TARGET_BIAS, PL_TARGET_TENSOR, PL_TARGET_VECTOR } pl_target;

/* Which models have a weight. */
typedef enum pl_presence { PL_IN_ALL, PL_IN_GEMMA2, PL_IN_LINEAR_CONNECTOR, PL_IN_MLP_CONNECTOR } pl_presence;

typedef struct pl_weight {
    pl_part part;
    pl_dim rows, columns;  /* [rows, columns], or [rows] with columns PL_DIM_NONE */
    size_t offset;         /* of the target in the part's struct: a pl_linear, pl_tensor or const float * */
    pl_target target;
    const char *name;      /* canonical: the Hugging Face name without the part's prefixes */
    const char *name1;     /* the same in Gemma 1 checkpoints where it differs, or NULL */
    const char *npz;       /* big_vision array */
    pl_npz_form form;
    int pair;              /* 0 or 1: which of a pair stacked on the next axis; -1: no pair */
    const char *gguf;      /* GGUF name; with a %zu for the layer in the repeated parts */
    pl_presence presence;
} pl_weight;

extern const pl_weight pl_weights[];
extern const size_t pl_weight_count;

/* Does a model of that shape have it? */
bool pl_weight_present(const pl_config *config, const pl_weight *weight);

/* The output matrix where it is one of its own; not in the list. */
extern const pl_weight pl_head_weight;

/* The canonical name, "text.layers.3.mlp.up_proj.weight", into buf. */
const char *pl_weight_name(const pl_weight *weight, const pl_config *config, size_t layer, char buf[160]);

/* The name in the files on Hugging Face's hub into buf. */
const char *pl_weight_hub_name(const pl_weight *weight, const pl_config *config, size_t layer, char buf[160]);

/* The GGUF name into buf. */
const char *pl_weight_gguf_name(const pl_weight *weight, size_t layer, char buf[160]);

/*
 * A Hugging Face tensor name of any generation as the canonical one; false when
 * it is no weight of the model (checkpoints.md, 2).
 */
bool pl_canonical_name(const char *name, char canonical[160]);

/* True for tensors that checkpoints carry and no part of the model needs. */
bool pl_is_ignorable(const char *name);

#endif
