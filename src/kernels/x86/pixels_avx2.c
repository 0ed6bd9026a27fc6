/*
 * Pictures with AVX2, for that level and for those with AVX-512: pixels in 16
 * bits and a weight's two halves, multiplied and added in pairs (vpmaddwd).
 * Lanes may wrap, as may sums of them: only the whole sum modulo 2^32 counts.
 */
#include "kernels/ref/ref.h"
#include "kernels/unroll.h"

#include <immintrin.h>
#include <string.h>

enum { PIXELS = 16 /* of a step of split_rgb */, COLUMNS = 32 /* of a step of resample_down */ };

/* For a shuffle: where channel c of 16 pixels stands in one third of their 48 bytes; a zero (0x80) for what stands in another. */
static inline __m128i picks(int c, int third)
{
    char at[16];
    for (int i = 0; i < 16; i++) {
        const int byte = 3 * i + c - 16 * third;
        at[i] = (char)(byte >= 0 && byte < 16 ? byte : -128);
    }
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static void split_rgb(size_t n, const uint8_t *rgb, size_t plane, uint8_t *planes)
{
    __m128i pick[3][3];
    UNROLL
    for (int c = 0; c < 3; c++)
        UNROLL
        for (int third = 0; third < 3; third++)
            pick[c][third] = picks(c, third);
    size_t i = 0;
    for (; i + PIXELS <= n; i += PIXELS) {
        __m128i thirds[3];
        UNROLL
        for (int t = 0; t < 3; t++)
            thirds[t] = _mm_loadu_si128((const __m128i *)(const void *)(rgb + 3 * i + 16 * (size_t)t));
        UNROLL
        for (size_t c = 0; c < 3; c++) {
            const __m128i a = _mm_shuffle_epi8(thirds[0], pick[c][0]), b = _mm_shuffle_epi8(thirds[1], pick[c][1]);
            const __m128i bytes = _mm_or_si128(_mm_or_si128(a, b), _mm_shuffle_epi8(thirds[2], pick[c][2]));
            _mm_storeu_si128((__m128i *)(void *)(planes + c * plane + i), bytes);
        }
    }
    pl_split_rgb_ref(n - i, rgb + 3 * i, plane, planes + i);
}

/* Three sums over lanes, rounded and limited to a pixel; unless it is the last, a byte of the next is written too. */
static inline void store_pixel(const __m256i sums[3], uint8_t *rgb, bool last)
{
    const __m256i both = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[2]));
    const __m128i whole = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    const __m128i shifted = _mm_srai_epi32(_mm_add_epi32(whole, _mm_set1_epi32(1 << (PL_TAP_BITS - 1))), PL_TAP_BITS);
    const __m128i narrow = _mm_packs_epi32(shifted, shifted);
    const int pixel = _mm_cvtsi128_si32(_mm_packus_epi16(narrow, narrow));
    if (last)
        memcpy(rgb, &pixel, 3);
    else
        memcpy(rgb, &pixel, 4);
}

static inline __m256i load_weights(const int16_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static void resample_across(size_t outputs, size_t taps, const size_t *start, const int16_t *high, const int16_t *low, size_t plane, const uint8_t *planes, uint8_t *rgb)
{
    const __m256i zero = _mm256_setzero_si256();
    for (size_t x = 0; x < outputs; x++, high += taps, low += taps) {
        const uint8_t *const pixels = planes + start[x];
        __m256i highs[3] = {zero, zero, zero}, lows[3] = {zero, zero, zero};
        for (size_t t = 0; t < taps; t += PL_TAPS_STEP) {
            const __m256i h = load_weights(high + t), l = load_weights(low + t);
            UNROLL
            for (size_t c = 0; c < 3; c++) {
                const __m256i p = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(pixels + c * plane + t)));
                highs[c] = _mm256_add_epi32(highs[c], _mm256_madd_epi16(p, h));
                lows[c] = _mm256_add_epi32(lows[c], _mm256_madd_epi16(p, l));
            }
        }
        UNROLL
        for (size_t c = 0; c < 3; c++)
            lows[c] = _mm256_add_epi32(lows[c], _mm256_slli_epi32(highs[c], 8));
        store_pixel(lows, rgb + 3 * x, x + 1 == outputs);
    }
}

/* Two weights beside each other, in all lanes. */
static inline __m256i pair(const int16_t *weights, bool two)
{
    const uint32_t first = (uint16_t)weights[0], second = two ? (uint16_t)weights[1] : 0;
    return _mm256_set1_epi32((int)(first | second << 16));
}

static inline __m256i load_pixels(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* The columns of one step, from the top to the bottom, two rows at a time. */
static inline void down(size_t taps, const int16_t *high, const int16_t *low, size_t stride, const uint8_t *rows, uint8_t *out)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i highs[4] = {zero, zero, zero, zero}, lows[4] = {zero, zero, zero, zero};
    for (size_t t = 0; t < taps; t += 2) {
        const bool two = t + 1 < taps;
        const __m256i h = pair(high + t, two), l = pair(low + t, two);
        const __m256i a = load_pixels(rows + t * stride), b = two ? load_pixels(rows + (t + 1) * stride) : zero;
        const __m256i first = _mm256_unpacklo_epi8(a, b), second = _mm256_unpackhi_epi8(a, b);
        const __m256i p[4] = {_mm256_unpacklo_epi8(first, zero), _mm256_unpackhi_epi8(first, zero), _mm256_unpacklo_epi8(second, zero), _mm256_unpackhi_epi8(second, zero)};
        UNROLL
        for (int i = 0; i < 4; i++) {
            highs[i] = _mm256_add_epi32(highs[i], _mm256_madd_epi16(p[i], h));
            lows[i] = _mm256_add_epi32(lows[i], _mm256_madd_epi16(p[i], l));
        }
    }
    const __m256i half = _mm256_set1_epi32(1 << (PL_TAP_BITS - 1));
    UNROLL
    for (int i = 0; i < 4; i++)
        lows[i] = _mm256_srai_epi32(_mm256_add_epi32(_mm256_add_epi32(lows[i], half), _mm256_slli_epi32(highs[i], 8)), PL_TAP_BITS);
    const __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(lows[0], lows[1]), _mm256_packs_epi32(lows[2], lows[3]));
    _mm256_storeu_si256((__m256i *)(void *)out, bytes);
}

static void resample_down(size_t n, size_t taps, const int16_t *high, const int16_t *low, size_t stride, const uint8_t *rows, uint8_t *out)
{
    if (n < COLUMNS) {
        pl_resample_down_ref(n, taps, high, low, stride, rows, out);
        return;
    }
    for (size_t i = 0; i + COLUMNS <= n; i += COLUMNS)
        down(taps, high, low, stride, rows + i, out + i);
    if (n % COLUMNS) /* the last columns, some of them again */
        down(taps, high, low, stride, rows + n - COLUMNS, out + n - COLUMNS);
}

void pl_fill_pixels_avx2(pl_kernels *k)
{
    k->split_rgb = split_rgb;
    k->resample_across = resample_across;
    k->resample_down = resample_down;
}
