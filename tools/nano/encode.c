/* encode.c - JPEG and PNG files, and JPEG loss in memory, by libjpeg and libpng. */
#include "scenes.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

typedef struct jpeg_failure {
    struct jpeg_error_mgr base;
    jmp_buf jump;
} jpeg_failure;

static void jpeg_fail(const j_common_ptr common)
{
    longjmp(((jpeg_failure *)common->err)->jump, 1);
}

/* Returns a malloc'ed JPEG stream that the caller frees, or NULL. */
static unsigned char *jpeg_pack(const uint8_t *const rgb, const int width, const int height, const int quality,
                                unsigned long *const size)
{
    struct jpeg_compress_struct c;
    jpeg_failure failure;
    unsigned char *volatile bytes = NULL;
    unsigned char *out = NULL;
    c.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = jpeg_fail;
    jpeg_create_compress(&c);
    if (setjmp(failure.jump)) {
        jpeg_destroy_compress(&c);
        free(bytes);
        return NULL;
    }
    *size = 0;
    jpeg_mem_dest(&c, &out, size);
    c.image_width = (JDIMENSION)width;
    c.image_height = (JDIMENSION)height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, TRUE);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = (JSAMPROW)(rgb + (size_t)c.next_scanline * width * 3);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    bytes = out;
    jpeg_destroy_compress(&c);
    return bytes;
}

static int jpeg_unpack(const unsigned char *const bytes, const unsigned long size, uint8_t *const rgb, const int width,
                       const int height)
{
    struct jpeg_decompress_struct d;
    jpeg_failure failure;
    d.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = jpeg_fail;
    jpeg_create_decompress(&d);
    if (setjmp(failure.jump)) {
        jpeg_destroy_decompress(&d);
        return -1;
    }
    jpeg_mem_src(&d, bytes, size);
    jpeg_read_header(&d, TRUE);
    d.out_color_space = JCS_RGB;
    jpeg_start_decompress(&d);
    int status = (int)d.output_width == width && (int)d.output_height == height ? 0 : -1;
    while (!status && d.output_scanline < d.output_height) {
        JSAMPROW row = rgb + (size_t)d.output_scanline * width * 3;
        if (jpeg_read_scanlines(&d, &row, 1) != 1)
            status = -1;
    }
    if (!status)
        jpeg_finish_decompress(&d);
    jpeg_destroy_decompress(&d);
    return status;
}

int scene_jpeg_loss(uint8_t *const rgb, const int width, const int height, const int quality)
{
    unsigned long size = 0;
    unsigned char *const bytes = jpeg_pack(rgb, width, height, quality, &size);
    if (!bytes)
        return -1;
    const int status = jpeg_unpack(bytes, size, rgb, width, height);
    free(bytes);
    return status;
}

int scene_write_jpeg(const char *const path, const uint8_t *const rgb, const int width, const int height,
                     const int quality)
{
    unsigned long size = 0;
    unsigned char *const bytes = jpeg_pack(rgb, width, height, quality, &size);
    FILE *const file = bytes ? fopen(path, "wb") : NULL;
    int status = -1;
    if (file) {
        status = fwrite(bytes, 1, size, file) == size ? 0 : -1;
        if (fclose(file))
            status = -1;
    }
    free(bytes);
    return status;
}

static int write_png(const char *const path, const uint8_t *const pixels, const int width, const int height,
                     const png_uint_32 format, const png_uint_32 flags)
{
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = (png_uint_32)width;
    image.height = (png_uint_32)height;
    image.format = format;
    image.flags = flags;
    return png_image_write_to_file(&image, path, 0, pixels, 0, NULL) ? 0 : -1;
}

int scene_write_png(const char *const path, const uint8_t *const rgb, const int width, const int height)
{
    return write_png(path, rgb, width, height, PNG_FORMAT_RGB, 0);
}

int scene_write_png_fast(const char *const path, const uint8_t *const rgb, const int width, const int height)
{
    return write_png(path, rgb, width, height, PNG_FORMAT_RGB, PNG_IMAGE_FLAG_FAST);
}

int scene_write_mask(const char *const path, const uint8_t *const mask, const int width, const int height)
{
    return write_png(path, mask, width, height, PNG_FORMAT_GRAY, 0);
}
