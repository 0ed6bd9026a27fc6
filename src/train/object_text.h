/*
 * Boxes and masks of a row as the text that a model says for them:
 *
 *     "objects": [{"label": "cat", "box": [x1, y1, x2, y2], "mask": ...}, ...]
 *
 * or, for one object, or several masks of one label, in the row itself:
 * "label" (or "labels"), "box", "mask" (or "masks"). Boxes are in pixels, as
 * such a list, as {"y1", "x1", "y2", "x2"} (what pali's answers have), or COCO's
 * "bbox": [x, y, width, height]; masks as answer/mask_json.h has them. An object
 * becomes four locations, sixteen codes where it has a mask, and its label; " ; "
 * stands between two (detection_segmentation.py; arXiv 2407.07726, 3.2.4).
 */
#ifndef PL_TRAIN_OBJECT_TEXT_H
#define PL_TRAIN_OBJECT_TEXT_H

#include "answer/mask_codec.h"
#include "base/text.h"

#include <jansson.h>

/* What a row's objects are in. */
typedef struct pl_scene {
    size_t width, height;  /* of the row's first picture; 0: it has none */
    bool unseen;           /* pictures and masks are not opened: places are made up, as many tokens as the true ones */
    const char *folder;    /* that paths of masks are relative to */
    const pl_codec *codec; /* NULL: masks cannot be said */
    pl_hands hands;
    const char *prefix;    /* of the row: after "detect " or "segment " stands the label of an object in the row itself */
} pl_scene;

/* True when the row has objects, which may be none: "objects": []. */
bool pl_object_any(const json_t *row);

/* Appends them. Without `masks` the codes are left out. PALI_INPUT names the object and what is wrong; PALI_MODEL when a codec is missing. */
pali_status pl_object_write(const json_t *row, const pl_scene *scene, bool masks, pl_buffer *out, pali_error *err);

/* A mask of a row and the box that it is looked at in, as they stand there: borrowed from the row. */
typedef struct pl_object_mask {
    const json_t *mask, *box, *bbox; /* box, bbox: NULL where there is none */
} pl_object_mask;

/* The masks of a row's objects, in a new list freed with free also after a failure (start with NULL). */
pali_status pl_object_masks(const json_t *row, pl_object_mask **masks, size_t *count, pali_error *err);

/* Opens one, with the mask's own box where it has none. The picture's size may be unknown (0). Release the mask (zero before) also after a failure. */
pali_status pl_object_open_mask(const pl_object_mask *object, const pl_scene *scene, pl_mask *mask, pali_box *box, pali_error *err);

/* Appends their labels, each once, in their order, " ; " between: what "detect " and "segment " are followed by. */
pali_status pl_object_write_labels(const json_t *row, const pl_scene *scene, pl_buffer *out, pali_error *err);

#endif
