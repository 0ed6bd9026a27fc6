/*
 * Part of the level avx2: few rows of planes times codes of 4 bits, by the
 * loops of x86/vnni.h with three instructions for its one. The first of them
 * adds pairs of products in 16 bits, which codes without a sign below 16 do not
 * exceed; codes of 8 bits would, and go another way (x86/wide_avx2.c).
 */
#include "kernels/x86/codes_avx2.h"

#define PL_VNNI(name) name##_avx2

static inline vi dot(vi sum, vi w, vi x)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
}

#include "kernels/x86/vnni.h"

void pl_fill_codes_avx2(pl_kernels *k)
{
    k->to_i8 = to_i8_avx2;
    k->to_planes = to_planes_avx2;
    pl_use_skinny_i8(k, PL_Q4_0, skinny_i8_q4_0_avx2);
    pl_use_skinny_i8(k, PL_Q4_0_TILES, skinny_i8_q4_0_tiles_avx2);
}
