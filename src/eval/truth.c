/* Expected objects. Masks in the row come before those that the suffix spells. */
#include "eval/truth.h"

#include "answer/mask_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static pali_status find_boxes(const pl_eval_row *row, pl_location_list *objects, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && objects->count == 0 && i < row->suffix_count; i++)
        status = pl_locations_of_text(row->suffixes[i], objects, err);
    return status;
}

static pali_status read_mask(const pl_eval_mask *from, const pl_mask_maker *maker, pl_mask *mask, pali_error *err)
{
    return from->path ? pl_mask_open_of(from->path, maker->width, maker->height, mask, err) : pl_mask_of_json(from->json, maker->width, maker->height, mask, err);
}

/* Objects without labels, one for each mask: their boxes as near as bins are. */
static pali_status boxes_of_masks(pl_truth *truth, size_t count, pali_error *err)
{
    pl_location_list *const list = &truth->objects;
    pali_status status = pl_grow(&list->items, &list->capacity, count, sizeof *list->items, "objects", err);
    while (status == PALI_OK && list->count < count) {
        const pl_mask *const mask = &truth->masks[list->count];
        const pali_box box = pl_mask_box(mask);
        const double sides[4] = {box.y1 / (double)mask->height, box.x1 / (double)mask->width, box.y2 / (double)mask->height, box.x2 / (double)mask->width};
        pl_location *const location = &list->items[list->count];
        *location = (pl_location){.label = pl_strdup("", err), .box = {.y1 = sides[0], .x1 = sides[1], .y2 = sides[2], .x2 = sides[3]}};
        if (!location->label)
            return PALI_MEMORY;
        for (size_t i = 0; i < 4; i++)
            location->bins[i] = pl_location_bin((float)sides[i]);
        location->valid = location->bins[2] > location->bins[0] && location->bins[3] > location->bins[1];
        list->count++;
    }
    return status;
}

static pali_status masks_of_row(const pl_eval_row *row, const pl_mask_maker *maker, pl_truth *truth, pali_error *err)
{
    const bool has_boxes = truth->objects.count > 0;
    if (has_boxes && truth->objects.count != row->mask_count)
        return pl_fail(err, PALI_INPUT, "found %zu masks and %zu boxes, expected one for each", row->mask_count, truth->objects.count);
    truth->masks = pl_new(row->mask_count, sizeof *truth->masks, "masks of a row", err);
    pali_status status = truth->masks ? PALI_OK : PALI_MEMORY;
    size_t read = 0;
    for (; status == PALI_OK && read < row->mask_count; read++) {
        status = read_mask(&row->masks[read], maker, &truth->masks[read], err);
        if (status != PALI_OK)
            pl_error_prefix(err, "mask %zu", read + 1);
    }
    if (status == PALI_OK && !has_boxes)
        status = boxes_of_masks(truth, row->mask_count, err);
    if (status == PALI_OK)
        return PALI_OK;
    for (size_t i = 0; truth->masks && i < row->mask_count; i++)
        pl_mask_free(&truth->masks[i]);
    free(truth->masks);
    truth->masks = NULL;
    return status;
}

/* Where every object of the suffix has its sixteen codes, and there is a codec. */
static pali_status masks_of_codes(const pl_mask_maker *maker, pl_truth *truth, pali_error *err)
{
    const size_t count = truth->objects.count;
    bool all = count > 0 && maker->codec;
    for (size_t i = 0; all && i < count; i++)
        all = truth->objects.items[i].has_segment;
    if (!all)
        return PALI_OK;
    truth->masks = pl_new(count, sizeof *truth->masks, "masks of a row", err);
    pali_status status = truth->masks ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        pali_mask_tokens tokens;
        memcpy(tokens.bins, truth->objects.items[i].bins, sizeof tokens.bins);
        memcpy(tokens.codes, truth->objects.items[i].segment, sizeof tokens.codes);
        status = pl_codec_decode_mask(maker->codec, &maker->hands, &tokens, maker->width, maker->height, PALI_PASTE_EVALUATOR, &truth->masks[i], err);
    }
    return status;
}

pali_status pl_truth_read(const pl_eval_row *row, const pl_mask_maker *maker, pl_truth *truth, pali_error *err)
{
    pali_status status = find_boxes(row, &truth->objects, err);
    if (status == PALI_OK)
        status = row->mask_count ? masks_of_row(row, maker, truth, err) : masks_of_codes(maker, truth, err);
    return status;
}

void pl_truth_free(pl_truth *truth)
{
    for (size_t i = 0; truth->masks && i < truth->objects.count; i++)
        pl_mask_free(&truth->masks[i]);
    free(truth->masks);
    pl_location_list_free(&truth->objects);
    *truth = (pl_truth){0};
}
