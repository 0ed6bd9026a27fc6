/* pali_image_*: pictures. */
#include "api/handles.h"

#include "base/file.h"
#include "image/encode.h"
#include "image/preprocess.h"
#include "image/preview.h"

#include <stdlib.h>
#include <string.h>

static pali_image *wrap(pl_image pixels, pali_error *err)
{
    pali_image *image = pl_new(1, sizeof *image, "picture", err);
    if (image)
        image->pixels = pixels;
    else
        pl_image_free(&pixels);
    return image;
}

pali_image *pali_image_open(const char *path, pali_error *err)
{
    pl_image pixels;
    if (pl_need(path, "pali_image_open", "path", err) != PALI_OK || pl_image_open(path, &pixels, err) != PALI_OK)
        return NULL;
    return wrap(pixels, err);
}

pali_image *pali_image_decode(const void *bytes, size_t size, const char *name, pali_error *err)
{
    pl_image pixels;
    if (pl_need(bytes, "pali_image_decode", "bytes", err) != PALI_OK || pl_image_decode(bytes, size, name ? name : "picture", &pixels, err) != PALI_OK)
        return NULL;
    return wrap(pixels, err);
}

pali_image *pali_image_from_rgb(const uint8_t *rgb, size_t width, size_t height, pali_error *err)
{
    pl_image pixels;
    if (pl_need(rgb, "pali_image_from_rgb", "rgb", err) != PALI_OK || pl_image_new(width, height, "picture", &pixels, err) != PALI_OK)
        return NULL;
    memcpy(pixels.rgb, rgb, width * height * 3);
    return wrap(pixels, err);
}

/* Frames from `known` on become copies of those before, in a circle; on failure the known ones stay. */
static pali_status repeat_frames(pali_image **images, size_t known, size_t frames, pali_error *err)
{
    for (size_t i = known; i < frames; i++) {
        const pl_image *frame = &images[pl_video_frame(i, known)]->pixels;
        images[i] = pali_image_from_rgb(frame->rgb, frame->width, frame->height, err);
        if (images[i])
            continue;
        while (i-- > known)
            pali_image_free(images[i]);
        return pl_status_of(err, PALI_MEMORY);
    }
    return PALI_OK;
}

/* The frames of one file, at most `frames`, into images; *count says how many there are now, also on failure. */
static pali_status open_animation(const char *path, size_t frames, size_t stride, pali_image **images, size_t *count, pali_error *err)
{
    size_t size = 0;
    char *bytes = pl_file_read(path, PL_IMAGE_MAX_BYTES, &size, PALI_INPUT, err);
    if (!bytes)
        return pl_status_of(err, PALI_INPUT);
    pl_frames found;
    pali_status status = pl_image_frames_stride(bytes, size, path, frames, stride, &found, err);
    free(bytes);
    if (status != PALI_OK)
        return status;
    for (size_t i = 0; status == PALI_OK && i < found.count; i++) {
        images[i] = wrap(found.frames[i], err);
        found.frames[i] = (pl_image){0};
        *count += images[i] != NULL;
        status = images[i] ? PALI_OK : PALI_MEMORY;
    }
    pl_frames_free(&found);
    return status;
}

/* The same from pictures that are frames. */
static pali_status open_stills(const char *const *paths, size_t files, size_t frames, size_t stride, pali_image **images, size_t *count, pali_error *err)
{
    for (size_t i = 0; i < files && *count < frames; *count += 1) {
        pali_error why = {0};
        images[*count] = pali_image_open(paths[i], &why);
        if (!images[*count])
            return pl_fail(err, why.status, "%s", why.message);
        if (files - i <= stride)
            stride = files - i; /* no overflow, and the end */
        i += stride;
    }
    return PALI_OK;
}

pali_status pali_image_open_clip(const char *const *paths, size_t count, size_t frames, size_t stride, pali_image **images, pali_error *err)
{
    pali_status status = pl_need(paths, "pali_image_open_clip", "paths", err);
    if (status == PALI_OK)
        status = pl_need(images, "pali_image_open_clip", "images", err);
    if (status == PALI_OK && (count == 0 || frames == 0))
        status = pl_fail(err, PALI_USAGE, "pali_image_open_clip: found %zu files and %zu frames, expected at least one of each", count, frames);
    if (status != PALI_OK)
        return status;
    size_t known = 0;
    stride = stride ? stride : 1;
    if (count == 1)
        status = open_animation(paths[0], frames, stride, images, &known, err);
    else
        status = open_stills(paths, count, frames, stride, images, &known, err);
    if (status == PALI_OK)
        status = repeat_frames(images, known, frames, err);
    for (size_t i = 0; status != PALI_OK && i < known; i++)
        pali_image_free(images[i]);
    for (size_t i = 0; status != PALI_OK && i < frames; i++)
        images[i] = NULL;
    return status;
}

pali_status pali_image_open_frames(const char *path, size_t most, pali_image **images, pali_error *err)
{
    const pali_status status = pl_need(path, "pali_image_open_frames", "path", err);
    return status == PALI_OK ? pali_image_open_clip(&path, 1, most, 1, images, err) : status;
}

size_t pali_image_width(const pali_image *image)
{
    return image->pixels.width;
}

size_t pali_image_height(const pali_image *image)
{
    return image->pixels.height;
}

const uint8_t *pali_image_rgb(const pali_image *image)
{
    return image->pixels.rgb;
}

void pali_image_free(pali_image *image)
{
    if (!image)
        return;
    pl_image_free(&image->pixels);
    free(image);
}

static pl_encode_options encode_options(const pali_encode_options *options)
{
    pali_encode_options own;
    pl_take_options(&own, sizeof own, options);
    /* What no int holds is out of range all the same. */
    return (pl_encode_options){.quality = own.quality > 1000 ? 1000 : (int)own.quality, .lossless = own.lossless};
}

pali_status pali_image_save(const pali_image *image, const char *path, const pali_encode_options *options, pali_error *err)
{
    pl_encode_options how = encode_options(options);
    pali_status status = pl_need(image, "pali_image_save", "image", err);
    if (status == PALI_OK)
        status = pl_need(path, "pali_image_save", "path", err);
    if (status == PALI_OK)
        status = pl_format_of_path(path, &how.format, err);
    if (status != PALI_OK)
        return status;
    const pl_raster raster = pl_raster_of(&image->pixels);
    return pl_image_save(&raster, &how, path, err);
}

pali_status pali_image_encode(const pali_image *image, const char *format, const pali_encode_options *options, uint8_t **bytes, size_t *size, pali_error *err)
{
    const char *const call = "pali_image_encode";
    pl_encode_options how = encode_options(options);
    const struct { const void *pointer; const char *name; } needed[] = {{image, "image"}, {format, "format"}, {bytes, "bytes"}, {size, "size"}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (pl_need(needed[i].pointer, call, needed[i].name, err) != PALI_OK)
            return PALI_USAGE;
    pali_status status = pl_format_of_name(format, call, &how.format, err);
    if (status != PALI_OK)
        return status;
    pl_buffer out = {0};
    const pl_raster raster = pl_raster_of(&image->pixels);
    status = pl_image_encode(&raster, &how, "picture", &out, err);
    if (status != PALI_OK) {
        free(out.data);
        return status;
    }
    *bytes = (uint8_t *)out.data;
    *size = out.length;
    return PALI_OK;
}

const char *pali_image_format(const char *path, pali_error *err)
{
    static const char *const names[] = {[PL_FORMAT_JPEG] = "jpeg", [PL_FORMAT_PNG] = "png", [PL_FORMAT_WEBP] = "webp"};
    pl_image_format format;
    if (pl_need(path, "pali_image_format", "path", err) != PALI_OK || pl_format_of_path(path, &format, err) != PALI_OK)
        return NULL;
    return names[format];
}

pali_status pali_image_preview(const pali_image *image, pali_preview kind, size_t most_width, size_t most_height, char **text, size_t *length, pali_error *err)
{
    static pali_status (*const ways[])(const pl_image *, pl_buffer *, pali_error *) = {
        [PALI_PREVIEW_KITTY] = pl_preview_kitty, [PALI_PREVIEW_ITERM2] = pl_preview_iterm2, [PALI_PREVIEW_SIXEL] = pl_preview_sixel};
    const struct { const void *pointer; const char *name; } needed[] = {{image, "image"}, {text, "text"}, {length, "length"}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (pl_need(needed[i].pointer, "pali_image_preview", needed[i].name, err) != PALI_OK)
            return PALI_USAGE;
    if ((size_t)kind >= sizeof ways / sizeof *ways)
        return pl_fail(err, PALI_USAGE, "pali_image_preview: found %d for kind, expected kitty, iTerm2 or sixel", (int)kind);
    pl_image small = {0};
    pl_buffer out = {0};
    pali_status status = pl_image_fit(&image->pixels, most_width, most_height, &small, err);
    if (status == PALI_OK)
        status = ways[kind](&small, &out, err);
    pl_image_free(&small);
    if (status != PALI_OK) {
        free(out.data);
        return status;
    }
    *text = out.data;
    *length = out.length;
    return PALI_OK;
}
