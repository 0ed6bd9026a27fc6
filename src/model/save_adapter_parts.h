/*
 * Inside writing adapters: what is written, what modules are called, and the
 * configuration.
 */
#ifndef PL_MODEL_SAVE_ADAPTER_PARTS_H
#define PL_MODEL_SAVE_ADAPTER_PARTS_H

#include "formats/safetensors_write.h"
#include "model/save_adapter.h"

#define PL_ADAPTER_CONFIG "adapter_config.json"

/* A tensor of the file. */
typedef struct pl_adapter_piece {
    pl_saved_tensor saved;
    pl_tensor from; /* [rows, columns] of any type; borrowed from the model */
    char name[256];
} pl_adapter_piece;

/* A linear layer with the pair that is saved. */
typedef struct pl_adapter_module {
    const pl_weight *weight;
    size_t layer;
    const pl_low_rank *pair;
    double alpha;
} pl_adapter_module;

typedef struct pl_adapter_saving {
    const pl_paligemma *model;
    const pl_adapter_save_options *options;
    pl_adapter_module *modules; /* [module_count] owned */
    size_t module_count, module_capacity;
    pl_adapter_piece *pieces;   /* [piece_count] owned */
    size_t piece_count, piece_capacity;
    struct json_t *whole;       /* owned: array of the names of modules saved whole */
    double alpha;
    bool tied; /* embedding and output matrix, and both are saved whole */
} pl_adapter_saving;

/*
 * How a path is spelled: that of a pair, of a module saved whole, or the end of
 * either that is enough to find the module by. Late in 5 transformers dropped a
 * level of the image encoder; peft turns old pairs into new ones, not modules.
 */
typedef enum pl_adapter_path { PL_PATH_OF_PAIR, PL_PATH_OF_WHOLE, PL_PATH_END } pl_adapter_path;

/* The path of a weight's module into path; returns it. */
const char *pl_adapter_module_path(const pl_adapter_saving *a, const pl_weight *weight, size_t layer, pl_adapter_path how, char path[200]);

/* The text of adapter_config.json, new, released with free(). */
char *pl_adapter_config(const pl_adapter_saving *a, pali_error *err);

#endif
