/*
 * unpack, pack and gemv for every weight type: unpacking to the bit against
 * ref, and ref against values made by the gguf package (make_quant_golden.py);
 * gemv against a sum in double.
 */
#include "base/file.h"
#include "kernels/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GOLDEN_VALUES = 512 };

/* Lengths a row of the type can have, from `lengths`: rounded up to whole blocks. */
static size_t row_length(pl_dtype type, size_t n)
{
    const size_t block = pl_dtype_block(type);
    return (n + block - 1) / block * block;
}

static size_t bytes_of_row(pl_dtype type, size_t n)
{
    size_t bytes = 0;
    assert_true(pl_dtype_row_bytes(type, n, &bytes));
    return bytes;
}

static const pl_kernels *reference(void)
{
    return pl_kernels_get("ref", NULL);
}

static void check_unpack_golden(const pl_kernels *k)
{
    size_t size = 0, at = 0;
    char *const file = pl_file_read("tests/kernels/data/quants.bin", 1 << 20, &size, PALI_INPUT, NULL);
    assert_non_null(file);
    for (pl_dtype type = PL_Q8_0; type <= PL_Q6_K; type++) {
        const size_t bytes = bytes_of_row(type, GOLDEN_VALUES);
        float got[GOLDEN_VALUES], expected[GOLDEN_VALUES];
        assert_true(at + bytes + sizeof expected <= size);
        k->unpack[type](GOLDEN_VALUES, file + at, got);
        memcpy(expected, file + at + bytes, sizeof expected);
        assert_same(k, pl_dtype_name(type), GOLDEN_VALUES, got, expected);
        at += bytes + sizeof expected;
    }
    assert_int_equal(at, size);
    free(file);
}

/* All 65,536 values of a 16-bit type, NaN as any NaN. */
static void check_unpack_all(const pl_kernels *k, pl_dtype type)
{
    enum { ALL = 65536 };
    uint16_t *const packed = malloc(ALL * sizeof *packed);
    float *const got = malloc(ALL * sizeof *got), *const expected = malloc(ALL * sizeof *expected);
    for (size_t i = 0; i < ALL; i++) {
        packed[i] = (uint16_t)i;
        expected[i] = type == PL_BF16 ? pl_bf16_to_f32((uint16_t)i) : pl_f16_to_f32((uint16_t)i);
    }
    k->unpack[type](ALL, packed, got);
    assert_same(k, pl_dtype_name(type), ALL, got, expected);
    free(packed);
    free(got);
    free(expected);
}

void check_unpack(const pl_kernels *k)
{
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        assert_int_equal(k->unpack[type] != NULL, pl_dtype_is_float(type));
        for (size_t i = 0; k->unpack[type] != NULL && i < length_count; i++) {
            const size_t n = row_length(type, lengths[i]);
            const unsigned char *const w = random_weights(type, 1, bytes_of_row(type, n));
            float *const got = edge_floats(n), *const expected = edge_floats(n);
            k->unpack[type](n, w, got);
            reference()->unpack[type](n, w, expected);
            assert_same(k, pl_dtype_name(type), n, got, expected);
            edge_free_all();
        }
    }
    check_unpack_all(k, PL_BF16);
    check_unpack_all(k, PL_F16);
    check_unpack_golden(k);
}

static void check_pack_size(const pl_kernels *k, pl_dtype type, size_t rows, size_t n)
{
    const size_t columns = k->panel_columns, row_bytes = bytes_of_row(type, n);
    const unsigned char *const w = random_weights(type, rows, row_bytes);
    float *const panel = edge_floats(n * columns), *const row = edge_floats(n);
    k->pack[type](rows, n, w, row_bytes, panel);
    for (size_t r = 0; r < columns; r++) {
        if (r < rows)
            reference()->unpack[type](n, w + r * row_bytes, row);
        else
            memset(row, 0, n * sizeof *row);
        for (size_t i = 0; i < n; i++)
            assert_same(k, "pack", 1, panel + i * columns + r, row + i);
    }
    edge_free_all();
}

void check_pack(const pl_kernels *k)
{
    const size_t columns = k->panel_columns;
    assert_true(columns <= PL_PANEL_MAX && columns % 8 == 0 && columns > 0 && k->panel_rows > 0);
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        assert_int_equal(k->pack[type] != NULL, pl_dtype_is_float(type));
        for (size_t i = 0; k->pack[type] != NULL && i < length_count; i++) {
            const size_t n = row_length(type, lengths[i]);
            check_pack_size(k, type, columns, n);
            check_pack_size(k, type, 1, n);
            check_pack_size(k, type, columns / 2 + 1, n);
        }
        for (size_t rows = 1; k->pack[type] != NULL && rows <= columns; rows++)
            check_pack_size(k, type, rows, row_length(type, 33));
    }
}

/* Each row to 2^-20 of the sum of its terms' sizes, and the same bits whatever the rows beside it. */
static void check_gemv_size(const pl_kernels *k, pl_dtype type, size_t rows, size_t n)
{
    const size_t row_bytes = bytes_of_row(type, n);
    const unsigned char *const w = random_weights(type, rows, row_bytes);
    const float *const x = edge_floats(n);
    float *const start = edge_floats(rows), *const y = edge_copy(rows, start), *const row = edge_floats(n);
    k->gemv[type](rows, n, w, row_bytes, x, y, true);
    for (size_t r = 0; r < rows; r++) {
        double sum = (double)start[r], size = fabs(sum);
        reference()->unpack[type](n, w + r * row_bytes, row);
        for (size_t i = 0; i < n; i++) {
            sum += (double)row[i] * (double)x[i];
            size += fabs((double)row[i] * (double)x[i]);
        }
        assert_near(k, "gemv", r, (double)y[r], sum, 0x1p-20 * size);
        float alone = start[r];
        k->gemv[type](1, n, w + r * row_bytes, row_bytes, x, &alone, true);
        assert_same(k, "gemv of one row", 1, &alone, y + r);
        k->gemv[type](1, n, w + r * row_bytes, row_bytes, x, &alone, false);
        assert_near(k, "gemv without accumulation", r, (double)alone, sum - (double)start[r], 0x1p-20 * size);
    }
    edge_free_all();
}

void check_gemv(const pl_kernels *k)
{
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        assert_int_equal(k->gemv[type] != NULL, pl_dtype_is_float(type));
        for (size_t i = 0; k->gemv[type] != NULL && i < length_count; i++)
            check_gemv_size(k, type, 1 + i % 9, row_length(type, lengths[i]));
    }
}
