/* pali_image_*: pictures. */
#include "api/handles.h"

#include "base/file.h"
#include "image/preprocess.h"

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

static pali_status copy_frames(const pl_frames *frames, size_t most, pali_image **images, pali_error *err)
{
    for (size_t i = 0; i < most; i++) {
        const pl_image *frame = &frames->frames[pl_video_frame(i, frames->count)];
        images[i] = pali_image_from_rgb(frame->rgb, frame->width, frame->height, err);
        if (images[i])
            continue;
        while (i-- > 0) {
            pali_image_free(images[i]);
            images[i] = NULL;
        }
        return pl_status_of(err, PALI_MEMORY);
    }
    return PALI_OK;
}

pali_status pali_image_open_frames(const char *path, size_t most, pali_image **images, pali_error *err)
{
    pali_status status = pl_need(path, "pali_image_open_frames", "path", err);
    if (status == PALI_OK)
        status = pl_need(images, "pali_image_open_frames", "images", err);
    if (status != PALI_OK)
        return status;
    size_t size = 0;
    char *bytes = pl_file_read(path, PL_IMAGE_MAX_BYTES, &size, PALI_INPUT, err);
    if (!bytes)
        return pl_status_of(err, PALI_INPUT);
    pl_frames frames;
    status = pl_image_frames(bytes, size, path, most, &frames, err);
    free(bytes);
    if (status != PALI_OK)
        return status;
    status = copy_frames(&frames, most, images, err);
    pl_frames_free(&frames);
    return status;
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
