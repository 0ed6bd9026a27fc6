/*
 * Packing, the panel product and the matrix-vector product, once for every
 * instruction set. A product step keeps PRODUCT_ROWS rows of one or two
 * vectors of sums in registers; k runs in pieces whose panel stays in cache.
 */
#ifndef PL_KERNELS_SIMD_MATRIX_H
#define PL_KERNELS_SIMD_MATRIX_H

#include <string.h>

/* One panel is two vectors wide; a piece of k of PIECE rows takes 64 KiB (AVX-512) of the second cache. */
enum { PANEL = 2 * VF, PIECE = 512 };

/* How one vector of a plain weight type is read: its bytes a value, and the load. */
typedef vf load_fn(const unsigned char *p);

/* The vector at p; when fewer than VF values are left, zeros follow them. */
ALWAYS_INLINE vf load_left(load_fn *load, size_t bytes, const unsigned char *p, size_t left)
{
    if (left >= VF)
        return load(p);
    unsigned char padded[VF * sizeof(float)] = {0};
    memcpy(padded, p, left * bytes);
    return load(padded);
}

/* Rows of plain values -> columns of a panel, a square of VF x VF at a time. */
ALWAYS_INLINE void pack_plain(load_fn *load, size_t bytes, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, float *panel)
{
    for (size_t r0 = 0; r0 < PANEL; r0 += VF) {
        const size_t have = rows > r0 ? (rows - r0 < VF ? rows - r0 : VF) : 0;
        for (size_t k0 = 0; k0 < k; k0 += VF) {
            const size_t left = k - k0;
            vf square[VF];
            UNROLL
            for (size_t r = 0; r < VF; r++)
                square[r] = r < have ? load_left(load, bytes, w + (r0 + r) * row_bytes + k0 * bytes, left) : vf_zero();
            vf_transpose(square);
            float *const to = panel + k0 * PANEL + r0;
            for (size_t i = 0; i < VF && i < left; i++)
                vf_store(to + i * PANEL, square[i]);
        }
    }
}

/* The same through a buffer of unpacked rows, for types in blocks. */
static void pack_blocks(pl_unpack_fn *unpack, size_t chunk_bytes, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, float *panel)
{
    float unpacked[VF][PL_UNPACK_CHUNK];
    for (size_t r0 = 0; r0 < PANEL; r0 += VF) {
        const size_t have = rows > r0 ? (rows - r0 < VF ? rows - r0 : VF) : 0;
        const unsigned char *from = w + r0 * row_bytes;
        for (size_t k0 = 0; k0 < k; k0 += PL_UNPACK_CHUNK, from += chunk_bytes) {
            const size_t n = k - k0 < PL_UNPACK_CHUNK ? k - k0 : PL_UNPACK_CHUNK;
            for (size_t r = 0; r < have; r++)
                unpack(n, from + r * row_bytes, unpacked[r]);
            for (size_t i = 0; i < n; i += VF) { /* blocks are multiples of VF */
                vf square[VF];
                UNROLL
                for (size_t r = 0; r < VF; r++)
                    square[r] = r < have ? vf_load(unpacked[r] + i) : vf_zero();
                vf_transpose(square);
                UNROLL
                for (size_t j = 0; j < VF; j++)
                    vf_store(panel + (k0 + i + j) * PANEL + r0, square[j]);
            }
        }
    }
}

static void PL_SIMD(pack_columns)(size_t columns, size_t k, const float *b, size_t row_stride, float *panel)
{
    for (size_t i = 0; i < k; i++, b += row_stride, panel += PANEL) {
        UNROLL
        for (size_t j = 0; j < PANEL; j += VF)
            vf_store(panel + j, columns > j ? take(b + j, columns - j, 0) : vf_zero());
    }
}

/* Sums of `rows` x `vectors` (constants), the last vector of a row holding `last` values. */
ALWAYS_INLINE void product(size_t rows, size_t vectors, size_t last, size_t k, const float *a, size_t a_stride, const float *panel, float *c, size_t c_stride, bool accumulate)
{
    vf sum[PRODUCT_ROWS][2];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = accumulate ? take(c + r * c_stride + v * VF, v + 1 < vectors ? VF : last, 0) : vf_zero();
    }
    for (size_t p = 0; p < k; p++) {
        vf b[2];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            b[v] = vf_load(panel + p * PANEL + v * VF);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const vf x = vf_set(a[r * a_stride + p]);
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = vf_fma(x, b[v], sum[r][v]);
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            put(c + r * c_stride + v * VF, v + 1 < vectors ? VF : last, sum[r][v]);
    }
}

/* All m rows over one piece of k. */
ALWAYS_INLINE void product_rows(size_t vectors, size_t last, size_t m, size_t k, const float *a, size_t a_stride, const float *panel, float *c, size_t c_stride, bool accumulate)
{
    while (m > 0) {
        size_t rows;
#define STEP(count) (rows = (count), product((count), vectors, last, k, a, a_stride, panel, c, c_stride, accumulate))
        if (m >= PRODUCT_ROWS)
            STEP(PRODUCT_ROWS);
        else if (PRODUCT_ROWS > 8 && m >= 8)
            STEP(PRODUCT_ROWS > 8 ? 8 : 1);
        else if (m >= 4)
            STEP(4);
        else if (m >= 2)
            STEP(2);
        else
            STEP(1);
#undef STEP
        m -= rows;
        a += rows * a_stride;
        c += rows * c_stride;
    }
}

static void PL_SIMD(gemm)(size_t m, size_t n, size_t k, const float *a, size_t a_stride, const float *panel, float *c, size_t c_stride, bool accumulate)
{
    size_t p = 0;
    do { /* once for k = 0 */
        const size_t piece = k - p < PIECE ? k - p : PIECE;
        if (n <= VF)
            product_rows(1, n, m, piece, a + p, a_stride, panel + p * PANEL, c, c_stride, accumulate);
        else
            product_rows(2, n - VF, m, piece, a + p, a_stride, panel + p * PANEL, c, c_stride, accumulate);
        p += piece;
        accumulate = true;
    } while (p < k);
}

/* Dot products of `rows` (a constant) weight rows of plain values; two chains a row, whatever the rows. */
ALWAYS_INLINE void dot_plain(load_fn *load, size_t bytes, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, const float *x, float *y, bool accumulate)
{
    vf sum[4][2];
    UNROLL
    for (size_t r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = vf_zero();
    size_t p = 0;
    for (; p + 2 * VF <= k; p += 2 * VF) {
        const vf x0 = vf_load(x + p), x1 = vf_load(x + p + VF);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const unsigned char *const from = w + r * row_bytes + p * bytes;
            sum[r][0] = vf_fma(load(from), x0, sum[r][0]);
            sum[r][1] = vf_fma(load(from + VF * bytes), x1, sum[r][1]);
        }
    }
    for (; p < k; p += VF) {
        const vf x0 = take(x + p, k - p, 0);
        UNROLL
        for (size_t r = 0; r < rows; r++)
            sum[r][0] = vf_fma(load_left(load, bytes, w + r * row_bytes + p * bytes, k - p), x0, sum[r][0]);
    }
    UNROLL
    for (size_t r = 0; r < rows; r++)
        y[r] = (accumulate ? y[r] : 0) + vf_sum(vf_add(sum[r][0], sum[r][1]));
}

ALWAYS_INLINE void gemv_plain(load_fn *load, size_t bytes, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, const float *x, float *y, bool accumulate)
{
    size_t r = 0;
    for (; r + 4 <= rows; r += 4)
        dot_plain(load, bytes, 4, k, w + r * row_bytes, row_bytes, x, y + r, accumulate);
    for (; r < rows; r++)
        dot_plain(load, bytes, 1, k, w + r * row_bytes, row_bytes, x, y + r, accumulate);
}

/* For types in blocks: a row is unpacked by chunks that stay in the first cache. */
static void gemv_blocks(pl_unpack_fn *unpack, size_t chunk_bytes, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, const float *x, float *y, bool accumulate)
{
    for (size_t r = 0; r < rows; r++) {
        float unpacked[PL_UNPACK_CHUNK];
        const unsigned char *from = w + r * row_bytes;
        vf sum0 = vf_zero(), sum1 = vf_zero();
        for (size_t k0 = 0; k0 < k; k0 += PL_UNPACK_CHUNK, from += chunk_bytes) {
            const size_t n = k - k0 < PL_UNPACK_CHUNK ? k - k0 : PL_UNPACK_CHUNK;
            unpack(n, from, unpacked);
            for (size_t i = 0; i < n; i += 2 * VF) { /* blocks are multiples of 2 VF */
                sum0 = vf_fma(vf_load(unpacked + i), vf_load(x + k0 + i), sum0);
                sum1 = vf_fma(vf_load(unpacked + i + VF), vf_load(x + k0 + i + VF), sum1);
            }
        }
        y[r] = (accumulate ? y[r] : 0) + vf_sum(vf_add(sum0, sum1));
    }
}

/* The loads of the plain types, as bytes at any address. */
static inline vf load_f32(const unsigned char *p)
{
    return vf_load_bytes(p);
}

static inline vf load_bf16(const unsigned char *p)
{
    return vf_load_bf16(p);
}

static inline vf load_f16(const unsigned char *p)
{
    return vf_load_f16(p);
}

#define PLAIN(name, bytes)                                                                                                  \
    static void PL_SIMD(pack_##name)(size_t rows, size_t k, const void *w, size_t row_bytes, float *panel)                  \
    {                                                                                                                       \
        pack_plain(load_##name, bytes, rows, k, w, row_bytes, panel);                                                       \
    }                                                                                                                       \
    static void PL_SIMD(gemv_##name)(size_t rows, size_t k, const void *w, size_t row_bytes, const float *x, float *y,      \
        bool accumulate)                                                                                                    \
    {                                                                                                                       \
        gemv_plain(load_##name, bytes, rows, k, w, row_bytes, x, y, accumulate);                                            \
    }
PLAIN(f32, 4)
PLAIN(bf16, 2)
PLAIN(f16, 2)
#undef PLAIN

#define BLOCKS(name, values, bytes)                                                                                         \
    static void PL_SIMD(pack_##name)(size_t rows, size_t k, const void *w, size_t row_bytes, float *panel)                  \
    {                                                                                                                       \
        pack_blocks(PL_SIMD(unpack_##name), PL_UNPACK_CHUNK / (values) * (bytes), rows, k, w, row_bytes, panel);            \
    }                                                                                                                       \
    static void PL_SIMD(gemv_##name)(size_t rows, size_t k, const void *w, size_t row_bytes, const float *x, float *y,      \
        bool accumulate)                                                                                                    \
    {                                                                                                                       \
        gemv_blocks(PL_SIMD(unpack_##name), PL_UNPACK_CHUNK / (values) * (bytes), rows, k, w, row_bytes, x, y, accumulate); \
    }
BLOCKS(q8_0, 32, 34)
BLOCKS(q4_0, 32, 18)
BLOCKS(q4_k, 256, 144)
BLOCKS(q5_k, 256, 176)
BLOCKS(q6_k, 256, 210)
#undef BLOCKS

#endif
