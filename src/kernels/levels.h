/*
 * Inside the room only: the weight types, the instruction-set levels and the
 * table each level's file defines. A level is added by one line here, one in
 * dispatch.c (how to recognise it) and its file.
 */
#ifndef PL_KERNELS_LEVELS_H
#define PL_KERNELS_LEVELS_H

#include "kernels/kernels.h"

/* The types a weight matrix may have: X(dtype, suffix of its functions). */
#define PL_WEIGHT_LIST(X) \
    X(F32, f32)           \
    X(BF16, bf16)         \
    X(F16, f16)           \
    X(Q8_0, q8_0)         \
    X(Q4_0, q4_0)         \
    X(Q4_K, q4_k)         \
    X(Q5_K, q5_k)         \
    X(Q6_K, q6_k)

/* The tiled layouts of weights: X(dtype, suffix of its functions). */
#define PL_TILED_LIST(X)      \
    X(BF16_TILES, bf16_tiles) \
    X(Q8_TILES, q8_tiles)     \
    X(Q8_0_TILES, q8_0_tiles) \
    X(Q4_0_TILES, q4_0_tiles)

/* Types with a product of int8 codes: X(dtype, suffix). */
#define PL_CODED_LIST(X)      \
    X(Q8_0, q8_0)             \
    X(Q4_0, q4_0)             \
    X(Q4_K, q4_k)             \
    X(Q5_K, q5_k)             \
    X(Q6_K, q6_k)             \
    X(Q8_TILES, q8_tiles)     \
    X(Q8_0_TILES, q8_0_tiles) \
    X(Q4_0_TILES, q4_0_tiles)

/* Levels compiled in, weakest first: X(name, the level whose kernels it starts from). */
#if defined(__x86_64__)
#define PL_LEVEL_LIST(X)          \
    X(ref, ref)                   \
    X(avx2, ref)                  \
    X(avx_vnni, avx2)             \
    X(avx512, ref)                \
    X(avx512_vnni, avx512)        \
    X(avx512_bf16, avx512_vnni)   \
    X(amx, avx512_bf16)

/* A small product on AMX comes out right; asked once the processor and the system say that they have it. */
bool pl_amx_works(void);
#elif defined(__aarch64__)
#define PL_LEVEL_LIST(X) \
    X(ref, ref)          \
    X(neon, ref)         \
    X(dotprod, neon)     \
    X(i8mm, dotprod)
#else
#define PL_LEVEL_LIST(X) X(ref, ref)
#endif

/* Puts the level's own kernels over those of the level it starts from. */
#define PL_LEVEL_FILL(name, base) void pl_fill_##name(pl_kernels *k);
PL_LEVEL_LIST(PL_LEVEL_FILL)
#undef PL_LEVEL_FILL

/* gemm_bf16 of this table is clearly faster than its gemm: a few measured runs, 0.2 ms. Not for several threads at once. */
bool pl_bf16_is_faster(const pl_kernels *k);

/* The kernels of pictures with AVX2, which serve the level avx512 too (x86/pixels_avx2.c). */
void pl_fill_pixels_avx2(pl_kernels *k);

/* The products of few rows of codes of the level avx2: of 4 bits (x86/codes_avx2.c) and of 8 (x86/wide_avx2.c). */
void pl_fill_codes_avx2(pl_kernels *k);
void pl_fill_wide_avx2(pl_kernels *k);

/* Takes a skinny_i8 that is faster than the level's skinny. */
static inline void pl_use_skinny_i8(pl_kernels *k, pl_dtype type, pl_skinny_i8_fn *skinny_i8)
{
    k->skinny_i8[type] = skinny_i8;
    k->few_i8[type] = true;
}

/*
 * Values unpacked at a time on the way to a panel or a dot product: a multiple
 * of every type's block, small enough for the stack and the first cache.
 */
enum { PL_UNPACK_CHUNK = 256 };

/* The definitions of unpack, for levels that have nothing faster for a type. */
#define PL_REF_UNPACK(type, name) pl_unpack_fn pl_unpack_##name##_ref;
PL_WEIGHT_LIST(PL_REF_UNPACK)
#undef PL_REF_UNPACK

/*
 * A pl_peak_fn: so many sums, each a vector of its own value x at the start; next is what one instruction of
 * `products` multiply-adds makes of the sum s, total its value at the end. The file has UNROLL.
 */
#define PL_PEAK(name, sums, products, vector, start, next, total) \
    static double name(size_t steps, float *sink)                 \
    {                                                             \
        vector sum[sums];                                         \
        UNROLL                                                    \
        for (size_t i = 0; i < (sums); i++) {                     \
            const float x = *sink + (float)i;                     \
            sum[i] = (start);                                     \
        }                                                         \
        for (size_t step = 0; step < steps; step++) {             \
            UNROLL                                                \
            for (size_t i = 0; i < (sums); i++) {                 \
                const vector s = sum[i];                          \
                sum[i] = (next);                                  \
            }                                                     \
        }                                                         \
        UNROLL                                                    \
        for (size_t i = 0; i < (sums); i++) {                     \
            const vector s = sum[i];                              \
            *sink += (float)(total);                              \
        }                                                         \
        return 2.0 * (sums) * (products) * (double)steps;         \
    }

#endif
