/*
 * What a frozen image encoder makes of each picture, kept on the disk: SigLIP's
 * rows after its last norm, before the projector. One file a picture, under a
 * key of the encoder's weights, the preprocessing and the picture's bytes;
 * written whole or not at all, and checked when read: a file that is damaged
 * or of another key counts as not there. Any number of threads and processes
 * may share a folder.
 */
#ifndef PL_TRAIN_FEATURE_CACHE_H
#define PL_TRAIN_FEATURE_CACHE_H

#include "vision/siglip.h"

/* What is written; rows that come back are f32. */
typedef enum pl_feature_type { PL_FEATURE_F32, PL_FEATURE_BF16 } pl_feature_type;

typedef struct pl_feature_options {
    const char *folder;  /* made when it is not there; NULL: $XDG_CACHE_HOME/pali/features, else ~/.cache/pali/features */
    uint64_t model;      /* of the encoder's weights and shape: pl_feature_model */
    const char *made;    /* what else decides the rows, as a text: preprocessing and filter, kernels, precision */
    size_t tokens, width;   /* of a picture's rows */
    pl_feature_type type;
} pl_feature_options;

typedef struct pl_feature_cache pl_feature_cache;

/* A hash of everything that an image encoder computes with: shape, weights, adapters; not the projector. Reads all of it. */
uint64_t pl_feature_model(const pl_siglip *siglip);

/* PALI_FAILED names a folder that cannot be made or written to. Free with pl_feature_cache_free. */
pl_feature_cache *pl_feature_cache_open(const pl_feature_options *options, pali_error *err);
void pl_feature_cache_free(pl_feature_cache *cache);

/* What a cached picture is: besides its rows its size in pixels, which boxes and masks are relative to. */
typedef struct pl_feature_picture {
    uint64_t hash;        /* of the bytes of its file */
    uint64_t bytes;       /* how many these are */
    size_t width, height; /* upright */
} pl_feature_picture;

/*
 * Fetches the rows of the picture with that hash and bytes into rows [tokens,
 * width] f32, the caller's, and fills in width and height. False when it has
 * to be computed. rows NULL: only asks.
 */
bool pl_feature_cache_get(pl_feature_cache *cache, pl_feature_picture *picture, float *rows);

/* Keeps rows [tokens, width] f32. PALI_FAILED when the disk does not take them: a run can go on without. */
pali_status pl_feature_cache_put(pl_feature_cache *cache, const pl_feature_picture *picture, const float *rows, pali_error *err);

/* What get gives back after put: rows as they are for f32, rounded for bf16. For a run to be the same with a cold cache and a warm one. */
void pl_feature_cache_round(const pl_feature_cache *cache, float *rows);

size_t pl_feature_cache_tokens(const pl_feature_cache *cache);
size_t pl_feature_cache_width(const pl_feature_cache *cache);

/* Bytes of one picture's file, for forecasts. */
uint64_t pl_feature_cache_bytes(const pl_feature_cache *cache);

/* Since opening. */
typedef struct pl_feature_counts {
    uint64_t hits, misses, written, damaged;
} pl_feature_counts;
pl_feature_counts pl_feature_cache_counts(const pl_feature_cache *cache);

#endif
