/* The recipes from a picture to floats in [-1, 1], the cutting into patches, and clips. */
#include "support.h"

#include "image/preprocess.h"

#include <stdlib.h>
#include <string.h>

static size_t number(const char *word)
{
    return strtoul(word, NULL, 10);
}

/* preprocess W H SIDE RECIPE CRC */
static void check_preprocess(char **words, size_t count, void *context)
{
    (void)context;
    assert_int_equal(count, 6);
    const size_t side = number(words[3]), bytes = 3 * side * side * sizeof(float);
    pl_preprocess_options options = pl_preprocess_default();
    assert_int_equal(pl_preprocess_parse(words[4], &options.kind, NULL), PALI_OK);
    pl_image image = synthetic_image(number(words[1]), number(words[2]));
    float *pixels = malloc(bytes);
    assert_non_null(pixels);
    assert_int_equal(pl_preprocess(&image, side, &options, hands_of(NULL), pixels, NULL), PALI_OK);
    if (crc32_of(pixels, bytes) != (uint32_t)strtoul(words[5], NULL, 16))
        fail_msg("%s x %s to %zu by %s: values differ", words[1], words[2], side, words[4]);
    free(pixels);
    pl_image_free(&image);
}

static void test_published_recipes(void **state)
{
    (void)state;
    assert_int_equal(for_each_golden("goldens.txt", "preprocess", check_preprocess, NULL), 8);
    assert_int_equal(for_each_golden("tensorflow.txt", "preprocess", check_preprocess, NULL), 40);
}

/* A picture of one value keeps it, so that each recipe's mapping can be seen alone. */
static float map_value(unsigned char value, pl_preprocess_kind kind)
{
    unsigned char rgb[3] = {value, value, value};
    const pl_image image = {.width = 1, .height = 1, .rgb = rgb};
    const pl_preprocess_options options = {.kind = kind, .filter = PL_FILTER_BICUBIC};
    float pixel[3];
    assert_int_equal(pl_preprocess(&image, 1, &options, hands_of(NULL), pixel, NULL), PALI_OK);
    assert_true(pixel[0] == pixel[1] && pixel[1] == pixel[2]);
    return pixel[0];
}

static void test_mapping(void **state)
{
    (void)state;
    const struct {
        unsigned char value;
        float expected;
    } goldens[] = {{0, -1.0f}, {1, -0.99215686f}, {127, -0.0039215684f}, {128, 0.003921628f}, {200, 0.5686275f}, {255, 1.0f}};
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++)
        assert_true(map_value(goldens[i].value, PL_PREPROCESS_HF) == goldens[i].expected);
    for (int value = 0; value < 256; value++) /* the three published forms agree on whole values */
        for (int kind = 0; kind <= PL_PREPROCESS_VIDEO; kind++)
            assert_true(map_value((unsigned char)value, (pl_preprocess_kind)kind) == map_value((unsigned char)value, PL_PREPROCESS_HF));
}

static void test_names(void **state)
{
    (void)state;
    pl_preprocess_kind kind;
    pali_error err = {0};
    assert_int_equal(pl_preprocess_parse("big_vision:plain", &kind, &err), PALI_OK);
    assert_int_equal(kind, PL_PREPROCESS_PLAIN);
    assert_int_equal(pl_preprocess_parse("big_vision", &kind, &err), PALI_OK);
    assert_int_equal(kind, PL_PREPROCESS_ANTIALIAS);
    assert_int_equal(pl_preprocess_parse("bilinear", &kind, &err), PALI_USAGE);
    assert_non_null(strstr(err.message, "'bilinear'"));
    assert_non_null(strstr(err.message, "big_vision:antialias"));
}

/* The order (channel, row, column) inside a patch, patches row by row. */
static void test_patches(void **state)
{
    (void)state;
    enum { SIDE = 6, PATCH = 2, GRID = SIDE / PATCH };
    float pixels[SIDE][SIDE][3], rows[GRID][GRID][3][PATCH][PATCH];
    for (size_t y = 0; y < SIDE; y++)
        for (size_t x = 0; x < SIDE; x++)
            for (size_t c = 0; c < 3; c++)
                pixels[y][x][c] = (float)(100 * y + 10 * x + c);
    pl_patches(pixels[0][0], SIDE, PATCH, rows[0][0][0][0]);
    for (size_t v = 0; v < GRID; v++)
        for (size_t u = 0; u < GRID; u++)
            for (size_t c = 0; c < 3; c++)
                for (size_t y = 0; y < PATCH; y++)
                    for (size_t x = 0; x < PATCH; x++)
                        assert_true(rows[v][u][c][y][x] == pixels[PATCH * v + y][PATCH * u + x][c]);
}

static void test_video(void **state)
{
    (void)state;
    enum { FRAMES = 8, SIDE = 2, SAMPLES = 3 * SIDE * SIDE };
    const size_t expected[FRAMES] = {0, 1, 2, 0, 1, 2, 0, 1};
    pl_image images[3];
    for (size_t i = 0; i < 3; i++) {
        images[i] = synthetic_image(5, 4);
        memset(images[i].rgb, (int)(50 * i), 3 * 5 * 4);
    }
    const pl_preprocess_options options = {.kind = PL_PREPROCESS_VIDEO};
    for (size_t i = 0; i < FRAMES; i++) {
        float pixels[SAMPLES];
        assert_int_equal(pl_video_frame(i, 3), expected[i]);
        assert_int_equal(pl_preprocess(&images[pl_video_frame(i, 3)], SIDE, &options, hands_of(NULL), pixels, NULL), PALI_OK);
        for (size_t s = 0; s < SAMPLES; s++)
            assert_true(pixels[s] == map_value((unsigned char)(50 * expected[i]), PL_PREPROCESS_VIDEO));
    }
    for (size_t i = 0; i < 3; i++)
        pl_image_free(&images[i]);
}

int run_preprocess_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_recipes), cmocka_unit_test(test_mapping), cmocka_unit_test(test_names),
        cmocka_unit_test(test_patches),           cmocka_unit_test(test_video),
    };
    return cmocka_run_group_tests_name("image: preprocess", tests, NULL, NULL);
}
