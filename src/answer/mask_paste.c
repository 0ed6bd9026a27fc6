/*
 * From mask to map and from map to mask, each as published code does it, to
 * the last bit: TensorFlow's resize on the way in, Pillow's on the way out.
 */
#include "answer/mask_tokens.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAP = PL_CODEC_SIDE * PL_CODEC_SIDE };

pl_region pl_region_of_bins(const int bins[4], size_t width, size_t height, pali_paste paste)
{
    const double sides[4] = {(double)height, (double)width, (double)height, (double)width};
    size_t at[4];
    if (bins[2] <= bins[0] || bins[3] <= bins[1])
        return (pl_region){0};
    for (int i = 0; i < 4; i++) {
        const int bin = bins[i] < 0 ? 0 : bins[i] < PL_LOCATION_BINS ? bins[i] : PL_LOCATION_BINS - 1;
        at[i] = paste == PALI_PASTE_DEMO ? (size_t)nearbyint((double)bin / PL_LOCATION_BINS * sides[i]) : (size_t)((double)bin / (PL_LOCATION_BINS - 1) * sides[i]);
    }
    return (pl_region){at[0], at[1], at[2], at[3]};
}

pali_status pl_mask_crop(const pl_mask *mask, pl_region part, float *map, pali_error *err)
{
    pl_image crop; /* the resize takes RGB: three times the same */
    float *resized = pl_new_raw(3 * MAP, sizeof *resized, "mask", err);
    pali_status status = resized ? pl_image_new(part.x2 - part.x1, part.y2 - part.y1, "part of a mask", &crop, err) : PALI_MEMORY;
    if (status == PALI_OK) {
        for (size_t y = part.y1; y < part.y2; y++)
            for (size_t x = part.x1; x < part.x2; x++)
                memset(crop.rgb + 3 * ((y - part.y1) * crop.width + (x - part.x1)), mask->bits[y * mask->width + x] ? 255 : 0, 3);
        status = pl_resize_tensorflow(&crop, PL_CODEC_SIDE, PL_CODEC_SIDE, true, resized, err);
        pl_image_free(&crop);
    }
    for (size_t i = 0; status == PALI_OK && i < MAP; i++)
        map[i] = 2 * (resized[3 * i] / 255 - 0.5f);
    free(resized);
    return status;
}

pali_status pl_mask_paste(const float *map, pl_region part, pl_pass_order order, pl_mask *mask, pali_error *err)
{
    if (pl_region_is_empty(part))
        return PALI_OK;
    const size_t width = part.x2 - part.x1, height = part.y2 - part.y1;
    float *resized = pl_new_raw(width * height, sizeof *resized, "mask", err);
    pali_status status = resized ? pl_resize_pillow_float(map, PL_CODEC_SIDE, PL_CODEC_SIDE, width, height, PL_FILTER_BILINEAR, order, resized, err) : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < width * height; i++)
        mask->bits[(part.y1 + i / width) * mask->width + part.x1 + i % width] = resized[i] > 0;
    free(resized);
    return status;
}

pali_status pl_mask_paste_soft(const float *map, pl_region part, const pl_hands *hands, size_t width, uint8_t *soft, pali_error *err)
{
    unsigned char rgb[3 * MAP];
    pl_image resized;
    if (pl_region_is_empty(part))
        return PALI_OK;
    for (size_t i = 0; i < MAP; i++)
        memset(rgb + 3 * i, (unsigned char)(fminf(fmaxf(map[i] * 0.5f + 0.5f, 0), 1) * 255), 3);
    const pl_image source = {.width = PL_CODEC_SIDE, .height = PL_CODEC_SIDE, .rgb = rgb};
    const pali_status status = pl_resize_pillow(&source, part.x2 - part.x1, part.y2 - part.y1, PL_FILTER_BICUBIC, PL_PASS_HORIZONTAL_FIRST, hands, &resized, err);
    if (status != PALI_OK)
        return status;
    for (size_t y = part.y1; y < part.y2; y++)
        for (size_t x = part.x1; x < part.x2; x++)
            soft[y * width + x] = resized.rgb[3 * ((y - part.y1) * resized.width + x - part.x1)];
    pl_image_free(&resized);
    return PALI_OK;
}
