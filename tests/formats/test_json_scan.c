/* JSON read where it lies: strings as jansson reads them, numbers, ends of values, and a tree without its longest parts. */
#include "support.h"

#include "formats/json_scan.h"

#include <jansson.h>

static pl_json_cursor cursor_of(const char *text)
{
    return (pl_json_cursor){.at = text, .end = text + strlen(text)};
}

/* jansson's reading of a string in its quotes; NULL where it refuses it. */
static json_t *expected_string(const char *quoted)
{
    return json_loads(quoted, JSON_DECODE_ANY, NULL);
}

static void test_strings(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\"\"", "\"plain\"", "\"\\n\\t\\r\\b\\f\\/\\\\\\\"\"", "\"Gr\\u00f6\\u00DFe\"", "\"\\u2581\\u2581x\"", "\"\\ud83d\\ude00\"", "\"\xe2\x96\x81\"",
        "\"\\ud83d\"", "\"\\ud83d\\n\"", "\"\\ud83dude00\"", "\"\\ude00\"", "\"\\ud83d\\ud83d\"", "\"\\u0000\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\x41\"",
        "\"open", "\"open\\\"", "\"open\\", "\"line\nbreak\"", "\"tab\tinside\"",
    };
    size_t good = 0;
    for (size_t i = 0; i < LENGTH(texts); i++) {
        char out[64];
        size_t length;
        pl_json_text text;
        pl_json_cursor c = cursor_of(texts[i]);
        json_t *expected = expected_string(texts[i]);
        const bool found = pl_json_take_string(&c, &text) && c.at == c.end && pl_json_unescape(text, out, &length);
        if (found != (expected != NULL))
            fail_msg("%s: %s, but not by jansson", texts[i], found ? "read" : "refused");
        if (found) {
            assert_true(length <= text.length && length == json_string_length(expected));
            assert_memory_equal(out, json_string_value(expected), length);
            good++;
        }
        json_decref(expected);
    }
    assert_int_equal(good, 7);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
    } cases[] = {
        {" 0,", true, 0}, {"256000}", true, 256000}, {"999999999999999999 ", true, 999999999999999999u}, {"1", false, 0}, /* nothing behind it */
        {"1000000000000000000,", false, 0}, {"01,", false, 0}, {"-1,", false, 0}, {"1.5,", false, 0}, {"1e2,", false, 0}, {"x,", false, 0}, {",", false, 0},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        uint64_t value;
        pl_json_cursor c = cursor_of(cases[i].text);
        assert_int_equal(pl_json_take_number(&c, &value), cases[i].good);
        if (cases[i].good)
            assert_true(value == cases[i].value);
    }
}

static void test_skipping(void **state)
{
    (void)state;
    static const struct {
        const char *text, *rest; /* NULL: broken */
    } cases[] = {
        {"1,2", ",2"}, {" \"a,]\\\"\" ]", " ]"}, {"{\"a\": [1, {\"}\": \"]\"}]}, 3", ", 3"}, {"[]x", "x"}, {"-1.5e3}", "}"}, {"null", ""},
        {"", NULL}, {"]", NULL}, {",", NULL}, {"[1, 2", NULL}, {"{\"a\": \"b}", NULL},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        pl_json_cursor c = cursor_of(cases[i].text);
        assert_int_equal(pl_json_skip_value(&c), cases[i].rest != NULL);
        if (cases[i].rest)
            assert_string_equal(c.at, cases[i].rest);
    }
}

static pl_json *open_parts(const char *text, pl_json_part parts[2], pali_error *err)
{
    parts[0] = (pl_json_part){.member = "vocab", .opening = '{'};
    parts[1] = (pl_json_part){.member = "merges", .opening = '['};
    *err = (pali_error){0};
    return pl_json_open_parts(text, strlen(text), "t.json", "model", parts, 2, err);
}

/* In either order, the parts are found and the rest is the tree. */
static void test_parts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"vocab\": {\"x\": 1}, \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a b\"], \"last\": 5}, \"after\": 6}",
        "{\"model\": {\"merges\": [\"a b\"], \"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"last\": 5}, \"after\": 6, \"vocab\": {\"x\": 1}}",
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        pl_json_part parts[2];
        pali_error err;
        size_t last = 0, after = 0, outside = 0;
        pl_json *json = open_parts(texts[i], parts, &err);
        assert_non_null(json);
        assert_memory_equal(parts[0].value.at, "{\"a\": 0}", 8);
        assert_int_equal(parts[0].value.end - parts[0].value.at, 8);
        assert_memory_equal(parts[1].value.at, "[\"a b\"]", 7);
        assert_int_equal(parts[1].value.end - parts[1].value.at, 7);
        assert_int_equal(json_object_size(pl_json_at(json, "model.vocab")), 0);
        assert_int_equal(json_array_size(pl_json_at(json, "model.merges")), 0);
        assert_int_equal(pl_json_get_size(json, "model.last", &last, NULL), PALI_OK);
        assert_int_equal(pl_json_get_size(json, "after", &after, NULL), PALI_OK);
        assert_int_equal(pl_json_get_size(json, "vocab.x", &outside, NULL), PALI_OK);
        assert_true(last == 5 && after == 6 && outside == 1);
        pl_json_close(json);
    }
}

/* Values of another kind stay in the tree; what is broken is named by its line in the whole file. */
static void test_other_parts(void **state)
{
    (void)state;
    pl_json_part parts[2];
    pali_error err;
    pl_json *json = open_parts("{\"model\": {\"vocab\": [], \"merges\": 7}}", parts, &err);
    assert_non_null(json);
    assert_true(!parts[0].value.at && !parts[1].value.at && pl_json_has(json, "model.merges"));
    pl_json_close(json);
    json = open_parts("{\"other\": {\"vocab\": {}}}", parts, &err);
    assert_non_null(json);
    assert_null(parts[0].value.at);
    pl_json_close(json);
    static const char *const broken[] = {
        "{\"model\": {\"vocab\": {\"a\":\n0},\n\n\"x\" 1}}", "{\"model\": {\"vocab\": {\n\n\n\"a\": 0}, \"vocab\": {}}}",
        "{\"model\": {\"vocab\": {}},\n\n\n\"model\": {}}",
    };
    for (size_t i = 0; i < LENGTH(broken); i++) {
        assert_null(open_parts(broken[i], parts, &err));
        assert_int_equal(err.status, PALI_MODEL);
        if (!strstr(err.message, "t.json: the file is not valid JSON: line 4:"))
            fail_msg("%s", err.message);
    }
    assert_null(pl_json_open_parts(NULL, 0, "t.json", "model", parts, 0, &err));
    assert_non_null(strstr(err.message, "not valid JSON"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings), cmocka_unit_test(test_numbers),     cmocka_unit_test(test_skipping),
        cmocka_unit_test(test_parts),   cmocka_unit_test(test_other_parts),
    };
    return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
