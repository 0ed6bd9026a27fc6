/* A row's JSON, pictures and texts into what the model is given. */
#include "train/example.h"

#include "formats/jsonl.h"
#include "text/prompt.h"
#include "train/row_pictures.h"
#include "train/row_text.h"

#include <stdlib.h>
#include <string.h>

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

/*
 * "patches": a token for each of the picture's, as text: what stands there, learned at that place; "" where nothing is
 * asked. All see all then, and there is no suffix.
 */
static pali_status read_patches(const pl_data_options *o, const json_t *list, pl_example *example, pali_error *err)
{
    const size_t count = json_array_size(list);
    if (example->image_count != 1 || count != o->image_tokens)
        return pl_fail(err, PALI_INPUT, "field 'patches': found a list of %zu and %zu pictures, expected %zu texts and one picture", count, example->image_count, o->image_tokens);
    example->patches = pl_new(count, sizeof *example->patches, "patches", err);
    if (!example->patches)
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const json_t *word = json_array_get(list, i);
        pl_ids ids = {0};
        pali_status status = json_is_string(word) ? PALI_OK : pl_fail(err, PALI_INPUT, "field 'patches': found %s at %zu, expected text", pl_json_type_name(word), i);
        if (status == PALI_OK)
            status = pl_tokenizer_encode(o->tokenizer, json_string_value(word), json_string_length(word), PL_TEXT_USER, &ids, err);
        if (status == PALI_OK && ids.count > 1)
            status = pl_fail(err, PALI_INPUT, "field 'patches': found a text of %zu tokens at %zu, expected one", ids.count, i);
        example->patches[i] = status == PALI_OK && ids.count == 1 ? ids.data[0] : -1;
        pl_ids_free(&ids);
        if (status != PALI_OK)
            return status;
    }
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
    pl_row_pictures pictures = {0};
    if (status == PALI_OK)
        status = pl_row_pictures_read(dataset, example->place.source, row, &pictures, err);
    if (status == PALI_OK)
        status = pl_row_pictures_open(dataset, &pictures, cache, with_pixels, example, err);
    if (status == PALI_OK)
        status = read_texts(dataset, row, example, err);
    const json_t *const patches = pl_dataset_options(dataset)->form == PL_DATA_PREFIX_LM ? json_object_get(row, "patches") : NULL;
    if (status == PALI_OK && patches)
        status = read_patches(pl_dataset_options(dataset), patches, example, err);
    free(pictures.names);
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
    free(example->patches);
    free(example->prefix);
    free(example->suffix);
    free(example);
}
