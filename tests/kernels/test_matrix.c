/*
 * The panel product to the bit: every level must equal the chains of fused
 * multiply-adds that the contract names, at every number of rows and columns,
 * with k whole and in pieces.
 */
#include "kernels/check.h"

#include <math.h>
#include <string.h>

/* c [m, n] = c or 0, plus a [m, k] times panel, as the contract says it. */
static void expect_gemm(const pl_kernels *t, size_t m, size_t n, size_t k, const float *a, size_t a_stride, const float *panel, float *c, size_t c_stride, bool accumulate)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            float total = accumulate ? c[i * c_stride + j] : 0;
            for (size_t slice = 0; slice < k; slice += PL_SUM_SLICE) {
                float sum = 0;
                for (size_t p = slice; p < k && p < slice + PL_SUM_SLICE; p++)
                    sum = fmaf(a[i * a_stride + p], panel[p * t->panel_columns + j], sum);
                total += sum;
            }
            c[i * c_stride + j] = total;
        }
    }
}

static void check_gemm_size(const pl_kernels *t, size_t m, size_t n, size_t k, bool accumulate)
{
    const size_t a_stride = k + m % 3, c_stride = n + m % 5;
    const size_t c_size = (m - 1) * c_stride + n; /* nothing behind the last row may be touched */
    const float *const a = edge_floats((m - 1) * a_stride + k), *const panel = edge_floats(k * t->panel_columns);
    float *const got = edge_floats(c_size), *const expected = edge_copy(c_size, got);
    t->gemm(m, n, k, a, a_stride, panel, got, c_stride, accumulate);
    expect_gemm(t, m, n, k, a, a_stride, panel, expected, c_stride, accumulate);
    assert_same(t, "gemm", c_size, got, expected); /* and what lies between the rows is untouched */
    edge_free_all();
}

/* A row alone, and k in two pieces cut between slices, give the bits of the whole. */
static void check_gemm_pieces(const pl_kernels *t)
{
    enum { M = 20, K = 1152, PIECE = 2 * PL_SUM_SLICE };
    const size_t n = t->panel_columns;
    const float *const a = edge_floats(M * K), *const panel = edge_floats(K * n);
    float *const whole = edge_floats(M * n), *const part = edge_floats(M * n);
    t->gemm(M, n, K, a, K, panel, whole, n, false);
    for (size_t i = 0; i < M; i++)
        t->gemm(1, n, K, a + i * K, K, panel, part + i * n, n, false);
    assert_same(t, "gemm row by row", M * n, part, whole);
    t->gemm(M, n, PIECE, a, K, panel, part, n, false);
    t->gemm(M, n, K - PIECE, a + PIECE, K, panel + PIECE * n, part, n, true);
    assert_same(t, "gemm in two pieces", M * n, part, whole);
    edge_free_all();
}

/* NaN and infinity reach exactly the outputs of their row or column. */
static void check_gemm_not_finite(const pl_kernels *t)
{
    enum { M = 13, K = 31 };
    const size_t n = t->panel_columns;
    float *const a = edge_floats(M * K), *const panel = edge_floats(K * n), *const c = edge_floats(M * n);
    a[5 * K + 7] = NAN;
    panel[30 * n + 3] = INFINITY;
    t->gemm(M, n, K, a, K, panel, c, n, false);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < n; j++)
            assert_int_equal(isfinite(c[i * n + j]) != 0, i != 5 && j != 3);
    edge_free_all();
}

void check_gemm(const pl_kernels *t)
{
    static const size_t long_ks[] = {588, 1152, 4304}, few_ms[] = {1, 5, 12, 13};
    for (size_t m = 1; m <= 20; m++)
        for (size_t n = 1; n <= t->panel_columns; n++)
            for (size_t k = 0; k <= 12; k += k == 0 ? 1 : k == 1 ? 6 : 5) /* 0, 1, 7, 12 */
                check_gemm_size(t, m, n, k, (m + n + k) % 2 == 0);
    for (size_t i = 0; i < length_count && lengths[i] < 100; i++)
        check_gemm_size(t, 1 + i, t->panel_columns - i % 3, lengths[i], i % 2 == 0);
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 4; j++)
            check_gemm_size(t, few_ms[j], j % 2 == 0 ? t->panel_columns : t->panel_columns / 2 + 3, long_ks[i], j == 0);
    check_gemm_pieces(t);
    check_gemm_not_finite(t);
}

void check_pack_columns(const pl_kernels *t)
{
    const size_t width = t->panel_columns;
    for (size_t columns = 1; columns <= width; columns++) {
        const size_t k = 1 + columns % 17, stride = columns + columns % 7, size = (k - 1) * stride + columns;
        const float *const b = edge_floats(size);
        float *const panel = edge_floats(k * width), *const expected = edge_floats(k * width);
        t->pack_columns(columns, k, b, stride, panel);
        for (size_t i = 0; i < k; i++)
            for (size_t j = 0; j < width; j++)
                expected[i * width + j] = j < columns ? b[i * stride + j] : 0;
        assert_same(t, "pack_columns", k * width, panel, expected);
        edge_free_all();
    }
}

/* Operations in proportion to the steps, a sum that stays finite, and a unit where the level says that it has one. */
static void check_peak(const pl_kernels *t, const char *what, pl_peak_fn *peak, bool has_unit)
{
    float sink = 1;
    const double once = peak(1, &sink), often = peak(1000, &sink);
    if (once * 1000 != often || (has_unit && !(once >= 2)) || !isfinite(sink))
        fail_msg("%s: %s: found %g and %g operations in 1 and 1000 steps, and a sum of %g", t->level, what, once, often, (double)sink);
}

void check_peak_f32(const pl_kernels *t)
{
    check_peak(t, "peak_f32", t->peak_f32, true);
}

void check_peak_bf16(const pl_kernels *t)
{
    check_peak(t, "peak_bf16", t->peak_bf16, t->bf16_unit);
}

void check_peak_i8(const pl_kernels *t)
{
    check_peak(t, "peak_i8", t->peak_i8, t->i8_unit);
}
