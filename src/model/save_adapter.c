/*
 * Two files: f32 tensors by name, from wherever the model has them, and then
 * the configuration, without which a folder is no adapter.
 */
#include "model/save_adapter_parts.h"

#include "base/file.h"
#include "base/folder.h"
#include "base/output.h"
#include "model/recast.h"
#include "model/save_config.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char weights_name[] = "adapter_model.safetensors";

static bool is_wanted(const pl_adapter_saving *a, const pl_low_rank *pair)
{
    bool wanted = a->options->pairs == NULL;
    for (size_t i = 0; i < a->options->pair_count && !wanted; i++)
        wanted = a->options->pairs[i] == pair;
    return wanted;
}

/* The alpha that a pair's scale is made of. */
static double alpha_of(const pl_adapter_saving *a, const pl_low_rank *pair)
{
    const double rank = (double)pair->rank;
    return (double)pair->scale * (a->options->rank_stabilised ? sqrt(rank) : rank);
}

static pali_status add_module(pl_adapter_saving *a, const pl_weight *weight, size_t layer, const pl_linear *linear, pali_error *err)
{
    const pl_low_rank *found = NULL;
    for (const pl_low_rank *pair = linear->adapters; pair; pair = pair->next) {
        char path[200];
        if (!is_wanted(a, pair))
            continue;
        if (found)
            return pl_fail(err, PALI_USAGE, "adapter: found two pairs on %s, expected one, as PEFT has it", pl_adapter_module_path(a, weight, layer, PL_PATH_OF_PAIR, path));
        found = pair;
    }
    if (!found)
        return PALI_OK;
    const pali_status status = pl_grow(&a->modules, &a->module_capacity, a->module_count + 1, sizeof *a->modules, "adapter", err);
    if (status == PALI_OK)
        a->modules[a->module_count++] = (pl_adapter_module){.weight = weight, .layer = layer, .pair = found, .alpha = alpha_of(a, found)};
    return status;
}

static pali_status list_modules(pl_adapter_saving *a, pali_error *err)
{
    pl_paligemma *model = (pl_paligemma *)(uintptr_t)a->model; /* only read */
    pali_status status = PALI_OK;
    for (size_t w = 0; w < pl_weight_count; w++) {
        const pl_weight *weight = &pl_weights[w];
        if (weight->target != PL_TARGET_LINEAR || !pl_weight_present(&model->config, weight))
            continue;
        for (size_t layer = 0; status == PALI_OK && layer < pl_part_layers(&model->config, weight->part); layer++)
            status = add_module(a, weight, layer, pl_weight_target(model, weight, layer), err);
    }
    if (status == PALI_OK)
        status = add_module(a, &pl_head_weight, 0, &model->gemma.head, err);
    if (status == PALI_OK && a->module_count == 0)
        status = pl_fail(err, PALI_USAGE, "adapter: found no low-rank pair in the model, expected at least one to save");
    a->alpha = a->options->alpha > 0 ? a->options->alpha : a->module_count ? a->modules[0].alpha : 0;
    return status;
}

/* A tensor [rows, columns], or the one row of it as a vector. */
static pali_status add_piece(pl_adapter_saving *a, const char *name, const pl_tensor *from, bool vector, pali_error *err)
{
    const pali_status status = pl_grow(&a->pieces, &a->piece_capacity, a->piece_count + 1, sizeof *a->pieces, "adapter", err);
    if (status != PALI_OK)
        return status;
    pl_adapter_piece *p = &a->pieces[a->piece_count++];
    *p = (pl_adapter_piece){.from = *from, .saved = {.dtype = PL_F32, .rank = 2, .shape = {from->shape[0], from->shape[1]}}};
    snprintf(p->name, sizeof p->name, "base_model.model.%s", name);
    if (vector)
        p->saved.shape[0] = from->shape[1];
    p->saved.rank = vector ? 1 : 2;
    return pl_shape_bytes(PL_F32, p->saved.shape, p->saved.rank, &p->saved.bytes) ? PALI_OK : pl_fail(err, PALI_USAGE, "adapter: %s: its size does not fit", name);
}

static pali_status list_pairs(pl_adapter_saving *a, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < a->module_count; i++) {
        const pl_adapter_module *m = &a->modules[i];
        const size_t patch = a->model->config.vision.patch, rank = m->pair->rank;
        const pl_linear *linear = m->weight == &pl_head_weight ? &a->model->gemma.head : pl_weight_target((pl_paligemma *)(uintptr_t)a->model, m->weight, m->layer);
        const pl_tensor down = {.dtype = PL_F32, .rank = 2, .shape = {rank, linear->weight.shape[1]}, .data = m->pair->a};
        const pl_tensor up = {.dtype = PL_F32, .rank = 2, .shape = {linear->weight.shape[0], rank}, .data = m->pair->b};
        char path[200], name[232];
        pl_adapter_module_path(a, m->weight, m->layer, PL_PATH_OF_PAIR, path);
        snprintf(name, sizeof name, "%s.lora_A.weight", path);
        status = add_piece(a, name, &down, false, err);
        snprintf(name, sizeof name, "%s.lora_B.weight", path);
        if (status == PALI_OK)
            status = add_piece(a, name, &up, false, err);
        if (status != PALI_OK || m->weight->columns != PL_DIM_PATCH)
            continue;
        pl_saved_tensor *shapes[2] = {&a->pieces[a->piece_count - 2].saved, &a->pieces[a->piece_count - 1].saved}; /* of convolutions */
        shapes[0]->rank = shapes[1]->rank = 4;
        shapes[0]->shape[1] = 3;
        shapes[0]->shape[2] = shapes[0]->shape[3] = patch;
        shapes[1]->shape[2] = shapes[1]->shape[3] = 1;
    }
    return status;
}

static bool has_piece(const pl_adapter_saving *a, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < a->piece_count && !found; i++)
        found = strcmp(a->pieces[i].name + strlen("base_model.model."), name) == 0;
    return found;
}

/* One weight of a module that is saved whole. */
static pali_status add_whole(pl_adapter_saving *a, const pl_weight *weight, size_t layer, pali_error *err)
{
    char path[200], name[232], own[160];
    pl_tensor values = pl_weight_tensor(a->model, weight, layer);
    if (values.rank == 1) /* a vector, as one row */
        values = (pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {1, values.shape[0]}, .data = values.data};
    if (weight == &pl_head_weight)
        snprintf(own, sizeof own, "head.weight");
    else
        pl_weight_name(weight, &a->model->config, layer, own);
    snprintf(name, sizeof name, "%s%s", pl_adapter_module_path(a, weight, layer, PL_PATH_OF_WHOLE, path), strrchr(own, '.'));
    if (has_piece(a, name))
        return PALI_OK;
    const pali_status status = add_piece(a, name, &values, weight->columns == PL_DIM_NONE, err);
    if (status == PALI_OK && weight->columns == PL_DIM_PATCH) {
        pl_saved_tensor *saved = &a->pieces[a->piece_count - 1].saved;
        saved->rank = 4;
        saved->shape[1] = 3;
        saved->shape[2] = saved->shape[3] = a->model->config.vision.patch;
    }
    return status;
}

/* The module of a weight: all weights whose names differ only in their last part. */
static pali_status add_whole_module(pl_adapter_saving *a, const pl_whole_module *whole, pali_error *err)
{
    char path[200], other[200];
    pl_adapter_module_path(a, whole->weight, whole->layer, PL_PATH_END, path);
    for (size_t i = 0; i < json_array_size(a->whole); i++)
        if (strcmp(json_string_value(json_array_get(a->whole, i)), path) == 0)
            return PALI_OK;
    if (json_array_append_new(a->whole, json_string(path)) != 0)
        return pl_fail_memory(err, "adapter", 0);
    pali_status status = add_whole(a, whole->weight, whole->layer, err);
    for (size_t w = 0; status == PALI_OK && w < pl_weight_count; w++) {
        const pl_weight *weight = &pl_weights[w];
        if (weight->part == whole->weight->part && pl_weight_present(&a->model->config, weight) && strcmp(pl_adapter_module_path(a, weight, whole->layer, PL_PATH_END, other), path) == 0)
            status = add_whole(a, weight, whole->layer, err);
    }
    /* peft would leave a tied output matrix as it was */
    const bool tied = whole->weight != &pl_head_weight && whole->weight->rows == PL_DIM_VOCABULARY && pl_head_is_tied(a->model);
    a->tied = a->tied || tied;
    return status == PALI_OK && tied ? add_whole_module(a, &(pl_whole_module){.weight = &pl_head_weight}, err) : status;
}

/* ---- files ------------------------------------------------------------ */

/* All are of one type: by name, then. */
static int by_name(const void *a, const void *b)
{
    return strcmp(((const pl_adapter_piece *)a)->name, ((const pl_adapter_piece *)b)->name);
}

static pali_status write_piece(const pl_adapter_piece *p, pl_output *out, pali_error *err)
{
    enum { STEP = 8 << 20 }; /* bytes of rows converted at a time, about */
    const size_t rows = p->from.shape[0], row_bytes = p->from.shape[1] * sizeof(float);
    if (p->from.dtype == PL_F32 && !p->from.scale)
        return pl_output_write(out, p->from.data, p->saved.bytes, err);
    const pl_recast recast = {.from = &p->from, .type = PL_F32, .file = weights_name, .name = p->name};
    const size_t step = pl_round_up(pl_max(STEP / pl_max(row_bytes, 1), 1), PL_TILE_ROWS);
    unsigned char *const block = pl_new_raw(step, row_bytes, "rows to write", err);
    pali_status status = block ? PALI_OK : PALI_MEMORY;
    for (size_t first = 0; status == PALI_OK && first < rows; first += step) {
        const size_t count = pl_min(step, rows - first);
        status = pl_recast_rows(&recast, NULL, first, count, block, NULL, err);
        if (status == PALI_OK)
            status = pl_output_write(out, block, count * row_bytes, err);
    }
    free(block);
    return status;
}

static pali_status write_weights(pl_adapter_saving *a, const char *path, pali_error *err)
{
    qsort(a->pieces, a->piece_count, sizeof *a->pieces, by_name);
    const pl_saved_tensor **const list = pl_new(a->piece_count, sizeof *list, "adapter", err);
    pl_buffer head = {0};
    pl_output out = {0};
    for (size_t i = 0; list && i < a->piece_count; i++) {
        a->pieces[i].saved.name = a->pieces[i].name; /* moved by growing and sorting */
        list[i] = &a->pieces[i].saved;
    }
    pali_status status = list ? pl_safetensors_head(list, a->piece_count, NULL, 0, &head, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_output_open(&out, path, err);
    if (status == PALI_OK)
        status = pl_output_write(&out, head.data, head.length, err);
    for (size_t i = 0; status == PALI_OK && i < a->piece_count; i++)
        status = write_piece(&a->pieces[i], &out, err);
    if (status == PALI_OK)
        status = pl_output_commit(&out, err);
    pl_output_abandon(&out);
    free(list);
    free(head.data);
    return status;
}

/* All files into a folder that is there; the configuration last, as there is no adapter without. */
static pali_status write_files(pl_adapter_saving *a, const char *folder, pali_error *err)
{
    char *const config = pl_path_join(folder, PL_ADAPTER_CONFIG, err), *const weights = config ? pl_path_join(folder, weights_name, err) : NULL;
    char *const text = weights ? pl_adapter_config(a, err) : NULL;
    pali_status status = text ? PALI_OK : pl_status_of(err, PALI_MEMORY);
    if (status == PALI_OK && unlink(config) != 0 && errno != ENOENT)
        status = pl_fail(err, PALI_FAILED, "%s: cannot write: %s", config, strerror(errno));
    if (status == PALI_OK)
        status = write_weights(a, weights, err);
    if (status == PALI_OK && a->options->tokenizer)
        status = pl_save_tokenizer(a->model->tokenizer, folder, err);
    if (status == PALI_OK && a->options->tokenizer)
        status = pl_save_tokenizer_config(a->model->tokenizer, folder, err);
    if (status == PALI_OK)
        status = pl_file_write(config, text, strlen(text), err);
    free(text);
    free(weights);
    free(config);
    return status;
}

static pali_status write_folder(pl_adapter_saving *a, const char *path, pali_error *err)
{
    if (pl_is_folder(path))
        return a->options->force ? write_files(a, path, err) : pl_fail(err, PALI_USAGE, "%s: found a folder of that name, expected none", path);
    char *const temporary = pl_format(err, "%s.%ld.tmp", path, (long)getpid());
    if (!temporary)
        return PALI_MEMORY;
    pali_status status = mkdir(temporary, 0777) == 0 ? PALI_OK : pl_fail(err, PALI_FAILED, "%s: cannot make the folder: %s", path, strerror(errno));
    const bool made = status == PALI_OK;
    if (status == PALI_OK)
        status = write_files(a, temporary, err);
    pl_folder_sync(temporary);
    if (status == PALI_OK && rename(temporary, path) != 0)
        status = pl_fail(err, PALI_FAILED, "%s: cannot write: %s", path, strerror(errno));
    if (made && status != PALI_OK)
        pl_folder_remove(temporary);
    free(temporary);
    return status;
}

pali_status pl_paligemma_save_adapter(const pl_paligemma *model, const char *path, const pl_adapter_save_options *options, pl_adapter_save_report *report, pali_error *err)
{
    pl_adapter_saving a = {.model = model, .options = options, .whole = json_array()};
    pali_status status = a.whole ? list_modules(&a, err) : pl_fail_memory(err, "adapter", 0);
    if (status == PALI_OK)
        status = list_pairs(&a, err);
    for (size_t i = 0; status == PALI_OK && i < options->whole_count; i++)
        status = add_whole_module(&a, &options->whole[i], err);
    if (status == PALI_OK)
        status = write_folder(&a, path, err);
    if (report)
        *report = (pl_adapter_save_report){.tensors = a.piece_count};
    for (size_t i = 0; report && i < a.piece_count; i++) {
        report->bytes += a.pieces[i].saved.bytes;
        report->parameters += a.pieces[i].saved.bytes / sizeof(float);
    }
    json_decref(a.whole);
    free(a.pieces);
    free(a.modules);
    return status;
}
