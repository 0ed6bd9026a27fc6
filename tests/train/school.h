/*
 * A tiny checkpoint, the examples of its training goldens (tools/goldens/train.py)
 * and everything that a step needs, put together.
 */
#ifndef TESTS_TRAIN_SCHOOL_H
#define TESTS_TRAIN_SCHOOL_H

#include "formats/tensor_file.h"
#include "train/objective.h"
#include "train/parameters.h"

enum { SCHOOL_EXAMPLES = 5 };

typedef struct school_options {
    const char *model;  /* of tests/data/tiny: "pg1" */
    const char *golden; /* file of tests/data/tiny */
    const char *lora;   /* folder of an adapter, which is then all that is trained; or NULL */
    const char *type;   /* that weights are converted to; or NULL */
    const char *level;  /* of kernels; NULL: the best */
    size_t threads;     /* 0: 1 */
    pl_activations activations;
    pl_keep keep;
    pl_parameters_options parameters; /* lr, decay, schedule; `train` is filled in */
} school_options;

typedef struct school {
    pl_paligemma *model;
    pl_tensor_file *golden;
    pl_parameters *parameters;
    float *pixels[2]; /* [side, side, 3], owned */
    pl_example_image images[SCHOOL_EXAMPLES];
    pl_example examples[SCHOOL_EXAMPLES];
    pl_layout_options layout;
    pl_objective objective;
    pl_microbatch batch;
    pl_arena arena;
    pl_tape tape;
    pl_context ctx;
} school;

/* Fails the running test on any failure. */
void school_open(school *s, const school_options *options);
void school_close(school *s);

/* Forward and backward of `count` examples from number `first` on, around and around; gradients are added to. The sum of weighted losses. */
double school_pass(school *s, size_t first, size_t count);

/* A number of the golden file. */
double school_golden(const school *s, const char *name, size_t index);

/* All gradients end to end, new: for comparing bits. */
float *school_gradients(const school *s, size_t *count);

#endif
