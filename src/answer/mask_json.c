/* Masks as rows write them: COCO's run lengths, polygons, files. */
#include "answer/mask_json.h"

#include "answer/mask.h"
#include "formats/jsonl.h"

#include <stdlib.h>

/* COCO's {"size": [height, width], "counts": text or numbers}. */
static pali_status mask_of_runs(const json_t *object, pl_mask *mask, pali_error *err)
{
    const json_t *const size = json_object_get(object, "size"), *const counts = json_object_get(object, "counts");
    const json_int_t height = json_integer_value(json_array_get(size, 0)), width = json_integer_value(json_array_get(size, 1));
    if (json_array_size(size) != 2 || height < 1 || width < 1 || height > INT32_MAX || width > INT32_MAX)
        return pl_fail(err, PALI_INPUT, "run lengths without \"size\", expected [height, width]");
    pl_rle rle = {0};
    pali_status status = PALI_OK;
    if (json_is_string(counts)) {
        status = pl_rle_of_text(json_string_value(counts), &rle, err);
    } else if (json_is_array(counts)) {
        rle.counts = pl_new(json_array_size(counts), sizeof *rle.counts, "run lengths", err);
        status = rle.counts ? PALI_OK : PALI_MEMORY;
        for (; status == PALI_OK && rle.count < json_array_size(counts); rle.count++) {
            const json_t *const run = json_array_get(counts, rle.count);
            if (!json_is_integer(run) || json_integer_value(run) < 0 || json_integer_value(run) > UINT32_MAX)
                status = pl_fail(err, PALI_INPUT, "run length %zu is no whole number from 0 to %u", rle.count + 1, UINT32_MAX);
            else
                rle.counts[rle.count] = (uint32_t)json_integer_value(run);
        }
    } else {
        return pl_fail(err, PALI_INPUT, "run lengths without \"counts\", expected text or a list of numbers");
    }
    if (status == PALI_OK)
        status = pl_mask_of_counts(rle.counts, rle.count, (size_t)width, (size_t)height, mask, err);
    pl_rle_free(&rle);
    return status;
}

static pali_status fill_polygon(const json_t *list, pl_mask *mask, pali_error *err)
{
    const size_t count = json_array_size(list);
    if (count < 6 || count % 2)
        return pl_fail(err, PALI_INPUT, "found a polygon of %zu numbers, expected x and y of 3 corners or more", count);
    double *const xy = pl_new(count, sizeof *xy, "polygon", err);
    pali_status status = xy ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        if (!json_is_number(json_array_get(list, i)))
            status = pl_fail(err, PALI_INPUT, "number %zu of a polygon is none", i + 1);
        else
            xy[i] = json_number_value(json_array_get(list, i));
    }
    if (status == PALI_OK)
        status = pl_mask_fill(mask, &(pali_polygon){.xy = xy, .count = count / 2}, err);
    free(xy);
    return status;
}

static pali_status mask_of_polygons(const json_t *list, size_t width, size_t height, pl_mask *mask, pali_error *err)
{
    if (json_array_size(list) == 0)
        return pl_fail(err, PALI_INPUT, "found an empty list, expected polygons");
    if (width == 0)
        return pl_fail(err, PALI_INPUT, "found polygons without a picture, expected \"width\" and \"height\" or an image beside them");
    pali_status status = pl_mask_new(width, height, "mask", mask, err);
    for (size_t i = 0; status == PALI_OK && i < json_array_size(list); i++)
        status = fill_polygon(json_array_get(list, i), mask, err);
    return status;
}

/* A mask that is not of the picture's size is of another picture. */
static pali_status check_size(size_t width, size_t height, const pl_mask *mask, pali_error *err)
{
    return width == 0 || (mask->width == width && mask->height == height)
               ? PALI_OK
               : pl_fail(err, PALI_INPUT, "found %zu x %zu pixels, expected the picture's %zu x %zu", mask->width, mask->height, width, height);
}

pali_status pl_mask_of_json(const json_t *value, size_t width, size_t height, pl_mask *mask, pali_error *err)
{
    pali_status status;
    if (json_is_object(value))
        status = mask_of_runs(value, mask, err);
    else if (json_is_array(value))
        status = mask_of_polygons(value, width, height, mask, err);
    else
        status = pl_fail(err, PALI_INPUT, "found %s, expected a path, {\"size\", \"counts\"} or a list of polygons", pl_json_type_name(value));
    return status == PALI_OK ? check_size(width, height, mask, err) : status;
}

pali_status pl_mask_open_of(const char *path, size_t width, size_t height, pl_mask *mask, pali_error *err)
{
    const pali_status status = pl_mask_open(path, mask, err);
    return status == PALI_OK ? check_size(width, height, mask, err) : status;
}
