/*
 * Fuzzing drawings: any box, label, size and style can be drawn on a small
 * picture. The input gives a head of bytes an object and, after it, its label.
 */
#include "answer/overlay.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 8, HEAD = 12 };

/* An edge: mostly within the picture, at times far away or no number. */
static double edge(const uint8_t *two)
{
    return two[1] == 255 ? 1e300 : two[1] == 254 ? -1e300 : two[1] == 253 ? (double)NAN : ((double)two[0] + 256.0 * (two[1] & 1)) / 4 - 10;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6)
        return 0;
    pl_image image;
    const size_t width = 1 + data[0] % 97, height = 1 + data[1] % 97;
    const pl_overlay_options options = {.line_width = data[2] % 9, .font_size = data[3] % 2 ? 6 + data[3] / 8 : 0, .mask_opacity = data[4] % 3 - 1, .no_labels = data[5] & 1};
    unsigned char *const mask = malloc(width * height);
    if (!mask || pl_image_new(width, height, "fuzz", &image, NULL) != PALI_OK)
        abort();
    memset(image.rgb, data[5], 3 * width * height);
    for (size_t i = 0; i < width * height; i++)
        mask[i] = data[i % size] & 1;
    pl_mark marks[MOST];
    char *labels[MOST];
    size_t count = 0;
    for (size_t at = 6; count < MOST && at + HEAD <= size; count++) {
        const uint8_t *const head = data + at;
        at += HEAD;
        const size_t length = head[8] < size - at ? head[8] : size - at;
        labels[count] = malloc(length + 1);
        if (!labels[count])
            abort();
        memcpy(labels[count], data + at, length);
        labels[count][length] = '\0';
        at += length;
        marks[count] = (pl_mark){edge(head), edge(head + 2), edge(head + 4), edge(head + 6), labels[count], edge(head + 9), head[11] & 1 ? mask : NULL};
    }
    pali_error err = {0};
    if (pl_overlay_draw(&image, marks, count, &options, &err) != PALI_OK)
        abort();
    for (size_t i = 0; i < count; i++)
        free(labels[i]);
    free(mask);
    pl_image_free(&image);
    return 0;
}
