/*
 * The pictures of a row: "image" or "images", a path or a list of paths; with
 * "frames" (and "stride") a clip, from one animation or from pictures that are
 * its frames, as for pali batch.
 */
#ifndef PL_TRAIN_ROW_PICTURES_H
#define PL_TRAIN_ROW_PICTURES_H

#include "train/example.h"

#include <jansson.h>

typedef struct pl_row_pictures {
    const char **names;    /* [count] owned list of texts borrowed from the row */
    size_t count;
    size_t frames, stride; /* frames > 0: the files are a clip */
} pl_row_pictures;

/* What the row says; no file is opened. PALI_INPUT names the field. Zero-initialise; free(names), also after a failure. */
pali_status pl_row_pictures_read(const pl_dataset *dataset, size_t source, const json_t *row, pl_row_pictures *pictures, pali_error *err);

/* How many pictures the model is shown. */
size_t pl_row_pictures_count(const pl_row_pictures *pictures);

/* Are the files there, and may they be read? None is opened. PALI_INPUT names the first that is not. */
pali_status pl_row_pictures_find(const pl_dataset *dataset, size_t source, const pl_row_pictures *pictures, pali_error *err);

/* Opens them into example->images, whose place is known; what example.h says of the cache and of pixels holds. Freed with the example, also after a failure. */
pali_status pl_row_pictures_open(const pl_dataset *dataset, const pl_row_pictures *pictures, pl_feature_cache *cache, bool with_pixels, pl_example *example, pali_error *err);

#endif
