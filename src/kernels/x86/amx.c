/*
 * The level amx: products of bf16 and int8 by tiles of 16 rows of 64 bytes
 * (Sapphire Rapids and later). Weights lie in memory as the tiles that the
 * instructions take. Two by two tiles of sums take two of each side a step, so
 * that a step's products (64 cycles) hide its loads if one side is in the first
 * cache: columns go by 32 and k by what keeps their weights there while all
 * rows pass. Tiles 0 to 3 are sums, 4 and 5 rows of a, 6 and 7 columns of b.
 */
#include "kernels/levels.h"
#include "kernels/unroll.h"
#include "kernels/x86/words_avx512.h"

#include <string.h>

#ifdef PL_TILE_WORDS
#include PL_TILE_WORDS
#else
#include "kernels/x86/tile_words.h"
#endif

enum {
    LINE = 64,
    TILE = 1024,
    TALL = 16,        /* rows of a tile */
    WIDE = 16,        /* columns of a tile of sums */
    NEAR_BLOCKS = 16  /* blocks of k whose 32 columns of weights stay in the first cache: 32 KiB */
};

/* Tiles of sums and of a with `rows` rows. */
static void configure(size_t rows)
{
    tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = LINE;
        config.rows[i] = (uint8_t)(i < 6 ? rows : TALL);
    }
    tile_configure(&config);
}

/* What is left of the caller's pl_ahead, asked for a share at every step. */
typedef struct asking {
    const unsigned char *run;
    size_t runs, at, bytes, stride; /* at: byte of this run */
    size_t share;                   /* lines a step */
} asking;

static asking start_asking(const pl_ahead *ahead, size_t steps)
{
    if (ahead == NULL || steps == 0)
        return (asking){0};
    const size_t lines = ahead->runs * ((ahead->bytes + LINE - 1) / LINE);
    return (asking){.run = ahead->at, .runs = ahead->runs, .bytes = ahead->bytes, .stride = ahead->stride, .share = (lines + steps - 1) / steps};
}

static inline void ask(asking *s)
{
    for (size_t i = 0; i < s->share && s->runs > 0; i++) {
        _mm_prefetch((const char *)s->run + s->at, _MM_HINT_T1);
        s->at += LINE;
        if (s->at >= s->bytes) {
            s->at = 0;
            s->run += s->stride;
            s->runs--;
        }
    }
}

/* Steps of two by two tiles that a product of m rows takes, of `slices` of k each. */
static size_t steps_of(size_t m, size_t n, size_t slices)
{
    return (m + 2 * TALL - 1) / (2 * TALL) * ((n + 2 * WIDE - 1) / (2 * WIDE)) * slices;
}

/* What a product is of: bytes apart, so that both number formats look alike. */
typedef struct product {
    size_t n, blocks; /* columns; blocks of k */
    const unsigned char *a, *tiles;
    size_t a_bytes, tile_bytes; /* from row to row; from 16 columns to the next */
    float *c;
    size_t c_stride;
    bool accumulate;
    const float *a_scale, *b_scale; /* int8 */
    asking *ahead;
} product;

/* Sums of one or two tiles each way += a b over `blocks` of k. */
ALWAYS_INLINE void add_products(bool int8, bool tall, bool wide, size_t blocks, const unsigned char *a, size_t a_bytes, const unsigned char *b, size_t tile_bytes)
{
    const unsigned char *const a1 = a + TALL * a_bytes, *const b1 = b + tile_bytes;
#define DOT(c, x, y)             \
    do {                         \
        if (int8)                \
            tile_dot_i8(c, x, y);   \
        else                     \
            tile_dot_bf16(c, x, y); \
    } while (0)
    _Pragma("GCC unroll 2") /* gcc would write out all NEAR_BLOCKS */
    for (size_t q = 0; q < blocks; q++) {
        tile_load(6, b + q * TILE, (size_t)LINE);
        tile_load(4, a + q * LINE, a_bytes);
        DOT(0, 4, 6);
        if (wide) {
            tile_load(7, b1 + q * TILE, (size_t)LINE);
            DOT(1, 4, 7);
        }
        if (tall) {
            tile_load(5, a1 + q * LINE, a_bytes);
            DOT(2, 5, 6);
        }
        if (tall && wide)
            DOT(3, 5, 7);
    }
#undef DOT
}

/* ---- bf16 ------------------------------------------------------------ */

/* Columns of sums where they lie, or a copy of those that do not fill a tile. */
typedef struct columns {
    float *at;
    size_t stride; /* in bytes */
} columns;

static void take_columns(size_t rows, size_t n, const float *c, size_t c_stride, float *copy)
{
    for (size_t r = 0; r < rows; r++)
        _mm512_store_ps(copy + r * WIDE, _mm512_maskz_loadu_ps(first_lanes(n), c + r * c_stride));
}

static void put_columns(size_t rows, size_t n, const float *copy, float *c, size_t c_stride)
{
    for (size_t r = 0; r < rows; r++)
        _mm512_mask_storeu_ps(c + r * c_stride, first_lanes(n), _mm512_load_ps(copy + r * WIDE));
}

/* `rows` (of one or two tiles) x n columns, over `blocks` of k. */
ALWAYS_INLINE void multiply_bf16(const product *p, bool tall, bool wide, size_t rows, size_t n, size_t blocks, const unsigned char *a, const unsigned char *b, float *c, bool accumulate)
{
    _Alignas(LINE) float copy[2 * TALL * WIDE];
    const size_t part = n % WIDE;
    float *const last = c + (wide ? WIDE : 0);
    columns left = {c, p->c_stride * sizeof *c}, right = {c + WIDE, left.stride};
    if (part > 0) {
        *(wide ? &right : &left) = (columns){copy, WIDE * sizeof *copy};
        if (accumulate)
            take_columns(rows, part, last, p->c_stride, copy);
    }
    const size_t down0 = TALL * left.stride / sizeof *c, down1 = TALL * right.stride / sizeof *c;
    if (accumulate) {
        tile_load(0, left.at, left.stride);
        if (wide)
            tile_load(1, right.at, right.stride);
        if (tall)
            tile_load(2, left.at + down0, left.stride);
        if (tall && wide)
            tile_load(3, right.at + down1, right.stride);
    } else {
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
    }
    add_products(false, tall, wide, blocks, a, p->a_bytes, b, p->tile_bytes);
    tile_store(0, left.at, left.stride);
    if (wide)
        tile_store(1, right.at, right.stride);
    if (tall)
        tile_store(2, left.at + down0, left.stride);
    if (tall && wide)
        tile_store(3, right.at + down1, right.stride);
    if (part > 0)
        put_columns(rows, part, copy, last, p->c_stride);
}

/* m rows, of whole tiles or of one that is configured for them. Columns, then k, then rows: see NEAR_BLOCKS. */
static void multiply_rows_bf16(const product *p, size_t m)
{
    for (size_t j = 0; j < p->n; j += 2 * WIDE) {
        const size_t n = p->n - j < 2 * WIDE ? p->n - j : 2 * WIDE;
        size_t q = 0;
        do { /* once for k = 0 */
            const size_t blocks = p->blocks - q < NEAR_BLOCKS ? p->blocks - q : NEAR_BLOCKS;
            const unsigned char *const b = p->tiles + j / WIDE * p->tile_bytes + q * TILE;
            const bool accumulate = p->accumulate || q > 0;
            for (size_t i = 0; i < m; i += 2 * TALL) {
                const size_t rows = m - i < 2 * TALL ? m - i : 2 * TALL;
                const unsigned char *const a = p->a + i * p->a_bytes + q * LINE;
                float *const c = p->c + i * p->c_stride + j;
                ask(p->ahead);
                if (rows > TALL && n > WIDE)
                    multiply_bf16(p, true, true, rows, n, blocks, a, b, c, accumulate);
                else if (rows > TALL)
                    multiply_bf16(p, true, false, rows, n, blocks, a, b, c, accumulate);
                else if (n > WIDE)
                    multiply_bf16(p, false, true, rows, n, blocks, a, b, c, accumulate);
                else
                    multiply_bf16(p, false, false, rows, n, blocks, a, b, c, accumulate);
            }
            q += blocks;
        } while (q < p->blocks);
    }
}

static void gemm_bf16_amx(size_t m, size_t n, size_t k, const uint16_t *a, size_t a_stride, const uint16_t *tiles, size_t tile_stride, float *c, size_t c_stride, bool accumulate, const pl_ahead *ahead)
{
    const size_t blocks = (k + PL_TILE_BF16 - 1) / PL_TILE_BF16;
    asking asked = start_asking(ahead, steps_of(m, n, (blocks + NEAR_BLOCKS - 1) / NEAR_BLOCKS));
    product p = {.n = n, .blocks = blocks, .a = (const unsigned char *)a, .tiles = (const unsigned char *)tiles, .a_bytes = 2 * a_stride,
                 .tile_bytes = 2 * tile_stride, .c = c, .c_stride = c_stride, .accumulate = accumulate, .ahead = &asked};
    const size_t whole = m - m % TALL;
    if (whole > 0) {
        configure(TALL);
        multiply_rows_bf16(&p, whole);
    }
    if (whole < m) {
        p.a += whole * p.a_bytes;
        p.c += whole * c_stride;
        configure(m - whole);
        multiply_rows_bf16(&p, m - whole);
    }
    tile_release();
}

/* ---- int8 ------------------------------------------------------------ */

/* c = c or 0 + scales * sums, for one tile of them. */
static void add_scaled(const product *p, size_t rows, size_t n, const int32_t *sums, size_t row, size_t column)
{
    const __mmask16 lanes = first_lanes(n);
    const __m512 b_scale = p->b_scale ? _mm512_maskz_loadu_ps(lanes, p->b_scale + column) : _mm512_set1_ps(1);
    for (size_t r = 0; r < rows; r++) {
        float *const to = p->c + (row + r) * p->c_stride + column;
        const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(p->a_scale[row + r]), b_scale);
        const __m512 start = p->accumulate ? _mm512_maskz_loadu_ps(lanes, to) : _mm512_setzero_ps();
        const __m512 sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums + r * WIDE));
        _mm512_mask_storeu_ps(to, lanes, _mm512_add_ps(start, _mm512_mul_ps(scale, sum)));
    }
}

ALWAYS_INLINE void multiply_i8(const product *p, bool tall, bool wide, size_t rows, size_t n, size_t i, size_t j)
{
    _Alignas(LINE) int32_t sums[4][TALL * WIDE];
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    add_products(true, tall, wide, p->blocks, p->a + i * p->a_bytes, p->a_bytes, p->tiles + j / WIDE * p->tile_bytes, p->tile_bytes);
    const size_t upper = tall ? TALL : rows, left = wide ? WIDE : n;
    tile_store(0, sums[0], (size_t)LINE);
    if (wide)
        tile_store(1, sums[1], (size_t)LINE);
    if (tall)
        tile_store(2, sums[2], (size_t)LINE);
    if (tall && wide)
        tile_store(3, sums[3], (size_t)LINE);
    add_scaled(p, upper, left, sums[0], i, j);
    if (wide)
        add_scaled(p, upper, n - WIDE, sums[1], i, j + WIDE);
    if (tall)
        add_scaled(p, rows - TALL, left, sums[2], i + TALL, j);
    if (tall && wide)
        add_scaled(p, rows - TALL, n - WIDE, sums[3], i + TALL, j + WIDE);
}

/* As in bf16, but sums are whole numbers over all of k, which is therefore not cut. */
static void multiply_rows_i8(const product *p, size_t m)
{
    for (size_t j = 0; j < p->n; j += 2 * WIDE) {
        const size_t n = p->n - j < 2 * WIDE ? p->n - j : 2 * WIDE;
        for (size_t i = 0; i < m; i += 2 * TALL) {
            const size_t rows = m - i < 2 * TALL ? m - i : 2 * TALL;
            ask(p->ahead);
            if (rows > TALL && n > WIDE)
                multiply_i8(p, true, true, rows, n, i, j);
            else if (rows > TALL)
                multiply_i8(p, true, false, rows, n, i, j);
            else if (n > WIDE)
                multiply_i8(p, false, true, rows, n, i, j);
            else
                multiply_i8(p, false, false, rows, n, i, j);
        }
    }
}

static void gemm_i8_amx(size_t m, size_t n, size_t k, const int8_t *a, size_t a_stride, const float *a_scale, const int8_t *tiles, size_t tile_stride, const float *b_scale, float *c,
                        size_t c_stride, bool accumulate, const pl_ahead *ahead)
{
    asking asked = start_asking(ahead, steps_of(m, n, 1));
    product p = {.n = n, .blocks = (k + PL_TILE_I8 - 1) / PL_TILE_I8, .a = (const unsigned char *)a, .tiles = (const unsigned char *)tiles, .a_bytes = a_stride,
                 .tile_bytes = tile_stride, .c = c, .c_stride = c_stride, .accumulate = accumulate, .a_scale = a_scale, .b_scale = b_scale, .ahead = &asked};
    const size_t whole = m - m % TALL;
    if (whole > 0) {
        configure(TALL);
        multiply_rows_i8(&p, whole);
    }
    if (whole < m) {
        p.a += whole * p.a_bytes;
        p.c += whole * c_stride;
        p.a_scale += whole;
        configure(m - whole);
        multiply_rows_i8(&p, m - whole);
    }
    tile_release();
}

/* ---- Few rows -------------------------------------------------------- */

/*
 * The planes of up to 8 rows of x are the 16 rows of a tile, where they lie; a group of weights is read as
 * tiles, four groups side by side. VNNI keeps up with memory for fewer rows (two vpdpbusd a row and line of
 * 64 bytes against 16 cycles a tile of 16 lines), with the same bits: k is cut at the same places.
 */
enum { INPUTS = 8, GROUPS = 4, MOST_K = 4096, AHEAD = 4096, FEW = 4 };

static pl_skinny_i8_fn *skinny_of_few; /* the base level's, set with the table */

typedef struct few_rows {
    size_t inputs, rows, blocks; /* rows of x; outputs left; blocks of k */
    const int8_t *planes;
    size_t stride;
    const unsigned char *w;
    size_t group_bytes;
    const float *x_scale;
    float *y;
    size_t y_stride;
    bool accumulate;
} few_rows;

/* Sums of the two planes of a row of x -> y of one group. */
static void put_sums(const few_rows *s, size_t group, const int32_t *sums)
{
    const __mmask16 lanes = first_lanes(s->rows - group * WIDE);
    for (size_t t = 0; t < s->inputs; t++) {
        float *const to = s->y + t * s->y_stride + group * WIDE;
        const __m512 high = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums + 2 * t * WIDE)), low = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums + (2 * t + 1) * WIDE));
        const __m512 total = _mm512_fmadd_ps(high, _mm512_set1_ps(256), low);
        const __m512 start = s->accumulate ? _mm512_maskz_loadu_ps(lanes, to) : _mm512_setzero_ps();
        _mm512_mask_storeu_ps(to, lanes, _mm512_fmadd_ps(_mm512_set1_ps(s->x_scale[t]), total, start));
    }
}

static inline void prefetch_tile(const unsigned char *p)
{
    for (size_t i = 0; i < TILE; i += LINE) /* beyond the weights it does no harm */
        _mm_prefetch((const char *)((uintptr_t)p + AHEAD + i), _MM_HINT_T0);
}

/* `groups` (a constant) of 16 outputs. */
ALWAYS_INLINE void multiply_groups(const few_rows *s, size_t groups)
{
    _Alignas(LINE) int32_t sums[GROUPS][TALL * WIDE];
    const unsigned char *const w = s->w;
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
#define STEP(group, b)                                      \
    if (groups > (group)) {                                 \
        const unsigned char *const from = w + (group) * s->group_bytes + q * TILE; \
        prefetch_tile(from);                                \
        tile_load(b, from, (size_t)LINE);                   \
        tile_dot_i8(group, 4, b);                           \
    }
    for (size_t q = 0; q < s->blocks; q++) {
        tile_load(4, s->planes + q * LINE, s->stride);
        STEP(0, 6)
        STEP(1, 7)
        STEP(2, 6)
        STEP(3, 7)
    }
#undef STEP
    tile_store(0, sums[0], (size_t)LINE);
    tile_store(1, sums[1], (size_t)LINE);
    tile_store(2, sums[2], (size_t)LINE);
    tile_store(3, sums[3], (size_t)LINE);
    for (size_t g = 0; g < groups; g++)
        put_sums(s, g, sums[g]);
}

/* A slice of k for up to INPUTS rows of x. */
static void multiply_slice(few_rows s)
{
    configure(2 * s.inputs);
    while (s.rows > 0) {
        const size_t groups = s.rows > (GROUPS - 1) * WIDE ? GROUPS : 1, done = groups * WIDE;
        if (groups == GROUPS)
            multiply_groups(&s, GROUPS);
        else
            multiply_groups(&s, 1);
        if (s.rows <= done)
            break;
        s.rows -= done;
        s.w += groups * s.group_bytes;
        s.y += done;
    }
}

static void skinny_i8_q8_tiles_amx(size_t m, size_t rows, size_t k, const void *w, size_t group_bytes, const int8_t *planes, size_t stride, const float *x_scale, float *y,
                                   size_t y_stride, bool accumulate)
{
    if (m <= FEW || rows == 0) {
        skinny_of_few(m, rows, k, w, group_bytes, planes, stride, x_scale, y, y_stride, accumulate);
        return;
    }
    for (size_t k0 = 0; k0 < k; k0 += MOST_K) {
        const size_t slice = k - k0 < MOST_K ? k - k0 : MOST_K;
        for (size_t t = 0; t < m; t += INPUTS)
            multiply_slice((few_rows){.inputs = m - t < INPUTS ? m - t : INPUTS, .rows = rows, .blocks = (slice + PL_TILE_I8 - 1) / PL_TILE_I8,
                .planes = planes + 2 * t * stride + k0, .stride = stride, .w = (const unsigned char *)w + k0 / PL_TILE_I8 * TILE, .group_bytes = group_bytes,
                .x_scale = x_scale + t, .y = y + t * y_stride, .y_stride = y_stride, .accumulate = accumulate || k0 > 0});
    }
    tile_release();
}

/* ---- The level ------------------------------------------------------- */

/* What the proof multiplies: whole numbers of at most 3. */
static int sample(size_t row, size_t k)
{
    return (int)((row + 3 * k) % 7) - 3;
}

bool pl_amx_works(void)
{
    enum { M = 17, N = 17, K = 40, DEPTH = 64, COLUMN = DEPTH * WIDE };
    uint16_t a_bf16[M * DEPTH] = {0}, b_bf16[2 * COLUMN] = {0};
    int8_t a_i8[M * DEPTH] = {0}, b_i8[2 * COLUMN] = {0};
    float ones[M], c_bf16[M * N], c_i8[M * N];
    for (size_t r = 0; r < M; r++) {
        ones[r] = 1;
        for (size_t k = 0; k < K; k++) {
            const size_t column = r / WIDE * COLUMN;
            a_i8[r * DEPTH + k] = b_i8[column + k / 4 * LINE + r % WIDE * 4 + k % 4] = (int8_t)sample(r, k);
            a_bf16[r * DEPTH + k] = b_bf16[column + k / 2 * LINE / 2 + r % WIDE * 2 + k % 2] = pl_f32_to_bf16((float)sample(r, k));
        }
    }
    gemm_bf16_amx(M, N, K, a_bf16, DEPTH, b_bf16, COLUMN, c_bf16, N, false, NULL);
    gemm_i8_amx(M, N, K, a_i8, DEPTH, ones, b_i8, COLUMN, NULL, c_i8, N, false, NULL);
    for (size_t i = 0; i < M * N; i++) {
        int sum = 0;
        for (size_t k = 0; k < K; k++)
            sum += sample(i / N, k) * sample(i % N, k);
        if (c_bf16[i] != (float)sum || c_i8[i] != (float)sum)
            return false;
    }
    return true;
}

/* ---- Ceilings -------------------------------------------------------- */

/* Four tiles of sums, as the products have; all values are zero, which takes as long. */
#define PEAK(name, dot, depth)                                         \
    static double name(size_t steps, float *sink)                      \
    {                                                                  \
        (void)sink;                                                    \
        configure(TALL);                                               \
        for (size_t step = 0; step < steps; step++) {                  \
            dot(0, 4, 6);                                              \
            dot(1, 4, 7);                                              \
            dot(2, 5, 6);                                              \
            dot(3, 5, 7);                                              \
        }                                                              \
        tile_release();                                                \
        return 2.0 * 4 * TALL * WIDE * (depth) * (double)steps;        \
    }
PEAK(peak_bf16_amx, tile_dot_bf16, PL_TILE_BF16)
PEAK(peak_i8_amx, tile_dot_i8, PL_TILE_I8)
#undef PEAK

void pl_fill_amx(pl_kernels *k)
{
    skinny_of_few = k->skinny_i8[PL_Q8_TILES];
    k->gemm_bf16 = gemm_bf16_amx;
    k->gemm_i8 = gemm_i8_amx;
    k->peak_bf16 = peak_bf16_amx;
    k->peak_i8 = peak_i8_amx;
    k->skinny_i8[PL_Q8_TILES] = skinny_i8_q8_tiles_amx;
    k->bf16_unit = k->i8_unit = true;
}
