/*
 * Part of x86/vnni_rows.h for the level avx512_vnni: few rows of planes times ggml's blocks of 256
 * codes (Q4_K, Q5_K, Q6_K; ref/unpack.c tells their layouts). A block is four
 * vectors of 64 codes in the order of k; scales, and minima behind the first
 * eight, stand in one vector, from which each takes its own lanes. Q6_K has
 * scales of 16 values and a zero of 32 in the place of minima.
 */
#ifndef PL_KERNELS_X86_VNNI_K_H
#define PL_KERNELS_X86_VNNI_K_H

enum { K_VALUES = 256, K_MINIMA = 8 };

static inline float k_factor(const unsigned char *half)
{
    uint16_t bits;
    memcpy(&bits, half, sizeof bits);
    return _cvtsh_ss(bits);
}

/* 12 bytes of 6-bit scales and minima, four at a time (little-endian). */
static inline vf k_scales(const unsigned char *block)
{
    uint32_t packed[3];
    memcpy(packed, block + 4, sizeof packed);
    const __m128i bytes = _mm_setr_epi32((int)(packed[0] & 0x3f3f3f3fu), (int)((packed[2] & 0x0f0f0f0fu) | (packed[0] >> 2 & 0x30303030u)),
        (int)(packed[1] & 0x3f3f3f3fu), (int)((packed[2] >> 4 & 0x0f0f0f0fu) | (packed[1] >> 2 & 0x30303030u)));
    const vf factors = _mm512_mask_blend_ps(0xff00, vf_set(k_factor(block)), vf_set(k_factor(block + 2)));
    return vf_mul(factors, vf_from_int(_mm512_cvtepu8_epi32(bytes)));
}

static inline vf k_scales_q6(const unsigned char *block)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(block + 192));
    return vf_mul(vf_set(k_factor(block + 208)), vf_from_int(_mm512_cvtepi8_epi32(bytes)));
}

/* 32 bytes, and the same shifted right behind them. */
static inline vi twice(const unsigned char *p, int shift)
{
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_inserti64x4(_mm512_castsi256_si512(bytes), _mm256_srli_epi16(bytes, shift), 1);
}

static inline vi k_halves(const unsigned char *p)
{
    return vi_and(twice(p, 4), vi_set(0x0f0f0f0f));
}

/* A bit or two of each byte, moved `up` (a constant, perhaps below 0) to bit 4. */
static inline vi k_tops(vi bytes, int up, int mask)
{
    return vi_and(up >= 0 ? _mm512_slli_epi16(bytes, (unsigned)up) : _mm512_srli_epi16(bytes, (unsigned)-up), vi_set(mask));
}

ALWAYS_INLINE vi k_codes(size_t bits, const unsigned char *block, size_t part)
{
    if (bits == 4)
        return k_halves(block + 16 + 32 * part);
    if (bits == 5)
        return _mm512_or_si512(k_halves(block + 48 + 32 * part), k_tops(twice(block + 16, 1), 4 - 2 * (int)part, 0x10101010));
    const vi lows = vi_load(block + 64 * (part / 2)), low = vi_and(part % 2 ? vi_shift_right_4(lows) : lows, vi_set(0x0f0f0f0f));
    return _mm512_or_si512(low, k_tops(twice(block + 128 + 32 * (part / 2), 2), part % 2 ? 0 : 4, 0x30303030));
}

/* Lanes of a part: its scales, each for the lanes of its group. */
ALWAYS_INLINE vi k_lanes(size_t bits, size_t part)
{
    const vi lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return bits == 6 ? _mm512_add_epi32(_mm512_srli_epi32(lane, 2), vi_set(4 * (int)part)) : _mm512_add_epi32(_mm512_srli_epi32(lane, 3), vi_set(2 * (int)part));
}

/* As dot_rows of x86/vnni_rows.h. */
ALWAYS_INLINE void dot_k_rows(const row_coding type, size_t rows, size_t inputs, size_t k, const unsigned char *w, size_t row_stride, const int8_t *planes, size_t stride,
                              float dots[ROW_INPUTS][STREAMS])
{
    vf total[STREAMS][ROW_INPUTS];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t t = 0; t < inputs; t++)
            total[r][t] = vf_set(0);
    }
    for (size_t i = 0; i < k; i += K_VALUES, w += type.bytes) {
        vf scales[STREAMS];
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const unsigned char *const block = w + r * row_stride;
            UNROLL
            for (size_t line = 0; line < type.bytes; line += LINE)
                _mm_prefetch((const char *)((uintptr_t)block + AHEAD + line), _MM_HINT_T0);
            scales[r] = type.bits == 6 ? k_scales_q6(block) : k_scales(block);
        }
        UNROLL
        for (size_t part = 0; part < 4; part++) {
            const vi lanes = k_lanes(type.bits, part), minima = _mm512_add_epi32(lanes, vi_set(K_MINIMA));
            vi high[ROW_INPUTS], low[ROW_INPUTS], less[ROW_INPUTS];
            UNROLL
            for (size_t t = 0; t < inputs; t++) {
                high[t] = vi_load(planes + 2 * t * stride + i + 64 * part);
                low[t] = vi_load(planes + (2 * t + 1) * stride + i + 64 * part);
                less[t] = both_planes(vi_set((int)(0x01010101u * type.zero)), high[t], low[t]);
            }
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                const vi codes = k_codes(type.bits, w + r * row_stride, part);
                const vf scale = _mm512_permutexvar_ps(lanes, scales[r]);
                UNROLL
                for (size_t t = 0; t < inputs; t++) {
                    const vi sum = both_planes(codes, high[t], low[t]);
                    total[r][t] = vf_fma(scale, vf_from_int(type.bits == 6 ? vi_sub(sum, less[t]) : sum), total[r][t]);
                    if (type.bits != 6)
                        total[r][t] = _mm512_fnmadd_ps(_mm512_permutexvar_ps(minima, scales[r]), vf_from_int(less[t]), total[r][t]);
                }
            }
        }
    }
    UNROLL
    for (size_t t = 0; t < inputs; t++) {
        UNROLL
        for (size_t r = 0; r < rows; r++)
            dots[t][r] = vf_sum(total[r][t]);
    }
}

static const row_coding row_coding_q4_k = {.bytes = 144, .zero = 1, .bits = 4};
static const row_coding row_coding_q5_k = {.bytes = 176, .zero = 1, .bits = 5};
static const row_coding row_coding_q6_k = {.bytes = 210, .zero = 32, .bits = 6};

#endif
