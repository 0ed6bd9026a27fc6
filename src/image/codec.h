/*
 * Between the files of this room: one decoder a format, and what they share.
 * A decoder leaves *out for its caller to free, also when it fails.
 */
#ifndef PL_IMAGE_CODEC_H
#define PL_IMAGE_CODEC_H

#include "image/image.h"

typedef struct pl_source {
    const unsigned char *bytes; /* [size], borrowed */
    size_t size;
    const char *name; /* for messages, borrowed */
    pl_decoder decoder;
    size_t stride; /* of the frames of an animation one in so many is wanted, from the first on; 0: 1 */
} pl_source;

/* Whether frame `i` of an animation is one of those. */
static inline bool pl_source_wants(const pl_source *source, size_t i)
{
    return source->stride < 2 || i % source->stride == 0;
}

/* The bytes of a file (new), or of standard input for "-", and what to call it in messages. */
pali_status pl_image_read(const char *path, char **bytes, size_t *size, const char **name, pali_error *err);

pali_status pl_jpeg_decode(const pl_source *source, pl_image *out, pali_error *err);
pali_status pl_png_decode(const pl_source *source, pl_image *out, pali_error *err);
pali_status pl_png_decode_mask(const pl_source *source, pl_mask *out, pali_error *err); /* as pali/mask.h says (pali_mask_open) */

/* These have frames: the first `most` that are wanted are added to *out. */
pali_status pl_webp_decode(const pl_source *source, size_t most, pl_frames *out, pali_error *err);
pali_status pl_gif_decode(const pl_source *source, size_t most, pl_frames *out, pali_error *err);

/* Appends a frame of width x height, not set; *frame is valid until the next call. */
pali_status pl_frames_push(pl_frames *frames, size_t width, size_t height, const char *name, pl_image **frame, pali_error *err);

/*
 * The EXIF orientation 1..8 that the file's metadata asks for (EXIF first,
 * then XMP); 1 when there is none or it makes no sense.
 */
unsigned pl_jpeg_orientation(const pl_source *source);
unsigned pl_png_orientation(const pl_source *source);
unsigned pl_webp_orientation(const pl_source *source);
unsigned pl_exif_orientation(const unsigned char *exif, size_t size);  /* 0: none */
unsigned pl_xmp_orientation(const unsigned char *text, size_t size); /* 0: none */

/* Turns the picture so that what was stored under `orientation` stands upright. */
pali_status pl_image_orient(pl_image *image, unsigned orientation, const char *name, pali_error *err);

/* Row conversions; `count` pixels. Grey may widen in place from the row's tail. */
void pl_grey_to_rgb(const unsigned char *grey, size_t count, unsigned char *rgb);
void pl_cmyk_to_rgb(const unsigned char *cmyk, size_t count, unsigned char *rgb);
void pl_palette_to_rgb(const unsigned char *index, size_t count, const unsigned char palette[256][3], unsigned char *rgb);

static inline unsigned pl_u16be(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}
static inline unsigned pl_u16le(const unsigned char *p)
{
    return (unsigned)p[1] << 8 | p[0];
}
static inline unsigned pl_u32be(const unsigned char *p)
{
    return pl_u16be(p) << 16 | pl_u16be(p + 2);
}
static inline unsigned pl_u32le(const unsigned char *p)
{
    return pl_u16le(p + 2) << 16 | pl_u16le(p);
}

#endif
