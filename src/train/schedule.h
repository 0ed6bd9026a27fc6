/*
 * How the learning rate moves: a factor for each step. Steps count from 0, and
 * with a warm-up the first factor is 0 (big_vision: utils.py,
 * create_learning_rate_schedule).
 */
#ifndef PL_TRAIN_SCHEDULE_H
#define PL_TRAIN_SCHEDULE_H

#include "base/status.h"

#include <stdint.h>

/* Once: X(name, text, what it is after the warm-up). */
#define PL_SCHEDULE_LIST(X)                                                       \
    X(COSINE, "cosine", "half a cosine, to 0 at the last step")                   \
    X(RSQRT, "rsqrt", "1 / sqrt(1 + steps since warm-up / timescale), no end")    \
    X(LINEAR, "linear", "straight to 0 at the last step")                         \
    X(CONSTANT, "constant", "1")

typedef enum pl_schedule_kind {
#define PL_SCHEDULE_ENUM(name, text, what) PL_SCHEDULE_##name,
    PL_SCHEDULE_LIST(PL_SCHEDULE_ENUM)
#undef PL_SCHEDULE_ENUM
} pl_schedule_kind;

typedef struct pl_schedule {
    pl_schedule_kind kind;
    uint64_t total;   /* steps of the run */
    uint64_t warmup;  /* steps until the factor has risen from 0 to its full height; 0: none */
    double timescale; /* rsqrt: steps; 0: 10,000 */
} pl_schedule;

/* The kind called that; PALI_USAGE, with the names, for any other. `what` stands in the message. */
pali_status pl_schedule_parse(const char *text, const char *what, pl_schedule_kind *kind, pali_error *err);

/* Steps of a run: max(1, round(epochs * examples / batch)). */
uint64_t pl_schedule_steps(double epochs, uint64_t examples, uint64_t batch);

/* Steps of a warm-up: below 1 a part of the total, and one at least; else so many; 0: none. */
uint64_t pl_schedule_warmup(double warmup, uint64_t total);

/* The factor at a step, 0 to 1. */
double pl_schedule_at(const pl_schedule *schedule, uint64_t step);

#endif
