/*
 * Pictures back into files: rows of bytes become a JPEG, PNG or WebP, in
 * memory or in a file that is there whole or not at all. One encoder a format.
 */
#ifndef PL_IMAGE_ENCODE_H
#define PL_IMAGE_ENCODE_H

#include "base/text.h"
#include "image/image.h"

typedef enum pl_image_format {
    PL_FORMAT_JPEG, /* at most 65500 a side; alpha is dropped, chroma is kept at full size: drawn lines are thin */
    PL_FORMAT_PNG,  /* exact */
    PL_FORMAT_WEBP, /* at most 16383 a side */
} pl_image_format;

/* What is encoded: rows end to end. */
typedef struct pl_raster {
    const unsigned char *bytes; /* [height, width, channels] u8, borrowed */
    size_t width, height;
    size_t channels; /* 1 grey, 3 RGB, 4 RGBA */
} pl_raster;

typedef struct pl_encode_options {
    pl_image_format format;
    int quality;   /* 1..100, of JPEG and of lossy WebP; 0: 92 */
    bool lossless; /* WebP: exact */
} pl_encode_options;

/* The format of a name such as "png" or "JPG", any case; PALI_USAGE lists the known ones. `what` stands before the message. */
pali_status pl_format_of_name(const char *name, const char *what, pl_image_format *format, pali_error *err);

/* The same from the end of a file's name: "out/a.jpeg". */
pali_status pl_format_of_path(const char *path, pl_image_format *format, pali_error *err);

/*
 * Appends the encoded picture to *out, which the caller frees; after a failure
 * *out holds a part. `name` stands in messages. PALI_USAGE: a size that the format or
 * we cannot hold, channels or quality out of range.
 */
pali_status pl_image_encode(const pl_raster *raster, const pl_encode_options *options, const char *name, pl_buffer *out, pali_error *err);

/* Writes `path` in the format of `options`; PALI_FAILED when it cannot be written. */
pali_status pl_image_save(const pl_raster *raster, const pl_encode_options *options, const char *path, pali_error *err);

static inline pl_raster pl_raster_of(const pl_image *image)
{
    return (pl_raster){.bytes = image->rgb, .width = image->width, .height = image->height, .channels = 3};
}

/* Between the files of this room. Quality is in 1..100 and sizes are checked. */
pali_status pl_jpeg_encode(const pl_raster *raster, const pl_encode_options *options, const char *name, pl_buffer *out, pali_error *err);
pali_status pl_png_encode(const pl_raster *raster, const pl_encode_options *options, const char *name, pl_buffer *out, pali_error *err);
pali_status pl_webp_encode(const pl_raster *raster, const pl_encode_options *options, const char *name, pl_buffer *out, pali_error *err);

#endif
