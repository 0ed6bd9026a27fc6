/* Helpers of the picture tests. */
#include "support.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const pl_hands *hands_of(const char *level)
{
    static pl_hands hands;
    static pl_pool *pool;
    if (!pool)
        pool = pl_pool_new(3, NULL);
    hands = (pl_hands){.kernels = pl_kernels_get(level, NULL), .pool = pool};
    assert_non_null(hands.kernels);
    assert_non_null(pool);
    return &hands;
}

uint32_t crc32_of(const void *bytes, size_t size)
{
    static uint32_t table[256]; /* of one byte; filled at first use */
    for (uint32_t i = 0; i < 256 && !table[255]; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (0xedb88320u & -(table[i] & 1));
    }
    const unsigned char *p = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ table[(crc ^ p[i]) & 255];
    return ~crc;
}

uint32_t image_crc(const pl_image *image)
{
    return crc32_of(image->rgb, 3 * image->width * image->height);
}

unsigned char *read_bytes(const char *folder, const char *name, size_t *size)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: cannot open", path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size ? *size : 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

pl_image synthetic_image(size_t width, size_t height)
{
    pl_image image;
    assert_int_equal(pl_image_new(width, height, "synthetic", &image, NULL), PALI_OK);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < 3; c++)
                image.rgb[3 * (y * width + x) + c] = (unsigned char)(37 * x + 59 * y + 101 * c + 13 * (x * y % 17));
    return image;
}

size_t for_each_golden(const char *file, const char *kind, void (*row)(char **words, size_t count, void *context), void *context)
{
    size_t size, rows = 0;
    char *bytes = (char *)read_bytes(IMAGE_DATA, file, &size);
    char *text = pl_strndup(bytes, size, NULL);
    char *rest_of_text = text;
    for (char *line; (line = strtok_r(rest_of_text, "\n", &rest_of_text));) {
        char *words[MAX_WORDS];
        size_t count = 0;
        char *rest = line;
        while (count < MAX_WORDS && (words[count] = strtok_r(rest, " ", &rest)))
            count++;
        if (count == 0 || strcmp(words[0], kind) != 0)
            continue;
        row(words, count, context);
        rows++;
    }
    free(text);
    free(bytes);
    return rows;
}
