/*
 * Outlines of a mask. They run along the edges of pixels with the mask on the
 * right hand, so outlines of regions go clockwise and those of holes the other
 * way; where two pixels touch by a corner only, the walk stays with its pixel.
 * Then each hole is tied to what stands above it: from its highest corner
 * straight up through the region to the next edge, and back.
 */
#include "answer/mask.h"

#include "base/memory.h"

#include <stdlib.h>

/* A corner of a pixel on an outline; the outlines are rings of them. */
typedef struct node {
    uint32_t x, y;
    uint32_t next; /* in nodes */
} node;

typedef struct outline {
    uint32_t first; /* a node of it */
    bool hole;
} outline;

typedef struct tracer {
    const pl_mask *mask;
    node *nodes; /* [node_count], owned */
    size_t node_count, node_capacity;
    outline *outlines; /* [outline_count], owned */
    size_t outline_count, outline_capacity;
    uint32_t *tops; /* [height, width] owned: of pixels whose upper edge is on an outline, the node at its left end, plus 1 */
} tracer;

typedef enum heading { RIGHT, DOWN, LEFT, UP } heading;

static const int step_x[4] = {1, 0, -1, 0}, step_y[4] = {0, 1, 0, -1};

static bool is_in(const pl_mask *mask, int64_t x, int64_t y)
{
    return x >= 0 && y >= 0 && (uint64_t)x < mask->width && (uint64_t)y < mask->height && mask->bits[(size_t)y * mask->width + (size_t)x];
}

/* The pixel on the right or left hand of the edge that leaves corner (x, y) towards `to`. */
static bool hand_is_in(const pl_mask *mask, int64_t x, int64_t y, heading to, bool right)
{
    static const int right_x[4] = {0, -1, -1, 0}, right_y[4] = {0, 0, -1, -1};
    const heading of = right ? to : (heading)((to + 3) % 4); /* the left hand's pixel is the right hand's of a turn to the left */
    return is_in(mask, x + right_x[of], y + right_y[of]);
}

/* Where the walk goes on: sharp right first, so that pixels that touch by a corner stay apart. */
static heading turn(const pl_mask *mask, int64_t x, int64_t y, heading from)
{
    for (int i = 0; i < 4; i++) {
        const heading to = (heading)((from + 1 + 4 - i) % 4); /* right, ahead, left */
        if (hand_is_in(mask, x, y, to, true) && !hand_is_in(mask, x, y, to, false))
            return to;
    }
    return from; /* not reached: what enters a corner leaves it */
}

static pali_status push_node(tracer *t, uint32_t x, uint32_t y, pali_error *err)
{
    if (t->node_count >= UINT32_MAX - 4)
        return pl_fail(err, PALI_INPUT, "mask: found outlines of more than %u pixels, expected a mask that is less broken up", UINT32_MAX - 4);
    const pali_status status = pl_grow(&t->nodes, &t->node_capacity, t->node_count + 1, sizeof *t->nodes, "outlines", err);
    if (status != PALI_OK)
        return status;
    t->nodes[t->node_count] = (node){.x = x, .y = y, .next = (uint32_t)t->node_count + 1};
    t->node_count++;
    return PALI_OK;
}

/* Walks the outline that has the upper edge of pixel (x, y). */
static pali_status trace(tracer *t, size_t x, size_t y, pali_error *err)
{
    const uint32_t first = (uint32_t)t->node_count;
    int64_t at_x = (int64_t)x, at_y = (int64_t)y, area = 0;
    heading to = RIGHT;
    pali_status status = PALI_OK;
    do {
        if (to == RIGHT)
            t->tops[(size_t)at_y * t->mask->width + (size_t)at_x] = (uint32_t)t->node_count + 1;
        status = push_node(t, (uint32_t)at_x, (uint32_t)at_y, err);
        area += (to == DOWN ? at_x : to == UP ? -at_x : 0);
        at_x += step_x[to];
        at_y += step_y[to];
        to = turn(t->mask, at_x, at_y, to);
    } while (status == PALI_OK && !(at_x == (int64_t)x && at_y == (int64_t)y && to == RIGHT));
    if (status == PALI_OK)
        status = pl_grow(&t->outlines, &t->outline_capacity, t->outline_count + 1, sizeof *t->outlines, "outlines", err);
    if (status != PALI_OK)
        return status;
    t->nodes[t->node_count - 1].next = first;
    t->outlines[t->outline_count++] = (outline){.first = first, .hole = area < 0};
    return PALI_OK;
}

static pali_status trace_all(tracer *t, pali_error *err)
{
    const pl_mask *mask = t->mask;
    pali_status status = PALI_OK;
    for (size_t y = 0; y < mask->height; y++)
        for (size_t x = 0; x < mask->width && status == PALI_OK; x++) {
            const size_t at = y * mask->width + x;
            if (mask->bits[at] && !(y > 0 && mask->bits[at - mask->width]) && !t->tops[at])
                status = trace(t, x, y, err);
        }
    return status;
}

/* Ties a hole to the outline above its highest corner, by a line up and back. */
static pali_status tie(tracer *t, const outline *hole, pali_error *err)
{
    uint32_t top = hole->first;
    for (uint32_t i = t->nodes[hole->first].next; i != hole->first; i = t->nodes[i].next)
        if (t->nodes[i].y < t->nodes[top].y || (t->nodes[i].y == t->nodes[top].y && t->nodes[i].x < t->nodes[top].x))
            top = i;
    const size_t x = t->nodes[top].x;
    size_t y = t->nodes[top].y - 1; /* the pixel above the corner is in, as its lower edge is on the outline */
    while (y > 0 && t->mask->bits[(y - 1) * t->mask->width + x])
        y--;
    const uint32_t above = t->tops[y * t->mask->width + x] - 1, end = (uint32_t)t->node_count, back = end + 1;
    const node start = t->nodes[above], corner = t->nodes[top];
    pali_status status = push_node(t, corner.x, corner.y, err);
    if (status == PALI_OK)
        status = push_node(t, start.x, start.y, err);
    if (status != PALI_OK)
        return status;
    /* above -> top, round the hole to its end, which is top again -> back, which is above again */
    uint32_t last = top;
    while (t->nodes[last].next != top)
        last = t->nodes[last].next;
    t->nodes[last].next = end;
    t->nodes[end].next = back;
    t->nodes[back].next = start.next;
    t->nodes[above].next = top;
    return PALI_OK;
}

/* True when the ring goes straight on at `at`. */
static bool goes_straight(const tracer *t, uint32_t before, uint32_t at)
{
    const node *a = &t->nodes[before], *b = &t->nodes[at], *c = &t->nodes[t->nodes[at].next];
    const int64_t in_x = (int64_t)b->x - a->x, in_y = (int64_t)b->y - a->y, out_x = (int64_t)c->x - b->x, out_y = (int64_t)c->y - b->y;
    return in_x * out_y == in_y * out_x && in_x * out_x + in_y * out_y > 0;
}

/* The corners of a ring that starts at one; into xy unless it is NULL. Returns their number. */
static size_t corners_of(const tracer *t, uint32_t first, double *xy)
{
    size_t count = 0;
    uint32_t at = first, before = first;
    while (t->nodes[before].next != first)
        before = t->nodes[before].next;
    do {
        if (!goes_straight(t, before, at)) {
            if (xy) {
                xy[2 * count] = t->nodes[at].x;
                xy[2 * count + 1] = t->nodes[at].y;
            }
            count++;
        }
        before = at;
        at = t->nodes[at].next;
    } while (at != first);
    return count;
}

/* One block: the polygons, then their corners. */
static pali_status collect(const tracer *t, pali_polygon **polygons, size_t *count, pali_error *err)
{
    size_t corners = 0, found = 0, bytes = 0;
    for (size_t i = 0; i < t->outline_count; i++)
        if (!t->outlines[i].hole) {
            corners += corners_of(t, t->outlines[i].first, NULL);
            found++;
        }
    if (found == 0)
        return PALI_OK;
    if (!pl_mul(corners, 2 * sizeof(double), &bytes) || !pl_add(bytes, found * sizeof(pali_polygon), &bytes))
        return pl_fail_memory(err, "polygons", 0);
    pali_polygon *list = pl_new_raw(bytes, 1, "polygons", err);
    if (!list)
        return PALI_MEMORY;
    double *xy = (double *)(list + found);
    size_t used = 0;
    for (size_t i = 0; i < t->outline_count; i++) {
        if (t->outlines[i].hole)
            continue;
        list[used] = (pali_polygon){.xy = xy, .count = corners_of(t, t->outlines[i].first, xy)};
        xy += 2 * list[used++].count;
    }
    *polygons = list;
    *count = found;
    return PALI_OK;
}

pali_status pl_mask_polygons(const pl_mask *mask, pali_polygon **polygons, size_t *count, pali_error *err)
{
    tracer t = {.mask = mask};
    *polygons = NULL;
    *count = 0;
    t.tops = pl_new(mask->width * mask->height, sizeof *t.tops, "outlines", err);
    pali_status status = t.tops ? trace_all(&t, err) : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < t.outline_count; i++)
        if (t.outlines[i].hole)
            status = tie(&t, &t.outlines[i], err);
    if (status == PALI_OK)
        status = collect(&t, polygons, count, err);
    free(t.tops);
    free(t.nodes);
    free(t.outlines);
    return status;
}
