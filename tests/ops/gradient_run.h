/* Runs one case of gradient_cases.h: planned, then forward, or forward and backward. */
#ifndef TESTS_OPS_GRADIENT_RUN_H
#define TESTS_OPS_GRADIENT_RUN_H

#include "ops/gradient_cases.h"

typedef struct gradient_run {
    const gradient_case *c;
    size_t inputs;
    size_t count[CASE_INPUTS];
    float *value[CASE_INPUTS];    /* [count] owned; weights are used here, activations are copied from here */
    float *gradient[CASE_INPUTS]; /* [count] owned, of the last run_backward; NULL for what is frozen */
    float *seed;                  /* [outputs] owned: the loss is the sum of output * seed */
    size_t outputs;
    case_room room;
    pl_parameter parameters[CASE_INPUTS];
    pl_arena arena;
    pl_tape tape;
    pl_context ctx;
} gradient_run;

/* Fails the running test on any failure. Kernels, pool and activations are those of `like`. */
void gradient_run_init(gradient_run *run, const gradient_case *c, const pl_context *like);
void gradient_run_free(gradient_run *run);

/* The loss without records, from the values as they are now. */
double gradient_run_loss(gradient_run *run);

/* Fills `gradient`, and gives the loss. */
double gradient_run_backward(gradient_run *run);

/* Hashed numbers from -1 to 1. */
double gradient_number(size_t i, size_t seed);

#endif
