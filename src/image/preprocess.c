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
    if (strcmp(text, "big_vision") == 0) {
        *kind = PL_PREPROCESS_ANTIALIAS;
        return PALI_OK;
    }
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

const char *pl_preprocess_name(pl_preprocess_kind kind)
{
    static const char *const names[] = {
#define KIND_NAME(name, text, help) [PL_PREPROCESS_##name] = text,
        PL_PREPROCESS_LIST(KIND_NAME)
#undef KIND_NAME
    };
    return names[kind];
}

/*
 * 0..255 to -1..1. The quotient rounds to f32 before 1 is taken off, as in all
 * three published forms; rounding once at the end differs for half the bytes.
 */
static float to_unit(float value)
{
    return value / 127.5f - 1.0f;
}

static pali_status preprocess_pillow(const pl_image *image, size_t side, pl_filter filter, pl_pass_order order, const pl_hands *hands, float *pixels, pali_error *err)
{
    float map[256];
    for (size_t i = 0; i < 256; i++)
        map[i] = to_unit((float)i);
    pl_image square;
    const pali_status status = pl_resize_pillow(image, side, side, filter, order, hands, &square, err);
    if (status != PALI_OK)
        return status;
    for (size_t i = 0; i < 3 * side * side; i++)
        pixels[i] = map[square.rgb[i]];
    pl_image_free(&square);
    return PALI_OK;
}

static pali_status preprocess_tensorflow(const pl_image *image, size_t side, pl_preprocess_kind kind, float *pixels, pali_error *err)
{
    const bool antialias = kind == PL_PREPROCESS_ANTIALIAS || kind == PL_PREPROCESS_NOTEBOOK;
    const bool truncate = kind == PL_PREPROCESS_ANTIALIAS || kind == PL_PREPROCESS_PLAIN;
    const pali_status status = pl_resize_tensorflow(image, side, side, antialias, pixels, err);
    if (status != PALI_OK)
        return status;
    for (size_t i = 0; i < 3 * side * side; i++) {
        const float value = pixels[i];
        if (truncate) /* weights may sum to a little over 1, hence the limit */
            pixels[i] = to_unit((float)(int)(value > 255.0f ? 255.0f : value));
        else if (kind == PL_PREPROCESS_NOTEBOOK)
            pixels[i] = to_unit(value);
        else /* video: to 0..1 first, which rounds differently for fractions */
            pixels[i] = value / 255.0f * 2.0f - 1.0f;
    }
    return PALI_OK;
}

pali_status pl_preprocess(const pl_image *image, size_t side, const pl_preprocess_options *options, const pl_hands *hands, float *pixels, pali_error *err)
{
    const pl_preprocess_options chosen = options ? *options : pl_preprocess_default();
    if (chosen.kind == PL_PREPROCESS_HF)
        return preprocess_pillow(image, side, chosen.filter, PL_PASS_HORIZONTAL_FIRST, hands, pixels, err);
    if (chosen.kind == PL_PREPROCESS_HF_PILLOW13)
        return preprocess_pillow(image, side, chosen.filter, PL_PASS_PILLOW_13, hands, pixels, err);
    return preprocess_tensorflow(image, side, chosen.kind, pixels, err);
}
