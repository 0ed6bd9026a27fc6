/* scenes.c - the layout of a scene: which things, where, in which colours, on what.
 *
 * Method: choose the things first, place them by rejection so that they overlap little, then draw backgrounds until
 * one is far enough in RGB from every colour used. Sizes are fractions of the picture, so a scene looks alike at
 * every source size; the model sees all of them squashed to one square. */
#include "scenes.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static const uint8_t palette[COLOR_COUNT][3] = {
    {214, 34, 34}, {38, 158, 58},  {42, 84, 216}, {240, 216, 40},
    {240, 132, 26}, {138, 52, 178}, {24, 24, 28},  {246, 246, 244},
};

const char *scene_shape_name(const scene_shape shape)
{
    static const char *const names[SHAPE_COUNT] = {"circle", "square", "triangle", "star", "cross", "ring", "heart"};
    return names[shape];
}

const char *scene_shape_plural(const scene_shape shape)
{
    static const char *const names[SHAPE_COUNT] = {"circles", "squares", "triangles", "stars",
                                                   "crosses", "rings",   "hearts"};
    return names[shape];
}

const char *scene_color_name(const scene_color color)
{
    static const char *const names[COLOR_COUNT] = {"red",    "green",  "blue",  "yellow",
                                                   "orange", "purple", "black", "white"};
    return names[color];
}

static void jitter_color(scene_random *const r, const scene_color color, uint8_t rgb[3])
{
    const double light = random_between(r, -12.0, 12.0);
    for (int c = 0; c < 3; c++) {
        const double v = palette[color][c] + light + random_between(r, -12.0, 12.0);
        rgb[c] = (uint8_t)(v < 0.0 ? 0.0 : v > 255.0 ? 255.0 : v);
    }
}

static double color_distance(const double a[3], const uint8_t b[3])
{
    double sum = 0.0;
    for (int c = 0; c < 3; c++)
        sum += (a[c] - b[c]) * (a[c] - b[c]);
    return sqrt(sum);
}

static scene_box object_box(const scene *const s, const scene_object *const o)
{
    double points[SCENE_MAX_POINTS][2];
    const int n = scene_shape_points(o->shape, points);
    double x1 = -0.92, y1 = -0.92, x2 = 0.92, y2 = 0.92;
    for (int i = 0; i < n; i++) {
        const double x = cos(o->angle) * points[i][0] - sin(o->angle) * points[i][1];
        const double y = sin(o->angle) * points[i][0] + cos(o->angle) * points[i][1];
        x1 = i ? fmin(x1, x) : x, x2 = i ? fmax(x2, x) : x;
        y1 = i ? fmin(y1, y) : y, y2 = i ? fmax(y2, y) : y;
    }
    return (scene_box){
        .y1 = (o->cy + y1 * o->radius) / s->height,
        .x1 = (o->cx + x1 * o->radius) / s->width,
        .y2 = (o->cy + y2 * o->radius) / s->height,
        .x2 = (o->cx + x2 * o->radius) / s->width,
    };
}

/* Intersection divided by the smaller area. */
static double box_overlap(const scene_box a, const scene_box b)
{
    const double w = fmin(a.x2, b.x2) - fmax(a.x1, b.x1), h = fmin(a.y2, b.y2) - fmax(a.y1, b.y1);
    if (w <= 0.0 || h <= 0.0)
        return 0.0;
    const double area_a = (a.y2 - a.y1) * (a.x2 - a.x1), area_b = (b.y2 - b.y1) * (b.x2 - b.x1);
    return w * h / fmin(area_a, area_b);
}

static double box_margin(const scene_box a, const scene_box b)
{
    return fmax(fmax(a.x1, b.x1) - fmin(a.x2, b.x2), fmax(a.y1, b.y1) - fmin(a.y2, b.y2));
}

/* Adds one object where it fits; returns 0 if no place was found. */
static int place_object(scene *const s, scene_random *const r, const scene_shape shape, const scene_color color,
                        const double lo, const double hi, const double overlap)
{
    const double side = fmin(s->width, s->height);
    for (int attempt = 0; attempt < 80; attempt++) {
        scene_object o = {.shape = shape, .color = color};
        /* Later attempts try smaller sizes. */
        o.radius = side * random_between(r, lo, lo + (hi - lo) * (1.0 - attempt / 100.0));
        o.angle = shape == SHAPE_CROSS ? random_between(r, -0.15, 0.15) : random_between(r, -0.22, 0.22);
        o.cx = random_between(r, o.radius, s->width - o.radius);
        o.cy = random_between(r, o.radius, s->height - o.radius);
        o.box = object_box(s, &o);
        int fits = !s->word.text[0] || box_margin(o.box, s->word.box) > 0.02;
        for (int i = 0; fits && i < s->count; i++) {
            const double covered = box_overlap(o.box, s->objects[i].box);
            fits = overlap > 0.0 ? covered <= overlap : box_margin(o.box, s->objects[i].box) > 0.015;
        }
        if (!fits)
            continue;
        jitter_color(r, color, o.rgb);
        o.outline = random_chance(r, 0.25) ? fmax(1.0, 0.08 * o.radius) : 0.0;
        s->objects[s->count++] = o;
        return 1;
    }
    return 0;
}

static void place_word(scene *const s, scene_random *const r)
{
    scene_word w = {.color = (scene_color)random_below(r, COLOR_COUNT)};
    strcpy(w.text, scene_lexicon_word(random_below(r, scene_lexicon_count())));
    const int n = (int)strlen(w.text);
    const double widest = fmin(0.92, 0.25 * n), narrowest = 0.15 * n;
    w.advance = s->width * random_between(r, narrowest, widest) / n;
    w.height = fmin(fmax(w.advance * random_between(r, 0.95, 1.5), 0.15 * s->height), 0.4 * s->height);
    w.stroke = fmin(w.height, w.advance) * random_between(r, 0.07, 0.12);
    w.slant = random_between(r, -0.12, 0.2);
    w.angle = random_chance(r, 0.5) ? 0.0 : random_between(r, -0.07, 0.07);
    w.plate = random_chance(r, 0.2);
    jitter_color(r, w.color, w.rgb);

    double x1 = 1e9, y1 = 1e9, x2 = -1e9, y2 = -1e9; /* around a centre at 0, 0 */
    for (int corner = 0; corner < 4; corner++) {
        double x, y;
        scene_word_point(&w, corner & 1 ? n - 1 : 0, corner & 1 ? 8.0 : 0.0, corner & 2 ? 12.0 : 0.0, &x, &y);
        x1 = fmin(x1, x - w.stroke), x2 = fmax(x2, x + w.stroke);
        y1 = fmin(y1, y - w.stroke), y2 = fmax(y2, y + w.stroke);
    }
    const double fit = fmin(1.0, 0.97 * s->width / (x2 - x1));
    w.advance *= fit, w.height *= fit, w.stroke *= fit;
    x1 *= fit, x2 *= fit, y1 *= fit, y2 *= fit;
    w.cx = random_between(r, -x1, s->width - x2);
    w.cy = random_between(r, -y1, s->height - y2);
    w.box = (scene_box){(w.cy + y1) / s->height, (w.cx + x1) / s->width, (w.cy + y2) / s->height,
                        (w.cx + x2) / s->width};
    s->word = w;
}

static int background_contrasts(const scene *const s, const double rgb[3])
{
    for (int i = 0; i < s->count; i++)
        if (color_distance(rgb, s->objects[i].rgb) < 95.0)
            return 0;
    return !s->word.text[0] || s->word.plate || color_distance(rgb, s->word.rgb) >= 110.0;
}

static void choose_background(scene *const s, scene_random *const r, const int clean)
{
    scene_background *const b = &s->background;
    b->style = (scene_style)random_below(r, STYLE_COUNT);
    b->angle = random_between(r, 0.0, pi);
    b->period = fmin(s->width, s->height) * random_between(r, 0.06, 0.35);
    b->seed = random_next(r);
    const double reach = b->style == STYLE_GRADIENT || b->style == STYLE_RADIAL ? 70.0 : clean ? 14.0 : 22.0;
    for (int attempt = 0; attempt < 400; attempt++) {
        const double grey = random_between(r, 20.0, 240.0), tint = random_between(r, 0.0, 70.0);
        for (int c = 0; c < 3; c++) {
            const double v = fmin(250.0, fmax(5.0, grey + random_between(r, -tint, tint)));
            b->from[c] = v;
            b->to[c] = fmin(250.0, fmax(5.0, v + random_between(r, -reach, reach)));
        }
        double middle[3];
        for (int c = 0; c < 3; c++)
            middle[c] = (b->from[c] + b->to[c]) / 2.0;
        if (background_contrasts(s, b->from) && background_contrasts(s, b->to) && background_contrasts(s, middle))
            return;
    }
    b->style = STYLE_PLAIN; /* rare: many colours at once; this one is far from all of them */
    b->from[0] = 128.0, b->from[1] = 140.0, b->from[2] = 150.0;
}

static void choose_plate(scene *const s, scene_random *const r)
{
    double rgb[3];
    do {
        const double grey = random_between(r, 10.0, 245.0);
        for (int c = 0; c < 3; c++)
            rgb[c] = fmin(250.0, fmax(5.0, grey + random_between(r, -30.0, 30.0)));
    } while (color_distance(rgb, s->word.rgb) < 120.0);
    for (int c = 0; c < 3; c++)
        s->word.plate_rgb[c] = (uint8_t)rgb[c];
}

static void choose_size(scene *const s, scene_random *const r, const scene_options *const o)
{
    const double lo = o->min_side > 0 ? o->min_side : 104, hi = o->max_side > 0 ? o->max_side : 480;
    const double u = random_unit(r); /* squared: small pictures are more frequent, and cheaper */
    const double side = lo * pow(hi / lo, u * u);
    const double aspect = exp(random_between(r, -0.42, 0.42));
    s->width = (int)fmin(hi, fmax(lo, side * sqrt(aspect)));
    s->height = (int)fmin(hi, fmax(lo, side / sqrt(aspect)));
}

/* One to three objects that differ: what captions and colour questions are about. */
static void few_objects(scene *const s, scene_random *const r, const int clean)
{
    const int n = 1 + random_below(r, 3);
    const double overlap = !clean && random_chance(r, 0.25) ? 0.15 : 0.0;
    for (int i = 0; i < n; i++)
        place_object(s, r, (scene_shape)random_below(r, SHAPE_COUNT), (scene_color)random_below(r, COLOR_COUNT),
                     0.12, 0.32 - 0.04 * n, overlap);
}

/* Several of one shape among others: what counting is about. */
static void many_objects(scene *const s, scene_random *const r)
{
    const scene_shape shape = (scene_shape)random_below(r, SHAPE_COUNT);
    const int wanted = 1 + random_below(r, 5), others = random_below(r, wanted > 3 ? 3 : 4);
    const int same_color = random_chance(r, 0.4);
    const scene_color color = (scene_color)random_below(r, COLOR_COUNT);
    for (int i = 0; i < wanted + others && s->count < SCENE_MAX_OBJECTS; i++) {
        const scene_shape other = (scene_shape)random_below(r, SHAPE_COUNT);
        const scene_color c = same_color && i < wanted ? color : (scene_color)random_below(r, COLOR_COUNT);
        place_object(s, r, i < wanted ? shape : other, c, 0.09, 0.17, 0.0);
    }
}

static void any_objects(scene *const s, scene_random *const r)
{
    const int n = 2 + random_below(r, 5);
    const double overlap = random_chance(r, 0.4) ? 0.2 : 0.0;
    for (int i = 0; i < n; i++)
        place_object(s, r, (scene_shape)random_below(r, SHAPE_COUNT), (scene_color)random_below(r, COLOR_COUNT),
                     0.09, 0.22, overlap);
}

void scene_make(scene *const s, const scene_options *const options, const uint64_t seed, const uint64_t index,
                const int held_out)
{
    scene_random r = {seed * 0xD1342543DE82EF95u + (held_out ? 0x5851F42D4C957F2Du : 0u)};
    r.state = random_next(&r) + index * 0xA0761D6478BD642Fu;
    random_next(&r);
    *s = (scene){0};
    choose_size(s, &r, options);
    const int has_word = options->kind == KIND_WORD || (options->kind == KIND_MIX && random_chance(&r, 0.5));
    if (has_word) {
        place_word(s, &r);
        for (int n = random_chance(&r, 0.5) ? 0 : 1 + random_below(&r, 2); n > 0; n--)
            place_object(s, &r, (scene_shape)random_below(&r, SHAPE_COUNT),
                         (scene_color)random_below(&r, COLOR_COUNT), 0.1, 0.2, 0.0);
    } else {
        const double u = random_unit(&r);
        if (u < 0.45)
            few_objects(s, &r, options->clean);
        else if (u < 0.75)
            many_objects(s, &r);
        else
            any_objects(s, &r);
    }
    choose_background(s, &r, options->clean);
    if (s->word.plate)
        choose_plate(s, &r);
    const int lossless = random_chance(&r, 0.3);
    s->quality = lossless ? 0 : options->clean ? 90 : 35 + random_below(&r, 61);
    s->noise = options->clean || lossless ? 0.0 : fmax(0.0, random_between(&r, -4.0, 12.0));
    s->noise_seed = random_next(&r);
}
