/* See made_codec.h. */
#include "made_codec.h"

#include "formats/safetensors_write.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const made_widths released_widths = {.channels = {16, 32, 64, 128}, .code = 512}, tiny_widths = {.channels = {2, 3, 1, 2}, .code = 5};

float *made_hashed(size_t n, uint32_t seed)
{
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        uint32_t h = (uint32_t)i * 2654435761u + seed * 40503u;
        h ^= h >> 16;
        h *= 2246822519u;
        h ^= h >> 13;
        x[i] = (float)(h >> 9) / (1 << 22) - 1;
    }
    return x;
}

uint8_t made_bit(uint32_t x, uint32_t y, uint32_t seed, uint32_t block, uint32_t density)
{
    uint32_t h = (x / block * 73856093u) ^ (y / block * 19349663u) ^ seed * 83492791u;
    h *= 2654435761u;
    h ^= h >> 15;
    return (h & 255) < density;
}

static void scale(float *x, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= by;
}

/* Channels that a layer gives. */
static size_t out_of(made_widths w, size_t layer)
{
    static const int place[PL_CODEC_LAYERS] = {0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3, 3, 3, 3, 3, 3, 3, 2, 1, 0, 5};
    return place[layer] == 5 ? 1 : place[layer] == 4 ? w.code : w.channels[place[layer]];
}

made_array *made_codec(made_widths w)
{
    made_array *arrays = calloc(MADE_ARRAYS, sizeof *arrays);
    assert_non_null(arrays);
    size_t in = 1;
    for (size_t i = 0; i < PL_CODEC_LAYERS; i++) {
        const pl_codec_layer *layer = &pl_codec_layers[i];
        const size_t out = out_of(w, i), taps = layer->kernel * layer->kernel, fan = in * (layer->transposed ? 4 : taps);
        made_array *weight = &arrays[2 * i], *bias = &arrays[2 * i + 1];
        *weight = (made_array){.shape = {layer->transposed ? in : out, layer->transposed ? out : in, layer->kernel, layer->kernel}, .rank = 4};
        snprintf(weight->name, sizeof weight->name, "%s.weight", layer->name);
        weight->values = made_hashed(in * out * taps, 2 * (uint32_t)i + 1);
        scale(weight->values, in * out * taps, exp2f(rintf(log2f(sqrtf(6.0f / (float)fan)))));
        *bias = (made_array){.shape = {out}, .rank = 1};
        snprintf(bias->name, sizeof bias->name, "%s.bias", layer->name);
        bias->values = made_hashed(out, 2 * (uint32_t)i + 2);
        scale(bias->values, out, 0.125f);
        in = out;
    }
    static const char *const names[3] = {"_vq_vae._embedding", "_vq_vae._ema_w", "_vq_vae._ema_cluster_size"};
    for (size_t i = 0; i < 3; i++) {
        made_array *a = &arrays[2 * PL_CODEC_LAYERS + i];
        *a = (made_array){.shape = {128, w.code}, .rank = i < 2 ? 2 : 1, .values = made_hashed(128 * w.code, 100 + (uint32_t)i)};
        snprintf(a->name, sizeof a->name, "%s", names[i]);
    }
    return arrays;
}

void made_free(made_array *arrays)
{
    for (size_t i = 0; i < MADE_ARRAYS; i++)
        free(arrays[i].values);
    free(arrays);
}

char *made_file(const made_array *arrays, size_t count, size_t *size)
{
    pl_saved_tensor tensors[MADE_ARRAYS] = {0};
    const pl_saved_tensor *list[MADE_ARRAYS] = {NULL};
    const made_array *used[MADE_ARRAYS];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (arrays[i].rank == SIZE_MAX)
            continue;
        pl_saved_tensor *t = &tensors[kept];
        *t = (pl_saved_tensor){.name = arrays[i].name, .dtype = PL_F32, .rank = arrays[i].rank, .bytes = sizeof(float)};
        for (size_t j = 0; j < t->rank; j++)
            t->bytes *= t->shape[j] = arrays[i].shape[j];
        used[kept] = &arrays[i];
        list[kept++] = t;
    }
    pl_buffer file = {0};
    assert_int_equal(pl_safetensors_head(list, kept, NULL, 0, &file, NULL), PALI_OK);
    for (size_t i = 0; i < kept; i++)
        assert_int_equal(pl_buffer_append(&file, used[i]->values, list[i]->bytes, NULL), PALI_OK);
    *size = file.length;
    return file.data;
}
