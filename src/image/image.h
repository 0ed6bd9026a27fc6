/*
 * Pictures: a file or its bytes become 8-bit RGB pixels, upright, with the
 * values that Pillow's load + exif_transpose + convert("RGB") gives. Formats
 * are told by content: JPEG, PNG, WebP, GIF.
 */
#ifndef PL_IMAGE_IMAGE_H
#define PL_IMAGE_IMAGE_H

#include "base/status.h"

/* What is refused before any pixel memory is asked for. */
#ifndef PL_IMAGE_MAX_PIXELS
#define PL_IMAGE_MAX_PIXELS ((size_t)178956970) /* where Pillow refuses too */
#endif
#define PL_IMAGE_MAX_SIDE ((size_t)1000000)
#define PL_IMAGE_MAX_BYTES ((size_t)1 << 30) /* of a file */

typedef struct pl_image {
    size_t width, height;
    unsigned char *rgb; /* [height, width, 3] u8, owned */
} pl_image;

/* The frames of an animation, in order; one for a still picture. */
typedef struct pl_frames {
    pl_image *frames; /* [count], owned, all of one size */
    size_t count;
} pl_frames;

/* A picture that only tells in from out. */
typedef struct pl_mask {
    size_t width, height;
    unsigned char *bits; /* [height, width] 0 or 1, owned */
} pl_mask;

/*
 * Decodes a picture in memory; of an animation the first frame. `name` stands
 * in the messages. Fails with PALI_INPUT (not a picture, cut short, too large)
 * or PALI_MEMORY, and then *out is zero. Release with pl_image_free.
 */
pali_status pl_image_decode(const void *bytes, size_t size, const char *name, pl_image *out, pali_error *err);

/*
 * Whose pixels: TensorFlow's decode_image takes the fast, less exact DCT for
 * JPEG and ignores EXIF orientation; mean difference on photos 0.9 levels.
 */
typedef enum pl_decoder {
    PL_DECODER_PILLOW,
    PL_DECODER_TENSORFLOW,
} pl_decoder;
pali_status pl_image_decode_as(const void *bytes, size_t size, const char *name, pl_decoder decoder, pl_image *out, pali_error *err);

/* As pl_image_decode, from a file; "-" is standard input. */
pali_status pl_image_open(const char *path, pl_image *out, pali_error *err);

/*
 * The first `most` frames (0: all) of an animated GIF or WebP, each a whole
 * canvas; with a stride one in so many, from the first on. PL_IMAGE_MAX_PIXELS
 * holds for their sum. Release with pl_frames_free.
 */
pali_status pl_image_frames(const void *bytes, size_t size, const char *name, size_t most, pl_frames *out, pali_error *err);
pali_status pl_image_frames_stride(const void *bytes, size_t size, const char *name, size_t most, size_t stride, pl_frames *out, pali_error *err);

/* PALI_INPUT for a size of zero or over the limits above. */
pali_status pl_image_check(size_t width, size_t height, const char *name, pali_error *err);

/* Pixels of the given size, checked so, not set. */
pali_status pl_image_new(size_t width, size_t height, const char *name, pl_image *out, pali_error *err);

/* All out, of a size checked so. */
pali_status pl_mask_new(size_t width, size_t height, const char *name, pl_mask *out, pali_error *err);

/* A picture as a mask, by the rules of pali/mask.h (pali_mask_open); of an animation the first frame. Release with pl_mask_free. */
pali_status pl_mask_decode(const void *bytes, size_t size, const char *name, pl_mask *out, pali_error *err);
pali_status pl_mask_open(const char *path, pl_mask *out, pali_error *err);

void pl_mask_free(pl_mask *mask);
void pl_image_free(pl_image *image);
void pl_frames_free(pl_frames *frames);

#endif
