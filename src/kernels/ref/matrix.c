/*
 * Matrix products in plain C on floats: packing into panels, the panel product
 * and the product with few rows, and the level `ref`, which defines what is
 * correct. Sums are chains of fused multiply-adds over k in rising order.
 */
#include "kernels/ref/ref.h"

#include <math.h>

enum { COLUMNS = 16 };

static void pack(pl_dtype type, size_t rows, size_t k, const void *w, size_t row_bytes, float *panel)
{
    rows = pl_round_up(rows, pl_dtype_rows(type));
    for (size_t r = 0; r < COLUMNS; r++) {
        for (size_t k0 = 0; k0 < k; k0 += PL_UNPACK_CHUNK) {
            float chunk[PL_UNPACK_CHUNK] = {0};
            const size_t n = pl_min(k - k0, PL_UNPACK_CHUNK);
            if (r < rows)
                pl_read_row(type, w, row_bytes, r, k0, n, chunk);
            for (size_t i = 0; i < n; i++)
                panel[(k0 + i) * COLUMNS + r] = chunk[i];
        }
    }
}

static void skinny(pl_dtype type, size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const float *x, size_t x_stride, float *y, size_t y_stride, bool accumulate)
{
    for (size_t t = 0; t < m; t++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = accumulate ? y[t * y_stride + r] : 0;
            for (size_t k0 = 0; k0 < k; k0 += PL_UNPACK_CHUNK) {
                float chunk[PL_UNPACK_CHUNK];
                const size_t n = pl_min(k - k0, PL_UNPACK_CHUNK);
                pl_read_row(type, w, row_bytes, r, k0, n, chunk);
                for (size_t i = 0; i < n; i++)
                    sum = fmaf(chunk[i], x[t * x_stride + k0 + i], sum);
            }
            y[t * y_stride + r] = sum;
        }
    }
}

#define TYPED(type, name)                                                                                                                 \
    static void pack_##name##_ref(size_t rows, size_t k, const void *w, size_t row_bytes, float *panel)                                   \
    {                                                                                                                                     \
        pack(PL_##type, rows, k, w, row_bytes, panel);                                                                                    \
    }                                                                                                                                     \
    static void skinny_##name##_ref(size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const float *x, size_t x_stride,    \
        float *y, size_t y_stride, bool accumulate)                                                                                       \
    {                                                                                                                                     \
        skinny(PL_##type, m, rows, k, w, row_bytes, x, x_stride, y, y_stride, accumulate);                                                \
    }
PL_WEIGHT_LIST(TYPED)
PL_TILED_LIST(TYPED)
#undef TYPED

void pl_pack_columns_ref(size_t columns, size_t k, const float *b, size_t row_stride, float *panel)
{
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < COLUMNS; j++)
            panel[i * COLUMNS + j] = j < columns ? b[i * row_stride + j] : 0;
}

void pl_gemm_ref(size_t m, size_t n, size_t k, const float *a, size_t a_stride, const float *panel, float *c, size_t c_stride, bool accumulate)
{
    for (size_t i = 0; i < m; i++) {
        float *const row = c + i * c_stride;
        for (size_t j = 0; !accumulate && j < n; j++)
            row[j] = 0;
        for (size_t slice = 0; slice < k; slice += PL_SUM_SLICE) {
            const size_t end = k - slice < PL_SUM_SLICE ? k : slice + PL_SUM_SLICE;
            float sum[COLUMNS] = {0};
            for (size_t p = slice; p < end; p++)
                for (size_t j = 0; j < n; j++)
                    sum[j] = fmaf(a[i * a_stride + p], panel[p * COLUMNS + j], sum[j]);
            for (size_t j = 0; j < n; j++)
                row[j] += sum[j];
        }
    }
}

double pl_peak_f32_ref(size_t steps, float *sink)
{
    enum { CHAINS = 8 };
    float sum[CHAINS];
    for (size_t c = 0; c < CHAINS; c++)
        sum[c] = *sink + (float)c;
    for (size_t i = 0; i < steps; i++)
        for (size_t c = 0; c < CHAINS; c++)
            sum[c] = sum[c] * 0.5f + 1;
    for (size_t c = 0; c < CHAINS; c++)
        *sink += sum[c];
    return 2.0 * CHAINS * (double)steps;
}

void pl_fill_ref(pl_kernels *k)
{
    k->panel_columns = COLUMNS;
#define ENTRY(type, name) k->name = pl_##name##_ref;
    PL_KERNEL_LIST(ENTRY)
#undef ENTRY
#define ENTRY(type, name) k->unpack[PL_##type] = pl_unpack_##name##_ref;
    PL_WEIGHT_LIST(ENTRY)
#undef ENTRY
#define ENTRY(type, name)                         \
    k->pack[PL_##type] = pack_##name##_ref;       \
    k->skinny[PL_##type] = skinny_##name##_ref;
    PL_WEIGHT_LIST(ENTRY)
    PL_TILED_LIST(ENTRY)
#undef ENTRY
    pl_fill_narrow_ref(k);
}
