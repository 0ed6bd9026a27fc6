/*
 * Fuzz target: COCO's run lengths as text, mask tokens as text, pictures of
 * masks with their outlines, polygons; the first byte says which.
 */
#include "answer/mask.h"
#include "answer/mask_tokens.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run, as a finding, if what must hold does not. */
static void demand(bool holds)
{
    if (!holds)
        abort();
}

static bool same(const pl_mask *a, const pl_mask *b)
{
    return a->width == b->width && a->height == b->height && memcmp(a->bits, b->bits, a->width * a->height) == 0;
}

/* Size in two bytes, then the text; a mask that comes out of it must come out of its own text again. */
static void runs(const char *text, size_t width, size_t height)
{
    pl_rle rle;
    pl_mask mask, again;
    pali_error err = {0};
    if (pl_rle_of_text(text, &rle, &err) != PALI_OK) {
        demand(err.status == PALI_INPUT && *err.message);
        return;
    }
    if (pl_mask_of_counts(rle.counts, rle.count, width, height, &mask, &err) == PALI_OK) {
        pl_rle own;
        demand(pl_rle_of_mask(&mask, &own, NULL) == PALI_OK);
        char *written = pl_rle_text(&own, NULL);
        pl_rle_free(&own);
        demand(written && pl_rle_of_text(written, &own, NULL) == PALI_OK && pl_mask_of_counts(own.counts, own.count, width, height, &again, NULL) == PALI_OK && same(&mask, &again));
        free(written);
        pl_rle_free(&own);
        pl_mask_free(&again);
        pl_mask_free(&mask);
    }
    pl_rle_free(&rle);
}

static void tokens(const char *text)
{
    pali_mask_tokens found, again;
    char written[PALI_MASK_TEXT_SIZE];
    pali_error err = {0};
    if (pl_mask_tokens_parse(text, &found, &err) != PALI_OK) {
        demand(err.status == PALI_INPUT && *err.message);
        return;
    }
    pl_mask_tokens_text(&found, written);
    demand(pl_mask_tokens_parse(written, &again, NULL) == PALI_OK && memcmp(found.bins, again.bins, sizeof found.bins) == 0 && memcmp(found.codes, again.codes, sizeof found.codes) == 0);
}

/* Outlines of any mask fill to the same mask. */
static void outlines(const pl_mask *mask)
{
    pali_polygon *polygons;
    size_t count;
    pl_mask again;
    demand(pl_mask_polygons(mask, &polygons, &count, NULL) == PALI_OK && pl_mask_new(mask->width, mask->height, "mask", &again, NULL) == PALI_OK);
    for (size_t i = 0; i < count; i++)
        demand(pl_mask_fill(&again, &polygons[i], NULL) == PALI_OK);
    demand(same(mask, &again));
    free(polygons);
    pl_mask_free(&again);
}

static void picture(const uint8_t *data, size_t size)
{
    pl_mask mask;
    pali_error err = {0};
    if (pl_mask_decode(data, size, "input", &mask, &err) != PALI_OK) {
        demand(*err.message && !mask.bits);
        return;
    }
    if (mask.width * mask.height <= 4096)
        outlines(&mask);
    pl_mask_free(&mask);
}

/* Bits as they stand, 13 wide. */
static void bitmap(const uint8_t *data, size_t size)
{
    pl_mask mask;
    if (pl_mask_new(13, pl_min(size, 300) * 8 / 13, "mask", &mask, NULL) != PALI_OK)
        return;
    for (size_t i = 0; i < mask.width * mask.height; i++)
        mask.bits[i] = data[i / 8] >> i % 8 & 1;
    outlines(&mask);
    pl_mask_free(&mask);
}

static void polygon(const uint8_t *data, size_t size)
{
    double xy[64];
    pl_mask mask;
    const size_t count = pl_min(size / sizeof(double), 64) / 2;
    memcpy(xy, data, 2 * count * sizeof *xy);
    for (size_t i = 0; i < 2 * count; i++)
        if (xy[i] > 4096 || xy[i] < -4096) /* refused, or a long way to walk */
            xy[i] = xy[i] > 1e6 || xy[i] < -1e6 ? xy[i] : 7;
    demand(pl_mask_new(31, 17, "mask", &mask, NULL) == PALI_OK);
    pl_mask_fill(&mask, &(pali_polygon){.xy = xy, .count = count}, NULL);
    pl_mask_free(&mask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    char *text = malloc(size);
    demand(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0]) {
    case 'r':
        runs(text + 2, data[1], data[2]);
        break;
    case 't':
        tokens(text);
        break;
    case 'b':
        bitmap(data + 1, size - 1);
        break;
    case 'p':
        polygon(data + 1, size - 1);
        break;
    default:
        picture(data, size);
    }
    free(text);
    return 0;
}
