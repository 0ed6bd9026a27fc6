/*
 * Reading a mask codec. All sizes come from the arrays: each layer's must take
 * what the one before gives, from one channel to one channel, over vectors as
 * wide as those of the codebook.
 */
#include "answer/mask_codec.h"

#include "base/file.h"
#include "base/text.h"
#include "formats/gguf.h"
#include "formats/npz.h"
#include "formats/safetensors.h"
#include "model/codec_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char released_name[] = PL_CODEC_FILE, gguf_prefix[] = PL_CODEC_PREFIX;

/* What is read from where, and into which place of the block. */
typedef struct reading {
    pl_codec *codec;
    const pl_tensor_file *file;
    const char *prefix;
    const pl_kernels *kernels;
    float *to; /* the next free place; NULL while only counting */
    size_t count;
} reading;

/* Room for `count` floats, aligned; NULL while counting. */
static float *take(reading *r, size_t count)
{
    const size_t room = pl_round_up(count, 16);
    float *at = r->to;
    r->count += room;
    if (at)
        r->to += room;
    return at;
}

/* An array and its full name; PALI_MODEL where it is missing or has another shape. 0 in `expected` stands for any size but 0. */
static pali_status find(const reading *r, const char *name, const char *part, const size_t *expected, size_t rank, const pl_tensor **tensor, char full[160], pali_error *err)
{
    snprintf(full, 160, "%s%s%s", r->prefix, name, part);
    *tensor = pl_tensor_file_use(r->file, full, err);
    if (!*tensor)
        return pl_status_of(err, PALI_MODEL);
    bool fits = (*tensor)->rank == rank;
    for (size_t i = 0; i < rank && fits; i++)
        fits = expected[i] ? (*tensor)->shape[i] == expected[i] : (*tensor)->shape[i] > 0;
    char found[96], wanted[96] = "[";
    if (!fits) {
        for (size_t i = 0; i < rank; i++)
            snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), expected[i] ? "%s%zu" : "%sany", i ? ", " : "", expected[i]);
        return pl_fail(err, PALI_MODEL, "%s: array %s: found shape %s, expected %s]", r->codec->path, full, pl_shape_text((*tensor)->shape, (*tensor)->rank, found), wanted);
    }
    if (!pl_dtype_is_float((*tensor)->dtype))
        return pl_fail(err, PALI_MODEL, "%s: array %s: found type %s, expected floats", r->codec->path, full, pl_dtype_name((*tensor)->dtype));
    return PALI_OK;
}

/* The values in f32 of [outer, inner, taps], turned to [outer, taps, inner], or to [taps, inner, outer] if it is transposed; taps 1, and not transposed: as they lie. */
static pali_status copy(reading *r, const pl_tensor *tensor, const char *name, size_t taps, bool transposed, float **values, pali_error *err)
{
    size_t count = 0;
    pl_tensor_count(tensor, &count);
    float *to = *values = take(r, count);
    if (!to)
        return PALI_OK;
    const size_t outer = tensor->shape[0], inner = count / outer / taps;
    float *room = pl_new_raw(count, sizeof *room, name, err);
    if (!room)
        return PALI_MEMORY;
    r->kernels->unpack[tensor->dtype](count, tensor->data, room);
    const bool finite = r->kernels->all_finite(count, room);
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++)
            for (size_t k = 0; k < taps; k++)
                to[transposed ? (k * inner + i) * outer + o : (o * taps + k) * inner + i] = room[(o * inner + i) * taps + k];
    free(room);
    return finite ? PALI_OK : pl_fail(err, PALI_MODEL, "%s: array %s: found values that are not finite, expected finite ones", r->codec->path, name);
}

/* One layer, of whose input *channels are known, which become those of its output. */
static pali_status read_layer(reading *r, size_t index, size_t *channels, size_t wanted, pali_error *err)
{
    const pl_codec_layer *layer = &pl_codec_layers[index];
    pl_convolution *c = &r->codec->layers[index];
    const pl_tensor *weight, *bias;
    char name[160];
    float *values = NULL, *offsets = NULL;
    const size_t k = layer->kernel;
    const size_t expected[4] = {layer->transposed ? *channels : wanted, layer->transposed ? wanted : *channels, k, k};
    pali_status status = find(r, layer->name, ".weight", expected, 4, &weight, name, err);
    if (status == PALI_OK)
        status = copy(r, weight, name, k * k, layer->transposed, &values, err);
    if (status != PALI_OK)
        return status;
    const size_t in = *channels, out = weight->shape[layer->transposed ? 1 : 0];
    status = find(r, layer->name, ".bias", &out, 1, &bias, name, err);
    if (status == PALI_OK)
        status = copy(r, bias, name, 1, false, &offsets, err);
    const pl_tensor matrix = {.dtype = PL_F32, .rank = 2, .shape = {layer->transposed ? out * k * k : out, layer->transposed ? in : in * k * k}, .data = values};
    *c = (pl_convolution){.map = {.weight = matrix, .bias = offsets}, .kernel = k, .stride = layer->stride, .padding = layer->padding};
    *channels = out;
    return status;
}

/* Layers first..end from `in` channels to `out`; a block gives as many as it takes. */
static pali_status read_layers(reading *r, size_t first, size_t end, size_t in, size_t out, pali_error *err)
{
    size_t channels = in, block = 0;
    pali_status status = PALI_OK;
    for (size_t i = first; i < end && status == PALI_OK; i++) {
        const pl_codec_block place = pl_codec_layers[i].block;
        if (place == PL_BLOCK_FIRST)
            block = channels;
        status = read_layer(r, i, &channels, i + 1 == end ? out : place == PL_BLOCK_LAST ? block : 0, err);
    }
    return status;
}

static pali_status read_codebook(reading *r, pali_error *err)
{
    pl_codec *codec = r->codec;
    const pl_tensor *codes, *other;
    char name[160];
    float *values = NULL;
    const size_t any[2] = {PL_SEGMENT_CODES, 0};
    pali_status status = find(r, PL_CODEC_CODES, "", any, 2, &codes, name, err);
    if (status == PALI_OK)
        status = copy(r, codes, name, 1, false, &values, err);
    if (status != PALI_OK)
        return status;
    codec->width = codes->shape[1];
    codec->codes = (pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {PL_SEGMENT_CODES, codec->width}, .data = values};
    codec->code_norms = take(r, PL_SEGMENT_CODES);
    if (codec->code_norms)
        pl_codec_measure_codes(codec);
    /* What only its training needs may be missing, but must not be of another codec. */
    static const char *const averages[] = {PL_CODEC_MEANS, PL_CODEC_WEIGHTS};
    float **const to[] = {&codec->means, &codec->weights};
    const size_t shape[2] = {PL_SEGMENT_CODES, codec->width};
    for (size_t i = 0; i < 2 && status == PALI_OK; i++) {
        snprintf(name, sizeof name, "%s%s", r->prefix, averages[i]);
        if (!pl_tensor_file_find(r->file, name)) {
            *to[i] = take(r, i ? PL_SEGMENT_CODES : PL_SEGMENT_CODES * codec->width);
            continue;
        }
        status = find(r, averages[i], "", shape, 2 - i, &other, name, err);
        if (status == PALI_OK)
            status = copy(r, other, name, 1, false, to[i], err);
    }
    return status;
}

static pali_status read_all(reading *r, pali_error *err)
{
    pali_status status = read_codebook(r, err);
    if (status == PALI_OK)
        status = read_layers(r, 0, PL_CODEC_DECODER, 1, r->codec->width, err);
    if (status == PALI_OK)
        status = read_layers(r, PL_CODEC_DECODER, PL_CODEC_LAYERS, r->codec->width, 1, err);
    return status;
}

pl_codec *pl_codec_of_tensors(const pl_tensor_file *file, const char *prefix, pali_error *err)
{
    reading r = {.file = file, .prefix = prefix, .kernels = pl_kernels_get(NULL, err)};
    r.codec = r.kernels ? pl_new(1, sizeof *r.codec, "mask codec", err) : NULL;
    if (!r.codec)
        return NULL;
    r.codec->path = pl_strdup(pl_tensor_file_path(file, 0), err);
    pali_status status = r.codec->path ? read_all(&r, err) : PALI_MEMORY; /* checks and counts */
    if (status == PALI_OK) {
        size_t bytes;
        status = pl_mul(r.count, sizeof *r.to, &bytes) && (r.codec->block = pl_new_aligned(bytes, "mask codec", err)) ? PALI_OK : PALI_MEMORY;
        r.codec->values = r.count;
        if (status == PALI_OK)
            memset(r.codec->block, 0, bytes);
        r.to = r.codec->block;
    }
    if (status == PALI_OK)
        status = read_all(&r, err);
    if (status == PALI_OK)
        return r.codec;
    pl_codec_free(r.codec);
    return NULL;
}

void pl_codec_free(pl_codec *codec)
{
    if (!codec)
        return;
    free(codec->block);
    free(codec->path);
    free(codec);
}

/* The first bytes of a file; false where it cannot be read. */
static bool begins_with(const char *path, const char *magic)
{
    char found[4] = {0};
    FILE *file = fopen(path, "rb");
    const bool read = file && fread(found, 1, sizeof found, file) == sizeof found;
    if (file)
        fclose(file);
    return read && memcmp(found, magic, strlen(magic)) == 0;
}

/* A file of any container that may hold a codec, and what its names begin with there. */
static pl_tensor_file *open_file(const char *path, const char **prefix, pali_error *err)
{
    const bool gguf = begins_with(path, "GGUF");
    *prefix = gguf ? gguf_prefix : "";
    return gguf ? pl_gguf_open(path, err) : begins_with(path, "PK") ? pl_npz_open(path, err) : pl_safetensors_open(path, err);
}

pl_codec *pl_codec_open(const char *path, pali_error *err)
{
    const char *prefix;
    pl_tensor_file *file = open_file(path, &prefix, err);
    pl_codec *codec = file ? pl_codec_of_tensors(file, prefix, err) : NULL;
    pl_tensor_file_close(file);
    return codec;
}

/* The codec within a file, perhaps a model's; *codec stays NULL where it has none. */
static pali_status open_within(const char *path, pl_codec **codec, pali_error *err)
{
    const char *prefix;
    pl_tensor_file *file = open_file(path, &prefix, err);
    if (!file)
        return pl_status_of(err, PALI_MODEL);
    static const char *const signs[] = {PL_CODEC_CODES, "encoder.0.weight", "decoder.12.weight"}; /* a codec that lacks one of them is a broken one */
    bool holds = false;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", prefix, signs[i]);
        holds = holds || pl_tensor_file_find(file, name);
    }
    if (holds)
        *codec = pl_codec_of_tensors(file, prefix, err);
    pl_tensor_file_close(file);
    return holds && !*codec ? pl_status_of(err, PALI_MODEL) : PALI_OK;
}

pali_status pl_codec_open_of(const char *path, pl_codec **codec, pali_error *err)
{
    const bool is_folder = pl_is_folder(path);
    const char *slash = is_folder ? NULL : strrchr(path, '/');
    *codec = NULL;
    pali_status status = is_folder ? PALI_OK : open_within(path, codec, err);
    if (status != PALI_OK || *codec)
        return status;
    char *folder = is_folder ? pl_strdup(path, err) : slash ? pl_strndup(path, (size_t)(slash - path) + 1, err) : pl_strdup(".", err);
    char *file = folder ? pl_path_join(folder, released_name, err) : NULL;
    status = file ? PALI_OK : PALI_MEMORY;
    if (file && pl_is_file(file)) {
        *codec = pl_codec_open(file, err);
        status = *codec ? PALI_OK : pl_status_of(err, PALI_MODEL);
    }
    free(file);
    free(folder);
    return status;
}
