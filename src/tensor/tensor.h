/*
 * A tensor is a typed, row-major view of memory that somebody else owns: a
 * mapped file, an arena, or a block that a model keeps. No arithmetic here.
 */
#ifndef PL_TENSOR_TENSOR_H
#define PL_TENSOR_TENSOR_H

#include "tensor/dtype.h"

enum { PL_MAX_RANK = 5 };

typedef struct pl_tensor {
    pl_dtype dtype;
    size_t rank;
    size_t shape[PL_MAX_RANK]; /* outermost first; the last one is contiguous */
    const void *data;          /* borrowed; [count] values of dtype, row-major without gaps; tiled: groups of 16 rows, the last one filled up */
    const float *scale;        /* borrowed [rows], by which each row is to be multiplied; NULL: none */
} pl_tensor;

/* The number of values (0 when it does not fit), and of bytes; false where the product does not fit. */
bool pl_tensor_count(const pl_tensor *tensor, size_t *count);
bool pl_tensor_bytes(const pl_tensor *tensor, size_t *bytes);

/* The bytes of any shape of a dtype; false if rows are no whole blocks, if it is tiled and no matrix, or it does not fit. */
bool pl_shape_bytes(pl_dtype dtype, const size_t *shape, size_t rank, size_t *bytes);

/* True if data is aligned to what the dtype's elements need. */
bool pl_tensor_aligned(const pl_tensor *tensor);

/* "[2048, 1152]" into buf, for messages; returns buf. */
const char *pl_shape_text(const size_t *shape, size_t rank, char buf[96]);

/* Row r of a matrix (rank 2); of a tiled one the group of rows it stands in. */
const void *pl_tensor_row(const pl_tensor *tensor, size_t row);

#endif
