/*
 * The recipes of preprocess.h: resize, round as the recipe does, and map
 * 0..255 to -1..1.
 */
#include "image/preprocess.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

pali_status pl_preprocess_parse(const char *text, pl_preprocess_kind *kind, pali_error *err)
{
#define MATCH(name, value, help)         \
    if (strcmp(text, value) == 0) {      \
        *kind = PL_PREPROCESS_##name;    \
        return PALI_OK;                  \
    }
    PL_PREPROCESS_LIST(MATCH)
#undef MATCH
    char found[80];
#define KNOWN(name, value, help) " " value
    return pl_fail(err, PALI_USAGE, "preprocessing: found %s, expected one of:" PL_PREPROCESS_LIST(KNOWN), pl_printable(text, strlen(text), found));
#undef KNOWN
}

/* -1 for 0, 1 for 255; equal in f32 to the published forms for every byte value. */
static float byte_to_unit(unsigned char value)
{
    return (float)((double)value / 127.5 - 1.0);
}

static pali_status preprocess_pillow(const pl_image *image, size_t side, pl_filter filter, pl_pass_order order, float *pixels, pali_error *err)
{
    float map[256];
    for (size_t i = 0; i < 256; i++)
        map[i] = byte_to_unit((unsigned char)i);
    pl_image square;
    const pali_status status = pl_resize_pillow(image, side, side, filter, order, &square, err);
    if (status != PALI_OK)
        return status;
    for (size_t i = 0; i < 3 * side * side; i++)
        pixels[i] = map[square.rgb[i]];
    pl_image_free(&square);
    return PALI_OK;
}

static float truncate8(float value)
{
    return (float)(unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static pali_status preprocess_tensorflow(const pl_image *image, size_t side, pl_preprocess_kind kind, float *pixels, pali_error *err)
{
    const bool antialias = kind == PL_PREPROCESS_ANTIALIAS || kind == PL_PREPROCESS_NOTEBOOK;
    const pali_status status = pl_resize_tensorflow(image, side, side, antialias, pixels, err);
    if (status != PALI_OK)
        return status;
    const size_t samples = 3 * side * side;
    switch (kind) {
    case PL_PREPROCESS_ANTIALIAS:
    case PL_PREPROCESS_PLAIN:
        for (size_t i = 0; i < samples; i++)
            pixels[i] = byte_to_unit((unsigned char)truncate8(pixels[i]));
        break;
    case PL_PREPROCESS_NOTEBOOK:
        for (size_t i = 0; i < samples; i++)
            pixels[i] = pixels[i] / 127.5f - 1.0f;
        break;
    default: /* video: 0..255 to 0..1, then to the range */
        for (size_t i = 0; i < samples; i++)
            pixels[i] = -1.0f + pixels[i] / 255.0f * 2.0f;
    }
    return PALI_OK;
}

pali_status pl_preprocess(const pl_image *image, size_t side, const pl_preprocess_options *options, float *pixels, pali_error *err)
{
    const pl_preprocess_options chosen = options ? *options : pl_preprocess_default();
    if (chosen.kind == PL_PREPROCESS_HF)
        return preprocess_pillow(image, side, chosen.filter, PL_PASS_HORIZONTAL_FIRST, pixels, err);
    if (chosen.kind == PL_PREPROCESS_HF_PILLOW13)
        return preprocess_pillow(image, side, chosen.filter, PL_PASS_PILLOW_13, pixels, err);
    return preprocess_tensorflow(image, side, chosen.kind, pixels, err);
}

pali_status pl_preprocess_video(const pl_frames *clip, size_t frames, size_t side, const pl_preprocess_options *options, float *pixels, pali_error *err)
{
    const size_t samples = 3 * side * side;
    for (size_t i = 0; i < frames; i++) {
        float *to = pixels + i * samples;
        if (i >= clip->count) { /* seen before: the clip repeats */
            memcpy(to, pixels + pl_video_frame(i, clip->count) * samples, samples * sizeof *to);
            continue;
        }
        const pali_status status = pl_preprocess(&clip->frames[i], side, options, to, err);
        if (status != PALI_OK) {
            pl_error_prefix(err, "frame %zu", i);
            return status;
        }
    }
    return PALI_OK;
}
