/*
 * Masks against expected masks: average precision of mask IoU (as pycocotools'
 * iouType "segm"), mean IoU, and for rows that expect one object the figures of
 * big_vision's RefCOCO evaluator (evaluators/proj/paligemma/transfers/
 * segmentation.py).
 */
#ifndef PL_EVAL_MASKS_H
#define PL_EVAL_MASKS_H

#include "answer/mask_tokens.h"
#include "eval/precision.h"

/* What that evaluator tells, as sums over rows. */
typedef struct pl_refcoco {
    size_t rows;
    size_t invalid; /* answers that do not begin with a box with area and sixteen segments, or whose box has no pixel */
    double iou, box_iou;
    size_t box_50, box_75; /* rows of which the boxes' IoU is 0.5 (0.75) or more */
} pl_refcoco;

typedef struct pl_mask_score {
    pl_ap_score ap;
    size_t rows;
    pl_refcoco refcoco;
} pl_mask_score;

/* An object of a row, expected or found. */
typedef struct pl_mask_object {
    const char *label;
    pali_box box;        /* normalised */
    const pl_mask *mask; /* borrowed; NULL: found without one, and right for nothing */
    double confidence;   /* of what was found; NAN: none */
} pl_mask_object;

/*
 * Takes a row into account. mean_iou counts, for each expected mask, that of
 * the object which was matched with it: of equal label, by box IoU from the
 * largest down, each once; 0 where none is left. hits [count] (may be NULL)
 * receives which are right: bit 0 at mask IoU 0.5.
 */
pali_status pl_mask_score_add(pl_mask_score *score, const pl_mask_object *truths, size_t truth_count, const pl_mask_object *found, size_t count, uint16_t *hits, pali_error *err);

/*
 * The first twenty tokens of an answer as that evaluator takes them: false
 * when they are no box with area and mask. What follows them is not looked at.
 */
pali_status pl_refcoco_parse(const char *text, bool *valid, pali_mask_tokens *tokens, pali_error *err);

/* A row's expected box and mask, and what was found: NULL tokens or a NULL or empty mask is invalid. */
void pl_refcoco_add(pl_refcoco *sums, const pl_mask_object *truth, const pali_mask_tokens *tokens, const pl_mask *found);

/* pl_ap_json's figures and {rows}; {rows, invalid, miou, box_iou, boxacc_50, boxacc_75}. New. */
json_t *pl_mask_score_json(pl_mask_score *score, pali_error *err);
json_t *pl_refcoco_json(const pl_refcoco *sums);
void pl_mask_score_free(pl_mask_score *score);

#endif
