/*
 * The font of labels: letters as strokes of a round pen, drawn for pali, so
 * that text of any size needs no file and no library. Printable ASCII and
 * Latin-1; a few typographic characters become their plain form, all others a
 * box. Proportional, left to right.
 */
#ifndef PL_ANSWER_FONT_H
#define PL_ANSWER_FONT_H

#include "answer/coverage.h"

/* A size, fitted to pixels: the bottom of the letters and the top of small ones fall on whole rows. */
typedef struct pl_font {
    double unit;   /* pixels of a grid unit: capitals are 14 high, small letters 10 */
    double radius; /* of the pen, in pixels */
} pl_font;

/* The font of about `size` pixels an em; capitals are 0.7 em high. */
pl_font pl_font_of_size(double size);

/* What a line of text takes, in pixels from its pen's start on the baseline. */
typedef struct pl_text_extent {
    long width, above, below; /* above and below the row on which letters stand */
} pl_text_extent;

/* Of UTF-8 text; bytes that are none count as U+FFFD. The height is the same for all texts but those with accented capitals. */
pl_text_extent pl_text_measure(const pl_font *font, const char *text, size_t length);

/* Adds the strokes of a text that begins at `left` and stands on row `baseline` (the first below the letters). */
void pl_text_stroke(const pl_font *font, const char *text, size_t length, long left, long baseline, pl_coverage *coverage);

/*
 * A glyph as strokes, separated by spaces: points of two digits each, base 36,
 * x then y (downwards; small letters' top 8, capitals' top 4, baseline 18);
 * after "~" the first point bends the way to the second (a quadratic curve).
 */
typedef struct pl_glyph {
    const char *base;   /* strokes */
    const char *accent; /* strokes centred on x = 4 above a small letter, or NULL */
    int raise;          /* units that the accent stands higher: over capitals */
} pl_glyph;

/* The glyph of a code point; a box for those that there is none for. */
pl_glyph pl_glyph_of(uint32_t code);

#endif
