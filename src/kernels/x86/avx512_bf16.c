/*
 * The level avx512_bf16: products of bf16 pairs by vdpbf16ps (Cooper Lake,
 * Sapphire Rapids, Zen 4 and later), and packing to tiles. On Zen 4 it has twice
 * the rate of f32; on Intel's processors half of it, so whether the level's
 * product is used is asked of a probe.
 */
#include "kernels/levels.h"
#include "kernels/unroll.h"
#include "kernels/x86/words_avx512.h"

#include <string.h>

enum { ROWS = 12, VECTORS = 2, LINE = 32 /* values */ };

static inline __m512bh load_pairs(const uint16_t *p)
{
    return (__m512bh)_mm512_loadu_si512(p);
}

/* The same pair in all lanes. */
static inline __m512bh spread(const uint16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

typedef struct product {
    size_t n, pairs; /* columns of this step, at most 32; k / 2 rounded up */
    const uint16_t *a, *tiles;
    size_t a_stride, tile_stride;
    float *c;
    size_t c_stride;
    bool accumulate;
} product;

/* Sums of `rows` x `vectors` (constants). */
ALWAYS_INLINE void multiply(const product *p, size_t rows, size_t vectors)
{
    __m512 sum[ROWS][VECTORS];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = p->accumulate ? _mm512_maskz_loadu_ps(first_lanes(p->n - 16 * v), p->c + r * p->c_stride + 16 * v) : _mm512_setzero_ps();
    }
    for (size_t q = 0; q < p->pairs; q++) {
        __m512bh b[VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            b[v] = load_pairs(p->tiles + v * p->tile_stride + q * LINE);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const __m512bh a = spread(p->a + r * p->a_stride + 2 * q);
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm512_dpbf16_ps(sum[r][v], a, b[v]);
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            _mm512_mask_storeu_ps(p->c + r * p->c_stride + 16 * v, first_lanes(p->n - 16 * v), sum[r][v]);
    }
}

ALWAYS_INLINE void multiply_rows(product p, size_t m, size_t vectors)
{
    while (m > 0) {
        size_t rows;
#define STEP(count) (rows = (count), multiply(&p, (count), vectors))
        if (m >= ROWS)
            STEP(ROWS);
        else if (m >= 4)
            STEP(4);
        else
            STEP(1);
#undef STEP
        m -= rows;
        p.a += rows * p.a_stride;
        p.c += rows * p.c_stride;
    }
}

static void gemm_bf16_avx512_bf16(size_t m, size_t n, size_t k, const uint16_t *a, size_t a_stride, const uint16_t *tiles, size_t tile_stride, float *c, size_t c_stride,
                                  bool accumulate, const pl_ahead *ahead)
{
    (void)ahead;
    product p = {.pairs = (k + 1) / 2, .a = a, .tiles = tiles, .a_stride = a_stride, .tile_stride = tile_stride, .c = c, .c_stride = c_stride, .accumulate = accumulate};
    for (size_t j = 0; j < n; j += 32) {
        p.n = n - j < 32 ? n - j : 32;
        if (p.n > 16)
            multiply_rows(p, m, 2);
        else
            multiply_rows(p, m, 1);
        p.tiles += 2 * tile_stride;
        p.c += 32;
    }
}

static void to_bf16_avx512_bf16(size_t n, const float *x, uint16_t *y)
{
    for (size_t i = 0; i < (n + PL_TILE_BF16 - 1) / PL_TILE_BF16 * PL_TILE_BF16; i += 16) {
        const __m512 values = i < n ? _mm512_maskz_loadu_ps(first_lanes(n - i), x + i) : _mm512_setzero_ps();
        _mm256_storeu_si256((__m256i *)(void *)(y + i), (__m256i)_mm512_cvtneps_pbh(values));
    }
}

/* Pairs of products that cancel out. */
PL_PEAK(peak_bf16_avx512_bf16, 16, 32, __m512, _mm512_set1_ps(x), _mm512_dpbf16_ps(s, (__m512bh)_mm512_set1_epi32(0x3c003c00), (__m512bh)_mm512_set1_epi32((int)0xbc003c00)),
        _mm512_reduce_add_ps(s))

void pl_fill_avx512_bf16(pl_kernels *k)
{
    k->to_bf16 = to_bf16_avx512_bf16;
    k->gemm_bf16 = gemm_bf16_avx512_bf16;
    k->peak_bf16 = peak_bf16_avx512_bf16;
    k->bf16_unit = pl_bf16_is_faster(k);
}
