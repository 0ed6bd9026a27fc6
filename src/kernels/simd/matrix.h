/*
 * Packing, the panel product and the product with few rows, once for every
 * instruction set. A product step keeps PRODUCT_ROWS rows of one or two
 * vectors of sums in registers; k runs in slices whose panel stays in cache.
 */
#ifndef PL_KERNELS_SIMD_MATRIX_H
#define PL_KERNELS_SIMD_MATRIX_H

#include <string.h>

/* A panel is two vectors wide. */
enum { PANEL = 2 * VF };

/* Streams of weight rows that a matrix-vector product reads side by side, and how many bytes ahead it asks for. */
enum { STREAMS = 4, AHEAD = 1024 };

/*
 * VF unpacked rows of a chunk, apart so that they share no cache set. Short
 * chunks suit the first cache best; the K types have blocks of 256.
 */
enum { CHUNK_SHORT = 64, CHUNK_STRIDE = PL_UNPACK_CHUNK + 16 };

ALWAYS_INLINE void pack_square(const float *rows, float *panel)
{
    vf square[VF];
    UNROLL
    for (size_t r = 0; r < VF; r++)
        square[r] = vf_load(rows + r * CHUNK_STRIDE);
    vf_transpose(square);
    UNROLL
    for (size_t i = 0; i < VF; i++)
        vf_store(panel + i * PANEL, square[i]);
}

/* Asks the second cache for the `bytes` at p; an address beyond the weights does no harm. */
static inline void prefetch_run(uintptr_t p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)(p + i), 0, 2);
}

/*
 * Weight rows -> panel: rows are unpacked by chunks into a buffer in the first
 * cache, so that each is read in one go (the rows of a matrix lie at the same
 * cache sets), then turned into columns a square of VF x VF at a time.
 */
static void pack_rows(pl_unpack_fn *unpack, size_t chunk, size_t chunk_bytes, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, float *panel)
{
    float buffer[VF * CHUNK_STRIDE];
    for (size_t r0 = 0; r0 < PANEL; r0 += VF) {
        const size_t have = rows > r0 ? (rows - r0 < VF ? rows - r0 : VF) : 0;
        const unsigned char *from = w + r0 * row_bytes;
        memset(buffer + have * CHUNK_STRIDE, 0, (VF - have) * CHUNK_STRIDE * sizeof *buffer);
        for (size_t k0 = 0; k0 < k; k0 += chunk, from += chunk_bytes) {
            const size_t n = k - k0 < chunk ? k - k0 : chunk;
            for (size_t r = 0; r < have; r++) {
                prefetch_run((uintptr_t)from + r * row_bytes + 2 * chunk_bytes, chunk_bytes);
                unpack(n, from + r * row_bytes, buffer + r * CHUNK_STRIDE);
            }
            float *const to = panel + k0 * PANEL + r0;
            size_t i = 0;
            for (; i + VF <= n; i += VF)
                pack_square(buffer + i, to + i * PANEL);
            for (; i < n; i++)
                for (size_t r = 0; r < VF; r++)
                    to[i * PANEL + r] = buffer[r * CHUNK_STRIDE + i];
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
            sum[r][v] = vf_zero();
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
        for (size_t v = 0; v < vectors; v++) {
            float *const to = c + r * c_stride + v * VF;
            const size_t n = v + 1 < vectors ? VF : last;
            put(to, n, accumulate ? vf_add(take(to, n, 0), sum[r][v]) : sum[r][v]);
        }
    }
}

/* All m rows over one slice of k. */
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
        const size_t slice = k - p < PL_SUM_SLICE ? k - p : PL_SUM_SLICE;
        if (n <= VF)
            product_rows(1, n, m, slice, a + p, a_stride, panel + p * PANEL, c, c_stride, accumulate);
        else
            product_rows(2, n - VF, m, slice, a + p, a_stride, panel + p * PANEL, c, c_stride, accumulate);
        p += slice;
        accumulate = true;
    } while (p < k);
}

/* The scaled products of one part of a row with x, added to two chains of sums. */
ALWAYS_INLINE void add_part(const coding type, size_t part, const vf *codes, const float *scales, const vf *x, vf sum[2])
{
    const size_t step = type.group > VF ? type.group / VF : 1; /* vectors that share a scale */
    UNROLL
    for (size_t j = 0; j < type.part / VF; j += step) {
        vf *const to = &sum[j / step % 2];
        if (type.group == 0) {
            *to = vf_fma(codes[j], x[j], *to);
            continue;
        }
        const size_t group = (part * type.part + j * VF) / type.group;
        vf products = vf_mul(codes[j], x[j]), inputs = x[j];
        UNROLL
        for (size_t i = 1; i < step; i++) {
            products = vf_fma(codes[j + i], x[j + i], products);
            inputs = vf_add(inputs, x[j + i]);
        }
        *to = vf_fma(vf_set(scales[group]), products, *to);
        if (type.has_minima)
            *to = vf_fma(vf_set(-scales[MINIMA + group]), inputs, *to);
    }
}

/* Rows of x that share the decoding of a weight: as many as the registers hold. */
enum { DOT_INPUTS = VF == 8 ? 1 : 2 };

/*
 * Dot products of `rows` weight rows, `stride` bytes apart, with `inputs` rows of x (both constant), in an
 * order that does not depend on their numbers, then the values behind the last whole block.
 */
ALWAYS_INLINE void dot_rows(const coding type, pl_unpack_fn *rest, size_t rows, size_t inputs, size_t stride, size_t k, const unsigned char *w, const float *x, size_t x_stride,
                            float dots[DOT_INPUTS][STREAMS])
{
    vf sum[DOT_INPUTS][STREAMS][2];
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t r = 0; r < rows; r++)
            sum[t][r][0] = sum[t][r][1] = vf_zero();
    }
    const size_t whole = k - k % type.values;
    for (size_t i = 0; i < whole; i += type.values, w += type.bytes) {
        float scales[STREAMS][SCALES_MAX];
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            UNROLL
            for (size_t line = 0; line < type.bytes; line += 64) /* beyond the weights it does no harm */
                __builtin_prefetch((const void *)((uintptr_t)w + r * stride + AHEAD + line));
            type.scales(w + r * stride, scales[r]);
        }
        for (size_t part = 0; part < type.values / type.part; part++) {
            vf values[DOT_INPUTS][PART_MAX / VF], codes[PART_MAX / VF];
            UNROLL
            for (size_t t = 0; t < inputs; t++) {
                UNROLL
                for (size_t j = 0; j < type.part / VF; j++)
                    values[t][j] = vf_load(x + t * x_stride + i + part * type.part + j * VF);
            }
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                type.codes(w + r * stride, part, codes);
                UNROLL
                for (size_t t = 0; t < inputs; t++)
                    add_part(type, part, codes, scales[r], values[t], sum[t][r]);
            }
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        float last[4 * VF];
        if (whole < k)
            rest(k - whole, w + r * stride, last);
        UNROLL
        for (size_t t = 0; t < inputs; t++) {
            dots[t][r] = vf_sum(vf_add(sum[t][r][0], sum[t][r][1]));
            for (size_t i = whole; i < k; i++)
                dots[t][r] += last[i - whole] * x[t * x_stride + i];
        }
    }
}

/* `rows` weight rows (a constant) with all m rows of x; y of row r of the weight stands y_step floats behind that of r - 1. */
ALWAYS_INLINE void dot_inputs(const coding type, pl_unpack_fn *rest, size_t rows, size_t m, size_t stride, size_t k, const unsigned char *w, const float *x, size_t x_stride, float *y,
                              size_t y_stride, size_t y_step, bool accumulate)
{
    float dots[DOT_INPUTS][STREAMS];
    for (size_t t = 0; t < m;) {
        const size_t inputs = m - t >= DOT_INPUTS ? DOT_INPUTS : 1;
        if (inputs == DOT_INPUTS)
            dot_rows(type, rest, rows, DOT_INPUTS, stride, k, w, x + t * x_stride, x_stride, dots);
        else
            dot_rows(type, rest, rows, 1, stride, k, w, x + t * x_stride, x_stride, dots);
        for (size_t i = 0; i < inputs; i++, t++)
            for (size_t r = 0; r < rows; r++) {
                float *const to = y + t * y_stride + r * y_step;
                *to = (accumulate ? *to : 0) + dots[i][r];
            }
    }
}

/*
 * The rows are cut into STREAMS equal slices that are read side by side: each
 * is one long stream that the processor's own prefetching follows across the
 * ends of rows (1.4 to 1.8 times as fast as neighbouring rows at K = 2048).
 */
ALWAYS_INLINE void skinny_rows(const coding type, pl_unpack_fn *rest, size_t m, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, const float *x, size_t x_stride,
                               float *y, size_t y_stride, bool accumulate)
{
    const size_t slice = rows / STREAMS;
    for (size_t i = 0; i < slice; i++)
        dot_inputs(type, rest, STREAMS, m, slice * row_bytes, k, w + i * row_bytes, x, x_stride, y + i, y_stride, slice, accumulate);
    for (size_t r = STREAMS * slice; r < rows; r++)
        dot_inputs(type, rest, 1, m, 0, k, w + r * row_bytes, x, x_stride, y + r, y_stride, 0, accumulate);
}

#define TYPED(name, values, bytes, ...)                                                                                                   \
    static void PL_SIMD(pack_##name)(size_t rows, size_t k, const void *w, size_t row_bytes, float *panel)                                \
    {                                                                                                                                     \
        const size_t chunk = (values) > CHUNK_SHORT ? (values) : CHUNK_SHORT;                                                             \
        pack_rows(PL_SIMD(unpack_##name), chunk, chunk / (values) * (bytes), rows, k, w, row_bytes, panel);                               \
    }                                                                                                                                     \
    static void PL_SIMD(skinny_##name)(size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const float *x, size_t x_stride, \
        float *y, size_t y_stride, bool accumulate)                                                                                       \
    {                                                                                                                                     \
        skinny_rows(coding_##name, pl_unpack_##name##_ref, m, rows, k, w, row_bytes, x, x_stride, y, y_stride, accumulate);               \
    }
CODING_LIST(TYPED)
#undef TYPED

/* As many sums as the registers of every level hold. */
PL_PEAK(PL_SIMD(peak_f32), 12, VF, vf, vf_set(x), vf_fma(s, vf_set(0.5f), vf_set(1)), vf_sum(s))

#endif
