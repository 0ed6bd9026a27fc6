/*
 * Labels: plates of the object's colour with black or white text. Small
 * objects choose their place first. Places are tried around the box from the
 * usual (above its left corner) on; the one that covers least of other labels,
 * then of the small objects, is taken.
 */
#include "answer/font.h"
#include "answer/overlay.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST_FONT = 9, MOST_SLIDES = 24, ENDING = 16 };

/* A plate: where it is, and the line of text on it. */
typedef struct plate {
    const pl_figure *figure;
    pl_font font;
    size_t length;       /* bytes of the label that are shown */
    char ending[ENDING]; /* after them: dots where it was cut, the confidence */
    long padding, width, height, above;
    pl_area area;
    bool is_shown;
} plate;

/* The widths of a plate and its text at a font. */
static void measure(plate *p, const char *label)
{
    const pl_text_extent a = pl_text_measure(&p->font, label, p->length), b = pl_text_measure(&p->font, p->ending, strlen(p->ending));
    p->padding = (long)ceil(2.5 * p->font.unit);
    p->above = a.above > b.above ? a.above : b.above;
    p->width = a.width + b.width + 2 * p->padding;
    p->height = p->above + b.below + 2 * (p->padding / 2);
}

/*
 * Where the plate would be wider than `room`: as many characters as fit, and
 * dots; none when not even one does, and then the confidence alone. False when
 * that does not fit either.
 */
static bool cut(plate *p, const char *label, long room)
{
    char confidence[ENDING];
    memcpy(confidence, p->ending, sizeof confidence);
    snprintf(p->ending, sizeof p->ending, "\xe2\x80\xa6%.12s", confidence);
    const size_t whole = p->length;
    size_t fitting = 0;
    p->length = 0;
    while (p->length < whole) {
        uint32_t code;
        bool valid;
        p->length += pl_utf8_read(label + p->length, whole - p->length, &code, &valid);
        measure(p, label);
        if (p->width > room)
            break;
        fitting = p->length;
    }
    p->length = fitting;
    if (fitting == 0)
        memcpy(p->ending, confidence, sizeof confidence);
    measure(p, label);
    return *p->ending && p->width <= room;
}

/* The text and its size; not shown when there is nothing to say, or no room for it. */
static plate make_plate(const pl_figure *figure, const pl_overlay_style *style, const pl_image *image)
{
    const char *const label = figure->mark->label ? figure->mark->label : "";
    const double confidence = figure->mark->confidence;
    plate p = {.figure = figure, .length = strlen(label)};
    if (!isnan(confidence))
        snprintf(p.ending, sizeof p.ending, "%s%.2f", *label ? " " : "", fmin(fmax(confidence, 0), 1));
    if (!p.length && !*p.ending)
        return p;
    const long wide = (long)image->width - 2 * style->halo, high = (long)image->height - 2 * style->halo;
    p.font = pl_font_of_size(style->font_size);
    measure(&p, label);
    for (double size = style->font_size; size > SMALLEST_FONT && (p.width > wide || p.height > high);) {
        size = fmax(SMALLEST_FONT, size - fmax(1, size / 16));
        p.font = pl_font_of_size(size);
        measure(&p, label);
    }
    p.is_shown = p.height <= high && (p.width <= wide || cut(&p, label, wide));
    return p;
}

static double common_size(pl_area a, pl_area b)
{
    const pl_area c = pl_area_common(a, b);
    return pl_area_empty(c) ? 0 : (double)(c.right - c.left) * (double)(c.bottom - c.top);
}

/* A plate with its corner there, moved into the picture. */
static pl_area put(const plate *p, long left, long top, const pl_overlay_style *style, const pl_image *image)
{
    const long right = (long)image->width - style->halo - p->width, bottom = (long)image->height - style->halo - p->height;
    left = left < right ? left : right;
    top = top < bottom ? top : bottom;
    left = left > style->halo ? left : style->halo;
    top = top > style->halo ? top : style->halo;
    return (pl_area){left, top, left + p->width, top + p->height};
}

/* What a place covers: of other labels, which must stay readable, and of boxes no larger than this one. */
static double cost_of(pl_area area, const plate *plates, size_t count, const plate *of, const pl_overlay_style *style)
{
    double labels = 0, boxes = 0;
    const pl_area with_halo = pl_area_grow(area, style->halo);
    for (size_t i = 0; i < count; i++) {
        if (plates[i].is_shown && !pl_area_empty(plates[i].area))
            labels += common_size(with_halo, plates[i].area);
        /* Plates stand in the order of their figures: those from `of` on are no larger. */
        if (&plates[i] >= of)
            boxes += common_size(with_halo, plates[i].figure->box);
    }
    return 16 * labels + boxes;
}

/* The i-th place to try; false when there are no more. */
static bool place(size_t i, const plate *p, const pl_overlay_style *style, const pl_image *image, pl_area *area)
{
    const pl_area b = p->figure->box;
    const long out = (style->line + 1) / 2 + style->halo, in = style->line / 2 + style->halo;
    const long above = b.top - out - p->height, below = b.bottom + out, right = b.right - p->width, middle = (b.left + b.right - p->width) / 2;
    const struct { long left, top; } around[] = {
        {b.left - style->line / 2, above},
        {right, above},
        {b.left - style->line / 2, below},
        {right, below},
        {b.left + in, b.top + in},
        {right - in, b.top + in},
        {b.left + in, b.bottom - in - p->height},
        {right - in, b.bottom - in - p->height},
        {b.right + out, b.top},
        {b.left - out - p->width, b.top},
        {b.right + out, b.bottom - p->height},
        {b.left - out - p->width, b.bottom - p->height},
        {middle, above},
        {middle, below},
    };
    const size_t fixed = sizeof around / sizeof *around;
    if (i < fixed) {
        *area = put(p, around[i].left, around[i].top, style, image);
        return true;
    }
    /* Then further and further away, above and below in turn. */
    const long slide = (long)(i - fixed) / 2 + 1;
    if (slide > MOST_SLIDES)
        return false;
    const long step = slide * (p->height + 2 * style->halo);
    *area = put(p, b.left - style->line / 2, (i - fixed) % 2 ? below + step : above - step, style, image);
    return true;
}

static void choose(plate *p, const plate *plates, size_t count, const pl_overlay_style *style, const pl_image *image)
{
    double best = HUGE_VAL;
    pl_area area, chosen = {0};
    for (size_t i = 0; best > 0 && place(i, p, style, image, &area); i++) {
        const double cost = cost_of(area, plates, count, p, style);
        if (cost < best) {
            best = cost;
            chosen = area;
        }
    }
    p->area = chosen;
}

static pali_status paint(const plate *p, const pl_overlay_style *style, pl_image *image, pali_error *err)
{
    const char *const label = p->figure->mark->label ? p->figure->mark->label : "";
    pl_coverage coverage;
    const pali_status status = pl_coverage_init(&coverage, p->area, err);
    if (status != PALI_OK)
        return status;
    const pl_colour colour = p->figure->colour;
    pl_frame_paint(pl_area_grow(p->area, style->halo), p->area, image, (pl_colour){0, 0, 0}, PL_HALO_OPACITY_PERCENT / 100.0);
    pl_area_paint(p->area, image, colour, 1);
    const long left = p->area.left + p->padding, baseline = p->area.top + p->padding / 2 + p->above;
    pl_text_stroke(&p->font, label, p->length, left, baseline, &coverage);
    const pl_text_extent shown = pl_text_measure(&p->font, label, p->length);
    pl_text_stroke(&p->font, p->ending, strlen(p->ending), left + shown.width, baseline, &coverage);
    pl_coverage_paint(&coverage, image, pl_colour_text_on(colour), 1);
    pl_coverage_free(&coverage);
    return PALI_OK;
}

pali_status pl_labels_paint(const pl_figure *figures, size_t count, const pl_overlay_style *style, pl_image *image, pali_error *err)
{
    plate *const plates = pl_new(count, sizeof *plates, "labels", err);
    if (!plates)
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++)
        plates[i] = make_plate(&figures[i], style, image);
    for (size_t i = count; i-- > 0;)
        if (plates[i].is_shown)
            choose(&plates[i], plates, count, style, image);
    pali_status status = PALI_OK;
    for (size_t i = 0; i < count && status == PALI_OK; i++)
        if (plates[i].is_shown)
            status = paint(&plates[i], style, image, err);
    free(plates);
    return status;
}
