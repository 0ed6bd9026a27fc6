/*
 * pali/eval.h: measure a model on examples. Public, not yet frozen.
 */
#ifndef PALI_EVAL_H
#define PALI_EVAL_H

#include <pali/pali.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct pali_eval_options {
    size_t size;
    size_t limit;            /* rows at most; 0: all */
    size_t max_tokens;       /* 0: 256 */
    bool likelihood;         /* also the log-likelihood of the expected suffix */
    const char *predictions; /* JSONL file to write, whole or not at all; NULL: none */
    pali_progress_fn *progress; /* rows done and in all */
    void *progress_context;
    bool no_confidence;          /* do not rate answers: faster where answers are constrained; objects rank in the order of output */
    const char *constrain;       /* as in pali_ask_options */
    const char *fit_calibration; /* file to write, whole or not at all: what the scores of these rows were worth; NULL: none */
    const char *calibration;     /* file to measure: reliability is also told of calibrated scores; NULL: none */
    size_t batch;                /* rows answered together, at most 4096; 0: 8, or what memory has room for. The metrics do not depend on it */
    size_t beams;                /* as in pali_ask_options: the published captions of COCO take 2, of TextCaps 3 */
} pali_eval_options;

/*
 * Runs every row of a JSONL file {"image": path or [paths], "prefix": text,
 * "suffix": text or [alternatives]} (paths relative to the file) and returns
 * the metrics as one JSON object (new, freed with pali_free). All rows are
 * checked before the first is run; one that cannot be used stops with an error
 * that names its line.
 *
 * A row whose suffix holds objects may give their masks: "masks", a list with
 * one for each, or "mask", that of the only one: the path of a picture (as
 * pali_mask_open reads it), COCO's {"size": [height, width], "counts": text or
 * numbers} or polygons [[x, y, x, y, ...], ...] in pixels, of the picture's
 * size. Without them a suffix in which every object has its sixteen <seg>
 * tokens is decoded by the model's codec, so that what the codec loses is not
 * counted. A row with masks and no box in its suffix expects objects without
 * a label.
 *
 *     {"rows", "matches", "exact", "cut_off", "seconds", "kinds": {first word of the prompt: {...}},
 *      "boxes": {"rows", "invalid", "malformed", "dropped", "truths", "predictions", "mean_iou",
 *                "ap", "ap50", "ap75", "labels": {label: {...}}},
 *      "masks": {"rows", "truths", "predictions", "mean_iou", "ap", "ap50", "ap75", "labels": {...}},
 *      "refcoco": {"rows", "invalid", "miou", "box_iou", "boxacc_50", "boxacc_75"},
 *      "reliability": {"boxes": {"samples", "right", "mean_score", "ece", "brier"},
 *                      "boxes_calibrated": {...}, "masks"..., "text"...},
 *      "calibration": {"file", "boxes": {"samples", "right", "points", "labels"}, ...},
 *      "log_likelihood": {"tokens", "per_row", "per_token", "row_average"}}
 *
 * boxes: rows whose suffix holds boxes or whose prompt begins with detect or
 * segment. ap, ap50 and ap75 are those of pycocotools' COCOeval (area "all",
 * 100 a picture and label), ranked by confidence, else in the order of rows
 * and output; mean_iou is over expected boxes, of the best box of their label.
 * invalid boxes have no area, malformed objects say a problem, dropped are
 * runs of tokens that are no object.
 * masks: rows with expected masks; mean_iou is of the object that was matched
 * with each expected one, by label and box.
 * refcoco: of these the rows that expect one object, judged by the first
 * twenty tokens of the answer as big_vision's evaluator does.
 * reliability: how far scores are probabilities; objects as in boxes and masks
 * (those with codes count among masks), right at IoU 0.5; other rows by the
 * probability of their text, right when it matches. ece is the expected
 * calibration error over ten bins of equal mass, brier the mean squared
 * difference. calibration: what was written to `fit_calibration`; null for
 * what had fewer than 50 samples, or 5 right or 5 wrong ones.
 * Parts that nothing belongs to are left out, numbers that mean nothing null.
 */
char *pali_eval(pali_model *model, const char *rows_path, const pali_eval_options *options, pali_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
