/*
 * The level avx512_vnni: products of int8 by vpdpbusd (Cascade Lake, Ice Lake,
 * Zen 4 and later). The instruction multiplies bytes without a sign with bytes
 * with one: weights are taken as w + 128, and 128 times the sum of the other
 * side is what every sum begins below zero.
 */
#include "kernels/levels.h"
#include "kernels/unroll.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

enum { LINE = 64, BLOCK_SCALES = 64, AHEAD = 2048 };

static inline __m512i load_line(const void *p)
{
    return _mm512_loadu_si512(p);
}

/* The same four bytes in all lanes. */
static inline __m512i spread(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

/*
 * sum + w x in each lane, for w without and x with a sign. gcc 12 copies the sum before and after the
 * instruction when it is written as an intrinsic, which halves the rate.
 */
static inline __m512i dot(__m512i sum, __m512i w, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

/* w + 128 for each byte. */
static inline __m512i without_sign(__m512i w)
{
    return _mm512_xor_si512(w, _mm512_set1_epi8((char)0x80));
}

/* The sum of n values; n is a multiple of 4 and what follows up to a whole 64 is zero. */
static int32_t sum_of(size_t n, const int8_t *x)
{
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += PL_TILE_I8)
        sum = dot(sum, _mm512_set1_epi8(1), load_line(x + i));
    return _mm512_reduce_add_epi32(sum);
}

static inline __mmask16 first_lanes(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
}

/* ---- Many rows ------------------------------------------------------- */

enum { ROWS = 12, VECTORS = 2 };

typedef struct product {
    size_t n, quads; /* columns of this step, at most 32; k / 4 rounded up */
    const int8_t *a, *tiles;
    size_t a_stride, tile_stride;
    const float *a_scale, *b_scale;
    float *c;
    size_t c_stride;
    bool accumulate;
} product;

/* Sums of `rows` x `vectors` (constants). */
ALWAYS_INLINE void multiply(const product *p, size_t rows, size_t vectors)
{
    __m512i sum[ROWS][VECTORS];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        const __m512i start = _mm512_set1_epi32(-128 * sum_of(4 * p->quads, p->a + r * p->a_stride));
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = start;
    }
    for (size_t q = 0; q < p->quads; q++) {
        __m512i b[VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            b[v] = without_sign(load_line(p->tiles + v * p->tile_stride + q * LINE));
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const __m512i a = spread(p->a + r * p->a_stride + 4 * q);
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = dot(sum[r][v], b[v], a);
        }
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        const __mmask16 lanes = first_lanes(p->n - 16 * v);
        const __m512 b_scale = p->b_scale ? _mm512_maskz_loadu_ps(lanes, p->b_scale + 16 * v) : _mm512_set1_ps(1);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            float *const to = p->c + r * p->c_stride + 16 * v;
            const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(p->a_scale[r]), b_scale);
            const __m512 start = p->accumulate ? _mm512_maskz_loadu_ps(lanes, to) : _mm512_setzero_ps();
            _mm512_mask_storeu_ps(to, lanes, _mm512_add_ps(start, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum[r][v]))));
        }
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
        p.a_scale += rows;
        p.c += rows * p.c_stride;
    }
}

static void gemm_i8_avx512_vnni(size_t m, size_t n, size_t k, const int8_t *a, size_t a_stride, const float *a_scale, const int8_t *tiles, size_t tile_stride, const float *b_scale,
                                float *c, size_t c_stride, bool accumulate, const pl_ahead *ahead)
{
    (void)ahead;
    product p = {.quads = (k + 3) / 4, .a = a, .tiles = tiles, .a_stride = a_stride, .tile_stride = tile_stride, .a_scale = a_scale,
                 .b_scale = b_scale, .c = c, .c_stride = c_stride, .accumulate = accumulate};
    for (size_t j = 0; j < n; j += 32) {
        p.n = n - j < 32 ? n - j : 32;
        if (p.n > 16)
            multiply_rows(p, m, 2);
        else
            multiply_rows(p, m, 1);
        p.tiles += 2 * tile_stride;
        p.b_scale = b_scale ? b_scale + j + 32 : NULL;
        p.c += 32;
    }
}

/* ---- Few rows -------------------------------------------------------- */

/* Rows of x at a time: two sums each. */
enum { INPUTS = 8 };

typedef struct coding {
    size_t values, bytes; /* of a block */
    size_t parts, lines;
    bool scaled, halves;  /* as in kernels/simd/tiles.h */
    int zero;             /* what a code without sign counts more than its value */
} coding;

static const coding coding_q8_tiles = {64, 1024, 1, 16, false, false, 128};
static const coding coding_q8_0_tiles = {64, 1088, 2, 8, true, false, 128};
static const coding coding_q4_0_tiles = {64, 576, 2, 8, true, true, 8};

ALWAYS_INLINE __m512i codes(const coding type, const unsigned char *line, size_t part)
{
    const __m512i bytes = load_line(line);
    if (!type.halves)
        return without_sign(bytes);
    return _mm512_and_si512(part ? _mm512_srli_epi16(bytes, 4) : bytes, _mm512_set1_epi8(15));
}

/* x * 256 + y in floats: the sums of the two planes. */
static inline __m512 joined(__m512i high, __m512i low)
{
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_set1_ps(256), _mm512_cvtepi32_ps(low));
}

/* What is gathered over k for one group and `inputs` rows of x. */
typedef struct sums {
    __m512i high[INPUTS], low[INPUTS]; /* not scaled: over all of k */
    __m512 total[INPUTS];              /* scaled */
} sums;

/* starts [part][inputs][2]: -zero times the sums of the planes over a part. */
ALWAYS_INLINE void multiply_block(const coding type, size_t inputs, const unsigned char *block, const int8_t *planes, size_t stride, const int32_t *starts, sums *s)
{
    for (size_t part = 0; part < type.parts; part++) {
        const unsigned char *line = block + (type.scaled ? BLOCK_SCALES : 0) + (type.halves ? 0 : part * type.lines * LINE);
        __m512i high[INPUTS], low[INPUTS];
        UNROLL
        for (size_t t = 0; t < inputs; t++) {
            high[t] = type.scaled ? _mm512_set1_epi32(starts[(part * inputs + t) * 2]) : s->high[t];
            low[t] = type.scaled ? _mm512_set1_epi32(starts[(part * inputs + t) * 2 + 1]) : s->low[t];
        }
        UNROLL
        for (size_t at = 0; at < type.lines; at++, line += LINE) {
            if (part == 0 || !type.halves)
                _mm_prefetch((const char *)((uintptr_t)line + AHEAD), _MM_HINT_T0);
            const __m512i w = codes(type, line, part);
            UNROLL
            for (size_t t = 0; t < inputs; t++) {
                const int8_t *x = planes + 2 * t * stride + 32 * part + 4 * at;
                high[t] = dot(high[t], w, spread(x));
                low[t] = dot(low[t], w, spread(x + stride));
            }
        }
        const __m512 scale = type.scaled ? _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(block + 32 * part))) : _mm512_setzero_ps();
        UNROLL
        for (size_t t = 0; t < inputs; t++) {
            if (type.scaled) {
                s->total[t] = _mm512_fmadd_ps(scale, joined(high[t], low[t]), s->total[t]);
            } else {
                s->high[t] = high[t];
                s->low[t] = low[t];
            }
        }
    }
}

ALWAYS_INLINE void multiply_group(const coding type, size_t inputs, size_t rows, size_t blocks, const unsigned char *group, const int8_t *planes, size_t stride, const float *x_scale,
                                  const int32_t *starts, float *y, size_t y_stride, bool accumulate)
{
    sums s;
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        s.high[t] = s.low[t] = _mm512_setzero_si512();
        s.total[t] = _mm512_setzero_ps();
    }
    for (size_t b = 0; b < blocks; b++, group += type.bytes) {
        multiply_block(type, inputs, group, planes + b * type.values, stride, starts, &s);
        if (type.scaled)
            starts += type.parts * inputs * 2;
    }
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        if (!type.scaled) {
            const __m512i high = _mm512_add_epi32(s.high[t], _mm512_set1_epi32(starts[2 * t]));
            s.total[t] = joined(high, _mm512_add_epi32(s.low[t], _mm512_set1_epi32(starts[2 * t + 1])));
        }
        const __mmask16 lanes = first_lanes(rows);
        const __m512 start = accumulate ? _mm512_maskz_loadu_ps(lanes, y + t * y_stride) : _mm512_setzero_ps();
        _mm512_mask_storeu_ps(y + t * y_stride, lanes, _mm512_fmadd_ps(_mm512_set1_ps(x_scale[t]), s.total[t], start));
    }
}

/* k whose starts are kept at a time: longer rows are cut, and go on from y. */
enum { MOST_K = 4096 };

/* -zero times the sums of the planes of `inputs` rows, over each part of each block; over all of k if the type has no scales. */
static void fill_starts(const coding type, size_t inputs, size_t blocks, const int8_t *planes, size_t stride, int32_t *starts)
{
    const size_t step = type.scaled ? type.values / type.parts : type.values * blocks;
    for (size_t k = 0; k < blocks * type.values; k += step)
        for (size_t plane = 0; plane < 2 * inputs; plane++) {
            const int8_t *x = planes + plane * stride + k;
            int32_t sum = 0;
            if (step >= PL_TILE_I8)
                sum = sum_of(step, x);
            else
                for (size_t i = 0; i < step; i++)
                    sum += x[i];
            *starts++ = -type.zero * sum;
        }
}

ALWAYS_INLINE void skinny_inputs(const coding type, size_t inputs, size_t rows, size_t k, const unsigned char *w, size_t group_bytes, const int8_t *planes, size_t stride,
                                 const float *x_scale, float *y, size_t y_stride, bool accumulate)
{
    int32_t starts[MOST_K / 32 * 2 * INPUTS];
    for (size_t k0 = 0; k0 < k; k0 += MOST_K) {
        const size_t blocks = ((k - k0 < MOST_K ? k - k0 : MOST_K) + type.values - 1) / type.values;
        fill_starts(type, inputs, blocks, planes + k0, stride, starts);
        for (size_t r = 0; r < rows; r += PL_TILE_ROWS)
            multiply_group(type, inputs, rows - r, blocks, w + r / PL_TILE_ROWS * group_bytes + k0 / type.values * type.bytes, planes + k0, stride, x_scale, starts, y + r, y_stride,
                           accumulate || k0 > 0);
    }
}

ALWAYS_INLINE void skinny(const coding type, size_t m, size_t rows, size_t k, const unsigned char *w, size_t group_bytes, const int8_t *planes, size_t stride, const float *x_scale,
                          float *y, size_t y_stride, bool accumulate)
{
    size_t step;
    for (size_t t = 0; t < m; t += step, planes += 2 * step * stride, x_scale += step, y += step * y_stride) {
#define STEP(count) (step = (count), skinny_inputs(type, (count), rows, k, w, group_bytes, planes, stride, x_scale, y, y_stride, accumulate))
        if (m - t >= INPUTS)
            STEP(INPUTS);
        else if (m - t >= 4)
            STEP(4);
        else if (m - t >= 2)
            STEP(2);
        else
            STEP(1);
#undef STEP
    }
}

#define SKINNY(name)                                                                                                                        \
    static void skinny_i8_##name##_avx512_vnni(size_t m, size_t rows, size_t k, const void *w, size_t group_bytes, const int8_t *planes,    \
        size_t stride, const float *x_scale, float *y, size_t y_stride, bool accumulate)                                                    \
    {                                                                                                                                       \
        skinny(coding_##name, m, rows, k, w, group_bytes, planes, stride, x_scale, y, y_stride, accumulate);                                \
    }
SKINNY(q8_tiles)
SKINNY(q8_0_tiles)
SKINNY(q4_0_tiles)
#undef SKINNY

#include "kernels/x86/vnni_rows.h"

/* ---- Rounding to codes ----------------------------------------------- */

/* The largest size among n values; NaN if there is one. */
static float largest(size_t n, const float *x)
{
    __m512i most = _mm512_setzero_si512(); /* sizes as integers: their order, with NaN above all */
    for (size_t i = 0; i < n; i += 16) {
        const __m512i bits = _mm512_castps_si512(_mm512_maskz_loadu_ps(first_lanes(n - i), x + i));
        most = _mm512_max_epu32(most, _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff)));
    }
    const uint32_t bits = _mm512_reduce_max_epu32(most);
    float size;
    memcpy(&size, &bits, sizeof size);
    return size;
}

/* Codes of 16 values within +-limit; NaN and what lies beyond become some code in that range. */
static inline __m512i codes_of(const float *x, size_t left, float inverse, float limit)
{
    const __m512 code = _mm512_mul_ps(_mm512_maskz_loadu_ps(first_lanes(left), x), _mm512_set1_ps(inverse));
    return _mm512_cvtps_epi32(_mm512_max_ps(_mm512_set1_ps(-limit), _mm512_min_ps(_mm512_set1_ps(limit), code)));
}

static float scale_of(float most, float limit, float *inverse)
{
    const float scale = most / limit;
    *inverse = most > 0 && limit / most < INFINITY ? limit / most : 0;
    return most < INFINITY ? scale : NAN;
}

static float to_i8_avx512_vnni(size_t n, const float *x, int8_t *y)
{
    float inverse;
    const float scale = scale_of(largest(n, x), 127, &inverse);
    for (size_t i = 0; i < (n + PL_TILE_I8 - 1) / PL_TILE_I8 * PL_TILE_I8; i += 16)
        _mm_storeu_si128((__m128i *)(void *)(y + i), _mm512_cvtepi32_epi8(codes_of(x + (i < n ? i : 0), i < n ? n - i : 0, inverse, 127)));
    return scale;
}

static float to_planes_avx512_vnni(size_t n, const float *x, int8_t *high, int8_t *low)
{
    enum { LIMIT = 127 * 256 };
    float inverse;
    const float scale = scale_of(largest(n, x), LIMIT, &inverse);
    for (size_t i = 0; i < (n + PL_TILE_I8 - 1) / PL_TILE_I8 * PL_TILE_I8; i += 16) {
        const __m512i code = codes_of(x + (i < n ? i : 0), i < n ? n - i : 0, inverse, LIMIT);
        const __m512i top = _mm512_srai_epi32(_mm512_add_epi32(code, _mm512_set1_epi32(128)), 8);
        _mm_storeu_si128((__m128i *)(void *)(high + i), _mm512_cvtepi32_epi8(top));
        _mm_storeu_si128((__m128i *)(void *)(low + i), _mm512_cvtepi32_epi8(_mm512_sub_epi32(code, _mm512_slli_epi32(top, 8))));
    }
    return scale;
}

/* ---- Ceiling --------------------------------------------------------- */

/* 3 times 5 and -5: the products cancel out. */
PL_PEAK(peak_i8_avx512_vnni, 16, 64, __m512i, _mm512_set1_epi32((int)x), dot(s, _mm512_set1_epi8(3), _mm512_set1_epi32(0x05fb05fb)), _mm512_reduce_add_epi32(s))

void pl_fill_avx512_vnni(pl_kernels *k)
{
    k->to_i8 = to_i8_avx512_vnni;
    k->to_planes = to_planes_avx512_vnni;
    k->gemm_i8 = gemm_i8_avx512_vnni;
    k->skinny_i8[PL_Q8_0] = skinny_i8_q8_0_avx512_vnni;
    k->skinny_i8[PL_Q4_0] = skinny_i8_q4_0_avx512_vnni;
    k->skinny_i8[PL_Q8_TILES] = skinny_i8_q8_tiles_avx512_vnni;
    k->skinny_i8[PL_Q8_0_TILES] = skinny_i8_q8_0_tiles_avx512_vnni;
    k->skinny_i8[PL_Q4_0_TILES] = skinny_i8_q4_0_tiles_avx512_vnni;
    k->peak_i8 = peak_i8_avx512_vnni;
    k->i8_unit = true;
}
