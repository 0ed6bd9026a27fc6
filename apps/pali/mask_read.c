/* Masks, sizes and boxes out of a command line. */
#include "mask_read.h"
#include "options.h"
#include "say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Numbers with commas or white space between them, at most `most`; returns how many there
 * are, or SIZE_MAX where something else stands. numbers may be NULL: they are only counted.
 */
static size_t read_numbers(const char *text, size_t most, double *numbers)
{
    static const char between[] = ", \t\r\n";
    size_t count = 0;
    for (text += strspn(text, between); *text; text += strspn(text, between)) {
        char word[64];
        double number;
        const size_t length = strcspn(text, between);
        if (length >= sizeof word || count == most)
            return SIZE_MAX;
        memcpy(word, text, length);
        word[length] = '\0';
        if (!read_number(word, -1e300, 1e300, &number))
            return SIZE_MAX;
        if (numbers)
            numbers[count] = number;
        count++;
        text += length;
    }
    return count;
}

static bool read_size(const char *text, size_t *width, size_t *height)
{
    char first[24];
    uint64_t w, h;
    const size_t length = strcspn(text, "x");
    if (length >= sizeof first || text[length] != 'x')
        return false;
    memcpy(first, text, length);
    first[length] = '\0';
    if (!read_count(first, 1, 1000000, &w) || !read_count(text + length + 1, 1, 1000000, &h))
        return false;
    *width = (size_t)w;
    *height = (size_t)h;
    return true;
}

int mask_read_size(const settings *given, const command *of, size_t *width, size_t *height)
{
    *width = *height = 0;
    if (given->size && given->image)
        return fail_usage(of, "--size and --image: found both, expected one of them");
    if (given->size && !read_size(given->size, width, height))
        return fail_usage(of, "--size: found '%s', expected WIDTHxHEIGHT in pixels, such as 640x480", given->size);
    if (!given->image)
        return 0;
    pali_error err = {0};
    pali_image *const image = pali_image_open(given->image, &err);
    if (!image)
        return fail_error(&err);
    *width = pali_image_width(image);
    *height = pali_image_height(image);
    pali_image_free(image);
    return 0;
}

int mask_read_box(const char *text, const command *of, pali_box *box)
{
    double sides[4];
    if (read_numbers(text, 4, sides) != 4)
        return fail_usage(of, "--box: found '%s', expected y1,x1,y2,x2 in pixels", text);
    *box = (pali_box){.y1 = sides[0], .x1 = sides[1], .y2 = sides[2], .x2 = sides[3]};
    return 0;
}

/* ---- Polygons -------------------------------------------------------- */

static int read_polygon(const char *text, const command *of, pali_polygon *polygon)
{
    const size_t count = read_numbers(text, SIZE_MAX, NULL);
    if (count == SIZE_MAX)
        return fail_usage(of, "--polygon: found '%.60s', expected numbers: \"x,y x,y x,y\"", text);
    if (count % 2 || count < 6)
        return fail(PALI_INPUT, "--polygon: found %zu numbers, expected x and y of 3 corners or more", count);
    double *const xy = calloc(count, sizeof *xy);
    if (!xy)
        return fail(PALI_MEMORY, "out of memory");
    read_numbers(text, count, xy);
    *polygon = (pali_polygon){.xy = xy, .count = count / 2};
    return 0;
}

static int read_polygons(const settings *given, const command *of, pali_mask **mask)
{
    size_t width, height;
    int code = mask_read_size(given, of, &width, &height);
    if (!code && width == 0)
        code = fail_usage(of, "--polygon: the size of its picture is missing; --size WIDTHxHEIGHT or --image PICTURE tells it");
    if (code)
        return code;
    const size_t count = given->polygon.count;
    pali_polygon *const polygons = calloc(count, sizeof *polygons);
    pali_error err = {0};
    code = polygons ? 0 : fail(PALI_MEMORY, "out of memory");
    for (size_t i = 0; !code && i < count; i++)
        code = read_polygon(given->polygon.items[i], of, &polygons[i]);
    if (!code && !(*mask = pali_mask_from_polygons(polygons, count, width, height, &err)))
        code = fail_error(&err);
    for (size_t i = 0; polygons && i < count; i++)
        free((void *)(uintptr_t)polygons[i].xy);
    free(polygons);
    return code;
}

/* ---- Run lengths ----------------------------------------------------- */

/* "counts": COCO's text, or a list of runs. */
static int mask_of_counts(const json_t *counts, size_t width, size_t height, pali_mask **mask)
{
    pali_error err = {0};
    if (json_is_string(counts)) {
        *mask = strlen(json_string_value(counts)) == json_string_length(counts) ? pali_mask_from_rle(json_string_value(counts), width, height, &err) : NULL;
        return *mask ? 0 : err.status != PALI_OK ? fail_error(&err) : fail(PALI_INPUT, "--rle: found a character 0 in counts, expected '0' to 'o'");
    }
    const size_t count = json_array_size(counts);
    uint32_t *const runs = calloc(count + 1, sizeof *runs);
    int code = runs ? 0 : fail(PALI_MEMORY, "out of memory");
    for (size_t i = 0; !code && i < count; i++) {
        const json_t *const run = json_array_get(counts, i);
        const json_int_t value = json_integer_value(run);
        if (!json_is_integer(run) || value < 0 || value > UINT32_MAX)
            code = fail(PALI_INPUT, "--rle: found no whole number of pixels as run %zu of counts", i + 1);
        runs[i] = (uint32_t)value;
    }
    if (!code && !(*mask = pali_mask_from_counts(runs, count, width, height, &err)))
        code = fail_error(&err);
    free(runs);
    return code;
}

/* {"size": [height, width], "counts": ...} as text, or the name of a file of it. */
static int read_rle(const char *text, pali_mask **mask)
{
    json_error_t error;
    const bool is_text = text[strspn(text, " \t\r\n")] == '{';
    json_t *const object = is_text ? json_loads(text, JSON_REJECT_DUPLICATES, &error) : json_load_file(text, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        return fail(PALI_INPUT, "--rle: %s: %s", is_text ? "no JSON" : text, error.text);
    const json_t *const size = json_object_get(object, "size"), *const counts = json_object_get(object, "counts");
    const json_int_t height = json_integer_value(json_array_get(size, 0)), width = json_integer_value(json_array_get(size, 1));
    int code = 0;
    if (json_array_size(size) != 2 || height < 1 || width < 1)
        code = fail(PALI_INPUT, "--rle: found no \"size\": [height, width] of at least 1, expected a JSON object {\"size\": [height, width], \"counts\": ...}");
    else if (!json_is_string(counts) && !json_is_array(counts))
        code = fail(PALI_INPUT, "--rle: found no text or list as \"counts\", expected a JSON object {\"size\": [height, width], \"counts\": ...}");
    else
        code = mask_of_counts(counts, (size_t)width, (size_t)height, mask);
    json_decref(object);
    return code;
}

int mask_read(const settings *given, const command *of, size_t first, pali_mask **mask)
{
    const size_t pictures = given->operands.count - first;
    if (pictures + (given->polygon.count > 0) + (given->rle != NULL) != 1)
        return fail_usage(of, "one mask is encoded at a time: a picture of it, --polygon or --rle; found %zu", pictures + (given->polygon.count > 0) + (given->rle != NULL));
    if (given->polygon.count)
        return read_polygons(given, of, mask);
    if (given->size || given->image)
        return fail_usage(of, "--size and --image go with --polygon; other masks have a size of their own");
    if (given->rle)
        return read_rle(given->rle, mask);
    pali_error err = {0};
    *mask = pali_mask_open(given->operands.items[first], &err);
    return *mask ? 0 : fail_error(&err);
}
