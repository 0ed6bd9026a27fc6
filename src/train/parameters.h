/*
 * What is trained: chosen from a model's weights by names and regular
 * expressions, with adapters (LoRA) hung on others. Chosen weights become f32
 * blocks that the model points to; everything else stays where and what it is.
 *
 * Three steps, so that a run is planned before memory is touched: choose (names
 * are checked, nothing changes), attach (addresses are fixed and the model
 * points to them: forward and backward can be run dry), fill (values).
 */
#ifndef PL_TRAIN_PARAMETERS_H
#define PL_TRAIN_PARAMETERS_H

#include "model/paligemma.h"
#include "ops/tape.h"
#include "train/optimiser.h"
#include "train/select.h"

/* Tensors that are moved in another way; NaN: as the others. A weight decay is for all that `match` names, whatever the rule. */
typedef struct pl_group_options {
    pl_patterns match;
    double lr, weight_decay;
    double warmup; /* as pl_schedule_warmup */
} pl_group_options;

/* Which tensors weight decay is for, unless a group says it for its own. */
typedef enum pl_decay_rule {
    PL_DECAY_KERNELS,  /* as the reference: matrices of vision tower and projector */
    PL_DECAY_MATRICES, /* as Hugging Face's trainer: all but norms and biases */
    PL_DECAY_ALL,      /* as torch.optim without groups */
} pl_decay_rule;

typedef struct pl_lora_options {
    size_t rank;         /* 0: no new adapters */
    double alpha;        /* 0: the rank */
    bool rank_stabilised; /* scale alpha / sqrt(rank) rather than alpha / rank (arXiv 2312.03732) */
    bool gaussian;       /* A ~ N(0, 1 / rank^2) rather than U(-1, 1) / sqrt(columns), as in PEFT */
    /*
     * PEFT's names of modules of the language model (q_proj, self_attn.o_proj
     * ...), all-linear of them, words as in pl_patterns for linear modules
     * anywhere (vision, language.attention), or regular expressions for whole
     * names such as vision.encoder.layers.0.mlp.fc1. None: all-linear.
     */
    pl_patterns targets;
    bool further;        /* train the adapters that the model has */
} pl_lora_options;

/* A tensor beside the model's that is trained with them: of a text tower, say. */
typedef struct pl_extra {
    char name[160];
    float *value; /* [rows, columns] f32, where its owner uses it; filled by him */
    size_t rows, columns;
    bool kernel;  /* the matrix of an affine map */
} pl_extra;

typedef struct pl_parameters_options {
    pl_patterns train, freeze;
    const pl_extra *extras; /* [extra_count], which live as long as the parameters; `train` does not name them, groups may, by expressions */
    size_t extra_count;
    pl_lora_options lora;
    double lr, weight_decay;
    pl_schedule schedule;
    pl_decay_rule decay;
    const pl_group_options *groups; /* [group_count]; the first that matches a tensor counts */
    size_t group_count;
    uint64_t seed;                  /* of new adapters */
} pl_parameters_options;

/* Where a trained tensor stands in the model. */
typedef struct pl_origin {
    const pl_weight *weight; /* itself, or the one that its adapter is on; NULL: none of the model */
    const pl_extra *extra;   /* then this */
    size_t layer;
    bool adapter, second;    /* of an adapter: A, or B */
    bool fresh;              /* of a new adapter */
    const pl_low_rank *low_rank; /* the adapter; of new ones from attach on */
    pl_tensor from;          /* what the model had in its place; until filled */
} pl_origin;

/* Bytes that training will hold, activations left out. */
typedef struct pl_training_memory {
    uint64_t values;    /* f32, of trained weights */
    uint64_t adapters;  /* of adapters, trained or not */
    uint64_t gradients;
    uint64_t state;     /* of the optimiser */
    uint64_t mapped;    /* frozen weights, used where the files lie */
    uint64_t copied;    /* frozen weights in memory of their own */
    uint64_t trained;   /* values that are trained (not bytes) */
    uint64_t widened;   /* of these, those that are not f32 in the model: quantised ones, too, become f32 */
} pl_training_memory;

typedef struct pl_parameters {
    pl_trained *tensors;   /* [count] owned: in the order of the model's list of weights, adapters last, A before its B */
    pl_origin *origins;    /* [count] owned */
    size_t count;
    pl_rate_group *groups; /* [group_count] owned; 0: that of options */
    size_t group_count;
    pl_parameter *list;    /* [count] owned, by address: for the tape; from attach on */
    size_t rank;           /* of new adapters; 0: none */
    double alpha;          /* of new adapters */
    float scale;           /* of new adapters: alpha / rank or alpha / sqrt(rank) */
    bool rank_stabilised, gaussian;
    uint64_t seed;
    pl_training_memory memory; /* but for `state` */
    float *gradients;      /* owned: the gradients end to end, from attach on */
    size_t gradient_count; /* floats in it */
    size_t capacity;       /* of tensors and origins while choosing */
} pl_parameters;

/*
 * Chooses; the model stays as it is. Without `train` and adapters, all is
 * trained. PALI_USAGE when a pattern names nothing, nothing is left to be
 * trained, or an adapter cannot be where it is wanted. Free with
 * pl_parameters_free.
 */
pl_parameters *pl_parameters_choose(const pl_paligemma *model, const pl_parameters_options *options, pali_error *err);

/*
 * Room for values and gradients; the model points to it from now on, and must
 * not be run but dry until it is filled. The memory is not touched yet.
 */
pali_status pl_parameters_attach(pl_parameters *parameters, pl_paligemma *model, pali_error *err);

/* Values from what the model had, of any type; new adapters from the seed; gradients 0. What is not needed any more is freed. */
pali_status pl_parameters_fill(pl_parameters *parameters, pl_paligemma *model, pl_pool *pool, pali_error *err);

/* Gradients 0, for the next step. */
void pl_parameters_zero(const pl_parameters *parameters, pl_pool *pool);

/* Frees lists and gradients; values are the model's. NULL allowed. */
void pl_parameters_free(pl_parameters *parameters);

/* The tensor with that name, or NULL. */
const pl_trained *pl_parameters_find(const pl_parameters *parameters, const char *name);

/* The memory of a choice, attached or not, with an optimiser's state. */
pl_training_memory pl_parameters_forecast(const pl_parameters *parameters, const pl_optimiser_options *optimiser);

#endif
