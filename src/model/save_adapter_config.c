/*
 * Which modules have pairs is told as one regular expression that no layer of
 * another part matches, since a bare name such as q_proj stands in the image
 * encoder too. Names and fields are those of peft 0.21 (LoraConfig).
 */
#include "model/save_adapter_parts.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pl_adapter_module_path(const pl_adapter_saving *a, const pl_weight *weight, size_t layer, pl_adapter_path how, char path[200])
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
        snprintf(path, 200, "%s", old && how != PL_PATH_END ? "language_model.lm_head" : "lm_head");
        return path;
    }
    pl_weight_name(weight, &a->model->config, layer, name);
    *strrchr(name, '.') = '\0'; /* .weight or .bias */
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
        if (pl_starts_with(name, roots[i].canonical))
            snprintf(path, 200, "%s%s", roots[i].names[old][how], name + strlen(roots[i].canonical));
    return path;
}

/* Appends the text with dots escaped, for a regular expression. */
static pali_status put_escaped(pl_buffer *out, const char *text, pali_error *err)
{
    pali_status status = PALI_OK;
    for (; status == PALI_OK && *text; text++)
        status = pl_buffer_printf(out, err, *text == '.' ? "\\%c" : "%c", *text);
    return status;
}

/* How many layers have a pair on this weight. */
static size_t layers_with(const pl_adapter_saving *a, const pl_weight *weight)
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
static pali_status put_part(const pl_adapter_saving *a, const char *root, pl_part part, pl_buffer *out, pali_error *err)
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
        const pl_adapter_module *m = &a->modules[i];
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
static json_t *target_modules(const pl_adapter_saving *a, pali_error *err)
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
        pl_fail_memory(err, PL_ADAPTER_CONFIG, 0);
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
static pali_status put_pattern(const pl_adapter_saving *a, const pl_adapter_module *m, pl_buffer *key, pali_error *err)
{
    char path[200], name[160];
    if (m->weight->part != PL_PART_TEXT_LAYER)
        return put_escaped(key, pl_adapter_module_path(a, m->weight, m->layer, PL_PATH_END, path), err);
    pl_weight_name(m->weight, &a->model->config, m->layer, name);
    *strrchr(name, '.') = '\0';
    const pali_status status = pl_buffer_printf(key, err, "language_model\\.(model\\.)?");
    return status == PALI_OK ? put_escaped(key, name + strlen("text."), err) : status;
}

/* Ranks and alphas that are not those of the configuration, by module. */
static pali_status fill_patterns(const pl_adapter_saving *a, json_t *ranks, json_t *alphas, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < a->module_count; i++) {
        const pl_adapter_module *m = &a->modules[i];
        pl_buffer key = {0};
        status = put_pattern(a, m, &key, err);
        bool full = false;
        if (status == PALI_OK && m->pair->rank != a->modules[0].pair->rank)
            full = json_object_set_new(ranks, key.data, json_integer((json_int_t)m->pair->rank)) != 0;
        if (status == PALI_OK && !full && fabs(m->alpha - a->alpha) > 1e-6 * fabs(a->alpha))
            full = json_object_set_new(alphas, key.data, number(tidy(m->alpha))) != 0;
        free(key.data);
        if (full)
            status = pl_fail_memory(err, PL_ADAPTER_CONFIG, 0);
    }
    return status;
}

char *pl_adapter_config(const pl_adapter_saving *a, pali_error *err)
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
        pl_fail_memory(err, PL_ADAPTER_CONFIG, 0);
    free(absolute);
    json_decref(top);
    json_decref(targets);
    json_decref(alphas);
    json_decref(ranks);
    return text;
}
