/* Writing the header of a .npy array. */
#ifndef PL_FORMATS_NPY_WRITE_H
#define PL_FORMATS_NPY_WRITE_H

#include "tensor/tensor.h"

enum { PL_NPY_WRITE_ALIGNMENT = 64, PL_NPY_WRITE_HEADER = 512 /* bytes that any header fits in */ };

/*
 * The header of an array of F32, F16 or BF16 (as "|V2", as big_vision has it) of
 * up to PL_MAX_RANK axes into text [PL_NPY_WRITE_HEADER], filled up so that data
 * behind it and `before` bytes are aligned; returns its length.
 */
size_t pl_npy_header(char text[PL_NPY_WRITE_HEADER], uint64_t before, pl_dtype dtype, const size_t *shape, size_t rank);

#endif
