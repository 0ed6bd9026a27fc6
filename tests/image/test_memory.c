/*
 * Running out of memory: each allocation that our objects make on the way
 * from a file to patches, and back to a file, fails once. Every failure is PALI_MEMORY, leaves
 * nothing behind and crashes nothing. The picture libraries keep their own.
 */
#include "exhaust.h"
#include "support.h"

#include "image/encode.h"
#include "image/preprocess.h"
#include "image/preview.h"

#include <stdlib.h>

typedef struct way {
    const char *path;
    pl_preprocess_kind kind;
    const unsigned char *bytes; /* of the file, where it is read beforehand */
    size_t size;
} way;

static pl_hands hands; /* the caller's thread; set by main */
static float pixels[3 * 28 * 28], rows[3 * 28 * 28];

static pali_status open_and_cut(const void *context, pali_error *err)
{
    const way *w = context;
    pl_image image;
    const pl_preprocess_options options = {.kind = w->kind, .filter = PL_FILTER_BICUBIC};
    pali_status status = pl_image_open(w->path, &image, err);
    if (status == PALI_OK)
        status = pl_preprocess(&image, 28, &options, &hands, pixels, err);
    if (status == PALI_OK)
        pl_patches(pixels, 28, 14, rows);
    pl_image_free(&image);
    return status;
}

static pali_status read_clip(const void *context, pali_error *err)
{
    const way *w = context;
    pl_frames clip;
    const pali_status status = pl_image_frames(w->bytes, w->size, w->path, 0, &clip, err);
    if (status == PALI_OK)
        pl_frames_free(&clip);
    return status;
}

static void test_pictures(void **state)
{
    (void)state;
    const char *files[] = {
        IMAGE_DATA "rgb420.jpg",   IMAGE_DATA "exif6.jpg",      IMAGE_DATA "cmyk.jpg",          IMAGE_DATA "rgb16.png",
        IMAGE_DATA "exif3.png",    IMAGE_DATA "lossy.webp",     IMAGE_DATA "lossless_alpha.webp", IMAGE_DATA "animated.webp",
        IMAGE_DATA "xmp4.webp",    IMAGE_DATA "interlaced.gif", IMAGE_DATA "clip2.gif",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (int kind = 0; kind <= PL_PREPROCESS_VIDEO; kind++)
            exhaust(files[i], open_and_cut, &(way){.path = files[i], .kind = (pl_preprocess_kind)kind}, PALI_OK);
}

static void test_clips(void **state)
{
    (void)state;
    const char *files[] = {"animated.webp", "clip2.gif", "clip_mixed.gif"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        way w = {.path = files[i]};
        unsigned char *bytes = read_bytes(IMAGE_DATA, files[i], &w.size);
        w.bytes = bytes;
        exhaust(files[i], read_clip, &w, PALI_OK);
        free(bytes);
    }
}

/* Nearest, one-axis and vertical-first resizes have allocations of their own. */
static pali_status resize_ways(const void *path, pali_error *err)
{
    static const struct {
        size_t width, height;
        pl_filter filter;
    } ways[] = {{9, 9, PL_FILTER_NEAREST}, {37, 9, PL_FILTER_BICUBIC}, {9, 23, PL_FILTER_LANCZOS}, {40, 9, PL_FILTER_BOX}};
    pl_image image, out;
    pali_status status = pl_image_open(path, &image, err);
    for (size_t i = 0; i < 4 && status == PALI_OK; i++) {
        status = pl_resize_pillow(&image, ways[i].width, ways[i].height, ways[i].filter, PL_PASS_PILLOW_13, &hands, &out, err);
        pl_image_free(&out);
    }
    pl_image_free(&image);
    return status;
}

static void test_resizes(void **state)
{
    (void)state;
    exhaust("resizes", resize_ways, IMAGE_DATA "rgb8.png", PALI_OK);
}

/* Our own allocations: the growing bytes, and RGB made of grey for WebP. */
static pali_status encode_ways(const void *path, pali_error *err)
{
    pl_image image;
    pali_status status = pl_image_open(path, &image, err);
    pl_raster raster = pl_raster_of(&image);
    for (int format = PL_FORMAT_JPEG; format <= PL_FORMAT_WEBP; format++)
        for (raster.channels = 1; raster.channels <= 3 && status == PALI_OK; raster.channels += 2) {
            pl_buffer bytes = {0};
            const pl_encode_options options = {.format = (pl_image_format)format};
            status = pl_image_encode(&raster, &options, path, &bytes, err);
            free(bytes.data);
        }
    pl_image_free(&image);
    return status;
}

static pali_status preview_ways(const void *path, pali_error *err)
{
    static pali_status (*const ways[])(const pl_image *, pl_buffer *, pali_error *) = {pl_preview_kitty, pl_preview_iterm2, pl_preview_sixel};
    pl_image image, small = {0};
    pali_status status = pl_image_open(path, &image, err);
    if (status == PALI_OK)
        status = pl_image_fit(&image, 20, 20, &small, err);
    for (size_t i = 0; i < 3 && status == PALI_OK; i++) {
        pl_buffer text = {0};
        status = ways[i](&small, &text, err);
        free(text.data);
    }
    pl_image_free(&image);
    pl_image_free(&small);
    return status;
}

static void test_encoders(void **state)
{
    (void)state;
    exhaust("encoders", encode_ways, IMAGE_DATA "rgb8.png", PALI_OK);
    exhaust("previews", preview_ways, IMAGE_DATA "rgb8.png", PALI_OK);
}

int main(void)
{
    hands.kernels = pl_kernels_get(NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_clips),
        cmocka_unit_test(test_resizes),
        cmocka_unit_test(test_encoders),
    };
    return cmocka_run_group_tests_name("image: memory", tests, NULL, NULL);
}
