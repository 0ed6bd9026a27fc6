/* Opening checkpoints of every format and finding weights in them. */
#include "model/checkpoint.h"

#include "base/file.h"
#include "base/text.h"
#include "formats/npz.h"
#include "formats/safetensors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pl_container_name(pl_container container)
{
    static const char *const names[] = {"safetensors", "npz", "gguf"};
    return names[container];
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const pl_entry *)a)->name, ((const pl_entry *)b)->name);
}

/* The directory's spelling of a tensor's name, or NULL where the format has none for it. */
static const char *spell(const pl_checkpoint *checkpoint, const char *name, char buf[160])
{
    switch (checkpoint->container) {
    case PL_CONTAINER_SAFETENSORS:
        return pl_canonical_name(name, buf) ? buf : name;
    case PL_CONTAINER_NPZ:
        return pl_starts_with(name, checkpoint->npz_prefix) ? name + strlen(checkpoint->npz_prefix) : name;
    case PL_CONTAINER_GGUF:
        return strcmp(name, "output.weight") == 0 ? "head.weight" : name;
    }
    return name;
}

static pali_status build_directory(pl_checkpoint *checkpoint, pali_error *err)
{
    size_t capacity = 0;
    for (size_t f = 0; f < 2 && checkpoint->files[f]; f++) {
        const size_t count = pl_tensor_file_count(checkpoint->files[f]);
        pali_status status = pl_grow(&checkpoint->entries, &capacity, checkpoint->entry_count + count, sizeof(pl_entry), "tensor directory", err);
        for (size_t i = 0; status == PALI_OK && i < count; i++) {
            char buf[160];
            const pl_named_tensor *tensor = pl_tensor_file_at(checkpoint->files[f], i);
            char *name = pl_strdup(spell(checkpoint, tensor->name, buf), err);
            if (!name)
                return PALI_MEMORY;
            checkpoint->entries[checkpoint->entry_count++] = (pl_entry){.name = name, .tensor = tensor, .known = pl_is_ignorable(tensor->name)};
        }
        if (status != PALI_OK)
            return status;
    }
    if (checkpoint->entry_count == 0)
        return PALI_OK;
    qsort(checkpoint->entries, checkpoint->entry_count, sizeof(pl_entry), compare_entries);
    for (size_t i = 1; i < checkpoint->entry_count; i++)
        if (strcmp(checkpoint->entries[i - 1].name, checkpoint->entries[i].name) == 0)
            return pl_fail(err, PALI_MODEL, "%s: tensors %s and %s are the same weight, expected one of them", checkpoint->path, checkpoint->entries[i - 1].tensor->name,
                           checkpoint->entries[i].tensor->name);
    return PALI_OK;
}

pl_entry *pl_checkpoint_entry(const pl_checkpoint *checkpoint, const char *name)
{
    const pl_entry key = {.name = (char *)(uintptr_t)name};
    return checkpoint->entry_count ? bsearch(&key, checkpoint->entries, checkpoint->entry_count, sizeof key, compare_entries) : NULL;
}

const char *pl_checkpoint_weight_name(const pl_checkpoint *checkpoint, const pl_weight *weight, size_t layer, char buf[160])
{
    switch (checkpoint->container) {
    case PL_CONTAINER_SAFETENSORS:
        return pl_weight_name(weight, &checkpoint->config, layer, buf);
    case PL_CONTAINER_NPZ:
        snprintf(buf, 160, "%s", weight->npz);
        return buf;
    case PL_CONTAINER_GGUF:
        return pl_weight_gguf_name(weight, layer, buf);
    }
    return weight->name;
}

/*
 * Some llama.cpp vision files call fc1 ffn_down and fc2 ffn_up: when the rows of
 * what was found are those of the other, the other is meant.
 */
static pl_entry *exchanged(const pl_checkpoint *checkpoint, const pl_weight *weight, pl_entry *entry, const char *name)
{
    if (checkpoint->container != PL_CONTAINER_GGUF || weight->part != PL_PART_VISION_BLOCK || !entry || entry->tensor->problem)
        return entry;
    const char *const up = strstr(name, "ffn_up"), *const down = strstr(name, "ffn_down");
    if ((!up && !down) || entry->tensor->tensor.shape[0] == pl_dim_size(&checkpoint->config, weight->rows))
        return entry;
    char other[176];
    const char *at = up ? up : down;
    snprintf(other, sizeof other, "%.*s%s%s", (int)(at - name), name, up ? "ffn_down" : "ffn_up", at + strlen(up ? "ffn_up" : "ffn_down"));
    return pl_checkpoint_entry(checkpoint, other);
}

const pl_entry *pl_checkpoint_find(const pl_checkpoint *checkpoint, const pl_weight *weight, size_t layer)
{
    char name[160];
    pl_checkpoint_weight_name(checkpoint, weight, layer, name);
    pl_entry *entry = exchanged(checkpoint, weight, pl_checkpoint_entry(checkpoint, name), name);
    if (entry)
        entry->known = true;
    return entry;
}

/* True if the axes' product can be cut in two with `first` before and `second` behind. */
static bool splits_into(const size_t *shape, size_t rank, size_t first, size_t second)
{
    size_t before = 1, i = 0;
    while (i < rank && before < first)
        before *= shape[i++];
    size_t behind = 1;
    for (; i < rank; i++)
        behind *= shape[i];
    return before == first && behind == second;
}

/* Cuts a layer (and one of a pair) out of a stacked npz array; false if it is not stacked so. */
static bool slice_stack(const pl_weight *weight, const pl_config *config, size_t layer, const pl_tensor *tensor, const size_t **shape, size_t *rank, size_t *first)
{
    *shape = tensor->shape;
    *rank = tensor->rank;
    size_t slices = 1, index = 0;
    if (weight->part == PL_PART_VISION_BLOCK || weight->part == PL_PART_TEXT_LAYER) {
        if (*rank == 0 || (*shape)[0] != pl_part_layers(config, weight->part))
            return false;
        slices *= *(*shape)++;
        index = layer;
        (*rank)--;
    }
    if (weight->pair >= 0) {
        if (*rank == 0 || (*shape)[0] != 2)
            return false;
        slices *= *(*shape)++;
        index = index * 2 + (size_t)weight->pair;
        (*rank)--;
    }
    size_t count = 0;
    pl_tensor_count(tensor, &count);
    *first = slices ? count / slices * index : 0;
    return true;
}

static bool npz_shape_fits(const pl_source *source, const size_t *shape, size_t rank)
{
    switch (source->form) {
    case PL_NPZ_AS_IS:
        return splits_into(shape, rank, source->rows * source->columns, 1) || splits_into(shape, rank, 1, source->rows * source->columns);
    case PL_NPZ_TRANSPOSE:
        return splits_into(shape, rank, source->columns, source->rows);
    case PL_NPZ_HEADS:
        return rank == 3 && shape[1] == source->columns && shape[0] * shape[2] == source->rows;
    case PL_NPZ_PATCH:
        return rank == 4 && shape[0] == source->patch && shape[1] == source->patch && shape[2] == 3 && shape[3] == source->rows;
    }
    return false;
}

static pali_status wrong_shape(const pl_checkpoint *checkpoint, const pl_entry *entry, const pl_source *source, bool vector, pali_error *err)
{
    char found[96], expected[96];
    const size_t shape[2] = {source->rows, source->columns};
    const char *of = checkpoint->container == PL_CONTAINER_NPZ ? " a layer, in big_vision's order" : "";
    return pl_fail(err, PALI_MODEL, "%s: tensor %s: found shape %s, expected %s%s by the configuration", entry->tensor->file, entry->tensor->name,
                   pl_shape_text(entry->tensor->tensor.shape, entry->tensor->tensor.rank, found), pl_shape_text(shape, vector ? 1 : 2, expected), of);
}

pali_status pl_checkpoint_source_of(const pl_checkpoint *checkpoint, const pl_entry *entry, const pl_weight *weight, size_t layer, pl_source *source, pali_error *err)
{
    const pl_config *config = &checkpoint->config;
    const pl_tensor *tensor = &entry->tensor->tensor;
    if (entry->tensor->problem)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: %s", entry->tensor->file, entry->tensor->name, entry->tensor->problem);
    if (!pl_dtype_is_float(tensor->dtype) && !pl_dtype_is_tiled(tensor->dtype))
        return pl_fail(err, PALI_MODEL, "%s: tensor %s: found type %s, expected a floating-point or quantised type", entry->tensor->file, entry->tensor->name,
                       pl_dtype_name(tensor->dtype));
    const bool vector = weight->columns == PL_DIM_NONE;
    *source = (pl_source){
        .named = entry->tensor,
        .data = tensor->data,
        .dtype = tensor->dtype,
        .scale = tensor->scale,
        .rows = pl_dim_size(config, weight->rows),
        .columns = pl_dim_size(config, weight->columns),
        .patch = config->vision.patch,
    };
    if (checkpoint->container != PL_CONTAINER_NPZ)
        return tensor->rank > 0 && splits_into(tensor->shape, 1, source->rows, 1) && splits_into(tensor->shape + 1, tensor->rank - 1, source->columns, 1)
                   ? PALI_OK
                   : wrong_shape(checkpoint, entry, source, vector, err);
    const size_t *shape;
    size_t rank, first;
    source->form = weight->form;
    if (!slice_stack(weight, config, layer, tensor, &shape, &rank, &first) || !npz_shape_fits(source, shape, rank))
        return wrong_shape(checkpoint, entry, source, vector, err);
    source->heads = rank ? shape[0] : 1;
    source->data += first * pl_dtype_bytes(tensor->dtype);
    return PALI_OK;
}

pali_status pl_checkpoint_source(const pl_checkpoint *checkpoint, const pl_weight *weight, size_t layer, pl_source *source, pali_error *err)
{
    char name[160];
    const pl_entry *entry = pl_checkpoint_find(checkpoint, weight, layer);
    if (!entry)
        return pl_fail(err, PALI_MODEL, "%s: tensor %s is missing", checkpoint->path, pl_checkpoint_weight_name(checkpoint, weight, layer, name));
    return pl_checkpoint_source_of(checkpoint, entry, weight, layer, source, err);
}

pl_tensor pl_source_tensor(const pl_source *source, const pl_weight *weight)
{
    pl_tensor tensor = {.dtype = source->dtype, .rank = 2, .shape = {source->rows, source->columns}, .data = source->data, .scale = source->scale};
    if (weight->columns == PL_DIM_NONE) { /* quantised blocks run along it */
        tensor.shape[0] = 1;
        tensor.shape[1] = source->rows;
    }
    return tensor;
}

static pali_status open_folder(pl_checkpoint *checkpoint, pali_error *err)
{
    checkpoint->container = PL_CONTAINER_SAFETENSORS;
    char *config = pl_path_join(checkpoint->path, "config.json", err), *preprocessor = pl_path_join(checkpoint->path, "preprocessor_config.json", err);
    pali_status status = config && preprocessor ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK && !pl_is_file(config))
        status = pl_fail(err, PALI_MODEL, "%s: found a folder without a file config.json, expected a Hugging Face model; a .gguf or .npz is opened by its own name", checkpoint->path);
    if (status == PALI_OK) {
        checkpoint->config_json = pl_json_open(config, err);
        status = checkpoint->config_json ? pl_config_from_json(&checkpoint->config, checkpoint->config_json, err) : pl_status_of(err, PALI_MODEL);
    }
    if (status == PALI_OK && pl_is_file(preprocessor)) {
        pl_json *json = pl_json_open(preprocessor, err);
        status = json ? pl_config_read_preprocessor(&checkpoint->config, json, err) : pl_status_of(err, PALI_MODEL);
        pl_json_close(json);
    }
    if (status == PALI_OK) {
        checkpoint->files[0] = pl_safetensors_open_folder(checkpoint->path, err);
        status = checkpoint->files[0] ? PALI_OK : pl_status_of(err, PALI_MODEL);
    }
    free(config);
    free(preprocessor);
    return status;
}

static pali_status open_npz(pl_checkpoint *checkpoint, pali_error *err)
{
    checkpoint->container = PL_CONTAINER_NPZ;
    checkpoint->files[0] = pl_npz_open(checkpoint->path, err);
    if (!checkpoint->files[0])
        return pl_status_of(err, PALI_MODEL);
    const bool prefixed = pl_tensor_file_find(checkpoint->files[0], "params/llm/embedder/input_embedding") != NULL;
    checkpoint->npz_prefix = prefixed ? "params/" : "";
    return pl_config_from_npz(&checkpoint->config, checkpoint->files[0], checkpoint->npz_prefix, err);
}

/* The only file with "mmproj" in its name beside a GGUF; NULL without an error when there is none. */
static char *find_mmproj(const char *path, pali_error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? pl_strndup(path, (size_t)(slash - path), err) : pl_strdup(".", err);
    DIR *entries = folder ? opendir(*folder ? folder : "/") : NULL;
    char *found = NULL;
    for (const struct dirent *e; entries && (e = readdir(entries));) {
        if (!pl_ends_with(e->d_name, ".gguf") || !strstr(e->d_name, "mmproj"))
            continue;
        if (found) {
            pl_fail(err, PALI_MODEL, "%s: found several vision files (mmproj) beside it, expected one; name it with --vision", path);
            free(found);
            found = NULL;
            break;
        }
        found = pl_path_join(folder, e->d_name, err);
    }
    if (entries)
        closedir(entries);
    free(folder);
    return found;
}

static pali_status open_gguf(pl_checkpoint *checkpoint, const char *vision, pali_error *err)
{
    checkpoint->container = PL_CONTAINER_GGUF;
    checkpoint->files[0] = pl_gguf_open(checkpoint->path, err);
    if (!checkpoint->files[0])
        return pl_status_of(err, PALI_MODEL);
    if (pl_tensor_file_find(checkpoint->files[0], "v.patch_embd.weight")) {
        if (vision)
            return pl_fail(err, PALI_USAGE, "%s: found a vision tower in it, expected none as %s is named beside it", checkpoint->path, vision);
    } else {
        char *beside = NULL;
        if (!vision) {
            pali_error why = {0};
            beside = find_mmproj(checkpoint->path, &why);
            if (!beside)
                return why.status != PALI_OK ? pl_fail(err, why.status, "%s", why.message)
                                             : pl_fail(err, PALI_MODEL, "%s: found a text model only, expected a vision file (mmproj) beside it or named with --vision", checkpoint->path);
        }
        checkpoint->files[1] = pl_gguf_open(vision ? vision : beside, err);
        free(beside);
        if (!checkpoint->files[1])
            return pl_status_of(err, PALI_MODEL);
    }
    return pl_config_from_gguf(&checkpoint->config, checkpoint->files[0], checkpoint->files[1], err);
}

/* The tensor's rows win over what a configuration says of the vocabulary. Ids are 32 bits wide. */
static pali_status take_vocabulary(pl_checkpoint *checkpoint, pali_error *err)
{
    for (size_t i = 0; i < pl_weight_count; i++) {
        const pl_entry *entry = pl_weights[i].rows == PL_DIM_VOCABULARY ? pl_checkpoint_find(checkpoint, &pl_weights[i], 0) : NULL;
        if (!entry || entry->tensor->problem || entry->tensor->tensor.rank != 2)
            continue;
        const size_t rows = entry->tensor->tensor.shape[0];
        if (rows < 1 || rows > INT32_MAX)
            return pl_fail(err, PALI_MODEL, "%s: tensor %s: found %zu rows, expected 1 to %d", entry->tensor->file, entry->tensor->name, rows, INT32_MAX);
        checkpoint->config.text.vocabulary = rows;
    }
    return PALI_OK;
}

pl_checkpoint *pl_checkpoint_open(const char *path, const char *vision, pali_error *err)
{
    pl_checkpoint *checkpoint = pl_new(1, sizeof *checkpoint, "checkpoint", err);
    if (!checkpoint)
        return NULL;
    checkpoint->npz_prefix = "";
    checkpoint->path = pl_strdup(path, err);
    pali_status status = checkpoint->path ? PALI_OK : PALI_MEMORY;
    const bool gguf = pl_ends_with(path, ".gguf") && !pl_is_folder(path);
    if (status == PALI_OK && vision && !gguf)
        status = pl_fail(err, PALI_USAGE, "%s: found a vision file named for it, expected one only for a text model's .gguf", path);
    if (status == PALI_OK) {
        if (pl_is_folder(path))
            status = open_folder(checkpoint, err);
        else if (pl_ends_with(path, ".npz"))
            status = open_npz(checkpoint, err);
        else if (gguf)
            status = open_gguf(checkpoint, vision, err);
        else
            status = pl_fail(err, PALI_MODEL, "%s: found a file of unknown kind, expected a Hugging Face folder, an .npz or a .gguf file", path);
    }
    if (status == PALI_OK)
        status = build_directory(checkpoint, err);
    if (status == PALI_OK)
        status = take_vocabulary(checkpoint, err);
    if (status == PALI_OK)
        return checkpoint;
    pl_checkpoint_close(checkpoint);
    return NULL;
}

void pl_checkpoint_close(pl_checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    for (size_t i = 0; i < checkpoint->entry_count; i++)
        free(checkpoint->entries[i].name);
    free(checkpoint->entries);
    pl_json_close(checkpoint->config_json);
    pl_tensor_file_close(checkpoint->files[0]);
    pl_tensor_file_close(checkpoint->files[1]);
    free(checkpoint->path);
    free(checkpoint);
}
