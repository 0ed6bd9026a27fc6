/*
 * What a measurement gathers: exact matches per kind of prompt, boxes, masks,
 * scores and whether they were right, likelihoods, and one line of JSON for
 * each row when predictions are kept.
 */
#ifndef PL_EVAL_REPORT_H
#define PL_EVAL_REPORT_H

#include "base/text.h"
#include "eval/boxes.h"
#include "eval/masks.h"
#include "eval/reliability.h"
#include "eval/truth.h"

#include <pali/pali.h>

/* A kind of prompt is its first word: answer, caption, detect, ocr ... */
typedef struct pl_eval_kind {
    char *name; /* owned; "(none)" for an empty prompt */
    size_t rows, matches;
} pl_eval_kind;

/* The likelihood of the expected answer of one row. */
typedef struct pl_eval_likelihood {
    double total;  /* log-probability of its tokens and the end of text */
    size_t tokens; /* 0: not asked for */
} pl_eval_likelihood;

typedef struct pl_eval_report {
    pl_eval_kind *kinds; /* [kind_count], owned, in order of first appearance */
    size_t kind_count, kind_capacity;
    size_t rows, matches, cut_off; /* cut_off: answers that ended at max_tokens */
    pl_box_score boxes;
    pl_mask_score masks;
    pl_mask_maker maker;                       /* of the row that is added; its codec is borrowed */
    pl_samples samples[PALI_CALIBRATED_KINDS]; /* raw scores; labels are those of the scores above */
    const pali_calibration *calibration;       /* borrowed; NULL: none */
    double log_likelihood, row_mean; /* sums over rows of total, and of total/tokens */
    size_t likelihood_tokens;
    bool keep_predictions;
    pl_buffer predictions; /* JSONL */
} pl_eval_report;

/* Takes a row and its answer into account. Zero-initialise the report. */
pali_status pl_eval_report_add(pl_eval_report *report, const pl_eval_row *row, const pali_answer *answer, pl_eval_likelihood likelihood, pali_error *err);

/* Adds the row's line to report->predictions; text_score as the sample's, NAN where there is none. */
pali_status pl_eval_keep_prediction(pl_eval_report *report, const pl_eval_row *row, const pali_answer *answer, bool exact, pl_eval_likelihood likelihood, double text_score, pali_error *err);

/* The metrics as one JSON object (include/pali/eval.h lists it); new. */
json_t *pl_eval_report_json(pl_eval_report *report, double seconds, pali_error *err);
void pl_eval_report_free(pl_eval_report *report);

#endif
