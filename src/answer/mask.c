/* Masks: area, box, overlap. */
#include "answer/mask.h"

#include "base/memory.h"

#include <string.h>

uint64_t pl_mask_area(const pl_mask *mask)
{
    uint64_t area = 0;
    for (size_t i = 0; i < mask->width * mask->height; i++)
        area += mask->bits[i];
    return area;
}

pali_box pl_mask_box(const pl_mask *mask)
{
    size_t top = mask->height, left = mask->width, bottom = 0, right = 0;
    for (size_t y = 0; y < mask->height; y++) {
        const uint8_t *row = mask->bits + y * mask->width;
        const uint8_t *first = memchr(row, 1, mask->width);
        if (!first)
            continue;
        size_t end = mask->width;
        while (!row[end - 1])
            end--;
        top = pl_min(top, y);
        bottom = y + 1;
        left = pl_min(left, (size_t)(first - row));
        right = pl_max(right, end);
    }
    return bottom ? (pali_box){.y1 = (double)top, .x1 = (double)left, .y2 = (double)bottom, .x2 = (double)right} : (pali_box){0};
}

double pl_mask_iou(const pl_mask *a, const pl_mask *b)
{
    if (a->width != b->width || a->height != b->height)
        return 0;
    uint64_t both = 0, either = 0;
    for (size_t i = 0; i < a->width * a->height; i++) {
        both += a->bits[i] & b->bits[i];
        either += a->bits[i] | b->bits[i];
    }
    return either ? (double)both / (double)either : 0;
}
