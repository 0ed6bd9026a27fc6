/*
 * Colour conversions to RGB as Pillow's convert("RGB") does them, and turning
 * a stored picture upright by its EXIF orientation.
 */
#include "image/codec.h"

#include "base/memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void pl_grey_to_rgb(const unsigned char *grey, size_t count, unsigned char *rgb)
{
    for (size_t i = 0; i < count; i++) {
        const unsigned char v = grey[i];
        rgb[3 * i] = v;
        rgb[3 * i + 1] = v;
        rgb[3 * i + 2] = v;
    }
}

/* a*b/255, rounded, in the integer form that Pillow uses. */
static unsigned multiply(unsigned a, unsigned b)
{
    const unsigned t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

void pl_cmyk_to_rgb(const unsigned char *cmyk, size_t count, unsigned char *rgb)
{
    for (size_t i = 0; i < count; i++) {
        const unsigned light = 255 - cmyk[4 * i + 3];
        for (size_t c = 0; c < 3; c++) /* multiply(x, light) <= light: nothing to clip */
            rgb[3 * i + c] = (unsigned char)(light - multiply(cmyk[4 * i + c], light));
    }
}

void pl_palette_to_rgb(const unsigned char *index, size_t count, const unsigned char palette[256][3], unsigned char *rgb)
{
    for (size_t i = 0; i < count; i++)
        memcpy(rgb + 3 * i, palette[index[i]], 3);
}

enum { TILE = 32 };

/*
 * Orientation names where row 0 and column 0 of the stored picture are seen;
 * bit by bit of (orientation - 1) after a small table: mirrored in x, in y,
 * and with the axes exchanged (5 to 8).
 */
static const struct {
    bool exchange, flip_x, flip_y; /* of the stored picture's axes */
} turns[9] = {
    [1] = {false, false, false}, [2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true},
    [5] = {true, false, false}, [6] = {true, false, true}, [7] = {true, true, true}, [8] = {true, true, false},
};

/* Columns of one picture are rows of the other: in tiles both stay in the cache. */
static void turn_tile(const pl_image *stored, unsigned orientation, size_t left, size_t top, pl_image *upright)
{
    const ptrdiff_t pixel = turns[orientation].flip_x ? -3 : 3;
    const ptrdiff_t row = (turns[orientation].flip_y ? -3 : 3) * (ptrdiff_t)stored->width;
    const ptrdiff_t across = turns[orientation].exchange ? row : pixel, down = turns[orientation].exchange ? pixel : row;
    const unsigned char *first = stored->rgb; /* seen at the top left */
    first += turns[orientation].flip_x ? 3 * (stored->width - 1) : 0;
    first += turns[orientation].flip_y ? 3 * stored->width * (stored->height - 1) : 0;
    for (size_t y = top; y < pl_min(top + TILE, upright->height); y++) {
        const unsigned char *from = first + (ptrdiff_t)y * down + (ptrdiff_t)left * across;
        unsigned char *to = upright->rgb + 3 * (y * upright->width + left);
        for (size_t x = left; x < pl_min(left + TILE, upright->width); x++, from += across, to += 3)
            memcpy(to, from, 3);
    }
}

pali_status pl_image_orient(pl_image *image, unsigned orientation, const char *name, pali_error *err)
{
    if (orientation < 2 || orientation > 8)
        return PALI_OK;
    const bool exchange = turns[orientation].exchange;
    pl_image upright;
    const size_t width = exchange ? image->height : image->width;
    const size_t height = exchange ? image->width : image->height;
    const pali_status status = pl_image_new(width, height, name, &upright, err);
    if (status != PALI_OK)
        return status;
    for (size_t y = 0; y < height; y += TILE)
        for (size_t x = 0; x < width; x += TILE)
            turn_tile(image, orientation, x, y, &upright);
    pl_image_free(image);
    *image = upright;
    return PALI_OK;
}
