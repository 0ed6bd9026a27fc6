/*
 * What is done with masks: area, box, overlap, COCO's run lengths, polygons.
 * What public functions say in pali/mask.h holds for those of the same name
 * here.
 */
#ifndef PL_ANSWER_MASK_H
#define PL_ANSWER_MASK_H

#include "image/image.h"

#include <pali/mask.h>
#include <stdint.h>

uint64_t pl_mask_area(const pl_mask *mask);
pali_box pl_mask_box(const pl_mask *mask);
double pl_mask_iou(const pl_mask *a, const pl_mask *b);

/* ---- mask_rle.c: COCO's run lengths */

typedef struct pl_rle {
    uint32_t *counts; /* [count], owned: pixels out, in, out... down the columns */
    size_t count;
} pl_rle;

pali_status pl_rle_of_mask(const pl_mask *mask, pl_rle *rle, pali_error *err);
void pl_rle_free(pl_rle *rle);

/* The mask of so many runs; PALI_INPUT when they are not width x height pixels in all. */
pali_status pl_mask_of_counts(const uint32_t *counts, size_t count, size_t width, size_t height, pl_mask *mask, pali_error *err);

/* Runs as COCO's text, new, freed by the caller; and back. */
char *pl_rle_text(const pl_rle *rle, pali_error *err);
pali_status pl_rle_of_text(const char *text, pl_rle *rle, pali_error *err);

/* ---- mask_polygon.c, mask_contour.c */

/* Fills one polygon into a mask that is there: pixels in are added. */
pali_status pl_mask_fill(pl_mask *mask, const pali_polygon *polygon, pali_error *err);

pali_status pl_mask_polygons(const pl_mask *mask, pali_polygon **polygons, size_t *count, pali_error *err);

#endif
