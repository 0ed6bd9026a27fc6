/*
 * PNG through libpng's row interface. Only the chunks that hold pixels are
 * read: gamma, profiles, transparency and text are skipped, so that the values
 * are those stored, as with Pillow's convert("RGB"). One difference is meant:
 * 16-bit grey gives its high byte, where Pillow clips at 255 (almost white).
 */
#include "image/codec.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

typedef struct png_reader {
    const pl_source *source;
    size_t offset; /* in source, of the next byte */
    png_structp png;
    png_infop info;
    size_t row, rows; /* rows begun in the last pass, and in all, for the message */
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

static pali_status fail_libpng(const png_reader *reader, pali_error *err)
{
    const pl_source *source = reader->source;
    if (strstr(reader->message, "emory"))
        return pl_fail_memory(err, source->name, 0);
    if (reader->cut && reader->rows)
        return pl_fail(err, PALI_INPUT, "%s: found a PNG cut short after %zu bytes (row %zu of %zu), expected the whole picture",
                       source->name, source->size, reader->row, reader->rows);
    if (reader->cut)
        return pl_fail(err, PALI_INPUT, "%s: found a PNG cut short after %zu bytes, in its header, expected the whole picture",
                       source->name, source->size);
    return pl_fail(err, PALI_INPUT, "%s: found a damaged PNG (%s), expected a picture", source->name, reader->message);
}

/* Reads up to the pixels. */
static void read_head(png_reader *reader, png_uint_32 *width, png_uint_32 *height, int *depth, int *colour)
{
    int interlace;
    png_set_read_fn(reader->png, reader, on_read);
    png_set_user_limits(reader->png, (png_uint_32)PL_IMAGE_MAX_SIDE, (png_uint_32)PL_IMAGE_MAX_SIDE);
    skip_other_chunks(reader->png);
    png_read_info(reader->png, reader->info);
    png_get_IHDR(reader->png, reader->info, width, height, depth, colour, &interlace, NULL, NULL);
}

static void read_rows(png_reader *reader, size_t rows, size_t row_bytes, unsigned char *to)
{
    const int passes = png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
    if (png_get_rowbytes(reader->png, reader->info) != row_bytes)
        png_error(reader->png, "unexpected row size");
    reader->rows = rows;
    for (int pass = 0; pass < passes; pass++)
        for (reader->row = 0; reader->row < rows; reader->row++)
            png_read_row(reader->png, to + row_bytes * reader->row, NULL);
}

/* What a picture is decoded to; runs under setjmp, and what it makes is freed by its caller. */
typedef pali_status decode_fn(png_reader *reader, void *out, pali_error *err);

static pali_status decode_rgb(png_reader *reader, void *to, pali_error *err)
{
    pl_image *out = to;
    png_uint_32 width, height;
    int depth, colour;
    if (setjmp(png_jmpbuf(reader->png)))
        return fail_libpng(reader, err);
    read_head(reader, &width, &height, &depth, &colour);
    const pali_status status = pl_image_new(width, height, reader->source->name, out, err);
    if (status != PALI_OK)
        return status;
    set_transforms(reader->png, depth, colour);
    read_rows(reader, out->height, 3 * out->width, out->rgb);
    return PALI_OK;
}

static pali_status with_reader(const pl_source *source, decode_fn *decode, void *out, pali_error *err)
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
    return status;
}

pali_status pl_png_decode(const pl_source *source, pl_image *out, pali_error *err)
{
    const pali_status status = with_reader(source, decode_rgb, out, err);
    if (status != PALI_OK)
        pl_image_free(out);
    return status;
}

/* ---- Masks ----------------------------------------------------------- */

typedef struct mask_target {
    pl_mask *mask;
    unsigned char *samples; /* [height, row bytes] as stored, a byte or two a sample; owned */
} mask_target;

/* True if any of the bytes is not 0. */
static bool any(const unsigned char *bytes, size_t count)
{
    unsigned char all = 0;
    for (size_t i = 0; i < count; i++)
        all |= bytes[i];
    return all != 0;
}

static pali_status decode_mask(png_reader *reader, void *to, pali_error *err)
{
    mask_target *out = to;
    png_uint_32 width, height;
    int depth, colour;
    if (setjmp(png_jmpbuf(reader->png)))
        return fail_libpng(reader, err);
    read_head(reader, &width, &height, &depth, &colour);
    pali_status status = pl_mask_new(width, height, reader->source->name, out->mask, err);
    if (status != PALI_OK)
        return status;
    const size_t sample = depth == 16 ? 2 : 1, alpha = colour & PNG_COLOR_MASK_ALPHA ? sample : 0;
    const size_t colours = colour == PNG_COLOR_TYPE_RGB || colour == PNG_COLOR_TYPE_RGB_ALPHA ? 3 * sample : sample; /* a palette's index is one */
    const size_t pixel = colours + alpha;
    out->samples = pl_new_bulk(out->mask->width * out->mask->height, pixel, reader->source->name, err);
    if (!out->samples)
        return PALI_MEMORY;
    png_set_packing(reader->png);
    read_rows(reader, height, pixel * width, out->samples);
    for (size_t i = 0; i < out->mask->width * out->mask->height; i++) {
        const unsigned char *at = out->samples + pixel * i;
        out->mask->bits[i] = any(at, colours) && (alpha == 0 || any(at + colours, alpha));
    }
    return PALI_OK;
}

pali_status pl_png_decode_mask(const pl_source *source, pl_mask *out, pali_error *err)
{
    mask_target target = {.mask = out};
    const pali_status status = with_reader(source, decode_mask, &target, err);
    free(target.samples);
    return status;
}
