/*
 * Every kernel of every level that this processor runs, from the X-macro
 * lists, and the choice of the level. What a level has from a lesser one is
 * checked there. PALI_TEST_LEVEL names the best level the processor is expected
 * to have, and the only one to check (the emulated ones set it).
 */
#include "kernels/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS_MAX = 16, OWN_TESTS = 3 };

/* Every entry is filled: all kernels, and for weight types all typed ones. */
static void test_tables_are_full(void **state)
{
    (void)state;
    for (const char *const *level = pl_kernel_levels(); *level != NULL; level++) {
        const pl_kernels *const k = pl_kernels_get(*level, NULL), *const ref = pl_kernels_get("ref", NULL);
        assert_non_null(k);
        assert_string_equal(k->level, *level);
#define FULL(type, name) assert_true(k->name != NULL);
        PL_KERNEL_LIST(FULL)
#undef FULL
        for (pl_dtype t = 0; t < PL_DTYPE_COUNT; t++) /* as ref has them; which those are, the checks say */
#define FULL(type, name) assert_int_equal(k->name[t] != NULL, ref->name[t] != NULL);
        {
            PL_TYPED_KERNEL_LIST(FULL)
        }
#undef FULL
    }
}

static void test_levels_by_name(void **state)
{
    (void)state;
    pali_error err = {0};
    const char *const *const levels = pl_kernel_levels();
    assert_string_equal(levels[0], "ref");
    assert_null(pl_kernels_get("avx1024", &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_non_null(strstr(err.message, "avx1024"));
    for (size_t i = 0; levels[i] != NULL; i++)
        assert_non_null(strstr(err.message, levels[i]));
}

static void test_best_level_and_cap(void **state)
{
    (void)state;
    const char *const *const levels = pl_kernel_levels();
    size_t count = 0;
    while (levels[count] != NULL)
        count++;
    unsetenv("PALI_CPU");
    assert_string_equal(pl_kernels_get(NULL, NULL)->level, levels[count - 1]);
    const char *const expected = getenv("PALI_TEST_LEVEL");
    if (expected != NULL)
        assert_string_equal(levels[count - 1], expected);
    for (size_t i = 0; i < count; i++) {
        setenv("PALI_CPU", levels[i], 1);
        assert_string_equal(pl_kernels_get(NULL, NULL)->level, levels[i]);
        assert_string_equal(pl_kernels_get("ref", NULL)->level, "ref"); /* a name is not capped */
    }
#if defined(__x86_64__)
    setenv("PALI_CPU", "avx512_bf16", 1); /* above what a lesser processor has: its best */
    assert_string_equal(pl_kernels_get(NULL, NULL)->level, levels[count - 1]);
#endif
    pali_error err = {0};
    setenv("PALI_CPU", "pentium", 1);
    assert_null(pl_kernels_get(NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_non_null(strstr(err.message, "PALI_CPU"));
    assert_non_null(strstr(err.message, "ref"));
    setenv("PALI_CPU", "", 1);
    assert_non_null(pl_kernels_get(NULL, NULL));
    unsetenv("PALI_CPU");
}

/* A lesser level has the very same functions for check i. */
static bool is_checked_below(const char *const *level, size_t i)
{
    for (const char *const *lesser = pl_kernel_levels(); lesser != level; lesser++)
        if (is_same_kernel(&kernel_checks[i], pl_kernels_get(*lesser, NULL), pl_kernels_get(*level, NULL)))
            return true;
    return false;
}

int main(void)
{
    static subject subjects[LEVELS_MAX * CHECKS];
    static struct CMUnitTest tests[LEVELS_MAX * CHECKS + OWN_TESTS] = {
        cmocka_unit_test(test_tables_are_full),
        cmocka_unit_test(test_levels_by_name),
        cmocka_unit_test(test_best_level_and_cap),
    };
    const char *const only = getenv("PALI_TEST_LEVEL");
    size_t count = 0;
    for (const char *const *level = pl_kernel_levels(); *level != NULL; level++) {
        for (size_t i = 0; i < CHECKS; i++) {
            if ((only != NULL && strcmp(only, *level) != 0) || is_checked_below(level, i))
                continue;
            tests[OWN_TESTS + count] = test_of(&subjects[count], pl_kernels_get(*level, NULL), &kernel_checks[i]);
            count++;
        }
    }
    return _cmocka_run_group_tests("kernels", tests, OWN_TESTS + count, NULL, NULL);
}
