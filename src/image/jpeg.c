/*
 * JPEG through libjpeg-turbo, with its defaults (accurate integer DCT, smooth
 * chroma upsampling), which are Pillow's. libjpeg reports through function
 * pointers and leaves by longjmp: everything it made hangs on the decompress
 * object, which the outer function destroys whatever happened.
 */
#include "image/codec.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

enum { MAX_SCANS = 500 }; /* more than any encoder writes; each costs a pass over the picture */

typedef struct jpeg_reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr input;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    bool started; /* jpeg has been created */
    int code;     /* libjpeg's message number, of the error that ended it */
    char message[JMSG_LENGTH_MAX];
} jpeg_reader;

static void on_error(j_common_ptr common)
{
    jpeg_reader *reader = common->client_data;
    reader->code = common->err->msg_code;
    common->err->format_message(common, reader->message);
    longjmp(reader->escape, 1);
}

/* Warnings (corrupt entropy data and the like) pass, as they do in Pillow. */
static void on_message(j_common_ptr common)
{
    (void)common;
}

/* Source callbacks: all bytes are there from the start; past them there is nothing. */
static void on_source(j_decompress_ptr jpeg)
{
    (void)jpeg;
}
static boolean on_empty(j_decompress_ptr jpeg)
{
    (void)jpeg;
    return FALSE;
}
static void on_skip(j_decompress_ptr jpeg, long count)
{
    if (count <= 0)
        return;
    const size_t skip = (size_t)count < jpeg->src->bytes_in_buffer ? (size_t)count : jpeg->src->bytes_in_buffer;
    jpeg->src->next_input_byte += skip;
    jpeg->src->bytes_in_buffer -= skip;
}
static void on_progress(j_common_ptr common)
{
    jpeg_reader *reader = common->client_data;
    if (reader->jpeg.input_scan_number > MAX_SCANS) {
        snprintf(reader->message, sizeof reader->message, "more than %d scans", MAX_SCANS);
        longjmp(reader->escape, 1);
    }
}

static pali_status fail_cut(const pl_source *source, size_t row, size_t rows, pali_error *err)
{
    return pl_fail(err, PALI_INPUT, "%s: found a JPEG cut short after %zu bytes (row %zu of %zu), expected the whole picture",
                   source->name, source->size, row, rows);
}

static pali_status read_rows(jpeg_reader *reader, const pl_source *source, pl_image *out, pali_error *err)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    const size_t width = out->width, channels = (size_t)jpeg->output_components;
    JSAMPARRAY buffer = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, (JDIMENSION)(width * channels), 1);
    for (size_t y = 0; y < out->height; y++) {
        unsigned char *row = out->rgb + 3 * width * y;
        JSAMPROW target = channels == 3 ? row : buffer[0];
        if (jpeg_read_scanlines(jpeg, &target, 1) != 1)
            return fail_cut(source, y, out->height, err);
        if (channels == 1)
            pl_grey_to_rgb(target, width, row);
        if (channels == 4) {
            /* Four inks are stored inverted by every program that writes them. */
            for (size_t i = 0; i < 4 * width; i++)
                target[i] = (JSAMPLE)(255 - target[i]);
            pl_cmyk_to_rgb(target, width, row);
        }
    }
    return PALI_OK;
}

/* Runs under setjmp; what it makes is freed by its caller. */
static pali_status decode(jpeg_reader *reader, const pl_source *source, pl_image *out, pali_error *err)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    if (setjmp(reader->escape)) {
        if (reader->code == JERR_OUT_OF_MEMORY)
            return pl_fail_memory(err, source->name, 0);
        return pl_fail(err, PALI_INPUT, "%s: found a damaged JPEG (%s), expected a picture", source->name, reader->message);
    }
    jpeg_create_decompress(jpeg);
    reader->started = true;
    jpeg->client_data = reader;
    jpeg->src = &reader->input;
    jpeg->progress = &reader->progress;
    int header;
    do
        header = jpeg_read_header(jpeg, FALSE);
    while (header == JPEG_HEADER_TABLES_ONLY);
    if (header != JPEG_HEADER_OK)
        return pl_fail(err, PALI_INPUT, "%s: found a JPEG cut short after %zu bytes, in its header, expected the whole picture",
                       source->name, source->size);
    const int colours = jpeg->num_components;
    if (colours != 1 && colours != 3 && colours != 4)
        return pl_fail(err, PALI_INPUT, "%s: found a JPEG of %d components, expected 1, 3 or 4", source->name, colours);
    const pali_status status = pl_image_new(jpeg->image_width, jpeg->image_height, source->name, out, err);
    if (status != PALI_OK)
        return status;
    jpeg->out_color_space = colours == 1 ? JCS_GRAYSCALE : colours == 3 ? JCS_RGB : JCS_CMYK;
    jpeg->dct_method = source->decoder == PL_DECODER_TENSORFLOW ? JDCT_IFAST : JDCT_ISLOW;
    jpeg->do_fancy_upsampling = TRUE;
    if (!jpeg_start_decompress(jpeg))
        return fail_cut(source, 0, out->height, err);
    const pali_status rows = read_rows(reader, source, out, err);
    if (rows == PALI_OK) /* reads on to the end marker, whose absence is forgiven */
        (void)jpeg_finish_decompress(jpeg);
    return rows;
}

pali_status pl_jpeg_decode(const pl_source *source, pl_image *out, pali_error *err)
{
    jpeg_reader reader = {
        .input = {
            .next_input_byte = source->bytes,
            .bytes_in_buffer = source->size,
            .init_source = on_source,
            .fill_input_buffer = on_empty,
            .skip_input_data = on_skip,
            .resync_to_restart = jpeg_resync_to_restart,
            .term_source = on_source,
        },
        .progress = {.progress_monitor = on_progress},
    };
    reader.jpeg.err = jpeg_std_error(&reader.errors);
    reader.jpeg.client_data = &reader;
    reader.errors.error_exit = on_error;
    reader.errors.output_message = on_message;
    const pali_status status = decode(&reader, source, out, err);
    if (reader.started)
        jpeg_destroy_decompress(&reader.jpeg);
    if (status != PALI_OK)
        pl_image_free(out);
    return status;
}
