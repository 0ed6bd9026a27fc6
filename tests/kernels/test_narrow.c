/*
 * Products of bf16 and int8 and what prepares their operands: rounding, codes
 * and planes against their definitions, tiles to the bit against ref, products
 * against sums in double of the very operands.
 */
#include "base/memory.h"
#include "kernels/check.h"

#include <math.h>
#include <string.h>

/* Of a sum in f32 of products in bf16: half a unit in the last place of each of some chain's steps. */
static const double chain_bound = 0x1p-18;

static uint16_t *edge_halves(size_t n)
{
    return edge_bytes(n * sizeof(uint16_t));
}

static const pl_kernels *reference(void)
{
    return pl_kernels_get("ref", NULL);
}

void check_to_bf16(const pl_kernels *k)
{
    for (size_t i = 0; i < length_count; i++) {
        const size_t n = lengths[i], filled = pl_round_up(n, PL_TILE_BF16);
        float *const x = edge_floats(n);
        if (n > 3) {
            x[0] = NAN;
            x[1] = -INFINITY;
            x[2] = 1 + 0x1p-8f; /* a tie */
        }
        uint16_t *const y = edge_halves(filled);
        memset(y, 0xff, filled * sizeof *y);
        k->to_bf16(n, x, y);
        for (size_t j = 0; j < filled; j++) {
            const float got = pl_bf16_to_f32(y[j]), expected = j < n ? pl_bf16_to_f32(pl_f32_to_bf16(x[j])) : 0;
            assert_same(k, "to_bf16", 1, &got, &expected);
        }
        edge_free_all();
    }
}

/* scale * codes is within half a unit of x, and zeros follow; `unit`: what 1 in y stands for. */
static void check_codes(const pl_kernels *k, const char *what, size_t n, const float *x, const double *y, size_t filled, float scale, double most_code)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    assert_near(k, what, 0, (double)scale * most_code, most, 1e-6 * most);
    for (size_t i = 0; i < filled; i++)
        assert_near(k, what, i, y[i] * (double)scale, i < n ? (double)x[i] : 0, 0.5 * (double)scale + 0x1p-22 * most);
}

void check_to_i8(const pl_kernels *k)
{
    for (size_t i = 0; i < length_count; i++) {
        const size_t n = lengths[i], filled = pl_round_up(n, PL_TILE_I8);
        float *const x = edge_floats(n);
        int8_t *const y = edge_bytes(filled);
        double *const codes = edge_bytes(filled * sizeof *codes);
        const float scale = k->to_i8(n, x, y);
        for (size_t j = 0; j < filled; j++)
            codes[j] = y[j];
        check_codes(k, "to_i8", n, x, codes, filled, scale, 127);
        if (n > 0) {
            x[n / 2] = NAN;
            assert_true(isnan(k->to_i8(n, x, y)));
            x[n / 2] = INFINITY;
            assert_true(isnan(k->to_i8(n, x, y)));
            memset(x, 0, n * sizeof *x);
            assert_true(k->to_i8(n, x, y) == 0);
            assert_int_equal(y[n - 1], 0);
        }
        edge_free_all();
    }
}

void check_to_planes(const pl_kernels *k)
{
    for (size_t i = 0; i < length_count; i++) {
        const size_t n = lengths[i], filled = pl_round_up(n, PL_TILE_I8);
        float *const x = edge_floats(n);
        int8_t *const high = edge_bytes(filled), *const low = edge_bytes(filled);
        double *const codes = edge_bytes(filled * sizeof *codes);
        const float scale = k->to_planes(n, x, high, low);
        for (size_t j = 0; j < filled; j++)
            codes[j] = 256 * high[j] + low[j];
        check_codes(k, "to_planes", n, x, codes, filled, scale, 127 * 256);
        if (n > 0) {
            x[n - 1] = NAN;
            assert_true(isnan(k->to_planes(n, x, high, low)));
            x[n - 1] = -INFINITY;
            assert_true(isnan(k->to_planes(n, x, high, low)));
        }
        edge_free_all();
    }
}

/* Rows the weights of a type have in memory: whole groups. */
static unsigned char *some_weights(pl_dtype type, size_t rows, size_t n, size_t *row_bytes)
{
    assert_true(pl_dtype_row_bytes(type, n, row_bytes));
    return random_weights(type, (rows + pl_dtype_rows(type) - 1) / pl_dtype_rows(type), *row_bytes);
}

/* n rounded up to what a row of the type can have. */
static size_t row_length(pl_dtype type, size_t n)
{
    const size_t block = pl_dtype_block(type);
    return pl_dtype_is_tiled(type) ? n : (n + block - 1) / block * block;
}

static bool is_weight(pl_dtype type)
{
    return pl_dtype_is_float(type) || pl_dtype_is_tiled(type);
}

static void check_pack_bf16_size(const pl_kernels *k, pl_dtype type, size_t rows, size_t n)
{
    size_t row_bytes;
    const unsigned char *const w = some_weights(type, rows, n, &row_bytes);
    const size_t values = pl_round_up(n, PL_TILE_BF16) * PL_TILE_ROWS;
    uint16_t *const got = edge_halves(values), *const expected = edge_halves(values);
    k->pack_bf16[type](rows, n, w, row_bytes, got);
    reference()->pack_bf16[type](rows, n, w, row_bytes, expected);
    if (memcmp(got, expected, values * sizeof *got) != 0)
        fail_msg("%s pack_bf16 of %s: %zu rows of %zu differ from ref", k->level, pl_dtype_name(type), rows, n);
    float *const row = edge_floats(n);
    for (size_t r = 0; r < PL_TILE_ROWS; r++) { /* and ref from its definition */
        pl_read_row(type, w, row_bytes, r < rows ? r : 0, 0, n, row);
        for (size_t i = 0; i < pl_round_up(n, PL_TILE_BF16); i++)
            assert_int_equal(expected[i / 2 * 32 + 2 * r + i % 2], r < rows && i < n ? pl_f32_to_bf16(row[i]) : 0);
    }
    edge_free_all();
}

/* What is not finite stays so, a NaN of all bits too; what rounds up to infinity does. */
static void check_pack_bf16_odd_values(const pl_kernels *k)
{
    const uint32_t bits[] = {0x7fffffff, 0xffffffff, 0x7f800001, 0x7f800000, 0xff800000, 0x7f7fffff, 0x80000000, 0x00008000};
    enum { COUNT = sizeof bits / sizeof *bits };
    uint16_t *const tiles = edge_halves(PL_TILE_BF16 * PL_TILE_ROWS), *const columns = edge_halves(PL_TILE_BF16 * PL_TILE_ROWS);
    float *const row = edge_floats(COUNT), *const column = edge_floats(COUNT * 2);
    memcpy(row, bits, sizeof bits);
    for (size_t i = 0; i < COUNT; i++)
        column[2 * i] = row[i];
    k->pack_bf16[PL_F32](1, COUNT, row, sizeof bits, tiles);
    k->pack_columns_bf16(1, COUNT, column, 2, columns);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tiles[i / 2 * 32 + i % 2], pl_f32_to_bf16(row[i]));
        assert_int_equal(columns[i / 2 * 32 + i % 2], pl_f32_to_bf16(row[i]));
    }
    edge_free_all();
}

void check_pack_bf16(const pl_kernels *k)
{
    check_pack_bf16_odd_values(k);
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        assert_int_equal(k->pack_bf16[type] != NULL, is_weight(type));
        for (size_t i = 0; k->pack_bf16[type] != NULL && i < length_count; i++)
            if (lengths[i] < 1300)
                check_pack_bf16_size(k, type, 1 + i * 5 % PL_TILE_ROWS, row_length(type, lengths[i]));
        if (k->pack_bf16[type] != NULL)
            check_pack_bf16_size(k, type, PL_TILE_ROWS, row_length(type, 588));
    }
}

static void check_pack_i8_size(const pl_kernels *k, pl_dtype type, size_t rows, size_t n)
{
    size_t row_bytes;
    const unsigned char *const w = some_weights(type, rows, n, &row_bytes);
    const size_t filled = pl_round_up(n, PL_TILE_I8);
    int8_t *const tiles = edge_bytes(filled * PL_TILE_ROWS);
    float *const scale = edge_floats(PL_TILE_ROWS), *const row = edge_floats(n);
    double *const codes = edge_bytes(filled * sizeof *codes);
    k->pack_i8[type](rows, n, w, row_bytes, tiles, scale);
    for (size_t r = 0; r < PL_TILE_ROWS; r++) {
        for (size_t i = 0; i < filled; i++)
            codes[i] = tiles[i / 4 * 64 + 4 * r + i % 4];
        memset(row, 0, n * sizeof *row);
        if (r < rows)
            pl_read_row(type, w, row_bytes, r, 0, n, row);
        check_codes(k, "pack_i8", n, row, codes, filled, scale[r], 127);
    }
    edge_free_all();
}

/* A row that holds what is not finite gets a scale that is not; its neighbour is as without it. */
static void check_pack_i8_odd_values(const pl_kernels *k)
{
    enum { N = 70 };
    float *const w = edge_floats(2 * N), *const scale = edge_floats(PL_TILE_ROWS);
    int8_t *const tiles = edge_bytes(128 * PL_TILE_ROWS);
    for (int i = 0; i < 3; i++) {
        w[7] = i == 0 ? NAN : i == 1 ? -INFINITY : INFINITY;
        w[N] = -1;
        k->pack_i8[PL_F32](2, N, w, N * sizeof *w, tiles, scale);
        assert_false(isfinite(scale[0]));
        assert_near(k, "pack_i8 beside NaN", 0, (double)scale[1], 1 / 127.0, 1e-8);
        assert_int_equal(tiles[4], -127);
    }
    edge_free_all();
}

void check_pack_i8(const pl_kernels *k)
{
    check_pack_i8_odd_values(k);
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        assert_int_equal(k->pack_i8[type] != NULL, is_weight(type));
        for (size_t i = 0; k->pack_i8[type] != NULL && i < length_count; i++)
            if (lengths[i] < 1300)
                check_pack_i8_size(k, type, 1 + i * 5 % PL_TILE_ROWS, row_length(type, lengths[i]));
    }
}

void check_pack_columns_bf16(const pl_kernels *k)
{
    for (size_t columns = 1; columns <= PL_TILE_ROWS; columns++) {
        const size_t n = columns * 11 % 67, stride = columns + columns % 3, values = pl_round_up(n, PL_TILE_BF16) * PL_TILE_ROWS;
        const float *const b = edge_floats(n > 0 ? (n - 1) * stride + columns : 0);
        uint16_t *const tiles = edge_halves(values);
        k->pack_columns_bf16(columns, n, b, stride, tiles);
        for (size_t i = 0; i < values / PL_TILE_ROWS; i++)
            for (size_t j = 0; j < PL_TILE_ROWS; j++)
                assert_int_equal(tiles[i / 2 * 32 + 2 * j + i % 2], i < n && j < columns ? pl_f32_to_bf16(b[i * stride + j]) : 0);
        edge_free_all();
    }
}

void check_transpose_bf16(const pl_kernels *k)
{
    enum { MOST = 70, GAP = 0x1234 };
    for (size_t rows = 0; rows <= MOST; rows++) {
        const size_t columns = 1 + rows * 7 % 41, x_stride = columns + rows % 3, filled = pl_round_up(rows, PL_TILE_BF16), y_stride = filled + rows % 2;
        const size_t size = (columns - 1) * y_stride + filled;
        const float *const x = edge_floats(rows > 0 ? (rows - 1) * x_stride + columns : 0);
        uint16_t *const y = edge_halves(size);
        for (size_t i = 0; i < size; i++)
            y[i] = GAP;
        k->transpose_bf16(rows, columns, x, x_stride, y, y_stride);
        for (size_t i = 0; i < size; i++) {
            const size_t c = i / y_stride, r = i % y_stride;
            assert_int_equal(y[i], r < rows ? pl_f32_to_bf16(x[r * x_stride + c]) : r < filled ? 0 : GAP);
        }
        edge_free_all();
    }
}

/* Operands of a product: a [m, k] and columns of tiles, filled up as the contract says. */
static void fill_bf16(size_t rows, size_t k, size_t filled, uint16_t *a)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < filled; i++)
            a[r * filled + i] = i < k ? pl_f32_to_bf16(random_float()) : 0;
}

static void check_gemm_bf16_size(const pl_kernels *t, size_t m, size_t n, size_t k, bool accumulate)
{
    const size_t filled = pl_round_up(k, PL_TILE_BF16), tile_stride = filled * PL_TILE_ROWS, columns = (n + 15) / 16;
    const size_t c_stride = n + m % 3, c_size = (m - 1) * c_stride + n;
    uint16_t *const a = edge_halves(m * filled), *const tiles = edge_halves(columns * tile_stride);
    fill_bf16(m, k, filled, a);
    for (size_t j = 0; j < columns * 16; j++)
        for (size_t i = 0; i < filled; i++)
            tiles[j / 16 * tile_stride + i / 2 * 32 + 2 * (j % 16) + i % 2] = i < k ? pl_f32_to_bf16(random_float()) : 0;
    float *const got = edge_floats(c_size), *const start = edge_copy(c_size, got);
    const pl_ahead ahead = {.at = tiles, .bytes = 100, .runs = columns, .stride = 2 * tile_stride}; /* has no effect */
    t->gemm_bf16(m, n, k, a, filled, tiles, tile_stride, got, c_stride, accumulate, m % 2 ? &ahead : NULL);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < c_stride && i * c_stride + j < c_size; j++) {
            const size_t at = i * c_stride + j;
            if (j >= n) {
                assert_same(t, "gemm_bf16 between rows", 1, got + at, start + at);
                continue;
            }
            double sum = accumulate ? (double)start[at] : 0, size = fabs(sum);
            for (size_t p = 0; p < k; p++) {
                const double term = (double)pl_bf16_to_f32(a[i * filled + p]) * (double)pl_bf16_to_f32(tiles[j / 16 * tile_stride + p / 2 * 32 + 2 * (j % 16) + p % 2]);
                sum += term;
                size += fabs(term);
            }
            assert_near(t, "gemm_bf16", at, (double)got[at], sum, chain_bound * size);
        }
    }
    /* A row and a column of tiles alone, and k cut between blocks, give the same bits. */
    float *const again = edge_copy(c_size, start);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j += 16) {
            const size_t cut = pl_min(k, filled / 2 / PL_TILE_BF16 * PL_TILE_BF16), width = pl_min(16, n - j);
            const uint16_t *const column = tiles + j / 16 * tile_stride;
            t->gemm_bf16(1, width, cut, a + i * filled, filled, column, 0, again + i * c_stride + j, c_stride, accumulate, NULL);
            t->gemm_bf16(1, width, k - cut, a + i * filled + cut, filled, column + cut * 16, 0, again + i * c_stride + j, c_stride, true, NULL);
        }
    assert_same(t, "gemm_bf16 in pieces", c_size, again, got);
    edge_free_all();
}

void check_gemm_bf16(const pl_kernels *t)
{
    static const size_t ks[] = {1, 2, 31, 32, 33, 72, 128, 588};
    for (size_t m = 1; m <= 50; m += m < 20 ? 1 : 13)
        for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
            check_gemm_bf16_size(t, m, 1 + (m * 7 + i * 13) % 70, ks[i], (m + i) % 2 == 0);
    check_gemm_bf16_size(t, 37, 64, 4304, true);
}

static void check_gemm_i8_size(const pl_kernels *t, size_t m, size_t n, size_t k, bool accumulate)
{
    const size_t filled = pl_round_up(k, PL_TILE_I8), tile_stride = filled * PL_TILE_ROWS, columns = (n + 15) / 16;
    const size_t c_stride = n + m % 3, c_size = (m - 1) * c_stride + n;
    int8_t *const a = edge_bytes(m * filled), *const tiles = edge_bytes(columns * tile_stride);
    for (size_t i = 0; i < m * filled; i++)
        a[i] = i % filled < k ? (int8_t)(i % 11 == 0 ? -128 : (int)(random_bits() >> 24) - 128) : 0; /* low planes reach -128 */
    for (size_t j = 0; j < columns * 16; j++)
        for (size_t i = 0; i < filled; i++)
            tiles[j / 16 * tile_stride + i / 4 * 64 + 4 * (j % 16) + i % 4] = (int8_t)(i < k ? (int)(random_bits() >> 24) % 255 - 127 : 0);
    const float *const a_scale = edge_floats(m), *const b_scale = m % 2 ? edge_floats(n) : NULL;
    float *const got = edge_floats(c_size), *const start = edge_copy(c_size, got);
    const pl_ahead ahead = {.at = tiles, .bytes = 1000, .runs = 1};
    t->gemm_i8(m, n, k, a, filled, a_scale, tiles, tile_stride, b_scale, got, c_stride, accumulate, m % 2 ? &ahead : NULL);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            int32_t sum = 0;
            for (size_t p = 0; p < k; p++)
                sum += a[i * filled + p] * tiles[j / 16 * tile_stride + p / 4 * 64 + 4 * (j % 16) + p % 4];
            const double product = (double)a_scale[i] * (b_scale ? (double)b_scale[j] : 1) * sum, from = accumulate ? (double)start[i * c_stride + j] : 0;
            assert_near(t, "gemm_i8", i * c_stride + j, (double)got[i * c_stride + j], from + product, 0x1p-22 * (fabs(from) + fabs(product)));
        }
    }
    for (size_t i = 0; i + 1 < m; i++)
        assert_same(t, "gemm_i8 between rows", c_stride - n, got + i * c_stride + n, start + i * c_stride + n);
    edge_free_all();
}

void check_gemm_i8(const pl_kernels *t)
{
    static const size_t ks[] = {1, 4, 63, 64, 65, 72, 588};
    for (size_t m = 1; m <= 50; m += m < 20 ? 1 : 13)
        for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
            check_gemm_i8_size(t, m, 1 + (m * 7 + i * 13) % 70, ks[i], (m + i) % 2 == 0);
    check_gemm_i8_size(t, 3, 17, PL_I8_SLICE, true);
}

/* The values of the weights times those that the planes stand for. */
static void check_skinny_i8_size(const pl_kernels *k, pl_dtype type, size_t m, size_t rows, size_t n)
{
    size_t row_bytes;
    const unsigned char *const w = some_weights(type, rows, n, &row_bytes);
    const size_t stride = pl_round_up(n, PL_TILE_I8), y_stride = rows + m % 3, y_size = (m - 1) * y_stride + rows;
    int8_t *const planes = edge_bytes(2 * m * stride);
    float *const x = edge_floats(n), *const scale = edge_floats(m), *const row = edge_floats(n);
    float *const y = edge_floats(y_size), *const start = edge_copy(y_size, y);
    for (size_t t = 0; t < m; t++) {
        for (size_t i = 0; i < n; i++)
            x[i] = random_float();
        scale[t] = reference()->to_planes(n, x, planes + 2 * t * stride, planes + (2 * t + 1) * stride);
    }
    k->skinny_i8[type](m, rows, n, w, row_bytes, planes, stride, scale, y, y_stride, true);
    for (size_t r = 0; r < rows; r++) {
        pl_read_row(type, w, row_bytes, r, 0, n, row);
        for (size_t t = 0; t < m; t++) {
            const int8_t *const high = planes + 2 * t * stride, *const low = high + stride;
            double sum = 0, size = 0;
            for (size_t i = 0; i < n; i++) {
                const double term = (double)row[i] * (256 * high[i] + low[i]) * (double)scale[t];
                sum += term;
                size += fabs(term);
            }
            const size_t at = t * y_stride + r;
            assert_near(k, "skinny_i8", at, (double)y[at], (double)start[at] + sum, 0x1p-20 * (size + fabs((double)start[at])));
        }
    }
    for (size_t t = 0; t < m; t++) { /* a row of x alone gives the same bits */
        k->skinny_i8[type](1, rows, n, w, row_bytes, planes + 2 * t * stride, stride, scale + t, start + t * y_stride, 0, true);
        assert_same(k, "skinny_i8 of one row of x", rows, start + t * y_stride, y + t * y_stride);
    }
    edge_free_all();
}

/* Every code and every value of x at the end of its range: the largest sums that integers must hold. */
static void check_skinny_i8_largest(const pl_kernels *k, int code)
{
    enum { ROWS = PL_TILE_ROWS, N = PL_I8_SLICE };
    unsigned char *const w = edge_bytes(ROWS * N);
    int8_t *const planes = edge_bytes(2 * N);
    memset(w, (unsigned char)code, ROWS * N);
    memset(planes, -127, N);
    memset(planes + N, 0, N);
    const float one = 1;
    float *const y = edge_floats(ROWS);
    k->skinny_i8[PL_Q8_TILES](1, ROWS, N, w, ROWS * N, planes, N, &one, y, ROWS, false);
    for (size_t r = 0; r < ROWS; r++)
        assert_near(k, "largest skinny_i8", r, (double)y[r], -127.0 * 256 * code * N, 0x1p-22 * 127 * 256 * 128 * N);
    edge_free_all();
}

void check_skinny_i8(const pl_kernels *k)
{
    check_skinny_i8_largest(k, -128);
    check_skinny_i8_largest(k, 127);
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++) {
        for (size_t i = 0; k->skinny_i8[type] != NULL && i < length_count; i++)
            check_skinny_i8_size(k, type, 1 + i % 17, 1 + i * 7 % 40, row_length(type, lengths[i]));
        if (k->skinny_i8[type] != NULL)
            check_skinny_i8_size(k, type, 9, 121, row_length(type, 72)); /* several groups side by side, and one alone */
    }
    for (size_t m = 3; m <= 5; m += 2)
        check_skinny_i8_size(k, PL_Q8_TILES, m, 17, PL_I8_SLICE + 100); /* sums that levels may cut */
}
