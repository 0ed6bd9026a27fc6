/* A row's JSON, pictures and texts into what the model is given. */
#include "train/example.h"

#include "base/file.h"
#include "base/text.h"
#include "formats/jsonl.h"
#include "text/prompt.h"
#include "train/row_text.h"

#include <stdlib.h>
#include <string.h>

/* ---- Pictures ---------------------------------------------------------- */

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

static pali_status decode(const pl_data_options *o, pl_example_image *image, const char *bytes, size_t size, bool with_pixels, pali_error *err)
{
    pl_image picture;
    pali_status status = pl_image_decode(bytes, size, image->path, &picture, err);
    if (status != PALI_OK)
        return status;
    image->picture.width = picture.width;
    image->picture.height = picture.height;
    if (with_pixels) {
        image->pixels = pl_new_raw(3 * o->image_size * o->image_size, sizeof(float), "pixels of a picture", err);
        status = image->pixels ? pl_preprocess(&picture, o->image_size, &o->preprocess, &(pl_hands){.kernels = o->kernels}, image->pixels, err) : PALI_MEMORY;
    }
    pl_image_free(&picture);
    return status;
}

static pali_status open_picture(const pl_data_options *o, pl_example_image *image, pl_feature_cache *cache, bool with_pixels, pali_error *err)
{
    size_t size;
    char *const bytes = pl_file_read(image->path, PL_IMAGE_MAX_BYTES, &size, PALI_INPUT, err);
    if (!bytes)
        return pl_status_of(err, PALI_INPUT);
    image->picture.hash = pl_hash(bytes, size);
    image->picture.bytes = size;
    bool found = false;
    pali_status status = cache && with_pixels ? fetch_features(image, cache, &found, err) : PALI_OK;
    if (status == PALI_OK && !found)
        status = decode(o, image, bytes, size, with_pixels, err);
    free(bytes);
    return status;
}

static pali_status open_pictures(const pl_dataset *dataset, const json_t *row, pl_feature_cache *cache, bool with_pixels, pl_example *example, pali_error *err)
{
    const pl_data_options *const o = pl_dataset_options(dataset);
    const char **names = NULL;
    size_t count = 0;
    pali_status status = pl_row_pictures(dataset, row, &names, &count, err);
    if (status == PALI_OK)
        status = (example->images = pl_new(count, sizeof *example->images, "pictures of a row", err)) ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        pl_example_image *const image = &example->images[example->image_count++];
        image->path = pl_jsonl_path(pl_dataset_folder(dataset, example->place.source), names[i], err);
        status = image->path ? open_picture(o, image, cache, with_pixels, err) : PALI_MEMORY;
        if (image->pixels)
            example->bytes += 3 * o->image_size * o->image_size * sizeof(float);
        if (image->features)
            example->bytes += pl_feature_cache_tokens(cache) * pl_feature_cache_width(cache) * sizeof(float);
    }
    free(names);
    return status;
}

/* ---- Ids --------------------------------------------------------------- */

pali_status pl_example_encode(const pl_data_options *o, pl_example *example, pali_error *err)
{
    pl_ids ids = {0};
    pali_status status;
    if (o->form == PL_DATA_LANGUAGE) {
        const int32_t bos = pl_tokenizer_special(o->tokenizer)->bos;
        status = bos < 0 ? pl_fail(err, PALI_MODEL, "tokenizer: the vocabulary has no <bos> piece, which a text begins with") : pl_ids_push(&ids, bos, err);
    } else {
        status = pl_prompt_encode(o->tokenizer, example->prefix, strlen(example->prefix), NULL, &ids, err);
    }
    const size_t prefix = ids.count;
    if (status == PALI_OK)
        status = pl_prompt_suffix(o->tokenizer, example->suffix, strlen(example->suffix), true, &ids, err);
    if (status != PALI_OK) {
        pl_ids_free(&ids);
        return status;
    }
    example->ids = ids.data;
    example->count = o->text_length ? pl_min(ids.count, o->text_length + 1) : ids.count; /* one more than the model is given: the last is only predicted */
    example->cut = ids.count - example->count;
    example->prefix_count = pl_min(prefix, example->count);
    return PALI_OK;
}

static pali_status read_texts(const pl_dataset *dataset, const json_t *row, pl_example *example, pali_error *err)
{
    const pl_data_options *const o = pl_dataset_options(dataset);
    pl_scene scene = {.folder = pl_dataset_folder(dataset, example->place.source), .codec = o->codec, .hands = {.kernels = o->kernels}};
    if (example->image_count) {
        scene.width = example->images[0].picture.width;
        scene.height = example->images[0].picture.height;
    }
    pl_row_text text = {0};
    pali_status status = pl_row_text_read(dataset, example->place, row, &scene, PL_ROW_ITS_TURN, &text, err);
    if (status != PALI_OK) {
        pl_row_text_free(&text);
        return status;
    }
    example->prefix = text.prefix; /* handed over */
    example->suffix = text.suffix;
    example->alternative = text.alternative;
    example->alternatives = text.alternatives;
    return pl_example_encode(o, example, err);
}

/* ---- Both -------------------------------------------------------------- */

static pali_status read_example(const pl_dataset *dataset, pl_feature_cache *cache, bool with_pixels, pl_example *example, pali_error *err)
{
    size_t length;
    char *const line = pl_dataset_read(dataset, example->place.source, example->place.row, &length, err);
    if (!line)
        return pl_status_of(err, PALI_FAILED);
    json_t *row = NULL;
    pali_status status = pl_jsonl_parse(line, length, &row, err);
    free(line);
    if (status == PALI_OK)
        status = open_pictures(dataset, row, cache, with_pixels, example, err);
    if (status == PALI_OK)
        status = read_texts(dataset, row, example, err);
    json_decref(row);
    if (status == PALI_INPUT || status == PALI_MODEL)
        pl_error_prefix(err, "%s:%zu", pl_dataset_path(dataset, example->place.source), example->line);
    return status;
}

pl_example *pl_example_read(const pl_dataset *dataset, pl_place place, pl_feature_cache *cache, bool with_pixels, pali_error *err)
{
    pl_example *const example = pl_new(1, sizeof *example, "example", err);
    if (!example)
        return NULL;
    example->place = place;
    example->line = pl_dataset_line(dataset, place.source, place.row);
    pali_error why = {0};
    if (read_example(dataset, cache, with_pixels, example, &why) == PALI_OK)
        return example;
    if (err)
        *err = why;
    pl_example_free(example);
    return NULL;
}

void pl_example_free(pl_example *example)
{
    if (!example)
        return;
    for (size_t i = 0; i < example->image_count; i++) {
        free(example->images[i].path);
        free(example->images[i].pixels);
        free(example->images[i].features);
    }
    free(example->images);
    free(example->ids);
    free(example->prefix);
    free(example->suffix);
    free(example);
}
