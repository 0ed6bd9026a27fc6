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

/* Appends their labels, each once, in their order, " ; " between: what "detect " and "segment " are followed by. */
pali_status pl_object_write_labels(const json_t *row, const pl_scene *scene, pl_buffer *out, pali_error *err);

#endif
