/*
 * Files that are no pictures, or no longer: each is refused with PALI_INPUT
 * and one line that names it; none is read past its end (run under ASan).
 */
#include "support.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decodes a block that ends where the heap block ends, so that ASan sees every overrun. */
static pali_status try_decode(const unsigned char *bytes, size_t size, pali_error *err)
{
    unsigned char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    if (size)
        memcpy(copy, bytes, size);
    pl_image image = {.width = 1};
    *err = (pali_error){0};
    const pali_status status = pl_image_decode(copy, size, "the name.bin", &image, err);
    if (status != PALI_OK) {
        assert_null(image.rgb);
        assert_int_equal(image.width, 0);
    }
    pl_image_free(&image);
    pl_frames clip;
    const pali_status all = pl_image_frames(copy, size, "the name.bin", 0, &clip, NULL);
    if (all == PALI_OK)
        pl_frames_free(&clip);
    free(copy);
    return status;
}

static void expect_refusal(const char *what, const unsigned char *bytes, size_t size, const char *said)
{
    pali_error err;
    if (try_decode(bytes, size, &err) != PALI_INPUT || err.status != PALI_INPUT)
        fail_msg("%s: found status %d, expected %d (%s)", what, (int)err.status, (int)PALI_INPUT, err.message);
    if (!strstr(err.message, "the name.bin: ") || !strstr(err.message, "expected") || strchr(err.message, '\n'))
        fail_msg("%s: the message does not say enough: %s", what, err.message);
    if (!strstr(err.message, said))
        fail_msg("%s: expected '%s' in the message: %s", what, said, err.message);
}

#define BYTES(text) (const unsigned char *)(text), sizeof(text) - 1

static void test_not_pictures(void **state)
{
    (void)state;
    const struct {
        const char *what;
        const unsigned char *bytes;
        size_t size;
        const char *said;
    } files[] = {
        {"empty", BYTES(""), "empty"},
        {"one byte", BYTES("\xff"), "1 bytes"},
        {"text", BYTES("This is a letter, not a picture.\n"), "beginning with 'This is '"},
        {"nul bytes", BYTES("\0\0\0\0\0\0\0\0\0\0\0\0"), "12 bytes"},
        {"nearly JPEG", BYTES("\xff\xd8\xfe"), "3 bytes"},
        {"PNG sent as text", BYTES("\x89PNG\n\x1a\n\0\0\0\rIHDR"), "beginning with"},
        {"PDF", BYTES("%PDF-1.7\n"), "a PDF document"},
        {"TIFF", BYTES("II*\0\x08\0\0\0"), "a TIFF picture"},
        {"BMP", BYTES("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0"), "a BMP picture"},
        {"AVIF", BYTES("\0\0\0\x20" "ftypavif\0\0\0\0"), "an AVIF picture"},
        {"HEIC", BYTES("\0\0\0\x20" "ftypheic\0\0\0\0"), "a HEIC picture"},
        {"MP4", BYTES("\0\0\0\x20" "ftypisom\0\0\0\0"), "an MP4 video"},
        {"SVG", BYTES("<svg xmlns='http://www.w3.org/2000/svg'/>"), "an SVG"},
        {"JPEG start only", BYTES("\xff\xd8\xff"), "cut short"},
        {"JPEG, then text", BYTES("\xff\xd8\xffHello, this is no JPEG at all"), "JPEG"},
        {"PNG signature only", BYTES("\x89PNG\r\n\x1a\n"), "cut short"},
        {"PNG, zero width", BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\0\x05\x08\x02\0\0\0\0\0\0\0"), "PNG"},
        {"GIF header only", BYTES("GIF89a"), "cut short"},
        {"GIF, no frame", BYTES("GIF89a\x05\0\x05\0\0\0\0;"), "without a picture"},
        {"GIF, empty frame", BYTES("GIF89a\0\0\0\0\0\0\0,\0\0\0\0\0\0\0\0\0\x02\x02\x44\x01\0;"), "0 x 0"},
        {"GIF, code from nowhere", BYTES("GIF89a\2\0\2\0\0\0\0,\0\0\0\0\2\0\2\0\0\2\2\xcc\1\0;"), "a code before its entry"},
        {"GIF, first code too high", BYTES("GIF89a\2\0\2\0\0\0\0,\0\0\0\0\2\0\2\0\0\2\1\x34\0;"), "a code before its entry"},
        {"GIF, two of four indices", BYTES("GIF89a\2\0\2\0\0\0\0,\0\0\0\0\2\0\2\0\0\2\2\x4c\x0a\0;"), "too few codes"},
        {"WebP header only", BYTES("RIFF\x20\0\0\0WEBPVP8 "), "WebP"},
        {"WebP of another kind", BYTES("RIFF\x20\0\0\0WEBPNOPE\x10\0\0\0aaaaaaaaaaaaaaaa"), "WebP"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        expect_refusal(files[i].what, files[i].bytes, files[i].size, files[i].said);
}

static uint32_t put_u32be(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(value >> (24 - 8 * i));
    return value;
}

/* Headers alone that promise 60,000 x 60,000 pixels; refused from the header, before any is asked for. */
static void test_giant_headers(void **state)
{
    (void)state;
    size_t size;
    unsigned char *png = read_bytes(IMAGE_DATA, "rgb8.png", &size);
    put_u32be(png + 16, 60000);
    put_u32be(png + 20, 60000);
    put_u32be(png + 29, crc32_of(png + 12, 17));
    expect_refusal("giant PNG", png, size, "60000 x 60000 pixels, expected at most 178956970");
    put_u32be(png + 16, 2000000);
    put_u32be(png + 20, 1);
    put_u32be(png + 29, crc32_of(png + 12, 17));
    expect_refusal("wide PNG", png, size, "PNG");
    free(png);

    unsigned char *jpeg = read_bytes(IMAGE_DATA, "rgb420.jpg", &size);
    size_t at = 0;
    while (memcmp(jpeg + at, "\xff\xc0", 2) != 0)
        at++;
    memcpy(jpeg + at + 5, "\xea\x60\xea\x60", 4);
    expect_refusal("giant JPEG", jpeg, size, "60000 x 60000 pixels");
    memcpy(jpeg + at + 5, "\0\0\0\x25", 4);
    expect_refusal("JPEG of no rows", jpeg, size, "JPEG");
    free(jpeg);

    unsigned char *gif = read_bytes(IMAGE_DATA, "plain.gif", &size);
    memcpy(gif + 6, "\x60\xea\x60\xea", 4);
    expect_refusal("giant GIF", gif, size, "60000 x 60000 pixels");
    free(gif);

    unsigned char *webp = read_bytes(IMAGE_DATA, "animated.webp", &size);
    memcpy(webp + 24, "\xff\x3f\0\xff\x3f\0", 6); /* VP8X canvas, 16384 x 16384 */
    expect_refusal("giant WebP", webp, size, "16384 x 16384 pixels");
    free(webp);
}

static void test_limits(void **state)
{
    (void)state;
    pali_error err = {0};
    assert_int_equal(pl_image_check(1, 1, "p", &err), PALI_OK);
    assert_int_equal(pl_image_check(PL_IMAGE_MAX_SIDE, PL_IMAGE_MAX_PIXELS / PL_IMAGE_MAX_SIDE, "p", &err), PALI_OK);
    assert_int_equal(pl_image_check(13377, 13379, "p", &err), PALI_INPUT); /* 178,970,883 */
    assert_int_equal(pl_image_check(0, 5, "p", &err), PALI_INPUT);
    assert_int_equal(pl_image_check(5, 0, "p", &err), PALI_INPUT);
    assert_int_equal(pl_image_check(SIZE_MAX, SIZE_MAX, "p", &err), PALI_INPUT);
    assert_int_equal(pl_image_check(PL_IMAGE_MAX_SIDE + 1, 1, "p", &err), PALI_INPUT);
}

/* cut NAME NEEDED SIZE: with fewer bytes than Pillow needs it is an error, whole it is a picture. */
static void check_cuts(char **words, size_t count, void *context)
{
    (void)context;
    assert_int_equal(count, 4);
    size_t size;
    unsigned char *bytes = read_bytes(IMAGE_DATA, words[1], &size);
    const size_t needed = strtoul(words[2], NULL, 10);
    assert_int_equal(size, strtoul(words[3], NULL, 10));
    pali_error err;
    for (size_t length = 0; length < needed; length++) {
        char what[128];
        snprintf(what, sizeof what, "%s cut to %zu bytes", words[1], length);
        expect_refusal(what, bytes, length, "the name.bin");
    }
    assert_int_equal(try_decode(bytes, size, &err), PALI_OK);
    free(bytes);
}

static void test_cuts(void **state)
{
    (void)state;
    assert_int_equal(for_each_golden("goldens.txt", "cut", check_cuts, NULL), 8);
}

/* All pixels are there, but a second frame header stands where the end should. */
static void test_damaged_end(void **state)
{
    (void)state;
    enum { HEADER = 19 };
    size_t size, at = 0;
    unsigned char *jpeg = read_bytes(IMAGE_DATA, "rgb420.jpg", &size);
    while (memcmp(jpeg + at, "\xff\xc0", 2) != 0)
        at++;
    unsigned char *longer = malloc(size + HEADER);
    assert_non_null(longer);
    memcpy(longer, jpeg, size);
    memcpy(longer + size - 2, jpeg + at, HEADER);
    memcpy(longer + size - 2 + HEADER, "\xff\xd9", 2);
    expect_refusal("JPEG of two frames", longer, size + HEADER, "a damaged JPEG");
    free(longer);
    free(jpeg);
}

/* Any answer will do, as long as it is one: every byte of a file set to a few values in turn. */
static void test_damage(void **state)
{
    (void)state;
    const char *names[] = {"rgb420.jpg", "progressive.jpg", "palette4_interlaced.png", "lossy.webp", "animated.webp", "clip2.gif", "exif6.webp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size;
        unsigned char *bytes = read_bytes(IMAGE_DATA, names[i], &size);
        const size_t step = size > 1500 ? 31 : 3; /* the fuzz target does the rest */
        for (size_t at = 0; at < size; at += step) {
            const unsigned char kept = bytes[at];
            const unsigned char values[] = {0, 0xff, (unsigned char)(kept ^ 1), (unsigned char)(kept ^ 0x80)};
            for (size_t v = 0; v < sizeof values; v++) {
                bytes[at] = values[v];
                pali_error err;
                const pali_status status = try_decode(bytes, size, &err);
                if (status != PALI_OK && status != PALI_INPUT)
                    fail_msg("%s, byte %zu set to %u: found status %d (%s)", names[i], at, values[v], (int)status, err.message);
            }
            bytes[at] = kept;
        }
        free(bytes);
    }
}

static void test_missing_files(void **state)
{
    (void)state;
    pl_image image = {.width = 1};
    pali_error err = {0};
    assert_int_equal(pl_image_open("tests/data/image/no such file.png", &image, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "no such file.png"));
    assert_int_equal(pl_image_open("tests/data/image", &image, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "folder"));
    assert_null(image.rgb);
    assert_int_equal(pl_image_open("tests/data/image/goldens.txt", &image, NULL), PALI_INPUT);
}

int run_refuse_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_pictures), cmocka_unit_test(test_giant_headers), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_cuts),         cmocka_unit_test(test_damage),        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_damaged_end),
    };
    return cmocka_run_group_tests_name("image: refuse", tests, NULL, NULL);
}
