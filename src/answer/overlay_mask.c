/*
 * A mask: its pixels tinted, and its contour as a two-tone line. The contour
 * runs along the edges between pixels inside and outside; each run of them is
 * one stroke, so corners come out round and slopes smooth.
 */
#include "answer/overlay.h"

#include <math.h>
#include <string.h>

/* A mask within its picture. */
typedef struct field {
    const unsigned char *inside; /* [height, width] */
    long width, height;
} field;

static bool is_inside(const field *f, long x, long y)
{
    return f->inside[y * f->width + x] != 0;
}

/* The pixels that are inside; empty when there are none. */
static pl_area area_of(const field *f)
{
    pl_area area = {f->width, f->height, 0, 0};
    for (long y = 0; y < f->height; y++)
        for (long x = 0; x < f->width; x++)
            if (is_inside(f, x, y)) {
                area.left = x < area.left ? x : area.left;
                area.right = x >= area.right ? x + 1 : area.right;
                area.top = y < area.top ? y : area.top;
                area.bottom = y + 1;
            }
    return area;
}

static void tint(const field *f, pl_area area, pl_image *image, pl_colour colour, double opacity)
{
    const unsigned opaque = (unsigned)lround(255 * opacity);
    for (long y = area.top; y < area.bottom; y++)
        for (long x = area.left; x < area.right; x++)
            if (is_inside(f, x, y))
                pl_blend(image->rgb + 3 * (y * f->width + x), colour, opaque);
}

/* Pixels on both sides of an edge that differ; the picture's own border is no contour. */
static bool differs(const field *f, long x, long y, bool is_row)
{
    if (is_row ? y <= 0 || y >= f->height : x <= 0 || x >= f->width)
        return false;
    return is_inside(f, x, y) != is_inside(f, is_row ? x : x - 1, is_row ? y - 1 : y);
}

/* Strokes along the rows (or the columns) of edges. */
static void stroke_edges(const field *f, pl_area area, bool is_row, double radius, pl_coverage *coverage)
{
    const long from = is_row ? area.top : area.left, to = is_row ? area.bottom : area.right;
    const long low = is_row ? area.left : area.top, high = is_row ? area.right : area.bottom;
    for (long line = from; line <= to; line++)
        for (long at = low; at < high;) {
            const long start = at;
            while (at < high && differs(f, is_row ? at : line, is_row ? line : at, is_row))
                at++;
            if (at > start) {
                const pl_point a = {(double)(is_row ? start : line), (double)(is_row ? line : start)};
                const pl_point b = {(double)(is_row ? at : line), (double)(is_row ? line : at)};
                pl_coverage_stroke(coverage, a, b, radius);
            } else {
                at++;
            }
        }
}

static void stroke_contour(const field *f, pl_area area, double radius, pl_coverage *coverage)
{
    pl_coverage_clear(coverage);
    stroke_edges(f, area, true, radius, coverage);
    stroke_edges(f, area, false, radius, coverage);
}

pali_status pl_mask_paint(const pl_figure *figure, const pl_overlay_style *style, pl_image *image, pali_error *err)
{
    const field f = {figure->mark->mask, (long)image->width, (long)image->height};
    const pl_area area = area_of(&f);
    if (pl_area_empty(area))
        return PALI_OK;
    /* Thin things keep their inside: the line takes no more than a quarter of them. */
    const long side = area.right - area.left < area.bottom - area.top ? area.right - area.left : area.bottom - area.top;
    const double width = fmax(1, fmin((double)style->line, (double)side / 4));
    const double halo = fmax(1, fmin((double)style->halo, (double)side / 8));
    const pl_area reach = pl_area_grow(area, (long)ceil(width / 2 + halo) + 1);
    pl_coverage coverage;
    const pali_status status = pl_coverage_init(&coverage, pl_area_common(reach, pl_area_of_image(image)), err);
    if (status != PALI_OK)
        return status;
    if (style->mask_opacity > 0)
        tint(&f, area, image, figure->colour, style->mask_opacity);
    stroke_contour(&f, area, width / 2 + halo, &coverage);
    pl_coverage_paint(&coverage, image, (pl_colour){0, 0, 0}, PL_HALO_OPACITY_PERCENT / 100.0);
    stroke_contour(&f, area, width / 2, &coverage);
    pl_coverage_paint(&coverage, image, figure->colour, 1);
    pl_coverage_free(&coverage);
    return PALI_OK;
}
