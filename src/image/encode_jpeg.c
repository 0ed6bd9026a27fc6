/*
 * JPEG through libjpeg-turbo: baseline, optimised tables, chroma at full size.
 * libjpeg leaves by longjmp; what it made hangs on the compress object, which
 * the outer function destroys whatever happened.
 */
#include "image/encode.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

enum { CHUNK = 1 << 16 };

typedef struct jpeg_writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr output;
    jmp_buf escape;
    bool started; /* jpeg has been created */
    int code;     /* libjpeg's message number, of the error that ended it */
    char message[JMSG_LENGTH_MAX];
    pl_buffer *out;
    JOCTET chunk[CHUNK];
} jpeg_writer;

static void on_error(j_common_ptr common)
{
    jpeg_writer *writer = common->client_data;
    writer->code = common->err->msg_code;
    common->err->format_message(common, writer->message);
    longjmp(writer->escape, 1);
}

static void on_message(j_common_ptr common)
{
    (void)common;
}

static void on_begin(j_compress_ptr jpeg)
{
    jpeg_writer *writer = jpeg->client_data;
    writer->output.next_output_byte = writer->chunk;
    writer->output.free_in_buffer = CHUNK;
}

static void send(jpeg_writer *writer, size_t length)
{
    if (pl_buffer_append(writer->out, writer->chunk, length, NULL) != PALI_OK) {
        writer->code = JERR_OUT_OF_MEMORY;
        longjmp(writer->escape, 1);
    }
}

static boolean on_full(j_compress_ptr jpeg)
{
    send(jpeg->client_data, CHUNK);
    on_begin(jpeg);
    return TRUE;
}

static void on_end(j_compress_ptr jpeg)
{
    jpeg_writer *writer = jpeg->client_data;
    send(writer, CHUNK - writer->output.free_in_buffer);
}

static void write_rows(jpeg_writer *writer, const pl_raster *raster)
{
    struct jpeg_compress_struct *jpeg = &writer->jpeg;
    const size_t width = raster->width, channels = raster->channels;
    JSAMPARRAY row = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, (JDIMENSION)(3 * width), 1);
    for (size_t y = 0; y < raster->height; y++) {
        const unsigned char *from = raster->bytes + y * width * channels;
        if (channels == 4)
            for (size_t x = 0; x < width; x++)
                memcpy(row[0] + 3 * x, from + 4 * x, 3);
        else
            memcpy(row[0], from, width * channels);
        jpeg_write_scanlines(jpeg, row, 1);
    }
}

/* Runs under setjmp; what it makes is freed by its caller. */
static pali_status encode(jpeg_writer *writer, const pl_raster *raster, int quality, const char *name, pali_error *err)
{
    struct jpeg_compress_struct *jpeg = &writer->jpeg;
    if (setjmp(writer->escape)) {
        if (writer->code == JERR_OUT_OF_MEMORY)
            return pl_fail_memory(err, name, 0);
        return pl_fail(err, PALI_FAILED, "%s: cannot be written as JPEG: %s", name, writer->message);
    }
    jpeg_create_compress(jpeg);
    writer->started = true;
    jpeg->client_data = writer; /* jpeg_create_compress clears it in some versions */
    jpeg->dest = &writer->output;
    jpeg->image_width = (JDIMENSION)raster->width;
    jpeg->image_height = (JDIMENSION)raster->height;
    jpeg->input_components = raster->channels == 1 ? 1 : 3;
    jpeg->in_color_space = raster->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg->optimize_coding = TRUE;
    for (int i = 0; i < jpeg->num_components; i++)
        jpeg->comp_info[i].h_samp_factor = jpeg->comp_info[i].v_samp_factor = 1;
    jpeg_start_compress(jpeg, TRUE);
    write_rows(writer, raster);
    jpeg_finish_compress(jpeg);
    return PALI_OK;
}

pali_status pl_jpeg_encode(const pl_raster *raster, const pl_encode_options *options, const char *name, pl_buffer *out, pali_error *err)
{
    jpeg_writer writer = {
        .output = {.init_destination = on_begin, .empty_output_buffer = on_full, .term_destination = on_end},
        .out = out,
    };
    writer.jpeg.err = jpeg_std_error(&writer.errors);
    writer.jpeg.client_data = &writer;
    writer.errors.error_exit = on_error;
    writer.errors.output_message = on_message;
    const pali_status status = encode(&writer, raster, options->quality, name, err);
    if (writer.started)
        jpeg_destroy_compress(&writer.jpeg);
    return status;
}
