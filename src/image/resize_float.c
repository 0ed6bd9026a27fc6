/*
 * Pillow's resize of 32-bit floats (libImaging/Resample.c, 32bpc): each pass
 * sums in double, in order, and keeps floats. No operation may be contracted:
 * the build compiles this file with -ffp-contract=off.
 */
#include "image/resize.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* A plane of floats, and how far apart its neighbours stand along the axis that is resized, and across. */
typedef struct plane {
    float *data;
    size_t along, across;
} plane;

/* `lines` lines of `in` values become lines of `out` values. */
static pali_status resize_axis(size_t lines, size_t in, size_t out, pl_filter filter, plane from, plane to, pali_error *err)
{
    double *weights = pl_new_raw(pl_filter_taps_most(in, out, filter), sizeof *weights, "resize weights", err);
    if (!weights)
        return PALI_MEMORY;
    for (size_t i = 0; i < out; i++) {
        size_t start = 0;
        const size_t count = pl_filter_taps(in, out, i, filter, weights, &start);
        for (size_t line = 0; line < lines; line++) {
            const float *at = from.data + line * from.across + start * from.along;
            double sum = 0.0;
            for (size_t j = 0; j < count; j++)
                sum += (double)at[j * from.along] * weights[j];
            to.data[line * to.across + i * to.along] = (float)sum;
        }
    }
    free(weights);
    return PALI_OK;
}

static pali_status across(const float *src, size_t rows, size_t in, size_t out, pl_filter filter, float *dst, pali_error *err)
{
    return resize_axis(rows, in, out, filter, (plane){(float *)(uintptr_t)src, 1, in}, (plane){dst, 1, out}, err);
}

static pali_status down(const float *src, size_t columns, size_t in, size_t out, pl_filter filter, float *dst, pali_error *err)
{
    return resize_axis(columns, in, out, filter, (plane){(float *)(uintptr_t)src, columns, 1}, (plane){dst, columns, 1}, err);
}

pali_status pl_resize_pillow_float(const float *src, size_t src_width, size_t src_height, size_t width, size_t height, pl_filter filter, pl_pass_order order, float *dst, pali_error *err)
{
    if ((unsigned)filter > PL_FILTER_HAMMING || filter == PL_FILTER_NEAREST)
        return pl_fail(err, PALI_USAGE, "resize filter: found %d, expected 1 to %d", (int)filter, (int)PL_FILTER_HAMMING);
    pali_status status = pl_image_check(width, height, "resized picture", err);
    if (status != PALI_OK)
        return status;
    if (src_width == width && src_height == height) {
        memcpy(dst, src, width * height * sizeof *dst);
        return PALI_OK;
    }
    if (src_height == height)
        return across(src, height, src_width, width, filter, dst, err);
    if (src_width == width)
        return down(src, width, src_height, height, filter, dst, err);
    const bool vertical = pl_pass_vertical_first(order, src_width, src_height, width, height);
    float *middle = pl_new_raw(vertical ? src_width * height : width * src_height, sizeof *middle, "resized rows", err);
    if (!middle)
        return PALI_MEMORY;
    status = vertical ? down(src, src_width, src_height, height, filter, middle, err) : across(src, src_height, src_width, width, filter, middle, err);
    if (status == PALI_OK)
        status = vertical ? across(middle, height, src_width, width, filter, dst, err) : down(middle, width, src_height, height, filter, dst, err);
    free(middle);
    return status;
}
