/* Pictures in integers, in plain C: the sums of Pillow's resize (libImaging/Resample.c), which no order of adding changes. */
#include "kernels/ref/ref.h"

static uint8_t clip8(uint32_t sum)
{
    const int32_t value = (int32_t)sum >> PL_TAP_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static int32_t weight_of(int16_t high, int16_t low)
{
    return high * 256 + low;
}

void pl_split_rgb_ref(size_t n, const uint8_t *rgb, size_t plane, uint8_t *planes)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            planes[c * plane + i] = rgb[3 * i + c];
}

/* Over blocks in which products of 16-bit numbers cannot overflow: sums that compilers turn into vectors. */
static uint32_t sum_of_products(size_t taps, const uint8_t *pixels, const int16_t *high, const int16_t *low)
{
    enum { BLOCK = 8192 };
    uint32_t sum = 0;
    for (size_t first = 0; first < taps; first += BLOCK) {
        int32_t highs = 0, lows = 0;
        for (size_t t = first; t < pl_min(first + BLOCK, taps); t++) {
            highs += (int16_t)pixels[t] * high[t];
            lows += (int16_t)pixels[t] * low[t];
        }
        sum += ((uint32_t)highs << 8) + (uint32_t)lows;
    }
    return sum;
}

void pl_resample_across_ref(size_t outputs, size_t taps, const size_t *start, const int16_t *high, const int16_t *low, size_t plane, const uint8_t *planes, uint8_t *rgb)
{
    for (size_t x = 0; x < outputs; x++, high += taps, low += taps)
        for (size_t c = 0; c < 3; c++)
            rgb[3 * x + c] = clip8(sum_of_products(taps, planes + c * plane + start[x], high, low) + (1u << (PL_TAP_BITS - 1)));
}

void pl_resample_down_ref(size_t n, size_t taps, const int16_t *high, const int16_t *low, size_t stride, const uint8_t *rows, uint8_t *out)
{
    enum { COLUMNS = 64 };
    for (size_t first = 0; first < n; first += COLUMNS) {
        const size_t columns = pl_min(COLUMNS, n - first);
        uint32_t sums[COLUMNS];
        for (size_t i = 0; i < columns; i++)
            sums[i] = 1u << (PL_TAP_BITS - 1);
        for (size_t t = 0; t < taps; t++) {
            const uint8_t *const row = rows + t * stride + first;
            const int32_t weight = weight_of(high[t], low[t]);
            for (size_t i = 0; i < columns; i++)
                sums[i] += (uint32_t)(row[i] * weight);
        }
        for (size_t i = 0; i < columns; i++)
            out[first + i] = clip8(sums[i]);
    }
}
