/*
 * One chart: axes with round numbers, a line a curve. Coordinates are those of
 * the viewBox; colours are the page's, by class.
 */
#include "train/report_chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 640,
    HEIGHT = 240,
    LEFT = 58,
    RIGHT = 12,
    TOP = 10,
    BOTTOM = 26,
    MOST_POINTS = 600, /* of a line; more are joined */
    FEW_POINTS = 60,   /* so many are shown as they are, with dots */
    COLOURS = 6,
};

pali_status pl_html_text(pl_buffer *html, const char *text, pali_error *err)
{
    static const char replacement[] = "\xef\xbf\xbd";
    const size_t length = text ? strlen(text) : 0;
    pali_status status = PALI_OK;
    for (size_t i = 0, bytes; status == PALI_OK && i < length; i += bytes) {
        uint32_t code;
        bool valid;
        bytes = pl_utf8_read(text + i, length - i, &code, &valid);
        const bool control = (code < 32 && code != '\n' && code != '\t') || (code >= 127 && code < 160) || (code & 0xfffe) == 0xfffe;
        if (!valid || control)
            status = pl_buffer_append(html, replacement, 3, err);
        else if (code == '&' || code == '<' || code == '>' || code == '"' || code == '\'')
            status = pl_buffer_printf(html, err, "&#%u;", (unsigned)code);
        else
            status = pl_buffer_append(html, text + i, bytes, err);
    }
    return status;
}

/* A point of a line, in the chart's numbers. */
typedef struct point {
    double x, y;
} point;

/* What an axis shows. */
typedef struct axis {
    double low, high, step; /* step: between ticks */
    bool log;               /* low, high and step are logarithms to 10 */
} axis;

/* 1, 2 or 5 times a power of ten, so that there are about `wanted` in the range. */
static double round_step(double range, int wanted)
{
    const double rough = range / wanted, power = pow(10, floor(log10(rough))), part = rough / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static axis axis_of(double low, double high, bool is_log)
{
    axis a = {.log = is_log};
    if (!(high > low)) { /* one value: some room around it */
        const double room = fabs(high) > 0 ? fabs(high) / 10 : 1;
        low -= room;
        high += room;
    }
    a.step = round_step(high - low, 4);
    if (is_log) { /* ticks are where log_tick says */
        a.low = low - (high - low) / 30;
        a.high = high + (high - low) / 30;
        return a;
    }
    a.low = floor(low / a.step + 1e-9) * a.step;
    a.high = ceil(high / a.step - 1e-9) * a.step;
    return a;
}

static double x_of(const axis *a, double value)
{
    return LEFT + (value - a->low) / (a->high - a->low) * (WIDTH - LEFT - RIGHT);
}

/* `at` in the axis' own units. */
static double height_of(const axis *a, double at)
{
    return HEIGHT - BOTTOM - (at - a->low) / (a->high - a->low) * (HEIGHT - TOP - BOTTOM);
}

static double y_of(const axis *a, double value)
{
    return height_of(a, a->log ? log10(value) : value);
}

/* The finite points of a curve into points[chart->count]; returns their number. */
static size_t take_points(const pl_chart *chart, const pl_curve *curve, point *points)
{
    size_t count = 0;
    for (size_t i = 0; i < chart->count; i++) {
        const point p = {.x = chart->steps[i * chart->stride], .y = curve->values[i * chart->stride]};
        if (isfinite(p.x) && isfinite(p.y))
            points[count++] = p;
    }
    return count;
}

/* Neighbours joined to their mean, so that a line has no more points than it can show. */
static size_t thin(point *points, size_t count)
{
    const size_t together = (count + MOST_POINTS - 1) / MOST_POINTS;
    size_t made = 0;
    for (size_t i = 0; together > 1 && i < count; i += together) {
        const size_t n = pl_min(together, count - i);
        point sum = {0};
        for (size_t k = 0; k < n; k++) {
            sum.x += points[i + k].x;
            sum.y += points[i + k].y;
        }
        points[made++] = (point){.x = sum.x / (double)n, .y = sum.y / (double)n};
    }
    return together > 1 ? made : count;
}

/* The running mean, corrected for its start. */
static void smooth(point *points, size_t count)
{
    const double keep = 1 - 1 / fmax(3, (double)count / 40);
    double mean = 0, weight = 0;
    for (size_t i = 0; i < count; i++) {
        mean = keep * mean + (1 - keep) * points[i].y;
        weight = keep * weight + (1 - keep);
        points[i].y = mean / weight;
    }
}

static pali_status put_line(const point *points, size_t count, const axis *x, const axis *y, const char *kind, size_t colour, pl_buffer *html, pali_error *err)
{
    pali_status status = pl_buffer_printf(html, err, "<polyline class=\"%s c%zu\" points=\"", kind, colour % COLOURS);
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        status = pl_buffer_printf(html, err, "%s%.1f,%.1f", i ? " " : "", x_of(x, points[i].x), y_of(y, points[i].y));
    return status == PALI_OK ? pl_buffer_printf(html, err, "\"/>\n") : status;
}

static pali_status put_dots(const point *points, size_t count, const axis *x, const axis *y, size_t colour, pl_buffer *html, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        status = pl_buffer_printf(html, err, "<circle class=\"c%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>step %.0f: %.5g</title></circle>\n", colour % COLOURS, x_of(x, points[i].x),
                                  y_of(y, points[i].y), points[i].x, points[i].y);
    return status;
}

static pali_status put_curve(point *points, size_t count, const axis *x, const axis *y, size_t colour, pl_buffer *html, pali_error *err)
{
    if (count <= FEW_POINTS) {
        const pali_status status = put_line(points, count, x, y, "line", colour, html, err);
        return status == PALI_OK ? put_dots(points, count, x, y, colour, html, err) : status;
    }
    count = thin(points, count);
    pali_status status = put_line(points, count, x, y, "raw", colour, html, err);
    smooth(points, count);
    return status == PALI_OK ? put_line(points, count, x, y, "line", colour, html, err) : status;
}

/* The value of tick i on a scale of logarithms: 1, 2, 5, 10 ... of its decade, or powers of ten alone where there are many. */
static double log_tick(const axis *a, int i)
{
    static const double parts[] = {1, 2, 5};
    const double range = a->high - a->low, decade = floor(a->low);
    if (range < 2.5)
        return pow(10, decade + i / 3) * parts[i % 3];
    const double step = fmax(1, floor(range / 5));
    return pow(10, (floor(decade / step) + i) * step);
}

static pali_status put_tick(const axis *y, double at, double value, pl_buffer *html, pali_error *err)
{
    const double height = height_of(y, at);
    return pl_buffer_printf(html, err, "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", LEFT, height,
                            WIDTH - RIGHT, height, LEFT - 6, height + 4, value);
}

static pali_status put_axes(const axis *x, const axis *y, pl_buffer *html, pali_error *err)
{
    enum { MOST_TICKS = 20 };
    pali_status status = PALI_OK;
    for (int i = 0; status == PALI_OK && i < MOST_TICKS; i++) {
        const double value = y->log ? log_tick(y, i) : y->low + i * y->step, at = y->log ? log10(value) : value;
        if (isfinite(at) && at >= y->low - y->step / 1e6 && at <= y->high + y->step / 1e6)
            status = put_tick(y, at, fabs(value) < y->step / 1e6 && !y->log ? 0 : value, html, err);
    }
    const double first = ceil(x->low / x->step - 1e-9) * x->step;
    for (double tick = first; status == PALI_OK && tick <= x->high + x->step / 1e3; tick += x->step)
        status = pl_buffer_printf(html, err, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%.6g</text>\n", x_of(x, tick), HEIGHT - 8, x_of(x, tick) > WIDTH - 40 ? "end" : "middle", tick);
    return status;
}

/* A name with the last value of its curve. */
static pali_status put_key(const pl_curve *curve, size_t colour, double last, pl_buffer *html, pali_error *err)
{
    pali_status status = pl_buffer_printf(html, err, "<span class=\"key c%zu\">", colour % COLOURS);
    if (status == PALI_OK)
        status = pl_html_text(html, curve->name, err);
    return status == PALI_OK ? pl_buffer_printf(html, err, " <b>%.5g</b></span>\n", last) : status;
}

/* Lowest and highest of all points. */
typedef struct bounds {
    point low, high;
    bool any;
} bounds;

static bounds bounds_of(const pl_chart *chart, point *points)
{
    bounds b = {.low = {INFINITY, INFINITY}, .high = {-INFINITY, -INFINITY}};
    for (size_t c = 0; c < chart->curve_count; c++) {
        const size_t count = take_points(chart, &chart->curves[c], points);
        b.any = b.any || count;
        for (size_t i = 0; i < count; i++) {
            b.low = (point){.x = fmin(b.low.x, points[i].x), .y = fmin(b.low.y, points[i].y)};
            b.high = (point){.x = fmax(b.high.x, points[i].x), .y = fmax(b.high.y, points[i].y)};
        }
    }
    return b;
}

pali_status pl_chart_append(const pl_chart *chart, pl_buffer *html, pali_error *err)
{
    point *const points = pl_new(chart->count, sizeof *points, "chart", err);
    if (!points)
        return PALI_MEMORY;
    const bounds b = bounds_of(chart, points);
    const bool is_log = chart->log_scale && b.low.y > 0 && b.high.y / b.low.y > 3; /* else a scale of logarithms has no ticks to show */
    const axis y = is_log ? axis_of(log10(b.low.y), log10(b.high.y), true) : axis_of(b.low.y, b.high.y, false);
    axis x = axis_of(b.low.x, b.high.x, false);
    if (b.high.x > b.low.x) {
        x.low = b.low.x;
        x.high = b.high.x;
    }
    pali_status status = b.any ? pl_buffer_printf(html, err, "<figure><figcaption><strong>") : PALI_OK;
    if (status == PALI_OK && b.any)
        status = pl_html_text(html, chart->title, err);
    if (status == PALI_OK && b.any)
        status = pl_buffer_printf(html, err, "</strong>\n");
    for (size_t c = 0; status == PALI_OK && c < chart->curve_count; c++) {
        const size_t count = take_points(chart, &chart->curves[c], points);
        if (count)
            status = put_key(&chart->curves[c], c, points[count - 1].y, html, err);
    }
    if (status == PALI_OK && b.any)
        status = pl_buffer_printf(html, err, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, HEIGHT);
    if (status == PALI_OK && b.any)
        status = put_axes(&x, &y, html, err);
    for (size_t c = 0; status == PALI_OK && c < chart->curve_count; c++) {
        const size_t count = take_points(chart, &chart->curves[c], points);
        if (count)
            status = put_curve(points, count, &x, &y, c, html, err);
    }
    if (status == PALI_OK && b.any)
        status = pl_buffer_printf(html, err, "</svg></figure>\n");
    free(points);
    return status;
}
