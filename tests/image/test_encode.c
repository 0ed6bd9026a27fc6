/*
 * Encoders: what is written is read back by the decoders (which are held to
 * Pillow), exactly or within what the format loses; names, sizes and places
 * that cannot be are refused with a message.
 */
#include "support.h"

#include "image/encode.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Encodes and decodes again; the caller frees the picture. */
static pl_image there_and_back(const pl_raster *raster, pl_encode_options options)
{
    pl_buffer bytes = {0};
    pali_error err = {0};
    pl_image back;
    if (pl_image_encode(raster, &options, "picture", &bytes, &err) != PALI_OK || pl_image_decode(bytes.data, bytes.length, "back", &back, &err) != PALI_OK)
        fail_msg("%s", err.message);
    assert_int_equal(back.width, raster->width);
    assert_int_equal(back.height, raster->height);
    free(bytes.data);
    return back;
}

/* The mean of |a - b| over `count` bytes. */
static double mean_difference(const unsigned char *a, const unsigned char *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += abs((int)a[i] - (int)b[i]);
    return sum / (double)count;
}

static const struct { size_t width, height; } sizes[] = {{1, 1}, {1, 5000}, {5000, 1}, {37, 23}, {3, 200}};

static void test_exact(void **state)
{
    (void)state;
    const pl_encode_options ways[] = {{.format = PL_FORMAT_PNG}, {.format = PL_FORMAT_WEBP, .lossless = true}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < 2; k++) {
            pl_image image = synthetic_image(sizes[i].width, sizes[i].height);
            const pl_raster raster = pl_raster_of(&image);
            pl_image back = there_and_back(&raster, ways[k]);
            assert_memory_equal(back.rgb, image.rgb, 3 * image.width * image.height);
            pl_image_free(&back);
            pl_image_free(&image);
        }
}

/* Bytes of grey and of RGBA come back as the RGB they mean; alpha is dropped by the decoder. */
static void test_channels(void **state)
{
    (void)state;
    enum { W = 33, H = 17 };
    unsigned char grey[W * H], rgba[4 * W * H];
    for (size_t i = 0; i < W * H; i++) {
        grey[i] = (unsigned char)(i % W * 7);
        for (size_t c = 0; c < 4; c++)
            rgba[4 * i + c] = (unsigned char)(i % W * (3 + c) + 5 * (i / W));
    }
    for (int format = PL_FORMAT_JPEG; format <= PL_FORMAT_WEBP; format++) {
        const bool is_jpeg = format == PL_FORMAT_JPEG;
        const pl_encode_options options = {.format = (pl_image_format)format, .lossless = format == PL_FORMAT_WEBP};
        pl_image a = there_and_back(&(pl_raster){grey, W, H, 1}, options), b = there_and_back(&(pl_raster){rgba, W, H, 4}, options);
        for (size_t i = 0; i < W * H; i++)
            for (size_t c = 0; c < 3; c++) { /* a gradient through JPEG: a few levels off */
                assert_in_range(a.rgb[3 * i + c] + 8, grey[i] + (is_jpeg ? 0 : 8), grey[i] + (is_jpeg ? 16 : 8));
                assert_in_range(b.rgb[3 * i + c] + 8, rgba[4 * i + c] + (is_jpeg ? 0 : 8), rgba[4 * i + c] + (is_jpeg ? 16 : 8));
            }
        pl_image_free(&a);
        pl_image_free(&b);
    }
}

/* Lossy formats lose little of a photo's kind of content, and less with more quality. */
static void test_lossy(void **state)
{
    (void)state;
    pl_image image;
    pali_error err = {0};
    if (pl_image_open(IMAGE_DATA "rgb8.png", &image, &err) != PALI_OK)
        fail_msg("%s", err.message);
    const pl_raster raster = pl_raster_of(&image);
    const size_t count = 3 * image.width * image.height;
    const pl_image_format formats[] = {PL_FORMAT_JPEG, PL_FORMAT_WEBP};
    for (size_t i = 0; i < 2; i++) {
        double before = 255;
        const int qualities[] = {10, 50, 0, 100};
        for (size_t k = 0; k < 4; k++) {
            pl_image back = there_and_back(&raster, (pl_encode_options){.format = formats[i], .quality = qualities[k]});
            const double found = mean_difference(image.rgb, back.rgb, count);
            if (found >= before)
                fail_msg("format %d, quality %d: mean difference %.3f, expected less than %.3f", (int)formats[i], qualities[k], found, before);
            before = found;
            pl_image_free(&back);
        }
        /* Quality 100: a JPEG with its chroma at full size loses to rounding only; WebP's chroma has half the size, and this picture is small and coloured. */
        assert_true(before < (formats[i] == PL_FORMAT_JPEG ? 1 : 8));
    }
    pl_image_free(&image);
}

static void test_names(void **state)
{
    (void)state;
    pl_image_format format = PL_FORMAT_PNG;
    pali_error err = {0};
    const struct { const char *path; pl_image_format format; } good[] = {
        {"a.jpg", PL_FORMAT_JPEG}, {"/x.y/a.JPEG", PL_FORMAT_JPEG}, {"a.b.PnG", PL_FORMAT_PNG}, {"./q.webp", PL_FORMAT_WEBP},
    };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pl_format_of_path(good[i].path, &format, &err), PALI_OK);
        assert_int_equal(format, good[i].format);
    }
    const char *bad[] = {"a", "a.gif", "png", ".png", "dir.png/a", "dir/.jpg", "a.png ", "", "-", "a."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (pali_error){0};
        assert_int_equal(pl_format_of_path(bad[i], &format, &err), PALI_USAGE);
        assert_non_null(strstr(err.message, ".jpg, .jpeg, .png or .webp"));
    }
    assert_int_equal(pl_format_of_name("WebP", "call", &format, &err), PALI_OK);
    assert_int_equal(format, PL_FORMAT_WEBP);
    assert_int_equal(pl_format_of_name("bmp", "call", &format, &err), PALI_USAGE);
    assert_non_null(strstr(err.message, "bmp"));
}

static void refuse(const pl_raster *raster, pl_encode_options options, pali_status status, const char *words)
{
    pl_buffer bytes = {0};
    pali_error err = {0};
    assert_int_equal(pl_image_encode(raster, &options, "it", &bytes, &err), status);
    if (!strstr(err.message, words))
        fail_msg("'%s' does not hold '%s'", err.message, words);
    assert_null(bytes.data);
}

static void test_refused(void **state)
{
    (void)state;
    unsigned char *const bytes = calloc(3, 70000);
    const pl_raster small = {bytes, 4, 4, 3};
    refuse(&small, (pl_encode_options){.quality = 101}, PALI_USAGE, "quality of 101, expected 1 to 100");
    refuse(&small, (pl_encode_options){.quality = -1}, PALI_USAGE, "expected 1 to 100");
    refuse(&small, (pl_encode_options){.lossless = true}, PALI_USAGE, "PNG or WebP");
    refuse(&(pl_raster){bytes, 4, 4, 2}, (pl_encode_options){.format = PL_FORMAT_PNG}, PALI_USAGE, "2 channels");
    refuse(&(pl_raster){bytes, 0, 4, 3}, (pl_encode_options){.format = PL_FORMAT_PNG}, PALI_INPUT, "0 x 4");
    refuse(&(pl_raster){bytes, 70000, 1, 3}, (pl_encode_options){.format = PL_FORMAT_JPEG}, PALI_USAGE, "at most 65500 a side in a JPEG");
    refuse(&(pl_raster){bytes, 1, 20000, 3}, (pl_encode_options){.format = PL_FORMAT_WEBP}, PALI_USAGE, "at most 16383 a side in a WebP");
    pl_image back = there_and_back(&(pl_raster){bytes, 70000, 1, 3}, (pl_encode_options){.format = PL_FORMAT_PNG});
    pl_image_free(&back);
    back = there_and_back(&(pl_raster){bytes, 65500, 1, 3}, (pl_encode_options){.format = PL_FORMAT_JPEG});
    pl_image_free(&back);
    back = there_and_back(&(pl_raster){bytes, 1, 16383, 3}, (pl_encode_options){.format = PL_FORMAT_WEBP});
    pl_image_free(&back);
    free(bytes);
}

/* A file is there whole or not at all; what stood there before stays when it fails. */
static void test_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/pali-encode-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.png", folder);
    pl_image image = synthetic_image(40, 30), back;
    const pl_raster raster = pl_raster_of(&image);
    const pl_encode_options png = {.format = PL_FORMAT_PNG};
    pali_error err = {0};
    assert_int_equal(pl_image_save(&raster, &png, path, &err), PALI_OK);
    assert_int_equal(pl_image_open(path, &back, &err), PALI_OK);
    assert_int_equal(image_crc(&back), image_crc(&image));
    pl_image_free(&back);
    assert_int_equal(pl_image_save(&(pl_raster){image.rgb, 40, 30, 2}, &png, path, &err), PALI_USAGE);
    assert_true(pl_is_file(path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left in it */
    assert_int_equal(pl_image_save(&raster, &png, path, &err), PALI_FAILED);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(pl_image_save(&raster, &png, "/tmp", &err), PALI_FAILED);
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(pl_image_save(&raster, &png, "/dev/full", &err), PALI_FAILED);
        assert_non_null(strstr(err.message, "No space left"));
    }
    pl_image_free(&image);
}

int run_encode_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact), cmocka_unit_test(test_channels), cmocka_unit_test(test_lossy),
        cmocka_unit_test(test_names), cmocka_unit_test(test_refused),  cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests_name("image: encode", tests, NULL, NULL);
}
