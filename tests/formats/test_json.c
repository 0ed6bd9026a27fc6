/* Configuration files: fields by path, defaults, and messages that name both. */
#include "support.h"

#include "formats/json.h"

static const char text[] = "{\"a\": 1, \"big\": 9223372036854775807, \"minus\": -2, \"half\": 0.5, \"yes\": true, \"no\": false,\n"
                           "\"name\": \"Größe\", \"none\": null, \"list\": [0.5, 1, 2.5], \"mixed\": [1, \"x\"],\n"
                           "\"text_config\": {\"hidden_size\": 2048, \"rope\": {\"theta\": 10000.0}, \"cap\": null}}";

static pl_json *json;

static int open_json(void **state)
{
    (void)state;
    json = pl_json_open_memory(text, sizeof text - 1, "config.json", NULL);
    return json ? 0 : -1;
}

static int close_json(void **state)
{
    (void)state;
    pl_json_close(json);
    pl_json_close(NULL);
    return 0;
}

static void test_values(void **state)
{
    (void)state;
    size_t size = 0;
    int64_t integer = 0;
    double number = 0, three[3] = {0};
    bool flag = false;
    const char *string = NULL;
    assert_int_equal(pl_json_get_size(json, "text_config.hidden_size", &size, NULL), PALI_OK);
    assert_int_equal(size, 2048);
    assert_int_equal(pl_json_get_size(json, "big", &size, NULL), PALI_OK);
    assert_true(size == INT64_MAX);
    assert_int_equal(pl_json_get_i64(json, "minus", &integer, NULL), PALI_OK);
    assert_int_equal(integer, -2);
    assert_int_equal(pl_json_get_f64(json, "text_config.rope.theta", &number, NULL), PALI_OK);
    assert_true(number == 10000);
    assert_int_equal(pl_json_get_f64(json, "a", &number, NULL), PALI_OK);
    assert_true(number == 1);
    assert_int_equal(pl_json_get_bool(json, "yes", &flag, NULL), PALI_OK);
    assert_true(flag);
    assert_int_equal(pl_json_get_bool(json, "no", &flag, NULL), PALI_OK);
    assert_false(flag);
    assert_int_equal(pl_json_get_string(json, "name", &string, NULL), PALI_OK);
    assert_string_equal(string, "Größe");
    assert_int_equal(pl_json_get_f64s(json, "list", three, 3, NULL), PALI_OK);
    assert_true(three[0] == 0.5 && three[1] == 1 && three[2] == 2.5);
    assert_true(pl_json_has(json, "text_config.rope"));
    assert_string_equal(pl_json_path(json), "config.json");
}

/* Absent and null leave the default; only one of them is null. */
static void test_defaults(void **state)
{
    (void)state;
    static const char *const fields[] = {"absent", "none", "text_config.absent", "text_config.cap", "absent.deep.er", "none.deeper",
        "text_config.rope.absent.x", ""};
    for (size_t i = 0; i + 1 < LENGTH(fields); i++) {
        size_t size = 7;
        int64_t integer = 7;
        double number = 7, three[3] = {7};
        bool flag = true;
        const char *string = "seven";
        assert_int_equal(pl_json_get_size(json, fields[i], &size, NULL), PALI_OK);
        assert_int_equal(pl_json_get_i64(json, fields[i], &integer, NULL), PALI_OK);
        assert_int_equal(pl_json_get_f64(json, fields[i], &number, NULL), PALI_OK);
        assert_int_equal(pl_json_get_f64s(json, fields[i], three, 3, NULL), PALI_OK);
        assert_int_equal(pl_json_get_bool(json, fields[i], &flag, NULL), PALI_OK);
        assert_int_equal(pl_json_get_string(json, fields[i], &string, NULL), PALI_OK);
        assert_true(size == 7 && integer == 7 && number == 7 && three[0] == 7 && flag);
        assert_string_equal(string, "seven");
        assert_false(pl_json_has(json, fields[i]));
        assert_int_equal(pl_json_is_null(json, fields[i]), strcmp(fields[i], "none") == 0 || strcmp(fields[i], "text_config.cap") == 0);
    }
    char field[400];
    memset(field, 'x', sizeof field - 1);
    field[sizeof field - 1] = '\0';
    assert_false(pl_json_has(json, field));
}

static void test_wrong_types(void **state)
{
    (void)state;
    pali_error err = {0};
    size_t size;
    int64_t integer;
    double number, three[3];
    bool flag;
    const char *string;
#define REFUSED(call, words)                                                    \
    do {                                                                        \
        err = (pali_error){0};                                                  \
        assert_int_equal(call, PALI_MODEL);                                     \
        assert_int_equal(err.status, PALI_MODEL);                               \
        assert_string_equal(err.message, "config.json: field " words);          \
    } while (0)
    REFUSED(pl_json_get_size(json, "minus", &size, &err), "minus: found -2, expected a whole number, 0 or more");
    REFUSED(pl_json_get_size(json, "half", &size, &err), "half: found 0.5, expected a whole number, 0 or more");
    REFUSED(pl_json_get_size(json, "name", &size, &err), "name: found string 'Größe', expected a whole number, 0 or more");
    REFUSED(pl_json_get_i64(json, "yes", &integer, &err), "yes: found true, expected a whole number");
    REFUSED(pl_json_get_f64(json, "no", &number, &err), "no: found false, expected a number");
    REFUSED(pl_json_get_f64(json, "text_config", &number, &err), "text_config: found an object, expected a number");
    REFUSED(pl_json_get_bool(json, "a", &flag, &err), "a: found 1, expected true or false");
    REFUSED(pl_json_get_string(json, "list", &string, &err), "list: found an array of 3, expected a string");
    REFUSED(pl_json_get_f64s(json, "list", three, 2, &err), "list: found an array of 3, expected an array of 2 numbers");
    REFUSED(pl_json_get_f64s(json, "mixed", three, 2, &err), "mixed: found an array of 2, expected an array of 2 numbers");
    REFUSED(pl_json_get_f64s(json, "a", three, 2, &err), "a: found 1, expected an array of 2 numbers");
    REFUSED(pl_json_get_size(json, "text_config.hidden_size.x.y", &size, &err),
        "text_config.hidden_size: found 2048, expected an object with \"x.y\"");
    REFUSED(pl_json_get_size(json, "a.b", &size, &err), "a: found 1, expected an object with \"b\"");
    REFUSED(pl_json_refuse(json, "a", "one of gemma, gemma2", &err), "a: found 1, expected one of gemma, gemma2");
    REFUSED(pl_json_refuse(json, "absent", "a name", &err), "absent: found nothing, expected a name");
#undef REFUSED
}

static void test_bad_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "is not valid JSON: line 1"}, {"{", "is not valid JSON"}, {"[1]", "is not a JSON object"}, {"{\"a\": 1}}", "is not valid JSON"},
        {"{\n\n\"a\": tru}", "is not valid JSON: line 3"}, {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"a\": 1e999}", "overflow"}, {"{\"a\": \"\\u0000\"}", "not valid JSON"}, {"{\"a\": \"\xff\"}", "not valid JSON"},
        {"{\"a\": NaN}", "not valid JSON"}, {"{\"a\": 1,}", "not valid JSON"},
    };
    for (size_t i = 0; i < LENGTH(bad); i++) {
        pali_error err = {0};
        pl_json *read = pl_json_open_memory(bad[i].text, strlen(bad[i].text), "x.json", &err);
        if (read)
            fail_msg("%s was read", bad[i].text);
        assert_int_equal(err.status, PALI_MODEL);
        if (!strstr(err.message, bad[i].words) || strncmp(err.message, "x.json: ", 8) != 0)
            fail_msg("%s", err.message);
    }
}

/* tokenizer_config.json of released models says model_max_length 10^30; the other numbers stay what they are. */
static void test_large_integer(void **state)
{
    (void)state;
    static const char large[] = "{\"model_max_length\": 1000000000000000019884624838656, \"inner\": {\"size\": 7, \"list\": [1, [2]]}, \"half\": 0.5}";
    pali_error err = {0};
    pl_json *read = pl_json_open_memory(large, sizeof large - 1, "large.json", &err);
    size_t size = 0;
    double half = 0, list[2];
    if (!read)
        fail_msg("%s", err.message);
    assert_int_equal(pl_json_get_size(read, "inner.size", &size, &err), PALI_OK);
    assert_int_equal(size, 7);
    assert_int_equal(pl_json_get_f64(read, "half", &half, &err), PALI_OK);
    assert_true(half == 0.5);
    assert_int_equal(pl_json_get_f64s(read, "inner.list", list, 2, &err), PALI_MODEL);
    assert_true(pl_json_has(read, "model_max_length"));
    pl_json_close(read);
}

/* A million brackets must not take a million stack frames. */
static void test_deep(void **state)
{
    (void)state;
    const size_t depth = 1000000;
    char *deep = malloc(depth + 5);
    pali_error err = {0};
    assert_non_null(deep);
    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', depth);
    assert_null(pl_json_open_memory(deep, depth + 5, "deep.json", &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_non_null(strstr(err.message, "depth"));
    free(deep);
}

static void test_files(void **state)
{
    (void)state;
    pali_error err = {0};
    assert_null(pl_json_open(DATA "absent.json", &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_null(pl_json_open(DATA, &err));
    assert_int_equal(err.status, PALI_MODEL);
    pl_json *index = pl_json_open(DATA "shards/model.safetensors.index.json", &err);
    assert_non_null(index);
    size_t total = 0;
    assert_int_equal(pl_json_get_size(index, "metadata.total_size", &total, &err), PALI_OK);
    assert_int_equal(total, 38);
    pl_json_close(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_defaults), cmocka_unit_test(test_wrong_types), cmocka_unit_test(test_bad_texts),
        cmocka_unit_test(test_large_integer), cmocka_unit_test(test_deep), cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, open_json, close_json);
}
