/* Files to pixels or features. A file is read, hashed, looked for in the cache, and decoded where it is not there. */
#include "train/row_pictures.h"

#include "base/file.h"
#include "base/text.h"
#include "formats/jsonl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- What the row says ------------------------------------------------- */

static pali_status read_names(const json_t *row, bool needed, pl_row_pictures *pictures, pali_error *err)
{
    const json_t *const one = json_object_get(row, "image"), *const several = json_object_get(row, "images");
    if (!needed && !one && !several)
        return PALI_OK;
    if (one && several)
        return pl_fail(err, PALI_INPUT, "found both 'image' and 'images', expected one of them");
    const char *const field = several ? "images" : "image";
    const pali_status status = pl_jsonl_texts(row, field, &pictures->names, &pictures->count, err);
    if (status != PALI_OK)
        return status;
    if (pictures->count > PL_DATA_MOST_PICTURES && !pictures->frames)
        return pl_fail(err, PALI_INPUT, "field '%s': found %zu paths, expected at most %d", field, pictures->count, PL_DATA_MOST_PICTURES);
    for (size_t i = 0; i < pictures->count; i++)
        if (!*pictures->names[i])
            return pl_fail(err, PALI_INPUT, "field '%s': found an empty path, expected that of a picture", field);
    return PALI_OK;
}

pali_status pl_row_pictures_read(const pl_dataset *dataset, size_t source, const json_t *row, pl_row_pictures *pictures, pali_error *err)
{
    const pl_data_options *const o = pl_dataset_options(dataset);
    if (o->pictures == PL_PICTURES_NONE)
        return PALI_OK;
    pictures->frames = o->sources[source].frames;
    pictures->stride = o->sources[source].stride;
    pali_status status = pl_jsonl_count(row, "frames", PL_DATA_MOST_PICTURES, &pictures->frames, err);
    if (status == PALI_OK)
        status = pl_jsonl_count(row, "stride", 1000000, &pictures->stride, err);
    if (status == PALI_OK)
        status = read_names(row, o->pictures == PL_PICTURES_NEEDED, pictures, err);
    pictures->stride = pl_max(pictures->stride, 1);
    return status;
}

size_t pl_row_pictures_count(const pl_row_pictures *pictures)
{
    return pictures->count && pictures->frames ? pictures->frames : pictures->count;
}

/* Which of the files picture i comes from, as in a batch (batch/rows.h). */
static size_t file_of(const pl_row_pictures *pictures, size_t i)
{
    const size_t different = (pictures->count - 1) / pictures->stride + 1;
    return pictures->frames ? pl_video_frame(i, different) * pictures->stride : i;
}

pali_status pl_row_pictures_find(const pl_dataset *dataset, size_t source, const pl_row_pictures *pictures, pali_error *err)
{
    const size_t files = pictures->count == 1 ? 1 : pl_row_pictures_count(pictures);
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < files; i++) {
        char *const path = pl_jsonl_path(pl_dataset_folder(dataset, source), pictures->names[file_of(pictures, i)], err);
        if (!path)
            return PALI_MEMORY;
        if (access(path, R_OK) != 0)
            status = pl_fail(err, PALI_INPUT, "%s: cannot open: %s", path, strerror(errno));
        free(path);
    }
    return status;
}

/* ---- Pixels and features ----------------------------------------------- */

/* Rows of the encoder from the cache; false: the picture has to be decoded. */
static pali_status fetch_features(pl_example_image *image, pl_feature_cache *cache, bool *found, pali_error *err)
{
    *found = pl_feature_cache_get(cache, &image->picture, NULL);
    if (!*found)
        return PALI_OK;
    image->features = pl_new_raw(pl_feature_cache_tokens(cache), pl_feature_cache_width(cache) * sizeof(float), "features of a picture", err);
    if (!image->features)
        return PALI_MEMORY;
    *found = pl_feature_cache_get(cache, &image->picture, image->features);
    if (!*found) { /* damaged */
        free(image->features);
        image->features = NULL;
    }
    return PALI_OK;
}

static pali_status keep_pixels(const pl_data_options *o, const pl_image *picture, bool with_pixels, pl_example_image *image, pali_error *err)
{
    image->picture.width = picture->width;
    image->picture.height = picture->height;
    if (!with_pixels)
        return PALI_OK;
    image->pixels = pl_new_raw(3 * o->image_size * o->image_size, sizeof(float), "pixels of a picture", err);
    return image->pixels ? pl_preprocess(picture, o->image_size, &o->preprocess, &(pl_hands){.kernels = o->kernels}, image->pixels, err) : PALI_MEMORY;
}

static pali_status open_still(const pl_data_options *o, pl_example_image *image, pl_feature_cache *cache, bool with_pixels, pali_error *err)
{
    size_t size;
    char *const bytes = pl_file_read(image->path, PL_IMAGE_MAX_BYTES, &size, PALI_INPUT, err);
    if (!bytes)
        return pl_status_of(err, PALI_INPUT);
    image->picture.hash = pl_hash(bytes, size);
    image->picture.bytes = size;
    bool found = false;
    pali_status status = cache && with_pixels ? fetch_features(image, cache, &found, err) : PALI_OK;
    if (status == PALI_OK && !found) {
        pl_image picture;
        status = pl_image_decode(bytes, size, image->path, &picture, err);
        if (status == PALI_OK) {
            status = keep_pixels(o, &picture, with_pixels, image, err);
            pl_image_free(&picture);
        }
    }
    free(bytes);
    return status;
}

/* All images of an example are frames of one file: in the cache, or decoded together. A clip that is too short is repeated. */
static pali_status open_animation(const pl_data_options *o, pl_example *example, size_t stride, pl_feature_cache *cache, bool with_pixels, pali_error *err)
{
    size_t size;
    const char *const path = example->images[0].path;
    char *const bytes = pl_file_read(path, PL_IMAGE_MAX_BYTES, &size, PALI_INPUT, err);
    if (!bytes)
        return pl_status_of(err, PALI_INPUT);
    const uint64_t file = pl_hash(bytes, size);
    size_t found_all = 0;
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < example->image_count; i++) {
        const uint64_t frame[] = {file, example->image_count, stride, i};
        example->images[i].picture = (pl_feature_picture){.hash = pl_hash(frame, sizeof frame), .bytes = size};
        bool found = false;
        if (cache && with_pixels)
            status = fetch_features(&example->images[i], cache, &found, err);
        found_all += found;
    }
    if (status == PALI_OK && found_all < example->image_count) {
        pl_frames frames;
        status = pl_image_frames_stride(bytes, size, path, example->image_count, stride, &frames, err);
        const bool decoded = status == PALI_OK;
        for (size_t i = 0; status == PALI_OK && i < example->image_count; i++)
            if (!example->images[i].features)
                status = keep_pixels(o, &frames.frames[pl_video_frame(i, frames.count)], with_pixels, &example->images[i], err);
        if (decoded)
            pl_frames_free(&frames);
    }
    free(bytes);
    return status;
}

pali_status pl_row_pictures_open(const pl_dataset *dataset, const pl_row_pictures *pictures, pl_feature_cache *cache, bool with_pixels, pl_example *example, pali_error *err)
{
    const pl_data_options *const o = pl_dataset_options(dataset);
    const size_t count = pl_row_pictures_count(pictures);
    const bool animation = pictures->frames && pictures->count == 1;
    example->images = pl_new(count, sizeof *example->images, "pictures of a row", err);
    pali_status status = example->images ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        pl_example_image *const image = &example->images[example->image_count++];
        image->path = pl_jsonl_path(pl_dataset_folder(dataset, example->place.source), pictures->names[file_of(pictures, i)], err);
        status = !image->path ? PALI_MEMORY : animation ? PALI_OK : open_still(o, image, cache, with_pixels, err);
    }
    if (status == PALI_OK && animation)
        status = open_animation(o, example, pictures->stride, cache, with_pixels, err);
    for (size_t i = 0; i < example->image_count; i++) {
        example->bytes += example->images[i].pixels ? 3 * o->image_size * o->image_size * sizeof(float) : 0;
        example->bytes += example->images[i].features ? pl_feature_cache_tokens(cache) * pl_feature_cache_width(cache) * sizeof(float) : 0;
    }
    return status;
}
