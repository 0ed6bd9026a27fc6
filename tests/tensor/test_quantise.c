/* Quantising against ggml's own package, bit for bit; tiles there and back; what does not fit is refused. */
#include "base/file.h"
#include "tensor/quantise.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VALUES = 2048 };

/* tests/tensor/data/quantise.bin: the values, then what each type makes of them. */
static void test_golden(void **state)
{
    (void)state;
    static const pl_dtype types[] = {PL_Q8_0, PL_Q4_0, PL_BF16, PL_F16};
    pl_map map;
    pali_error err = {0};
    assert_int_equal(pl_map_open(&map, "tests/tensor/data/quantise.bin", PALI_INPUT, &err), PALI_OK);
    float *values = malloc(VALUES * sizeof *values);
    memcpy(values, map.data, VALUES * sizeof *values);
    size_t at = VALUES * sizeof *values;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        size_t bytes;
        assert_true(pl_dtype_row_bytes(types[t], VALUES, &bytes));
        unsigned char *row = malloc(bytes);
        assert_true(pl_quantise_row(types[t], VALUES, values, row));
        for (size_t i = 0; i < bytes; i++)
            if (row[i] != map.data[at + i])
                fail_msg("%s: byte %zu: found %d, expected %d", pl_dtype_name(types[t]), i, row[i], map.data[at + i]);
        free(row);
        at += bytes;
    }
    assert_int_equal(at, map.size);
    free(values);
    pl_map_close(&map);
}

/* Rows of random bytes come back from tiles as they went in, at every count of rows and odd widths. */
static void test_tiles(void **state)
{
    (void)state;
    static const pl_dtype types[] = {PL_BF16_TILES, PL_Q8_TILES, PL_Q8_0_TILES, PL_Q4_0_TILES};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const pl_dtype type = types[t], plain = pl_dtype_untiled(type);
        const bool blocks = pl_dtype_block(plain) > 1;
        for (size_t rows = 1; rows <= PL_TILE_ROWS; rows += 5) {
            for (size_t n = blocks ? 32 : 1; n < 200; n += blocks ? 32 : 7) {
                size_t row_bytes = 0, group_bytes = 0;
                assert_true(pl_dtype_row_bytes(plain, n, &row_bytes) && pl_dtype_row_bytes(type, n, &group_bytes));
                unsigned char *w = malloc(rows * row_bytes), *group = malloc(group_bytes), *back = malloc(row_bytes);
                for (size_t i = 0; i < rows * row_bytes; i++)
                    w[i] = (unsigned char)(rand() >> 7);
                pl_tile_rows(type, rows, n, w, row_bytes, group);
                for (size_t r = 0; r < rows; r++) {
                    pl_untile_row(type, group, r, n, back);
                    assert_memory_equal(back, w + r * row_bytes, row_bytes);
                }
                free(w);
                free(group);
                free(back);
            }
        }
    }
}

static void test_codes(void **state)
{
    (void)state;
    float x[5] = {0.5f, -2, 1, 0, 1.99f}, scale;
    int8_t codes[5];
    assert_true(pl_quantise_codes(5, x, codes, &scale));
    assert_true(scale == 2.0f / 127);
    static const int8_t expected[5] = {32, -127, 64, 0, 126};
    assert_memory_equal(codes, expected, 5);
    memset(x, 0, sizeof x);
    assert_true(pl_quantise_codes(5, x, codes, &scale));
    assert_true(scale == 0 && codes[1] == 0);
    x[2] = INFINITY;
    assert_false(pl_quantise_codes(5, x, codes, &scale));
    x[2] = NAN;
    assert_false(pl_quantise_codes(5, x, codes, &scale));
}

static void test_refused(void **state)
{
    (void)state;
    float x[32] = {0};
    unsigned char row[128];
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e9f};
    for (size_t i = 0; i < 4; i++) {
        x[7] = bad[i];
        assert_false(pl_quantise_row(PL_Q8_0, 32, x, row));
        assert_false(pl_quantise_row(PL_Q4_0, 32, x, row));
        assert_true(pl_quantise_row(PL_BF16, 32, x, row));
        assert_true(pl_quantise_row(PL_F16, 32, x, row) == (i < 3)); /* infinity stays what it is */
    }
    x[7] = 1e-42f; /* no inverse */
    assert_true(pl_quantise_row(PL_Q8_0, 32, x, row));
    assert_true(pl_quantise_row(PL_Q4_0, 32, x, row));
    assert_false(pl_quantise_row(PL_Q4_K, 32, x, row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("quantise", tests, NULL, NULL);
}
