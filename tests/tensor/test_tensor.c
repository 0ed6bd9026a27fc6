/* Sizes of types, rows and tensors, where each product can overflow; shapes as text. */
#include "tensor/tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The block sizes of the GGUF specification, written down a second time. */
static const struct {
    pl_dtype type;
    const char *name;
    size_t block, bytes;
    bool is_float;
} types[] = {
    {PL_F32, "f32", 1, 4, true},
    {PL_BF16, "bf16", 1, 2, true},
    {PL_F16, "f16", 1, 2, true},
    {PL_Q8_0, "q8_0", 32, 2 + 32, true},
    {PL_Q4_0, "q4_0", 32, 2 + 32 / 2, true},
    {PL_Q4_K, "q4_K", 256, 2 + 2 + 12 + 256 / 2, true},
    {PL_Q5_K, "q5_K", 256, 2 + 2 + 12 + 256 / 8 + 256 / 2, true},
    {PL_Q6_K, "q6_K", 256, 256 / 2 + 256 / 4 + 256 / 16 + 2, true},
    {PL_BF16_TILES, "bf16_tiles", 32, 16 * 32 * 2, false},
    {PL_Q8_TILES, "q8_tiles", 64, 16 * 64, false},
    {PL_Q8_0_TILES, "q8_0_tiles", 64, 16 * (64 + 2 * 2), false},
    {PL_Q4_0_TILES, "q4_0_tiles", 64, 16 * (64 / 2 + 2 * 2), false},
    {PL_I8, "i8", 1, 1, false},
    {PL_U8, "u8", 1, 1, false},
    {PL_I32, "i32", 1, 4, false},
    {PL_I64, "i64", 1, 8, false},
    {PL_F64, "f64", 1, 8, false},
};

static void the_table_of_types(void **state)
{
    (void)state;
    assert_int_equal(sizeof types / sizeof *types, PL_DTYPE_COUNT);
    for (size_t i = 0; i < PL_DTYPE_COUNT; i++) {
        assert_string_equal(pl_dtype_name(types[i].type), types[i].name);
        assert_int_equal(pl_dtype_block(types[i].type), types[i].block);
        assert_int_equal(pl_dtype_bytes(types[i].type), types[i].bytes);
        assert_int_equal(pl_dtype_is_float(types[i].type), types[i].is_float);
    }
    assert_string_equal(pl_dtype_name(PL_DTYPE_COUNT), "unknown");
}

static void bytes_of_rows(void **state)
{
    (void)state;
    size_t bytes;
    for (size_t i = 0; i < PL_DTYPE_COUNT; i++) {
        const size_t block = types[i].block;
        assert_true(pl_dtype_row_bytes(types[i].type, 0, &bytes) && bytes == 0);
        assert_true(pl_dtype_row_bytes(types[i].type, 3 * block, &bytes) && bytes == 3 * types[i].bytes);
        if (pl_dtype_is_tiled(types[i].type)) { /* filled up */
            assert_true(pl_dtype_row_bytes(types[i].type, 1, &bytes) && bytes == types[i].bytes);
            assert_true(pl_dtype_row_bytes(types[i].type, 3 * block - 1, &bytes) && bytes == 3 * types[i].bytes);
        } else if (block > 1) { /* a part of a block is no row */
            assert_false(pl_dtype_row_bytes(types[i].type, 1, &bytes));
            assert_false(pl_dtype_row_bytes(types[i].type, 3 * block - 1, &bytes));
        }
        const size_t most = SIZE_MAX / types[i].bytes;
        if (most <= SIZE_MAX / block) {
            assert_true(pl_dtype_row_bytes(types[i].type, most * block, &bytes) && bytes == most * types[i].bytes);
            if (types[i].bytes > 1 && most < SIZE_MAX / block)
                assert_false(pl_dtype_row_bytes(types[i].type, (most + 1) * block, &bytes));
        }
    }
}

static void counts_and_bytes_of_tensors(void **state)
{
    (void)state;
    size_t n;
    const pl_tensor scalar = {.dtype = PL_F32};
    assert_true(pl_tensor_count(&scalar, &n) && n == 1);
    assert_true(pl_tensor_bytes(&scalar, &n) && n == 4);
    const pl_tensor kernel = {.dtype = PL_BF16, .rank = 4, .shape = {1152, 3, 14, 14}};
    assert_true(pl_tensor_count(&kernel, &n) && n == 677376);
    assert_true(pl_tensor_bytes(&kernel, &n) && n == 1354752);
    const pl_tensor blocks = {.dtype = PL_Q4_K, .rank = 2, .shape = {10, 512}};
    assert_true(pl_tensor_count(&blocks, &n) && n == 5120);
    assert_true(pl_tensor_bytes(&blocks, &n) && n == 10 * 2 * 144);
    const pl_tensor split = {.dtype = PL_Q8_0, .rank = 2, .shape = {32, 10}}; /* blocks do not run on into the next row */
    assert_false(pl_tensor_bytes(&split, &n));
    const pl_tensor empty = {.dtype = PL_F32, .rank = 2, .shape = {0, 8}};
    assert_true(pl_tensor_count(&empty, &n) && n == 0);
    assert_true(pl_tensor_bytes(&empty, &n) && n == 0);
    /* No bytes, so that a file may claim it; the product of the first two axes comes round to 2^33. */
    const pl_tensor wrapping = {.dtype = PL_F32, .rank = 3, .shape = {(size_t)1 << 33, ((size_t)1 << 31) + 1, 0}};
    assert_true(pl_tensor_count(&wrapping, &n) && n == 0);
    assert_true(pl_tensor_bytes(&wrapping, &n) && n == 0);
    const pl_tensor huge = {.dtype = PL_U8, .rank = 3, .shape = {(size_t)1 << 31, (size_t)1 << 31, 4}};
    assert_false(pl_tensor_count(&huge, &n));
    assert_int_equal(n, 0);
    assert_false(pl_tensor_bytes(&huge, &n));
    const pl_tensor wide = {.dtype = PL_F64, .rank = 2, .shape = {(size_t)1 << 31, (size_t)1 << 31}}; /* counts, but has no bytes */
    assert_true(pl_tensor_count(&wide, &n) && n == (size_t)1 << 62);
    assert_false(pl_tensor_bytes(&wide, &n));
}

static void alignment_is_that_of_the_elements(void **state)
{
    (void)state;
    _Alignas(8) static const unsigned char bytes[16];
    for (size_t i = 0; i < PL_DTYPE_COUNT; i++)
        for (size_t offset = 0; offset < 8; offset++) {
            const pl_tensor tensor = {.dtype = types[i].type, .data = bytes + offset};
            const size_t need = types[i].block > 1 ? 2 : types[i].bytes;
            assert_int_equal(pl_tensor_aligned(&tensor), offset % need == 0);
        }
}

static void rows_of_a_matrix(void **state)
{
    (void)state;
    static const unsigned char bytes[1];
    const pl_tensor plain = {.dtype = PL_BF16, .rank = 2, .shape = {5, 7}, .data = bytes};
    assert_ptr_equal(pl_tensor_row(&plain, 0), bytes);
    assert_int_equal((uintptr_t)pl_tensor_row(&plain, 4) - (uintptr_t)bytes, 4 * 14);
    const pl_tensor tiled = {.dtype = PL_Q8_TILES, .rank = 2, .shape = {40, 70}, .data = bytes};
    assert_ptr_equal(pl_tensor_row(&tiled, 15), bytes);
    assert_int_equal((uintptr_t)pl_tensor_row(&tiled, 33) - (uintptr_t)bytes, 2 * 2 * 1024);
    size_t n;
    assert_true(pl_tensor_bytes(&tiled, &n) && n == 3 * 2 * 1024);
    const pl_tensor cube = {.dtype = PL_Q8_TILES, .rank = 3, .shape = {2, 16, 64}};
    assert_false(pl_tensor_bytes(&cube, &n));
    const pl_tensor blocks = {.dtype = PL_Q6_K, .rank = 2, .shape = {5, 512}, .data = bytes};
    assert_int_equal((uintptr_t)pl_tensor_row(&blocks, 3) - (uintptr_t)bytes, 3 * 420);
}

static void shapes_as_text(void **state)
{
    (void)state;
    char buf[96];
    const size_t shape[PL_MAX_RANK] = {2048, 1152, 1, 0, 14};
    assert_string_equal(pl_shape_text(shape, 0, buf), "[]");
    assert_string_equal(pl_shape_text(shape, 1, buf), "[2048]");
    assert_string_equal(pl_shape_text(shape, 2, buf), "[2048, 1152]");
    assert_string_equal(pl_shape_text(shape, 5, buf), "[2048, 1152, 1, 0, 14]");
    /* The longest there can be is cut, within the buffer and closed. */
    const size_t longest[PL_MAX_RANK] = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    for (size_t rank = 0; rank <= PL_MAX_RANK; rank++) {
        char *exact = malloc(96);
        const size_t length = strlen(pl_shape_text(longest, rank, exact));
        assert_in_range(length, 2, 95);
        assert_int_equal(exact[length - 1], ']');
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_types),
        cmocka_unit_test(bytes_of_rows),
        cmocka_unit_test(counts_and_bytes_of_tensors),
        cmocka_unit_test(alignment_is_that_of_the_elements),
        cmocka_unit_test(rows_of_a_matrix),
        cmocka_unit_test(shapes_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
