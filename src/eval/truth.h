/*
 * What a row expects, as objects: the boxes and labels of its suffix, with
 * masks from files, run lengths or polygons in the row, or from the <seg>
 * tokens of the suffix through the model's codec.
 */
#ifndef PL_EVAL_TRUTH_H
#define PL_EVAL_TRUTH_H

#include "answer/mask_tokens.h"
#include "eval/rows.h"

/* What masks are decoded with, and of which size. */
typedef struct pl_mask_maker {
    const pl_codec *codec; /* NULL: the model has none */
    pl_hands hands;
    size_t width, height;  /* of the row's first picture */
} pl_mask_maker;

typedef struct pl_truth {
    pl_location_list objects; /* of the first suffix that has any; else the boxes, without labels, of the masks that the row gives */
    pl_mask *masks;           /* [objects.count], owned; NULL: the row tells no masks */
} pl_truth;

/* PALI_INPUT names the field when masks are not one for each object, not of the picture's size or not readable. Zero-initialise; release with pl_truth_free, also after a failure. */
pali_status pl_truth_read(const pl_eval_row *row, const pl_mask_maker *maker, pl_truth *truth, pali_error *err);
void pl_truth_free(pl_truth *truth);

#endif
