/*
 * Filling a polygon exactly as COCO's tools do (frPyObjects): its outline is
 * walked on a grid five times finer than the pixels; where a step crosses the
 * middle of a pixel column, the column changes between out and in at the row
 * that the outline has there, rounded up. So the even-odd rule holds along
 * columns, and lines that run there and back leave no trace.
 */
#include "answer/mask.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

enum { FINE = 5 /* steps a pixel */ };

/* Where columns change: column * height + row, so also the place among run lengths. */
typedef struct crossings {
    uint32_t *places; /* [count], owned */
    size_t count, capacity;
    size_t width, height;
} crossings;

typedef struct point {
    int x, y;
} point;

/* A step of the walk, from one point to the next, notes a crossing if it makes one. */
static pali_status cross(crossings *c, point from, point to, pali_error *err)
{
    if (from.x == to.x)
        return PALI_OK;
    const int left = to.x < from.x ? to.x : to.x - 1;
    const double column = (left + 0.5) / FINE - 0.5;
    if (floor(column) != column || column < 0 || column > (double)c->width - 1)
        return PALI_OK;
    const double row = ceil(fmin(fmax(((to.y < from.y ? to.y : from.y) + 0.5) / FINE - 0.5, 0), (double)c->height));
    const pali_status status = pl_grow(&c->places, &c->capacity, c->count + 1, sizeof *c->places, "polygon", err);
    if (status == PALI_OK)
        c->places[c->count++] = (uint32_t)column * (uint32_t)c->height + (uint32_t)row;
    return status;
}

/* Walks one side, from its first point to its last; *at is the point that the walk has come to. */
static pali_status walk_side(crossings *c, point from, point to, point *at, bool first, pali_error *err)
{
    const int wide = abs(to.x - from.x), high = abs(to.y - from.y);
    const bool flat = wide >= high;
    /* Every side is computed in the direction of growing coordinates, so that a line has the same points both ways. */
    const bool back = flat ? from.x > to.x : from.y > to.y;
    const point low = back ? to : from, far = back ? from : to;
    const int steps = flat ? wide : high;
    const double slope = steps == 0 ? 0 : flat ? (double)(far.y - low.y) / wide : (double)(far.x - low.x) / high;
    pali_status status = PALI_OK;
    for (int i = 0; i <= steps && status == PALI_OK; i++) {
        const int t = back ? steps - i : i;
        const point next = flat ? (point){low.x + t, (int)(low.y + slope * t + 0.5)} : (point){(int)(low.x + slope * t + 0.5), low.y + t};
        if (!(first && i == 0))
            status = cross(c, *at, next, err);
        *at = next;
    }
    return status;
}

static int by_place(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Sets what lies between odd and even crossings. */
static void set_runs(pl_mask *mask, const crossings *c)
{
    const size_t pixels = mask->width * mask->height;
    for (size_t i = 0; i < c->count; i += 2) {
        const size_t end = i + 1 < c->count ? c->places[i + 1] : pixels;
        for (size_t place = c->places[i]; place < end; place++)
            mask->bits[place % mask->height * mask->width + place / mask->height] = 1;
    }
}

static pali_status fine_point(const double *xy, size_t corner, point *out, pali_error *err)
{
    for (size_t axis = 0; axis < 2; axis++)
        if (!(fabs(xy[axis]) <= (double)PL_IMAGE_MAX_SIDE))
            return pl_fail(err, PALI_INPUT, "polygon: found %g as %c of corner %zu, expected a number of pixels from -%zu to %zu", xy[axis], axis ? 'y' : 'x', corner + 1, PL_IMAGE_MAX_SIDE,
                           PL_IMAGE_MAX_SIDE);
    *out = (point){(int)(FINE * xy[0] + 0.5), (int)(FINE * xy[1] + 0.5)};
    return PALI_OK;
}

pali_status pl_mask_fill(pl_mask *mask, const pali_polygon *polygon, pali_error *err)
{
    if (polygon->count < 3)
        return pl_fail(err, PALI_INPUT, "polygon: found %zu corners, expected at least 3", polygon->count);
    crossings c = {.width = mask->width, .height = mask->height};
    point first, at, from, to;
    pali_status status = fine_point(polygon->xy, 0, &first, err);
    at = from = first;
    for (size_t i = 1; i <= polygon->count && status == PALI_OK; i++) {
        to = first;
        if (i < polygon->count)
            status = fine_point(polygon->xy + 2 * i, i, &to, err);
        if (status == PALI_OK)
            status = walk_side(&c, from, to, &at, i == 1, err);
        from = to;
    }
    if (status == PALI_OK && c.count) {
        qsort(c.places, c.count, sizeof *c.places, by_place);
        set_runs(mask, &c);
    }
    free(c.places);
    return status;
}
