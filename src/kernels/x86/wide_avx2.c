/*
 * Part of the level avx2: few rows of planes times codes of 8 bits. vpmaddwd
 * multiplies numbers of 16 bits: the planes joined again, once for all rows of
 * weights, and the codes as they are loaded. Four products of at most 2^22 each
 * meet in a lane from each line, so that 128 lines add up within 32 bits.
 */
#include "kernels/levels.h"
#include "kernels/unroll.h"
#include "kernels/x86/codes_avx2.h"

/* k whose values are joined at a time: longer rows are cut, and go on from y. */
enum { MOST_K = 4096 };

static inline vi widened(const void *bytes)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(bytes));
}

static inline vi vi_add(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}

/* Sums of two products in each lane. */
static inline vi multiply_pairs(vi w, vi x)
{
    return _mm256_madd_epi16(w, x);
}

/* 256 high + low of `inputs` rows of planes, n values rounded up to a whole PL_TILE_I8. */
static void join_planes(size_t inputs, size_t n, const int8_t *planes, size_t stride, int16_t x[INPUTS][MOST_K])
{
    for (size_t t = 0; t < inputs; t++, planes += 2 * stride)
        for (size_t i = 0; i < n; i += PL_TILE_I8) {
            UNROLL
            for (size_t j = i; j < i + PL_TILE_I8; j += 16) {
                const vi high = _mm256_slli_epi16(widened(planes + j), 8);
                _mm256_storeu_si256((__m256i *)(void *)(x[t] + j), _mm256_add_epi16(high, widened(planes + stride + j)));
            }
        }
}

/* ---- Tiles ----------------------------------------------------------- */

/* A line in quarters of four rows; two quarters make a vector of sums. EXACT lines add up within 32 bits. */
enum { LINE = 64, QUARTERS = 4, HALVES = 2, EXACT = 128, BLOCK_SCALES = 64 };

typedef struct tile_coding {
    size_t block, scales; /* bytes of a block, and of the scales before its lines */
    size_t parts, lines;  /* parts in a block, lines in a part */
} tile_coding;

static const tile_coding coding_q8_tiles = {1024, 0, 1, 16};
static const tile_coding coding_q8_0_tiles = {1024 + BLOCK_SCALES, BLOCK_SCALES, 2, 8};

/* The same four values of x for all rows of a quarter. */
static inline vi spread(const int16_t *x)
{
    int64_t four;
    memcpy(&four, x, sizeof four);
    return _mm256_set1_epi64x(four);
}

/* Both sums of each row in one, of eight rows in the order 0 1 4 5 2 3 6 7. */
static inline vf gathered(const vi sum[QUARTERS], size_t half)
{
    return vf_from_int(_mm256_hadd_epi32(sum[2 * half], sum[2 * half + 1]));
}

/* Scales of eight rows in the order of `gathered`. */
static inline vf gathered_scales(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)p), 0xd8));
}

static inline vf in_order(vf gathered)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(gathered), 0xd8));
}

ALWAYS_INLINE void clear_sums(size_t inputs, vi sum[INPUTS][QUARTERS])
{
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t q = 0; q < QUARTERS; q++)
            sum[t][q] = vi_set(0);
    }
}

ALWAYS_INLINE void add_lines(size_t inputs, size_t lines, const unsigned char *line, const int16_t (*x)[MOST_K], size_t k, vi sum[INPUTS][QUARTERS])
{
    UNROLL
    for (size_t at = 0; at < lines; at++) {
        UNROLL
        for (size_t q = 0; q < QUARTERS; q++) {
            const vi w = widened(line + LINE * at + LINE / QUARTERS * q);
            UNROLL
            for (size_t t = 0; t < inputs; t++)
                sum[t][q] = vi_add(sum[t][q], multiply_pairs(w, spread(x[t] + k + 4 * at)));
        }
    }
}

/* One group of 16 rows, of which `rows` exist, times `inputs` rows of x; all but these and the blocks are constants. */
ALWAYS_INLINE void multiply_group(const tile_coding type, size_t inputs, size_t rows, size_t blocks, const unsigned char *group, const int16_t (*x)[MOST_K], const float *x_scale,
                                  float *y, size_t y_stride, bool accumulate)
{
    vf total[INPUTS][HALVES];
    vi sum[INPUTS][QUARTERS];
    UNROLL
    for (size_t t = 0; t < inputs; t++)
        total[t][0] = total[t][1] = vf_set(0);
    clear_sums(inputs, sum);
    for (size_t b = 0; b < blocks; b++, group += type.block) {
        UNROLL
        for (size_t part = 0; part < type.parts; part++) {
            add_lines(inputs, type.lines, group + type.scales + part * type.lines * LINE, x, b * PL_TILE_I8 + 4 * part * type.lines, sum);
            if (!type.scales && (b + 1) % (EXACT / 16) != 0 && b + 1 < blocks)
                continue;
            UNROLL
            for (size_t h = 0; h < HALVES; h++) {
                const vf scale = type.scales ? gathered_scales(group + 32 * part + 16 * h) : vf_set(1);
                UNROLL
                for (size_t t = 0; t < inputs; t++)
                    total[t][h] = vf_fma(scale, gathered(sum[t], h), total[t][h]);
            }
            clear_sums(inputs, sum);
        }
    }
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t h = 0; h < HALVES; h++) {
            float *const to = y + t * y_stride + VL * h;
            if (rows <= VL * h)
                continue;
            const size_t left = rows - VL * h;
            vf_put(to, left, vf_fma(vf_set(x_scale[t]), in_order(total[t][h]), accumulate ? vf_take(to, left) : vf_set(0)));
        }
    }
}

ALWAYS_INLINE void multiply_tiles(const tile_coding type, size_t inputs, size_t rows, size_t k, const unsigned char *w, size_t group_bytes, const int16_t (*x)[MOST_K],
                                  const float *x_scale, float *y, size_t y_stride, bool accumulate)
{
    const size_t blocks = (k + PL_TILE_I8 - 1) / PL_TILE_I8;
    for (size_t r = 0; r < rows; r += PL_TILE_ROWS)
        multiply_group(type, inputs, rows - r, blocks, w + r / PL_TILE_ROWS * group_bytes, x, x_scale, y + r, y_stride, accumulate);
}

/* ---- Rows ------------------------------------------------------------ */

/* Rows that run side by side as in kernels/simd/matrix.h, and how many bytes ahead each asks for. */
enum { STREAMS = 4, AHEAD = 2048 };

/* A type of rows: values and bytes of a block, an f16 scale and int8 codes. */
typedef struct row_coding {
    size_t values, block;
} row_coding;

static const row_coding coding_q8_0 = {32, 34};

/* `rows` rows, `row_stride` bytes apart, times `inputs` rows of x (both constants); y of a row stands y_step floats behind that of the one before. */
ALWAYS_INLINE void multiply_streams(const row_coding type, size_t rows, size_t inputs, size_t k, const unsigned char *w, size_t row_stride, const int16_t (*x)[MOST_K],
                                    const float *x_scale, float *y, size_t y_stride, size_t y_step, bool accumulate)
{
    vf total[STREAMS][INPUTS];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t t = 0; t < inputs; t++)
            total[r][t] = vf_set(0);
    }
    for (size_t i = 0; i < k; i += type.values, w += type.block) {
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const unsigned char *const block = w + r * row_stride;
            _mm_prefetch((const char *)((uintptr_t)block + AHEAD), _MM_HINT_T0);
            const vi first = widened(block + 2), second = widened(block + 18);
            const vf scale = row_scales(false, block, NULL);
            UNROLL
            for (size_t t = 0; t < inputs; t++) {
                const vi sum = vi_add(multiply_pairs(first, vi_load(x[t] + i)), multiply_pairs(second, vi_load(x[t] + i + 16)));
                total[r][t] = vf_fma(scale, vf_from_int(sum), total[r][t]);
            }
        }
    }
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            float *const to = y + t * y_stride + r * y_step;
            *to = (accumulate ? *to : 0) + x_scale[t] * vf_sum(total[r][t]);
        }
    }
}

ALWAYS_INLINE void multiply_rows(const row_coding type, size_t inputs, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, const int16_t (*x)[MOST_K],
                                 const float *x_scale, float *y, size_t y_stride, bool accumulate)
{
    const size_t slice = rows / STREAMS;
    for (size_t i = 0; i < slice; i++)
        multiply_streams(type, STREAMS, inputs, k, w + i * row_bytes, slice * row_bytes, x, x_scale, y + i, y_stride, slice, accumulate);
    for (size_t r = STREAMS * slice; r < rows; r++)
        multiply_streams(type, 1, inputs, k, w + r * row_bytes, 0, x, x_scale, y + r, y_stride, 0, accumulate);
}

/* ---- Both ------------------------------------------------------------ */

#define SKINNY(name, form, values)                                                                                                          \
    static void skinny_i8_##name##_avx2(size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const int8_t *planes,             \
        size_t stride, const float *x_scale, float *y, size_t y_stride, bool accumulate)                                                    \
    {                                                                                                                                       \
        int16_t x[INPUTS][MOST_K];                                                                                                          \
        for (size_t t = 0; t < m; t += INPUTS, planes += 2 * INPUTS * stride, x_scale += INPUTS, y += INPUTS * y_stride)                    \
            for (size_t k0 = 0; k0 < k; k0 += MOST_K) {                                                                                     \
                const size_t n = k - k0 < MOST_K ? k - k0 : MOST_K, inputs = m - t < INPUTS ? 1 : INPUTS;                                   \
                const unsigned char *const from = (const unsigned char *)w + k0 / (values) * coding_##name.block;                           \
                join_planes(inputs, n, planes + k0, stride, x);                                                                             \
                if (inputs == INPUTS)                                                                                                       \
                    multiply_##form(coding_##name, INPUTS, rows, n, from, row_bytes, x, x_scale, y, y_stride, accumulate || k0 > 0);        \
                else                                                                                                                        \
                    multiply_##form(coding_##name, 1, rows, n, from, row_bytes, x, x_scale, y, y_stride, accumulate || k0 > 0);             \
            }                                                                                                                               \
    }
SKINNY(q8_tiles, tiles, PL_TILE_I8)
SKINNY(q8_0_tiles, tiles, PL_TILE_I8)
SKINNY(q8_0, rows, 32)
#undef SKINNY

void pl_fill_wide_avx2(pl_kernels *k)
{
    pl_use_skinny_i8(k, PL_Q8_TILES, skinny_i8_q8_tiles_avx2);
    pl_use_skinny_i8(k, PL_Q8_0_TILES, skinny_i8_q8_0_tiles_avx2);
    pl_use_skinny_i8(k, PL_Q8_0, skinny_i8_q8_0_avx2);
}
