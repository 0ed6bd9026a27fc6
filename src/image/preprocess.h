/*
 * From pixels to what the vision tower eats: a square R x R picture of floats
 * in [-1, 1], then rows of patches. Which resize and which rounding come
 * before depends on whose numbers are to be met; see docs/MODEL.md.
 */
#ifndef PL_IMAGE_PREPROCESS_H
#define PL_IMAGE_PREPROCESS_H

#include "image/resize.h"

/*
 * Every recipe once: X(NAME, "option value", what it is).
 *   hf          Pillow resize of the processor's filter, 8-bit, as up to Pillow 12
 *   hf:pillow13 the same as Pillow 13 does it; differs for some tall pictures
 *   antialias   big_vision: TensorFlow antialiased bilinear, truncated to 8 bits
 *   plain       big_vision: TensorFlow bilinear without antialias, truncated
 *   notebook    big_vision's fine-tuning notebook: antialiased, kept as float
 *   video       big_vision's video frames: not antialiased, kept as float
 */
#define PL_PREPROCESS_LIST(X)                                                        \
    X(HF, "hf", "Pillow resize, as the Hugging Face processor")                     \
    X(HF_PILLOW13, "hf:pillow13", "the same with Pillow 13's order of passes")       \
    X(ANTIALIAS, "big_vision:antialias", "antialiased bilinear, truncated to 8 bits") \
    X(PLAIN, "big_vision:plain", "bilinear without antialias, truncated to 8 bits") \
    X(NOTEBOOK, "big_vision:notebook", "antialiased bilinear, kept as float")       \
    X(VIDEO, "big_vision:video", "bilinear without antialias, kept as float")

typedef enum pl_preprocess_kind {
#define PL_PREPROCESS_ENUM(name, text, help) PL_PREPROCESS_##name,
    PL_PREPROCESS_LIST(PL_PREPROCESS_ENUM)
#undef PL_PREPROCESS_ENUM
} pl_preprocess_kind;

typedef struct pl_preprocess_options {
    pl_preprocess_kind kind;
    pl_filter filter; /* of the kinds hf; released checkpoints say bicubic (3) */
} pl_preprocess_options;

/* The released checkpoints' way: hf with bicubic. */
static inline pl_preprocess_options pl_preprocess_default(void)
{
    return (pl_preprocess_options){.kind = PL_PREPROCESS_HF, .filter = PL_FILTER_BICUBIC};
}

/* Reads an option value such as "big_vision:plain" ("big_vision" alone: antialias); PALI_USAGE names the known ones. */
pali_status pl_preprocess_parse(const char *text, pl_preprocess_kind *kind, pali_error *err);

/* The value it is read from; static storage. */
const char *pl_preprocess_name(pl_preprocess_kind kind);

/* pixels [side, side, 3] f32 in [-1, 1], owned by the caller. NULL options: the default. */
pali_status pl_preprocess(const pl_image *image, size_t side, const pl_preprocess_options *options, const pl_hands *hands, float *pixels, pali_error *err);

/*
 * Cuts pixels [side, side, 3] into rows [(side/patch)^2, 3*patch*patch] f32,
 * each in the order (channel, row, column): that of a Hugging Face
 * convolution weight [out, 3, patch, patch] seen as [out, 3*patch*patch].
 * side is a multiple of patch.
 */
void pl_patches(const float *pixels, size_t side, size_t patch, float *rows);

/* The frame shown at place `i` of a clip stretched to its length by repeating it. */
static inline size_t pl_video_frame(size_t i, size_t count)
{
    return i % count;
}

#endif
