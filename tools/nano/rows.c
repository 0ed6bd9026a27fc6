/* rows.c - what can be asked about a scene, and the right answers.
 *
 * Prompts take PaliGemma's forms (arXiv 2407.07726, section 3.2.5). Boxes are four location tokens y1 x1 y2 x2 with
 * round(coordinate * 1023); objects of one label stand from left to right, labels in the order of the prompt. A row
 * is written only where its answer is unambiguous. */
#include "scenes.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BOXES = 4 }; /* that surely fit SCENE_SUFFIX_SIZE */

typedef struct row_list {
    scene_row *rows;
    int count;
} row_list;

__attribute__((format(printf, 4, 5))) static void add(row_list *const list, const char *const task,
                                                      const char *const suffix, const char *const format, ...)
{
    if (list->count == SCENE_MAX_ROWS)
        return;
    scene_row *const row = &list->rows[list->count++];
    row->task = task;
    row->named_count = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(row->prefix, sizeof row->prefix, format, arguments);
    va_end(arguments);
    snprintf(row->suffix, sizeof row->suffix, "%s", suffix);
}

/* Objects of a shape and a colour; -1 stands for any. */
static int count_objects(const scene *const s, const int shape, const int color)
{
    int n = 0;
    for (int i = 0; i < s->count; i++)
        n += (shape < 0 || (int)s->objects[i].shape == shape) && (color < 0 || (int)s->objects[i].color == color);
    return n;
}

static const char *number_text(const int n)
{
    static const char *const digits[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    return digits[n];
}

static void append_box(char *const text, const size_t size, const scene_box b, const char *const label)
{
    const double sides[4] = {b.y1, b.x1, b.y2, b.x2};
    size_t used = strlen(text);
    if (used)
        used += (size_t)snprintf(text + used, size - used, " ; ");
    for (int i = 0; i < 4; i++) {
        const long bin = lrint(fmin(1.0, fmax(0.0, sides[i])) * 1023.0);
        used += (size_t)snprintf(text + used, size - used, "<loc%04ld>", bin);
    }
    snprintf(text + used, size - used, " %s", label);
}

/* An answer in boxes and labels; {0} is the empty one. */
typedef struct objects_answer {
    char text[SCENE_SUFFIX_SIZE];   /* incomplete when there are more than MAX_BOXES */
    int objects[SCENE_MAX_OBJECTS]; /* [count], in the order of the text */
    int count;
} objects_answer;

/* Adds every object of the shape and colour (-1: any), from left to right. */
static void name_objects(objects_answer *const n, const scene *const s, const int shape, const int color,
                         const char *const label)
{
    const int first = n->count;
    for (int i = 0; i < s->count; i++) {
        const scene_object *const o = &s->objects[i];
        if ((int)o->shape != shape || (color >= 0 && (int)o->color != color))
            continue;
        int at = n->count++;
        for (; at > first && o->box.x1 < s->objects[n->objects[at - 1]].box.x1; at--)
            n->objects[at] = n->objects[at - 1];
        n->objects[at] = i;
    }
    for (int i = first; i < n->count && n->count <= MAX_BOXES; i++)
        append_box(n->text, sizeof n->text, s->objects[n->objects[i]].box, label);
}

static void object_label(const scene_object *const o, char label[32])
{
    snprintf(label, 32, "%s %s", scene_color_name(o->color), scene_shape_name(o->shape));
}

static const char *article(const char *const name)
{
    return strchr("aeiou", name[0]) ? "an" : "a";
}

static void ask_color_and_shape(const scene *const s, row_list *const list)
{
    for (int i = 0; i < s->count; i++) {
        const scene_object *const o = &s->objects[i];
        if (count_objects(s, (int)o->shape, -1) == 1)
            add(list, "color", scene_color_name(o->color), "answer en what color is the %s?",
                scene_shape_name(o->shape));
        if (count_objects(s, -1, (int)o->color) == 1)
            add(list, "shape", scene_shape_name(o->shape), "answer en what shape is %s?", scene_color_name(o->color));
    }
    if (s->word.text[0])
        add(list, "color", scene_color_name(s->word.color), "answer en what color is the word?");
}

static void ask_count(const scene *const s, scene_random *const r, row_list *const list)
{
    for (int shape = 0; shape < SHAPE_COUNT; shape++) {
        const int n = count_objects(s, shape, -1);
        if (n > 1 || (n == 1 && random_chance(r, 0.4)) || (n == 0 && random_chance(r, 0.05)))
            add(list, "count", number_text(n), "answer en how many %s?", scene_shape_plural((scene_shape)shape));
    }
    add(list, "count", number_text(s->count), "answer en how many shapes?");
    const int color = random_below(r, COLOR_COUNT), n = count_objects(s, -1, color);
    if (n > 0)
        add(list, "count", number_text(n), "answer en how many %s shapes?", scene_color_name((scene_color)color));
}

static void ask_presence(const scene *const s, scene_random *const r, row_list *const list)
{
    if (!s->count)
        return;
    const scene_object *const o = &s->objects[random_below(r, s->count)];
    int shape = (int)o->shape, color = (int)o->color;
    if (random_chance(r, 0.5)) { /* keep the colour or the shape of something that is there */
        if (random_chance(r, 0.5))
            shape = random_below(r, SHAPE_COUNT);
        else
            color = random_below(r, COLOR_COUNT);
    }
    const char *const name = scene_color_name((scene_color)color);
    add(list, "yesno", count_objects(s, shape, color) ? "yes" : "no", "answer en is there %s %s %s?", article(name),
        name, scene_shape_name((scene_shape)shape));
}

static void ask_detect(const scene *const s, scene_random *const r, row_list *const list)
{
    char label[32], other[32];
    for (int shape = 0; shape < SHAPE_COUNT; shape++) {
        const int n = count_objects(s, shape, -1);
        if (n > MAX_BOXES || (n == 0 && !random_chance(r, 0.02)))
            continue;
        objects_answer same = {.count = 0};
        name_objects(&same, s, shape, -1, scene_shape_name((scene_shape)shape));
        add(list, "detect", same.text, "detect %s", scene_shape_name((scene_shape)shape));
    }
    if (s->word.text[0]) {
        char text[SCENE_SUFFIX_SIZE] = "";
        append_box(text, sizeof text, s->word.box, "word");
        add(list, "detect", text, "detect word");
    }
    if (s->count < 2)
        return;
    const int i = random_below(r, s->count);
    const scene_object *const a = &s->objects[i];
    const scene_object *const b = &s->objects[(i + 1 + random_below(r, s->count - 1)) % s->count];
    object_label(a, label);
    object_label(b, other);
    const int n = count_objects(s, (int)a->shape, (int)a->color), m = count_objects(s, (int)b->shape, (int)b->color);
    if (n <= 3) {
        objects_answer both = {.count = 0};
        name_objects(&both, s, (int)a->shape, (int)a->color, label);
        add(list, "detect", both.text, "detect %s", label);
        if (strcmp(label, other) && n + m <= 3) {
            name_objects(&both, s, (int)b->shape, (int)b->color, other);
            add(list, "detect", both.text, "detect %s ; %s", label, other);
        }
    }
}

static void ask_word(const scene *const s, row_list *const list)
{
    if (!s->word.text[0])
        return;
    const size_t n = strlen(s->word.text);
    const char first[2] = {s->word.text[0], '\0'}, last[2] = {s->word.text[n - 1], '\0'};
    add(list, "ocr", s->word.text, "ocr");
    add(list, "letter", first, "answer en what is the first letter?");
    add(list, "letter", last, "answer en what is the last letter?");
    add(list, "letter", number_text((int)n), "answer en how many letters?");
}

static void phrase(const scene_object *const o, char text[40])
{
    const char *const color = scene_color_name(o->color);
    snprintf(text, 40, "%s %s %s", article(color), color, scene_shape_name(o->shape));
}

/* Two objects: which relation holds, or NULL where it is too close to call. Puts the first-named object first. */
static const char *relation(const scene_object **const a, const scene_object **const b)
{
    const double dx = ((*b)->box.x1 + (*b)->box.x2 - (*a)->box.x1 - (*a)->box.x2) / 2.0;
    const double dy = ((*b)->box.y1 + (*b)->box.y2 - (*a)->box.y1 - (*a)->box.y2) / 2.0;
    const int vertical = fabs(dy) > fabs(dx);
    if (fmax(fabs(dx), fabs(dy)) < 1.25 * fmin(fabs(dx), fabs(dy)))
        return NULL;
    if ((vertical ? dy : dx) < 0.0) {
        const scene_object *const t = *a;
        *a = *b;
        *b = t;
    }
    return vertical ? "above" : "left of";
}

static int compare_left(const void *const a, const void *const b)
{
    const scene_object *const p = a, *const q = b;
    return p->box.x1 < q->box.x1 ? -1 : p->box.x1 > q->box.x1;
}

static void ask_caption(const scene *const s, row_list *const list)
{
    static const char *const numbers[] = {"no", "one", "two", "three", "four", "five", "six", "seven"};
    char text[SCENE_SUFFIX_SIZE], one[40], two[40], three[40];
    if (s->count >= 1)
        phrase(&s->objects[0], one);
    if (s->word.text[0]) {
        if (s->count == 0)
            snprintf(text, sizeof text, "the %s word %s", scene_color_name(s->word.color), s->word.text);
        else if (s->count == 1)
            snprintf(text, sizeof text, "the %s word %s and %s", scene_color_name(s->word.color), s->word.text, one);
        else
            snprintf(text, sizeof text, "the %s word %s and %s shapes", scene_color_name(s->word.color), s->word.text,
                     numbers[s->count]);
    } else if (s->count == 1) {
        snprintf(text, sizeof text, "%s", one);
    } else if (s->count == 2) {
        const scene_object *a = &s->objects[0], *b = &s->objects[1];
        const char *const where = relation(&a, &b);
        if (!where)
            return;
        phrase(a, one);
        phrase(b, two);
        snprintf(text, sizeof text, "%s %s %s", one, where, two);
    } else if (s->count == 3) {
        scene_object sorted[3];
        memcpy(sorted, s->objects, sizeof sorted);
        qsort(sorted, 3, sizeof sorted[0], compare_left);
        if (sorted[1].box.x1 - sorted[0].box.x1 < 0.03 || sorted[2].box.x1 - sorted[1].box.x1 < 0.03)
            return;
        phrase(&sorted[0], one);
        phrase(&sorted[1], two);
        phrase(&sorted[2], three);
        snprintf(text, sizeof text, "%s, %s and %s", one, two, three);
    } else {
        snprintf(text, sizeof text, "%s shapes", numbers[s->count]);
    }
    add(list, "caption", text, "caption en");
}

static void add_segment(row_list *const list, const objects_answer *const n, const char *const labels)
{
    if (n->count > SCENE_MAX_NAMED || list->count == SCENE_MAX_ROWS)
        return;
    add(list, "segment", n->text, "segment %s", labels);
    scene_row *const row = &list->rows[list->count - 1];
    row->named_count = n->count;
    memcpy(row->named, n->objects, sizeof row->named[0] * (size_t)n->count);
}

/* Every shape that stands there one to three times, every object by colour and shape, and one pair of such labels. */
static void ask_segment(const scene *const s, scene_random *const r, row_list *const list)
{
    char label[32], other[32], both[80];
    for (int shape = 0; shape < SHAPE_COUNT; shape++) {
        if (!count_objects(s, shape, -1) && !random_chance(r, 0.02))
            continue;
        objects_answer n = {.count = 0};
        name_objects(&n, s, shape, -1, scene_shape_name((scene_shape)shape));
        add_segment(list, &n, scene_shape_name((scene_shape)shape));
    }
    for (int i = 0; i < s->count; i++) {
        const scene_object *const o = &s->objects[i];
        int seen = 0;
        for (int k = 0; k < i; k++)
            seen |= s->objects[k].shape == o->shape && s->objects[k].color == o->color;
        if (seen)
            continue;
        objects_answer n = {.count = 0};
        object_label(o, label);
        name_objects(&n, s, (int)o->shape, (int)o->color, label);
        add_segment(list, &n, label);
    }
    if (s->count < 2)
        return;
    const int i = random_below(r, s->count);
    const scene_object *const a = &s->objects[i];
    const scene_object *const b = &s->objects[(i + 1 + random_below(r, s->count - 1)) % s->count];
    object_label(a, label);
    object_label(b, other);
    if (!strcmp(label, other))
        return;
    objects_answer n = {.count = 0};
    name_objects(&n, s, (int)a->shape, (int)a->color, label);
    name_objects(&n, s, (int)b->shape, (int)b->color, other);
    snprintf(both, sizeof both, "%s ; %s", label, other);
    add_segment(list, &n, both);
}

int scene_ask(const scene *const s, const uint64_t seed, const int segment, scene_row rows[SCENE_MAX_ROWS])
{
    scene_random r = {seed ^ s->noise_seed};
    row_list list = {.rows = rows};
    ask_word(s, &list);
    ask_caption(s, &list);
    ask_color_and_shape(s, &list);
    ask_count(s, &r, &list);
    ask_presence(s, &r, &list);
    ask_detect(s, &r, &list);
    if (segment)
        ask_segment(s, &r, &list);
    return list.count;
}
