/*
 * A row as the model sees it: ids of its text, and pictures ready for the
 * image encoder. The sequence is [image tokens of every picture] ids.
 */
#ifndef PL_TRAIN_EXAMPLE_H
#define PL_TRAIN_EXAMPLE_H

#include "train/dataset.h"
#include "train/feature_cache.h"

typedef struct pl_example_image {
    char *path;           /* owned */
    pl_feature_picture picture; /* hash and number of the file's bytes, size of the upright picture: what the cache knows it by */
    float *pixels;        /* [side, side, 3] in [-1, 1], owned; NULL where features are there */
    float *features;      /* [tokens, width] of the encoder, owned; NULL unless the cache has them */
} pl_example_image;

typedef struct pl_example {
    pl_place place;
    size_t line;          /* in its file, from 1 */
    int32_t *ids;         /* [count] <bos> prefix "\n" suffix <eos>, after cutting, owned; no placeholders of pictures */
    size_t count;
    size_t prefix_count;  /* of these, that are <bos>, prefix and newline; the rest is suffix: causal, and what loss is taken on */
    size_t cut;           /* ids that were cut off at the end */
    size_t alternative;   /* which of the row's suffixes this is, from 0 */
    size_t alternatives;
    int32_t *patches;     /* [image tokens], owned: what is to be said at each place of the picture, -1: nothing; NULL: it is said in a suffix */
    char *prefix, *suffix; /* texts, owned; prefix is "" in the form of language modelling */
    pl_example_image *images; /* [image_count], owned */
    size_t image_count;
    size_t bytes;         /* of pixels and features */
} pl_example;

/*
 * Reads the example of a place. Safe in any thread. With a cache, pictures whose features it has
 * are not decoded; the cache may be NULL. `with_pixels` false: pictures are only
 * measured, for show and for checks. PALI_INPUT is a bad row (the message says
 * "file:line: ..."), which can be passed over; anything else ends a run.
 * Free with pl_example_free (NULL allowed).
 */
pl_example *pl_example_read(const pl_dataset *dataset, pl_place place, pl_feature_cache *cache, bool with_pixels, pali_error *err);
void pl_example_free(pl_example *example);

/* Fills in ids, counts and what is cut off from example->prefix and suffix; for rows of the survey, and for tests. */
pali_status pl_example_encode(const pl_data_options *options, pl_example *example, pali_error *err);

#endif
