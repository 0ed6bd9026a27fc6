/*
 * Which decoder a file's first bytes ask for, the limits that hold for all of
 * them, and the picture's life.
 */
#include "image/codec.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static bool has(const pl_source *source, size_t offset, const char *magic, size_t length)
{
    return source->size >= offset + length && memcmp(source->bytes + offset, magic, length) == 0;
}

static bool is_jpeg(const pl_source *source)
{
    return has(source, 0, "\xff\xd8\xff", 3);
}
static bool is_png(const pl_source *source)
{
    return has(source, 0, "\x89PNG\r\n\x1a\n", 8);
}
static bool is_webp(const pl_source *source)
{
    return has(source, 0, "RIFF", 4) && has(source, 8, "WEBP", 4);
}
static bool is_gif(const pl_source *source)
{
    return has(source, 0, "GIF87a", 6) || has(source, 0, "GIF89a", 6);
}

/* What else people hand in, so that the message can name it. */
static const char *other_format(const pl_source *source)
{
    if (source->size == 0)
        return "an empty file";
    if (has(source, 4, "ftypavif", 8) || has(source, 4, "ftypavis", 8))
        return "an AVIF picture";
    if (has(source, 4, "ftyphe", 6) || has(source, 4, "ftypmif1", 8))
        return "a HEIC picture";
    if (has(source, 4, "ftyp", 4))
        return "an MP4 video";
    if (has(source, 0, "II*\0", 4) || has(source, 0, "MM\0*", 4))
        return "a TIFF picture";
    if (has(source, 0, "BM", 2) && source->size >= 26)
        return "a BMP picture";
    if (has(source, 0, "%PDF", 4))
        return "a PDF document";
    if (has(source, 0, "<svg", 4) || has(source, 0, "<?xml", 5))
        return "an SVG or XML text";
    if (has(source, 0, "\x00\x00\x00\x0cJXL ", 8) || has(source, 0, "\xff\x0a", 2))
        return "a JPEG XL picture";
    return NULL;
}

static pali_status unknown_format(const pl_source *source, pali_error *err)
{
    const char *found = other_format(source);
    if (found)
        return pl_fail(err, PALI_INPUT, "%s: found %s, expected a JPEG, PNG, WebP or GIF picture", source->name, found);
    char first[80];
    return pl_fail(err, PALI_INPUT, "%s: found %zu bytes beginning with %s, expected a JPEG, PNG, WebP or GIF picture",
                   source->name, source->size, pl_printable((const char *)source->bytes, pl_min(source->size, 8), first));
}

/* Frames as stored, and the orientation that their metadata asks for. */
static pali_status decode_frames(const pl_source *source, size_t most, pl_frames *out, unsigned *orientation, pali_error *err)
{
    *orientation = 1;
    if (is_webp(source)) {
        *orientation = pl_webp_orientation(source);
        return pl_webp_decode(source, most, out, err);
    }
    if (is_gif(source))
        return pl_gif_decode(source, most, out, err);
    if (!is_jpeg(source) && !is_png(source))
        return unknown_format(source, err);
    out->frames = pl_new(1, sizeof *out->frames, "picture", err);
    if (!out->frames)
        return PALI_MEMORY;
    out->count = 1;
    *orientation = is_jpeg(source) ? pl_jpeg_orientation(source) : pl_png_orientation(source);
    return is_jpeg(source) ? pl_jpeg_decode(source, out->frames, err) : pl_png_decode(source, out->frames, err);
}

static pali_status decode(const pl_source *source, size_t most, pl_frames *out, pali_error *err)
{
    *out = (pl_frames){0};
    unsigned orientation;
    pali_status status = decode_frames(source, most, out, &orientation, err);
    if (source->decoder == PL_DECODER_TENSORFLOW)
        orientation = 1;
    for (size_t i = 0; i < out->count && status == PALI_OK; i++)
        status = pl_image_orient(&out->frames[i], orientation, source->name, err);
    if (status != PALI_OK)
        pl_frames_free(out);
    return status;
}

pali_status pl_image_frames_stride(const void *bytes, size_t size, const char *name, size_t most, size_t stride, pl_frames *out, pali_error *err)
{
    const pl_source source = {.bytes = bytes, .size = size, .name = name, .stride = stride};
    return decode(&source, most ? most : SIZE_MAX, out, err);
}

pali_status pl_image_frames(const void *bytes, size_t size, const char *name, size_t most, pl_frames *out, pali_error *err)
{
    return pl_image_frames_stride(bytes, size, name, most, 1, out, err);
}

pali_status pl_image_decode_as(const void *bytes, size_t size, const char *name, pl_decoder decoder, pl_image *out, pali_error *err)
{
    const pl_source source = {.bytes = bytes, .size = size, .name = name, .decoder = decoder};
    pl_frames frames;
    *out = (pl_image){0};
    const pali_status status = decode(&source, 1, &frames, err);
    if (status == PALI_OK) {
        *out = frames.frames[0];
        free(frames.frames);
    }
    return status;
}

pali_status pl_image_decode(const void *bytes, size_t size, const char *name, pl_image *out, pali_error *err)
{
    return pl_image_decode_as(bytes, size, name, PL_DECODER_PILLOW, out, err);
}

pali_status pl_image_read(const char *path, char **bytes, size_t *size, const char **name, pali_error *err)
{
    pali_error reason = {0};
    *name = strcmp(path, "-") == 0 ? "standard input" : path;
    *bytes = pl_file_read(path, PL_IMAGE_MAX_BYTES, size, PALI_INPUT, &reason);
    if (!*bytes && err)
        *err = reason;
    return *bytes ? PALI_OK : reason.status;
}

pali_status pl_image_open(const char *path, pl_image *out, pali_error *err)
{
    const char *name;
    size_t size;
    char *bytes;
    *out = (pl_image){0};
    pali_status status = pl_image_read(path, &bytes, &size, &name, err);
    if (status != PALI_OK)
        return status;
    status = pl_image_decode(bytes, size, name, out, err);
    free(bytes);
    return status;
}

pali_status pl_image_check(size_t width, size_t height, const char *name, pali_error *err)
{
    if (width == 0 || height == 0)
        return pl_fail(err, PALI_INPUT, "%s: found a picture of %zu x %zu pixels, expected at least 1 x 1", name, width, height);
    if (width > PL_IMAGE_MAX_SIDE || height > PL_IMAGE_MAX_SIDE || width > PL_IMAGE_MAX_PIXELS / height)
        return pl_fail(err, PALI_INPUT, "%s: found a picture of %zu x %zu pixels, expected at most %zu pixels and %zu a side",
                       name, width, height, PL_IMAGE_MAX_PIXELS, PL_IMAGE_MAX_SIDE);
    return PALI_OK;
}

pali_status pl_image_new(size_t width, size_t height, const char *name, pl_image *out, pali_error *err)
{
    *out = (pl_image){0};
    const pali_status status = pl_image_check(width, height, name, err);
    if (status != PALI_OK)
        return status;
    unsigned char *rgb = pl_new_bulk(width * height, 3, name, err);
    if (!rgb)
        return PALI_MEMORY;
    *out = (pl_image){.width = width, .height = height, .rgb = rgb};
    return PALI_OK;
}

pali_status pl_frames_push(pl_frames *frames, size_t width, size_t height, const char *name, pl_image **frame, pali_error *err)
{
    if (frames->count && width * height > PL_IMAGE_MAX_PIXELS / (frames->count + 1))
        return pl_fail(err, PALI_INPUT, "%s: found more than %zu frames of %zu x %zu, expected at most %zu pixels in all",
                       name, frames->count, width, height, PL_IMAGE_MAX_PIXELS);
    size_t capacity = frames->count;
    if ((capacity & (capacity - 1)) == 0) { /* full at every power of two */
        const size_t wanted = capacity ? 2 * capacity : 1;
        pl_image *larger = realloc(frames->frames, wanted * sizeof *larger);
        if (!larger)
            return pl_fail_memory(err, name, wanted * sizeof *larger);
        frames->frames = larger;
    }
    *frame = &frames->frames[frames->count];
    const pali_status status = pl_image_new(width, height, name, *frame, err);
    if (status == PALI_OK)
        frames->count++;
    return status;
}

void pl_image_free(pl_image *image)
{
    free(image->rgb);
    *image = (pl_image){0};
}

void pl_frames_free(pl_frames *frames)
{
    for (size_t i = 0; i < frames->count; i++)
        pl_image_free(&frames->frames[i]);
    free(frames->frames);
    *frames = (pl_frames){0};
}
