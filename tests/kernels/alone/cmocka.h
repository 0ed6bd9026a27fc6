/*
 * What the kernel tests use of cmocka, for targets whose cmocka is not at hand:
 * tests run in order, and the first that fails ends the program with 1.
 */
#ifndef TESTS_KERNELS_ALONE_CMOCKA_H
#define TESTS_KERNELS_ALONE_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
    void *initial_state;
};

#define cmocka_unit_test(function) {.name = #function, .test = (function)}

#define fail_msg(...) (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))
#define assert_true(condition) ((condition) ? (void)0 : fail_msg("%s", #condition))
#define assert_false(condition) assert_true(!(condition))
#define assert_null(pointer) assert_true((pointer) == NULL)
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_int_equal(a, b) cmocka_equal((long long)(a), (long long)(b), #a " == " #b, __FILE__, __LINE__)
#define assert_string_equal(a, b) assert_true(strcmp((a), (b)) == 0)
#define cmocka_run_group_tests_name(name, tests, setup, teardown) _cmocka_run_group_tests(name, tests, sizeof(tests) / sizeof *(tests), setup, teardown)

static inline void cmocka_equal(long long a, long long b, const char *text, const char *file, int line)
{
    if (a == b)
        return;
    fprintf(stderr, "%s:%d: %s: found %lld, expected %lld\n", file, line, text, a, b);
    exit(1);
}

static inline int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count, int (*setup)(void **state), int (*teardown)(void **state))
{
    if (setup != NULL || teardown != NULL) /* nobody uses them */
        abort();
    for (size_t i = 0; i < count; i++) {
        void *state = tests[i].initial_state;
        fprintf(stderr, "%s: %s\n", group, tests[i].name);
        if (tests[i].setup != NULL && tests[i].setup(&state) != 0)
            fail_msg("%s: no set-up", tests[i].name);
        tests[i].test(&state);
        if (tests[i].teardown != NULL && tests[i].teardown(&state) != 0)
            fail_msg("%s: no clean-up", tests[i].name);
    }
    return 0;
}

#endif
