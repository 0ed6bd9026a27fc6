/*
 * Pictures read as masks. A PNG is taken as it is stored, so that labels in a
 * palette, and 16-bit values below 256, count; what other formats hold goes
 * through RGB, and is in from the middle on, as lossy ones blur the edge.
 */
#include "image/codec.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { HALF = 128 };

pali_status pl_mask_new(size_t width, size_t height, const char *name, pl_mask *out, pali_error *err)
{
    *out = (pl_mask){0};
    const pali_status status = pl_image_check(width, height, name, err);
    if (status != PALI_OK)
        return status;
    unsigned char *bits = pl_new(width * height, 1, name, err);
    if (!bits)
        return PALI_MEMORY;
    *out = (pl_mask){.width = width, .height = height, .bits = bits};
    return PALI_OK;
}

void pl_mask_free(pl_mask *mask)
{
    free(mask->bits);
    *mask = (pl_mask){0};
}

static pali_status decode_rgb(const void *bytes, size_t size, const char *name, pl_mask *out, pali_error *err)
{
    pl_image image;
    pali_status status = pl_image_decode(bytes, size, name, &image, err);
    if (status != PALI_OK)
        return status;
    status = pl_mask_new(image.width, image.height, name, out, err);
    for (size_t i = 0; status == PALI_OK && i < image.width * image.height; i++) {
        const unsigned char *rgb = image.rgb + 3 * i;
        out->bits[i] = rgb[0] >= HALF || rgb[1] >= HALF || rgb[2] >= HALF;
    }
    pl_image_free(&image);
    return status;
}

pali_status pl_mask_decode(const void *bytes, size_t size, const char *name, pl_mask *out, pali_error *err)
{
    static const unsigned char png[8] = "\x89PNG\r\n\x1a\n";
    const pl_source source = {.bytes = bytes, .size = size, .name = name};
    *out = (pl_mask){0};
    const pali_status status = size >= sizeof png && memcmp(bytes, png, sizeof png) == 0 ? pl_png_decode_mask(&source, out, err) : decode_rgb(bytes, size, name, out, err);
    if (status != PALI_OK)
        pl_mask_free(out);
    return status;
}

pali_status pl_mask_open(const char *path, pl_mask *out, pali_error *err)
{
    const char *name;
    size_t size;
    char *bytes;
    *out = (pl_mask){0};
    pali_status status = pl_image_read(path, &bytes, &size, &name, err);
    if (status != PALI_OK)
        return status;
    status = pl_mask_decode(bytes, size, name, out, err);
    free(bytes);
    return status;
}
