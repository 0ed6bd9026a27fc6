/*
 * Resizing against Pillow and TensorFlow themselves. All comparisons are
 * exact: Pillow's arithmetic is integer, and the float path makes TensorFlow's
 * operations in TensorFlow's order.
 */
#include "support.h"

#include "image/resize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t hex(const char *word)
{
    return (uint32_t)strtoul(word, NULL, 16);
}
static size_t number(const char *word)
{
    return strtoul(word, NULL, 10);
}

static uint32_t resized_crc(const pl_image *image, size_t width, size_t height, pl_filter filter, pl_pass_order order)
{
    pl_image small;
    uint32_t first = 0;
    for (const char *const *level = pl_kernel_levels(); *level; level++) {
        assert_int_equal(pl_resize_pillow(image, width, height, filter, order, hands_of(*level), &small, NULL), PALI_OK);
        assert_int_equal(small.width, width);
        assert_int_equal(small.height, height);
        const uint32_t crc = image_crc(&small);
        pl_image_free(&small);
        if (level == pl_kernel_levels())
            first = crc;
        else if (crc != first)
            fail_msg("%zu x %zu to %zu x %zu, filter %s: %s differs from %s", image->width, image->height, width, height, pl_filter_name(filter), *level, *pl_kernel_levels());
    }
    return first;
}

/* The published 7 x 5 to 4 x 4 values of channel 0. */
static void test_small(void **state)
{
    (void)state;
    const struct {
        pl_filter filter;
        unsigned char values[16];
    } goldens[] = {
        {PL_FILTER_BICUBIC, {23, 95, 129, 174, 106, 181, 75, 130, 194, 146, 144, 157, 170, 155, 165, 101}},
        {PL_FILTER_BILINEAR, {36, 99, 127, 172, 113, 169, 87, 131, 182, 150, 143, 152, 172, 156, 156, 111}},
        {PL_FILTER_LANCZOS, {19, 96, 130, 165, 104, 191, 66, 129, 201, 147, 139, 168, 165, 151, 175, 89}},
    };
    pl_image image = synthetic_image(7, 5);
    for (size_t g = 0; g < sizeof goldens / sizeof *goldens; g++) {
        pl_image small;
        assert_int_equal(pl_resize_pillow(&image, 4, 4, goldens[g].filter, PL_PASS_HORIZONTAL_FIRST, hands_of(NULL), &small, NULL), PALI_OK);
        for (size_t i = 0; i < 16; i++)
            assert_int_equal(small.rgb[3 * i], goldens[g].values[i]);
        pl_image_free(&small);
    }
    pl_image_free(&image);
}

/* Checksums of bicubic with the horizontal pass first (Pillow 9 to 12). */
static void test_published_checksums(void **state)
{
    (void)state;
    const struct {
        size_t width, height;
        uint32_t to_224, to_448;
    } goldens[] = {
        {7, 5, 0x8ae59f8d, 0x9ddd766a},     {640, 480, 0x8fc66965, 0x2f710ce2}, {100, 333, 0x9c447f23, 0x299d3d2a},
        {224, 224, 0xc2636c60, 0x1390aca7}, {225, 223, 0x5585fc37, 0xbebb636d}, {3000, 200, 0x1769b563, 0x4ca5228c},
        {50, 40, 0x45dcc15f, 0x7a9cbfc9},
    };
    for (size_t g = 0; g < sizeof goldens / sizeof *goldens; g++) {
        pl_image image = synthetic_image(goldens[g].width, goldens[g].height);
        assert_int_equal(resized_crc(&image, 224, 224, PL_FILTER_BICUBIC, PL_PASS_HORIZONTAL_FIRST), goldens[g].to_224);
        assert_int_equal(resized_crc(&image, 448, 448, PL_FILTER_BICUBIC, PL_PASS_HORIZONTAL_FIRST), goldens[g].to_448);
        pl_image_free(&image);
    }
}

/* resize W H OUT_W OUT_H FILTER CRC */
static void check_pillow(char **words, size_t count, void *context)
{
    (void)context;
    assert_int_equal(count, 7);
    pl_image image = synthetic_image(number(words[1]), number(words[2]));
    const uint32_t crc = resized_crc(&image, number(words[3]), number(words[4]), (pl_filter)number(words[5]), PL_PASS_PILLOW_13);
    if (crc != hex(words[6]))
        fail_msg("%s x %s to %s x %s, filter %s: found %08x, expected %s", words[1], words[2], words[3], words[4], words[5], crc, words[6]);
    pl_image_free(&image);
}

static void test_pillow_13(void **state)
{
    (void)state;
    assert_int_equal(for_each_golden("goldens.txt", "resize", check_pillow, NULL), 300);
}

/* photo NAME SIDE FILTER CRC */
static void check_photo(char **words, size_t count, void *context)
{
    (void)context;
    assert_int_equal(count, 5);
    char path[512];
    snprintf(path, sizeof path, "%s%s", IMAGE_PHOTOS, words[1]);
    pl_image image;
    assert_int_equal(pl_image_open(path, &image, NULL), PALI_OK);
    const size_t side = number(words[2]);
    if (resized_crc(&image, side, side, (pl_filter)number(words[3]), PL_PASS_PILLOW_13) != hex(words[4]))
        fail_msg("%s to %zu, filter %s: differs", words[1], side, words[3]);
    pl_image_free(&image);
}

static void test_photos(void **state)
{
    (void)state;
    if (access(IMAGE_PHOTOS, R_OK) != 0)
        skip();
    assert_true(for_each_golden("photos.txt", "photo", check_photo, NULL) > 0);
}

static void check_taps(size_t in, size_t out, pl_filter filter, size_t output, size_t start, size_t count, const int32_t *expected)
{
    pl_tap_table *table = pl_tap_table_new(in, out, filter, NULL);
    assert_non_null(table);
    const pl_taps taps = pl_tap_table_at(table, output);
    assert_int_equal(taps.start, start);
    assert_true(taps.count >= count); /* beyond them Pillow too keeps taps of weight zero */
    for (size_t i = 0; i < taps.count; i++)
        assert_int_equal(taps.high[i] * 256 + taps.low[i], i < count ? expected[i] : 0);
    pl_tap_table_free(table);
}

static void test_weights(void **state)
{
    (void)state;
#define TAPS(...) sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t), (const int32_t[]){__VA_ARGS__}
    check_taps(500, 224, PL_FILTER_BICUBIC, 0, 0, TAPS(1695523, 1882141, 799267, -59534, -121834, -1259));
    check_taps(500, 224, PL_FILTER_BICUBIC, 1, 0, TAPS(-134442, 255620, 1340605, 1837966, 1004452, 38142, -132374, -15664));
    check_taps(500, 224, PL_FILTER_BICUBIC, 223, 494, TAPS(-1259, -121834, -59534, 799267, 1882141, 1695523));
    check_taps(100, 224, PL_FILTER_BICUBIC, 0, 0, TAPS(4589675, -395371));
    check_taps(100, 224, PL_FILTER_BICUBIC, 1, 0, TAPS(3706484, 535166, -47346));
    check_taps(7, 4, PL_FILTER_BICUBIC, 0, 0, TAPS(2312533, 1925784, 116586, -160599));
    check_taps(7, 4, PL_FILTER_BICUBIC, 1, 0, TAPS(-156061, 861991, 2330599, 1327164, -72657, -96732));
    check_taps(7, 4, PL_FILTER_BILINEAR, 0, 0, TAPS(2197016, 1797559, 199729));
#undef TAPS
}

/* resize W H OUT_W OUT_H ANTIALIAS CRC */
static void check_tensorflow(char **words, size_t count, void *context)
{
    (void)context;
    assert_int_equal(count, 7);
    const size_t width = number(words[3]), height = number(words[4]);
    pl_image image = synthetic_image(number(words[1]), number(words[2]));
    float *out = malloc(3 * width * height * sizeof *out);
    assert_non_null(out);
    assert_int_equal(pl_resize_tensorflow(&image, width, height, number(words[5]) != 0, out, NULL), PALI_OK);
    const uint32_t crc = crc32_of(out, 3 * width * height * sizeof *out);
    if (crc != hex(words[6]))
        fail_msg("%s x %s to %s x %s, antialias %s: found %08x, expected %s", words[1], words[2], words[3], words[4], words[5], crc, words[6]);
    free(out);
    pl_image_free(&image);
}

static void test_tensorflow(void **state)
{
    (void)state;
    assert_int_equal(for_each_golden("tensorflow.txt", "resize", check_tensorflow, NULL), 140);
}

/* The first and last rows of 7 x 5 to 4 x 4, channel 0, as TensorFlow 2.21 prints them. */
static void test_tensorflow_rows(void **state)
{
    (void)state;
    const float expected[2][2][4] = {
        {{21.859375f, 89.453125f, 129.046875f, 192.640625f}, {177.390625f, 158.296875f, 115.203125f, 101.46875f}},
        {{35.833328f, 98.469986f, 126.44998f, 171.16663f}, {171.69046f, 156.40999f, 155.59999f, 110.89287f}},
    };
    pl_image image = synthetic_image(7, 5);
    for (int antialias = 0; antialias < 2; antialias++) {
        float out[4][4][3];
        assert_int_equal(pl_resize_tensorflow(&image, 4, 4, antialias, out[0][0], NULL), PALI_OK);
        for (size_t x = 0; x < 4; x++) {
            assert_true(out[0][x][0] == expected[antialias][0][x]);
            assert_true(out[3][x][0] == expected[antialias][1][x]);
        }
    }
    pl_image_free(&image);
}

/* A flat picture stays flat whatever the filter and size: the weights of an output sum to one. */
static void test_flat(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 2, 3, 50, 511};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++) {
            pl_image image = synthetic_image(sizes[i], sizes[4 - i]);
            memset(image.rgb, 201, 3 * image.width * image.height);
            for (int filter = 0; filter <= PL_FILTER_HAMMING; filter++) {
                pl_image out;
                assert_int_equal(pl_resize_pillow(&image, sizes[j], 17, (pl_filter)filter, PL_PASS_PILLOW_13, hands_of(NULL), &out, NULL), PALI_OK);
                for (size_t k = 0; k < 3 * out.width * out.height; k++)
                    assert_int_equal(out.rgb[k], 201);
                pl_image_free(&out);
            }
            pl_image_free(&image);
        }
}

/* A row longer than one block of the fast sum (8192 taps), against the plain definition. */
static void test_very_wide(void **state)
{
    (void)state;
    enum { WIDTH = 50000, OUT = 3 };
    pl_image image = synthetic_image(WIDTH, 1), small;
    for (size_t i = 0; i < 3 * WIDTH; i++) /* bright, so that the sums are large */
        image.rgb[i] |= 0xc0;
    assert_int_equal(pl_resize_pillow(&image, OUT, 1, PL_FILTER_BICUBIC, PL_PASS_HORIZONTAL_FIRST, hands_of(NULL), &small, NULL), PALI_OK);
    pl_tap_table *table = pl_tap_table_new(WIDTH, OUT, PL_FILTER_BICUBIC, NULL);
    for (size_t x = 0; x < OUT; x++) {
        const pl_taps taps = pl_tap_table_at(table, x);
        assert_true(taps.count > 8192);
        for (size_t c = 0; c < 3; c++) {
            int64_t sum = 1 << 21;
            for (size_t i = 0; i < taps.count; i++)
                sum += (int64_t)image.rgb[3 * (taps.start + i) + c] * (taps.high[i] * 256 + taps.low[i]);
            sum >>= 22;
            assert_int_equal(small.rgb[3 * x + c], sum < 0 ? 0 : sum > 255 ? 255 : sum);
        }
    }
    pl_tap_table_free(table);
    pl_image_free(&small);
    pl_image_free(&image);
}

static void test_arguments(void **state)
{
    (void)state;
    pl_image image = synthetic_image(5, 5), out;
    pali_error err = {0};
    float value[3];
    assert_int_equal(pl_resize_pillow(&image, 4, 4, (pl_filter)6, PL_PASS_HORIZONTAL_FIRST, hands_of(NULL), &out, &err), PALI_USAGE);
    assert_non_null(strstr(err.message, "found 6"));
    assert_null(out.rgb);
    assert_int_equal(pl_resize_pillow(&image, 0, 4, PL_FILTER_BICUBIC, PL_PASS_HORIZONTAL_FIRST, hands_of(NULL), &out, &err), PALI_INPUT);
    assert_null(out.rgb);
    assert_int_equal(pl_resize_tensorflow(&image, 0, 4, true, value, &err), PALI_INPUT);
    pl_image_free(&image);
}

int run_resize_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),      cmocka_unit_test(test_published_checksums), cmocka_unit_test(test_pillow_13),
        cmocka_unit_test(test_photos),     cmocka_unit_test(test_weights),             cmocka_unit_test(test_tensorflow),
        cmocka_unit_test(test_tensorflow_rows), cmocka_unit_test(test_flat),           cmocka_unit_test(test_very_wide),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests_name("image: resize", tests, NULL, NULL);
}
