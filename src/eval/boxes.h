/*
 * Boxes against expected boxes: mean best IoU, and average precision at IoU
 * 0.5 (AP50) as the COCO evaluation computes it: per label, precision made
 * monotone, its mean at the 101 recalls 0, 0.01 ... 1, then the mean over the
 * labels that have expected boxes. Answers carry no confidence, so all boxes
 * rank the same and count in the order of rows and of output, at most 100 a
 * row and label (pycocotools does the same with equal scores).
 */
#ifndef PL_EVAL_BOXES_H
#define PL_EVAL_BOXES_H

#include "answer/location.h"

#include <jansson.h>

typedef struct pl_box_label {
    char *label; /* owned */
    size_t truths, predictions;
    double iou;  /* sum over expected boxes of the best IoU of a predicted box */
    bool *hits;  /* [hit_count] in order: is the predicted box right? owned */
    size_t hit_count, hit_capacity;
} pl_box_label;

typedef struct pl_box_score {
    pl_box_label *labels; /* [count], owned, in order of first appearance */
    size_t count, capacity;
    size_t rows, invalid; /* invalid: predicted boxes without area */
} pl_box_score;

/* Takes one row's expected and predicted boxes into account. */
pali_status pl_box_score_add(pl_box_score *score, const pl_location_list *truths, const pl_location_list *predictions, pali_error *err);

/* AP50 of one label; NAN when nothing was expected. */
pali_status pl_box_label_ap(const pl_box_label *label, double *ap, pali_error *err);

/*
 * {rows, truths, predictions, invalid, mean_iou, ap50, labels{label{truths,
 * predictions, mean_iou, ap50}}}; new. Numbers that mean nothing are null.
 */
json_t *pl_box_score_json(const pl_box_score *score, pali_error *err);
void pl_box_score_free(pl_box_score *score);

#endif
