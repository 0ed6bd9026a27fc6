/*
 * Put before every source of the double build (-include): float means double
 * from here on, so that gradients can be held against finite differences to
 * more digits than float has. The system's headers come first and stay as they
 * are. A function that is missing below shows as a warning about its result. Without a processor's name only the level `ref` is left. Numbers of
 * other types (bf16, f16) are not to be used: their conversions know the bits
 * of a float.
 */
#ifndef TESTS_OPS_DOUBLE_REAL_H
#define TESTS_OPS_DOUBLE_REAL_H

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef __x86_64__
#undef __aarch64__

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
