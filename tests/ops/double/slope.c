/* See slope.h. */
#include "ops/double/slope.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DIRECTIONS = 2 };

/* From -1 to 1. */
static double number(size_t i, size_t seed)
{
    uint64_t h = (i + 1) * 0x9e3779b97f4a7c15u + seed * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return (double)((h ^ h >> 31) >> 11) * 0x1p-52 - 1;
}

typedef struct line {
    loss_fn *loss;
    void *context;
    float *values;
    const double *from, *direction; /* [count] */
    size_t count;
} line;

static double loss_at(const line *l, double step)
{
    for (size_t i = 0; i < l->count; i++)
        l->values[i] = l->from[i] + step * l->direction[i];
    const double loss = l->loss(l->context);
    memcpy(l->values, l->from, l->count * sizeof *l->values);
    return loss;
}

static double slope(const line *l, double step)
{
    const double near = loss_at(l, step) - loss_at(l, -step), far = loss_at(l, 2 * step) - loss_at(l, -2 * step);
    return (8 * near - far) / (12 * step);
}

double slope_error(loss_fn *loss, void *context, float *values, const float *gradient, size_t count, size_t single, double step)
{
    double *from = malloc(2 * count * sizeof *from), *direction = from + count, worst = 0, largest = 0;
    if (!from)
        return INFINITY;
    memcpy(from, values, count * sizeof *from);
    const line l = {.loss = loss, .context = context, .values = values, .from = from, .direction = direction, .count = count};
    for (size_t d = 0; d < DIRECTIONS; d++) {
        double expected = 0, squares = 0;
        for (size_t i = 0; i < count; i++) {
            direction[i] = number(i, d);
            expected += gradient[i] * direction[i];
            squares += gradient[i] * gradient[i] * direction[i] * direction[i];
            largest = fmax(largest, fabs(gradient[i]));
        }
        const double error = fabs(slope(&l, step) - expected);
        worst = error <= worst * sqrt(squares) ? worst : error / sqrt(squares); /* NaN too */
    }
    memset(direction, 0, count * sizeof *direction);
    for (size_t n = 0; n < single && n < count; n++) {
        const size_t i = single < count ? (n * 7919 + 13) % count : n;
        direction[i] = 1;
        const double error = fabs(slope(&l, step) - gradient[i]);
        worst = error <= worst * largest ? worst : error / largest;
        direction[i] = 0;
    }
    free(from);
    return worst;
}
