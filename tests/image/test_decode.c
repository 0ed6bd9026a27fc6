/*
 * Decoding against what Pillow reads in the same files (make_goldens.py):
 * every format, colour type, depth, order, orientation and animation, to the
 * byte.
 */
#include "support.h"

#include "image/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t hex(const char *word)
{
    return (uint32_t)strtoul(word, NULL, 16);
}

/* decode NAME WIDTH HEIGHT CRC; context: the folder */
static void check_decode(char **words, size_t count, void *context)
{
    assert_int_equal(count, 5);
    size_t size;
    unsigned char *bytes = read_bytes(context, words[1], &size);
    pl_image image;
    pali_error err = {0};
    if (pl_image_decode(bytes, size, words[1], &image, &err) != PALI_OK)
        fail_msg("%s: refused: %s", words[1], err.message);
    if (image.width != strtoul(words[2], NULL, 10) || image.height != strtoul(words[3], NULL, 10))
        fail_msg("%s: found %zu x %zu, expected %s x %s", words[1], image.width, image.height, words[2], words[3]);
    if (image_crc(&image) != hex(words[4]))
        fail_msg("%s: pixels differ: found %08x, expected %s", words[1], image_crc(&image), words[4]);
    pl_image_free(&image);
    free(bytes);
}

static void test_files(void **state)
{
    (void)state;
    assert_true(for_each_golden("goldens.txt", "decode", check_decode, IMAGE_DATA) > 80);
}

/* decode NAME WIDTH HEIGHT CRC, by TensorFlow */
static void check_tensorflow(char **words, size_t count, void *context)
{
    (void)context;
    assert_int_equal(count, 5);
    size_t size;
    unsigned char *bytes = read_bytes(IMAGE_DATA, words[1], &size);
    pl_image image;
    assert_int_equal(pl_image_decode_as(bytes, size, words[1], PL_DECODER_TENSORFLOW, &image, NULL), PALI_OK);
    assert_int_equal(image.width, strtoul(words[2], NULL, 10));
    assert_int_equal(image.height, strtoul(words[3], NULL, 10));
    if (image_crc(&image) != hex(words[4]))
        fail_msg("%s: pixels differ from TensorFlow's", words[1]);
    pl_image_free(&image);
    free(bytes);
}

static void test_tensorflow_files(void **state)
{
    (void)state;
    assert_true(for_each_golden("tensorflow.txt", "decode", check_tensorflow, NULL) > 20);
}

static void test_photos(void **state)
{
    (void)state;
    if (access(IMAGE_PHOTOS, R_OK) != 0)
        skip();
    assert_true(for_each_golden("photos.txt", "decode", check_decode, IMAGE_PHOTOS) > 0);
}

/* frames NAME COUNT CRC... */
static void check_frames(char **words, size_t count, void *context)
{
    (void)context;
    size_t size;
    const size_t expected = strtoul(words[2], NULL, 10);
    assert_int_equal(count, 3 + expected);
    unsigned char *bytes = read_bytes(IMAGE_DATA, words[1], &size);
    for (size_t most = 0; most <= expected + 1; most++) { /* 0: all */
        pl_frames clip;
        pali_error err = {0};
        if (pl_image_frames(bytes, size, words[1], most, &clip, &err) != PALI_OK)
            fail_msg("%s: refused: %s", words[1], err.message);
        assert_int_equal(clip.count, most == 0 || most > expected ? expected : most);
        for (size_t i = 0; i < clip.count; i++)
            if (image_crc(&clip.frames[i]) != hex(words[3 + i]))
                fail_msg("%s: frame %zu differs", words[1], i);
        pl_frames_free(&clip);
    }
    free(bytes);
}

static void test_animations(void **state)
{
    (void)state;
    assert_true(for_each_golden("goldens.txt", "frames", check_frames, NULL) >= 8);
}

static void test_still_has_one_frame(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes = read_bytes(IMAGE_DATA, "exif6.jpg", &size);
    pl_frames clip;
    assert_int_equal(pl_image_frames(bytes, size, "still", 0, &clip, NULL), PALI_OK);
    assert_int_equal(clip.count, 1);
    assert_int_equal(clip.frames[0].width, 23); /* stored 37 x 23, lying on its side */
    pl_frames_free(&clip);
    free(bytes);
}

/* The published values of the CMYK conversion. */
static void test_cmyk(void **state)
{
    (void)state;
    const unsigned char inks[4][4] = {{0, 0, 0, 0}, {255, 0, 0, 0}, {0, 0, 0, 255}, {100, 50, 25, 60}};
    const unsigned char expected[4][3] = {{255, 255, 255}, {0, 255, 255}, {0, 0, 0}, {119, 157, 176}};
    unsigned char rgb[4][3];
    pl_cmyk_to_rgb(inks[0], 4, rgb[0]);
    assert_memory_equal(rgb, expected, sizeof rgb);
}

/*
 * A 2 x 3 picture of six marks; where each lies after turning, by the names of
 * the eight orientations.
 */
static void test_orientations(void **state)
{
    (void)state;
    const char *expected[9] = {"abcdef", "abcdef", "badcfe", "fedcba", "efcdab", "acebdf", "ecafdb", "fdbeca", "bdface"};
    for (unsigned orientation = 0; orientation < 9; orientation++) {
        pl_image image;
        assert_int_equal(pl_image_new(2, 3, "marks", &image, NULL), PALI_OK);
        for (size_t i = 0; i < 18; i++)
            image.rgb[i] = (unsigned char)('a' + i / 3);
        assert_int_equal(pl_image_orient(&image, orientation, "marks", NULL), PALI_OK);
        assert_int_equal(image.width, orientation >= 5 ? 3 : 2);
        assert_int_equal(image.height, orientation >= 5 ? 2 : 3);
        for (size_t i = 0; i < 18; i++)
            assert_int_equal(image.rgb[i], expected[orientation][i / 3]);
        pl_image_free(&image);
    }
}

static void test_file_and_standard_input(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes = read_bytes(IMAGE_DATA, "rgb420.jpg", &size);
    pl_image memory, file, input;
    assert_int_equal(pl_image_decode(bytes, size, "memory", &memory, NULL), PALI_OK);
    assert_int_equal(pl_image_open(IMAGE_DATA "rgb420.jpg", &file, NULL), PALI_OK);
    assert_int_equal(image_crc(&memory), image_crc(&file));

    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const int kept = dup(STDIN_FILENO);
    assert_int_equal(write(ends[1], bytes, size), size); /* under a page: the pipe holds it */
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    const pali_status status = pl_image_open("-", &input, NULL);
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(ends[0]);
    assert_int_equal(status, PALI_OK);
    assert_int_equal(image_crc(&memory), image_crc(&input));

    pl_image_free(&memory);
    pl_image_free(&file);
    pl_image_free(&input);
    free(bytes);
}

int run_decode_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_tensorflow_files),
        cmocka_unit_test(test_photos),
        cmocka_unit_test(test_animations),
        cmocka_unit_test(test_still_has_one_frame),
        cmocka_unit_test(test_cmyk),
        cmocka_unit_test(test_orientations),
        cmocka_unit_test(test_file_and_standard_input),
    };
    return cmocka_run_group_tests_name("image: decode", tests, NULL, NULL);
}
