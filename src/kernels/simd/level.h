/*
 * One instruction-set level from its vocabulary: a level's file defines the
 * words below, includes this header, and fills its table. Everything is static,
 * so that no code of one level can be linked in place of another's.
 *
 *   VF                        values in a vector, 4, 8 or 16
 *   PRODUCT_ROWS              rows of a product step, of two vectors each
 *   PL_SIMD(name)             a name with the level's suffix
 *   vf, vi                    vectors of float and int32
 *   vf_zero vf_set vf_load vf_store vf_load_bytes vf_store_bytes   (any address)
 *   vf_load_first(p, n, fill), vf_store_first(p, n, x)   n < VF values, touching no others
 *   vf_load_bf16 vf_load_f16(bytes), load_one_f16(bytes)   packed halves -> floats
 *   vf_add vf_sub vf_mul vf_div vf_sqrt, vf_fma(a, b, c) = a*b + c rounded once
 *   vf_min vf_max(a, b)       b when either is NaN
 *   vf_abs vf_round vf_with_sign_of(size, sign) vf_where_less(a, b, then, else)
 *   vf_ldexp(x, n)            x * 2^n, n whole and within -151 to 129
 *   vf_sum vf_largest         over the lanes, in a fixed order
 *   vf_equal_bits(a, b)       bit i: lane i is equal
 *   vf_transpose(vf [VF])     a square in place
 *   vf_load_columns(bytes, stride, vf [VF])   the columns of a square whose rows are `stride` bytes apart
 *   vi_set vi_load_u8 vi_load_i8 vi_load_i32(bytes) vi_and vi_or vi_sub vf_from_int
 *   vi_shift_left vi_shift_right vi_shift_right_signed(x, bits)
 *   vf_of_bits(x), vi_of_bits(x)   the floats whose bits these are, and back
 *   vi_max(a, b)              of numbers with a sign
 *   vi_from_rounded(x)        to the nearest whole number
 *   vi_round_bf16(x)          x rounded to bf16 in the upper halves, anything in the lower ones; NaN stays NaN
 *   vi_pack_high(a, b)        upper halves of 2 VF lanes, two by two: in each four lanes two pairs of a, then of b
 *   vi_pack_bytes(a, b, c, d) 4 VF numbers within +-127 as bytes, four by four: in each four lanes one of each
 *   vf_from_low4(x, zero)     float of (x & 15) - zero
 */
#ifndef PL_KERNELS_SIMD_LEVEL_H
#define PL_KERNELS_SIMD_LEVEL_H

#include "kernels/levels.h"
#include "kernels/unroll.h"

#include "kernels/simd/math.h"
#include "kernels/simd/vector.h"

#include "kernels/simd/gradient.h"

#include "kernels/simd/unpack.h"

#include "kernels/simd/matrix.h"

#include "kernels/simd/tiles.h"

#include "kernels/simd/narrow.h"

/* The level's kernels of this folder into its table; what a level has better it puts there afterwards. */
#define PL_SIMD_ENTRY(type, name) k->name = PL_SIMD(name);
#define PL_SIMD_TYPED_ENTRY(type, name)               \
    k->unpack[PL_##type] = PL_SIMD(unpack_##name);    \
    PL_SIMD_ROWS_ENTRY(type, name)
#define PL_SIMD_TILED_ENTRY(type, name)               \
    k->unpack_group[PL_##type] = PL_SIMD(unpack_group_##name); \
    PL_SIMD_ROWS_ENTRY(type, name)
#define PL_SIMD_ROWS_ENTRY(type, name)                \
    k->pack[PL_##type] = PL_SIMD(pack_##name);        \
    k->skinny[PL_##type] = PL_SIMD(skinny_##name);    \
    k->pack_bf16[PL_##type] = PL_SIMD(pack_bf16_##name); \
    k->pack_i8[PL_##type] = PL_SIMD(pack_i8_##name);
static inline void fill_simd(pl_kernels *k)
{
    k->panel_columns = PANEL;
    PL_FLOAT_KERNEL_LIST(PL_SIMD_ENTRY)
    PL_GRADIENT_KERNEL_LIST(PL_SIMD_ENTRY)
    PL_WEIGHT_LIST(PL_SIMD_TYPED_ENTRY)
    PL_TILED_LIST(PL_SIMD_TILED_ENTRY)
    k->pack_bf16[PL_BF16] = PL_SIMD(pack_bf16_pairs);
    k->pack_columns_bf16 = PL_SIMD(pack_columns_bf16);
    k->transpose_bf16 = PL_SIMD(transpose_bf16);
}

#endif
