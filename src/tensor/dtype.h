/*
 * Element types of tensors, once, with the size of their blocks. Quantised
 * types are ggml's blocks (public in the GGUF specification), so that files
 * made by its tools are used where they lie. The tiled types are layouts of
 * our own for kernels: 16 rows of a matrix stand interleaved (docs/KERNELS.md).
 */
#ifndef PL_TENSOR_DTYPE_H
#define PL_TENSOR_DTYPE_H

#include "base/status.h"

#include <stdint.h>

/* X(name, text, values of a row in a block, bytes in a block, rows that a block holds) */
#define PL_DTYPE_LIST(X)                         \
    X(F32, "f32", 1, sizeof(float), 1)           \
    X(BF16, "bf16", 1, 2, 1)                     \
    X(F16, "f16", 1, 2, 1)                       \
    X(Q8_0, "q8_0", 32, 34, 1)                   \
    X(Q4_0, "q4_0", 32, 18, 1)                   \
    X(Q4_K, "q4_K", 256, 144, 1)                 \
    X(Q5_K, "q5_K", 256, 176, 1)                 \
    X(Q6_K, "q6_K", 256, 210, 1)                 \
    X(BF16_TILES, "bf16_tiles", 32, 1024, 16)    \
    X(Q8_TILES, "q8_tiles", 64, 1024, 16)        \
    X(Q8_0_TILES, "q8_0_tiles", 64, 1088, 16)    \
    X(Q4_0_TILES, "q4_0_tiles", 64, 576, 16)     \
    X(I8, "i8", 1, 1, 1)                         \
    X(U8, "u8", 1, 1, 1)                         \
    X(I32, "i32", 1, 4, 1)                       \
    X(I64, "i64", 1, 8, 1)                       \
    X(F64, "f64", 1, 8, 1)

typedef enum pl_dtype {
#define PL_DTYPE_ENUM(name, text, values, bytes, rows) PL_##name,
    PL_DTYPE_LIST(PL_DTYPE_ENUM)
#undef PL_DTYPE_ENUM
    PL_DTYPE_COUNT
} pl_dtype;

const char *pl_dtype_name(pl_dtype type);

/* Values in one block (1 for plain types), and the bytes it takes. */
size_t pl_dtype_block(pl_dtype type);
size_t pl_dtype_bytes(pl_dtype type);

/* True for the types whose rows stand one after the other and unpack to float. */
bool pl_dtype_is_float(pl_dtype type);

/* True for the tiled types: matrices only, read by kernels. */
bool pl_dtype_is_tiled(pl_dtype type);

/* Rows that stand interleaved: PL_TILE_ROWS for the tiled types, else 1. */
size_t pl_dtype_rows(pl_dtype type);

enum { PL_TILE_ROWS = 16 };

/*
 * Bytes of a row of n values, of pl_dtype_rows(type) rows if they are tiled: then n is rounded up
 * to whole blocks, else false if it is no multiple of the block. False if it overflows.
 */
bool pl_dtype_row_bytes(pl_dtype type, size_t n, size_t *bytes);

/* Scalar conversions; bf16 rounds to nearest even, as the reference does. */
static inline float pl_bf16_to_f32(uint16_t x)
{
    const union { uint32_t bits; float value; } u = {.bits = (uint32_t)x << 16};
    return u.value;
}
uint16_t pl_f32_to_bf16(float x);
float pl_f16_to_f32(uint16_t x);
uint16_t pl_f32_to_f16(float x);

#endif
