/* The order and the colours of what is drawn; the box. */
#include "answer/overlay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const pl_colour dark = {0, 0, 0};

/* Sizes follow the side of a square of as many pixels. */
static pl_overlay_style style_of(const pl_image *image, const pl_overlay_options *options)
{
    const double side = sqrt((double)image->width * (double)image->height);
    const double line = options->line_width > 0 ? options->line_width : fmax(2, side / 300);
    const long width = (long)fmax(1, round(line));
    return (pl_overlay_style){
        .line = width,
        .halo = (width + 1) / 2,
        .font_size = options->font_size > 0 ? options->font_size : fmax(13, side / 40),
        .mask_opacity = options->mask_opacity != 0 ? options->mask_opacity : 0.45,
    };
}

static pali_status check(const pl_overlay_options *o, pali_error *err)
{
    if (!(o->line_width >= 0 && o->line_width <= 1000))
        return pl_fail(err, PALI_USAGE, "draw: found a line width of %g pixels, expected 0 (by the picture) to 1000", o->line_width);
    if (!(o->font_size == 0 || (o->font_size >= 6 && o->font_size <= 2000)))
        return pl_fail(err, PALI_USAGE, "draw: found a font size of %g pixels, expected 0 (by the picture) or 6 to 2000", o->font_size);
    if (!(o->mask_opacity <= 1))
        return pl_fail(err, PALI_USAGE, "draw: found a mask opacity of %g, expected at most 1", o->mask_opacity);
    return PALI_OK;
}

/* x rounded and held within 0..most; what is no number is 0. */
static long edge(double x, size_t most)
{
    return x > 0 ? x < (double)most ? lround(x) : (long)most : 0;
}

/* At least one pixel wide. */
static void widen(long *low, long *high, size_t most)
{
    if (*high > *low)
        return;
    *low = *low < (long)most ? *low : (long)most - 1;
    *high = *low + 1;
}

static pl_area box_of(const pl_mark *mark, const pl_image *image)
{
    pl_area box = {edge(mark->left, image->width), edge(mark->top, image->height), edge(mark->right, image->width), edge(mark->bottom, image->height)};
    widen(&box.left, &box.right, image->width);
    widen(&box.top, &box.bottom, image->height);
    return box;
}

static const char *label_of(const pl_mark *mark)
{
    return mark->label ? mark->label : "";
}

/* Colours go to labels in the order in which the labels first appear. */
static void colour_figures(pl_figure *figures, size_t count)
{
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        size_t first = 0;
        while (strcmp(label_of(figures[first].mark), label_of(figures[i].mark)) != 0)
            first++;
        figures[i].colour = first < i ? figures[first].colour : pl_colour_at(next++);
    }
}

static long size_of(pl_area a)
{
    return (a.right - a.left) * (a.bottom - a.top);
}

/* Large before small; equals in the answer's order. */
static int by_size(const void *a, const void *b)
{
    const pl_figure *const x = a, *const y = b;
    const long p = size_of(x->box), q = size_of(y->box);
    return p != q ? (p < q) - (p > q) : (x->mark > y->mark) - (x->mark < y->mark);
}

/*
 * One side of the box's line: the column (or row) where colour begins, so that
 * half of it lies outside, but no more than a quarter of a small box is
 * covered, and all of it within the picture.
 */
static void place_line(long low, long high, long most, const pl_overlay_style *style, long *outer_low, long *outer_high, long *halo_inside)
{
    const long inward = (style->line + 1) / 2 + style->halo, quarter = (high - low) / 4;
    const long in = inward < quarter ? inward : quarter;
    *halo_inside = style->halo < in ? style->halo : in;
    *outer_low = low + in - *halo_inside - style->line;
    *outer_high = high - in + *halo_inside + style->line;
    *outer_low = *outer_low > 0 ? *outer_low : 0;
    *outer_high = *outer_high < most ? *outer_high : most;
}

void pl_box_paint(const pl_figure *figure, const pl_overlay_style *style, pl_image *image)
{
    pl_area outer;
    long halo_x, halo_y;
    place_line(figure->box.left, figure->box.right, (long)image->width, style, &outer.left, &outer.right, &halo_x);
    place_line(figure->box.top, figure->box.bottom, (long)image->height, style, &outer.top, &outer.bottom, &halo_y);
    const pl_area inner = pl_area_grow(outer, -style->line);
    const pl_area innermost = {inner.left + halo_x, inner.top + halo_y, inner.right - halo_x, inner.bottom - halo_y};
    const double halo = PL_HALO_OPACITY_PERCENT / 100.0;
    pl_frame_paint(pl_area_grow(outer, style->halo), outer, image, dark, halo);
    if (!pl_area_empty(inner))
        pl_frame_paint(inner, innermost, image, dark, halo);
    pl_frame_paint(outer, inner, image, figure->colour, 1);
}

pali_status pl_overlay_draw(pl_image *image, const pl_mark *marks, size_t count, const pl_overlay_options *options, pali_error *err)
{
    pali_status status = check(options, err);
    if (status != PALI_OK || count == 0)
        return status;
    const pl_overlay_style style = style_of(image, options);
    pl_figure *const figures = pl_new(count, sizeof *figures, "drawing", err);
    if (!figures)
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++)
        figures[i] = (pl_figure){.mark = &marks[i], .box = box_of(&marks[i], image)};
    colour_figures(figures, count);
    qsort(figures, count, sizeof *figures, by_size);
    for (size_t i = 0; i < count && status == PALI_OK; i++) {
        if (figures[i].mark->mask)
            status = pl_mask_paint(&figures[i], &style, image, err);
        pl_box_paint(&figures[i], &style, image);
    }
    if (status == PALI_OK && !options->no_labels)
        status = pl_labels_paint(figures, count, &style, image, err);
    free(figures);
    return status;
}
