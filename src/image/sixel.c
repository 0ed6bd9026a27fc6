/*
 * Sixels. Colours are cut to 5 bits a channel and counted; the box of all
 * colours is halved again and again along its longest side, where half of its
 * pixels lie on either side (Heckbert 1982, median cut), and each box becomes
 * the mean of its pixels. Then every band of six rows is written colour by
 * colour, runs counted.
 */
#include "image/preview.h"

#include <stdlib.h>
#include <string.h>

enum { BITS = 5, LEVELS = 1 << BITS, CELLS = LEVELS * LEVELS * LEVELS, MOST_COLOURS = 256, BAND = 6 };

/* A cell of the colour cube. */
typedef struct cell {
    uint32_t count;
    uint64_t sum[3]; /* of its pixels' channels */
} cell;

/* A box of cells, low..high on each axis; it holds at least one pixel. */
typedef struct colour_box {
    int low[3], high[3];
    uint64_t count;
} colour_box;

typedef struct palette {
    cell *cells;            /* [CELLS], owned */
    unsigned char *index;   /* [CELLS], owned: the colour of a cell */
    colour_box boxes[MOST_COLOURS];
    size_t count;
} palette;

static size_t cell_of(const unsigned char rgb[3])
{
    const int cut = 8 - BITS;
    return ((size_t)(rgb[0] >> cut) * LEVELS + (size_t)(rgb[1] >> cut)) * LEVELS + (size_t)(rgb[2] >> cut);
}

static const cell *cell_at(const palette *p, const int at[3])
{
    return &p->cells[((size_t)at[0] * LEVELS + (size_t)at[1]) * LEVELS + (size_t)at[2]];
}

/* Pixels of a box in one plane of an axis. */
static uint64_t count_plane(const palette *p, const colour_box *box, int axis, int place)
{
    const int u = (axis + 1) % 3, v = (axis + 2) % 3;
    uint64_t count = 0;
    int at[3];
    at[axis] = place;
    for (at[u] = box->low[u]; at[u] <= box->high[u]; at[u]++)
        for (at[v] = box->low[v]; at[v] <= box->high[v]; at[v]++)
            count += cell_at(p, at)->count;
    return count;
}

/* Moves the sides inwards to where pixels are. */
static void shrink(const palette *p, colour_box *box)
{
    for (int axis = 0; axis < 3; axis++) {
        while (count_plane(p, box, axis, box->low[axis]) == 0)
            box->low[axis]++;
        while (count_plane(p, box, axis, box->high[axis]) == 0)
            box->high[axis]--;
    }
}

static int longest(const colour_box *box)
{
    int axis = 0;
    for (int i = 1; i < 3; i++)
        if (box->high[i] - box->low[i] > box->high[axis] - box->low[axis])
            axis = i;
    return axis;
}

/* The box that gains most by a cut: many pixels over a long way. NULL when none can be cut. */
static colour_box *choose(palette *p)
{
    colour_box *best = NULL;
    uint64_t most = 0;
    for (size_t i = 0; i < p->count; i++) {
        const int axis = longest(&p->boxes[i]);
        const uint64_t gain = p->boxes[i].count * (uint64_t)(p->boxes[i].high[axis] - p->boxes[i].low[axis]);
        if (gain > most) {
            most = gain;
            best = &p->boxes[i];
        }
    }
    return best;
}

static void halve(palette *p, colour_box *box)
{
    const int axis = longest(box);
    uint64_t below = 0;
    int place = box->low[axis];
    do /* both halves keep at least a plane: the outer planes hold pixels */
        below += count_plane(p, box, axis, place++);
    while (place < box->high[axis] && 2 * below < box->count);
    colour_box upper = *box;
    upper.low[axis] = place;
    upper.count = box->count - below;
    box->high[axis] = place - 1;
    box->count = below;
    shrink(p, box);
    shrink(p, &upper);
    p->boxes[p->count++] = upper;
}

static void fill_index(palette *p, size_t colour)
{
    const colour_box *const box = &p->boxes[colour];
    int at[3];
    for (at[0] = box->low[0]; at[0] <= box->high[0]; at[0]++)
        for (at[1] = box->low[1]; at[1] <= box->high[1]; at[1]++)
            for (at[2] = box->low[2]; at[2] <= box->high[2]; at[2]++)
                p->index[cell_at(p, at) - p->cells] = (unsigned char)colour;
}

static pali_status make_palette(palette *p, const pl_image *image, pali_error *err)
{
    p->cells = pl_new(CELLS, sizeof *p->cells, "preview", err);
    p->index = pl_new(CELLS, 1, "preview", err);
    if (!p->cells || !p->index)
        return PALI_MEMORY;
    const size_t pixels = image->width * image->height;
    for (size_t i = 0; i < pixels; i++) {
        const unsigned char *const rgb = image->rgb + 3 * i;
        cell *const c = &p->cells[cell_of(rgb)];
        c->count++;
        for (size_t k = 0; k < 3; k++)
            c->sum[k] += rgb[k];
    }
    p->boxes[0] = (colour_box){.high = {LEVELS - 1, LEVELS - 1, LEVELS - 1}, .count = pixels};
    p->count = 1;
    shrink(p, &p->boxes[0]);
    for (colour_box *box; p->count < MOST_COLOURS && (box = choose(p));)
        halve(p, box);
    for (size_t i = 0; i < p->count; i++)
        fill_index(p, i);
    return PALI_OK;
}

/* "#n;2;r;g;b": the mean of a box, in hundredths. */
static pali_status write_colour(const palette *p, size_t colour, pl_buffer *out, pali_error *err)
{
    const colour_box *const box = &p->boxes[colour];
    uint64_t sum[3] = {0};
    int at[3];
    for (at[0] = box->low[0]; at[0] <= box->high[0]; at[0]++)
        for (at[1] = box->low[1]; at[1] <= box->high[1]; at[1]++)
            for (at[2] = box->low[2]; at[2] <= box->high[2]; at[2]++)
                for (size_t k = 0; k < 3; k++)
                    sum[k] += cell_at(p, at)->sum[k];
    unsigned part[3];
    for (size_t k = 0; k < 3; k++)
        part[k] = (unsigned)((sum[k] * 100 + box->count * 255 / 2) / (box->count * 255));
    return pl_buffer_printf(out, err, "#%zu;2;%u;%u;%u", colour, part[0], part[1], part[2]);
}

/* One colour's sixels of a band, runs of more than three counted; blank ones at the end left out. */
static pali_status write_run(const unsigned char *bits, size_t width, pl_buffer *out, pali_error *err)
{
    pali_status status = PALI_OK;
    while (width && !bits[width - 1])
        width--;
    for (size_t at = 0, next; at < width && status == PALI_OK; at = next) {
        for (next = at + 1; next < width && bits[next] == bits[at]; next++) {
        }
        const char sixel[4] = {(char)('?' + bits[at]), (char)('?' + bits[at]), (char)('?' + bits[at]), 0};
        status = next - at > 3 ? pl_buffer_printf(out, err, "!%zu%c", next - at, sixel[0]) : pl_buffer_append(out, sixel, next - at, err);
    }
    return status;
}

/* bits [MOST_COLOURS, width], all zero before and after. */
static pali_status write_band(const palette *p, const pl_image *image, size_t top, unsigned char *bits, pl_buffer *out, pali_error *err)
{
    bool used[MOST_COLOURS] = {false};
    const size_t width = image->width, rows = pl_min(BAND, image->height - top);
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < width; x++) {
            const size_t colour = p->index[cell_of(image->rgb + 3 * ((top + y) * width + x))];
            used[colour] = true;
            bits[colour * width + x] |= (unsigned char)(1 << y);
        }
    pali_status status = PALI_OK;
    bool is_first = true;
    for (size_t i = 0; i < p->count && status == PALI_OK; i++) {
        if (!used[i])
            continue;
        status = pl_buffer_printf(out, err, "%s#%zu", is_first ? "" : "$", i); /* $: back to the left */
        if (status == PALI_OK)
            status = write_run(bits + i * width, width, out, err);
        memset(bits + i * width, 0, width);
        is_first = false;
    }
    return status == PALI_OK ? pl_buffer_append(out, "-", 1, err) : status;
}

pali_status pl_preview_sixel(const pl_image *image, pl_buffer *out, pali_error *err)
{
    palette p = {0};
    pali_status status = make_palette(&p, image, err);
    unsigned char *const bits = status == PALI_OK ? pl_new(MOST_COLOURS, image->width, "preview", err) : NULL;
    if (status == PALI_OK && !bits)
        status = PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_buffer_printf(out, err, "\033P0;1;0q\"1;1;%zu;%zu", image->width, image->height);
    for (size_t i = 0; i < p.count && status == PALI_OK; i++)
        status = write_colour(&p, i, out, err);
    for (size_t top = 0; top < image->height && status == PALI_OK; top += BAND)
        status = write_band(&p, image, top, bits, out, err);
    if (status == PALI_OK)
        status = pl_buffer_append(out, "\033\\", 2, err);
    free(bits);
    free(p.cells);
    free(p.index);
    return status;
}
