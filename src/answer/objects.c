/*
 * Objects from token ids. One piece a token, so that a place in the pieces is
 * a place in the answer; ids of locations and segments come from the tokenizer,
 * and where it has none, nothing is an object.
 */
#include "answer/objects.h"

#include "text/detokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Decodes each id into its own piece. What the pieces borrow lies in *text, whose address is known only when it has stopped growing. */
static pali_status pieces_of_ids(const pl_object_source *source, pl_piece *pieces, pl_buffer *text, pali_error *err)
{
    const pl_special_ids *const special = pl_tokenizer_special(source->tokenizer);
    const size_t count = source->start_count + source->token_count;
    const int32_t location = special->loc_count == PL_LOCATION_BINS ? special->loc : INT32_MAX, segment = special->seg_count == PL_SEGMENT_CODES ? special->seg : INT32_MAX;
    pl_detokenizer detokenizer;
    pl_detokenizer_init(&detokenizer, source->tokenizer);
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        const int32_t id = i < source->start_count ? source->start[i] : source->tokens[i - source->start_count];
        const size_t before = text->length;
        status = pl_detokenizer_push(&detokenizer, id, text, err);
        pieces[i] = pl_piece_of_token(id, location, segment, NULL, 0);
        pieces[i].length = text->length - before;
    }
    size_t at = 0;
    for (size_t i = 0; status == PALI_OK && i < count; at += pieces[i++].length)
        pieces[i].text = text->length ? text->data + at : "";
    return status;
}

static const char *problem_of(const pl_location *location, bool cut_off)
{
    if (!location->valid)
        return "no area";
    if (location->segments && !location->has_segment)
        return cut_off && location->segments < PL_SEGMENT_TOKENS ? "cut off" : "incomplete mask";
    return cut_off ? "cut off" : NULL;
}

/* Takes the label over from the location. */
static pali_object object_of(const pl_object_source *source, pl_location *location)
{
    const double height = (double)source->height, width = (double)source->width;
    const size_t end = location->first + location->count, first = pl_max(location->first, source->start_count);
    const bool is_last = end == source->start_count + source->token_count;
    const pali_box box = location->box;
    pali_object object = {
        .label = location->label,
        .problem = problem_of(location, source->cut_off && is_last),
        .box = box,
        .pixels = {.y1 = box.y1 * height, .x1 = box.x1 * width, .y2 = box.y2 * height, .x2 = box.x2 * width},
        .confidence = (double)NAN,
        .has_codes = location->has_segment,
        .first_token = first - source->start_count,
        .token_count = end > first ? end - first : 0,
    };
    memcpy(object.bins, location->bins, sizeof object.bins);
    memcpy(object.codes, location->segment, sizeof object.codes);
    location->label = NULL;
    return object;
}

pali_status pl_objects_parse(const pl_object_source *source, pl_objects *objects, pali_error *err)
{
    const size_t count = source->start_count + source->token_count;
    pl_buffer text = {0};
    pl_location_list list = {0};
    pl_piece *const pieces = pl_new(count, sizeof *pieces, "pieces of an answer", err);
    pali_status status = pieces ? pieces_of_ids(source, pieces, &text, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_locations_parse(pieces, count, &list, err);
    if (status == PALI_OK && list.count)
        status = pl_grow(&objects->items, &objects->capacity, list.count, sizeof *objects->items, "objects", err);
    for (size_t i = 0; status == PALI_OK && i < list.count; i++)
        objects->items[objects->count++] = object_of(source, &list.items[i]);
    objects->dropped = list.dropped;
    pl_location_list_free(&list);
    free(pieces);
    free(text.data);
    return status;
}

void pl_object_clear(pali_object *object)
{
    free((char *)object->label);
    object->label = NULL;
}

void pl_objects_free(pl_objects *objects)
{
    for (size_t i = 0; i < objects->count; i++)
        pl_object_clear(&objects->items[i]);
    free(objects->items);
    *objects = (pl_objects){0};
}
