/* Kernels of pictures: integers, so to the byte, against sums in 64 bits. */
#include "base/memory.h"
#include "kernels/check.h"

#include <stdlib.h>
#include <string.h>

static uint8_t *edge_pixels(size_t n)
{
    uint8_t *const pixels = edge_bytes(n);
    for (size_t i = 0; i < n; i++)
        pixels[i] = (uint8_t)random_bits();
    return pixels;
}

/* Weights of one output whose sizes sum to less than 2^23; the ends of the range among the results. */
static void random_weights_of(size_t taps, int16_t *high, int16_t *low)
{
    const int32_t most = taps ? (1 << 23) / (int32_t)taps : 0, least = taps < 20 ? -most / 4 * 3 : -most;
    for (size_t t = 0; t < taps; t++) {
        const int32_t weight = (int32_t)(random_bits() % (uint32_t)(most - least)) + least;
        high[t] = (int16_t)(weight >> 8);
        low[t] = (int16_t)(weight & 255);
    }
}

static int16_t *edge_shorts(size_t n)
{
    return edge_bytes(n * sizeof(int16_t));
}

static unsigned rounded(int64_t sum)
{
    const int64_t value = (sum + (1 << (PL_TAP_BITS - 1))) >> PL_TAP_BITS;
    return value < 0 ? 0 : value > 255 ? 255 : (unsigned)value;
}

void check_split_rgb(const pl_kernels *k)
{
    for (size_t i = 0; i < length_count; i++) {
        const size_t n = lengths[i];
        const uint8_t *const rgb = edge_pixels(3 * n);
        uint8_t *const planes = edge_pixels(3 * n);
        k->split_rgb(n, rgb, n, planes);
        for (size_t j = 0; j < 3 * n; j++)
            if (planes[j % 3 * n + j / 3] != rgb[j])
                fail_msg("%s: split_rgb of %zu: pixel %zu differs", k->level, n, j / 3);
        edge_free_all();
    }
}

void check_resample_across(const pl_kernels *k)
{
    static const size_t counts[] = {0, PL_TAPS_STEP, 2 * PL_TAPS_STEP, 5 * PL_TAPS_STEP, 600 * PL_TAPS_STEP};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t outputs = 0; outputs < 4; outputs++) {
            const size_t taps = counts[i], plane = taps + 7;
            const uint8_t *const planes = edge_pixels(3 * plane);
            int16_t *const high = edge_shorts(outputs * taps), *const low = edge_shorts(outputs * taps);
            uint8_t *const rgb = edge_pixels(3 * outputs);
            size_t start[4];
            for (size_t x = 0; x < outputs; x++) {
                start[x] = x + 1 == outputs ? 7 : x;
                random_weights_of(taps, high + x * taps, low + x * taps);
            }
            k->resample_across(outputs, taps, start, high, low, plane, planes, rgb);
            for (size_t j = 0; j < 3 * outputs; j++) {
                int64_t sum = 0;
                for (size_t t = 0; t < taps; t++)
                    sum += (int64_t)planes[j % 3 * plane + start[j / 3] + t] * (high[j / 3 * taps + t] * 256 + low[j / 3 * taps + t]);
                if (rgb[j] != rounded(sum))
                    fail_msg("%s: resample_across of %zu taps: output %zu is %u, expected %u", k->level, taps, j, rgb[j], rounded(sum));
            }
            edge_free_all();
        }
}

void check_resample_down(const pl_kernels *k)
{
    static const size_t counts[] = {0, 1, 2, 3, 18, 73};
    for (size_t i = 0; i < length_count; i++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            const size_t n = pl_min(lengths[i], 3000), taps = counts[c], stride = n + 5;
            const uint8_t *const rows = edge_pixels(taps ? (taps - 1) * stride + n : 0);
            int16_t *const high = edge_shorts(taps), *const low = edge_shorts(taps);
            uint8_t *const out = edge_pixels(n);
            random_weights_of(taps, high, low);
            k->resample_down(n, taps, high, low, stride, rows, out);
            for (size_t x = 0; x < n; x++) {
                int64_t sum = 0;
                for (size_t t = 0; t < taps; t++)
                    sum += (int64_t)rows[t * stride + x] * (high[t] * 256 + low[t]);
                if (out[x] != rounded(sum))
                    fail_msg("%s: resample_down of %zu x %zu: column %zu is %u, expected %u", k->level, taps, n, x, out[x], rounded(sum));
            }
            edge_free_all();
        }
}
