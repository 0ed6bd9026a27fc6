/*
 * Boxes against expected boxes: mean best IoU, and average precision over
 * confidences (eval/precision.h).
 */
#ifndef PL_EVAL_BOXES_H
#define PL_EVAL_BOXES_H

#include "answer/location.h"
#include "eval/precision.h"

typedef struct pl_box_score {
    pl_ap_score ap;
    size_t rows;
    size_t invalid;   /* predicted boxes without area */
    size_t malformed; /* objects of which the answer says that something is wrong, those among them */
    size_t dropped;   /* runs of location or segment tokens that are no object */
} pl_box_score;

/*
 * Takes one row's expected boxes and the objects of its answer into account.
 * hits [count] (may be NULL) receives which objects are right at IoU 0.5: bit 0.
 */
pali_status pl_box_score_add(pl_box_score *score, const pl_location_list *truths, const pali_object *objects, size_t count, uint16_t *hits, pali_error *err);

/* pl_ap_json's figures, and {rows, invalid, malformed, dropped}; new. */
json_t *pl_box_score_json(pl_box_score *score, pali_error *err);
void pl_box_score_free(pl_box_score *score);

#endif
