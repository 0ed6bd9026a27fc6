/*
 * Anti-aliased drawing: strokes are collected as coverage, one byte a pixel,
 * then colour is laid through it onto a picture. Collecting by the greatest
 * value keeps joints of strokes free of seams. Pixel (i, j) is the square from
 * (i, j) to (i + 1, j + 1); what lies outside the picture is cut off.
 */
#ifndef PL_ANSWER_COVERAGE_H
#define PL_ANSWER_COVERAGE_H

#include "base/memory.h"
#include "image/image.h"

typedef struct pl_colour {
    unsigned char r, g, b;
} pl_colour;

/* Whole pixels: columns left..right-1, rows top..bottom-1; empty where right <= left or bottom <= top. */
typedef struct pl_area {
    long left, top, right, bottom;
} pl_area;

typedef struct pl_point {
    double x, y;
} pl_point;

/* How much of each pixel of an area is covered. */
typedef struct pl_coverage {
    pl_area area;
    unsigned char *bytes; /* [bottom - top, right - left] u8, owned */
} pl_coverage;

pl_area pl_area_common(pl_area a, pl_area b);
static inline bool pl_area_empty(pl_area a)
{
    return a.right <= a.left || a.bottom <= a.top;
}
static inline pl_area pl_area_of_image(const pl_image *image)
{
    return (pl_area){0, 0, (long)image->width, (long)image->height};
}
static inline pl_area pl_area_grow(pl_area a, long by)
{
    return (pl_area){a.left - by, a.top - by, a.right + by, a.bottom + by};
}

/* Nothing covered yet; an empty area is none to fail on. Release with pl_coverage_free. */
pali_status pl_coverage_init(pl_coverage *coverage, pl_area area, pali_error *err);
void pl_coverage_clear(pl_coverage *coverage);
void pl_coverage_free(pl_coverage *coverage);

/* The stroke of a round pen of that radius from a to b (a dot where they are one point). */
void pl_coverage_stroke(pl_coverage *coverage, pl_point a, pl_point b, double radius);

/* Lays colour onto the picture where it is covered; opacity in [0, 1]. */
void pl_coverage_paint(const pl_coverage *coverage, pl_image *image, pl_colour colour, double opacity);

/* Whole pixels of an area, and those of `outer` that are not in `inner`. */
void pl_area_paint(pl_area area, pl_image *image, pl_colour colour, double opacity);
void pl_frame_paint(pl_area outer, pl_area inner, pl_image *image, pl_colour colour, double opacity);

/* One pixel's way to a colour; opacity 0..255. */
static inline void pl_blend(unsigned char rgb[3], pl_colour colour, unsigned opacity)
{
    const unsigned rest = 255 - opacity;
    rgb[0] = (unsigned char)((rgb[0] * rest + colour.r * opacity + 127) / 255);
    rgb[1] = (unsigned char)((rgb[1] * rest + colour.g * opacity + 127) / 255);
    rgb[2] = (unsigned char)((rgb[2] * rest + colour.b * opacity + 127) / 255);
}

#endif
