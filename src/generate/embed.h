/*
 * Vectors from inside the model: what the ops' trace shows of one pass over
 * pictures, or over pictures and prompt, copied or pooled, and saved.
 */
#ifndef PL_GENERATE_EMBED_H
#define PL_GENERATE_EMBED_H

#include "generate/timeline.h"

typedef enum pl_embed_what { PL_EMBED_PROJECTOR, PL_EMBED_SIGLIP, PL_EMBED_HIDDEN } pl_embed_what;

typedef struct pl_embed_options {
    pl_embed_what what;
    const int32_t *layers; /* of hidden states; negative ones count from the end */
    size_t layer_count;    /* 0: the last */
    bool pool, normalise, special;
} pl_embed_options;

typedef struct pl_embedded {
    char name[32];
    size_t layer;        /* of hidden states, as transformers counts them */
    float *data;         /* [items, rows, width], owned */
    size_t rows, width;  /* of an item; pooled: 1 row */
    size_t capacity;     /* floats */
} pl_embedded;

typedef struct pl_embedding {
    pl_embed_what what;
    bool pooled, normalised;
    char *prompt;         /* owned, or NULL */
    size_t items;
    pl_embedded *tensors; /* [count], owned */
    size_t count;
} pl_embedding;

/* See pali_embed. *embedding is filled in on success only; release with pl_embedding_clear. */
pali_status pl_embed(pl_timeline *timeline, const pl_image *const *images, size_t count, const char *prompt, const pl_embed_options *options, pl_embedding *embedding, pali_error *err);

/* See pali_embedding_append. */
pali_status pl_embedding_append(pl_embedding *embedding, const pl_embedding *more, pali_error *err);

/* The shape of tensor i, [items,] [rows,] width; returns its rank. */
size_t pl_embedding_shape(const pl_embedding *embedding, size_t i, size_t shape[3]);

void pl_embedding_clear(pl_embedding *embedding);

/* Kinds of file that embeddings go to (embed_save.c), and the element type in it. */
typedef enum pl_embed_file { PL_EMBED_NPY, PL_EMBED_NPZ, PL_EMBED_SAFETENSORS } pl_embed_file;

/* PALI_USAGE for a name or type that cannot be written; looks at no disk. `type` NULL: f32. */
pali_status pl_embedding_plan(const char *path, const char *type, size_t tensors, pl_embed_file *file, pl_dtype *dtype, pali_error *err);

/* Writes a file that was planned: whole or not at all. */
pali_status pl_embedding_save(const pl_embedding *embedding, const char *path, pl_embed_file file, pl_dtype dtype, pali_error *err);

#endif
