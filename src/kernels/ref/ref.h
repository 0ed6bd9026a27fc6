/*
 * The kernels of the level `ref`, for its table (ref/matrix.c) and for levels
 * that have nothing faster.
 */
#ifndef PL_KERNELS_REF_H
#define PL_KERNELS_REF_H

#include "base/memory.h"
#include "kernels/levels.h"

#define PL_REF_KERNEL(type, name) type pl_##name##_ref;
PL_KERNEL_LIST(PL_REF_KERNEL)
#undef PL_REF_KERNEL

/* Mean and variance of n values. */
static inline double pl_mean_ref(size_t n, const float *x, double *variance)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    *variance = square / (double)n;
    return mean;
}

/* The part of the table in ref/narrow.c. */
void pl_fill_narrow_ref(pl_kernels *k);

#endif
