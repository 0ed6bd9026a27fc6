/*
 * Pillow's resize of 8-bit RGB, bit for bit (libImaging/Resample.c): weights
 * made in double, held as integers times 2^22; a horizontal pass to 8 bits,
 * then a vertical one. A filter widens with the reduction, so it antialiases.
 * The sums are kernels; here are the weights, and the rows cut into tasks.
 */
#include "image/resize.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *pl_filter_name(pl_filter filter)
{
    static const char *const names[] = {
#define FILTER_NAME(name, value, text) [value] = text,
        PL_FILTER_LIST(FILTER_NAME)
#undef FILTER_NAME
    };
    return names[filter];
}

enum { ROWS = 32 /* of a task */ };

struct pl_tap_table {
    size_t outputs, taps; /* taps: kept per output, a multiple of PL_TAPS_STEP; those beyond its count are zero */
    size_t *start, *count; /* [outputs] */
    int16_t *high, *low;   /* [outputs, taps] weights as 256 * high + low */
};

/* sin(pi x) / (pi x) */
static double sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    const double angle = x * M_PI;
    return sin(angle) / angle;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static double bilinear(double x)
{
    const double t = fabs(x);
    return t < 1.0 ? 1.0 - t : 0.0;
}

static double bicubic(double x)
{
    const double t = fabs(x); /* Keys' cubic with a = -0.5 */
    if (t < 1.0)
        return (1.5 * t - 2.5) * t * t + 1.0;
    return t < 2.0 ? (((t - 5.0) * t + 8.0) * t - 4.0) * -0.5 : 0.0;
}

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double hamming(double x)
{
    const double t = fabs(x);
    if (t == 0.0)
        return 1.0;
    if (t >= 1.0)
        return 0.0;
    const double angle = t * M_PI;
    return sin(angle) / angle * (0.54f + 0.46f * cos(angle)); /* Pillow's constants are float */
}

static const struct {
    double (*weight)(double x);
    double support;
} filters[] = {
    [PL_FILTER_LANCZOS] = {lanczos, 3.0}, [PL_FILTER_BILINEAR] = {bilinear, 1.0}, [PL_FILTER_BICUBIC] = {bicubic, 2.0},
    [PL_FILTER_BOX] = {box, 0.5},         [PL_FILTER_HAMMING] = {hamming, 1.0},
};

void pl_tap_table_free(pl_tap_table *table)
{
    if (!table)
        return;
    free(table->start);
    free(table->count);
    free(table->high);
    free(table->low);
    free(table);
}

size_t pl_filter_taps_most(size_t in, size_t out, pl_filter filter)
{
    const double scale = (double)in / (double)out;
    return (size_t)ceil(filters[filter].support * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
}

size_t pl_filter_taps(size_t in, size_t out, size_t output, pl_filter filter, double *weights, size_t *start)
{
    const double scale = (double)in / (double)out;
    const double widening = scale < 1.0 ? 1.0 : scale;
    const double support = filters[filter].support * widening;
    const double center = ((double)output + 0.5) * scale;
    const double inverse = 1.0 / widening;
    const double first = center - support + 0.5, last = center + support + 0.5;
    *start = first < 0 ? 0 : (size_t)first;
    const size_t end = pl_min(last < 0 ? 0 : (size_t)last, in);
    const size_t count = end - *start;
    double sum = 0.0;
    for (size_t j = 0; j < count; j++) {
        weights[j] = filters[filter].weight(((double)(j + *start) - center + 0.5) * inverse);
        sum += weights[j];
    }
    for (size_t j = 0; j < count && sum != 0.0; j++)
        weights[j] /= sum;
    return count;
}

/* The weights of one output, times 2^22, in their halves. */
static void set_weights(pl_tap_table *table, size_t output, const double *real)
{
    for (size_t j = 0; j < table->count[output]; j++) {
        const double fixed = real[j] * (1 << PL_TAP_BITS);
        const int32_t weight = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        table->high[output * table->taps + j] = (int16_t)(weight >> 8);
        table->low[output * table->taps + j] = (int16_t)(weight & 255);
    }
}

pl_tap_table *pl_tap_table_new(size_t in, size_t out, pl_filter filter, pali_error *err)
{
    const size_t most = pl_filter_taps_most(in, out, filter);
    pl_tap_table *table = pl_new(1, sizeof *table, "resize weights", err);
    double *real = pl_new_raw(most, sizeof *real, "resize weights", err);
    if (!table || !real)
        goto failed;
    *table = (pl_tap_table){.outputs = out, .taps = pl_round_up(pl_min(most, in), PL_TAPS_STEP)};
    table->start = pl_new_raw(out, sizeof *table->start, "resize weights", err);
    table->count = pl_new_raw(out, sizeof *table->count, "resize weights", err);
    table->high = pl_new(out * table->taps, sizeof *table->high, "resize weights", err);
    table->low = pl_new(out * table->taps, sizeof *table->low, "resize weights", err);
    if (!table->start || !table->count || !table->high || !table->low)
        goto failed;
    for (size_t i = 0; i < out; i++) {
        table->count[i] = pl_filter_taps(in, out, i, filter, real, &table->start[i]);
        set_weights(table, i, real);
    }
    free(real);
    return table;
failed:
    free(real);
    pl_tap_table_free(table);
    return NULL;
}

pl_taps pl_tap_table_at(const pl_tap_table *table, size_t output)
{
    return (pl_taps){
        .start = table->start[output],
        .count = table->count[output],
        .high = table->high + output * table->taps,
        .low = table->low + output * table->taps,
    };
}

/* A pass over a picture or a part of it, for tasks of ROWS rows of `to`. */
typedef struct pass {
    const pl_kernels *kernels;
    const pl_tap_table *table;
    const unsigned char *from; /* [?, from_width, 3] */
    unsigned char *to;         /* [rows, to_width, 3] */
    size_t from_width, to_width, rows;
    size_t first;    /* down: the source row that `from` begins with */
    unsigned char *planes; /* across: [threads, 3, plane] a row's pixels by channel */
    size_t plane;
} pass;

static void run_pass(pass *p, pl_task_fn *task, pl_pool *pool)
{
    pl_pool_run(pool, (p->rows + ROWS - 1) / ROWS, task, p);
}

static void across_task(void *context, size_t task, size_t thread)
{
    const pass *p = context;
    const pl_tap_table *t = p->table;
    unsigned char *planes = p->planes + thread * 3 * p->plane;
    for (size_t y = task * ROWS; y < pl_min((task + 1) * ROWS, p->rows); y++) {
        p->kernels->split_rgb(p->from_width, p->from + 3 * p->from_width * y, p->plane, planes);
        p->kernels->resample_across(t->outputs, t->taps, t->start, t->high, t->low, p->plane, planes, p->to + 3 * p->to_width * y);
    }
}

static void down_task(void *context, size_t task, size_t thread)
{
    const pass *p = context;
    const size_t samples = 3 * p->to_width;
    (void)thread;
    for (size_t y = task * ROWS; y < pl_min((task + 1) * ROWS, p->rows); y++) {
        const pl_taps taps = pl_tap_table_at(p->table, y);
        p->kernels->resample_down(samples, taps.count, taps.high, taps.low, samples, p->from + samples * (taps.start - p->first), p->to + samples * y);
    }
}

/* Rows first .. first+rows of src become rows x width pixels at `to`. */
static pali_status horizontal_pass(const pl_image *src, size_t first, size_t rows, size_t width, pl_filter filter, const pl_hands *hands, unsigned char *to, pali_error *err)
{
    pl_tap_table *table = pl_tap_table_new(src->width, width, filter, err);
    if (!table)
        return PALI_MEMORY;
    pass p = {.kernels = hands->kernels, .table = table, .from = src->rgb + 3 * src->width * first, .to = to, .from_width = src->width, .to_width = width, .rows = rows};
    p.plane = src->width + table->taps; /* the last outputs read that far */
    p.planes = pl_new(pl_pool_threads(hands->pool) * 3 * p.plane, sizeof *p.planes, "resize rows", err);
    const pali_status status = p.planes ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK)
        run_pass(&p, across_task, hands->pool);
    free(p.planes);
    pl_tap_table_free(table);
    return status;
}

/* rows [?, width, 3] start at source row `first`; dst has the same width. */
static void vertical_pass(const unsigned char *rows, size_t first, const pl_tap_table *table, const pl_hands *hands, pl_image *dst)
{
    pass p = {.kernels = hands->kernels, .table = table, .from = rows, .to = dst->rgb, .to_width = dst->width, .rows = dst->height, .first = first};
    run_pass(&p, down_task, hands->pool);
}

/* positions[out]: the source index of each output; the step is added up, as in Pillow. */
static void nearest_positions(size_t in, size_t out, size_t *positions)
{
    const double scale = (double)in / (double)out;
    double at = scale * 0.5;
    for (size_t i = 0; i < out; i++, at += scale)
        positions[i] = pl_min((size_t)at, in - 1);
}

static pali_status nearest(const pl_image *src, pl_image *dst, pali_error *err)
{
    size_t *positions = pl_new_raw(dst->width + dst->height, sizeof *positions, "resize positions", err);
    if (!positions)
        return PALI_MEMORY;
    const size_t *across = positions, *down = positions + dst->width;
    nearest_positions(src->width, dst->width, positions);
    nearest_positions(src->height, dst->height, positions + dst->width);
    unsigned char *to = dst->rgb;
    for (size_t y = 0; y < dst->height; y++)
        for (size_t x = 0; x < dst->width; x++, to += 3)
            memcpy(to, src->rgb + 3 * (down[y] * src->width + across[x]), 3);
    free(positions);
    return PALI_OK;
}

static pali_status resample_rows(const pl_image *src, pl_filter filter, const pl_hands *hands, pl_image *dst, pali_error *err)
{
    return horizontal_pass(src, 0, src->height, dst->width, filter, hands, dst->rgb, err);
}

static pali_status resample_columns(const pl_image *src, pl_filter filter, const pl_hands *hands, pl_image *dst, pali_error *err)
{
    pl_tap_table *table = pl_tap_table_new(src->height, dst->height, filter, err);
    if (!table)
        return PALI_MEMORY;
    vertical_pass(src->rgb, 0, table, hands, dst);
    pl_tap_table_free(table);
    return PALI_OK;
}

static pali_status resample_horizontal_first(const pl_image *src, pl_filter filter, const pl_hands *hands, pl_image *dst, pali_error *err)
{
    pl_tap_table *table = pl_tap_table_new(src->height, dst->height, filter, err);
    if (!table)
        return PALI_MEMORY;
    /* Only the rows that the vertical pass reads are resized horizontally. */
    const size_t first = table->start[0];
    const size_t rows = table->start[dst->height - 1] + table->count[dst->height - 1] - first;
    pali_status status = PALI_MEMORY;
    unsigned char *narrow = pl_new_bulk(rows * dst->width, 3, "resized rows", err); /* [rows, dst->width, 3] */
    if (narrow)
        status = horizontal_pass(src, first, rows, dst->width, filter, hands, narrow, err);
    if (status == PALI_OK)
        vertical_pass(narrow, first, table, hands, dst);
    free(narrow);
    pl_tap_table_free(table);
    return status;
}

static pali_status resample_vertical_first(const pl_image *src, pl_filter filter, const pl_hands *hands, pl_image *dst, pali_error *err)
{
    pl_image flat = {.width = src->width, .height = dst->height};
    flat.rgb = pl_new_bulk(flat.width * flat.height, 3, "resized rows", err);
    pali_status status = flat.rgb ? resample_columns(src, filter, hands, &flat, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = resample_rows(&flat, filter, hands, dst, err);
    pl_image_free(&flat);
    return status;
}

/* Pillow 13's rule: the rows lost against twice the columns lost. */
bool pl_pass_vertical_first(pl_pass_order order, size_t width, size_t height, size_t to_width, size_t to_height)
{
    const int64_t rows = (int64_t)height - (int64_t)to_height, columns = (int64_t)width - (int64_t)to_width;
    return order == PL_PASS_PILLOW_13 && rows > 0 && rows > 2 * columns;
}

static pali_status resample(const pl_image *src, pl_filter filter, pl_pass_order order, const pl_hands *hands, pl_image *dst, pali_error *err)
{
    if (src->height == dst->height)
        return resample_rows(src, filter, hands, dst, err);
    if (src->width == dst->width)
        return resample_columns(src, filter, hands, dst, err);
    if (pl_pass_vertical_first(order, src->width, src->height, dst->width, dst->height))
        return resample_vertical_first(src, filter, hands, dst, err);
    return resample_horizontal_first(src, filter, hands, dst, err);
}

pali_status pl_resize_pillow(const pl_image *src, size_t width, size_t height, pl_filter filter, pl_pass_order order, const pl_hands *hands, pl_image *dst, pali_error *err)
{
    *dst = (pl_image){0};
    if ((unsigned)filter > PL_FILTER_HAMMING)
        return pl_fail(err, PALI_USAGE, "resize filter: found %d, expected 0 to %d", (int)filter, (int)PL_FILTER_HAMMING);
    pali_status status = pl_image_new(width, height, "resized picture", dst, err);
    if (status != PALI_OK)
        return status;
    if (src->width == width && src->height == height)
        memcpy(dst->rgb, src->rgb, 3 * width * height);
    else if (filter == PL_FILTER_NEAREST)
        status = nearest(src, dst, err);
    else
        status = resample(src, filter, order, hands, dst, err);
    if (status != PALI_OK)
        pl_image_free(dst);
    return status;
}
