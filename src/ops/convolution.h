/*
 * Convolutions over pictures of channels, as two-dimensional maps of
 * matrices: pixels are rows, channels are columns (NHWC), so that a kernel of
 * one pixel is a linear map, and others are one after their pixels have been
 * gathered (or before they are scattered).
 */
#ifndef PL_OPS_CONVOLUTION_H
#define PL_OPS_CONVOLUTION_H

#include "ops/ops.h"

/* Pictures end to end, each height x width pixels in rows from the top left: [count, channels]. */
typedef struct pl_grid {
    pl_rows rows;
    size_t height, width;
} pl_grid;

/*
 * A square kernel. The weight of a convolution is [out, kernel * kernel * in]: PyTorch's [out, in, kernel, kernel] with
 * channels last; that of a transposed one [kernel * kernel * out, in]: PyTorch's [in, out, kernel, kernel], channels first.
 * The bias is [out] or NULL. There are no adapters. Products take their activations as the context says.
 */
typedef struct pl_convolution {
    pl_linear map;
    size_t kernel, stride, padding;
} pl_convolution;

/* The side of the output for a side of the input; 0 where there is none. */
size_t pl_convolution_side(const pl_convolution *c, size_t side);
size_t pl_convolution_transposed_side(const pl_convolution *c, size_t side);

/* Grids of the size that a convolution gives for x, not initialised. */
pl_grid pl_grid_push(pl_context *ctx, size_t pictures, size_t height, size_t width, size_t channels);

/* y[o][v][u] = bias[o] + sum over i, ky, kx of x[i][v*stride - padding + ky][u*stride - padding + kx] * W[o][i][ky][kx]; zeros outside. */
void pl_op_convolution(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y);

/* y[o][v*stride - padding + ky][u*stride - padding + kx] += x[i][v][u] * W[i][o][ky][kx], from y = bias on; the kernel is not flipped. */
void pl_op_convolution_transposed(pl_context *ctx, const pl_convolution *c, pl_grid x, pl_grid y);

/* y = max(x, 0), NaN stays; y may be x, on a tape too: its backward needs only which values are above 0. */
void pl_op_relu(pl_context *ctx, pl_rows x, pl_rows y);

#endif
