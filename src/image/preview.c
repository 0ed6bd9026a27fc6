/* Pictures for terminals that take files: base64 and its wrappings; making a picture small enough. */
#include "image/preview.h"

#include "image/encode.h"
#include "image/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

pali_status pl_base64_append(pl_buffer *out, const unsigned char *bytes, size_t size, pali_error *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    pali_status status = PALI_OK;
    for (size_t at = 0; at < size && status == PALI_OK; at += 3) {
        const size_t left = size - at;
        const unsigned group = (unsigned)bytes[at] << 16 | (left > 1 ? (unsigned)bytes[at + 1] << 8 : 0) | (left > 2 ? bytes[at + 2] : 0);
        const char text[4] = {digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=', left > 2 ? digits[group & 63] : '='};
        status = pl_buffer_append(out, text, 4, err);
    }
    return status;
}

/* The picture's PNG as base64. */
static pali_status png_text(const pl_image *image, pl_buffer *text, size_t *bytes, pali_error *err)
{
    pl_buffer png = {0};
    const pl_raster raster = pl_raster_of(image);
    pali_status status = pl_image_encode(&raster, &(pl_encode_options){.format = PL_FORMAT_PNG}, "preview", &png, err);
    if (status == PALI_OK)
        status = pl_base64_append(text, (const unsigned char *)png.data, png.length, err);
    *bytes = png.length;
    free(png.data);
    return status;
}

pali_status pl_preview_kitty(const pl_image *image, pl_buffer *out, pali_error *err)
{
    enum { CHUNK = 4096 };
    pl_buffer text = {0};
    size_t bytes;
    pali_status status = png_text(image, &text, &bytes, err);
    for (size_t at = 0; at < text.length && status == PALI_OK; at += CHUNK) {
        const size_t length = pl_min(CHUNK, text.length - at);
        /* q=2: the terminal sends no reply, which would end up in standard input. */
        status = pl_buffer_printf(out, err, "\033_G%sm=%d;", at == 0 ? "a=T,f=100,q=2," : "", at + length < text.length);
        if (status == PALI_OK)
            status = pl_buffer_append(out, text.data + at, length, err);
        if (status == PALI_OK)
            status = pl_buffer_append(out, "\033\\", 2, err);
    }
    free(text.data);
    return status;
}

pali_status pl_preview_iterm2(const pl_image *image, pl_buffer *out, pali_error *err)
{
    pl_buffer text = {0};
    size_t bytes;
    pali_status status = png_text(image, &text, &bytes, err);
    if (status == PALI_OK)
        status = pl_buffer_printf(out, err, "\033]1337;File=inline=1;size=%zu;width=%zupx;height=%zupx:", bytes, image->width, image->height);
    if (status == PALI_OK)
        status = pl_buffer_append(out, text.data, text.length, err);
    if (status == PALI_OK)
        status = pl_buffer_append(out, "\a", 1, err);
    free(text.data);
    return status;
}

pali_status pl_image_fit(const pl_image *image, size_t most_width, size_t most_height, pl_image *out, pali_error *err)
{
    const double x = most_width ? (double)most_width / (double)image->width : 1, y = most_height ? (double)most_height / (double)image->height : 1;
    const double scale = fmin(1, fmin(x, y));
    const size_t width = pl_max(1, (size_t)lround(scale * (double)image->width)), height = pl_max(1, (size_t)lround(scale * (double)image->height));
    const pl_hands hands = {.kernels = pl_kernels_get(NULL, err)};
    if (!hands.kernels)
        return pl_status_of(err, PALI_USAGE);
    if (scale < 1)
        return pl_resize_pillow(image, width, height, PL_FILTER_BILINEAR, PL_PASS_PILLOW_13, &hands, out, err);
    const pali_status status = pl_image_new(width, height, "preview", out, err);
    if (status == PALI_OK)
        memcpy(out->rgb, image->rgb, 3 * width * height);
    return status;
}
