/*
 * What the tests of this room share: committed files as exact heap blocks (so
 * that a sanitizer sees a read past the end), and the rule that the values of
 * all goldens follow (make_goldens.py).
 */
#ifndef TESTS_FORMATS_SUPPORT_H
#define TESTS_FORMATS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "formats/gguf.h"
#include "formats/npz.h"
#include "formats/safetensors.h"

#define DATA "tests/formats/data/"
#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* A file of DATA in a block of exactly its size; the caller frees it. */
static inline unsigned char *load(const char *name, size_t *size)
{
    char path[300];
    pl_map map;
    pali_error err = {0};
    snprintf(path, sizeof path, DATA "%s", name);
    if (pl_map_open(&map, path, PALI_MODEL, &err) != PALI_OK)
        fail_msg("%s", err.message);
    unsigned char *bytes = malloc(map.size);
    assert_non_null(bytes);
    memcpy(bytes, map.data, map.size);
    *size = map.size;
    pl_map_close(&map);
    return bytes;
}

/* Opens bytes by the ending of the file they come from. */
static inline pl_tensor_file *open_bytes(const void *bytes, size_t size, const char *name, pali_error *err)
{
    const char *dot = strrchr(name, '.');
    if (strcmp(dot, ".npz") == 0)
        return pl_npz_open_memory(bytes, size, name, err);
    if (strcmp(dot, ".gguf") == 0)
        return pl_gguf_open_memory(bytes, size, name, err);
    return pl_safetensors_open_memory(bytes, size, name, err);
}

/* Element i of a tensor whose dtype is not quantised, wherever it stands. */
static inline double element(const pl_tensor *t, size_t i)
{
    const unsigned char *at = (const unsigned char *)t->data + i * pl_dtype_bytes(t->dtype);
    uint16_t half;
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    switch (t->dtype) {
    case PL_F32:
        memcpy(&f32, at, sizeof f32);
        return (double)f32;
    case PL_BF16:
        memcpy(&half, at, sizeof half);
        return (double)pl_bf16_to_f32(half);
    case PL_F16:
        memcpy(&half, at, sizeof half);
        return (double)pl_f16_to_f32(half);
    case PL_F64:
        memcpy(&f64, at, sizeof f64);
        return f64;
    case PL_I8:
        return (double)(int8_t)*at;
    case PL_U8:
        return (double)*at;
    case PL_I32:
        memcpy(&i32, at, sizeof i32);
        return (double)i32;
    case PL_I64:
        memcpy(&i64, at, sizeof i64);
        return (double)i64;
    default:
        fail_msg("element of %s", pl_dtype_name(t->dtype));
        return 0;
    }
}

/* A golden tensor: its name, type and shape; the values follow from the rule. */
typedef struct golden {
    const char *name;
    pl_dtype dtype;
    size_t rank, shape[PL_MAX_RANK];
} golden;

static inline void check_golden(const pl_tensor_file *file, const golden *want)
{
    pali_error err = {0};
    const pl_tensor *t = pl_tensor_file_use(file, want->name, &err);
    if (!t)
        fail_msg("%s", err.message);
    assert_int_equal(t->dtype, want->dtype);
    assert_int_equal(t->rank, want->rank);
    size_t count = 1, bytes;
    for (size_t i = 0; i < want->rank; i++) {
        assert_int_equal(t->shape[i], want->shape[i]);
        count *= want->shape[i];
    }
    assert_true(pl_tensor_bytes(t, &bytes));
    if (pl_dtype_block(t->dtype) > 1) {
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(((const unsigned char *)t->data)[i], (i * 7 + 3) % 256);
        return;
    }
    const bool floating = pl_dtype_is_float(t->dtype) || t->dtype == PL_F64;
    for (size_t i = 0; i < count; i++) {
        double expected = floating ? ((double)i - 5) / 4 : (double)i - 5;
        if (t->dtype == PL_U8 && expected < 0)
            expected += 256;
        if (element(t, i) != expected)
            fail_msg("%s[%zu]: %g, expected %g", want->name, i, element(t, i), expected);
    }
}

/* Fails unless `name` is listed, cannot be used, and says why in these words. */
static inline void check_problem(const pl_tensor_file *file, const char *name, const char *words)
{
    pali_error err = {0};
    const pl_named_tensor *listed = pl_tensor_file_find(file, name);
    assert_non_null(listed);
    assert_null(listed->tensor.data);
    assert_null(pl_tensor_file_use(file, name, &err));
    assert_int_equal(err.status, PALI_MODEL);
    if (!strstr(err.message, words) || !strstr(err.message, name))
        fail_msg("found \"%s\", expected \"%s\"", err.message, words);
}

#endif
