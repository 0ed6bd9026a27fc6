/*
 * Matrix products in plain C: packing into panels, the panel product and the
 * matrix-vector product, and the table of the level `ref`, which defines what
 * is correct. Sums are chains of fused multiply-adds over k in rising order.
 */
#include "kernels/ref/ref.h"

#include <math.h>

enum { COLUMNS = 16, ROWS = 4 };

/* Bytes of one chunk of PL_UNPACK_CHUNK values of a type. */
static size_t chunk_bytes(pl_dtype type)
{
    return PL_UNPACK_CHUNK / pl_dtype_block(type) * pl_dtype_bytes(type);
}

static void pack(pl_dtype type, pl_unpack_fn *unpack, size_t rows, size_t k, const void *w, size_t row_bytes, float *panel)
{
    const size_t step = chunk_bytes(type);
    for (size_t r = 0; r < COLUMNS; r++) {
        const unsigned char *src = (const unsigned char *)w + r * row_bytes;
        for (size_t k0 = 0; k0 < k; k0 += PL_UNPACK_CHUNK, src += step) {
            float chunk[PL_UNPACK_CHUNK] = {0};
            const size_t n = pl_min(k - k0, PL_UNPACK_CHUNK);
            if (r < rows)
                unpack(n, src, chunk);
            for (size_t i = 0; i < n; i++)
                panel[(k0 + i) * COLUMNS + r] = chunk[i];
        }
    }
}

static void gemv(pl_dtype type, pl_unpack_fn *unpack, size_t rows, size_t k, const void *w, size_t row_bytes, const float *x, float *y, bool accumulate)
{
    const size_t step = chunk_bytes(type);
    for (size_t r = 0; r < rows; r++) {
        const unsigned char *src = (const unsigned char *)w + r * row_bytes;
        float sum = accumulate ? y[r] : 0;
        for (size_t k0 = 0; k0 < k; k0 += PL_UNPACK_CHUNK, src += step) {
            float chunk[PL_UNPACK_CHUNK];
            const size_t n = pl_min(k - k0, PL_UNPACK_CHUNK);
            unpack(n, src, chunk);
            for (size_t i = 0; i < n; i++)
                sum = fmaf(chunk[i], x[k0 + i], sum);
        }
        y[r] = sum;
    }
}

#define TYPED(type, name)                                                                                    \
    static void pack_##name##_ref(size_t rows, size_t k, const void *w, size_t row_bytes, float *panel)      \
    {                                                                                                        \
        pack(PL_##type, pl_unpack_##name##_ref, rows, k, w, row_bytes, panel);                               \
    }                                                                                                        \
    static void gemv_##name##_ref(size_t rows, size_t k, const void *w, size_t row_bytes, const float *x,    \
        float *y, bool accumulate)                                                                           \
    {                                                                                                        \
        gemv(PL_##type, pl_unpack_##name##_ref, rows, k, w, row_bytes, x, y, accumulate);                    \
    }
PL_WEIGHT_LIST(TYPED)
#undef TYPED

static void pl_pack_columns_ref(size_t columns, size_t k, const float *b, size_t row_stride, float *panel)
{
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < COLUMNS; j++)
            panel[i * COLUMNS + j] = j < columns ? b[i * row_stride + j] : 0;
}

static void pl_gemm_ref(size_t m, size_t n, size_t k, const float *a, size_t a_stride, const float *panel, float *c, size_t c_stride, bool accumulate)
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

const pl_kernels pl_kernels_ref = {
    .level = "ref",
    .panel_columns = COLUMNS,
    .panel_rows = ROWS,
#define ENTRY(type, name) .name = pl_##name##_ref,
    PL_KERNEL_LIST(ENTRY)
#undef ENTRY
#define ENTRY(type, name) \
    .unpack[PL_##type] = pl_unpack_##name##_ref, .pack[PL_##type] = pack_##name##_ref, .gemv[PL_##type] = gemv_##name##_ref,
    PL_WEIGHT_LIST(ENTRY)
#undef ENTRY
};
