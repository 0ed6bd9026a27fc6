/*
 * Floats into the types that weights are stored in, and rows into tiles and
 * back. The block types are rounded as ggml's reference rounds them, to the
 * bit; the layout of tiles is described in docs/KERNELS.md.
 */
#ifndef PL_TENSOR_QUANTISE_H
#define PL_TENSOR_QUANTISE_H

#include "tensor/dtype.h"

/* The type of the rows that a tiled type is made of: I8 for Q8_TILES, whose scales stand apart; any other type itself. */
pl_dtype pl_dtype_untiled(pl_dtype type);

/* True for the types that pl_quantise_row makes: F32, BF16, F16, Q8_0, Q4_0. */
bool pl_dtype_can_quantise(pl_dtype type);

/*
 * n floats, whole blocks, as one row of such a type. False if a value does not
 * fit: one beyond f16's range, or one in a block that is not finite. What was
 * written then is not to be used.
 */
bool pl_quantise_row(pl_dtype type, size_t n, const float *x, void *row);

/* n floats as int8 codes within +-127 of one scale; false if a value is not finite. */
bool pl_quantise_codes(size_t n, const float *x, int8_t *codes, float *scale);

/*
 * rows (<= 16) rows of n values of pl_dtype_untiled(type), row_bytes apart -> one
 * group of the tiled type, filled up with zeros; and row r of a group back.
 */
void pl_tile_rows(pl_dtype type, size_t rows, size_t n, const void *w, size_t row_bytes, void *group);
void pl_untile_row(pl_dtype type, const void *group, size_t r, size_t n, void *row);

#endif
