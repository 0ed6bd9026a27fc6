/* Location tokens: every bin both ways, the grammar and what breaks it, IoU. */
#include "answer/location.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Boxes of a text as "y1 x1 y2 x2 label|...", "!" before an invalid one, "*" before the label of one with segments. */
static char *summary(const char *text)
{
    static char out[2048];
    pl_location_list list = {0};
    assert_int_equal(pl_locations_of_text(text, &list, NULL), PALI_OK);
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < list.count; i++) {
        const pl_location *const l = &list.items[i];
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%s%d %d %d %d %s%s", i ? "|" : "", l->valid ? "" : "!", l->bins[0], l->bins[1], l->bins[2], l->bins[3], l->has_segment ? "*" : "", l->label);
    }
    pl_location_list_free(&list);
    return out;
}

#define BOX "<loc0001><loc0002><loc0300><loc0400>"
#define SEGMENTS "<seg000><seg001><seg002><seg003><seg004><seg005><seg006><seg007><seg008><seg009><seg010><seg011><seg012><seg013><seg014><seg127>"

static void grammar(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"no boxes here", ""},
        {BOX " cat", "1 2 300 400 cat"},
        {BOX " cat ; " BOX " dog", "1 2 300 400 cat|1 2 300 400 dog"},
        {BOX " red car", "1 2 300 400 red car"},
        {BOX, "1 2 300 400 "},
        {BOX BOX " cat", "1 2 300 400 |1 2 300 400 cat"},
        {BOX "cat;" BOX "dog", "1 2 300 400 cat|1 2 300 400 dog"},
        {BOX "  cat \n", "1 2 300 400 cat"},
        {BOX " ; " BOX " dog", "1 2 300 400 |1 2 300 400 dog"},
        {"a cat " BOX " and more ; text " BOX " dog", "1 2 300 400 and more|1 2 300 400 dog"},
        /* Incomplete groups. */
        {"<loc0001><loc0002><loc0300> cat", ""},
        {"<loc0001><loc0002><loc0300> cat ; " BOX " dog", "1 2 300 400 dog"},
        {BOX " cat ; <loc0001><loc0002>", "1 2 300 400 cat"},
        {BOX " cat <loc0001><loc0002>", "1 2 300 400 cat"},
        {"<loc0001> <loc0002><loc0300><loc0400> cat", ""},
        {BOX "<loc0005> cat", "1 2 300 400 "},
        /* What only looks like a token is text. */
        {"<loc001><loc0002><loc0300><loc0400>", ""},
        {"<loc1024><loc0002><loc0300><loc0400>", ""},
        {"<loc0001><loc0002><loc0300><loc04x0>", ""},
        {"<loc0001><loc0002><loc0300><loc0400", ""},
        {"<<loc0001><loc0002><loc0300><loc1023>>", "1 2 300 1023 >"},
        {BOX " <b>cat</b>", "1 2 300 400 <b>cat</b>"},
        /* Without area. */
        {"<loc0300><loc0002><loc0300><loc0400> cat", "!300 2 300 400 cat"},
        {"<loc0001><loc0400><loc0300><loc0002> cat", "!1 400 300 2 cat"},
        /* Segments. */
        {BOX SEGMENTS " cat", "1 2 300 400 *cat"},
        {BOX " " SEGMENTS " cat ; " BOX SEGMENTS, "1 2 300 400 *cat|1 2 300 400 *"},
        {BOX "<seg000><seg001> cat", "1 2 300 400 cat"},
        {BOX SEGMENTS "<seg005> cat", "1 2 300 400 cat"},
        {BOX "<seg128> cat", "1 2 300 400 <seg128> cat"},
        {SEGMENTS BOX " cat", "1 2 300 400 cat"},
        {BOX " \xe7\x8c\xab ; " BOX " b\xc3\xa4r", "1 2 300 400 \xe7\x8c\xab|1 2 300 400 b\xc3\xa4r"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(summary(cases[i].text), cases[i].expected) != 0)
            fail_msg("%s\n   gave %s\n   not  %s", cases[i].text, summary(cases[i].text), cases[i].expected);
}

static void segments_are_kept_in_order(void **state)
{
    (void)state;
    pl_location_list list = {0};
    assert_int_equal(pl_locations_of_text("x" BOX SEGMENTS " cat", &list, NULL), PALI_OK);
    assert_int_equal(list.count, 1);
    for (int i = 0; i < 15; i++)
        assert_int_equal(list.items[0].segment[i], i);
    assert_int_equal(list.items[0].segment[15], 127);
    assert_int_equal(list.items[0].first, 1);
    assert_int_equal(list.items[0].count, 21);
    pl_location_list_free(&list);
}

/* Token ids, with labels in pieces as a tokenizer cuts them. */
static void pieces_of_tokens(void **state)
{
    (void)state;
    static const struct {
        int32_t id;
        const char *text;
    } tokens[] = {
        {5, "a"}, {1000, ""}, {1001, ""}, {2023, ""}, {1500, ""}, {2024, "not a bin"}, {6, " red"}, {7, ""}, {8, " car"}, {9, " ;"}, {10, " x"},
        {1000, ""}, {1000, ""}, {1000, ""}, {1000, ""}, {3000, ""}, {3127, ""}, {3128, "?"}, {999, ";"},
    };
    enum { COUNT = sizeof tokens / sizeof *tokens };
    pl_piece pieces[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        pieces[i] = pl_piece_of_token(tokens[i].id, 1000, 3000, tokens[i].text, strlen(tokens[i].text));
    assert_int_equal(pieces[3].kind, PL_PIECE_LOCATION);
    assert_int_equal(pieces[3].value, 1023);
    assert_int_equal(pieces[5].kind, PL_PIECE_TEXT);
    assert_int_equal(pieces[16].kind, PL_PIECE_SEGMENT);
    assert_int_equal(pieces[16].value, 127);
    assert_int_equal(pieces[17].kind, PL_PIECE_TEXT);
    assert_int_equal(pieces[18].kind, PL_PIECE_TEXT);
    pl_location_list list = {0};
    assert_int_equal(pl_locations_parse(pieces, COUNT, &list, NULL), PALI_OK);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0].label, "not a bin red car");
    assert_int_equal(list.items[0].bins[2], 1023);
    assert_int_equal(list.items[0].first, 1);
    assert_int_equal(list.items[0].count, 8); /* without the separator */
    assert_string_equal(list.items[1].label, "?");
    assert_false(list.items[1].has_segment);
    pl_location_list_free(&list);
}

static void every_bin_goes_there_and_back(void **state)
{
    (void)state;
    for (int bin = 0; bin < 1024; bin++) {
        char text[64];
        snprintf(text, sizeof text, "<loc%04d><loc%04d><loc%04d><loc%04d>", bin, 1023 - bin, bin, bin / 2);
        pl_location_list list = {0};
        assert_int_equal(pl_locations_of_text(text, &list, NULL), PALI_OK);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.items[0].bins[0], bin);
        assert_true(fabs(list.items[0].box.y1 - bin / 1023.0) < 1e-15);
        char back[37];
        pl_location_text(list.items[0].box, back);
        assert_string_equal(back, text);
        pl_location_list_free(&list);
    }
}

static void coordinates_round_half_to_even_and_are_clipped(void **state)
{
    (void)state;
    assert_int_equal(pl_location_bin(0), 0);
    assert_int_equal(pl_location_bin(1), 1023);
    assert_int_equal(pl_location_bin(0.5f), 512); /* 511.5 */
    assert_int_equal(pl_location_bin(0.5f / 1023), 0);
    assert_int_equal(pl_location_bin(1.5f / 1023), 2);
    assert_int_equal(pl_location_bin(2.5f / 1023), 2);
    assert_int_equal(pl_location_bin(-3), 0);
    assert_int_equal(pl_location_bin(7), 1023);
    assert_int_equal(pl_location_bin(INFINITY), 1023);
    assert_int_equal(pl_location_bin(-INFINITY), 0);
    assert_int_equal(pl_location_bin(NAN), 0);
}

static void intersection_over_union(void **state)
{
    (void)state;
    const pali_box a = {0, 0, 0.5, 0.5}, b = {0.25, 0.25, 0.75, 0.75}, far = {0.5, 0, 1, 0.5}, flat = {0, 0, 0, 0.5}, turned = {0.5, 0.5, 0, 0};
    assert_true(fabs(pl_box_iou(a, a) - 1) < 1e-15);
    assert_true(fabs(pl_box_iou(a, b) - 1.0 / 7) < 1e-15);
    assert_true(pl_box_iou(a, far) == 0);
    assert_true(pl_box_iou(a, flat) == 0);
    assert_true(pl_box_iou(flat, flat) == 0);
    assert_true(pl_box_iou(turned, turned) == 0);
    const pl_location half = {.bins = {0, 0, 500, 500}}, whole = {.bins = {0, 0, 500, 1000}};
    assert_true(pl_location_iou(&half, &whole) == 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar),
        cmocka_unit_test(segments_are_kept_in_order),
        cmocka_unit_test(pieces_of_tokens),
        cmocka_unit_test(every_bin_goes_there_and_back),
        cmocka_unit_test(coordinates_round_half_to_even_and_are_clipped),
        cmocka_unit_test(intersection_over_union),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
