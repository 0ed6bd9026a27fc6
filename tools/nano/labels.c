/* labels.c - what stands at each patch of a scene: the dense targets that teach the vision tower.
 *
 * A patch belongs to the shape or letter whose box covers most of it, if that is at least a quarter of the patch or
 * the patch holds the middle of the box. Later shapes lie on top and win. */
#include "scenes.h"

#include <math.h>
#include <string.h>

static uint8_t to_byte(const double v)
{
    return (uint8_t)lrint(fmin(1.0, fmax(0.0, v)) * 255.0);
}

static double covered(const scene_box b, const double y, const double x, const double step)
{
    const double h = fmin(b.y2, y + step) - fmax(b.y1, y), w = fmin(b.x2, x + step) - fmax(b.x1, x);
    return h > 0.0 && w > 0.0 ? h * w / (step * step) : 0.0;
}

static void mark(scene_label *const labels, const int grid, const scene_box b, const int what, const int color)
{
    const double step = 1.0 / grid, my = (b.y1 + b.y2) / 2.0, mx = (b.x1 + b.x2) / 2.0;
    for (int i = 0; i < grid * grid; i++) {
        const double y = (i / grid) * step, x = (i % grid) * step;
        const int middle = my >= y && my < y + step && mx >= x && mx < x + step;
        const double part = middle ? 2.0 : covered(b, y, x, step);
        if (part < 0.25 || (what > SHAPE_COUNT && part * 100.0 < labels[i].part))
            continue;
        labels[i] = (scene_label){.what = (uint8_t)what, .color = (uint8_t)(color + 1),
                                  .box = {to_byte(b.y1), to_byte(b.x1), to_byte(b.y2), to_byte(b.x2)},
                                  .part = (uint8_t)(part * 100.0)};
    }
}

static scene_box letter_box(const scene *const s, const int i)
{
    scene_box b = {1e9, 1e9, -1e9, -1e9};
    for (int corner = 0; corner < 4; corner++) {
        double x, y;
        scene_word_point(&s->word, i, corner & 1 ? 8.0 : 0.0, corner & 2 ? 12.0 : 0.0, &x, &y);
        b.x1 = fmin(b.x1, (x - s->word.stroke) / s->width), b.x2 = fmax(b.x2, (x + s->word.stroke) / s->width);
        b.y1 = fmin(b.y1, (y - s->word.stroke) / s->height), b.y2 = fmax(b.y2, (y + s->word.stroke) / s->height);
    }
    return b;
}

void scene_mark(const scene *const s, const int grid, scene_label *const labels)
{
    memset(labels, 0, sizeof labels[0] * (size_t)grid * grid);
    for (int i = 0; s->word.text[i]; i++)
        mark(labels, grid, letter_box(s, i), SHAPE_COUNT + 1 + s->word.text[i] - 'A', (int)s->word.color);
    for (int i = 0; i < s->count; i++)
        mark(labels, grid, s->objects[i].box, 1 + (int)s->objects[i].shape, (int)s->objects[i].color);
}
