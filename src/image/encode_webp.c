/*
 * WebP through libwebp. Lossy pictures get the slower conversion to YUV that
 * keeps thin coloured lines sharp; lossless ones keep colours under full
 * transparency as well.
 */
#include "image/encode.h"

#include "image/codec.h"

#include <stdlib.h>

#include <webp/encode.h>

/* Where the bytes go; libwebp does not always say that writing was what failed. */
typedef struct webp_writer {
    pl_buffer *out;
    bool no_memory;
} webp_writer;

static int on_write(const uint8_t *bytes, size_t size, const WebPPicture *picture)
{
    webp_writer *const writer = picture->custom_ptr;
    if (pl_buffer_append(writer->out, bytes, size, NULL) != PALI_OK)
        writer->no_memory = true;
    return !writer->no_memory;
}

/* Grey as RGB, which is what libwebp takes. */
static int import_grey(WebPPicture *picture, const pl_raster *raster)
{
    const size_t pixels = raster->width * raster->height;
    unsigned char *const rgb = pl_new_raw(pixels, 3, "picture", NULL);
    if (!rgb)
        return 0;
    pl_grey_to_rgb(raster->bytes, pixels, rgb);
    const int good = WebPPictureImportRGB(picture, rgb, (int)(3 * raster->width));
    free(rgb);
    return good;
}

static int import(WebPPicture *picture, const pl_raster *raster)
{
    const int stride = (int)(raster->channels * raster->width);
    if (raster->channels == 1)
        return import_grey(picture, raster);
    return raster->channels == 3 ? WebPPictureImportRGB(picture, raster->bytes, stride) : WebPPictureImportRGBA(picture, raster->bytes, stride);
}

static pali_status fail(const webp_writer *writer, const char *name, WebPEncodingError code, pali_error *err)
{
    if (writer->no_memory || code == VP8_ENC_ERROR_OUT_OF_MEMORY || code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY)
        return pl_fail_memory(err, name, 0);
    return pl_fail(err, PALI_FAILED, "%s: cannot be written as WebP (libwebp error %d)", name, (int)code);
}

pali_status pl_webp_encode(const pl_raster *raster, const pl_encode_options *options, const char *name, pl_buffer *out, pali_error *err)
{
    webp_writer writer = {.out = out};
    WebPConfig config;
    WebPPicture picture;
    if (!WebPConfigInit(&config) || !WebPPictureInit(&picture))
        return pl_fail(err, PALI_FAILED, "libwebp: its version differs from the one compiled against");
    config.lossless = options->lossless;
    config.exact = options->lossless;
    config.quality = options->lossless ? 75.f : (float)options->quality; /* lossless: the effort */
    config.use_sharp_yuv = 1;
    picture.use_argb = 1; /* both ways start from it */
    picture.width = (int)raster->width;
    picture.height = (int)raster->height;
    picture.writer = on_write;
    picture.custom_ptr = &writer;
    pali_status status = PALI_OK;
    if (!import(&picture, raster))
        status = pl_fail_memory(err, name, 0);
    else if (!WebPEncode(&config, &picture))
        status = fail(&writer, name, picture.error_code, err);
    WebPPictureFree(&picture);
    return status;
}
