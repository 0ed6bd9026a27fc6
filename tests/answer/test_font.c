/* The font and the palette: every glyph is there and its own; colours can be told apart by everybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer/colour.h"
#include "answer/font.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 60, HEIGHT = 80, BASELINE = 50 };

/* A character's picture; its extent in *extent. */
static pl_coverage picture_of(uint32_t code, pl_text_extent *extent)
{
    char text[4];
    const size_t length = pl_utf8_write(code, text);
    const pl_font font = pl_font_of_size(40);
    pl_coverage coverage;
    assert_int_equal(pl_coverage_init(&coverage, (pl_area){0, 0, WIDTH, HEIGHT}, NULL), PALI_OK);
    pl_text_stroke(&font, text, length, 10, BASELINE, &coverage);
    *extent = pl_text_measure(&font, text, length);
    return coverage;
}

/* Strokes stay within the extent that the text is given room by. */
static void check_within(uint32_t code, const pl_coverage *c, pl_text_extent extent)
{
    for (long y = 0; y < HEIGHT; y++)
        for (long x = 0; x < WIDTH; x++) {
            if (c->bytes[y * WIDTH + x] <= 32) /* the faint end of a ramp may reach over */
                continue;
            if (x < 10 || x >= 10 + extent.width || y < BASELINE - extent.above || y >= BASELINE + extent.below)
                fail_msg("U+%04X: a stroke at %ld, %ld is outside its extent %ld x -%ld..%ld", (unsigned)code, x - 10, y - BASELINE, extent.width, extent.above, extent.below);
        }
}

static bool is_blank(uint32_t code)
{
    return code == ' ' || code == 0xa0;
}

static void test_glyphs(void **state)
{
    (void)state;
    static pl_coverage pictures[0x100];
    pl_text_extent extent;
    pl_coverage unknown = picture_of(0x6f22, &extent);
    for (uint32_t code = ' '; code < 0x100; code++) {
        pictures[code] = picture_of(code, &extent);
        check_within(code, &pictures[code], extent);
        size_t inked = 0;
        for (size_t i = 0; i < WIDTH * HEIGHT; i++)
            inked += pictures[code].bytes[i] == 255;
        const bool has_glyph = code <= '~' || code >= 0xa0;
        if (is_blank(code) != (inked == 0))
            fail_msg("U+%04X has %zu pixels of ink", (unsigned)code, inked);
        const bool is_box = memcmp(pictures[code].bytes, unknown.bytes, WIDTH * HEIGHT) == 0;
        if (has_glyph == is_box)
            fail_msg("U+%04X %s the box of unknown characters", (unsigned)code, is_box ? "is" : "is not");
        for (uint32_t other = ' '; has_glyph && other < code; other++) {
            const bool alike = (is_blank(code) && is_blank(other)) || (code == 0xad && other == '-'); /* a soft hyphen looks like one */
            const bool equal = memcmp(pictures[code].bytes, pictures[other].bytes, WIDTH * HEIGHT) == 0;
            if ((other <= '~' || other >= 0xa0) && equal != alike)
                fail_msg("U+%04X and U+%04X look %s", (unsigned)code, (unsigned)other, equal ? "alike" : "different");
        }
    }
    for (uint32_t code = ' '; code < 0x100; code++)
        pl_coverage_free(&pictures[code]);
    pl_coverage_free(&unknown);
}

static void test_measures(void **state)
{
    (void)state;
    const pl_font font = pl_font_of_size(24);
    const pl_text_extent none = pl_text_measure(&font, "", 0), a = pl_text_measure(&font, "a", 1), ab = pl_text_measure(&font, "ab", 2);
    assert_int_equal(none.width, 0);
    assert_true(a.width > 4 && ab.width > a.width + 4);
    assert_true(a.above == ab.above && a.below == ab.below && a.above == none.above);
    assert_true(pl_text_measure(&font, "\xc3\x84", 2).above > a.above); /* an accented capital stands higher */
    /* Letters stand on the baseline's row: full ink above it, none below. */
    pl_coverage c;
    assert_int_equal(pl_coverage_init(&c, (pl_area){0, 0, 40, 60}, NULL), PALI_OK);
    pl_text_stroke(&font, "E", 1, 5, 40, &c);
    size_t above = 0, below = 0;
    for (size_t x = 0; x < 40; x++) {
        above += c.bytes[39 * 40 + x] == 255;
        below += c.bytes[40 * 40 + x] != 0;
    }
    assert_true(above > 5);
    assert_int_equal(below, 0);
    pl_coverage_free(&c);
}

/* CIE L*a*b* of a linear colour, D65. */
static void lab_of(const double rgb[3], double lab[3])
{
    static const double to_xyz[3][3] = {{0.4124, 0.3576, 0.1805}, {0.2126, 0.7152, 0.0722}, {0.0193, 0.1192, 0.9505}}, white[3] = {0.9505, 1, 1.089};
    double f[3];
    for (size_t i = 0; i < 3; i++) {
        double v = 0;
        for (size_t k = 0; k < 3; k++)
            v += to_xyz[i][k] * fmax(rgb[k], 0);
        v /= white[i];
        f[i] = v > 0.008856 ? cbrt(v) : 7.787 * v + 16.0 / 116;
    }
    lab[0] = 116 * f[1] - 16;
    lab[1] = 500 * (f[0] - f[1]);
    lab[2] = 200 * (f[1] - f[2]);
}

/* Machado, Oliveira, Fernandes 2009, severity 1: nobody's, protanopia, deuteranopia. */
static const double sight[3][3][3] = {
    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
    {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
    {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
};

static void seen_as(pl_colour colour, size_t who, double lab[3])
{
    const unsigned char bytes[3] = {colour.r, colour.g, colour.b};
    double linear[3], seen[3];
    for (size_t i = 0; i < 3; i++)
        linear[i] = pl_colour_luminance((pl_colour){bytes[i], bytes[i], bytes[i]});
    for (size_t i = 0; i < 3; i++)
        seen[i] = sight[who][i][0] * linear[0] + sight[who][i][1] * linear[1] + sight[who][i][2] * linear[2];
    lab_of(seen, lab);
}

static void test_palette(void **state)
{
    (void)state;
    double least[2] = {1000, 1000};
    for (size_t who = 0; who < 3; who++)
        for (size_t a = 0; a < PL_COLOUR_COUNT; a++)
            for (size_t b = 0; b < a; b++) {
                double x[3], y[3];
                seen_as(pl_colour_at(a), who, x);
                seen_as(pl_colour_at(b), who, y);
                const double difference = sqrt(pow(x[0] - y[0], 2) + pow(x[1] - y[1], 2) + pow(x[2] - y[2], 2));
                double *const place = &least[a >= PL_COLOUR_COUNT / 2];
                *place = fmin(*place, difference);
            }
    print_message("least difference of two colours: %.1f among the first seven, %.1f among all\n", least[0], least[1]);
    /* CIE 1976: about 2.3 is just noticeable side by side. */
    assert_true(least[0] >= 10);
    assert_true(least[1] >= 5);
    const pl_colour first = pl_colour_at(0), again = pl_colour_at(PL_COLOUR_COUNT);
    assert_memory_equal(&first, &again, sizeof first);
}

static void test_contrast(void **state)
{
    (void)state;
    const pl_colour black = {0, 0, 0}, white = {255, 255, 255}, grey = {119, 119, 119};
    assert_true(fabs(pl_colour_contrast(black, white) - 21) < 1e-9);
    assert_true(fabs(pl_colour_contrast(white, black) - 21) < 1e-9);
    assert_true(fabs(pl_colour_contrast(grey, white) - 4.48) < 0.005); /* the guidelines' own example of just too little */
    for (unsigned i = 0; i < 256; i++) { /* one of the two always reads */
        const pl_colour c = {(unsigned char)i, (unsigned char)i, (unsigned char)i};
        assert_true(pl_colour_contrast(c, pl_colour_text_on(c)) >= 4.5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glyphs),
        cmocka_unit_test(test_measures),
        cmocka_unit_test(test_palette),
        cmocka_unit_test(test_contrast),
    };
    return cmocka_run_group_tests_name("answer: font and palette", tests, NULL, NULL);
}
