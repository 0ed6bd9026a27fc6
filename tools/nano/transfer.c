/* transfer.c - two tasks that nano was never taught, for measuring how it is transferred to new ones.
 *
 * `side` asks for the shape that is leftmost, rightmost, highest or lowest among two to five: new questions, answered in words it
 * knows. `table` wants all kinds of shapes with their numbers, `red circle 1 ; blue star 2`: a new form of answer, of pieces
 * that it knows. Kinds stand there from left to right, by the first of each. As in rows.c, a row is written only where its answer is unambiguous. */
#include "scenes.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_KINDS = 4, MAX_LISTED = 5 };
static const double margin = 0.04; /* of the picture: less apart is too close to call */

/* Boxes from the left, the right, the top and the bottom. */
static double distance(const scene_box b, const int side)
{
    return side == 0 ? b.x1 : side == 1 ? 1.0 - b.x2 : side == 2 ? b.y1 : 1.0 - b.y2;
}

static int ask_side(const scene *const s, scene_random *const r, scene_row *const row)
{
    static const char *const sides[] = {"leftmost", "rightmost", "highest", "lowest"};
    if (s->count < 2 || s->count > MAX_LISTED || s->word.text[0])
        return 0;
    const int side = random_below(r, 4);
    int best = 0;
    for (int i = 1; i < s->count; i++)
        if (distance(s->objects[i].box, side) < distance(s->objects[best].box, side))
            best = i;
    const scene_object *const o = &s->objects[best];
    for (int i = 0; i < s->count; i++)
        if (i != best && distance(s->objects[i].box, side) - distance(o->box, side) < margin)
            return 0;
    *row = (scene_row){.task = "side"};
    snprintf(row->prefix, sizeof row->prefix, "answer en what is %s?", sides[side]);
    snprintf(row->suffix, sizeof row->suffix, "%s %s", scene_color_name(o->color), scene_shape_name(o->shape));
    return 1;
}

static int compare_left(const void *const a, const void *const b)
{
    const scene_object *const p = *(const scene_object *const *)a, *const q = *(const scene_object *const *)b;
    return p->box.x1 < q->box.x1 ? -1 : p->box.x1 > q->box.x1;
}

static int ask_table(const scene *const s, scene_row *const row)
{
    const scene_object *sorted[SCENE_MAX_OBJECTS], *kinds[MAX_KINDS];
    int counts[MAX_KINDS], n = 0;
    if (!s->count || s->count > MAX_LISTED || s->word.text[0])
        return 0;
    for (int i = 0; i < s->count; i++)
        sorted[i] = &s->objects[i];
    qsort(sorted, (size_t)s->count, sizeof sorted[0], compare_left);
    for (int i = 0; i < s->count; i++) {
        int k = 0;
        while (k < n && (kinds[k]->shape != sorted[i]->shape || kinds[k]->color != sorted[i]->color))
            k++;
        if (k < n) {
            counts[k]++;
            continue;
        }
        if (n == MAX_KINDS || (i && sorted[i]->box.x1 - sorted[i - 1]->box.x1 < margin))
            return 0;
        kinds[n] = sorted[i];
        counts[n++] = 1;
    }
    *row = (scene_row){.task = "table", .prefix = "table"};
    size_t used = 0;
    for (int k = 0; k < n; k++)
        used += (size_t)snprintf(row->suffix + used, sizeof row->suffix - used, "%s%s %s %d", k ? " ; " : "",
                                 scene_color_name(kinds[k]->color), scene_shape_name(kinds[k]->shape), counts[k]);
    return 1;
}

int scene_ask_transfer(const scene *const s, const scene_task task, const uint64_t seed, scene_row rows[SCENE_MAX_ROWS])
{
    scene_random r = {seed ^ s->noise_seed};
    return task == TASK_SIDE ? ask_side(s, &r, &rows[0]) : task == TASK_TABLE ? ask_table(s, &rows[0]) : 0;
}
