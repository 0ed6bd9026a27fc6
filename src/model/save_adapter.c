/*
 * Which modules have pairs is told as one regular expression that no layer of
 * another part matches, since a bare name such as q_proj stands in the image
 * encoder too. Names and fields are those of peft 0.21 (LoraConfig).
 */
#include "model/save_adapter.h"

#include "base/file.h"
#include "base/output.h"
#include "formats/safetensors_write.h"
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

static const char config_name[] = "adapter_config.json", weights_name[] = "adapter_model.safetensors";

/* A tensor of the file. */
typedef struct piece {
    pl_saved_tensor saved;
    pl_tensor from; /* [rows, columns] of any type; borrowed from the model */
    char name[256];
} piece;

/* A linear layer with the pair that is saved. */
typedef struct module {
    const pl_weight *weight;
    size_t layer;
    const pl_low_rank *pair;
    double alpha;
} module;

typedef struct adapter {
    const pl_paligemma *model;
    const pl_adapter_save_options *options;
    module *modules; /* [module_count] owned */
    size_t module_count, module_capacity;
    piece *pieces;   /* [piece_count] owned */
    size_t piece_count, piece_capacity;
    json_t *whole;   /* owned: array of the names of modules saved whole */
    double alpha;
    bool tied;       /* embedding and output matrix, and both are saved whole */
} adapter;

/*
 * How a path is spelled: that of a pair, of a module saved whole, or the end of
 * either that is enough to find the module by. Late in 5 transformers dropped a
 * level of the image encoder; peft turns old pairs into new ones, not modules.
 */
typedef enum spelling { PATH_OF_PAIR, PATH_OF_WHOLE, PATH_END } spelling;

static const char *module_path(const adapter *a, const pl_weight *weight, size_t layer, spelling how, char path[200])
{
    static const struct {
        const char *canonical, *names[2][3]; /* new and old, each of a pair, of a whole, at the end */
    } roots[] = {
        {"vision.", {{"model.vision_tower.vision_model.", "model.vision_tower.", ""}, {"vision_tower.vision_model.", "vision_tower.vision_model.", ""}}},
        {"projector.", {{"model.multi_modal_projector.", "model.multi_modal_projector.", "multi_modal_projector."},
                        {"multi_modal_projector.", "multi_modal_projector.", "multi_modal_projector."}}},
        {"text.", {{"model.language_model.", "model.language_model.", "language_model."}, {"language_model.model.", "language_model.model.", "language_model.model."}}},
    };
    const bool old = a->options->keys == PL_ADAPTER_KEYS_OLD;
    char name[160];
    if (weight == &pl_head_weight) {
        snprintf(path, 200, "%s", old && how != PATH_END ? "language_model.lm_head" : "lm_head");
        return path;
    }
    pl_weight_name(weight, &a->model->config, layer, name);
    *strrchr(name, '.') = '\0'; /* .weight or .bias */
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
        if (pl_starts_with(name, roots[i].canonical))
            snprintf(path, 200, "%s%s", roots[i].names[old][how], name + strlen(roots[i].canonical));
    return path;
}

static bool is_wanted(const adapter *a, const pl_low_rank *pair)
{
    bool wanted = a->options->pairs == NULL;
    for (size_t i = 0; i < a->options->pair_count && !wanted; i++)
        wanted = a->options->pairs[i] == pair;
    return wanted;
}

/* The alpha that a pair's scale is made of. */
static double alpha_of(const adapter *a, const pl_low_rank *pair)
{
    const double rank = (double)pair->rank;
    return (double)pair->scale * (a->options->rank_stabilised ? sqrt(rank) : rank);
}

static pali_status add_module(adapter *a, const pl_weight *weight, size_t layer, const pl_linear *linear, pali_error *err)
{
    const pl_low_rank *found = NULL;
    for (const pl_low_rank *pair = linear->adapters; pair; pair = pair->next) {
        char path[200];
        if (!is_wanted(a, pair))
            continue;
        if (found)
            return pl_fail(err, PALI_USAGE, "adapter: found two pairs on %s, expected one, as PEFT has it", module_path(a, weight, layer, PATH_OF_PAIR, path));
        found = pair;
    }
    if (!found)
        return PALI_OK;
    const pali_status status = pl_grow(&a->modules, &a->module_capacity, a->module_count + 1, sizeof *a->modules, "adapter", err);
    if (status == PALI_OK)
        a->modules[a->module_count++] = (module){.weight = weight, .layer = layer, .pair = found, .alpha = alpha_of(a, found)};
    return status;
}

static pali_status list_modules(adapter *a, pali_error *err)
{
    pl_paligemma *model = (pl_paligemma *)(uintptr_t)a->model; /* only read */
    pali_status status = PALI_OK;
    for (size_t w = 0; w < pl_weight_count; w++) {
        const pl_weight *weight = &pl_weights[w];
        if (weight->target != PL_TARGET_LINEAR || (weight->gemma2_only && !model->config.gemma2))
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
static pali_status add_piece(adapter *a, const char *name, const pl_tensor *from, bool vector, pali_error *err)
{
    const pali_status status = pl_grow(&a->pieces, &a->piece_capacity, a->piece_count + 1, sizeof *a->pieces, "adapter", err);
    if (status != PALI_OK)
        return status;
    piece *p = &a->pieces[a->piece_count++];
    *p = (piece){.from = *from, .saved = {.dtype = PL_F32, .rank = 2, .shape = {from->shape[0], from->shape[1]}}};
    snprintf(p->name, sizeof p->name, "base_model.model.%s", name);
    if (vector)
        p->saved.shape[0] = from->shape[1];
    p->saved.rank = vector ? 1 : 2;
    return pl_shape_bytes(PL_F32, p->saved.shape, p->saved.rank, &p->saved.bytes) ? PALI_OK : pl_fail(err, PALI_USAGE, "adapter: %s: its size does not fit", name);
}

static pali_status list_pairs(adapter *a, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < a->module_count; i++) {
        const module *m = &a->modules[i];
        const size_t patch = a->model->config.vision.patch, rank = m->pair->rank;
        const pl_linear *linear = m->weight == &pl_head_weight ? &a->model->gemma.head : pl_weight_target((pl_paligemma *)(uintptr_t)a->model, m->weight, m->layer);
        const pl_tensor down = {.dtype = PL_F32, .rank = 2, .shape = {rank, linear->weight.shape[1]}, .data = m->pair->a};
        const pl_tensor up = {.dtype = PL_F32, .rank = 2, .shape = {linear->weight.shape[0], rank}, .data = m->pair->b};
        char path[200], name[232];
        module_path(a, m->weight, m->layer, PATH_OF_PAIR, path);
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

/* A weight's values, wherever the model has them; a vector as one row. */
static pl_tensor values_of(const adapter *a, const pl_weight *weight, size_t layer)
{
    const void *target = pl_weight_target((pl_paligemma *)(uintptr_t)a->model, weight, layer);
    pl_tensor values = {.dtype = PL_F32, .rank = 2, .shape = {1, pl_dim_size(&a->model->config, weight->rows)}};
    switch (weight->target) {
    case PL_TARGET_LINEAR:
        return ((const pl_linear *)target)->weight;
    case PL_TARGET_TENSOR:
        return *(const pl_tensor *)target;
    case PL_TARGET_BIAS:
        values.data = ((const pl_linear *)target)->bias;
        break;
    case PL_TARGET_VECTOR:
        values.data = *(const float *const *)target;
        break;
    }
    return values;
}

static bool has_piece(const adapter *a, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < a->piece_count && !found; i++)
        found = strcmp(a->pieces[i].name + strlen("base_model.model."), name) == 0;
    return found;
}

/* One weight of a module that is saved whole. */
static pali_status add_whole(adapter *a, const pl_weight *weight, size_t layer, pali_error *err)
{
    char path[200], name[232], own[160];
    const pl_tensor values = values_of(a, weight, layer);
    if (weight == &pl_head_weight)
        snprintf(own, sizeof own, "head.weight");
    else
        pl_weight_name(weight, &a->model->config, layer, own);
    snprintf(name, sizeof name, "%s%s", module_path(a, weight, layer, PATH_OF_WHOLE, path), strrchr(own, '.'));
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
static pali_status add_whole_module(adapter *a, const pl_whole_module *whole, pali_error *err)
{
    char path[200], other[200];
    module_path(a, whole->weight, whole->layer, PATH_END, path);
    for (size_t i = 0; i < json_array_size(a->whole); i++)
        if (strcmp(json_string_value(json_array_get(a->whole, i)), path) == 0)
            return PALI_OK;
    if (json_array_append_new(a->whole, json_string(path)) != 0)
        return pl_fail_memory(err, "adapter", 0);
    pali_status status = add_whole(a, whole->weight, whole->layer, err);
    for (size_t w = 0; status == PALI_OK && w < pl_weight_count; w++) {
        const pl_weight *weight = &pl_weights[w];
        if (weight->part == whole->weight->part && !(weight->gemma2_only && !a->model->config.gemma2) && strcmp(module_path(a, weight, whole->layer, PATH_END, other), path) == 0)
            status = add_whole(a, weight, whole->layer, err);
    }
    /* peft would leave a tied output matrix as it was */
    const bool tied = whole->weight != &pl_head_weight && whole->weight->rows == PL_DIM_VOCABULARY && a->model->gemma.head.weight.data == a->model->gemma.embedding.data;
    a->tied = a->tied || tied;
    return status == PALI_OK && tied ? add_whole_module(a, &(pl_whole_module){.weight = &pl_head_weight}, err) : status;
}

/* ---- adapter_config.json ---------------------------------------------- */

/* Appends the text with dots escaped, for a regular expression. */
static pali_status put_escaped(pl_buffer *out, const char *text, pali_error *err)
{
    pali_status status = PALI_OK;
    for (; status == PALI_OK && *text; text++)
        status = pl_buffer_printf(out, err, *text == '.' ? "\\%c" : "%c", *text);
    return status;
}

/* How many layers have a pair on this weight. */
static size_t layers_with(const adapter *a, const pl_weight *weight)
{
    size_t count = 0;
    for (size_t i = 0; i < a->module_count; i++)
        count += a->modules[i].weight == weight;
    return count;
}

static pali_status put_alternative(pl_buffer *out, const char *root, pali_error *err)
{
    return pl_buffer_printf(out, err, "%s.*%s\\..*", out->length ? "|" : "", root);
}

/* The modules of one part: names that all its layers have at once, the others one by one. */
static pali_status put_part(const adapter *a, const char *root, pl_part part, pl_buffer *out, pali_error *err)
{
    pl_buffer names = {0};
    pali_status status = PALI_OK;
    for (size_t w = 0; status == PALI_OK && w < pl_weight_count; w++) {
        if (pl_weights[w].part != part || layers_with(a, &pl_weights[w]) != pl_part_layers(&a->model->config, part))
            continue;
        char leaf[80];
        snprintf(leaf, sizeof leaf, "%s", pl_weights[w].name);
        *strrchr(leaf, '.') = '\0';
        const char *dot = strrchr(leaf, '.');
        status = pl_buffer_printf(&names, err, "%s%s", names.length ? "|" : "", dot ? dot + 1 : leaf);
    }
    if (status == PALI_OK && names.length)
        status = put_alternative(out, root, err);
    if (status == PALI_OK && names.length)
        status = pl_buffer_printf(out, err, "%s(%s)", part == PL_PART_VISION || part == PL_PART_PROJECTOR ? "" : "\\.", names.data);
    free(names.data);
    for (size_t i = 0; status == PALI_OK && i < a->module_count; i++) {
        const module *m = &a->modules[i];
        char name[160];
        if (m->weight->part != part || m->weight == &pl_head_weight || layers_with(a, m->weight) == pl_part_layers(&a->model->config, part))
            continue;
        pl_weight_name(m->weight, &a->model->config, m->layer, name);
        *strrchr(name, '.') = '\0';
        status = put_alternative(out, root, err);
        if (status == PALI_OK)
            status = put_escaped(out, strstr(name, "layers."), err);
    }
    return status;
}

/* A regular expression that fully matches the paths of the modules with pairs, in either spelling, and no other. */
static json_t *target_modules(const adapter *a, pali_error *err)
{
    pl_buffer text = {0};
    pali_status status = put_part(a, "language_model", PL_PART_TEXT_LAYER, &text, err);
    if (status == PALI_OK)
        status = put_part(a, "vision_tower", PL_PART_VISION_BLOCK, &text, err);
    if (status == PALI_OK)
        status = put_part(a, "vision_tower", PL_PART_VISION, &text, err);
    if (status == PALI_OK)
        status = put_part(a, "multi_modal_projector", PL_PART_PROJECTOR, &text, err);
    if (status == PALI_OK && layers_with(a, &pl_head_weight))
        status = pl_buffer_printf(&text, err, "%s(.*\\.)?lm_head", text.length ? "|" : "");
    json_t *const value = status == PALI_OK ? json_string(text.data) : NULL;
    if (!value)
        pl_fail_memory(err, config_name, 0);
    free(text.data);
    return value;
}

/* An alpha as the user will have written it: scales are floats. */
static double tidy(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", value);
    return strtod(text, NULL);
}

static json_t *number(double value)
{
    return floor(value) < value || value > 1e15 ? json_real(value) : json_integer((json_int_t)value);
}

/* The end of a module's path, as an expression that both spellings match. */
static pali_status put_pattern(const adapter *a, const module *m, pl_buffer *key, pali_error *err)
{
    char path[200], name[160];
    if (m->weight->part != PL_PART_TEXT_LAYER)
        return put_escaped(key, module_path(a, m->weight, m->layer, PATH_END, path), err);
    pl_weight_name(m->weight, &a->model->config, m->layer, name);
    *strrchr(name, '.') = '\0';
    const pali_status status = pl_buffer_printf(key, err, "language_model\\.(model\\.)?");
    return status == PALI_OK ? put_escaped(key, name + strlen("text."), err) : status;
}

/* Ranks and alphas that are not those of the configuration, by module. */
static pali_status fill_patterns(const adapter *a, json_t *ranks, json_t *alphas, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < a->module_count; i++) {
        const module *m = &a->modules[i];
        pl_buffer key = {0};
        status = put_pattern(a, m, &key, err);
        bool full = false;
        if (status == PALI_OK && m->pair->rank != a->modules[0].pair->rank)
            full = json_object_set_new(ranks, key.data, json_integer((json_int_t)m->pair->rank)) != 0;
        if (status == PALI_OK && !full && fabs(m->alpha - a->alpha) > 1e-6 * fabs(a->alpha))
            full = json_object_set_new(alphas, key.data, number(tidy(m->alpha))) != 0;
        free(key.data);
        if (full)
            status = pl_fail_memory(err, config_name, 0);
    }
    return status;
}

/* New text of adapter_config.json, released with free(). */
static char *config_text(const adapter *a, pali_error *err)
{
    const pl_adapter_save_options *options = a->options;
    json_t *const ranks = json_object(), *const alphas = json_object(), *const targets = target_modules(a, err);
    pali_status status = targets ? fill_patterns(a, ranks, alphas, err) : pl_status_of(err, PALI_MEMORY);
    json_t *const top = json_object();
    const char *const opened = a->model->checkpoint ? a->model->checkpoint->path : "";
    char *const absolute = options->base ? NULL : realpath(opened, NULL);
    const char *const base = options->base ? options->base : absolute ? absolute : opened;
    if (status == PALI_OK) {
        json_object_set_new(top, "base_model_name_or_path", pl_json_string(base));
        json_object_set_new(top, "bias", json_string("none"));
        json_object_set_new(top, "ensure_weight_tying", json_boolean(a->tied));
        json_object_set_new(top, "fan_in_fan_out", json_false());
        json_object_set_new(top, "inference_mode", json_true());
        json_object_set_new(top, "init_lora_weights", json_true());
        json_object_set_new(top, "lora_alpha", number(tidy(a->alpha)));
        json_object_set_new(top, "lora_dropout", json_real(options->dropout));
        json_object_set_new(top, "modules_to_save", json_array_size(a->whole) ? json_incref(a->whole) : json_null());
        json_object_set_new(top, "peft_type", json_string("LORA"));
        json_object_set_new(top, "r", json_integer((json_int_t)a->modules[0].pair->rank));
        json_object_set(top, "rank_pattern", ranks);
        json_object_set(top, "alpha_pattern", alphas);
        json_object_set(top, "target_modules", targets);
        json_object_set_new(top, "task_type", json_string(options->task_type ? options->task_type : "CAUSAL_LM"));
        json_object_set_new(top, "use_dora", json_false());
        json_object_set_new(top, "use_rslora", json_boolean(options->rank_stabilised));
    }
    char *const text = status == PALI_OK && json_object_size(top) == 17 ? json_dumps(top, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15)) : NULL;
    if (status == PALI_OK && !text)
        pl_fail_memory(err, config_name, 0);
    free(absolute);
    json_decref(top);
    json_decref(targets);
    json_decref(alphas);
    json_decref(ranks);
    return text;
}

/* ---- files ------------------------------------------------------------ */

/* All are of one type: by name, then. */
static int by_name(const void *a, const void *b)
{
    return strcmp(((const piece *)a)->name, ((const piece *)b)->name);
}

static pali_status write_piece(const piece *p, pl_output *out, pali_error *err)
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

static pali_status write_weights(adapter *a, const char *path, pali_error *err)
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
static pali_status write_files(adapter *a, const char *folder, pali_error *err)
{
    char *const config = pl_path_join(folder, config_name, err), *const weights = config ? pl_path_join(folder, weights_name, err) : NULL;
    char *const text = weights ? config_text(a, err) : NULL;
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

static void remove_files(const char *folder)
{
    const char *const names[] = {config_name, weights_name, "tokenizer.json", "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *const path = pl_path_join(folder, names[i], NULL);
        if (path)
            unlink(path);
        free(path);
    }
    rmdir(folder);
}

static pali_status write_folder(adapter *a, const char *path, pali_error *err)
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
        remove_files(temporary);
    free(temporary);
    return status;
}

pali_status pl_paligemma_save_adapter(const pl_paligemma *model, const char *path, const pl_adapter_save_options *options, pl_adapter_save_report *report, pali_error *err)
{
    adapter a = {.model = model, .options = options, .whole = json_array()};
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
