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

/* Levels compiled in, weakest first: X(name). */
#if defined(__x86_64__)
#define PL_LEVEL_LIST(X) X(ref) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define PL_LEVEL_LIST(X) X(ref) X(neon)
#else
#define PL_LEVEL_LIST(X) X(ref)
#endif

#define PL_LEVEL_TABLE(name) extern const pl_kernels pl_kernels_##name;
PL_LEVEL_LIST(PL_LEVEL_TABLE)
#undef PL_LEVEL_TABLE

/*
 * Values unpacked at a time on the way to a panel or a dot product: a multiple
 * of every type's block, small enough for the stack and the first cache.
 */
enum { PL_UNPACK_CHUNK = 256 };

/* The definitions of unpack, for levels that have nothing faster for a type. */
#define PL_REF_UNPACK(type, name) pl_unpack_fn pl_unpack_##name##_ref;
PL_WEIGHT_LIST(PL_REF_UNPACK)
#undef PL_REF_UNPACK

#endif
