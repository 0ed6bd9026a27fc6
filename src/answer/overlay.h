/*
 * Answers as pictures: boxes, translucent masks and labels drawn onto the
 * picture they were found in. Every line is two-tone, colour within a dark
 * halo, so that it shows on any background. Large objects are drawn first,
 * labels last; a label goes where it covers no other label and little else.
 */
#ifndef PL_ANSWER_OVERLAY_H
#define PL_ANSWER_OVERLAY_H

#include "answer/colour.h"

/* One object, in pixels of the picture. */
typedef struct pl_mark {
    double left, top, right, bottom; /* edges, as of a picture whose right edge is its width */
    const char *label;               /* UTF-8, borrowed; "" or NULL: none */
    double confidence;               /* shown with two decimals; not a number: none */
    const unsigned char *mask;       /* [height, width] u8 of the picture's size, nonzero inside, borrowed; or NULL */
} pl_mark;

typedef struct pl_overlay_options {
    double line_width;   /* pixels; 0: by the picture's size */
    double font_size;    /* pixels an em; 0: by the picture's size */
    double mask_opacity; /* in (0, 1]; 0: 0.45; below 0: the outline only */
    bool no_labels;
} pl_overlay_options;

/* The edges of objects are clipped to the picture. Options that make no sense are PALI_USAGE. */
pali_status pl_overlay_draw(pl_image *image, const pl_mark *marks, size_t count, const pl_overlay_options *options, pali_error *err);

/* ---- Between the files of the overlay --------------------------------- */

enum { PL_HALO_OPACITY_PERCENT = 90 };

/* Sizes that follow from picture and options, in pixels. */
typedef struct pl_overlay_style {
    long line, halo; /* widths: of the colour, and of the dark on each side */
    double font_size;
    double mask_opacity;
} pl_overlay_style;

/* A mark made ready: its pixels, its colour. */
typedef struct pl_figure {
    const pl_mark *mark;
    pl_area box; /* within the picture, at least one pixel */
    pl_colour colour;
} pl_figure;

pali_status pl_mask_paint(const pl_figure *figure, const pl_overlay_style *style, pl_image *image, pali_error *err);
void pl_box_paint(const pl_figure *figure, const pl_overlay_style *style, pl_image *image);

/* Places and paints the labels of figures [count] that are sorted as they were painted, the last on top. */
pali_status pl_labels_paint(const pl_figure *figures, size_t count, const pl_overlay_style *style, pl_image *image, pali_error *err);

#endif
