/*
 * PNG through libpng's row interface. Only the chunks that hold pixels are
 * read: gamma, profiles, transparency and text are skipped, so that the values
 * are those stored, as with Pillow's convert("RGB"). One difference is meant:
 * 16-bit grey gives its high byte, where Pillow clips at 255 (almost white).
 */
#include "image/codec.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

typedef struct png_reader {
    const pl_source *source;
    size_t offset; /* in source, of the next byte */
    png_structp png;
    png_infop info;
    size_t row; /* rows begun in the last pass, for the message */
    bool cut;   /* libpng wanted bytes past the end */
    char message[128];
} png_reader;

static void on_error(png_structp png, png_const_charp message)
{
    png_reader *reader = png_get_error_ptr(png);
    snprintf(reader->message, sizeof reader->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep to, size_t length)
{
    png_reader *reader = png_get_io_ptr(png);
    if (length > reader->source->size - reader->offset) {
        reader->cut = true;
        png_error(png, "cut short");
    }
    memcpy(to, reader->source->bytes + reader->offset, length);
    reader->offset += length;
}

/* Everything but IHDR, PLTE, IDAT and IEND is passed over unread. */
static void skip_other_chunks(png_structp png)
{
    static const png_byte skipped[] =
        "bKGD\0cHRM\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0tIME\0tRNS\0zTXt\0eXIf";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, (int)(sizeof skipped / 5));
}

/* Asks libpng for 8-bit RGB whatever is stored. */
static void set_transforms(png_structp png, int depth, int colour)
{
    png_set_strip_16(png);
    if (colour == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    if (colour == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    if (colour & PNG_COLOR_MASK_ALPHA)
        png_set_strip_alpha(png);
    if (!(colour & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(png);
}

static pali_status fail_libpng(const png_reader *reader, const pl_image *out, pali_error *err)
{
    const pl_source *source = reader->source;
    if (strstr(reader->message, "emory"))
        return pl_fail_memory(err, source->name, 0);
    if (reader->cut && out->rgb)
        return pl_fail(err, PALI_INPUT, "%s: found a PNG cut short after %zu bytes (row %zu of %zu), expected the whole picture",
                       source->name, source->size, reader->row, out->height);
    if (reader->cut)
        return pl_fail(err, PALI_INPUT, "%s: found a PNG cut short after %zu bytes, in its header, expected the whole picture",
                       source->name, source->size);
    return pl_fail(err, PALI_INPUT, "%s: found a damaged PNG (%s), expected a picture", source->name, reader->message);
}

/* Runs under setjmp; what it makes is freed by its caller. */
static pali_status decode(png_reader *reader, pl_image *out, pali_error *err)
{
    png_structp png = reader->png;
    if (setjmp(png_jmpbuf(png)))
        return fail_libpng(reader, out, err);
    png_set_read_fn(png, reader, on_read);
    png_set_user_limits(png, (png_uint_32)PL_IMAGE_MAX_SIDE, (png_uint_32)PL_IMAGE_MAX_SIDE);
    skip_other_chunks(png);
    png_read_info(png, reader->info);
    png_uint_32 width, height;
    int depth, colour, interlace;
    png_get_IHDR(png, reader->info, &width, &height, &depth, &colour, &interlace, NULL, NULL);
    const pali_status status = pl_image_new(width, height, reader->source->name, out, err);
    if (status != PALI_OK)
        return status;
    set_transforms(png, depth, colour);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, reader->info);
    if (png_get_rowbytes(png, reader->info) != 3 * out->width)
        png_error(png, "unexpected row size");
    for (int pass = 0; pass < passes; pass++)
        for (reader->row = 0; reader->row < out->height; reader->row++)
            png_read_row(png, out->rgb + 3 * out->width * reader->row, NULL);
    return PALI_OK;
}

pali_status pl_png_decode(const pl_source *source, pl_image *out, pali_error *err)
{
    png_reader reader = {.source = source};
    pali_status status;
    reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
    if (reader.png)
        reader.info = png_create_info_struct(reader.png);
    if (reader.info)
        status = decode(&reader, out, err);
    else
        status = pl_fail_memory(err, source->name, 0);
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    if (status != PALI_OK)
        pl_image_free(out);
    return status;
}
