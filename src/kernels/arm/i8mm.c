/*
 * The level i8mm: products by the instructions that multiply a matrix of two
 * rows with one of two columns over 8 bytes of k, smmla for int8 and bfmmla for
 * bf16 (Neoverse V1 and N2, Cortex-A510 and X2, Apple's M2 and later): eight and
 * four times the products of a multiply-add of floats.
 */
#include "kernels/arm/product.h"

enum { PAIRS = STEP_ROWS / 2 };

/* Rows 2 i and 2 i + 1, 8 bytes of each: the left side. A last row that is alone stands for both. */
ALWAYS_INLINE uint8x16_t load_rows(const product *p, size_t rows, size_t i, size_t s)
{
    const unsigned char *const row = p->a + 2 * i * p->a_stride + s * STEP_BYTES;
    return vcombine_u8(vld1_u8(row), vld1_u8(2 * i + 1 < rows ? row + p->a_stride : row));
}

/* Two lines with 4 bytes of 8 columns each to four pairs of columns, 8 bytes of each: the right side. */
ALWAYS_INLINE void load_columns(const unsigned char *line, uint8x16_t b[4])
{
    UNROLL
    for (size_t v = 0; v < 2; v++) {
        const uint32x4_t first = vreinterpretq_u32_u8(vld1q_u8(line + 16 * v)), second = vreinterpretq_u32_u8(vld1q_u8(line + LINE + 16 * v));
        b[2 * v] = vreinterpretq_u8_u32(vzip1q_u32(first, second));
        b[2 * v + 1] = vreinterpretq_u8_u32(vzip2q_u32(first, second));
    }
}

/* Four columns of two rows to two squares of 2 x 2 sums, or back: the first or second of them. */
ALWAYS_INLINE float32x4_t exchange(float32x4_t x, float32x4_t y, size_t which)
{
    const uint64x2_t i = vreinterpretq_u64_f32(x), j = vreinterpretq_u64_f32(y);
    return vreinterpretq_f32_u64(which ? vzip2q_u64(i, j) : vzip1q_u64(i, j));
}

ALWAYS_INLINE int32x4_t exchange_i32(int32x4_t x, int32x4_t y, size_t which)
{
    return vreinterpretq_s32_f32(exchange(vreinterpretq_f32_s32(x), vreinterpretq_f32_s32(y), which));
}

ALWAYS_INLINE void step_i8(const product *p, size_t rows)
{
    const size_t have = rows > 2 ? rows : p->rows;
    int32x4_t sum[PAIRS][4]; /* [pair of rows][pair of columns] */
    UNROLL
    for (size_t i = 0; i < rows / 2; i++) {
        UNROLL
        for (size_t j = 0; j < 4; j++)
            sum[i][j] = vdupq_n_s32(0);
    }
    for (size_t s = 0; s < p->steps; s++) {
        uint8x16_t b[4];
        load_columns(p->tiles + s * STEP_LINES * LINE, b);
        UNROLL
        for (size_t i = 0; i < rows / 2; i++) {
            const int8x16_t a = vreinterpretq_s8_u8(load_rows(p, have, i, s));
            UNROLL
            for (size_t j = 0; j < 4; j++)
                sum[i][j] = vmmlaq_s32(sum[i][j], a, vreinterpretq_s8_u8(b[j]));
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        const int32x4_t *const s = sum[r / 2];
        const int32x4_t row[2] = {exchange_i32(s[0], s[1], r % 2), exchange_i32(s[2], s[3], r % 2)};
        if (r < have)
            finish_row(p, r, row);
    }
}

ALWAYS_INLINE void step_bf16(const product *p, size_t rows)
{
    const size_t have = rows > 2 ? rows : p->rows;
    float32x4_t sum[PAIRS][4];
    UNROLL
    for (size_t i = 0; i < rows / 2; i++) {
        UNROLL
        for (size_t v = 0; v < 2; v++) {
            const float *const from = p->c + 2 * i * p->c_stride + 4 * v;
            const size_t n = p->accumulate ? columns_of(p, v) : 0;
            const float32x4_t x = load_first(from, n), y = load_first(from + p->c_stride, 2 * i + 1 < have ? n : 0);
            sum[i][2 * v] = exchange(x, y, 0);
            sum[i][2 * v + 1] = exchange(x, y, 1);
        }
    }
    for (size_t s = 0; s < p->steps; s++) {
        uint8x16_t b[4];
        load_columns(p->tiles + s * STEP_LINES * LINE, b);
        UNROLL
        for (size_t i = 0; i < rows / 2; i++) {
            const bfloat16x8_t a = vreinterpretq_bf16_u8(load_rows(p, have, i, s));
            UNROLL
            for (size_t j = 0; j < 4; j++)
                sum[i][j] = vbfmmlaq_f32(sum[i][j], a, vreinterpretq_bf16_u8(b[j]));
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < 2; v++)
            if (r < have)
                store_first(p->c + r * p->c_stride + 4 * v, columns_of(p, v), exchange(sum[r / 2][2 * v], sum[r / 2][2 * v + 1], r % 2));
    }
}

STEPS(step_i8, 2)
STEPS(step_bf16, 2)

static void gemm_i8_i8mm(size_t m, size_t n, size_t k, const int8_t *a, size_t a_stride, const float *a_scale, const int8_t *tiles, size_t tile_stride, const float *b_scale, float *c,
                         size_t c_stride, bool accumulate, const pl_ahead *ahead)
{
    (void)ahead;
    const product p = product_i8(k, a, a_stride, a_scale, tiles, tile_stride, b_scale, c, c_stride, accumulate);
    step_i8_all(&p, m, n);
}

static void gemm_bf16_i8mm(size_t m, size_t n, size_t k, const uint16_t *a, size_t a_stride, const uint16_t *tiles, size_t tile_stride, float *c, size_t c_stride, bool accumulate, const pl_ahead *ahead)
{
    (void)ahead;
    const product p = {.steps = (2 * k + STEP_BYTES - 1) / STEP_BYTES, .a = (const unsigned char *)a, .tiles = (const unsigned char *)tiles, .a_stride = 2 * a_stride,
                       .tile_stride = 2 * tile_stride, .c = c, .c_stride = c_stride, .accumulate = accumulate};
    step_bf16_all(&p, m, n);
}

/* Of int8 and of bf16 pairs whose products cancel out. */
PL_PEAK(peak_i8_i8mm, 16, 32, int32x4_t, vdupq_n_s32((int32_t)x), vmmlaq_s32(s, vdupq_n_s8(3), vreinterpretq_s8_u32(vdupq_n_u32(0x05fb05fb))), vaddvq_s32(s))
PL_PEAK(peak_bf16_i8mm, 16, 16, float32x4_t, vdupq_n_f32(x),
        vbfmmlaq_f32(s, vreinterpretq_bf16_u32(vdupq_n_u32(0x3c003c00)), vreinterpretq_bf16_u32(vdupq_n_u32(0xbc003c00))), vaddvq_f32(s))

void pl_fill_i8mm(pl_kernels *k)
{
    k->peak_bf16 = peak_bf16_i8mm;
    k->peak_i8 = peak_i8_i8mm;
    k->gemm_bf16 = gemm_bf16_i8mm;
    k->gemm_i8 = gemm_i8_i8mm;
    k->bf16_unit = pl_bf16_is_faster(k);
}
