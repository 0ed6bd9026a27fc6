/*
 * Inside the room: the pixels that a kernel covers as a row of a matrix, and
 * back. `small` is the grid with a place for each position of the kernel on
 * `big`: a convolution's output and input, a transposed one's input and output.
 */
#ifndef PL_OPS_CPU_COLUMNS_H
#define PL_OPS_CPU_COLUMNS_H

#include "ops/convolution.h"

/* columns [pixels of small, kernel * kernel * channels of big]: what the kernel covers at each place, zeros outside. */
void pl_gather_columns(pl_context *ctx, const pl_convolution *c, pl_grid big, pl_grid small, pl_rows columns);

/* big = bias (NULL: 0) + all columns that reach each pixel; or these are added to big. */
void pl_collect_columns(pl_context *ctx, const pl_convolution *c, pl_rows columns, pl_grid small, const float *bias, pl_grid big);
void pl_add_columns(pl_context *ctx, const pl_convolution *c, pl_rows columns, pl_grid small, pl_grid big);

/* The kernel covers one pixel at a time: columns are the pixels themselves. */
static inline bool pl_is_pointwise(const pl_convolution *c)
{
    return c->kernel == 1 && c->stride == 1 && c->padding == 0;
}

/* Some of the pictures of a grid. */
static inline pl_grid pl_grid_view(pl_grid grid, size_t first, size_t count)
{
    const size_t pixels = grid.height * grid.width;
    return (pl_grid){.rows = pl_rows_view(grid.rows, first * pixels, count * pixels), .height = grid.height, .width = grid.width};
}

/* A pl_backward_fn and its record; x and y have the same number of pictures. */
typedef struct pl_convolution_record {
    pl_convolution c;
    pl_grid x, y;
    bool transposed;
} pl_convolution_record;
void pl_convolution_backward(pl_context *ctx, const void *record);

/* Pictures that a task takes through a convolution at a time: so many that products have work, as few as stay in cache. */
size_t pl_pictures_at_a_time(pl_grid small);

/* The context of one task: its thread alone, and a piece of memory of its own; a plan arena where that is NULL. Its rows are some of many. */
pl_context pl_context_of_task(const pl_context *ctx, pl_arena *arena, void *memory, size_t bytes);

#endif
