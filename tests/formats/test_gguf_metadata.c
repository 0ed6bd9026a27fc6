/* GGUF's typed keys: every type read back, defaults, and refusals. */
#include "support.h"

static pl_tensor_file *file;

static int open_file(void **state)
{
    (void)state;
    file = pl_gguf_open(DATA "all.gguf", NULL);
    return file ? 0 : -1;
}

static int close_file(void **state)
{
    (void)state;
    pl_tensor_file_close(file);
    return 0;
}

static void test_u64(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint64_t value;
    } good[] = {{"u8", 200}, {"u16", 60000}, {"u32", 4000000000u}, {"u64", 9223372036854775813u}, {"absent", 77}};
    for (size_t i = 0; i < LENGTH(good); i++) {
        uint64_t value = 77;
        assert_int_equal(pl_gguf_get_u64(file, good[i].key, &value, NULL), PALI_OK);
        assert_true(value == good[i].value);
        assert_int_equal(pl_gguf_has(file, good[i].key), value != 77);
    }
    static const struct {
        const char *key, *found;
    } bad[] = {{"i8", "found i8 -3"}, {"i16", "found i16 -300"}, {"i32", "found i32 -70000"}, {"i64", "found i64 -1099511627776"},
        {"f32", "found f32 0.5"}, {"f64", "found f64 -2.25"}, {"yes", "found bool true"}, {"text", "found string 'Größe'"},
        {"i32s", "found array of 3 i32"}, {"nested", "found array of 2 array"}};
    for (size_t i = 0; i < LENGTH(bad); i++) {
        pali_error err = {0};
        uint64_t value = 77;
        assert_int_equal(pl_gguf_get_u64(file, bad[i].key, &value, &err), PALI_MODEL);
        assert_true(value == 77);
        assert_non_null(strstr(err.message, bad[i].found));
        assert_non_null(strstr(err.message, "all.gguf: metadata key '"));
        assert_non_null(strstr(err.message, "expected a whole number"));
    }
}

static void test_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        float value;
    } numbers[] = {{"f32", 0.5f}, {"f64", -2.25f}, {"i8", -3}, {"i64", -0x1p40f}, {"u64", 0x1p63f}, {"u8", 200}, {"absent", 9}};
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        float value = 9;
        assert_int_equal(pl_gguf_get_f32(file, numbers[i].key, &value, NULL), PALI_OK);
        assert_true(value == numbers[i].value);
    }
    bool flag = false;
    assert_int_equal(pl_gguf_get_bool(file, "absent", &flag, NULL), PALI_OK);
    assert_false(flag);
    assert_int_equal(pl_gguf_get_bool(file, "yes", &flag, NULL), PALI_OK);
    assert_true(flag);
    assert_int_equal(pl_gguf_get_bool(file, "no", &flag, NULL), PALI_OK);
    assert_false(flag);
    pl_gguf_string text = {"default", 7};
    assert_int_equal(pl_gguf_get_string(file, "absent", &text, NULL), PALI_OK);
    assert_true(pl_gguf_string_is(text, "default"));
    assert_int_equal(pl_gguf_get_string(file, "text", &text, NULL), PALI_OK);
    assert_true(pl_gguf_string_is(text, "Größe"));
    assert_false(pl_gguf_string_is(text, "Größ"));
    assert_int_equal(pl_gguf_get_string(file, "text.empty", &text, NULL), PALI_OK);
    assert_true(pl_gguf_string_is(text, ""));

    pali_error err = {0};
    float number;
    assert_int_equal(pl_gguf_get_f32(file, "yes", &number, &err), PALI_MODEL);
    assert_non_null(strstr(err.message, "found bool true, expected a number"));
    assert_int_equal(pl_gguf_get_bool(file, "u8", &flag, &err), PALI_MODEL);
    assert_non_null(strstr(err.message, "found u8 200, expected true or false"));
    assert_int_equal(pl_gguf_get_string(file, "strings", &text, &err), PALI_MODEL);
    assert_non_null(strstr(err.message, "found array of 4 string, expected a string"));
}

static void test_string_arrays(void **state)
{
    (void)state;
    static const char *const wanted[] = {"a", "", "▁the", "\n"};
    pl_gguf_string *values;
    size_t count;
    assert_int_equal(pl_gguf_get_strings(file, "strings", &values, &count, NULL), PALI_OK);
    assert_int_equal(count, LENGTH(wanted));
    for (size_t i = 0; i < count; i++)
        assert_true(pl_gguf_string_is(values[i], wanted[i]));
    free(values);
    assert_int_equal(pl_gguf_get_strings(file, "absent", &values, &count, NULL), PALI_OK);
    assert_null(values);
    assert_int_equal(count, 0);
    static const char *const bad[] = {"i32s", "nested", "text"};
    for (size_t i = 0; i < LENGTH(bad); i++) {
        pali_error err = {0};
        assert_int_equal(pl_gguf_get_strings(file, bad[i], &values, &count, &err), PALI_MODEL);
        assert_null(values);
        assert_non_null(strstr(err.message, "expected an array"));
    }
}

static void test_number_arrays(void **state)
{
    (void)state;
    float *floats;
    int32_t *ints;
    size_t count;
    assert_int_equal(pl_gguf_get_f32s(file, "f32s", &floats, &count, NULL), PALI_OK);
    assert_int_equal(count, 3);
    assert_true(floats[0] == 0.5f && floats[1] == -1.5f && floats[2] == 3);
    free(floats);
    assert_int_equal(pl_gguf_get_f32s(file, "f64s", &floats, &count, NULL), PALI_OK);
    assert_true(count == 2 && floats[0] == 0.25f && floats[1] == 4);
    free(floats);
    assert_int_equal(pl_gguf_get_f32s(file, "i64s", &floats, &count, NULL), PALI_OK);
    assert_true(count == 2 && floats[0] == 1 && floats[1] == -0x1p40f);
    free(floats);
    assert_int_equal(pl_gguf_get_i32s(file, "i32s", &ints, &count, NULL), PALI_OK);
    assert_true(count == 3 && ints[0] == 1 && ints[1] == -2 && ints[2] == 3);
    free(ints);
    assert_int_equal(pl_gguf_get_i32s(file, "u8s", &ints, &count, NULL), PALI_OK);
    assert_true(count == 3 && ints[2] == 255);
    free(ints);
    assert_int_equal(pl_gguf_get_i32s(file, "absent", &ints, &count, NULL), PALI_OK);
    assert_true(!ints && count == 0);
    static const char *const bad[] = {"i64s", "f32s", "strings", "bools", "nested", "u8"};
    for (size_t i = 0; i < LENGTH(bad); i++) {
        pali_error err = {0};
        assert_int_equal(pl_gguf_get_i32s(file, bad[i], &ints, &count, &err), PALI_MODEL);
        assert_true(!ints && count == 0);
        assert_non_null(strstr(err.message, bad[i]));
    }
    assert_int_equal(pl_gguf_get_f32s(file, "strings", &floats, &count, NULL), PALI_MODEL);
    assert_null(floats);
}

static void test_listing(void **state)
{
    (void)state;
    char buf[100];
    bool seen = false;
    assert_int_equal(pl_gguf_key_count(file), 23);
    for (size_t i = 0; i < pl_gguf_key_count(file); i++) {
        const pl_gguf_string key = pl_gguf_key(file, i);
        if (!pl_gguf_string_is(key, "u64"))
            continue;
        seen = true;
        assert_string_equal(pl_gguf_describe(file, i, buf), "u64 9223372036854775813");
    }
    assert_true(seen);
}

/* Other containers have no keys, and every getter keeps the default. */
static void test_other_format(void **state)
{
    (void)state;
    pl_tensor_file *other = pl_safetensors_open(DATA "types.safetensors", NULL);
    uint64_t value = 3;
    assert_non_null(other);
    assert_false(pl_gguf_has(other, "u8"));
    assert_int_equal(pl_gguf_key_count(other), 0);
    assert_int_equal(pl_gguf_get_u64(other, "u8", &value, NULL), PALI_OK);
    assert_int_equal(value, 3);
    pl_tensor_file_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64), cmocka_unit_test(test_scalars), cmocka_unit_test(test_string_arrays), cmocka_unit_test(test_number_arrays),
        cmocka_unit_test(test_listing), cmocka_unit_test(test_other_format),
    };
    return cmocka_run_group_tests(tests, open_file, close_file);
}
