/*
 * For the kernel tests: buffers that end where memory ends, so that a read or
 * write past them faults on every level (masked loads escape the sanitizer),
 * random values, comparisons. Each kernel of the X-macro lists has a
 * check_NAME here: a kernel that is added does not link until it has one.
 */
#ifndef TESTS_KERNELS_CHECK_H
#define TESTS_KERNELS_CHECK_H

#include "kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A check of one kernel of the level `k`; the typed ones go through all weight types. */
typedef void check_fn(const pl_kernels *k);

#define CHECK(type, name) check_fn check_##name;
PL_KERNEL_LIST(CHECK)
PL_TYPED_KERNEL_LIST(CHECK)
#undef CHECK
check_fn check_exp; /* inside softmax_step */

/* All of them, and where in the table lies what they check. */
typedef struct kernel_check {
    const char *name;
    check_fn *check;
    size_t at, bytes;
} kernel_check;
extern const kernel_check kernel_checks[];
enum {
#define COUNT(type, name) CHECK_OF_##name,
    PL_KERNEL_LIST(COUNT) PL_TYPED_KERNEL_LIST(COUNT) CHECK_OF_exp,
#undef COUNT
    CHECKS
};

/* Both tables have the very same functions there. */
bool is_same_kernel(const kernel_check *check, const pl_kernels *a, const pl_kernels *b);

/* A check of a level as a test with a name. */
typedef struct subject {
    pl_kernels kernels;
    check_fn *check;
    char name[64];
} subject;
struct CMUnitTest test_of(subject *s, const pl_kernels *kernels, const kernel_check *check);

/* A map whose last usable byte is followed by a page that faults; all are unmapped by edge_free_all. */
void *edge_bytes(size_t bytes);
float *edge_floats(size_t n); /* [n], random in [-1, 1] */
float *edge_copy(size_t n, const float *x);
void edge_free_all(void);

uint32_t random_bits(void);
float random_float(void); /* in [-1, 1] */

/* Random weights [rows, k] of a type, row_bytes apart, finite and of size about 1. */
unsigned char *random_weights(pl_dtype type, size_t rows, size_t row_bytes);

/* The same bits, or both NaN; the message names level, kernel and place. */
void assert_same(const pl_kernels *k, const char *what, size_t n, const float *got, const float *expected);

/* |got - expected| <= bound, or both NaN, or the same infinity. */
void assert_near(const pl_kernels *k, const char *what, size_t at, double got, double expected, double bound);

/* The largest error found so far of a function, printed at the end when PALI_TEST_VERBOSE is set. */
void note_error(const pl_kernels *k, const char *what, double error);

/* Lengths around every vector and block size, and the model's odd ones. */
extern const size_t lengths[];
extern const size_t length_count;

#endif
