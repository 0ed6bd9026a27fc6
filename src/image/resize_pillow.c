/*
 * Pillow's resize of 8-bit RGB, bit for bit (libImaging/Resample.c): weights
 * made in double, held as integers times 2^22; a horizontal pass to 8 bits,
 * then a vertical one. A filter widens with the reduction, so it antialiases.
 *
 * Integer sums do not depend on their order, so the horizontal pass may be
 * arranged for speed: where taps are many, a row is taken apart into three
 * planes of 16-bit pixels and each weight into two 16-bit halves, and the sums
 * of products of 16-bit numbers become the compiler's vector multiply-add.
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

enum {
    WEIGHT_BITS = 22,
    LOW_BITS = 8, /* of a weight, in its low half; the rest fits in 15 bits */
    FEW_TAPS = 28, /* below it taking a row apart costs more than it saves */
    TAPS_BLOCK = 8192, /* 255 * 255 * 8192 < 2^31: the low sum cannot overflow */
};

struct pl_tap_table {
    size_t outputs, stride; /* stride: weights kept per output */
    size_t *start, *count;  /* [outputs] */
    int32_t *weights;       /* [outputs, stride] */
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
    free(table->weights);
    free(table);
}

/* The weights of one output into real[stride], normalised to a sum of 1; returns their number. */
static size_t output_taps(size_t in, size_t out, size_t output, pl_filter filter, double *real, size_t *start)
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
        real[j] = filters[filter].weight(((double)(j + *start) - center + 0.5) * inverse);
        sum += real[j];
    }
    for (size_t j = 0; j < count && sum != 0.0; j++)
        real[j] /= sum;
    return count;
}

pl_tap_table *pl_tap_table_new(size_t in, size_t out, pl_filter filter, pali_error *err)
{
    const double scale = (double)in / (double)out;
    const size_t stride = (size_t)ceil(filters[filter].support * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
    pl_tap_table *table = pl_new(1, sizeof *table, "resize weights", err);
    double *real = pl_new_raw(stride, sizeof *real, "resize weights", err);
    if (!table || !real)
        goto failed;
    *table = (pl_tap_table){.outputs = out, .stride = stride};
    table->start = pl_new_raw(out, sizeof *table->start, "resize weights", err);
    table->count = pl_new_raw(out, sizeof *table->count, "resize weights", err);
    table->weights = pl_new_raw(out * stride, sizeof *table->weights, "resize weights", err);
    if (!table->start || !table->count || !table->weights)
        goto failed;
    for (size_t i = 0; i < out; i++) {
        int32_t *weights = table->weights + i * stride;
        table->count[i] = output_taps(in, out, i, filter, real, &table->start[i]);
        for (size_t j = 0; j < table->count[i]; j++) {
            const double fixed = real[j] * (1 << WEIGHT_BITS);
            weights[j] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
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
        .weights = table->weights + output * table->stride,
    };
}

static unsigned char clip8(int32_t sum)
{
    const int32_t v = sum >> WEIGHT_BITS;
    return (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Rows of few taps: pixel by pixel, as they lie. */
static void narrow_row(const unsigned char *from, const pl_tap_table *table, unsigned char *to)
{
    for (size_t x = 0; x < table->outputs; x++, to += 3) {
        const pl_taps taps = pl_tap_table_at(table, x);
        const unsigned char *pixel = from + 3 * taps.start;
        int32_t red = 1 << (WEIGHT_BITS - 1), green = red, blue = red;
        for (size_t j = 0; j < taps.count; j++, pixel += 3) {
            const int32_t weight = taps.weights[j];
            red += pixel[0] * weight;
            green += pixel[1] * weight;
            blue += pixel[2] * weight;
        }
        to[0] = clip8(red);
        to[1] = clip8(green);
        to[2] = clip8(blue);
    }
}

/* What rows of many taps need beside the table. */
typedef struct wide_pass {
    const pl_tap_table *table;
    int16_t *planes;     /* [3, in] one row's pixels, by channel */
    int16_t *high, *low; /* [outputs, stride] halves of the weights */
    size_t in;
} wide_pass;

static void wide_pass_free(wide_pass *pass)
{
    free(pass->planes);
    free(pass->high);
    free(pass->low);
    *pass = (wide_pass){0};
}

static pali_status wide_pass_init(wide_pass *pass, const pl_tap_table *table, size_t in, pali_error *err)
{
    const size_t cells = table->outputs * table->stride;
    *pass = (wide_pass){.table = table, .in = in};
    pass->planes = pl_new_raw(3 * in, sizeof *pass->planes, "resize rows", err);
    pass->high = pl_new_raw(cells, sizeof *pass->high, "resize weights", err);
    pass->low = pl_new_raw(cells, sizeof *pass->low, "resize weights", err);
    if (!pass->planes || !pass->high || !pass->low) {
        wide_pass_free(pass);
        return PALI_MEMORY;
    }
    for (size_t i = 0; i < table->outputs; i++)
        for (size_t j = 0; j < table->count[i]; j++) {
            const size_t at = i * table->stride + j;
            pass->high[at] = (int16_t)(table->weights[at] >> LOW_BITS);
            pass->low[at] = (int16_t)(table->weights[at] & ((1 << LOW_BITS) - 1));
        }
    return PALI_OK;
}

/* One output of one plane; the two sums are plain enough to become vector multiply-adds. */
static unsigned char wide_pixel(const int16_t *restrict plane, const int16_t *restrict high, const int16_t *restrict low, size_t count)
{
    uint32_t sum = 1u << (WEIGHT_BITS - 1);
    for (size_t begin = 0; begin < count; begin += TAPS_BLOCK) {
        const size_t end = pl_min(begin + TAPS_BLOCK, count);
        int32_t high_sum = 0, low_sum = 0;
        for (size_t j = begin; j < end; j++) {
            high_sum += (int32_t)plane[j] * high[j];
            low_sum += (int32_t)plane[j] * low[j];
        }
        sum += ((uint32_t)high_sum << LOW_BITS) + (uint32_t)low_sum;
    }
    return clip8((int32_t)sum);
}

static void wide_row(const unsigned char *from, const wide_pass *pass, unsigned char *to)
{
    const pl_tap_table *table = pass->table;
    int16_t *red = pass->planes, *green = red + pass->in, *blue = green + pass->in;
    for (size_t x = 0; x < pass->in; x++) {
        red[x] = from[3 * x];
        green[x] = from[3 * x + 1];
        blue[x] = from[3 * x + 2];
    }
    for (size_t x = 0; x < table->outputs; x++)
        for (size_t c = 0; c < 3; c++)
            *to++ = wide_pixel(pass->planes + c * pass->in + table->start[x], pass->high + x * table->stride,
                               pass->low + x * table->stride, table->count[x]);
}

/* Rows first .. first+rows of src become rows x width pixels at `to`. */
static pali_status horizontal_pass(const pl_image *src, size_t first, size_t rows, size_t width, pl_filter filter, unsigned char *to, pali_error *err)
{
    pl_tap_table *table = pl_tap_table_new(src->width, width, filter, err);
    if (!table)
        return PALI_MEMORY;
    wide_pass wide = {0};
    const bool many = table->stride > FEW_TAPS;
    const pali_status status = many ? wide_pass_init(&wide, table, src->width, err) : PALI_OK;
    for (size_t y = first; y < first + rows && status == PALI_OK; y++, to += 3 * width) {
        const unsigned char *from = src->rgb + 3 * src->width * y;
        if (many)
            wide_row(from, &wide, to);
        else
            narrow_row(from, table, to);
    }
    wide_pass_free(&wide);
    pl_tap_table_free(table);
    return status;
}

/* rows [?, width, 3] start at source row `first`; dst has the same width. */
static pali_status vertical_pass(const unsigned char *rows, size_t first, const pl_tap_table *table, pl_image *dst, pali_error *err)
{
    const size_t samples = 3 * dst->width;
    int32_t *sums = pl_new_raw(samples, sizeof *sums, "resize row", err);
    if (!sums)
        return PALI_MEMORY;
    for (size_t y = 0; y < dst->height; y++) {
        const pl_taps taps = pl_tap_table_at(table, y);
        for (size_t i = 0; i < samples; i++)
            sums[i] = 1 << (WEIGHT_BITS - 1);
        for (size_t j = 0; j < taps.count; j++) {
            const unsigned char *row = rows + samples * (taps.start + j - first);
            const int32_t weight = taps.weights[j];
            for (size_t i = 0; i < samples; i++)
                sums[i] += row[i] * weight;
        }
        for (size_t i = 0; i < samples; i++)
            dst->rgb[samples * y + i] = clip8(sums[i]);
    }
    free(sums);
    return PALI_OK;
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

static pali_status resample_rows(const pl_image *src, pl_filter filter, pl_image *dst, pali_error *err)
{
    return horizontal_pass(src, 0, src->height, dst->width, filter, dst->rgb, err);
}

static pali_status resample_columns(const pl_image *src, pl_filter filter, pl_image *dst, pali_error *err)
{
    pl_tap_table *table = pl_tap_table_new(src->height, dst->height, filter, err);
    const pali_status status = table ? vertical_pass(src->rgb, 0, table, dst, err) : PALI_MEMORY;
    pl_tap_table_free(table);
    return status;
}

static pali_status resample_horizontal_first(const pl_image *src, pl_filter filter, pl_image *dst, pali_error *err)
{
    pl_tap_table *table = pl_tap_table_new(src->height, dst->height, filter, err);
    if (!table)
        return PALI_MEMORY;
    /* Only the rows that the vertical pass reads are resized horizontally. */
    const size_t first = table->start[0];
    const size_t rows = table->start[dst->height - 1] + table->count[dst->height - 1] - first;
    pali_status status = PALI_MEMORY;
    unsigned char *narrow = pl_new_raw(rows * dst->width, 3, "resized rows", err); /* [rows, dst->width, 3] */
    if (narrow)
        status = horizontal_pass(src, first, rows, dst->width, filter, narrow, err);
    if (status == PALI_OK)
        status = vertical_pass(narrow, first, table, dst, err);
    free(narrow);
    pl_tap_table_free(table);
    return status;
}

static pali_status resample_vertical_first(const pl_image *src, pl_filter filter, pl_image *dst, pali_error *err)
{
    pl_image flat = {.width = src->width, .height = dst->height};
    flat.rgb = pl_new_raw(flat.width * flat.height, 3, "resized rows", err);
    pali_status status = flat.rgb ? resample_columns(src, filter, &flat, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = resample_rows(&flat, filter, dst, err);
    pl_image_free(&flat);
    return status;
}

/* Pillow 13's rule: the rows lost against twice the columns lost. */
static bool rows_lost_first(const pl_image *src, const pl_image *dst)
{
    const int64_t rows = (int64_t)src->height - (int64_t)dst->height, columns = (int64_t)src->width - (int64_t)dst->width;
    return rows > 0 && rows > 2 * columns;
}

static pali_status resample(const pl_image *src, pl_filter filter, pl_pass_order order, pl_image *dst, pali_error *err)
{
    if (src->height == dst->height)
        return resample_rows(src, filter, dst, err);
    if (src->width == dst->width)
        return resample_columns(src, filter, dst, err);
    if (order == PL_PASS_PILLOW_13 && rows_lost_first(src, dst))
        return resample_vertical_first(src, filter, dst, err);
    return resample_horizontal_first(src, filter, dst, err);
}

pali_status pl_resize_pillow(const pl_image *src, size_t width, size_t height, pl_filter filter, pl_pass_order order, pl_image *dst, pali_error *err)
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
        status = resample(src, filter, order, dst, err);
    if (status != PALI_OK)
        pl_image_free(dst);
    return status;
}
