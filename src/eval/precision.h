/*
 * Average precision over ranked predictions, as pycocotools' COCOeval computes
 * it (area "all", no crowds, at most 100 predictions a picture and label): per
 * label and IoU threshold, precision made monotone, its mean at the 101 recalls
 * 0, 0.01 ... 1. What the IoU is of, boxes or masks, is the caller's.
 */
#ifndef PL_EVAL_PRECISION_H
#define PL_EVAL_PRECISION_H

#include "base/memory.h"

#include <jansson.h>

enum { PL_AP_THRESHOLDS = 10 }; /* IoU 0.5, 0.55 ... 0.95 */

typedef struct pl_ranked {
    double confidence;
    size_t order;  /* among those of the label; ranks equal confidences */
    uint16_t hits; /* bit t: right at the t-th threshold */
} pl_ranked;

typedef struct pl_ap_label {
    char *label; /* owned */
    size_t truths, predictions;
    double iou;        /* sum over what is expected of its IoU with what was found for it; kept by the caller */
    pl_ranked *ranked; /* [count], owned */
    size_t count, capacity;
} pl_ap_label;

typedef struct pl_ap_score {
    pl_ap_label *labels; /* [count], owned, in order of first appearance */
    size_t count, capacity;
} pl_ap_score;

typedef struct pl_ap_prediction {
    const char *label;
    double confidence; /* NAN ranks as 1: without confidences the order of rows and of output decides */
} pl_ap_prediction;

/* One picture: labels of what is expected, predictions, and their IoU. */
typedef struct pl_ap_row {
    const char *const *truths;           /* [truth_count] */
    const pl_ap_prediction *predictions; /* [count] */
    const double *iou;                   /* [count, truth_count]; of equal labels only is it looked at */
    size_t truth_count, count;
} pl_ap_row;

/* The label's entry, new where there is none; NULL when memory is short. */
pl_ap_label *pl_ap_label_of(pl_ap_score *score, const char *label, pali_error *err);

/* Takes a picture into account. hits [count] (may be NULL) receives at which thresholds each prediction is right. */
pali_status pl_ap_add(pl_ap_score *score, const pl_ap_row *row, uint16_t *hits, pali_error *err);

/* AP at each threshold; NAN when nothing was expected. Puts the label's predictions in order of rank. */
pali_status pl_ap_of_label(pl_ap_label *label, double ap[PL_AP_THRESHOLDS], pali_error *err);

/*
 * {truths, predictions, mean_iou, ap, ap50, ap75, labels{label{the same}}},
 * new: ap is the mean over the thresholds, the whole's the mean over labels of
 * which something is expected. Numbers that mean nothing are null.
 */
json_t *pl_ap_json(pl_ap_score *score, pali_error *err);
void pl_ap_free(pl_ap_score *score);

#endif
