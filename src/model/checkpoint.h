/*
 * An opened checkpoint: its files, its configuration, and a directory that
 * finds each weight of the list whatever the format calls it.
 */
#ifndef PL_MODEL_CHECKPOINT_H
#define PL_MODEL_CHECKPOINT_H

#include "model/weights.h"

typedef enum pl_container { PL_CONTAINER_SAFETENSORS, PL_CONTAINER_NPZ, PL_CONTAINER_GGUF } pl_container;

/* "safetensors", "npz" or "gguf". */
const char *pl_container_name(pl_container container);

typedef struct pl_entry {
    char *name;                    /* canonical (safetensors), without prefix (npz), as it is (GGUF); owned */
    const pl_named_tensor *tensor; /* borrowed from its file */
    bool known;                    /* a weight of the model, or a tensor that is knowingly left out */
} pl_entry;

typedef struct pl_checkpoint {
    pl_container container;
    char *path;               /* folder or file; owned */
    pl_tensor_file *files[2]; /* weights; and the vision tower's GGUF, or NULL */
    pl_json *config_json;     /* safetensors only, or NULL */
    pl_config config;
    const char *npz_prefix;   /* "params/" or "" */
    pl_entry *entries;        /* [entry_count], sorted by name */
    size_t entry_count;
} pl_checkpoint;

/*
 * Opens a folder or a file. `vision` is a GGUF with the vision tower for a
 * text-only GGUF, or NULL: a file beside it with "mmproj" in its name.
 */
pl_checkpoint *pl_checkpoint_open(const char *path, const char *vision, pali_error *err);
void pl_checkpoint_close(pl_checkpoint *checkpoint);

/* Where one weight lies: a whole tensor, or a slice of a stacked one. */
typedef struct pl_source {
    const pl_named_tensor *named;
    const unsigned char *data; /* the slice's first value */
    pl_dtype dtype;
    const float *scale;        /* [rows] or NULL, as in pl_tensor */
    size_t rows, columns;      /* of the weight: [rows, columns], columns 1 for vectors */
    pl_npz_form form;          /* how the slice is laid out */
    size_t heads;              /* for PL_NPZ_HEADS */
    size_t patch;              /* for PL_NPZ_PATCH: pixels a side */
} pl_source;

/* The slice as a matrix of its type; a vector is one row. Its data lies in the order of the source. */
pl_tensor pl_source_tensor(const pl_source *source, const pl_weight *weight);

/* The entry of a weight, marked known; NULL when the checkpoint lacks it. */
const pl_entry *pl_checkpoint_find(const pl_checkpoint *checkpoint, const pl_weight *weight, size_t layer);

/* The entry with that name in the directory's spelling, or NULL. */
pl_entry *pl_checkpoint_entry(const pl_checkpoint *checkpoint, const char *name);

/* What a weight is called in this checkpoint, for messages. */
const char *pl_checkpoint_weight_name(const pl_checkpoint *checkpoint, const pl_weight *weight, size_t layer, char buf[160]);

/* Finds a weight and checks type and shape against the configuration. */
pali_status pl_checkpoint_source(const pl_checkpoint *checkpoint, const pl_weight *weight, size_t layer, pl_source *source, pali_error *err);

/* The same for an entry that has been found. */
pali_status pl_checkpoint_source_of(const pl_checkpoint *checkpoint, const pl_entry *entry, const pl_weight *weight, size_t layer, pl_source *source, pali_error *err);

#endif
