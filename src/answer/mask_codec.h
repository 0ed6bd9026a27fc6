/*
 * The mask codec: a convolutional VQ-VAE between maps of 64 x 64 and sixteen
 * codes (big_vision pp/proj/paligemma/segmentation.py; Ning et al. 2023,
 * arXiv 2301.02229). This is the network; what surrounds it, crops, boxes and
 * pasting, is in mask_tokens.h.
 */
#ifndef PL_ANSWER_MASK_CODEC_H
#define PL_ANSWER_MASK_CODEC_H

#include "answer/location.h"
#include "formats/tensor_file.h"
#include "image/resize.h"
#include "ops/convolution.h"

enum { PL_CODEC_SIDE = 64, PL_CODEC_GRID = 4, PL_CODEC_LAYERS = 23 };

/* Where a layer stands in a residual block, whose input is added to what its last layer gives. */
typedef enum pl_codec_block { PL_BLOCK_NONE, PL_BLOCK_FIRST, PL_BLOCK_INSIDE, PL_BLOCK_LAST } pl_codec_block;

/* A layer of the network as the published code fixes it; channels come from the file. */
typedef struct pl_codec_layer {
    const char *name; /* of its arrays, without ".weight" and ".bias" */
    bool transposed;
    size_t kernel, stride, padding;
    bool relu; /* follows */
    pl_codec_block block;
} pl_codec_layer;

/* The encoder's, then the decoder's from PL_CODEC_DECODER on. */
enum { PL_CODEC_DECODER = 11 };
extern const pl_codec_layer pl_codec_layers[PL_CODEC_LAYERS];

/* Immutable once opened; shared by threads. */
typedef struct pl_codec {
    pl_convolution layers[PL_CODEC_LAYERS];
    size_t width;      /* D: values of a code */
    pl_tensor codes;   /* [128, D] f32 */
    float *code_norms; /* [128] squared */
    float *means;      /* [128, D] and */
    float *weights;    /* [128] what training has of the codes so far; zeros where a file has none */
    float *block;      /* owned: everything above */
    size_t values;     /* in the block */
    char *path;        /* owned, for messages */
} pl_codec;

/* Channels of the four steps that halve a side, and values of a code: what a codec's sizes follow from. */
typedef struct pl_codec_widths {
    size_t channels[4], code;
} pl_codec_widths;

/* Names of arrays that are no layer's. */
#define PL_CODEC_CODES "_vq_vae._embedding"
#define PL_CODEC_MEANS "_vq_vae._ema_w"
#define PL_CODEC_WEIGHTS "_vq_vae._ema_cluster_size"

/*
 * Takes the arrays named prefix + the released names out of a file, which may
 * be closed then. Any float type is read, held in f32. PALI_MODEL names the
 * array that is missing, is not finite, or whose shape does not fit the others.
 */
pl_codec *pl_codec_of_tensors(const pl_tensor_file *file, const char *prefix, pali_error *err);

/* A file: .npz, .safetensors, or .gguf, where names begin with "codec."; told by content. */
pl_codec *pl_codec_open(const char *path, pali_error *err);

/*
 * The codec of a model at `path`, a folder or file: within the file (a codec's
 * own will do), else vae-oid.npz in the folder. PALI_OK with *codec NULL where
 * there is none.
 */
pali_status pl_codec_open_of(const char *path, pl_codec **codec, pali_error *err);

void pl_codec_free(pl_codec *codec);

/* A codec of zeros, to be trained; `path` stands in messages. */
pl_codec *pl_codec_new(const pl_codec_widths *widths, const char *path, pali_error *err);

/* Writes an .npz with the released names and layouts, whole or not at all. */
pali_status pl_codec_save(const pl_codec *codec, const char *path, pali_error *err);

/* Brings code_norms up to date after codes were changed. */
void pl_codec_measure_codes(pl_codec *codec);

/* ---- The network, for any number of masks; a context with a tape records it ---- */

/* maps [n of 64, 64; 1] in [-1, 1] -> vectors [n of 4, 4; D]; and back. The results lie in the arena. */
pl_grid pl_codec_encoder(pl_context *ctx, const pl_codec *codec, pl_grid maps);
pl_grid pl_codec_decoder(pl_context *ctx, const pl_codec *codec, pl_grid vectors);

/* The nearest code to each of vectors [T, D], the first of equals: codes [T]. Records nothing. False where a distance is not finite. */
bool pl_codec_nearest(pl_context *ctx, const pl_codec *codec, pl_rows vectors, uint8_t *codes);

/* ---- One mask ---- */

/* map [64, 64] in [-1, 1], in above 0 -> the nearest code for each of 4 x 4 parts. */
pali_status pl_codec_encode_map(const pl_codec *codec, const pl_hands *hands, const float *map, uint8_t codes[PALI_MASK_TOKENS], pali_error *err);

/* Codes below 128 -> map [64, 64], about -1 to 1. */
pali_status pl_codec_decode_map(const pl_codec *codec, const pl_hands *hands, const uint8_t codes[PALI_MASK_TOKENS], float *map, pali_error *err);

#endif
