/* Setting a line of stroke letters: their widths, and their strokes through the pen. */
#include "answer/font.h"

#include "base/text.h"

#include <math.h>
#include <stddef.h>

/* In grid units. The pen is 2 wide; between letters the pen's edges stay 2 apart. */
enum { BASELINE = 18, HIGHEST = 3, DEEPEST = 23, EM = 20, PEN = 2, GAP = 4, SPACE = 6, CURVE_STEPS = 8 };

pl_font pl_font_of_size(double size)
{
    /* Small letters are 10 units between the pen's middles, 12 between its edges: whole pixels. */
    const double height = round(12 * size / EM);
    const double unit = (height < 2 ? 2 : height) / 12;
    return (pl_font){.unit = unit, .radius = unit * PEN / 2};
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Told each piece of a glyph's strokes, in grid units. */
typedef void segment_fn(void *context, pl_point a, pl_point b);

static pl_point read_point(const char *text)
{
    return (pl_point){digit(text[0]), digit(text[1])};
}

static void bend(pl_point from, pl_point by, pl_point to, segment_fn *tell, void *context)
{
    pl_point last = from;
    for (int i = 1; i <= CURVE_STEPS; i++) {
        const double t = (double)i / CURVE_STEPS, a = (1 - t) * (1 - t), b = 2 * t * (1 - t), c = t * t;
        const pl_point next = {a * from.x + b * by.x + c * to.x, a * from.y + b * by.y + c * to.y};
        tell(context, last, next);
        last = next;
    }
}

static void walk(const char *strokes, segment_fn *tell, void *context)
{
    pl_point at = {0};
    bool begun = false;
    while (*strokes) {
        if (*strokes == ' ') {
            begun = false;
            strokes++;
        } else if (*strokes == '~') {
            const pl_point by = read_point(strokes + 1), to = read_point(strokes + 3);
            bend(at, by, to, tell, context);
            at = to;
            strokes += 5;
        } else {
            const pl_point to = read_point(strokes);
            if (begun)
                tell(context, at, to);
            at = to;
            begun = true;
            strokes += 2;
        }
    }
}

/* The box around pieces told to `measure`. */
typedef struct bounds {
    double left, right, top, bottom;
} bounds;

static void measure(void *context, pl_point a, pl_point b)
{
    bounds *const box = context;
    box->left = fmin(box->left, fmin(a.x, b.x));
    box->right = fmax(box->right, fmax(a.x, b.x));
    box->top = fmin(box->top, fmin(a.y, b.y));
    box->bottom = fmax(box->bottom, fmax(a.y, b.y));
}

static bounds bounds_of(const char *strokes)
{
    bounds box = {HUGE_VAL, -HUGE_VAL, HUGE_VAL, -HUGE_VAL};
    walk(strokes, measure, &box);
    return box;
}

/* Where a glyph's parts go, in units: its letter at `letter`, its accent at `accent`, the next glyph `advance` further. */
typedef struct setting {
    double letter, accent, advance, top;
} setting;

static setting set_glyph(const pl_glyph *glyph)
{
    if (!*glyph->base)
        return (setting){.advance = SPACE, .top = HIGHEST};
    const bounds base = bounds_of(glyph->base);
    setting s = {.letter = -base.left, .advance = base.right - base.left + GAP, .top = HIGHEST};
    if (!glyph->accent)
        return s;
    const bounds over = bounds_of(glyph->accent);
    const double middle = (base.left + base.right) / 2 - 4; /* accents are drawn about x = 4 */
    const double left = fmin(base.left, over.left + middle), right = fmax(base.right, over.right + middle);
    s.letter = -left;
    s.accent = middle - left;
    s.advance = right - left + GAP;
    s.top = fmin(HIGHEST, over.top - glyph->raise);
    return s;
}

pl_text_extent pl_text_measure(const pl_font *font, const char *text, size_t length)
{
    double width = 0, top = HIGHEST;
    for (size_t at = 0; at < length;) {
        uint32_t code;
        bool valid;
        at += pl_utf8_read(text + at, length - at, &code, &valid);
        const pl_glyph glyph = pl_glyph_of(code);
        const setting s = set_glyph(&glyph);
        width += s.advance;
        top = fmin(top, s.top);
    }
    const double pen = PEN / 2.0;
    width = width > 0 ? width - GAP + PEN : 0; /* the last gap is none; half a pen on both sides */
    return (pl_text_extent){
        .width = (long)ceil(width * font->unit),
        .above = (long)ceil((BASELINE - top + 2 * pen) * font->unit),
        .below = (long)ceil((DEEPEST - BASELINE) * font->unit),
    };
}

/* A pen that stands at `origin`, for pieces told to `stroke`. */
typedef struct pen {
    const pl_font *font;
    pl_point origin; /* of the grid, in pixels */
    pl_coverage *coverage;
} pen;

static void stroke(void *context, pl_point a, pl_point b)
{
    const pen *const p = context;
    const double unit = p->font->unit;
    pl_coverage_stroke(p->coverage, (pl_point){p->origin.x + unit * a.x, p->origin.y + unit * a.y},
                       (pl_point){p->origin.x + unit * b.x, p->origin.y + unit * b.y}, p->font->radius);
}

void pl_text_stroke(const pl_font *font, const char *text, size_t length, long left, long baseline, pl_coverage *coverage)
{
    double x = (double)left + font->radius;
    /* The pen's lower edge stands on the baseline's row. */
    const double y = (double)baseline - font->radius - BASELINE * font->unit;
    for (size_t at = 0; at < length;) {
        uint32_t code;
        bool valid;
        at += pl_utf8_read(text + at, length - at, &code, &valid);
        const pl_glyph glyph = pl_glyph_of(code);
        const setting s = set_glyph(&glyph);
        walk(glyph.base, stroke, &(pen){font, {x + s.letter * font->unit, y}, coverage});
        if (glyph.accent)
            walk(glyph.accent, stroke, &(pen){font, {x + s.accent * font->unit, y - glyph.raise * font->unit}, coverage});
        x += s.advance * font->unit;
    }
}
