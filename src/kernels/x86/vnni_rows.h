/*
 * Part of x86/avx512_vnni.c: few rows of planes times ggml's blocks of 32 codes
 * (q8_0, q4_0), rows one after the other. Two blocks of a row fill a vector;
 * their sums are scaled in the lanes where they stand and added up at the end.
 * Four rows run side by side as in kernels/simd/matrix.h, each a long stream.
 */
#ifndef PL_KERNELS_X86_VNNI_ROWS_H
#define PL_KERNELS_X86_VNNI_ROWS_H

enum { STREAMS = 4, ROW_INPUTS = 4 };

/* A type of rows: bytes of a block, what a code counts more than its value, and whether codes are halves of bytes. */
typedef struct row_coding {
    size_t bytes;
    int zero;
    bool halves;
} row_coding;

static const row_coding row_coding_q8_0 = {34, 128, false};
static const row_coding row_coding_q4_0 = {18, 8, true};

static inline __m128i load_16(const unsigned char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline uint32_t scale_bits(const unsigned char *block)
{
    uint16_t bits;
    memcpy(&bits, block, sizeof bits);
    return bits;
}

/* The codes of two blocks without sign; halves: 16 of the first, 16 of the second, then the upper 16 of each. */
ALWAYS_INLINE __m512i pair_codes(const row_coding type, const unsigned char *first, const unsigned char *second)
{
    if (!type.halves) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(first + 2)), high = _mm256_loadu_si256((const __m256i *)(const void *)(second + 2));
        return without_sign(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
    }
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(first + 2)), load_16(second + 2), 1);
    return _mm512_and_si512(_mm512_inserti64x4(_mm512_castsi256_si512(both), _mm256_srli_epi16(both, 4), 1), _mm512_set1_epi8(15));
}

/* The scale of each lane's block. */
ALWAYS_INLINE __m512 pair_scales(const row_coding type, const unsigned char *first, const unsigned char *second)
{
    const __m512i order = type.halves ? _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1) : _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m128 both = _mm_cvtph_ps(_mm_cvtsi32_si128((int)(scale_bits(second) << 16 | scale_bits(first))));
    return _mm512_permutexvar_ps(order, _mm512_castps128_ps512(both));
}

/* 64 values of a plane in the order of the codes. */
ALWAYS_INLINE __m512i pair_inputs(const row_coding type, const int8_t *x)
{
    return type.halves ? _mm512_shuffle_i64x2(load_line(x), load_line(x), 0xd8) : load_line(x);
}

/* w (256 high + low): with four products in a lane, whole numbers of 24 bits and a sign. */
static inline __m512i both_planes(__m512i w, __m512i high, __m512i low)
{
    return dot(_mm512_slli_epi32(dot(_mm512_setzero_si512(), w, high), 8), w, low);
}

/* `rows` rows, `stride` bytes apart, times `inputs` rows of x (both constant), to their sums. */
ALWAYS_INLINE void dot_rows(const row_coding type, size_t rows, size_t inputs, size_t k, const unsigned char *w, size_t row_stride, const int8_t *planes, size_t stride,
                            float dots[ROW_INPUTS][STREAMS])
{
    __m512 total[STREAMS][ROW_INPUTS];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t t = 0; t < inputs; t++)
            total[r][t] = _mm512_setzero_ps();
    }
    for (size_t i = 0; i < k; i += 64, w += 2 * type.bytes) {
        const size_t next = k - i > 32 ? type.bytes : 0; /* beyond the last block x is zero, and any codes will do */
        __m512i codes_of_row[STREAMS];
        __m512 scales[STREAMS];
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const unsigned char *const first = w + r * row_stride;
            _mm_prefetch((const char *)((uintptr_t)first + AHEAD), _MM_HINT_T0);
            codes_of_row[r] = pair_codes(type, first, first + next);
            scales[r] = pair_scales(type, first, first + next);
        }
        UNROLL
        for (size_t t = 0; t < inputs; t++) {
            const __m512i high = pair_inputs(type, planes + 2 * t * stride + i), low = pair_inputs(type, planes + (2 * t + 1) * stride + i);
            const __m512i unit = _mm512_set1_epi8((char)type.zero);
            const __m512i less = both_planes(unit, high, low);
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                const __m512i sum = _mm512_sub_epi32(both_planes(codes_of_row[r], high, low), less);
                total[r][t] = _mm512_fmadd_ps(scales[r], _mm512_cvtepi32_ps(sum), total[r][t]);
            }
        }
    }
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t r = 0; r < rows; r++)
            dots[t][r] = _mm512_reduce_add_ps(total[r][t]);
    }
}

/* `rows` rows (a constant) times all m rows of x; y of one row stands y_step floats behind that of the one before. */
ALWAYS_INLINE void multiply_streams(const row_coding type, size_t rows, size_t m, size_t k, const unsigned char *w, size_t row_stride, const int8_t *planes, size_t stride,
                                    const float *x_scale, float *y, size_t y_stride, size_t y_step, bool accumulate)
{
    float dots[ROW_INPUTS][STREAMS];
    size_t step;
    for (size_t t = 0; t < m; t += step) {
#define STEP(count) (step = (count), dot_rows(type, rows, (count), k, w, row_stride, planes + 2 * t * stride, stride, dots))
        if (m - t >= ROW_INPUTS)
            STEP(ROW_INPUTS);
        else if (m - t >= 2)
            STEP(2);
        else
            STEP(1);
#undef STEP
        for (size_t i = 0; i < step; i++)
            for (size_t r = 0; r < rows; r++) {
                float *const to = y + (t + i) * y_stride + r * y_step;
                *to = (accumulate ? *to : 0) + x_scale[t + i] * dots[i][r];
            }
    }
}

ALWAYS_INLINE void skinny_rows(const row_coding type, size_t m, size_t rows, size_t k, const unsigned char *w, size_t row_bytes, const int8_t *planes, size_t stride,
                               const float *x_scale, float *y, size_t y_stride, bool accumulate)
{
    const size_t slice = rows / STREAMS;
    for (size_t i = 0; i < slice; i++)
        multiply_streams(type, STREAMS, m, k, w + i * row_bytes, slice * row_bytes, planes, stride, x_scale, y + i, y_stride, slice, accumulate);
    for (size_t r = STREAMS * slice; r < rows; r++)
        multiply_streams(type, 1, m, k, w + r * row_bytes, 0, planes, stride, x_scale, y + r, y_stride, 0, accumulate);
}

#define SKINNY_ROWS(name)                                                                                                                   \
    static void skinny_i8_##name##_avx512_vnni(size_t m, size_t rows, size_t k, const void *w, size_t row_bytes, const int8_t *planes,      \
        size_t stride, const float *x_scale, float *y, size_t y_stride, bool accumulate)                                                    \
    {                                                                                                                                       \
        skinny_rows(row_coding_##name, m, rows, k, w, row_bytes, planes, stride, x_scale, y, y_stride, accumulate);                         \
    }
SKINNY_ROWS(q8_0)
SKINNY_ROWS(q4_0)
#undef SKINNY_ROWS

#endif
