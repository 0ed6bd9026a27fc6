/* draw.c - a scene becomes pixels.
 *
 * Everything is drawn by signed distance: a pixel is covered by clamp(0.5 - distance), which gives smooth edges at
 * every size without supersampling. Order: background, word, shapes, noise. Light falls from above, so each shape is
 * a little brighter at its top. */
#include "scenes.h"

#include <math.h>
#include <string.h>

static double clamp01(const double v)
{
    return v < 0.0 ? 0.0 : v > 1.0 ? 1.0 : v;
}

static uint8_t to_byte(const double v)
{
    return (uint8_t)(v < 0.0 ? 0.0 : v > 255.0 ? 255.0 : v + 0.5);
}

static double segment_distance(const double px, const double py, const double a[2], const double b[2])
{
    const double dx = b[0] - a[0], dy = b[1] - a[1];
    const double length2 = dx * dx + dy * dy;
    const double t = length2 > 0.0 ? clamp01(((px - a[0]) * dx + (py - a[1]) * dy) / length2) : 0.0;
    const double ex = px - a[0] - t * dx, ey = py - a[1] - t * dy;
    return sqrt(ex * ex + ey * ey);
}

/* Negative inside; the side comes from the even-odd rule. */
static double polygon_distance(const double px, const double py, double points[SCENE_MAX_POINTS][2], const int n)
{
    double best = 1e30;
    int inside = 0;
    for (int i = 0, j = n - 1; i < n; j = i++) {
        const double d = segment_distance(px, py, points[j], points[i]);
        if (d < best)
            best = d;
        if ((points[i][1] > py) != (points[j][1] > py) &&
            px < (points[j][0] - points[i][0]) * (py - points[i][1]) / (points[j][1] - points[i][1]) + points[i][0])
            inside = !inside;
    }
    return inside ? -best : best;
}

static void blend(uint8_t *const pixel, const double rgb[3], const double cover)
{
    for (int c = 0; c < 3; c++)
        pixel[c] = to_byte(pixel[c] + (rgb[c] - pixel[c]) * cover);
}

/* Smooth value noise in [0, 1]: random values on a lattice, blended with a smoothstep. */
static double lattice(const uint64_t seed, const int x, const int y)
{
    scene_random r = {seed ^ ((uint64_t)(uint32_t)x << 32 | (uint32_t)y)};
    return random_unit(&r);
}

static double cloud(const uint64_t seed, const double x, const double y)
{
    const int ix = (int)floor(x), iy = (int)floor(y);
    const double fx = x - ix, fy = y - iy;
    const double sx = fx * fx * (3.0 - 2.0 * fx), sy = fy * fy * (3.0 - 2.0 * fy);
    const double top = lattice(seed, ix, iy) + (lattice(seed, ix + 1, iy) - lattice(seed, ix, iy)) * sx;
    const double low = lattice(seed, ix, iy + 1) + (lattice(seed, ix + 1, iy + 1) - lattice(seed, ix, iy + 1)) * sx;
    return top + (low - top) * sy;
}

/* How far from the first to the second background colour, 0 .. 1. */
static double background_mix(const scene *const s, const double x, const double y)
{
    const scene_background *const b = &s->background;
    const double c = cos(b->angle), n = sin(b->angle);
    const double along = (x - s->width / 2.0) * c + (y - s->height / 2.0) * n;
    const double across = (y - s->height / 2.0) * c - (x - s->width / 2.0) * n;
    switch (b->style) {
    case STYLE_GRADIENT: return clamp01(0.5 + along / (0.8 * (s->width + s->height)));
    case STYLE_RADIAL: return clamp01(hypot(along, across) / (0.6 * hypot(s->width, s->height)));
    case STYLE_STRIPES: return 0.5 + 0.5 * sin(along * 6.283185307179586 / b->period);
    case STYLE_CHECKS: return ((int)floor(along / b->period) + (int)floor(across / b->period)) & 1 ? 1.0 : 0.0;
    case STYLE_CLOUDS:
        return 0.65 * cloud(b->seed, x / b->period, y / b->period) +
               0.35 * cloud(b->seed + 77u, 2.7 * x / b->period, 2.7 * y / b->period);
    case STYLE_PLAIN:
    case STYLE_COUNT: break;
    }
    return 0.0;
}

static void draw_background(const scene *const s, uint8_t *const rgb)
{
    for (int y = 0; y < s->height; y++) {
        for (int x = 0; x < s->width; x++) {
            const double t = background_mix(s, x + 0.5, y + 0.5);
            uint8_t *const pixel = rgb + 3 * ((size_t)y * s->width + x);
            for (int c = 0; c < 3; c++)
                pixel[c] = to_byte(s->background.from[c] + (s->background.to[c] - s->background.from[c]) * t);
        }
    }
}

static double object_distance(const scene_object *const o, double points[SCENE_MAX_POINTS][2], const int n,
                              const double x, const double y)
{
    const double r = hypot(x - o->cx, y - o->cy);
    if (o->shape == SHAPE_CIRCLE)
        return r - 0.92 * o->radius;
    if (o->shape == SHAPE_RING)
        return fabs(r - 0.74 * o->radius) - 0.18 * o->radius;
    return polygon_distance(x, y, points, n);
}

typedef struct pixel_range {
    int x0, y0, x1, y1; /* x0 <= x < x1, y0 <= y < y1 */
} pixel_range;

/* The outline in the picture, and the pixels that it can touch. Returns the number of points. */
static int object_outline(const scene *const s, const scene_object *const o, double points[SCENE_MAX_POINTS][2],
                          pixel_range *const range)
{
    const int n = scene_shape_points(o->shape, points);
    const double c = cos(o->angle), a = sin(o->angle);
    for (int i = 0; i < n; i++) {
        const double x = points[i][0] * o->radius, y = points[i][1] * o->radius;
        points[i][0] = o->cx + c * x - a * y;
        points[i][1] = o->cy + a * x + c * y;
    }
    *range = (pixel_range){
        .x0 = (int)fmax(0.0, o->cx - o->radius - 2.0), .x1 = (int)fmin(s->width, o->cx + o->radius + 3.0),
        .y0 = (int)fmax(0.0, o->cy - o->radius - 2.0), .y1 = (int)fmin(s->height, o->cy + o->radius + 3.0)};
    return n;
}

static void draw_object(const scene *const s, const scene_object *const o, uint8_t *const rgb)
{
    double points[SCENE_MAX_POINTS][2];
    pixel_range in;
    const int n = object_outline(s, o, points, &in);
    for (int y = in.y0; y < in.y1; y++) {
        for (int x = in.x0; x < in.x1; x++) {
            const double d = object_distance(o, points, n, x + 0.5, y + 0.5);
            if (d >= 0.5)
                continue;
            const double light = 1.06 - 0.12 * clamp01((y - o->cy) / (2.0 * o->radius) + 0.5);
            const double rim = o->outline > 0.0 ? 1.0 - 0.35 * clamp01(0.5 + o->outline + d) : 1.0;
            const double color[3] = {o->rgb[0] * light * rim, o->rgb[1] * light * rim, o->rgb[2] * light * rim};
            blend(rgb + 3 * ((size_t)y * s->width + x), color, clamp01(0.5 - d));
        }
    }
}

static int grid_value(const char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Strokes of one letter as segments in the picture; returns their number. */
static int letter_segments(const scene_word *const w, const int i, double segments[24][2][2])
{
    const char *p = scene_letter_strokes(w->text[i]);
    int n = 0, started = 0;
    double last[2] = {0.0, 0.0};
    while (*p && n < 24) {
        if (*p == ' ') {
            started = 0;
            p++;
            continue;
        }
        double now[2];
        scene_word_point(w, i, grid_value(p[0]), grid_value(p[1]), &now[0], &now[1]);
        if (started) {
            for (int k = 0; k < 2; k++) {
                segments[n][0][k] = last[k];
                segments[n][1][k] = now[k];
            }
            n++;
        }
        last[0] = now[0], last[1] = now[1];
        started = 1;
        p += 2;
    }
    return n;
}

static void draw_letter(const scene *const s, const int i, uint8_t *const rgb)
{
    const scene_word *const w = &s->word;
    const double color[3] = {w->rgb[0], w->rgb[1], w->rgb[2]};
    double segments[24][2][2];
    const int n = letter_segments(w, i, segments);
    double x0 = 1e9, y0 = 1e9, x1 = 0.0, y1 = 0.0;
    for (int k = 0; k < 2 * n; k++) {
        const double *const p = segments[k / 2][k % 2];
        x0 = fmin(x0, p[0]), x1 = fmax(x1, p[0]);
        y0 = fmin(y0, p[1]), y1 = fmax(y1, p[1]);
    }
    const double margin = w->stroke + 2.0;
    const int left = (int)fmax(0.0, x0 - margin), right = (int)fmin(s->width, x1 + margin + 1.0);
    const int top = (int)fmax(0.0, y0 - margin), bottom = (int)fmin(s->height, y1 + margin + 1.0);
    for (int y = top; y < bottom; y++) {
        for (int x = left; x < right; x++) {
            double d = 1e9;
            for (int k = 0; k < n; k++)
                d = fmin(d, segment_distance(x + 0.5, y + 0.5, segments[k][0], segments[k][1]));
            if (d < w->stroke + 0.5)
                blend(rgb + 3 * ((size_t)y * s->width + x), color, clamp01(0.5 + w->stroke - d));
        }
    }
}

static void draw_word(const scene *const s, uint8_t *const rgb)
{
    const scene_word *const w = &s->word;
    if (w->plate) {
        const double color[3] = {w->plate_rgb[0], w->plate_rgb[1], w->plate_rgb[2]};
        const double pad = 2.0 * w->stroke;
        const int left = (int)fmax(0.0, w->box.x1 * s->width - pad);
        const int right = (int)fmin(s->width, w->box.x2 * s->width + pad);
        const int top = (int)fmax(0.0, w->box.y1 * s->height - pad);
        const int bottom = (int)fmin(s->height, w->box.y2 * s->height + pad);
        for (int y = top; y < bottom; y++)
            for (int x = left; x < right; x++)
                blend(rgb + 3 * ((size_t)y * s->width + x), color, 1.0);
    }
    for (int i = 0; w->text[i]; i++)
        draw_letter(s, i, rgb);
}

static void add_noise(const scene *const s, uint8_t *const rgb)
{
    scene_random r = {s->noise_seed};
    const size_t n = (size_t)s->width * s->height * 3;
    /* The sum of four 16-bit uniforms is normal enough, and one draw serves one value. */
    const double scale = s->noise * 1.7320508075688772 / 65536.0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t z = random_next(&r);
        const int sum = (int)(z & 0xFFFF) + (int)(z >> 16 & 0xFFFF) + (int)(z >> 32 & 0xFFFF) + (int)(z >> 48);
        rgb[i] = to_byte(rgb[i] + (sum - 131070) * scale);
    }
}

void scene_mask(const scene *const s, const int object, uint8_t *const mask)
{
    const scene_object *const o = &s->objects[object];
    double points[SCENE_MAX_POINTS][2];
    pixel_range in;
    const int n = object_outline(s, o, points, &in);
    memset(mask, 0, (size_t)s->width * s->height);
    for (int y = in.y0; y < in.y1; y++)
        for (int x = in.x0; x < in.x1; x++)
            if (object_distance(o, points, n, x + 0.5, y + 0.5) <= 0.0)
                mask[(size_t)y * s->width + x] = 255;
}

void scene_draw(const scene *const s, uint8_t *const rgb)
{
    draw_background(s, rgb);
    if (s->word.text[0])
        draw_word(s, rgb);
    for (int i = 0; i < s->count; i++)
        draw_object(s, &s->objects[i], rgb);
    if (s->noise > 0.0)
        add_noise(s, rgb);
}
