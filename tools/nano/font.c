/* font.c - a stroke font of the 26 capital letters, and the outlines of the shapes.
 *
 * A letter is one to three pen strokes on a grid 8 wide and 12 high: each point is two hexadecimal digits, x then y
 * (y grows downwards). Strokes have no width of their own; draw.c gives them one. */
#include "scenes.h"

#include <math.h>
#include <stddef.h>

static const char *const letters[26] = {
    "0c408c 1878",                  /* A */
    "006082846606 66888a6c0c00",    /* B */
    "826020020a2c6c8a",             /* C */
    "005083895c0c00",               /* D */
    "80000c8c 0666",                /* E */
    "80000c 0666",                  /* F */
    "826020020a2c6c8a8757",         /* G */
    "000c 808c 0686",               /* H */
    "404c 2060 2c6c",               /* I */
    "808a6c2c0a09",                 /* J */
    "000c 8007 358c",               /* K */
    "000c8c",                       /* L */
    "0c0047808c",                   /* M */
    "0c008c80",                     /* N */
    "2060828a6c2c0a0220",           /* O */
    "0c006082856707",               /* P */
    "2060828a6c2c0a0220 598c",      /* Q */
    "0c006082856707 478c",          /* R */
    "82602002042666888a6c2c0a",     /* S */
    "0080 404c",                    /* T */
    "000a2c6c8a80",                 /* U */
    "004c80",                       /* V */
    "002c456c80",                   /* W */
    "008c 800c",                    /* X */
    "004680 464c",                  /* Y */
    "00800c8c",                     /* Z */
};

const char *scene_letter_strokes(const char letter)
{
    return letter >= 'A' && letter <= 'Z' ? letters[letter - 'A'] : "";
}

void scene_word_point(const scene_word *const word, const int i, const double gx, const double gy, double *const x,
                      double *const y)
{
    size_t n = 0;
    while (word->text[n])
        n++;
    const double unit = word->height / 12.0;
    /* A letter fills 3/4 of its advance; the rest is the gap to the next one. */
    const double dy = (gy - 6.0) * unit;
    const double dx = ((double)i - ((double)n - 1.0) / 2.0) * word->advance + (gx - 4.0) / 8.0 * 0.72 * word->advance -
                      word->slant * dy;
    const double c = cos(word->angle), s = sin(word->angle);
    *x = word->cx + c * dx - s * dy;
    *y = word->cy + s * dx + c * dy;
}

static int star_points(double points[SCENE_MAX_POINTS][2])
{
    const double pi = 3.14159265358979323846;
    for (int i = 0; i < 10; i++) {
        const double r = i % 2 ? 0.45 : 1.0;
        points[i][0] = r * sin(pi * i / 5.0);
        points[i][1] = -r * cos(pi * i / 5.0);
    }
    return 10;
}

static int heart_points(double points[SCENE_MAX_POINTS][2])
{
    const double pi = 3.14159265358979323846;
    for (int i = 0; i < 28; i++) { /* the well-known parametric heart, scaled into the unit circle */
        const double t = 2.0 * pi * i / 28.0, s = sin(t);
        points[i][0] = s * s * s * 0.95;
        points[i][1] = -(13.0 * cos(t) - 5.0 * cos(2.0 * t) - 2.0 * cos(3.0 * t) - cos(4.0 * t)) / 17.0 - 0.12;
    }
    return 28;
}

int scene_shape_points(const scene_shape shape, double points[SCENE_MAX_POINTS][2])
{
    static const double square[4][2] = {{-0.8, -0.8}, {0.8, -0.8}, {0.8, 0.8}, {-0.8, 0.8}};
    static const double triangle[3][2] = {{0.0, -0.95}, {0.95, 0.75}, {-0.95, 0.75}};
    static const double cross[12][2] = {{-0.3, -0.95}, {0.3, -0.95}, {0.3, -0.3},  {0.95, -0.3},
                                        {0.95, 0.3},   {0.3, 0.3},   {0.3, 0.95},  {-0.3, 0.95},
                                        {-0.3, 0.3},   {-0.95, 0.3}, {-0.95, -0.3}, {-0.3, -0.3}};
    const double(*from)[2] = NULL;
    int n = 0;
    switch (shape) {
    case SHAPE_SQUARE: from = square, n = 4; break;
    case SHAPE_TRIANGLE: from = triangle, n = 3; break;
    case SHAPE_CROSS: from = cross, n = 12; break;
    case SHAPE_STAR: return star_points(points);
    case SHAPE_HEART: return heart_points(points);
    case SHAPE_CIRCLE:
    case SHAPE_RING:
    case SHAPE_COUNT: return 0;
    }
    for (int i = 0; i < n; i++) {
        points[i][0] = from[i][0];
        points[i][1] = from[i][1];
    }
    return n;
}
