/*
 * TensorFlow's bilinear resizes in its own order of float32 operations:
 * ResizeBilinear with half-pixel centres (antialias = false), which looks at
 * four pixels whatever the reduction, and ScaleAndTranslate with the triangle
 * kernel (antialias = true). No operation may be contracted or
 * reordered: the build compiles this file with -ffp-contract=off.
 */
#include "image/resize.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One output of one axis without antialias: two sources and the way between them. */
typedef struct step {
    size_t low, high;
    float way;
} step;

static void plain_steps(size_t in, size_t out, step *steps)
{
    const float scale = (float)in / (float)out;
    for (size_t i = 0; i < out; i++) {
        const float at = ((float)i + 0.5f) * scale - 0.5f;
        const float below = floorf(at);
        steps[i] = (step){
            .low = below > 0 ? (size_t)below : 0,
            .high = pl_min((size_t)fmaxf(ceilf(at), 0.0f), in - 1),
            .way = at - below,
        };
    }
}

static float between(float from, float to, float way)
{
    const float part = (to - from) * way;
    return from + part;
}

static pali_status resize_plain(const pl_image *src, size_t width, size_t height, float *dst, pali_error *err)
{
    step *steps = pl_new_raw(width + height, sizeof *steps, "resize steps", err);
    if (!steps)
        return PALI_MEMORY;
    const step *across = steps, *down = steps + width;
    plain_steps(src->width, width, steps);
    plain_steps(src->height, height, steps + width);
    for (size_t y = 0; y < height; y++) {
        const unsigned char *top = src->rgb + 3 * src->width * down[y].low;
        const unsigned char *bottom = src->rgb + 3 * src->width * down[y].high;
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < 3; c++) {
                const size_t left = 3 * across[x].low + c, right = 3 * across[x].high + c;
                const float upper = between(top[left], top[right], across[x].way);
                const float lower = between(bottom[left], bottom[right], across[x].way);
                *dst++ = between(upper, lower, down[y].way);
            }
    }
    free(steps);
    return PALI_OK;
}

/* The sources of each output of one axis with antialias, and their weights. */
typedef struct span_table {
    size_t *start, *count; /* [out] */
    float *weights;        /* [out, stride] */
    size_t stride;
} span_table;

static void span_table_free(span_table *table)
{
    free(table->start);
    free(table->count);
    free(table->weights);
    *table = (span_table){0};
}

static size_t clamp_index(float at, size_t in)
{
    return at < 0 ? 0 : pl_min((size_t)at, in - 1);
}

static pali_status span_table_init(span_table *table, size_t in, size_t out, pali_error *err)
{
    const float scale = (float)out / (float)in;
    const float inverse = (float)(1.0 / (double)scale);
    const float widening = inverse > 1.0f ? inverse : 1.0f;
    const float narrowing = 1.0f / widening;
    *table = (span_table){.stride = pl_min(2 * (size_t)ceilf(widening) + 2, in)};
    table->start = pl_new_raw(out, sizeof *table->start, "resize spans", err);
    table->count = pl_new_raw(out, sizeof *table->count, "resize spans", err);
    table->weights = pl_new_raw(out * table->stride, sizeof *table->weights, "resize spans", err);
    if (!table->start || !table->count || !table->weights) {
        span_table_free(table);
        return PALI_MEMORY;
    }
    for (size_t i = 0; i < out; i++) {
        const float center = ((float)i + 0.5f) * inverse;
        const size_t start = clamp_index(ceilf(center - widening - 0.5f), in);
        const size_t end = clamp_index(floorf(center + widening - 0.5f), in) + 1;
        float *weights = table->weights + i * table->stride;
        float sum = 0.0f;
        table->start[i] = start;
        table->count[i] = pl_min(end - start, table->stride);
        for (size_t j = 0; j < table->count[i]; j++) {
            const float distance = fabsf(((float)(start + j) + 0.5f - center) * narrowing);
            weights[j] = distance < 1.0f ? 1.0f - distance : 0.0f;
            sum += weights[j];
        }
        const float over = 1.0f / sum;
        for (size_t j = 0; j < table->count[i]; j++)
            weights[j] *= over;
    }
    return PALI_OK;
}

/* row [samples] = the weighted sum of the source rows of one output row. */
static void gather_rows(const pl_image *src, const span_table *rows, size_t output, float *row)
{
    const size_t samples = 3 * src->width;
    const float *weights = rows->weights + output * rows->stride;
    memset(row, 0, samples * sizeof *row);
    for (size_t j = 0; j < rows->count[output]; j++) {
        const unsigned char *from = src->rgb + samples * (rows->start[output] + j);
        for (size_t i = 0; i < samples; i++)
            row[i] += (float)from[i] * weights[j];
    }
}

static void gather_columns(const float *row, const span_table *columns, size_t width, float *to)
{
    for (size_t x = 0; x < width; x++, to += 3) {
        const float *weights = columns->weights + x * columns->stride;
        const float *from = row + 3 * columns->start[x];
        float sum[3] = {0};
        for (size_t j = 0; j < columns->count[x]; j++)
            for (size_t c = 0; c < 3; c++)
                sum[c] += from[3 * j + c] * weights[j];
        memcpy(to, sum, sizeof sum);
    }
}

static pali_status resize_antialias(const pl_image *src, size_t width, size_t height, float *dst, pali_error *err)
{
    span_table rows = {0}, columns = {0};
    float *row = NULL;
    pali_status status = span_table_init(&rows, src->height, height, err);
    if (status == PALI_OK)
        status = span_table_init(&columns, src->width, width, err);
    if (status == PALI_OK) {
        row = pl_new_raw(3 * src->width, sizeof *row, "resize row", err);
        status = row ? PALI_OK : PALI_MEMORY;
    }
    for (size_t y = 0; y < height && status == PALI_OK; y++) {
        gather_rows(src, &rows, y, row);
        gather_columns(row, &columns, width, dst + 3 * width * y);
    }
    free(row);
    span_table_free(&rows);
    span_table_free(&columns);
    return status;
}

pali_status pl_resize_tensorflow(const pl_image *src, size_t width, size_t height, bool antialias, float *dst, pali_error *err)
{
    const pali_status status = pl_image_check(width, height, "resized picture", err);
    if (status != PALI_OK)
        return status;
    if (src->width == width && src->height == height) {
        for (size_t i = 0; i < 3 * width * height; i++)
            dst[i] = src->rgb[i];
        return PALI_OK;
    }
    return antialias ? resize_antialias(src, width, height, dst, err) : resize_plain(src, width, height, dst, err);
}
