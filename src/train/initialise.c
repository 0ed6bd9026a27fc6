/*
 * Distributions: SigLIP as distribution.h has it, with a zero head; Gemma as
 * big_vision's models/ppp/gemma.py (normal by fan-in, cut off at two
 * deviations; embedding N(0, 1 / width), which the input's factor sqrt(width)
 * makes N(0, 1); norms 0, which is one). A value is a function of the seed, its
 * tensor's name and its place, so any number of threads makes the same file.
 */
#include "train/initialise.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/random.h"
#include "base/text.h"
#include "formats/safetensors_write.h"
#include "model/save_config.h"
#include "train/distribution.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUFFER = 1 << 20, /* values that are made at a time */
    VOCABULARY_STEP = 64
};

typedef struct entry {
    pl_saved_tensor tensor;
    pl_distribution distribution;
    size_t count;
    char name[160];
} entry;

typedef struct making {
    const pl_initialise_options *options;
    pl_config config;
    pl_tokenizer *tokenizer; /* owned */
    char *temporary;         /* folder, owned */
    entry *entries;          /* [count] owned */
    size_t count;
} making;

/* ---- What is drawn ---------------------------------------------------- */

static pl_distribution distribution_of(const making *m, const pl_weight *weight)
{
    const double in = (double)pl_dim_size(&m->config, weight->columns), out = (double)pl_dim_size(&m->config, weight->rows);
    switch (weight->part) {
    case PL_PART_VISION:
    case PL_PART_VISION_BLOCK:
        return pl_distribution_of_vision(weight, in, out);
    case PL_PART_PROJECTOR:
        return weight->target == PL_TARGET_LINEAR && (m->options->projector_random || weight->offset == offsetof(pl_siglip, projector_hidden)) ? (pl_distribution){PL_DISTRIBUTION_TRUNCATED, 1 / sqrt(in)} : (pl_distribution){PL_DISTRIBUTION_CONSTANT, 0};
    case PL_PART_TEXT:
    case PL_PART_TEXT_LAYER:
    case PL_PART_COUNT:
        break;
    }
    if (weight->target == PL_TARGET_VECTOR)
        return (pl_distribution){PL_DISTRIBUTION_CONSTANT, 1 - (double)m->config.text.norm_offset};
    return (pl_distribution){weight->rows == PL_DIM_VOCABULARY ? PL_DISTRIBUTION_NORMAL : PL_DISTRIBUTION_TRUNCATED, 1 / sqrt(in)};
}

/* ---- Files ------------------------------------------------------------ */

static pali_status write_values(const making *m, const entry *e, float *buffer, pl_output *out, pali_error *err)
{
    const uint64_t key = pl_random_key(m->options->seed, pl_hash(e->name, strlen(e->name)));
    pali_status status = PALI_OK;
    for (size_t first = 0; status == PALI_OK && first < e->count; first += BUFFER) {
        const size_t some = pl_min(BUFFER, e->count - first);
        pl_distribution_draw(&e->distribution, key, first, some, buffer, m->options->pool);
        status = pl_output_write(out, buffer, some * sizeof *buffer, err);
    }
    return status;
}

static int by_place(const void *a, const void *b)
{
    return pl_safetensors_order(&((const entry *)a)->tensor, &((const entry *)b)->tensor);
}

static void add_entry(making *m, const pl_weight *weight, size_t layer)
{
    entry *e = &m->entries[m->count++];
    const size_t rows = pl_dim_size(&m->config, weight->rows), columns = pl_dim_size(&m->config, weight->columns), patch = m->config.vision.patch;
    e->count = rows * columns;
    e->distribution = distribution_of(m, weight);
    e->tensor = (pl_saved_tensor){.dtype = PL_F32, .rank = weight->columns == PL_DIM_NONE ? 1 : 2, .shape = {rows, columns}, .bytes = e->count * sizeof(float)};
    if (weight->columns == PL_DIM_PATCH) {
        e->tensor.rank = 4;
        e->tensor.shape[1] = 3;
        e->tensor.shape[2] = e->tensor.shape[3] = patch;
    }
    pl_weight_hub_name(weight, &m->config, layer, e->name);
}

static pali_status list_entries(making *m, pali_error *err)
{
    size_t most = 1;
    for (size_t w = 0; w < pl_weight_count; w++)
        most += pl_part_layers(&m->config, pl_weights[w].part);
    m->entries = pl_new(most, sizeof *m->entries, "list of weights", err);
    if (!m->entries)
        return PALI_MEMORY;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++)
        for (size_t layer = 0; layer < pl_part_layers(&m->config, w->part) && pl_weight_present(&m->config, w); layer++)
            add_entry(m, w, layer);
    if (m->config.untied_head)
        add_entry(m, &pl_head_weight, 0);
    for (int pass = 0; pass < 2; pass++) { /* names move with their entries */
        for (size_t i = 0; i < m->count; i++)
            m->entries[i].tensor.name = m->entries[i].name;
        if (pass == 0)
            qsort(m->entries, m->count, sizeof *m->entries, by_place);
    }
    return PALI_OK;
}

static pali_status write_weights(const making *m, pl_output *out, pali_error *err)
{
    const pl_saved_tensor **tensors = pl_new(m->count, sizeof *tensors, "list of weights", err);
    float *buffer = tensors ? pl_new_raw(BUFFER, sizeof *buffer, "weights", err) : NULL;
    pl_buffer head = {0};
    for (size_t i = 0; tensors && i < m->count; i++)
        tensors[i] = &m->entries[i].tensor;
    pali_status status = buffer ? pl_safetensors_head(tensors, m->count, NULL, 0, &head, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_output_write(out, head.data, head.length, err);
    for (size_t i = 0; status == PALI_OK && i < m->count; i++)
        status = write_values(m, &m->entries[i], buffer, out, err);
    free(tensors);
    free(buffer);
    free(head.data);
    return status;
}

/* A file of the folder, written by a function or from a text that is new and is released; NULL for both is a failure that is recorded. */
static pali_status write_file(const making *m, const char *name, pali_status (*write)(const making *m, pl_output *out, pali_error *err), char *text, pali_error *err)
{
    pl_output out = {0};
    char *path = write || text ? pl_path_join(m->temporary, name, err) : NULL;
    pali_status status = path ? pl_output_open(&out, path, err) : pl_status_of(err, PALI_MEMORY);
    if (status == PALI_OK)
        status = write ? write(m, &out, err) : pl_output_write(&out, text, strlen(text), err);
    if (status == PALI_OK)
        status = pl_output_commit(&out, err);
    pl_output_abandon(&out);
    free(path);
    free(text);
    return status;
}

static pali_status write_folder(const making *m, pali_error *err)
{
    pali_status status = write_file(m, "model.safetensors", write_weights, NULL, err);
    if (status == PALI_OK)
        status = pl_save_tokenizer(m->tokenizer, m->temporary, err);
    if (status == PALI_OK)
        status = pl_save_tokenizer_config(m->tokenizer, m->temporary, err);
    if (status == PALI_OK)
        status = write_file(m, "preprocessor_config.json", NULL, pl_preprocessor_json(&m->config, err), err);
    if (status == PALI_OK)
        status = write_file(m, "generation_config.json", NULL, pl_generation_json(m->tokenizer, err), err);
    return status == PALI_OK ? write_file(m, "config.json", NULL, pl_new_config_json(&m->config, m->tokenizer, "float32", err), err) : status;
}

/* ---- The whole -------------------------------------------------------- */

/* Families that a recipe need not name: PaliGemma, and Gemma's first for the text. */
static void add_families(const pl_json *json)
{
    json_t *top = (json_t *)(uintptr_t)pl_json_at(json, ""), *text = json_object_get(top, "text_config");
    if (!json_object_get(top, "model_type"))
        json_object_set_new(top, "model_type", json_string("paligemma"));
    if (!text)
        json_object_set_new(top, "text_config", text = json_object());
    if (json_is_object(text) && !json_object_get(text, "model_type"))
        json_object_set_new(text, "model_type", json_string("gemma"));
}

/* The shape, with a vocabulary that has room for the tokenizer's pieces and <image>. */
static pali_status read_config(making *m, pali_error *err)
{
    static const char what[] = "model_config", field[] = "text_config.vocab_size";
    pl_json *json = pl_json_open_memory(m->options->config, strlen(m->options->config), what, err);
    if (!json)
        return pl_status_of(err, PALI_USAGE);
    add_families(json);
    pali_status status = pl_config_from_json(&m->config, json, err);
    const size_t pieces = pl_tokenizer_count(m->tokenizer), needed = pieces + (pl_tokenizer_special(m->tokenizer)->image < 0);
    m->config.vision.mlp_connector |= m->options->mlp_connector;
    if (status == PALI_OK && !pl_json_has(json, field))
        m->config.text.vocabulary = pl_round_up(needed, VOCABULARY_STEP);
    else if (status == PALI_OK && m->config.text.vocabulary < pieces)
        status = pl_fail(err, PALI_MODEL, "%s: field %s: found %zu, expected at least the %zu pieces of the tokenizer", what, field, m->config.text.vocabulary, pieces);
    pl_json_close(json);
    return status;
}

pali_status pl_initialise(const char *path, const pl_initialise_options *options, pali_error *err)
{
    making m = {.options = options};
    if (!options->tokenizer)
        return pl_fail(err, PALI_USAGE, "tokenizer: found none, expected one for a model from nothing");
    m.tokenizer = pl_tokenizer_open(options->tokenizer, true, err);
    pali_status status = m.tokenizer ? read_config(&m, err) : pl_status_of(err, PALI_MODEL);
    if (status == PALI_OK)
        status = list_entries(&m, err);
    if (status == PALI_OK)
        status = (m.temporary = pl_format(err, "%s.tmp", path)) ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK) {
        pl_folder_remove(m.temporary); /* of a run that was killed */
        status = pl_folder_make(m.temporary, err);
    }
    if (status == PALI_OK)
        status = write_folder(&m, err);
    if (status == PALI_OK)
        status = pl_folder_install(m.temporary, path, err);
    if (status != PALI_OK && m.temporary)
        pl_folder_remove(m.temporary);
    free(m.temporary);
    free(m.entries);
    pl_tokenizer_free(m.tokenizer);
    return status;
}
