/* pali bench: from a JPEG to pixels, beside what libjpeg-turbo alone takes for it. */
#include "bench.h"

#include "image/image.h"
#include "image/preprocess.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

enum { WIDTH = 4000, HEIGHT = 3000, QUALITY = 90 };

typedef struct jpeg_errors {
    struct jpeg_error_mgr base; /* libjpeg knows this one */
    jmp_buf escape;
} jpeg_errors;

static void on_error(j_common_ptr jpeg)
{
    longjmp(((jpeg_errors *)jpeg->err)->escape, 1);
}

static struct jpeg_error_mgr *errors_init(jpeg_errors *errors)
{
    jpeg_std_error(&errors->base);
    errors->base.error_exit = on_error;
    return &errors->base;
}

/* A row of something like a photograph: soft shades, edges, and the noise of a sensor. */
static void paint_row(size_t y, uint32_t *state, unsigned char *rgb)
{
    for (size_t x = 0; x < WIDTH; x++) {
        *state = *state * 1664525 + 1013904223;
        const size_t noise = *state >> 28, edge = (x / 200 + y / 150) % 3 * 40;
        rgb[3 * x] = (unsigned char)(x * 120 / WIDTH + edge + noise);
        rgb[3 * x + 1] = (unsigned char)(y * 120 / HEIGHT + edge + noise);
        rgb[3 * x + 2] = (unsigned char)((x + y) * 120 / (WIDTH + HEIGHT) + 80 - edge + noise);
    }
}

pali_status bench_picture_make(bench_picture *picture, pali_error *err)
{
    struct jpeg_compress_struct jpeg;
    jpeg_errors errors;
    unsigned long size = 0;
    unsigned char *const row = malloc(3 * WIDTH);
    if (!row)
        return pl_fail_memory(err, "picture", 3 * WIDTH);
    jpeg.err = errors_init(&errors);
    jpeg_create_compress(&jpeg);
    if (setjmp(errors.escape)) {
        jpeg_destroy_compress(&jpeg);
        free(row);
        return pl_fail_memory(err, "picture", 0); /* nothing else can go wrong in memory */
    }
    jpeg_mem_dest(&jpeg, &picture->jpeg, &size);
    jpeg.image_width = WIDTH;
    jpeg.image_height = HEIGHT;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, QUALITY, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    uint32_t state = 1;
    for (size_t y = 0; y < HEIGHT; y++) {
        unsigned char *rows[1] = {row};
        paint_row(y, &state, row);
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(row);
    picture->size = size;
    return PALI_OK;
}

typedef struct decoding {
    const bench *b;
    pl_image image;
    float *pixels; /* [side, side, 3] */
    size_t side;
} decoding;

/* What libjpeg-turbo takes without us: every row into one block. */
static pali_status decode_alone(void *context, pali_error *err)
{
    decoding *const d = context;
    struct jpeg_decompress_struct jpeg;
    jpeg_errors errors;
    jpeg.err = errors_init(&errors);
    jpeg_create_decompress(&jpeg);
    if (setjmp(errors.escape)) {
        jpeg_destroy_decompress(&jpeg);
        return pl_fail_memory(err, "picture", 0);
    }
    jpeg_mem_src(&jpeg, d->b->picture.jpeg, d->b->picture.size);
    jpeg_read_header(&jpeg, TRUE);
    jpeg_start_decompress(&jpeg);
    while (jpeg.output_scanline < jpeg.output_height) {
        unsigned char *rows[1] = {d->image.rgb + (size_t)3 * WIDTH * jpeg.output_scanline};
        jpeg_read_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return PALI_OK;
}

static pali_status decode(void *context, pali_error *err)
{
    decoding *const d = context;
    pl_image_free(&d->image);
    return pl_image_decode(d->b->picture.jpeg, d->b->picture.size, "picture", &d->image, err);
}

static pali_status resize(void *context, pali_error *err)
{
    decoding *const d = context;
    return pl_preprocess(&d->image, d->side, &d->b->config.preprocess, &(pl_hands){.kernels = d->b->engine.kernels, .pool = d->b->pool}, d->pixels, err);
}

static pali_status bench_decode(bench *b, decoding *d, pali_error *err)
{
    bench_row row = {.stage = BENCH_PICTURE, .pixels = (double)WIDTH * HEIGHT, .bound = "libjpeg"};
    bench_time alone;
    pali_status status = pl_image_new(WIDTH, HEIGHT, "picture", &d->image, err);
    if (status == PALI_OK)
        status = bench_measure(b, decode_alone, d, &alone, err);
    if (status == PALI_OK)
        status = bench_measure(b, decode, d, &row.time, err);
    if (status != PALI_OK)
        return status;
    row.floor = alone.median;
    bench_report_row(b, &row);
    return PALI_OK;
}

static pali_status bench_resize(bench *b, decoding *d, pali_error *err)
{
    bench_row row = {.stage = BENCH_RESIZE, .level = b->engine.kernels->level, .count = d->side, .pixels = (double)WIDTH * HEIGHT, .bytes = (double)WIDTH * HEIGHT * 3, .bound = "memory"};
    pali_status status = decode(d, err);
    d->pixels = status == PALI_OK ? pl_new_aligned(d->side * d->side * 3 * sizeof *d->pixels, "pixels", err) : NULL;
    if (!d->pixels)
        return pl_status_of(err, PALI_MEMORY);
    status = bench_measure(b, resize, d, &row.time, err);
    free(d->pixels);
    if (status != PALI_OK)
        return status;
    if (b->memory[BENCH_LARGE_PAGES].all > 0)
        row.floor = row.bytes / b->memory[BENCH_LARGE_PAGES].all;
    bench_report_row(b, &row);
    return PALI_OK;
}

pali_status bench_pictures(bench *b, pali_error *err)
{
    decoding d = {.b = b, .side = b->config.vision.image_size};
    pali_status status = b->wanted[BENCH_PICTURE] ? bench_decode(b, &d, err) : PALI_OK;
    if (status == PALI_OK && b->wanted[BENCH_RESIZE])
        status = bench_resize(b, &d, err);
    pl_image_free(&d.image);
    return status;
}
