/*
 * A pixel is covered by a stroke as far as the distance from its centre to the
 * stroke's middle line falls short of the radius: a ramp one pixel wide.
 */
#include "answer/coverage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static long least(long a, long b)
{
    return a < b ? a : b;
}

static long most(long a, long b)
{
    return a > b ? a : b;
}

pl_area pl_area_common(pl_area a, pl_area b)
{
    return (pl_area){most(a.left, b.left), most(a.top, b.top), least(a.right, b.right), least(a.bottom, b.bottom)};
}

pali_status pl_coverage_init(pl_coverage *coverage, pl_area area, pali_error *err)
{
    if (pl_area_empty(area))
        area = (pl_area){0};
    *coverage = (pl_coverage){.area = area};
    coverage->bytes = pl_new((size_t)(area.bottom - area.top), (size_t)(area.right - area.left), "drawing", err);
    return coverage->bytes ? PALI_OK : PALI_MEMORY;
}

void pl_coverage_clear(pl_coverage *coverage)
{
    const pl_area a = coverage->area;
    memset(coverage->bytes, 0, (size_t)(a.bottom - a.top) * (size_t)(a.right - a.left));
}

void pl_coverage_free(pl_coverage *coverage)
{
    free(coverage->bytes);
    *coverage = (pl_coverage){0};
}

/* Distance from a point to the segment a..b. */
static double distance(pl_point p, pl_point a, pl_point b)
{
    const double dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
    double t = length > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / length : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

void pl_coverage_stroke(pl_coverage *coverage, pl_point a, pl_point b, double radius)
{
    const double reach = radius + 1;
    const pl_area touched = pl_area_common(coverage->area, (pl_area){
        (long)floor(fmin(a.x, b.x) - reach), (long)floor(fmin(a.y, b.y) - reach),
        (long)ceil(fmax(a.x, b.x) + reach), (long)ceil(fmax(a.y, b.y) + reach)});
    const size_t width = (size_t)(coverage->area.right - coverage->area.left);
    for (long y = touched.top; y < touched.bottom; y++) {
        unsigned char *const row = coverage->bytes + (size_t)(y - coverage->area.top) * width;
        for (long x = touched.left; x < touched.right; x++) {
            const double covered = radius + 0.5 - distance((pl_point){(double)x + 0.5, (double)y + 0.5}, a, b);
            const unsigned char value = covered <= 0 ? 0 : covered >= 1 ? 255 : (unsigned char)lround(255 * covered);
            unsigned char *const at = &row[x - coverage->area.left];
            *at = value > *at ? value : *at;
        }
    }
}

static unsigned byte_of(double opacity)
{
    return (unsigned)lround(255 * opacity);
}

void pl_coverage_paint(const pl_coverage *coverage, pl_image *image, pl_colour colour, double opacity)
{
    const pl_area inside = pl_area_common(coverage->area, pl_area_of_image(image));
    const size_t width = (size_t)(coverage->area.right - coverage->area.left);
    const unsigned most_opaque = byte_of(opacity);
    for (long y = inside.top; y < inside.bottom; y++) {
        const unsigned char *const row = coverage->bytes + (size_t)(y - coverage->area.top) * width - coverage->area.left;
        unsigned char *const rgb = image->rgb + 3 * (size_t)y * image->width;
        for (long x = inside.left; x < inside.right; x++)
            if (row[x])
                pl_blend(rgb + 3 * x, colour, (row[x] * most_opaque + 127) / 255);
    }
}

void pl_area_paint(pl_area area, pl_image *image, pl_colour colour, double opacity)
{
    const pl_area inside = pl_area_common(area, pl_area_of_image(image));
    const unsigned opaque = byte_of(opacity);
    for (long y = inside.top; y < inside.bottom; y++)
        for (long x = inside.left; x < inside.right; x++)
            pl_blend(image->rgb + 3 * ((size_t)y * image->width + (size_t)x), colour, opaque);
}

void pl_frame_paint(pl_area outer, pl_area inner, pl_image *image, pl_colour colour, double opacity)
{
    if (pl_area_empty(inner)) {
        pl_area_paint(outer, image, colour, opacity);
        return;
    }
    pl_area_paint((pl_area){outer.left, outer.top, outer.right, inner.top}, image, colour, opacity);
    pl_area_paint((pl_area){outer.left, inner.bottom, outer.right, outer.bottom}, image, colour, opacity);
    pl_area_paint((pl_area){outer.left, inner.top, inner.left, inner.bottom}, image, colour, opacity);
    pl_area_paint((pl_area){inner.right, inner.top, outer.right, inner.bottom}, image, colour, opacity);
}
