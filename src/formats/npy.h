/*
 * The header of a .npy array: element type, order of axes, shape.
 */
#ifndef PL_FORMATS_NPY_H
#define PL_FORMATS_NPY_H

#include "tensor/tensor.h"

enum {
    PL_NPY_MAX_RANK = 8,
    PL_NPY_MAX_HEADER = 16384, /* bytes before the data; plain arrays need 64 or 128 */
};

typedef struct pl_npy {
    char type[20];       /* as written: "<f4"; cut to fit */
    pl_dtype dtype;      /* PL_DTYPE_COUNT when it is none of ours */
    const char *problem; /* why the array cannot be used, or NULL; static text */
    size_t rank;
    size_t shape[PL_NPY_MAX_RANK]; /* outermost first */
    size_t header;       /* bytes before the data */
} pl_npy;

/*
 * Reads the header at the beginning of an array; `size` bytes are there, all
 * of it or at least PL_NPY_MAX_HEADER. `where` stands before messages.
 */
pali_status pl_npy_read(pl_npy *npy, const unsigned char *bytes, size_t size, const char *where, pali_error *err);

#endif
