/* For the tests of products: random weights of every type, and what they stand for. */
#ifndef TESTS_OPS_WEIGHTS_H
#define TESTS_OPS_WEIGHTS_H

#include "ops/ops.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct weights {
    pl_linear linear;
    void *data;
    float *bias, *scale;
    float *values; /* [out, in]: what the weights stand for */
} weights;

/* Of size about 1; [out, in] of a type whose blocks divide in. */
weights random_weights(pl_dtype type, size_t out, size_t in);
void free_weights(weights *w);

float random_float(void);         /* in [-1, 1] */
float *random_floats(size_t n);   /* [n], free() */

#endif
