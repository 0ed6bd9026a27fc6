/* What pali data show prints of a row. */
#include "data_support.h"

#include "train/show.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pl_dataset *dataset;
static pl_example *example;

static int open_row(void **state)
{
    if (data_begin(state) != 0)
        return -1;
    data_copy("tests/data/tiny/a.png", "a.png");
    const pl_data_source source = {.path = data_write("rows.jsonl", "\n{\"image\": [\"a.png\", \"a.png\"], \"prefix\": \"caption en\", \"suffix\": [\"a cat\\non \\u001b[1m\\u00e9\"]}\n")};
    pl_data_options options = data_options(&source, 1);
    options.text_length = 12;
    dataset = data_open(&options);
    example = pl_example_read(dataset, pl_dataset_place(dataset, 1), NULL, false, NULL);
    return example ? 0 : -1;
}

static int close_row(void **state)
{
    pl_example_free(example);
    pl_dataset_free(dataset);
    return data_end(state);
}

static const char expected[] =
    "prefix   caption en\n"
    "suffix   a cat\\non \\x1b[1m\xc3\xa9\n"
    "\n"
    "   place       id  piece                 sees              learned\n"
    "     0-7        -  <image>               0-11\n"
    "       8        2  '<bos>'               0-11\n"
    "       9      760  'caption'             0-11\n"
    "      10      341  '\xe2\x96\x81""en'                 0-11\n"
    "      11        4  '\\n'                  0-11\n"
    "      12     1700  'a'                   0-12              yes\n"
    "      13      983  '\xe2\x96\x81""cat'                0-13              yes\n"
    "      14        4  '\\n'                  0-14              yes\n"
    "      15      395  'on'                  0-15              yes\n"
    "      16     1697  '\xe2\x96\x81'                   0-16              yes\n"
    "      17       92  '<0x1B>'              0-17              yes\n"
    "      18     1782  '['                   0-18              yes\n"
    "      19     1728  '1'                   0-19              yes\n"
    "      20     1716  'm'                   (only predicted)  yes\n"
    "8 image + 4 prefix + 9 suffix tokens; 9 learned; 3 cut off at the end\n";

static void as_text(void **state)
{
    (void)state;
    const pl_show_options options = {.layout = {.image_tokens = 4}};
    char *const text = pl_example_text(dataset, example, &options, NULL);
    assert_non_null(text);
    char *const body = strstr(text, "\nprefix");
    assert_non_null(body);
    *body = '\0';
    assert_non_null(strstr(text, "rows.jsonl:2, example 1, visit 2 of the row\npicture  "));
    assert_non_null(strstr(text, "a.png, 61 x 47, seen as 28 x 28: 4 tokens\npicture  "));
    assert_string_equal(body + 1, expected);
    free(text);
}

static json_t *json_of(const pl_show_options *options)
{
    char *const text = pl_example_json(dataset, example, options, NULL);
    assert_non_null(text);
    assert_null(strchr(text, '\n'));
    json_t *const object = json_loads(text, 0, NULL);
    assert_non_null(object);
    free(text);
    return object;
}

static json_int_t field(const json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

/* Last place that the token at i of the text sees; -1: it is only predicted. */
static json_int_t sight(const json_t *object, size_t i)
{
    const json_t *const sees = json_object_get(json_array_get(json_object_get(object, "tokens"), i), "sees");
    return json_is_null(sees) ? -1 : json_integer_value(json_array_get(sees, 1));
}

static size_t learned(const json_t *object)
{
    size_t i, count = 0;
    json_t *token;
    json_array_foreach(json_object_get(object, "tokens"), i, token)
        count += json_is_true(json_object_get(token, "learned"));
    assert_int_equal(count, field(object, "learned"));
    return count;
}

static void as_json(void **state)
{
    (void)state;
    pl_show_options options = {.layout = {.image_tokens = 4}};
    json_t *object = json_of(&options);
    const size_t count = example->count, prefix = example->prefix_count;
    assert_int_equal(json_array_size(json_object_get(object, "tokens")), count);
    assert_int_equal(json_array_size(json_object_get(object, "images")), 2);
    assert_int_equal(field(json_array_get(json_object_get(object, "images"), 0), "width"), 61);
    assert_int_equal(field(object, "row"), 2);
    assert_int_equal(field(object, "cut_off"), example->cut);
    assert_string_equal(json_string_value(json_object_get(object, "suffix")), "a cat\non \x1b[1m\xc3\xa9");
    assert_int_equal(sight(object, 0), 8 + prefix - 1);
    assert_int_equal(sight(object, prefix - 1), 8 + prefix - 1);
    assert_int_equal(sight(object, prefix), 8 + prefix);
    assert_int_equal(sight(object, count - 2), 8 + count - 2);
    assert_int_equal(sight(object, count - 1), -1);
    assert_int_equal(learned(object), count - prefix);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(object, "attention"), 2), "attention")), "causal");
    json_decref(object);

    options.layout = (pl_layout_options){.image_tokens = 4, .attention = PL_ATTENTION_IMAGE, .loss_on_prefix = true};
    object = json_of(&options);
    assert_int_equal(sight(object, 0), 8);
    assert_int_equal(learned(object), count - 1);
    const json_t *const image = json_array_get(json_object_get(object, "attention"), 0);
    assert_int_equal(field(image, "last"), 7);
    assert_string_equal(json_string_value(json_object_get(image, "attention")), "full");
    json_decref(object);
    options.layout.attention = PL_ATTENTION_CAUSAL;
    object = json_of(&options);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(object, "attention"), 0), "attention")), "causal");
    json_decref(object);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(as_text), cmocka_unit_test(as_json)};
    return cmocka_run_group_tests_name("show", tests, open_row, close_row);
}
