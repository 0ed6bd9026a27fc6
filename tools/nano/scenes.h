/* scenes.h - pictures with known answers, for teaching and testing a small PaliGemma.
 *
 * A scene is a background, up to seven coloured shapes and perhaps one word in capital letters. It is laid out from a
 * seed alone, drawn at its own source size, and asked about in PaliGemma's prompt forms: `answer en ...`,
 * `detect ...`, `segment ...`, `ocr`, `caption en`. Coordinates are pixels of the source picture unless said
 * otherwise; everything is plain data that the caller owns, nothing is shared, and every function may run in several
 * threads. */
#ifndef PALI_TOOLS_NANO_SCENES_H
#define PALI_TOOLS_NANO_SCENES_H

#include <stddef.h>
#include <stdint.h>

#include "random.h"

enum {
    SCENE_MAX_OBJECTS = 7,
    SCENE_MAX_ROWS = 48,
    SCENE_MAX_NAMED = 3, /* objects of one `segment` answer */
    SCENE_PREFIX_SIZE = 80,
    SCENE_SUFFIX_SIZE = 240,
    SCENE_WORD_SIZE = 8
};

typedef enum scene_shape {
    SHAPE_CIRCLE,
    SHAPE_SQUARE,
    SHAPE_TRIANGLE,
    SHAPE_STAR,
    SHAPE_CROSS,
    SHAPE_RING,
    SHAPE_HEART,
    SHAPE_COUNT
} scene_shape;

typedef enum scene_color {
    COLOR_RED,
    COLOR_GREEN,
    COLOR_BLUE,
    COLOR_YELLOW,
    COLOR_ORANGE,
    COLOR_PURPLE,
    COLOR_BLACK,
    COLOR_WHITE,
    COLOR_COUNT
} scene_color;

typedef enum scene_style {
    STYLE_PLAIN,
    STYLE_GRADIENT,
    STYLE_RADIAL,
    STYLE_STRIPES,
    STYLE_CHECKS,
    STYLE_CLOUDS,
    STYLE_COUNT
} scene_style;

typedef enum scene_kind { KIND_MIX, KIND_SHAPES, KIND_WORD } scene_kind;

/* What is asked: what nano was taught, or one of two tasks that it was not. */
typedef enum scene_task { TASK_TAUGHT, TASK_SIDE, TASK_TABLE } scene_task;

/* Normalised to the picture, 0 .. 1, y before x as in PaliGemma's location tokens. */
typedef struct scene_box {
    double y1, x1, y2, x2;
} scene_box;

typedef struct scene_object {
    scene_shape shape;
    scene_color color;
    uint8_t rgb[3];     /* the colour with its jitter */
    double cx, cy;      /* centre */
    double radius;      /* of the enclosing circle */
    double angle;       /* radians */
    double outline;     /* width of a darker rim, 0 for none */
    scene_box box;      /* of the whole shape, also where another one covers it */
} scene_object;

typedef struct scene_word {
    char text[SCENE_WORD_SIZE]; /* empty: the scene has no word */
    scene_color color;
    uint8_t rgb[3];
    uint8_t plate_rgb[3];
    int plate;                  /* 1: a filled rectangle lies behind the letters */
    double cx, cy;              /* centre of the word */
    double height;              /* of a letter, centre line to centre line */
    double advance;             /* from one letter to the next */
    double stroke;              /* half the width of the pen */
    double slant, angle;        /* shear x per y; rotation in radians */
    scene_box box;
} scene_word;

typedef struct scene_background {
    scene_style style;
    double from[3], to[3];      /* RGB, 0 .. 255 */
    double angle, period;       /* period in pixels: stripes, checks and clouds */
    uint64_t seed;              /* of the cloud texture */
} scene_background;

typedef struct scene {
    int width, height;
    scene_background background;
    scene_object objects[SCENE_MAX_OBJECTS]; /* [count], drawn in this order */
    int count;
    scene_word word;
    double noise;               /* standard deviation in grey levels */
    uint64_t noise_seed;
    int quality;                /* JPEG quality; 0: the picture is kept without loss */
} scene;

typedef struct scene_options {
    scene_kind kind;
    int min_side, max_side;     /* bounds of both sides in pixels; 0: 104 and 480 */
    int clean;                  /* 1: no noise, no loss, larger objects */
} scene_options;

/* One question. Tasks: color, shape, count, yesno, detect, ocr, letter, caption, segment. The answer to `segment` lacks
 * its 16 mask tokens after each box: they are the codec's (school.c), and `named` says of which objects. */
typedef struct scene_row {
    const char *task;           /* static text */
    char prefix[SCENE_PREFIX_SIZE];
    char suffix[SCENE_SUFFIX_SIZE];
    int named[SCENE_MAX_NAMED]; /* [named_count], numbers of the objects in the order of the boxes; `segment` only */
    int named_count;
} scene_row;

/* Lays out scene number `index` of the stream `seed`. Held-out scenes come from another stream than training scenes. */
void scene_make(scene *s, const scene_options *options, uint64_t seed, uint64_t index, int held_out);

/* Draws into rgb, [height, width, 3] bytes, without JPEG loss. */
void scene_draw(const scene *s, uint8_t *rgb);

/* Pixels of object number `object`, [height, width] bytes: 255 where the shape covers at least half of a pixel, else 0.
 * The whole shape, as its box is, also where another one lies on top. */
void scene_mask(const scene *s, int object, uint8_t *mask);

/* Writes up to SCENE_MAX_ROWS questions with their answers and returns how many. `seed` picks among the possible.
 * With `segment` not 0 there are `segment` rows too, after the others. */
int scene_ask(const scene *s, uint64_t seed, int segment, scene_row rows[SCENE_MAX_ROWS]);

/* Writes the one question of a task that nano was not taught and returns 1; 0 where its answer would be ambiguous. */
int scene_ask_transfer(const scene *s, scene_task task, uint64_t seed, scene_row rows[SCENE_MAX_ROWS]);

/* What stands at one patch. */
typedef struct scene_label {
    uint8_t what;               /* 0 nothing, 1 .. 7 a shape, 8 .. 33 a letter */
    uint8_t color;              /* 0 nothing, 1 .. 8 */
    uint8_t box[4];             /* y1 x1 y2 x2 of that shape or letter, 255 is the far side of the picture */
    uint8_t part;               /* how much of the patch it covers, per cent */
} scene_label;

/* Writes labels [grid, grid] for a picture squashed to grid x grid patches. */
void scene_mark(const scene *s, int grid, scene_label *labels);

/* Names; static text. */
const char *scene_shape_name(scene_shape shape);
const char *scene_shape_plural(scene_shape shape);
const char *scene_color_name(scene_color color);

/* The lexicon of the words in pictures: three to five capital letters. */
int scene_lexicon_count(void);
const char *scene_lexicon_word(int i);

/* Outline of a shape of radius 1 around the origin as points (x, y); 0 points: a circle or a ring. */
enum { SCENE_MAX_POINTS = 40 };
int scene_shape_points(scene_shape shape, double points[SCENE_MAX_POINTS][2]);

/* A capital letter as pen strokes: "x y" digit pairs on a grid 8 wide and 12 high, strokes separated by spaces. */
const char *scene_letter_strokes(char letter);

/* Maps a point of letter number `i` (grid units) to the picture. */
void scene_word_point(const scene_word *word, int i, double gx, double gy, double *x, double *y);

/* Files and JPEG loss; all return 0, or -1 on failure. rgb is [height, width, 3]. */
int scene_write_jpeg(const char *path, const uint8_t *rgb, int width, int height, int quality);
int scene_write_png(const char *path, const uint8_t *rgb, int width, int height);
int scene_write_png_fast(const char *path, const uint8_t *rgb, int width, int height); /* larger, in less time */
int scene_write_mask(const char *path, const uint8_t *mask, int width, int height); /* [height, width], grey PNG */
int scene_jpeg_loss(uint8_t *rgb, int width, int height, int quality);

#endif
