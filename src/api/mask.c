/* pali_mask_*: masks and their forms. */
#include "api/handles.h"

#include "answer/mask.h"
#include "image/encode.h"

#include <stdlib.h>
#include <string.h>

pali_mask *pl_mask_wrap(pl_mask pixels, pali_error *err)
{
    pali_mask *mask = pl_new(1, sizeof *mask, "mask", err);
    if (mask)
        mask->pixels = pixels;
    else
        pl_mask_free(&pixels);
    return mask;
}

pali_mask *pali_mask_open(const char *path, pali_error *err)
{
    pl_mask pixels;
    if (pl_need(path, "pali_mask_open", "path", err) != PALI_OK || pl_mask_open(path, &pixels, err) != PALI_OK)
        return NULL;
    return pl_mask_wrap(pixels, err);
}

pali_mask *pali_mask_decode(const void *bytes, size_t size, const char *name, pali_error *err)
{
    pl_mask pixels;
    if (pl_need(bytes, "pali_mask_decode", "bytes", err) != PALI_OK || pl_mask_decode(bytes, size, name ? name : "mask", &pixels, err) != PALI_OK)
        return NULL;
    return pl_mask_wrap(pixels, err);
}

pali_mask *pali_mask_from_bytes(const uint8_t *bytes, size_t width, size_t height, pali_error *err)
{
    pl_mask pixels;
    if (pl_need(bytes, "pali_mask_from_bytes", "bytes", err) != PALI_OK || pl_mask_new(width, height, "mask", &pixels, err) != PALI_OK)
        return NULL;
    for (size_t i = 0; i < width * height; i++)
        pixels.bits[i] = bytes[i] != 0;
    return pl_mask_wrap(pixels, err);
}

pali_mask *pali_mask_from_polygons(const pali_polygon *polygons, size_t count, size_t width, size_t height, pali_error *err)
{
    pl_mask pixels = {0};
    pali_status status = count ? pl_need(polygons, "pali_mask_from_polygons", "polygons", err) : PALI_OK;
    if (status == PALI_OK)
        status = pl_mask_new(width, height, "mask", &pixels, err);
    for (size_t i = 0; i < count && status == PALI_OK; i++) {
        status = pl_need(polygons[i].xy, "pali_mask_from_polygons", "xy", err);
        if (status == PALI_OK)
            status = pl_mask_fill(&pixels, &polygons[i], err);
    }
    if (status == PALI_OK)
        return pl_mask_wrap(pixels, err);
    pl_mask_free(&pixels);
    return NULL;
}

pali_mask *pali_mask_from_counts(const uint32_t *counts, size_t count, size_t width, size_t height, pali_error *err)
{
    pl_mask pixels;
    if (count && pl_need(counts, "pali_mask_from_counts", "counts", err) != PALI_OK)
        return NULL;
    return pl_mask_of_counts(counts, count, width, height, &pixels, err) == PALI_OK ? pl_mask_wrap(pixels, err) : NULL;
}

pali_mask *pali_mask_from_rle(const char *counts, size_t width, size_t height, pali_error *err)
{
    pl_rle rle;
    if (pl_need(counts, "pali_mask_from_rle", "counts", err) != PALI_OK || pl_rle_of_text(counts, &rle, err) != PALI_OK)
        return NULL;
    pali_mask *mask = pali_mask_from_counts(rle.counts, rle.count, width, height, err);
    pl_rle_free(&rle);
    return mask;
}

size_t pali_mask_width(const pali_mask *mask)
{
    return mask->pixels.width;
}

size_t pali_mask_height(const pali_mask *mask)
{
    return mask->pixels.height;
}

const uint8_t *pali_mask_bytes(const pali_mask *mask)
{
    return mask->pixels.bits;
}

pali_status pali_mask_counts(const pali_mask *mask, uint32_t **counts, size_t *count, pali_error *err)
{
    pl_rle rle;
    pali_status status = pl_need(mask, "pali_mask_counts", "mask", err);
    if (status == PALI_OK)
        status = pl_need(counts, "pali_mask_counts", "counts", err);
    if (status == PALI_OK)
        status = pl_need(count, "pali_mask_counts", "count", err);
    if (status == PALI_OK)
        status = pl_rle_of_mask(&mask->pixels, &rle, err);
    if (status != PALI_OK)
        return status;
    *counts = rle.counts;
    *count = rle.count;
    return PALI_OK;
}

char *pali_mask_rle(const pali_mask *mask, pali_error *err)
{
    pl_rle rle;
    if (pl_need(mask, "pali_mask_rle", "mask", err) != PALI_OK || pl_rle_of_mask(&mask->pixels, &rle, err) != PALI_OK)
        return NULL;
    char *text = pl_rle_text(&rle, err);
    pl_rle_free(&rle);
    return text;
}

pali_status pali_mask_polygons(const pali_mask *mask, pali_polygon **polygons, size_t *count, pali_error *err)
{
    pali_status status = pl_need(mask, "pali_mask_polygons", "mask", err);
    if (status == PALI_OK)
        status = pl_need(polygons, "pali_mask_polygons", "polygons", err);
    if (status == PALI_OK)
        status = pl_need(count, "pali_mask_polygons", "count", err);
    return status == PALI_OK ? pl_mask_polygons(&mask->pixels, polygons, count, err) : status;
}

pali_status pali_mask_save(const pali_mask *mask, const char *path, pali_error *err)
{
    pali_status status = pl_need(mask, "pali_mask_save", "mask", err);
    if (status == PALI_OK)
        status = pl_need(path, "pali_mask_save", "path", err);
    if (status != PALI_OK)
        return status;
    const size_t count = mask->pixels.width * mask->pixels.height;
    unsigned char *grey = pl_new_raw(count, 1, "mask", err);
    if (!grey)
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++)
        grey[i] = mask->pixels.bits[i] ? 255 : 0;
    const pl_raster raster = {.bytes = grey, .width = mask->pixels.width, .height = mask->pixels.height, .channels = 1};
    status = pl_image_save(&raster, &(pl_encode_options){.format = PL_FORMAT_PNG}, path, err);
    free(grey);
    return status;
}

uint64_t pali_mask_area(const pali_mask *mask)
{
    return pl_mask_area(&mask->pixels);
}

pali_box pali_mask_box(const pali_mask *mask)
{
    return pl_mask_box(&mask->pixels);
}

double pali_mask_iou(const pali_mask *a, const pali_mask *b)
{
    return pl_mask_iou(&a->pixels, &b->pixels);
}

void pali_mask_free(pali_mask *mask)
{
    if (!mask)
        return;
    pl_mask_free(&mask->pixels);
    free(mask);
}
