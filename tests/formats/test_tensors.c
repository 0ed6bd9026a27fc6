/* Files made by numpy, safetensors and gguf, read back by value. */
#include "support.h"

static const golden plain[] = {
    {"f64", PL_F64, 2, {2, 2}},
    {"i8", PL_I8, 1, {9}},
    {"i32", PL_I32, 1, {4}},
    {"i64", PL_I64, 1, {3}},
    {"bf16", PL_BF16, 2, {2, 5}},
};
static const golden safetensors_more[] = {
    {"f32", PL_F32, 2, {3, 4}}, {"f16", PL_F16, 1, {7}}, {"u8", PL_U8, 1, {9}}, {"scalar", PL_F32, 0, {0}},
    {"empty", PL_F32, 2, {0, 4}}, {"five", PL_F32, 5, {1, 2, 1, 2, 3}}, {"Größe/β", PL_F32, 1, {1}},
};
static const golden npz_more[] = {
    {"params/f32", PL_F32, 2, {3, 4}}, {"params/a/b/f16", PL_F16, 1, {7}}, {"u8", PL_U8, 1, {9}}, {"scalar", PL_F32, 0, {0}},
    {"empty", PL_F32, 2, {0, 4}}, {"five", PL_F32, 5, {1, 2, 1, 2, 3}},
};
static const golden gguf_more[] = {
    {"f32", PL_F32, 2, {3, 4}}, {"f16", PL_F16, 1, {7}}, {"four", PL_F32, 4, {1, 2, 2, 3}}, {"q8_0", PL_Q8_0, 2, {2, 64}},
    {"q4_0", PL_Q4_0, 2, {2, 64}}, {"q4_k", PL_Q4_K, 2, {2, 512}}, {"q5_k", PL_Q5_K, 2, {2, 512}}, {"q6_k", PL_Q6_K, 2, {2, 512}},
};

static void check_all(const pl_tensor_file *file, const golden *more, size_t count)
{
    for (size_t i = 0; i < LENGTH(plain); i++)
        check_golden(file, &plain[i]);
    for (size_t i = 0; i < count; i++)
        check_golden(file, &more[i]);
    for (size_t i = 0; i < pl_tensor_file_count(file); i++) {
        const pl_named_tensor *t = pl_tensor_file_at(file, i);
        assert_ptr_equal(pl_tensor_file_find(file, t->name), t);
        assert_string_equal(t->file, pl_tensor_file_path(file, t->file_index));
        pl_tensor_file_will_need(file, t);
        pl_tensor_file_drop(file, t);
    }
    pali_error err = {0};
    assert_null(pl_tensor_file_find(file, "f3"));
    assert_null(pl_tensor_file_find(file, ""));
    assert_null(pl_tensor_file_use(file, "absent", &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_non_null(strstr(err.message, "tensor 'absent' is missing"));
}

static void test_safetensors(void **state)
{
    (void)state;
    static const char *const names[] = {"types.safetensors", "unaligned.safetensors"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        pali_error err = {0};
        char path[100];
        snprintf(path, sizeof path, DATA "%s", names[i]);
        pl_tensor_file *file = pl_safetensors_open(path, &err);
        assert_non_null(file);
        check_all(file, safetensors_more, LENGTH(safetensors_more));
        check_problem(file, "f8", "element type F8_E4M3 is not supported");
        check_problem(file, "bool", "element type BOOL is not supported");
        check_problem(file, "six", "found 6 axes, expected at most 5");
        assert_int_equal(pl_tensor_file_count(file), 15);
        pl_map map;
        assert_int_equal(pl_map_open(&map, path, PALI_MODEL, &err), PALI_OK);
        assert_int_equal(pl_tensor_file_bytes_mapped(file), map.size);
        pl_map_close(&map);
        for (size_t t = 0; t < pl_tensor_file_count(file); t++) {
            const pl_named_tensor *named = pl_tensor_file_at(file, t);
            assert_true(named->problem || named->size == 0 || pl_tensor_aligned(&named->tensor));
        }
        /* Everything but bytes and empty tensors has to move when the header has an odd length. */
        assert_int_equal(pl_tensor_file_bytes_copied(file), i ? 48 + 20 + 14 + 32 + 16 + 24 + 4 + 48 + 4 : 0);
        pl_tensor_file_close(file);
    }
}

/* The same tensors whether stored or deflated, with and without Zip64. */
static void test_npz(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool deflated;
    } files[] = {{"stored.npz", false}, {"deflated.npz", true}, {"forced64.npz", false}, {"zip64.npz", false}, {"zip64_deflated.npz", true}};
    for (size_t i = 0; i < LENGTH(files); i++) {
        pali_error err = {0};
        char path[100];
        snprintf(path, sizeof path, DATA "%s", files[i].name);
        pl_tensor_file *file = pl_npz_open(path, &err);
        if (!file)
            fail_msg("%s", err.message);
        check_all(file, npz_more, LENGTH(npz_more));
        check_problem(file, "six", "found 6 axes, expected at most 5");
        assert_int_equal(pl_tensor_file_count(file), 13);
        const pl_tensor *zeros = pl_tensor_file_use(file, "zeros", &err);
        for (size_t k = 0; k < 1000; k++)
            assert_true(element(zeros, k) == 0);
        const pl_named_tensor *f64 = pl_tensor_file_find(file, "f64");
        assert_int_equal(f64->copied, files[i].deflated);
        assert_int_equal(pl_tensor_aligned(&f64->tensor), files[i].deflated); /* stored ones stand where they stand */
        assert_int_equal(pl_tensor_file_bytes_copied(file) > 0, files[i].deflated);
        pl_tensor_file_close(file);
    }
}

static void test_npz_odd(void **state)
{
    (void)state;
    static const char *const names[] = {"odd.npz", "odd_deflated.npz"};
    static const golden good = {"good", PL_F32, 1, {2}};
    for (size_t i = 0; i < LENGTH(names); i++) {
        pali_error err = {0};
        size_t size;
        unsigned char *bytes = load(names[i], &size);
        pl_tensor_file *file = pl_npz_open_memory(bytes, size, names[i], &err);
        assert_non_null(file);
        assert_int_equal(pl_tensor_file_count(file), 9);
        check_golden(file, &good);
        check_problem(file, "big", "found big-endian numbers, expected little-endian");
        check_problem(file, "fortran", "found Fortran order (fortran_order True), expected C order");
        check_problem(file, "objects", "found Python objects, expected numbers");
        check_problem(file, "record", "element type record is not supported");
        check_problem(file, "bool", "element type |b1 is not supported");
        check_problem(file, "u4", "element type <u4 is not supported");
        check_problem(file, "text", "element type <U3 is not supported");
        check_problem(file, "eight", "found 8 axes, expected at most 5");
        assert_null(pl_tensor_file_find(file, "notes.txt"));
        pl_tensor_file_close(file);
        free(bytes);
    }
}

static void test_npz_by_numpy(void **state)
{
    (void)state;
    static const golden wanted[] = {{"a", PL_F32, 2, {2, 3}}, {"b", PL_F16, 1, {4}}};
    static const char *const names[] = {DATA "numpy.npz", DATA "numpy_compressed.npz"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        pl_tensor_file *file = pl_npz_open(names[i], NULL);
        assert_non_null(file);
        for (size_t k = 0; k < LENGTH(wanted); k++)
            check_golden(file, &wanted[k]);
        pl_tensor_file_close(file);
    }
}

static void test_gguf(void **state)
{
    (void)state;
    static const char *const names[] = {DATA "all.gguf", DATA "aligned64.gguf", DATA "version2.gguf"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        pali_error err = {0};
        pl_tensor_file *file = pl_gguf_open(names[i], &err);
        if (!file)
            fail_msg("%s", err.message);
        check_all(file, gguf_more, LENGTH(gguf_more));
        check_problem(file, "q4_1", "element type Q4_1 is not supported");
        const pl_named_tensor *listed = pl_tensor_file_find(file, "q4_1");
        assert_int_equal(listed->tensor.rank, 2);
        assert_int_equal(listed->tensor.shape[1], 64);
        assert_int_equal(pl_tensor_file_bytes_copied(file), 0);
        pl_tensor_file_close(file);
    }
}

/* Files without a single tensor are whole files. */
static void test_none(void **state)
{
    (void)state;
    static const char *const names[] = {"none.safetensors", "none.npz", "none.gguf"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        size_t size;
        unsigned char *bytes = load(names[i], &size);
        pl_tensor_file *file = open_bytes(bytes, size, names[i], NULL);
        assert_non_null(file);
        assert_int_equal(pl_tensor_file_count(file), 0);
        assert_null(pl_tensor_file_find(file, "a"));
        pl_tensor_file_close(file);
        free(bytes);
    }
    pl_tensor_file_close(NULL);
}

static void test_shards(void **state)
{
    (void)state;
    static const golden wanted[] = {{"a", PL_F32, 2, {2, 3}}, {"b", PL_BF16, 1, {4}}, {"c", PL_F16, 1, {3}}};
    pali_error err = {0};
    pl_tensor_file *file = pl_safetensors_open_folder(DATA "shards", &err);
    if (!file)
        fail_msg("%s", err.message);
    assert_int_equal(pl_tensor_file_count(file), 3);
    assert_int_equal(pl_tensor_file_paths(file), 2);
    for (size_t i = 0; i < LENGTH(wanted); i++)
        check_golden(file, &wanted[i]);
    assert_string_equal(pl_tensor_file_find(file, "b")->file, DATA "shards/two.safetensors");
    assert_null(pl_tensor_file_use(file, "d", &err));
    assert_non_null(strstr(err.message, "and 1 more: tensor 'd' is missing"));
    pl_tensor_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors), cmocka_unit_test(test_npz), cmocka_unit_test(test_npz_odd), cmocka_unit_test(test_npz_by_numpy),
        cmocka_unit_test(test_gguf), cmocka_unit_test(test_none), cmocka_unit_test(test_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
