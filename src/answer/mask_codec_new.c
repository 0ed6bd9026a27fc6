/*
 * Codecs that were not read from a file: fresh ones, to be trained, and the file
 * that a trained one becomes, with the names and layouts of vae-oid.npz as it
 * is released.
 */
#include "answer/mask_codec.h"

#include "formats/npz_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of pl_codec_layers: which of the channels each gives, or one of these. */
enum { CODE = 4, ONE = 5 };
static const unsigned char gives[PL_CODEC_LAYERS] = {0, 1, 2, 3, 3, 3, 3, 3, 3, 3, CODE, 3, 3, 3, 3, 3, 3, 3, 3, 2, 1, 0, ONE};

static size_t channels_after(const pl_codec_widths *widths, size_t index)
{
    return gives[index] == ONE ? 1 : gives[index] == CODE ? widths->code : widths->channels[gives[index]];
}

/* The next `count` floats of the block, aligned; NULL while counting. */
static float *take(pl_codec *codec, size_t count)
{
    float *at = codec->block ? codec->block + codec->values : NULL;
    codec->values += pl_round_up(count, 16);
    return at;
}

/* Counts while there is no block, then hands it out. */
static void lay_out(pl_codec *codec, const pl_codec_widths *widths)
{
    codec->values = 0;
    for (size_t i = 0; i < PL_CODEC_LAYERS; i++) {
        const pl_codec_layer *layer = &pl_codec_layers[i];
        const size_t taps = layer->kernel * layer->kernel;
        const size_t in = i ? channels_after(widths, i - 1) : 1, out = channels_after(widths, i);
        float *weight = take(codec, in * out * taps), *bias = take(codec, out);
        codec->layers[i] = (pl_convolution){
            .map = {.weight = {.dtype = PL_F32, .rank = 2, .shape = {layer->transposed ? out * taps : out, layer->transposed ? in : in * taps}, .data = weight}, .bias = bias},
            .kernel = layer->kernel,
            .stride = layer->stride,
            .padding = layer->padding,
        };
    }
    codec->width = widths->code;
    codec->codes = (pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {PL_SEGMENT_CODES, widths->code}, .data = take(codec, PL_SEGMENT_CODES * widths->code)};
    codec->code_norms = take(codec, PL_SEGMENT_CODES);
    codec->means = take(codec, PL_SEGMENT_CODES * widths->code);
    codec->weights = take(codec, PL_SEGMENT_CODES);
}

pl_codec *pl_codec_new(const pl_codec_widths *widths, const char *path, pali_error *err)
{
    pl_codec *codec = pl_new(1, sizeof *codec, "mask codec", err);
    if (!codec)
        return NULL;
    codec->path = pl_strdup(path, err);
    lay_out(codec, widths);
    codec->block = codec->path ? pl_new_aligned(codec->values * sizeof *codec->block, "mask codec", err) : NULL;
    if (!codec->block) {
        pl_codec_free(codec);
        return NULL;
    }
    memset(codec->block, 0, codec->values * sizeof *codec->block);
    lay_out(codec, widths);
    return codec;
}

/* ---- The file --------------------------------------------------------- */

static pali_status write_array(pl_npz_writer *w, const char *name, const char *part, const size_t *shape, size_t rank, const float *values, pali_error *err)
{
    char full[96];
    size_t count = 1;
    snprintf(full, sizeof full, "%s%s", name, part);
    for (size_t i = 0; i < rank; i++)
        count *= shape[i];
    pali_status status = pl_npz_begin(w, full, PL_F32, shape, rank, err);
    if (status == PALI_OK)
        status = pl_npz_write(w, values, count * sizeof *values, err);
    return status == PALI_OK ? pl_npz_end(w, err) : status;
}

/* Turned back to PyTorch's layouts, [out, in, kernel, kernel] and [in, out, kernel, kernel]; room [in * out * taps]. */
static pali_status write_layer(pl_npz_writer *w, const pl_codec *codec, size_t index, float *room, pali_error *err)
{
    const pl_codec_layer *layer = &pl_codec_layers[index];
    const pl_tensor *matrix = &codec->layers[index].map.weight;
    const size_t taps = layer->kernel * layer->kernel, in = matrix->shape[1] / (layer->transposed ? 1 : taps), out = matrix->shape[0] / (layer->transposed ? taps : 1);
    const float *weight = matrix->data;
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < in; i++)
            for (size_t k = 0; k < taps; k++) {
                if (layer->transposed)
                    room[(i * out + o) * taps + k] = weight[(k * out + o) * in + i];
                else
                    room[(o * in + i) * taps + k] = weight[(o * taps + k) * in + i];
            }
    const size_t shape[4] = {layer->transposed ? in : out, layer->transposed ? out : in, layer->kernel, layer->kernel};
    pali_status status = write_array(w, layer->name, ".weight", shape, 4, room, err);
    return status == PALI_OK ? write_array(w, layer->name, ".bias", &out, 1, codec->layers[index].map.bias, err) : status;
}

static size_t most_values(const pl_codec *codec)
{
    size_t most = 0;
    for (size_t i = 0; i < PL_CODEC_LAYERS; i++)
        most = pl_max(most, codec->layers[i].map.weight.shape[0] * codec->layers[i].map.weight.shape[1]);
    return most;
}

pali_status pl_codec_save(const pl_codec *codec, const char *path, pali_error *err)
{
    const size_t shape[2] = {PL_SEGMENT_CODES, codec->width};
    pl_npz_writer w = {0};
    float *room = pl_new_raw(most_values(codec), sizeof *room, "mask codec", err);
    pali_status status = room ? pl_npz_create(&w, path, err) : PALI_MEMORY;
    for (size_t i = 0; i < PL_CODEC_LAYERS && status == PALI_OK; i++)
        status = write_layer(&w, codec, i, room, err);
    if (status == PALI_OK)
        status = write_array(&w, PL_CODEC_CODES, "", shape, 2, codec->codes.data, err);
    if (status == PALI_OK)
        status = write_array(&w, PL_CODEC_MEANS, "", shape, 2, codec->means, err);
    if (status == PALI_OK)
        status = write_array(&w, PL_CODEC_WEIGHTS, "", shape, 1, codec->weights, err);
    if (status == PALI_OK)
        status = pl_npz_commit(&w, err);
    pl_npz_abandon(&w);
    free(room);
    return status;
}
