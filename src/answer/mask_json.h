/*
 * Masks as rows of examples write them, beside the tokens that a model says:
 * COCO's {"size": [height, width], "counts": text or numbers}, a list of
 * polygons [[x, y, ...], ...] in pixels, or the path of a picture.
 */
#ifndef PL_ANSWER_MASK_JSON_H
#define PL_ANSWER_MASK_JSON_H

#include "image/image.h"

#include <jansson.h>

/*
 * The mask of a picture of width x height; 0 and 0: of a size of its own, which
 * polygons do not have. PALI_INPUT says what is wrong, another size too. The mask (zero before) is released with pl_mask_free, also
 * after a failure.
 */
pali_status pl_mask_of_json(const json_t *value, size_t width, size_t height, pl_mask *mask, pali_error *err);
pali_status pl_mask_open_of(const char *path, size_t width, size_t height, pl_mask *mask, pali_error *err);

#endif
