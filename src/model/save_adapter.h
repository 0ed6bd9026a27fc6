/*
 * Writing the low-rank pairs of a model as a PEFT adapter folder:
 * adapter_config.json and adapter_model.safetensors, as peft reads them.
 */
#ifndef PL_MODEL_SAVE_ADAPTER_H
#define PL_MODEL_SAVE_ADAPTER_H

#include "model/paligemma.h"

/* What modules are called: "model.language_model.layers.0..." or "language_model.model.layers.0...". */
typedef enum pl_adapter_keys {
    PL_ADAPTER_KEYS_NEW, /* transformers 5 (4.52 and later for the language model) */
    PL_ADAPTER_KEYS_OLD  /* transformers before 4.52 */
} pl_adapter_keys;

/* A weight that is saved as it stands; its whole module goes with it, as PEFT has it. */
typedef struct pl_whole_module {
    const pl_weight *weight;
    size_t layer;
} pl_whole_module;

typedef struct pl_adapter_save_options {
    pl_adapter_keys keys;
    const char *base;        /* base_model_name_or_path; NULL: the path that the model was opened by, from the root */
    double alpha;            /* of pairs whose scale it gives but for rounding; 0: from the scale of the first */
    bool rank_stabilised;    /* scale = alpha / sqrt(rank) in place of alpha / rank */
    double dropout;          /* told in the configuration, no more */
    const char *task_type;   /* NULL: "CAUSAL_LM" */
    const pl_low_rank *const *pairs; /* [pair_count] those to save; NULL: all, one a weight at most */
    size_t pair_count;
    const pl_whole_module *whole; /* [whole_count] */
    size_t whole_count;
    bool tokenizer;          /* tokenizer.json goes with it: the model has new tokens */
    bool force;              /* replace what is there */
} pl_adapter_save_options;

typedef struct pl_adapter_save_report {
    uint64_t parameters, bytes; /* of the tensors as written */
    size_t tensors;
} pl_adapter_save_report;

/*
 * Writes the folder `path`, all of it or nothing: beside its place and then
 * renamed; a folder that is there, with force, gets the two files one by one.
 * Values are f32. A pair whose rank or alpha differs from the first one's is
 * told in rank_pattern and alpha_pattern. PALI_USAGE where there is nothing to
 * save, or a weight has two pairs. `report` may be NULL.
 */
pali_status pl_paligemma_save_adapter(const pl_paligemma *model, const char *path, const pl_adapter_save_options *options, pl_adapter_save_report *report, pali_error *err);

#endif
