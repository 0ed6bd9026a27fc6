/*
 * Finite differences in the double build: how a loss changes when the values of
 * a tensor move along a direction. Five points, so the error is step^4 / 30
 * times the fifth derivative, and 1e-16 / step of the loss from rounding.
 */
#ifndef TESTS_OPS_DOUBLE_SLOPE_H
#define TESTS_OPS_DOUBLE_SLOPE_H

#include <stddef.h>

/* The loss with the values as they are. */
typedef double loss_fn(void *context);

/*
 * The worst error of a gradient [count] of loss(context) by `values`, relative to what it is measured by: along two
 * random directions, in which every value takes part, and for `single` values one by one.
 */
double slope_error(loss_fn *loss, void *context, float *values, const float *gradient, size_t count, size_t single, double step);

#endif
