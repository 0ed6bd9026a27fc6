/*
 * Put before every source of the double build (-include): float means double
 * from here on, so that gradients can be held against finite differences to
 * more digits than float has. System headers that declare floats come first and
 * stay as they are. A function that is missing below shows as a warning about
 * its result. Numbers of other types (bf16, f16) are not to be used: their
 * conversions know the bits of a float.
 */
#ifndef TESTS_OPS_DOUBLE_REAL_H
#define TESTS_OPS_DOUBLE_REAL_H

#include <math.h>
#include <stdlib.h>

#define float double
#define sqrtf sqrt
#define expf exp
#define exp2f exp2
#define expm1f expm1
#define logf log
#define log1pf log1p
#define log2f log2
#define powf pow
#define tanhf tanh
#define sinf sin
#define cosf cos
#define erff erf
#define fabsf fabs
#define fmaf(x, y, z) ((x) * (y) + (z)) /* faster; what it rounds is of no matter here */
#define fmaxf fmax
#define fminf fmin
#define ldexpf ldexp
#define frexpf frexp
#define scalbnf scalbn
#define floorf floor
#define ceilf ceil
#define roundf round
#define rintf rint
#define lrintf lrint
#define lroundf lround
#define nearbyintf nearbyint
#define copysignf copysign

#endif
