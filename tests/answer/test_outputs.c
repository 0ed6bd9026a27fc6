/*
 * Outputs of a model, well formed and malformed, against published parsers
 * (make_goldens.py), by text and by tokens; and what objects say beside that.
 */
#include "answer/objects.h"

#include "base/text.h"

#include <jansson.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *goldens;
static pl_tokenizer *tokenizer;

static int open_all(void **state)
{
    (void)state;
    goldens = json_load_file("tests/answer/data/outputs.json", 0, NULL);
    tokenizer = pl_tokenizer_open("models/nano", false, NULL);
    return goldens && tokenizer ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    json_decref(goldens);
    pl_tokenizer_free(tokenizer);
    return 0;
}

static bool is_object(const json_t *expected, const int bins[4], const char *label, const uint8_t *codes)
{
    for (size_t i = 0; i < 4; i++)
        if (json_integer_value(json_array_get(expected, i)) != bins[i])
            return false;
    const json_t *const list = json_array_get(expected, 5);
    if (json_is_array(list) != (codes != NULL))
        return false;
    for (size_t i = 0; codes && i < PALI_MASK_TOKENS; i++)
        if (json_integer_value(json_array_get(list, i)) != codes[i])
            return false;
    return strcmp(json_string_value(json_array_get(expected, 4)), label) == 0;
}

static void texts_are_parsed_as_published(void **state)
{
    (void)state;
    size_t at, i;
    json_t *golden, *expected;
    json_array_foreach(goldens, at, golden)
    {
        const char *const text = json_string_value(json_object_get(golden, "text"));
        const json_t *const objects = json_object_get(golden, "objects");
        pl_location_list list = {0};
        assert_int_equal(pl_locations_of_text(text, &list, NULL), PALI_OK);
        if (list.count != json_array_size(objects))
            fail_msg("%s: found %zu objects, expected %zu", text, list.count, json_array_size(objects));
        json_array_foreach(objects, i, expected)
        {
            const pl_location *const l = &list.items[i];
            if (!is_object(expected, l->bins, l->label, l->has_segment ? l->segment : NULL))
                fail_msg("%s: object %zu is \"%s\"", text, i, l->label);
        }
        pl_location_list_free(&list);
    }
}

/* The same through token ids, as answers come. */
static void tokens_are_parsed_as_published(void **state)
{
    (void)state;
    size_t at, i;
    json_t *golden, *expected;
    json_array_foreach(goldens, at, golden)
    {
        const char *const text = json_string_value(json_object_get(golden, "text"));
        const json_t *const list = json_object_get(golden, "objects");
        pl_ids ids = {0};
        assert_int_equal(pl_tokenizer_encode(tokenizer, text, strlen(text), PL_TEXT_USER, &ids, NULL), PALI_OK);
        const pl_object_source source = {.tokenizer = tokenizer, .start = ids.data, .start_count = ids.count / 2, .tokens = ids.data + ids.count / 2, .token_count = ids.count - ids.count / 2};
        pl_objects objects = {0};
        assert_int_equal(pl_objects_parse(&source, &objects, NULL), PALI_OK);
        if (objects.count != json_array_size(list))
            fail_msg("%s: found %zu objects, expected %zu", text, objects.count, json_array_size(list));
        json_array_foreach(list, i, expected)
        {
            const pali_object *const o = &objects.items[i];
            if (!is_object(expected, o->bins, o->label, o->has_codes ? o->codes : NULL))
                fail_msg("%s: object %zu is \"%s\"", text, i, o->label);
        }
        pl_objects_free(&objects);
        pl_ids_free(&ids);
    }
}

#define BOX "<loc0100><loc0200><loc0300><loc0400>"
#define EIGHT "<seg000><seg001><seg002><seg003><seg004><seg005><seg006><seg127>"

static void objects_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool cut_off;
        const char *problem; /* of the last object */
        size_t dropped;
    } cases[] = {
        {BOX " cat", false, NULL, 0},
        {BOX EIGHT EIGHT " cat", false, NULL, 0},
        {"<loc0100><loc0200><loc0100><loc0400> cat", false, "no area", 0},
        {"<loc0100><loc0200><loc0300><loc0200> cat", true, "no area", 0},
        {BOX EIGHT " cat", false, "incomplete mask", 0},
        {BOX EIGHT EIGHT "<seg000> cat", true, "incomplete mask", 0},
        {BOX EIGHT, true, "cut off", 0},
        {BOX " ca", true, "cut off", 0},
        {BOX " cat ;", true, NULL, 0}, /* the separator stands behind a whole object */
        {BOX " cat ; <loc0100><loc0200>", true, NULL, 1},
        {EIGHT " " BOX " cat ; <loc0001> ; " EIGHT, false, NULL, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_ids ids = {0};
        assert_int_equal(pl_tokenizer_encode(tokenizer, cases[i].text, strlen(cases[i].text), PL_TEXT_USER, &ids, NULL), PALI_OK);
        const pl_object_source source = {.tokenizer = tokenizer, .tokens = ids.data, .token_count = ids.count, .cut_off = cases[i].cut_off, .width = 1000, .height = 500};
        pl_objects objects = {0};
        assert_int_equal(pl_objects_parse(&source, &objects, NULL), PALI_OK);
        assert_int_equal(objects.count, 1);
        const char *const problem = objects.items[0].problem;
        if ((problem == NULL) != (cases[i].problem == NULL) || (problem && strcmp(problem, cases[i].problem) != 0))
            fail_msg("%s: found \"%s\", expected \"%s\"", cases[i].text, problem ? problem : "", cases[i].problem ? cases[i].problem : "");
        assert_int_equal(objects.dropped, cases[i].dropped);
        pl_objects_free(&objects);
        pl_ids_free(&ids);
    }
}

static void objects_know_their_place(void **state)
{
    (void)state;
    static const char text[] = "a " BOX " red car ; " BOX EIGHT EIGHT " cat";
    pl_ids ids = {0};
    assert_int_equal(pl_tokenizer_encode(tokenizer, text, strlen(text), PL_TEXT_USER, &ids, NULL), PALI_OK);
    size_t start = 0; /* all up to and with the second location was given */
    for (size_t seen = 0; seen < 2; start++)
        seen += ids.data[start] >= pl_tokenizer_special(tokenizer)->loc && ids.data[start] < pl_tokenizer_special(tokenizer)->loc + PL_LOCATION_BINS;
    const pl_object_source source = {.tokenizer = tokenizer, .start = ids.data, .tokens = ids.data + start, .start_count = start, .token_count = ids.count - start, .width = 1023, .height = 2046};
    pl_objects objects = {0};
    assert_int_equal(pl_objects_parse(&source, &objects, NULL), PALI_OK);
    assert_int_equal(objects.count, 2);
    const pali_object *const car = &objects.items[0], *const cat = &objects.items[1];
    assert_int_equal(car->first_token, 0);
    assert_true(car->token_count >= 4);
    assert_true(cat->first_token >= car->token_count);
    assert_int_equal(cat->first_token + cat->token_count, source.token_count);
    assert_int_equal(source.tokens[cat->first_token], pl_tokenizer_special(tokenizer)->loc + 100);
    assert_true(fabs(car->pixels.y1 - 200) < 1e-9 && fabs(car->pixels.x2 - 400) < 1e-9);
    assert_true(isnan(car->confidence) && car->mask == NULL);
    assert_int_equal(cat->codes[7], 127);
    pl_objects_free(&objects);
    pl_ids_free(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_parsed_as_published),
        cmocka_unit_test(tokens_are_parsed_as_published),
        cmocka_unit_test(objects_say_what_is_wrong),
        cmocka_unit_test(objects_know_their_place),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
