/*
 * Masks against COCO's own tools: run lengths, their text, areas, boxes, IoU,
 * filled polygons, all exact; outlines that give the same mask when filled
 * again; pictures of masks of every kind; and what must be refused.
 */
#include "answer/mask.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DATA "tests/data/mask/"

/* As in make_mask_goldens.py. */
static pl_mask hashed(size_t width, size_t height, uint32_t seed, uint32_t block, uint32_t density)
{
    pl_mask mask;
    assert_int_equal(pl_mask_new(width, height, "mask", &mask, NULL), PALI_OK);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            uint32_t h = (x / block * 73856093u) ^ (y / block * 19349663u) ^ seed * 83492791u;
            h *= 2654435761u;
            h ^= h >> 15;
            mask.bits[y * width + x] = (h & 255) < density;
        }
    return mask;
}

static void assert_same(const pl_mask *a, const pl_mask *b, const char *what)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    if (memcmp(a->bits, b->bits, a->width * a->height) != 0)
        fail_msg("%s: the masks differ", what);
}

static char *text_of(const pl_mask *mask)
{
    pl_rle rle;
    assert_int_equal(pl_rle_of_mask(mask, &rle, NULL), PALI_OK);
    char *text = pl_rle_text(&rle, NULL);
    assert_non_null(text);
    pl_rle_free(&rle);
    return text;
}

static pl_mask mask_of_text(const char *text, size_t width, size_t height)
{
    pl_rle rle;
    pl_mask mask;
    assert_int_equal(pl_rle_of_text(text, &rle, NULL), PALI_OK);
    assert_int_equal(pl_mask_of_counts(rle.counts, rle.count, width, height, &mask, NULL), PALI_OK);
    pl_rle_free(&rle);
    return mask;
}

/* ---- Goldens --------------------------------------------------------- */

static size_t number(char **at)
{
    return strtoul(*at, at, 10);
}

static void check_mask(char *at)
{
    const size_t width = number(&at), height = number(&at), seed = number(&at), block = number(&at), density = number(&at), area = number(&at);
    pl_mask mask = hashed(width, height, (uint32_t)seed, (uint32_t)block, (uint32_t)density);
    assert_int_equal(pl_mask_area(&mask), area);
    const pali_box box = pl_mask_box(&mask);
    const size_t x = number(&at), y = number(&at), w = number(&at), h = number(&at);
    const pali_box expected = area ? (pali_box){(double)y, (double)x, (double)(y + h), (double)(x + w)} : (pali_box){0};
    assert_memory_equal(&box, &expected, sizeof box);
    char *text = text_of(&mask);
    assert_string_equal(text, at + 1);
    pl_mask back = mask_of_text(at + 1, width, height);
    assert_same(&mask, &back, text);
    pl_mask_free(&back);
    pl_mask_free(&mask);
    free(text);
}

static void check_polygons(char *at)
{
    const size_t width = number(&at), height = number(&at);
    char *const expected = ++at;
    at = strchr(at, ' ');
    *at++ = '\0';
    pl_mask mask;
    assert_int_equal(pl_mask_new(width, height, "mask", &mask, NULL), PALI_OK);
    for (size_t left = number(&at); left > 0; left--) {
        double xy[64];
        const pali_polygon polygon = {.xy = xy, .count = number(&at)};
        for (size_t i = 0; i < 2 * polygon.count; i++)
            xy[i] = strtod(at, &at);
        assert_int_equal(pl_mask_fill(&mask, &polygon, NULL), PALI_OK);
    }
    char *text = text_of(&mask);
    assert_string_equal(text, expected);
    free(text);
    pl_mask_free(&mask);
}

static void check_iou(char *at)
{
    char *const first = ++at;
    at = strchr(at, ' ');
    *at++ = '\0';
    char *const second = at;
    at = strchr(at, ' ');
    *at++ = '\0';
    const size_t width = number(&at), height = number(&at);
    pl_mask a = mask_of_text(first, width, height), b = mask_of_text(second, width, height);
    assert_true(pl_mask_iou(&a, &b) == strtod(at, NULL));
    char *text = text_of(&b);
    assert_string_equal(text, second);
    free(text);
    pl_mask_free(&a);
    pl_mask_free(&b);
}

static void goldens(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        void (*check)(char *at);
        size_t expected;
    } kinds[] = {{"mask", check_mask, 44}, {"polygons", check_polygons, 91}, {"iou", check_iou, 26}};
    size_t counts[3] = {0}, size = 0;
    char *line = NULL;
    FILE *file = fopen(DATA "goldens.txt", "r");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        for (size_t k = 0; k < 3; k++) {
            const size_t length = strlen(kinds[k].kind);
            if (strncmp(line, kinds[k].kind, length) == 0 && line[length] == ' ') {
                kinds[k].check(line + length);
                counts[k]++;
            }
        }
    }
    free(line);
    fclose(file);
    for (size_t k = 0; k < 3; k++)
        assert_int_equal(counts[k], kinds[k].expected);
}

/* ---- Outlines -------------------------------------------------------- */

static size_t outlines_give_back(const pl_mask *mask)
{
    pali_polygon *polygons;
    size_t count, corners = 0;
    pl_mask again;
    assert_int_equal(pl_mask_polygons(mask, &polygons, &count, NULL), PALI_OK);
    assert_int_equal(pl_mask_new(mask->width, mask->height, "mask", &again, NULL), PALI_OK);
    for (size_t i = 0; i < count; i++) {
        pl_mask one; /* regions have no pixel in common */
        assert_int_equal(pl_mask_new(mask->width, mask->height, "mask", &one, NULL), PALI_OK);
        assert_int_equal(pl_mask_fill(&one, &polygons[i], NULL), PALI_OK);
        for (size_t p = 0; p < mask->width * mask->height; p++) {
            assert_false(one.bits[p] && again.bits[p]);
            again.bits[p] |= one.bits[p];
        }
        pl_mask_free(&one);
        corners += polygons[i].count;
    }
    assert_same(mask, &again, "outlines");
    pl_mask_free(&again);
    free(polygons);
    return 1000 * count + corners;
}

static void outlines(void **state)
{
    (void)state;
    static const struct {
        const char *rows; /* '/' between them */
        size_t expected;  /* 1000 * polygons + corners */
    } cases[] = {
        {".../.../...", 0},
        {"#", 1004},
        {"###/###", 1004},
        {"#.#", 2008},
        {"#./.#", 2008},                       /* touching corners are two regions */
        {"###/#.#/###", 1000 + 4 + 2 + 4},         /* the line to the hole leaves the upper side and comes back to it */
        {"####/#.##/##.#/####", 1000 + 4 + 2 + 8}, /* holes that touch by a corner are one */
        {"#####/#.#.#/#####", 1000 + 4 + 2 + 4 + 2 + 4},
        {"#######/#.....#/#.###.#/#.#.#.#/#.###.#/#.....#/#######", 2000 + 10 + 10}, /* a ring in a ring */
        {"##.##/#.#.#/##.##", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *rows = cases[i].rows;
        const size_t width = strcspn(rows, "/"), height = (strlen(rows) + 1) / (width + 1);
        pl_mask mask;
        assert_int_equal(pl_mask_new(width, height, "mask", &mask, NULL), PALI_OK);
        for (size_t p = 0; p < width * height; p++)
            mask.bits[p] = rows[p / width * (width + 1) + p % width] == '#';
        const size_t found = outlines_give_back(&mask);
        if (cases[i].expected && found != cases[i].expected)
            fail_msg("%s: found %zu polygons and corners, expected %zu", rows, found, cases[i].expected);
        pl_mask_free(&mask);
    }
    for (uint32_t seed = 0; seed < 60; seed++) {
        pl_mask mask = hashed(1 + seed * 7 % 40, 1 + seed * 11 % 33, seed, 1 + seed % 4, 60 + 3 * seed);
        outlines_give_back(&mask);
        pl_mask_free(&mask);
    }
}

/* ---- Pictures -------------------------------------------------------- */

static void pictures(void **state)
{
    (void)state;
    static const char *const names[] = {"grey8", "grey16", "grey1", "palette2", "palette8", "rgb", "rgba", "grey_alpha"};
    pl_mask expected = hashed(37, 23, 9, 3, 110), mask;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        snprintf(path, sizeof path, DATA "png_%s.png", names[i]);
        assert_int_equal(pl_mask_open(path, &mask, NULL), PALI_OK);
        assert_same(&expected, &mask, path);
        pl_mask_free(&mask);
    }
    pl_mask_free(&expected);
    /* Interlaced as not. */
    assert_int_equal(pl_mask_open("tests/data/image/grey2.png", &expected, NULL), PALI_OK);
    assert_int_equal(pl_mask_open("tests/data/image/grey2_interlaced.png", &mask, NULL), PALI_OK);
    assert_same(&expected, &mask, "interlaced");
    assert_true(pl_mask_area(&mask) > 0 && pl_mask_area(&mask) < 37 * 23);
    pl_mask_free(&mask);
    pl_mask_free(&expected);
}

/* A format that is no PNG: in from 128 on, in any channel. */
static void lossy_pictures(void **state)
{
    (void)state;
    pl_image image;
    pl_mask mask;
    const char *const path = "tests/data/image/clip1.gif";
    if (pl_image_open(path, &image, NULL) != PALI_OK)
        fail_msg("%s: not readable", path);
    assert_int_equal(pl_mask_open(path, &mask, NULL), PALI_OK);
    for (size_t i = 0; i < image.width * image.height; i++)
        assert_int_equal(mask.bits[i], image.rgb[3 * i] >= 128 || image.rgb[3 * i + 1] >= 128 || image.rgb[3 * i + 2] >= 128);
    pl_mask_free(&mask);
    pl_image_free(&image);
}

/* ---- Refused --------------------------------------------------------- */

static void expect_words(const pali_error *err, pali_status status, const char *words)
{
    if (err->status != status || !strstr(err->message, words))
        fail_msg("found %d \"%s\", expected %d \"%s\"", (int)err->status, err->message, (int)status, words);
}

static void refused_runs(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "found 0 pixels in 0 runs, expected 12 (4 x 3)"},
        {"=", "found 13 pixels in 1 runs"},
        {"5", "found 5 pixels in 1 runs"},
        {"5!", "found '!' as character 2"},
        {"5p", "as character 2"},
        {"5\x80", "as character 2"},
        {"P", "the end of the text within a number (character 2)"},
        {"PPPPPPPP1", "more than 7 characters"},
        {"oooooo?", "found a run of 17179869183 pixels (character 1)"},
        {"O", "found a run of -1 pixels (character 1)"},
        {"111K", "found a run of -4 pixels (character 4)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pali_error err = {0};
        pl_rle rle = {0};
        pl_mask mask = {0};
        if (pl_rle_of_text(cases[i].text, &rle, &err) == PALI_OK)
            pl_mask_of_counts(rle.counts, rle.count, 4, 3, &mask, &err);
        assert_null(mask.bits);
        expect_words(&err, PALI_INPUT, cases[i].words);
        pl_rle_free(&rle);
    }
    pali_error err = {0};
    pl_mask mask;
    const uint32_t huge[] = {UINT32_MAX, UINT32_MAX};
    assert_int_equal(pl_mask_of_counts(huge, 2, 4, 3, &mask, &err), PALI_INPUT);
    expect_words(&err, PALI_INPUT, "found 8589934590 pixels");
    assert_int_equal(pl_mask_of_counts(huge, 0, 0, 3, &mask, &err), PALI_INPUT);
    expect_words(&err, PALI_INPUT, "0 x 3");
    assert_int_equal(pl_mask_of_counts(huge, 2, SIZE_MAX, SIZE_MAX, &mask, &err), PALI_INPUT);
    expect_words(&err, PALI_INPUT, "expected at most");
}

static void refused_polygons(void **state)
{
    (void)state;
    pl_mask mask;
    assert_int_equal(pl_mask_new(4, 4, "mask", &mask, NULL), PALI_OK);
    double xy[] = {0, 0, 4, 0, 4, 4};
    pali_error err = {0};
    assert_int_equal(pl_mask_fill(&mask, &(pali_polygon){.xy = xy, .count = 2}, &err), PALI_INPUT);
    expect_words(&err, PALI_INPUT, "found 2 corners, expected at least 3");
    static const double wrong[] = {NAN, INFINITY, -INFINITY, 1e7, -1e300};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        xy[3] = wrong[i];
        assert_int_equal(pl_mask_fill(&mask, &(pali_polygon){.xy = xy, .count = 3}, &err), PALI_INPUT);
        expect_words(&err, PALI_INPUT, "as y of corner 2");
    }
    assert_int_equal(pl_mask_area(&mask), 0);
    pl_mask_free(&mask);
}

static void refused_pictures(void **state)
{
    (void)state;
    pl_mask mask;
    pali_error err = {0};
    assert_int_equal(pl_mask_open(DATA "missing.png", &mask, &err), PALI_INPUT);
    expect_words(&err, PALI_INPUT, "missing.png");
    assert_int_equal(pl_mask_open(DATA "goldens.txt", &mask, &err), PALI_INPUT);
    expect_words(&err, PALI_INPUT, "expected a JPEG, PNG, WebP or GIF picture");
    FILE *file = fopen(DATA "png_rgba.png", "rb");
    assert_non_null(file);
    unsigned char bytes[8192];
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t cut = 0; cut < size - 20 /* IEND, checksums */; cut += 1 + size / 97) {
        assert_int_equal(pl_mask_decode(bytes, cut, "cut.png", &mask, &err), PALI_INPUT);
        expect_words(&err, PALI_INPUT, "cut.png");
        assert_null(mask.bits);
    }
    bytes[size / 2] ^= 0xff;
    assert_int_equal(pl_mask_decode(bytes, size, "broken.png", &mask, &err), PALI_INPUT);
    expect_words(&err, PALI_INPUT, "broken.png: found a damaged PNG");
}

static void overlap(void **state)
{
    (void)state;
    pl_mask a = hashed(20, 10, 1, 1, 0), b = hashed(20, 10, 1, 1, 256), c = hashed(10, 20, 1, 1, 256);
    assert_true(pl_mask_iou(&a, &a) == 0);
    assert_true(pl_mask_iou(&a, &b) == 0);
    assert_true(pl_mask_iou(&b, &b) == 1);
    assert_true(pl_mask_iou(&b, &c) == 0);
    memset(a.bits, 1, 50);
    assert_true(pl_mask_iou(&a, &b) == 0.25);
    pl_mask_free(&a);
    pl_mask_free(&b);
    pl_mask_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens),
        cmocka_unit_test(outlines),
        cmocka_unit_test(pictures),
        cmocka_unit_test(lossy_pictures),
        cmocka_unit_test(refused_runs),
        cmocka_unit_test(refused_polygons),
        cmocka_unit_test(refused_pictures),
        cmocka_unit_test(overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
