/*
 * What a measurement learns about scores: samples of boxes, masks and texts,
 * how reliable they are, and the calibration file fitted on them.
 */
#ifndef PL_EVAL_RELIABILITY_H
#define PL_EVAL_RELIABILITY_H

#include "eval/isotonic.h"

#include <jansson.h>

/* Fewer say too little about probabilities; a label of its own needs more. */
enum { PL_FIT_LEAST = 50, PL_FIT_LEAST_OF_EACH = 5, PL_FIT_LABEL = 200, PL_FIT_LABEL_OF_EACH = 10 };

/*
 * {"boxes": {samples, right, mean_score, ece, brier}, ...} of the kinds that
 * have samples; with a calibration each is followed by the same of calibrated
 * scores ("boxes_calibrated"). Sorts the samples. New; NULL without memory.
 */
json_t *pl_reliability_json(pl_samples samples[PALI_CALIBRATED_KINDS], const pali_calibration *calibration, pali_error *err);

/*
 * Fits each kind, and each label, that has enough samples and writes the file,
 * whole or not at all. *summary, new: {"file", "boxes": {samples, right,
 * points, labels}, ...}, a kind with too few null. PALI_INPUT when all have
 * too few. Sorts the samples.
 */
pali_status pl_calibration_write(const char *path, const char *model_name, const pali_model_info *model, pl_samples samples[PALI_CALIBRATED_KINDS], json_t **summary, pali_error *err);

#endif
