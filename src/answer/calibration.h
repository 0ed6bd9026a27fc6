/*
 * A calibration file: what a score has been worth on examples whose answer was
 * known. For boxes, masks and whole texts, and for labels of which there were
 * enough examples, it has a curve from score to probability: points that rise,
 * straight lines between them, level beyond the ends.
 *
 *     {"pali_calibration": 1, "kind": "isotonic",
 *      "model": {"name", "family", "parameters", "image_size", "vocabulary"},
 *      "boxes": {"samples", "right", "points": [[score, probability], ...],
 *                "labels": {label: {"samples", "right", "points"}}},
 *      "masks": {...}, "text": {...}}
 *
 * Each of the three may be absent. eval/isotonic.h says how points are made.
 */
#ifndef PL_ANSWER_CALIBRATION_H
#define PL_ANSWER_CALIBRATION_H

#include <pali/pali.h>

#include "base/memory.h"

/* The names of what has curves of its own, in the order of pali_calibrated. */
extern const char *const pl_calibrated_names[PALI_CALIBRATED_KINDS];

typedef struct pl_curve_point {
    double score, probability; /* in [0, 1] */
} pl_curve_point;

typedef struct pl_curve {
    char *label;            /* owned; NULL: for every label without one of its own */
    pl_curve_point *points; /* [count], scores rise, probabilities do not fall; owned */
    size_t count;
} pl_curve;

typedef struct pl_curves {
    pl_curve *items; /* [count], owned */
    size_t count, capacity;
} pl_curves;

struct pali_calibration {
    char *path, *family; /* owned */
    uint64_t parameters;
    size_t image_size, vocabulary;
    pl_curves curves[PALI_CALIBRATED_KINDS];
};

/* PALI_MODEL naming file and field when it cannot be read or says what cannot be. Release with pl_calibration_free. */
pali_calibration *pl_calibration_open(const char *path, pali_error *err);
pali_calibration *pl_calibration_open_memory(const void *bytes, size_t size, const char *name, pali_error *err);
void pl_calibration_free(pali_calibration *calibration);

/* PALI_MODEL when it was fitted on a model that is certainly another. */
pali_status pl_calibration_check(const pali_calibration *calibration, const pali_model_info *model, pali_error *err);

/* The probability of a curve [count >= 1 points] at a score. */
double pl_curve_at(const pl_curve_point *points, size_t count, double score);

/* True when curves were fitted for the kind; NULL has none. */
bool pl_calibration_has(const pali_calibration *calibration, pali_calibrated kind);

/* As pali_calibration_apply. */
double pl_calibration_apply(const pali_calibration *calibration, pali_calibrated kind, const char *label, double score);

#endif
