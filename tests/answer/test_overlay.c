/*
 * Drawn answers, judged by what a reader needs: lines and labels stand out
 * from any background, what is inside a box stays as it was, small objects lie
 * on top, labels keep clear of each other; and nothing is too small, too large
 * or too odd to be drawn on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer/overlay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 300 };

typedef enum background { BLACK, WHITE, NOISE, GREY, FIRST_COLOUR } background;

static pl_image blank(size_t width, size_t height, int kind)
{
    pl_image image;
    uint32_t random = 12345;
    assert_int_equal(pl_image_new(width, height, "blank", &image, NULL), PALI_OK);
    for (size_t i = 0; i < width * height; i++) {
        pl_colour c = kind >= FIRST_COLOUR ? pl_colour_at((size_t)(kind - FIRST_COLOUR)) : (pl_colour){0, 0, 0};
        if (kind == WHITE || kind == GREY)
            c.r = c.g = c.b = kind == WHITE ? 255 : 128;
        if (kind == NOISE) {
            random = random * 1664525u + 1013904223u;
            c = (pl_colour){(unsigned char)(random >> 24), (unsigned char)(random >> 16), (unsigned char)(random >> 8)};
        }
        memcpy(image.rgb + 3 * i, &c, 3);
    }
    return image;
}

static pl_image copy_of(const pl_image *image)
{
    pl_image copy;
    assert_int_equal(pl_image_new(image->width, image->height, "copy", &copy, NULL), PALI_OK);
    memcpy(copy.rgb, image->rgb, 3 * image->width * image->height);
    return copy;
}

static pl_colour at(const pl_image *image, long x, long y)
{
    const unsigned char *const p = image->rgb + 3 * ((size_t)y * image->width + (size_t)x);
    return (pl_colour){p[0], p[1], p[2]};
}

static bool same(pl_colour a, pl_colour b)
{
    return a.r == b.r && a.g == b.g && a.b == b.b;
}

static void draw(pl_image *image, const pl_mark *marks, size_t count, pl_overlay_options options)
{
    pali_error err = {0};
    if (pl_overlay_draw(image, marks, count, &options, &err) != PALI_OK)
        fail_msg("%s", err.message);
}

/* How many pixels of an area have exactly a colour. */
static size_t count_colour(const pl_image *image, pl_area area, pl_colour colour)
{
    size_t count = 0;
    for (long y = area.top; y < area.bottom; y++)
        for (long x = area.left; x < area.right; x++)
            count += same(at(image, x, y), colour);
    return count;
}

static const pl_mark middle = {.left = 100, .top = 120, .right = 200, .bottom = 220, .confidence = NAN};

/* Going outwards over a side of the box one meets its colour, and beside it something that contrasts with it. */
static void check_crossing(const pl_image *image, long x, long y, long dx, long dy, pl_colour colour)
{
    bool met = false;
    double best = 0;
    for (long i = -8; i < 8; i++) {
        const pl_colour here = at(image, x + i * dx, y + i * dy), next = at(image, x + (i + 1) * dx, y + (i + 1) * dy);
        if (!same(here, colour) && !same(next, colour))
            continue;
        met = true;
        best = fmax(best, pl_colour_contrast(here, next));
    }
    assert_true(met);
    if (best < 3) /* WCAG 2.1, 1.4.11: graphical objects */
        fail_msg("a line's contrast is %.2f, expected at least 3", best);
}

static void test_lines(void **state)
{
    (void)state;
    for (int kind = BLACK; kind < FIRST_COLOUR + PL_COLOUR_COUNT; kind++)
        for (size_t c = 0; c < PL_COLOUR_COUNT; c++) {
            pl_image image = blank(SIDE, SIDE, kind);
            pl_mark marks[PL_COLOUR_COUNT];
            char labels[PL_COLOUR_COUNT][4];
            for (size_t i = 0; i <= c; i++) { /* those before only use up their colours */
                snprintf(labels[i], sizeof labels[i], "%zu", i);
                marks[i] = (pl_mark){.left = 1, .top = 1, .right = 4, .bottom = 4, .label = labels[i], .confidence = NAN};
            }
            marks[c] = middle;
            marks[c].label = labels[c];
            draw(&image, marks, c + 1, (pl_overlay_options){.no_labels = true});
            check_crossing(&image, 150, 120, 0, -1, pl_colour_at(c));
            check_crossing(&image, 150, 220, 0, 1, pl_colour_at(c));
            check_crossing(&image, 100, 150, -1, 0, pl_colour_at(c));
            check_crossing(&image, 200, 150, 1, 0, pl_colour_at(c));
            pl_image_free(&image);
        }
}

/* Away from the line nothing changes; on it everything does. */
static void test_inside_untouched(void **state)
{
    (void)state;
    pl_image image = blank(SIDE, SIDE, NOISE);
    pl_image before = copy_of(&image);
    draw(&image, &middle, 1, (pl_overlay_options){.line_width = 4});
    /* 4 of colour centred on the edge, 2 of dark on either side. */
    const pl_area inner = {104, 124, 196, 216}, outer = {96, 116, 204, 224};
    for (long y = 0; y < SIDE; y++)
        for (long x = 0; x < SIDE; x++) {
            const bool is_inner = x >= inner.left && x < inner.right && y >= inner.top && y < inner.bottom;
            const bool is_outer = x < outer.left || x >= outer.right || y < outer.top || y >= outer.bottom;
            if (is_inner || is_outer)
                assert_true(same(at(&image, x, y), at(&before, x, y)));
        }
    const pl_area colour = {98, 118, 202, 222}, within = {102, 122, 198, 218};
    for (long y = outer.top; y < outer.bottom; y++)
        for (long x = outer.left; x < outer.right; x++) {
            const bool is_outside = x < colour.left || x >= colour.right || y < colour.top || y >= colour.bottom;
            const bool is_within = x >= within.left && x < within.right && y >= within.top && y < within.bottom;
            const bool is_inner = x >= inner.left && x < inner.right && y >= inner.top && y < inner.bottom;
            if (is_outside || (is_within && !is_inner)) /* the halo on both sides: a tenth of noise is left */
                assert_true(at(&image, x, y).r <= 26 && at(&image, x, y).g <= 26 && at(&image, x, y).b <= 26);
        }
    assert_int_equal(count_colour(&image, outer, pl_colour_at(0)), 104 * 104 - 96 * 96);
    assert_int_equal(count_colour(&image, colour, pl_colour_at(0)), 104 * 104 - 96 * 96);
    pl_image_free(&image);
    pl_image_free(&before);
}

/* A box at the picture's border keeps its whole line, a tiny one most of its inside. */
static void test_border_and_tiny(void **state)
{
    (void)state;
    pl_image image = blank(SIDE, SIDE, WHITE);
    const pl_mark whole = {.left = 0, .top = 0, .right = SIDE, .bottom = SIDE, .confidence = NAN};
    draw(&image, &whole, 1, (pl_overlay_options){.line_width = 4});
    for (long i = 0; i < 4; i++) {
        assert_true(same(at(&image, i, 150), pl_colour_at(0)));
        assert_true(same(at(&image, SIDE - 1 - i, 150), pl_colour_at(0)));
        assert_true(same(at(&image, 150, i), pl_colour_at(0)));
        assert_true(same(at(&image, 150, SIDE - 1 - i), pl_colour_at(0)));
    }
    pl_image_free(&image);
    image = blank(SIDE, SIDE, WHITE);
    const pl_mark tiny = {.left = 50, .top = 50, .right = 58, .bottom = 58, .confidence = NAN};
    draw(&image, &tiny, 1, (pl_overlay_options){.line_width = 6});
    assert_int_equal(count_colour(&image, (pl_area){52, 52, 56, 56}, (pl_colour){255, 255, 255}), 16);
    assert_true(same(at(&image, 47, 54), pl_colour_at(0)));
    pl_image_free(&image);
}

/* The text of every colour's plate against the plate, on several backgrounds. */
static void test_text_contrast(void **state)
{
    (void)state;
    for (size_t c = 0; c < PL_COLOUR_COUNT; c++)
        assert_true(pl_colour_contrast(pl_colour_at(c), pl_colour_text_on(pl_colour_at(c))) >= 4.5);
    for (int kind = BLACK; kind <= GREY; kind++) {
        pl_image image = blank(SIDE, SIDE, kind);
        pl_mark mark = middle;
        mark.label = "MMMMM";
        mark.confidence = 0.5;
        draw(&image, &mark, 1, (pl_overlay_options){.font_size = 30});
        /* The plate stands above the box: of its rows some hold plate and text, fully of their colours. */
        size_t plate = 0, text = 0;
        for (long y = 0; y < 118; y++) {
            size_t of_plate = count_colour(&image, (pl_area){100, y, SIDE, y + 1}, pl_colour_at(0));
            size_t of_text = count_colour(&image, (pl_area){100, y, SIDE, y + 1}, pl_colour_text_on(pl_colour_at(0)));
            plate += of_plate;
            text += of_plate ? of_text : 0;
        }
        assert_true(plate > 1000);
        assert_true(text > 200);
        pl_image_free(&image);
    }
}

/* Two labels that could lie on each other do not: each shows as much of its colour as alone. */
static void test_labels_apart(void **state)
{
    (void)state;
    pl_mark marks[2] = {middle, middle};
    marks[0].label = "one thing";
    marks[1].label = "another";
    size_t alone[2];
    const pl_area above = {0, 0, SIDE, 118}, below = {0, 222, SIDE, SIDE};
    for (size_t i = 0; i < 2; i++) {
        pl_image image = blank(SIDE, SIDE, WHITE);
        draw(&image, &marks[i], 1, (pl_overlay_options){0});
        alone[i] = count_colour(&image, above, pl_colour_at(0)) + count_colour(&image, below, pl_colour_at(0));
        assert_true(alone[i] > 500);
        pl_image_free(&image);
    }
    pl_image image = blank(SIDE, SIDE, WHITE);
    draw(&image, marks, 2, (pl_overlay_options){0});
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(count_colour(&image, above, pl_colour_at(i)) + count_colour(&image, below, pl_colour_at(i)), alone[i]);
    pl_image_free(&image);
}

static void test_small_on_top(void **state)
{
    (void)state;
    static unsigned char mask[SIDE * SIDE];
    memset(mask, 1, sizeof mask);
    const pl_mark marks[2] = {
        {.left = 120, .top = 120, .right = 140, .bottom = 140, .label = "small", .confidence = NAN},
        {.left = 0, .top = 0, .right = SIDE, .bottom = SIDE, .label = "large", .confidence = NAN, .mask = mask},
    };
    for (size_t first = 0; first < 2; first++) {
        const pl_mark ordered[2] = {marks[first], marks[1 - first]};
        pl_image image = blank(SIDE, SIDE, WHITE);
        draw(&image, ordered, 2, (pl_overlay_options){.no_labels = true, .line_width = 2});
        const size_t small = first == 0 ? 0 : 1; /* colours follow the answer's order */
        assert_int_equal(count_colour(&image, (pl_area){110, 110, 150, 150}, pl_colour_at(small)), 22 * 22 - 18 * 18);
        pl_image_free(&image);
    }
}

static void test_masks(void **state)
{
    (void)state;
    static unsigned char mask[SIDE * SIDE];
    for (long y = 0; y < SIDE; y++)
        for (long x = 0; x < SIDE; x++)
            mask[y * SIDE + x] = (x - 150) * (x - 150) + (y - 170) * (y - 170) < 40 * 40 ? 7 : 0;
    pl_mark mark = middle;
    mark.mask = mask;
    const double opacities[] = {0, 0.2, 1, -1};
    for (size_t i = 0; i < 4; i++) {
        pl_image image = blank(SIDE, SIDE, NOISE);
        pl_image before = copy_of(&image);
        draw(&image, &mark, 1, (pl_overlay_options){.line_width = 2, .mask_opacity = opacities[i]});
        const double part = opacities[i] > 0 ? opacities[i] : opacities[i] < 0 ? 0 : 0.45;
        for (long y = 128; y < 212; y++)
            for (long x = 108; x < 192; x++) {
                const double r = hypot((double)x - 150, (double)y - 170);
                const pl_colour now = at(&image, x, y), was = at(&before, x, y);
                if (r < 35) /* tinted; a byte of rounding in the opacity and in the result */
                    assert_true(fabs(now.g - (was.g * (1 - part) + pl_colour_at(0).g * part)) < 1.5);
                if (r > 45)
                    assert_true(same(now, was));
            }
        check_crossing(&image, 122, 142, -1, -1, pl_colour_at(0)); /* the circle's edge on its diagonal, and straight */
        check_crossing(&image, 110, 170, -1, 0, pl_colour_at(0));
        check_crossing(&image, 150, 210, 0, 1, pl_colour_at(0));
        pl_image_free(&image);
        pl_image_free(&before);
    }
    memset(mask, 0, sizeof mask); /* an empty mask draws nothing more than its box */
    pl_image a = blank(SIDE, SIDE, NOISE), b = blank(SIDE, SIDE, NOISE);
    draw(&a, &mark, 1, (pl_overlay_options){0});
    draw(&b, &middle, 1, (pl_overlay_options){0});
    assert_memory_equal(a.rgb, b.rgb, 3 * SIDE * SIDE);
    pl_image_free(&a);
    pl_image_free(&b);
}

/* Any picture, any box, any label. Writing past the picture is for the sanitizers to see. */
static void test_odd(void **state)
{
    (void)state;
    const struct { size_t width, height; } sizes[] = {{1, 1}, {1, 5000}, {5000, 1}, {2, 3}, {10, 10}, {16, 400}, {600, 14}, {2000, 1500}};
    char long_label[2000];
    memset(long_label, 'w', sizeof long_label);
    memcpy(long_label, "\xc3\xa4\xe6\xbc\xa2", 5);
    long_label[sizeof long_label - 1] = '\0';
    const char *labels[] = {"", NULL, "cat", "gr\xc3\xb6\xc3\x9f""e", "\xe6\xbc\xa2\xe5\xad\x97", "\xff\xfe broken \xc3", "a\tb\nc", long_label, " "};
    const double edges[] = {0, 1, -5, 1e300, -HUGE_VAL, HUGE_VAL, NAN, 0.4};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        pl_image image = blank(sizes[s].width, sizes[s].height, NOISE);
        for (size_t l = 0; l < sizeof labels / sizeof *labels; l++)
            for (size_t e = 0; e < 8; e++) {
                const pl_mark mark = {edges[e], edges[(e + l) % 8], edges[(e * 3 + 1) % 8], edges[(e + 5) % 8], labels[l], edges[e], NULL};
                draw(&image, &mark, 1, (pl_overlay_options){0});
            }
        pl_image_free(&image);
    }
    pl_image image = blank(5, 5, WHITE);
    const pl_mark point = {.left = 5, .top = 5, .right = 5, .bottom = 5, .confidence = NAN};
    draw(&image, &point, 1, (pl_overlay_options){0});
    assert_true(same(at(&image, 4, 4), pl_colour_at(0)) || same(at(&image, 3, 3), pl_colour_at(0))); /* no area, but seen */
    pl_image_free(&image);
}

/* A label too wide for its picture is cut, and its confidence stays. */
static void test_long_label(void **state)
{
    (void)state;
    pl_mark mark = {.left = 10, .top = 100, .right = 90, .bottom = 190, .label = "an object with a name of many words", .confidence = 0.25};
    pl_image a = blank(100, 200, WHITE), b = blank(100, 200, WHITE);
    draw(&a, &mark, 1, (pl_overlay_options){.font_size = 20});
    mark.confidence = 0.26;
    draw(&b, &mark, 1, (pl_overlay_options){.font_size = 20});
    size_t differ = 0;
    for (long y = 0; y < 200; y++)
        for (long x = 0; x < 100; x++)
            differ += !same(at(&a, x, y), at(&b, x, y));
    assert_in_range(differ, 4, 60); /* the last digit: 5 or 6 */
    pl_image_free(&a);
    pl_image_free(&b);
}

static void test_many(void **state)
{
    (void)state;
    enum { MANY = 200 };
    pl_mark marks[MANY];
    char labels[MANY][8];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(labels[i], sizeof labels[i], "thing%zu", i % 20);
        const double x = (double)(i * 37 % 560), y = (double)(i * 91 % 420);
        marks[i] = (pl_mark){x, y, x + 10 + (double)(i % 70), y + 10 + (double)(i % 50), labels[i], 0.5, NULL};
    }
    pl_image image = blank(640, 480, GREY), again = blank(640, 480, GREY);
    draw(&image, marks, MANY, (pl_overlay_options){0});
    draw(&again, marks, MANY, (pl_overlay_options){0});
    assert_memory_equal(image.rgb, again.rgb, 3 * 640 * 480);
    for (size_t c = 0; c < PL_COLOUR_COUNT; c++)
        assert_true(count_colour(&image, pl_area_of_image(&image), pl_colour_at(c)) > 100);
    pl_image_free(&image);
    pl_image_free(&again);
}

static void test_options(void **state)
{
    (void)state;
    pl_image image = blank(20, 20, WHITE), before = copy_of(&image);
    const pl_overlay_options bad[] = {
        {.line_width = -1}, {.line_width = NAN}, {.line_width = 2000}, {.font_size = 3}, {.font_size = NAN}, {.mask_opacity = 1.5}, {.mask_opacity = NAN},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pali_error err = {0};
        assert_int_equal(pl_overlay_draw(&image, &middle, 1, &bad[i], &err), PALI_USAGE);
        assert_non_null(strstr(err.message, "expected"));
    }
    draw(&image, NULL, 0, (pl_overlay_options){0});
    assert_memory_equal(image.rgb, before.rgb, 3 * 20 * 20);
    pl_image_free(&image);
    pl_image_free(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_inside_untouched), cmocka_unit_test(test_border_and_tiny),
        cmocka_unit_test(test_text_contrast), cmocka_unit_test(test_labels_apart),     cmocka_unit_test(test_small_on_top),
        cmocka_unit_test(test_masks),         cmocka_unit_test(test_odd),              cmocka_unit_test(test_long_label),
        cmocka_unit_test(test_many),          cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests_name("answer: overlay", tests, NULL, NULL);
}
