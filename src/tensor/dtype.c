/* The table of element types and scalar conversions between them. */
#include "tensor/dtype.h"

#include "base/memory.h"

#include <string.h>

static const struct {
    const char *name;
    size_t block, bytes, rows;
} types[PL_DTYPE_COUNT] = {
#define TYPE_ROW(name, text, values, size, rows) [PL_##name] = {text, values, size, rows},
    PL_DTYPE_LIST(TYPE_ROW)
#undef TYPE_ROW
};

const char *pl_dtype_name(pl_dtype type)
{
    return (size_t)type < PL_DTYPE_COUNT ? types[type].name : "unknown";
}

size_t pl_dtype_block(pl_dtype type)
{
    return types[type].block;
}

size_t pl_dtype_bytes(pl_dtype type)
{
    return types[type].bytes;
}

bool pl_dtype_is_float(pl_dtype type)
{
    return type <= PL_Q6_K;
}

bool pl_dtype_is_tiled(pl_dtype type)
{
    return types[type].rows > 1;
}

size_t pl_dtype_rows(pl_dtype type)
{
    return types[type].rows;
}

bool pl_dtype_row_bytes(pl_dtype type, size_t n, size_t *bytes)
{
    const size_t block = types[type].block, blocks = n / block + (n % block != 0);
    return (n % block == 0 || pl_dtype_is_tiled(type)) && pl_mul(blocks, types[type].bytes, bytes);
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float value_of(uint32_t bits)
{
    const union { uint32_t bits; float value; } u = {.bits = bits};
    return u.value;
}

uint16_t pl_f32_to_bf16(float x)
{
    const uint32_t bits = bits_of(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) /* NaN stays NaN */
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

float pl_f16_to_f32(uint16_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = x >> 10 & 0x1f, fraction = x & 0x3ff;
    if (exponent == 0x1f) /* infinity, NaN */
        return value_of(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) { /* zero, subnormal: fraction * 2^-24 */
        const float magnitude = (float)fraction * 0x1p-24f;
        return value_of(sign | bits_of(magnitude));
    }
    return value_of(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t pl_f32_to_f16(float x)
{
    const uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* NaN */
        return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000u) /* rounds past 65504 */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000u) { /* below 2^-14: round to multiples of 2^-24 */
        const float scaled = value_of(magnitude) + 0.5f; /* aligns the last kept bit with 2^-24 */
        return (uint16_t)(sign | (bits_of(scaled) - bits_of(0.5f)));
    }
    const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - (112u << 23)) >> 13);
}
