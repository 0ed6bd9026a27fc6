/*
 * pali/mask.h: masks as data. Comes with pali/pali.h. Public, not yet frozen.
 *
 * A mask has the size of its picture; each of its pixels is in or out. A box
 * in pixels ends before y2 and x2: a whole picture is 0, 0, height, width.
 */
#ifndef PALI_MASK_H
#define PALI_MASK_H

#include <pali/pali.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Masks ----------------------------------------------------------- */

/*
 * A pali_mask never changes after it was made; what makes one says "new", and
 * it is freed with pali_mask_free.
 *
 * Reads a picture of a mask into a new one; "-" is standard input. In a PNG a pixel is in
 * when a colour sample of it (grey of any depth, palette index, R, G or B) is
 * not 0, and its alpha, where it has one, is not either. In a JPEG, WebP or
 * GIF, when R, G or B is 128 or more, as lossy formats blur the edge.
 */
pali_mask *pali_mask_open(const char *path, pali_error *err);

/* The same from `size` bytes in memory, which are not kept; `name` (or NULL) stands in messages. */
pali_mask *pali_mask_decode(const void *bytes, size_t size, const char *name, pali_error *err);

/* A copy of `bytes`, [height, width]: in where a byte is not 0. */
pali_mask *pali_mask_from_bytes(const uint8_t *bytes, size_t width, size_t height, pali_error *err);

/* The corners of a polygon in pixels, x and y in turn; it is closed from the last to the first. */
typedef struct pali_polygon {
    const double *xy; /* [count, 2] */
    size_t count;     /* corners, at least 3 */
} pali_polygon;

/* All pixels that are in one of the polygons, pixel for pixel as COCO's own tools (frPyObjects, merge) fill them. */
pali_mask *pali_mask_from_polygons(const pali_polygon *polygons, size_t count, size_t width, size_t height, pali_error *err);

/*
 * COCO's run lengths: down the columns, pixels out and in by turns, beginning
 * with out. Compressed to text ("counts" as COCO's results have it), or as
 * numbers. Runs must add up to the size.
 */
pali_mask *pali_mask_from_rle(const char *counts, size_t width, size_t height, pali_error *err);
pali_mask *pali_mask_from_counts(const uint32_t *counts, size_t count, size_t width, size_t height, pali_error *err);

size_t pali_mask_width(const pali_mask *mask);
size_t pali_mask_height(const pali_mask *mask);
const uint8_t *pali_mask_bytes(const pali_mask *mask); /* [height, width], 0 or 1, owned by the mask */

/* The same run lengths, byte for byte as pycocotools encodes them: text, or numbers; new, freed with pali_free. */
char *pali_mask_rle(const pali_mask *mask, pali_error *err);
pali_status pali_mask_counts(const pali_mask *mask, uint32_t **counts, size_t *count, pali_error *err);

/*
 * Outlines along the edges of pixels, one polygon for each region of pixels
 * that touch by a side, the corners clockwise; a hole is joined to the outline
 * of its region by a line there and back. Filled again they give the same
 * mask. *polygons is one new block, freed with pali_free; NULL where the mask
 * is empty.
 */
pali_status pali_mask_polygons(const pali_mask *mask, pali_polygon **polygons, size_t *count, pali_error *err);

/* Writes a grey PNG, 255 where the mask is in, else 0; whole or not at all. */
pali_status pali_mask_save(const pali_mask *mask, const char *path, pali_error *err);

/* Pixels that are in. */
uint64_t pali_mask_area(const pali_mask *mask);

/* The smallest box around them, in pixels; zeros for an empty mask. */
pali_box pali_mask_box(const pali_mask *mask);

/* Pixels in both over pixels in either; 0 when both are empty or the sizes differ. */
double pali_mask_iou(const pali_mask *a, const pali_mask *b);

void pali_mask_free(pali_mask *mask);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
