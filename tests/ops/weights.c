/* Random weights of every type; see weights.h. */
#include "ops/weights.h"

#include <stdlib.h>
#include <string.h>

float random_float(void)
{
    static uint32_t state = 7;
    state = state * 1664525 + 1013904223;
    return (float)(int32_t)state * 0x1p-31f;
}

float *random_floats(size_t n)
{
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = random_float();
    return x;
}

static void put_u16(unsigned char *to, uint16_t x)
{
    memcpy(to, &x, sizeof x);
}

/* One block of random codes with finite scales. */
static void random_block(pl_dtype type, unsigned char *block)
{
    const size_t bytes = pl_dtype_bytes(type);
    const float x = random_float();
    for (size_t i = 0; i < bytes; i++)
        block[i] = (unsigned char)(128 + 127 * random_float());
    switch (type) {
    case PL_F32:
        memcpy(block, &x, sizeof x);
        break;
    case PL_F16:
        put_u16(block, pl_f32_to_f16(x));
        break;
    case PL_Q8_0:
    case PL_Q4_0:
        put_u16(block, pl_f32_to_f16(x / 64));
        break;
    case PL_Q6_K:
        put_u16(block + 208, pl_f32_to_f16(x / 4096));
        break;
    case PL_Q8_TILES:
        break;
    case PL_Q8_0_TILES:
    case PL_Q4_0_TILES:
        for (size_t i = 0; i < 32; i++)
            put_u16(block + 2 * i, pl_f32_to_f16(random_float() / 64));
        break;
    default:
        for (size_t i = 0; i < bytes; i += 2)
            put_u16(block + i, pl_f32_to_bf16(random_float()));
    }
}

weights random_weights(pl_dtype type, size_t out, size_t in)
{
    weights w = {.bias = random_floats(out), .scale = type == PL_Q8_TILES ? random_floats(out) : NULL, .values = random_floats(out * in)};
    const size_t shape[2] = {out, in}, group = pl_dtype_rows(type);
    size_t bytes, row_bytes;
    assert_true(pl_shape_bytes(type, shape, 2, &bytes) && pl_dtype_row_bytes(type, in, &row_bytes));
    w.data = malloc(bytes + 64);
    for (size_t at = 0; at < bytes; at += pl_dtype_bytes(type))
        random_block(type, (unsigned char *)w.data + at);
    for (size_t r = 0; r < out; r++) {
        pl_read_row(type, (const unsigned char *)w.data + r / group * row_bytes, row_bytes, r % group, 0, in, w.values + r * in);
        if (w.scale)
            w.scale[r] /= 64;
        for (size_t i = 0; w.scale && i < in; i++)
            w.values[r * in + i] *= w.scale[r];
    }
    w.linear = (pl_linear){.weight = {.dtype = type, .rank = 2, .shape = {out, in}, .data = w.data, .scale = w.scale}, .bias = w.bias};
    return w;
}

void free_weights(weights *w)
{
    free(w->data);
    free(w->bias);
    free(w->scale);
    free(w->values);
}
