/* PNG through libpng: 8-bit grey, RGB or RGBA, no other chunks, zlib's usual effort. */
#include "image/encode.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

typedef struct png_writer {
    png_structp png;
    png_infop info;
    pl_buffer *out;
    bool no_memory;
    char message[128];
} png_writer;

static void on_error(png_structp png, png_const_charp message)
{
    png_writer *writer = png_get_error_ptr(png);
    snprintf(writer->message, sizeof writer->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_write(png_structp png, png_bytep from, size_t length)
{
    png_writer *writer = png_get_io_ptr(png);
    writer->no_memory = pl_buffer_append(writer->out, from, length, NULL) != PALI_OK;
    if (writer->no_memory)
        png_error(png, "out of memory");
}

static void on_flush(png_structp png)
{
    (void)png;
}

/* Runs under setjmp; what it makes is freed by its caller. */
static pali_status encode(png_writer *writer, const pl_raster *raster, const char *name, pali_error *err)
{
    png_structp png = writer->png;
    if (setjmp(png_jmpbuf(png))) {
        if (writer->no_memory || strstr(writer->message, "emory"))
            return pl_fail_memory(err, name, 0);
        return pl_fail(err, PALI_FAILED, "%s: cannot be written as PNG: %s", name, writer->message);
    }
    const int colour = raster->channels == 1 ? PNG_COLOR_TYPE_GRAY : raster->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_RGB_ALPHA;
    png_set_write_fn(png, writer, on_write, on_flush);
    png_set_IHDR(png, writer->info, (png_uint_32)raster->width, (png_uint_32)raster->height, 8, colour, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, writer->info);
    for (size_t y = 0; y < raster->height; y++)
        png_write_row(png, raster->bytes + y * raster->width * raster->channels);
    png_write_end(png, writer->info);
    return PALI_OK;
}

pali_status pl_png_encode(const pl_raster *raster, const pl_encode_options *options, const char *name, pl_buffer *out, pali_error *err)
{
    (void)options;
    png_writer writer = {.out = out};
    pali_status status;
    writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer, on_error, on_warning);
    if (writer.png)
        writer.info = png_create_info_struct(writer.png);
    if (writer.info)
        status = encode(&writer, raster, name, err);
    else
        status = pl_fail_memory(err, name, 0);
    png_destroy_write_struct(&writer.png, &writer.info);
    return status;
}
