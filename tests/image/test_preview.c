/*
 * Pictures for terminals, decoded again as a terminal would: base64 (RFC 4648's
 * own examples), the wrappings of kitty and iTerm2, and sixels.
 */
#include "support.h"

#include "image/preview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_base64(void **state)
{
    (void)state;
    const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xef\xbe", "/+++"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        pl_buffer out = {0};
        assert_int_equal(pl_base64_append(&out, (const unsigned char *)pairs[i][0], strlen(pairs[i][0]), NULL), PALI_OK);
        assert_string_equal(out.data ? out.data : "", pairs[i][1]);
        free(out.data);
    }
}

/* Appends what base64 text says. */
static void unbase64(const char *text, size_t length, pl_buffer *out)
{
    unsigned bits = 0, count = 0;
    for (size_t i = 0; i < length && text[i] != '='; i++) {
        const char c = text[i];
        const unsigned value = c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A') : c >= 'a' && c <= 'z' ? (unsigned)(c - 'a' + 26) : c >= '0' && c <= '9' ? (unsigned)(c - '0' + 52) : c == '+' ? 62 : 63;
        assert_true(value < 63 || c == '/');
        bits = bits << 6 | value;
        if ((count += 6) >= 8) {
            const unsigned char byte = (unsigned char)(bits >> (count -= 8));
            assert_int_equal(pl_buffer_append(out, &byte, 1, NULL), PALI_OK);
        }
    }
}

static void check_png(const pl_buffer *png, const pl_image *image)
{
    pl_image back;
    pali_error err = {0};
    if (pl_image_decode(png->data, png->length, "preview", &back, &err) != PALI_OK)
        fail_msg("%s", err.message);
    assert_int_equal(back.width, image->width);
    assert_int_equal(image_crc(&back), image_crc(image));
    pl_image_free(&back);
}

static void test_kitty(void **state)
{
    (void)state;
    const size_t sides[] = {1, 50, 200}; /* one chunk and many */
    for (size_t i = 0; i < 3; i++) {
        pl_image image = synthetic_image(sides[i], sides[i]);
        pl_buffer out = {0}, png = {0};
        assert_int_equal(pl_preview_kitty(&image, &out, NULL), PALI_OK);
        const char *at = out.data, *const end = out.data + out.length;
        bool more = true;
        for (size_t chunk = 0; at < end; chunk++) {
            char keys[64];
            int used = 0;
            assert_true(more);
            assert_int_equal(sscanf(at, "\033_G%63[^;];%n", keys, &used), 1);
            assert_string_equal(chunk ? "" : keys, chunk ? "" : strstr(keys, "m=1") ? "a=T,f=100,q=2,m=1" : "a=T,f=100,q=2,m=0");
            more = strstr(keys, "m=1") != NULL;
            at += used;
            const char *const stop = strstr(at, "\033\\");
            assert_non_null(stop);
            assert_true(stop - at <= 4096 && (!more || (stop - at) % 4 == 0));
            unbase64(at, (size_t)(stop - at), &png);
            at = stop + 2;
        }
        assert_false(more);
        check_png(&png, &image);
        free(out.data);
        free(png.data);
        pl_image_free(&image);
    }
}

static void test_iterm2(void **state)
{
    (void)state;
    pl_image image = synthetic_image(61, 40);
    pl_buffer out = {0}, png = {0};
    assert_int_equal(pl_preview_iterm2(&image, &out, NULL), PALI_OK);
    size_t size, width, height;
    int used = 0;
    assert_int_equal(sscanf(out.data, "\033]1337;File=inline=1;size=%zu;width=%zupx;height=%zupx:%n", &size, &width, &height, &used), 3);
    assert_int_equal(width, 61);
    assert_int_equal(height, 40);
    assert_int_equal(out.data[out.length - 1], '\a');
    unbase64(out.data + used, out.length - (size_t)used - 1, &png);
    assert_int_equal(png.length, size);
    check_png(&png, &image);
    free(out.data);
    free(png.data);
    pl_image_free(&image);
}

/* A terminal's reading of sixels. */
typedef struct screen {
    pl_image image;
    unsigned char *painted; /* [height, width] times each pixel was set */
    unsigned char colours[256][3];
    size_t x, y, colour;
} screen;

static void put_sixel(screen *s, char c, size_t times)
{
    for (; times > 0; times--, s->x++)
        for (size_t row = 0; row < 6; row++)
            if ((c - '?') >> row & 1) {
                assert_true(s->x < s->image.width && s->y + row < s->image.height);
                const size_t at = (s->y + row) * s->image.width + s->x;
                memcpy(s->image.rgb + 3 * at, s->colours[s->colour], 3);
                s->painted[at]++;
            }
}

/* Reads "#n" or "#n;2;r;g;b" at text; returns what follows. */
static const char *read_colour(screen *s, const char *text)
{
    unsigned long v[5];
    size_t count = 0;
    char *end = (char *)text;
    do
        v[count++] = strtoul(end + 1, &end, 10);
    while (*end == ';' && count < 5);
    assert_true((count == 1 || (count == 5 && v[1] == 2)) && v[0] < 256);
    s->colour = v[0];
    for (size_t k = 0; count == 5 && k < 3; k++) {
        assert_true(v[2 + k] <= 100);
        s->colours[s->colour][k] = (unsigned char)((v[2 + k] * 255 + 50) / 100);
    }
    return end;
}

static screen read_sixels(const pl_buffer *text, size_t width, size_t height)
{
    screen s = {0};
    char head[64];
    const int length = snprintf(head, sizeof head, "\033P0;1;0q\"1;1;%zu;%zu", width, height);
    assert_memory_equal(text->data, head, (size_t)length);
    assert_int_equal(pl_image_new(width, height, "screen", &s.image, NULL), PALI_OK);
    s.painted = calloc(width, height);
    const char *at = text->data + length;
    while (*at != '\033') {
        if (*at == '#') {
            at = read_colour(&s, at);
        } else if (*at == '!') {
            char *end;
            const unsigned long times = strtoul(at + 1, &end, 10);
            put_sixel(&s, *end, times);
            at = end + 1;
        } else if (*at == '$' || *at == '-') {
            s.y += *at == '-' ? 6 : 0;
            s.x = 0;
            at++;
        } else {
            assert_in_range(*at, '?', '~');
            put_sixel(&s, *at++, 1);
        }
    }
    assert_string_equal(at, "\033\\");
    for (size_t i = 0; i < width * height; i++)
        assert_int_equal(s.painted[i], 1);
    free(s.painted);
    return s;
}

static int worst_difference(const pl_image *a, const pl_image *b, double *mean)
{
    int worst = 0;
    *mean = 0;
    for (size_t i = 0; i < 3 * a->width * a->height; i++) {
        const int d = abs((int)a->rgb[i] - (int)b->rgb[i]);
        worst = d > worst ? d : worst;
        *mean += d;
    }
    *mean /= (double)(3 * a->width * a->height);
    return worst;
}

static void test_sixel(void **state)
{
    (void)state;
    const struct { size_t width, height; } sizes[] = {{1, 1}, {1, 300}, {300, 1}, {7, 6}, {64, 13}, {120, 80}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int few = 0; few < 2; few++) {
            pl_image image = synthetic_image(sizes[i].width, sizes[i].height);
            for (size_t k = 0; few && k < 3 * image.width * image.height; k++)
                image.rgb[k] = (unsigned char)(image.rgb[k] / 51 * 51); /* 6 x 6 x 6 colours, each its own cell */
            pl_buffer text = {0};
            assert_int_equal(pl_preview_sixel(&image, &text, NULL), PALI_OK);
            screen s = read_sixels(&text, image.width, image.height);
            double mean;
            const int worst = worst_difference(&s.image, &image, &mean);
            /* 216 colours fit exactly: only hundredths are rounded, to 1.3 levels and a byte. Noise of all colours in 256: cells of about 256/6.3. */
            assert_true(few ? worst <= 2 : mean < 16);
            pl_image_free(&s.image);
            free(text.data);
            pl_image_free(&image);
        }
}

static void test_photo(void **state)
{
    (void)state;
    pl_image image;
    assert_int_equal(pl_image_open(IMAGE_DATA "rgb444.jpg", &image, NULL), PALI_OK);
    pl_buffer text = {0};
    assert_int_equal(pl_preview_sixel(&image, &text, NULL), PALI_OK);
    screen s = read_sixels(&text, image.width, image.height);
    double mean;
    worst_difference(&s.image, &image, &mean);
    assert_true(mean < 10);
    pl_image_free(&s.image);
    free(text.data);
    pl_image_free(&image);
}

static void test_fit(void **state)
{
    (void)state;
    const struct { size_t width, height, most_width, most_height, to_width, to_height; } cases[] = {
        {40, 30, 0, 0, 40, 30}, {40, 30, 40, 30, 40, 30}, {40, 30, 20, 0, 20, 15}, {40, 30, 0, 10, 13, 10}, {40, 30, 100, 100, 40, 30}, {1, 5000, 800, 400, 1, 400}, {5000, 1, 100, 100, 100, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_image image = synthetic_image(cases[i].width, cases[i].height), out;
        assert_int_equal(pl_image_fit(&image, cases[i].most_width, cases[i].most_height, &out, NULL), PALI_OK);
        assert_int_equal(out.width, cases[i].to_width);
        assert_int_equal(out.height, cases[i].to_height);
        if (out.width == image.width && out.height == image.height)
            assert_int_equal(image_crc(&out), image_crc(&image));
        pl_image_free(&image);
        pl_image_free(&out);
    }
}

int run_preview_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64), cmocka_unit_test(test_kitty), cmocka_unit_test(test_iterm2),
        cmocka_unit_test(test_sixel),  cmocka_unit_test(test_photo), cmocka_unit_test(test_fit),
    };
    return cmocka_run_group_tests_name("image: preview", tests, NULL, NULL);
}
