/*
 * Location tokens. The grammar is that of the published parsers where they
 * agree; where output is malformed the most that is certain is kept.
 */
#include "answer/location.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A token "<nameD...D>" of `digits` digits at text; false when there is none
 * there, or its number is not below `limit`.
 */
static bool read_token(const char *text, size_t length, const char *name, size_t digits, int limit, int *value)
{
    const size_t prefix = strlen(name), whole = prefix + digits + 1;
    if (length < whole || memcmp(text, name, prefix) != 0 || text[whole - 1] != '>')
        return false;
    int number = 0;
    for (size_t i = prefix; i < prefix + digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = 10 * number + (text[i] - '0');
    }
    *value = number;
    return number < limit;
}

/* The token at text as a piece; returns its bytes, 0 when there is none. */
static size_t read_piece(const char *text, size_t length, pl_piece *piece)
{
    int value;
    if (read_token(text, length, "<loc", 4, PL_LOCATION_BINS, &value))
        *piece = (pl_piece){.kind = PL_PIECE_LOCATION, .value = value};
    else if (read_token(text, length, "<seg", 3, PL_SEGMENT_CODES, &value))
        *piece = (pl_piece){.kind = PL_PIECE_SEGMENT, .value = value};
    else
        return 0;
    return piece->kind == PL_PIECE_LOCATION ? 9 : 8;
}

pali_status pl_pieces_of_text(const char *text, size_t length, pl_piece **pieces, size_t *count, pali_error *err)
{
    pl_piece *items = NULL;
    size_t used = 0, capacity = 0, start = 0, at = 0;
    pali_status status = pl_grow(&items, &capacity, 1, sizeof *items, "pieces of an answer", err);
    while (status == PALI_OK && start < length) {
        pl_piece token;
        const size_t bytes = at < length ? read_piece(text + at, length - at, &token) : 0;
        if (at < length && bytes == 0) {
            at++;
            continue;
        }
        status = pl_grow(&items, &capacity, used + 2, sizeof *items, "pieces of an answer", err);
        if (status != PALI_OK)
            break;
        if (at > start)
            items[used++] = (pl_piece){.kind = PL_PIECE_TEXT, .text = text + start, .length = at - start};
        if (bytes)
            items[used++] = token;
        at += bytes;
        start = at;
    }
    if (status != PALI_OK) {
        free(items);
        return status;
    }
    *pieces = items;
    *count = used;
    return PALI_OK;
}

pl_piece pl_piece_of_token(int32_t id, int32_t first_location, int32_t first_segment, const char *text, size_t length)
{
    if (id >= first_location && (int64_t)id < (int64_t)first_location + PL_LOCATION_BINS)
        return (pl_piece){.kind = PL_PIECE_LOCATION, .value = id - first_location};
    if (id >= first_segment && (int64_t)id < (int64_t)first_segment + PL_SEGMENT_CODES)
        return (pl_piece){.kind = PL_PIECE_SEGMENT, .value = id - first_segment};
    return (pl_piece){.kind = PL_PIECE_TEXT, .text = text, .length = length};
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!pl_is_space(text[i]))
            return false;
    return true;
}

/* How many pieces of that kind stand from `at` on, at most `most`. */
static size_t run_length(const pl_piece *pieces, size_t count, size_t at, pl_piece_kind kind, size_t most)
{
    size_t run = 0;
    while (run < most && at + run < count && pieces[at + run].kind == kind)
        run++;
    return run;
}

/*
 * Sixteen segments at `at`, after white space if there is any; a longer or
 * shorter run is passed over. Returns the first piece after them, or `at`.
 */
static size_t read_segment(const pl_piece *pieces, size_t count, size_t at, pl_location *location)
{
    size_t start = at;
    while (start < count && pieces[start].kind == PL_PIECE_TEXT && is_blank(pieces[start].text, pieces[start].length))
        start++;
    const size_t run = run_length(pieces, count, start, PL_PIECE_SEGMENT, SIZE_MAX);
    if (run == 0)
        return at;
    location->segments = run;
    location->has_segment = run == PL_SEGMENT_TOKENS;
    for (size_t i = 0; location->has_segment && i < PL_SEGMENT_TOKENS; i++)
        location->segment[i] = (uint8_t)pieces[start + i].value;
    return start + run;
}

/*
 * The label: text up to ";" or to the next token. It may come in many pieces.
 * Returns the first piece that holds none of it.
 */
static size_t read_label(const pl_piece *pieces, size_t count, size_t at, char **label, pali_error *err)
{
    size_t end = at, length = 0;
    bool ended = false;
    for (; end < count && pieces[end].kind == PL_PIECE_TEXT && !ended; end++) {
        const char *const stop = pieces[end].length ? memchr(pieces[end].text, ';', pieces[end].length) : NULL;
        if (stop && is_blank(pieces[end].text, (size_t)(stop - pieces[end].text)))
            break;
        length += stop ? (size_t)(stop - pieces[end].text) : pieces[end].length;
        ended = stop != NULL;
    }
    char *const text = pl_new_raw(length + 1, 1, "label", err);
    *label = text;
    if (!text)
        return end;
    size_t used = 0;
    for (size_t i = at; i < end; i++) {
        const size_t part = pl_min(pieces[i].length, length - used);
        if (part)
            memcpy(text + used, pieces[i].text, part);
        used += part;
    }
    size_t first = 0;
    while (used > 0 && pl_is_space(text[used - 1]))
        used--;
    while (first < used && pl_is_space(text[first]))
        first++;
    memmove(text, text + first, used - first);
    text[used - first] = '\0';
    return end;
}

static pali_box box_of_bins(const int bins[4])
{
    const double last = PL_LOCATION_BINS - 1;
    return (pali_box){.y1 = bins[0] / last, .x1 = bins[1] / last, .y2 = bins[2] / last, .x2 = bins[3] / last};
}

pali_status pl_locations_parse(const pl_piece *pieces, size_t count, pl_location_list *list, pali_error *err)
{
    size_t at = 0;
    while (at < count) {
        const size_t run = run_length(pieces, count, at, PL_PIECE_LOCATION, 4);
        if (run < 4) {
            const size_t stray = run ? run : run_length(pieces, count, at, PL_PIECE_SEGMENT, SIZE_MAX);
            list->dropped += stray > 0;
            at += stray ? stray : 1;
            continue;
        }
        pl_location found = {.first = at};
        for (size_t i = 0; i < 4; i++)
            found.bins[i] = pieces[at + i].value;
        found.box = box_of_bins(found.bins);
        found.valid = found.bins[2] > found.bins[0] && found.bins[3] > found.bins[1];
        const pali_status status = pl_grow(&list->items, &list->capacity, list->count + 1, sizeof *list->items, "locations", err);
        if (status != PALI_OK)
            return status;
        const size_t label = read_segment(pieces, count, at + 4, &found);
        at = read_label(pieces, count, label, &found.label, err);
        if (!found.label)
            return PALI_MEMORY;
        found.count = at - found.first;
        list->items[list->count++] = found;
    }
    return PALI_OK;
}

pali_status pl_locations_of_text(const char *text, pl_location_list *list, pali_error *err)
{
    pl_piece *pieces = NULL;
    size_t count = 0;
    pali_status status = pl_pieces_of_text(text, strlen(text), &pieces, &count, err);
    if (status == PALI_OK)
        status = pl_locations_parse(pieces, count, list, err);
    free(pieces);
    return status;
}

void pl_location_list_free(pl_location_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].label);
    free(list->items);
    *list = (pl_location_list){0};
}

int pl_location_bin(float coordinate)
{
    /* In float, as the published encoder; rintf rounds half to even. */
    const float bin = rintf(coordinate * (float)(PL_LOCATION_BINS - 1));
    if (!(bin > 0))
        return 0;
    return bin < PL_LOCATION_BINS ? (int)bin : PL_LOCATION_BINS - 1;
}

void pl_location_text(pali_box box, char text[37])
{
    const double sides[4] = {box.y1, box.x1, box.y2, box.x2};
    for (int i = 0; i < 4; i++)
        snprintf(text + 9 * i, 10, "<loc%04u>", (unsigned)pl_location_bin((float)sides[i]) % PL_LOCATION_BINS);
}

double pl_box_iou(pali_box a, pali_box b)
{
    const double height = fmin(a.y2, b.y2) - fmax(a.y1, b.y1), width = fmin(a.x2, b.x2) - fmax(a.x1, b.x1);
    const double first = (a.y2 - a.y1) * (a.x2 - a.x1), second = (b.y2 - b.y1) * (b.x2 - b.x1);
    if (!(height > 0 && width > 0 && first > 0 && second > 0))
        return 0;
    const double common = height * width;
    return common / (first + second - common);
}

double pl_location_iou(const pl_location *a, const pl_location *b)
{
    const pali_box first = {.y1 = a->bins[0], .x1 = a->bins[1], .y2 = a->bins[2], .x2 = a->bins[3]};
    const pali_box second = {.y1 = b->bins[0], .x1 = b->bins[1], .y2 = b->bins[2], .x2 = b->bins[3]};
    return pl_box_iou(first, second);
}
