/*
 * Fuzzing pictures: any bytes decode or are refused with a message, and what
 * decodes can be resized. Seeds: tests/data/image. The room's pixel limit is
 * lowered in this build so that inputs stay fast.
 */
#include "image/preprocess.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_status(pali_status status, const pali_error *err)
{
    if (status != PALI_OK && (status != err->status || err->message[0] == '\0'))
        abort();
    if (status != PALI_OK && status != PALI_INPUT && status != PALI_MEMORY)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float pixels[3 * 14 * 14], rows[3 * 14 * 14];
    pl_frames clip;
    pali_error err = {0};
    const pali_status status = pl_image_frames(data, size, "fuzz", 3, &clip, &err);
    check_status(status, &err);
    if (status != PALI_OK)
        return 0;
    if (clip.count == 0 || clip.count > 3)
        abort();
    for (size_t i = 0; i < clip.count; i++) {
        const pl_preprocess_options options = {.kind = (pl_preprocess_kind)(size % (PL_PREPROCESS_VIDEO + 1)), .filter = (pl_filter)(size % 6)};
        const pl_hands hands = {.kernels = pl_kernels_get(NULL, NULL)};
        err = (pali_error){0};
        if (pl_preprocess(&clip.frames[i], 14, &options, &hands, pixels, &err) != PALI_OK)
            abort();
        pl_patches(pixels, 14, 14, rows);
        for (size_t k = 0; k < sizeof pixels / sizeof *pixels; k++)
            if (!(pixels[k] >= -1.001f && pixels[k] <= 1.001f))
                abort();
    }
    pl_frames_free(&clip);
    return 0;
}
