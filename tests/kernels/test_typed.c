/*
 * unpack, pack and skinny for every weight type: unpacking to the bit against
 * ref, and ref against values made by the gguf package (make_quant_golden.py);
 * skinny against a sum in double.
 */
#include "base/file.h"
#include "base/memory.h"
#include "kernels/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GOLDEN_VALUES = 512 };

/* Lengths a row of the type can have, from `lengths`: rounded up to whole blocks. */
static size_t row_length(pl_dtype type, size_t n)
{
    const size_t block = pl_dtype_block(type);
    return pl_dtype_is_tiled(type) ? n : (n + block - 1) / block * block;
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

void check_unpack_group(const pl_kernels *k)
{
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        assert_int_equal(k->unpack_group[type] != NULL, pl_dtype_is_tiled(type));
        for (size_t i = 0; k->unpack_group[type] != NULL && i < length_count; i++) {
            const size_t n = lengths[i], stride = n + i % 3, size = (PL_TILE_ROWS - 1) * stride + n;
            const unsigned char *const w = random_weights(type, 1, bytes_of_row(type, n));
            float *const got = edge_floats(size), *const expected = edge_copy(size, got); /* what lies between the rows stays */
            k->unpack_group[type](n, w, got, stride);
            for (size_t r = 0; r < PL_TILE_ROWS; r++)
                pl_read_row(type, w, 0, r, 0, n, expected + r * stride);
            assert_same(k, pl_dtype_name(type), size, got, expected);
            edge_free_all();
        }
    }
}

static bool is_weight(pl_dtype type)
{
    return pl_dtype_is_float(type) || pl_dtype_is_tiled(type);
}

/* Weights [rows, n], whole groups of them if they are tiled. */
static unsigned char *some_weights(pl_dtype type, size_t rows, size_t n)
{
    return random_weights(type, (rows + pl_dtype_rows(type) - 1) / pl_dtype_rows(type), bytes_of_row(type, n));
}

static void check_pack_size(const pl_kernels *k, pl_dtype type, size_t rows, size_t n)
{
    const size_t wide = k->panel_columns, columns = pl_max(wide, pl_dtype_rows(type)), row_bytes = bytes_of_row(type, n);
    const unsigned char *const w = some_weights(type, rows, n);
    float *const panels = edge_floats(n * columns), *const row = edge_floats(n);
    k->pack[type](rows, n, w, row_bytes, panels);
    const size_t filled = pl_dtype_is_tiled(type) ? pl_min(columns, (rows + PL_TILE_ROWS - 1) / PL_TILE_ROWS * PL_TILE_ROWS) : rows; /* a group's missing rows are its own */
    for (size_t r = 0; r < columns; r++) {
        if (r < filled)
            pl_read_row(type, w, row_bytes, r, 0, n, row);
        else
            memset(row, 0, n * sizeof *row);
        for (size_t i = 0; i < n; i++)
            assert_same(k, "pack", 1, panels + r / wide * wide * n + i * wide + r % wide, row + i);
    }
    edge_free_all();
}

void check_pack(const pl_kernels *k)
{
    assert_true(k->panel_columns <= PL_PANEL_MAX && k->panel_columns % 8 == 0 && k->panel_columns > 0);
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        assert_int_equal(k->pack[type] != NULL, is_weight(type));
        const size_t columns = pl_max(k->panel_columns, pl_dtype_rows(type));
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

/* Each output to 2^-20 of the sum of its terms' sizes, and the same bits whatever the rows beside it. */
static void check_skinny_size(const pl_kernels *k, pl_dtype type, size_t m, size_t rows, size_t n)
{
    const size_t row_bytes = bytes_of_row(type, n), x_stride = n + m % 3, y_stride = rows + m % 2, y_size = (m - 1) * y_stride + rows;
    const unsigned char *const w = some_weights(type, rows, n);
    const float *const x = edge_floats((m - 1) * x_stride + n);
    float *const start = edge_floats(y_size), *const y = edge_copy(y_size, start), *const fresh = edge_floats(rows), *const row = edge_floats(n);
    k->skinny[type](m, rows, n, w, row_bytes, x, x_stride, y, y_stride, true);
    for (size_t t = 0; t < m; t++) {
        k->skinny[type](1, rows, n, w, row_bytes, x + t * x_stride, 0, fresh, 0, false);
        for (size_t r = 0; r < rows; r++) {
            const size_t at = t * y_stride + r;
            double sum = (double)start[at], size = fabs(sum);
            pl_read_row(type, w, row_bytes, r, 0, n, row);
            for (size_t i = 0; i < n; i++) {
                sum += (double)row[i] * (double)x[t * x_stride + i];
                size += fabs((double)row[i] * (double)x[t * x_stride + i]);
            }
            assert_near(k, "skinny", at, (double)y[at], sum, 0x1p-20 * size);
            assert_near(k, "skinny without accumulation", r, (double)fresh[r], sum - (double)start[at], 0x1p-20 * size);
        }
    }
    for (size_t r = 0; r < rows; r += pl_dtype_rows(type)) /* one row (or group) and one input at a time */
        for (size_t t = 0; t < m; t++) {
            const size_t at = t * y_stride + r, some = pl_min(pl_dtype_rows(type), rows - r);
            k->skinny[type](1, some, n, w + r / pl_dtype_rows(type) * row_bytes, row_bytes, x + t * x_stride, 0, start + at, 0, true);
            assert_same(k, "skinny piece by piece", some, start + at, y + at);
        }
    edge_free_all();
}

void check_skinny(const pl_kernels *k)
{
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        assert_int_equal(k->skinny[type] != NULL, is_weight(type));
        for (size_t i = 0; k->skinny[type] != NULL && i < length_count; i++)
            check_skinny_size(k, type, 1 + i % 7 * (i % 5), 1 + i % 9 + i % 4 * 13, row_length(type, lengths[i]));
    }
}
