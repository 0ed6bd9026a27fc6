/* pali_convert: options in words, the model's outline, the report. */
#include "api/handles.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "model/find.h"
#include "model/recast.h"
#include "model/save.h"

#include <jansson.h>
#include <pali/convert.h>
#include <stdlib.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The format that is asked for, or that a name tells. */
static pali_status choose_format(const char *asked, const char *target, pl_container *container, pali_error *err)
{
    static const char *const others[] = {".safetensors", ".bin", ".pt", ".json", ".zip"};
    char found[80];
    if (asked && strcmp(asked, "gguf") != 0 && strcmp(asked, "hf") != 0 && strcmp(asked, "npz") != 0)
        return pl_fail(err, PALI_USAGE, "format: found %s, expected gguf, hf or npz", pl_printable(asked, strlen(asked), found));
    for (size_t i = 0; !asked && i < sizeof others / sizeof *others; i++)
        if (pl_ends_with(target, others[i]))
            return pl_fail(err, PALI_USAGE, "%s: found a name ending in %s, expected .gguf, .npz, or a folder for Hugging Face's files", target, others[i]);
    if (asked ? strcmp(asked, "gguf") == 0 : pl_ends_with(base_name(target), ".gguf"))
        *container = PL_CONTAINER_GGUF;
    else if (asked ? strcmp(asked, "npz") == 0 : pl_ends_with(base_name(target), ".npz"))
        *container = PL_CONTAINER_NPZ;
    else
        *container = PL_CONTAINER_SAFETENSORS;
    return PALI_OK;
}

static pali_status choose_layout(const pali_convert_options *o, pl_save_options *save, pali_error *err)
{
    char found[80];
    if (!o->layout)
        return PALI_OK;
    if (strcmp(o->layout, "rows") != 0 && strcmp(o->layout, "tiles") != 0)
        return pl_fail(err, PALI_USAGE, "layout: found %s, expected rows or tiles", pl_printable(o->layout, strlen(o->layout), found));
    save->layout = strcmp(o->layout, "rows") == 0 ? PL_LAYOUT_ROWS : PL_LAYOUT_TILES;
    if (save->layout == PL_LAYOUT_TILES && save->container != PL_CONTAINER_GGUF)
        return pl_fail(err, PALI_USAGE, "layout: found tiles, expected rows: only a GGUF holds tiles");
    return PALI_OK;
}

static pali_status choose_types(const pali_convert_options *o, pl_save_options *save, pali_error *err)
{
    const struct {
        const char *what, *text;
        pl_dtype *type;
    } parts[] = {
        {"vision type", o->vision_type, &save->vision},
        {"language type", o->language_type, &save->language},
        {"embedding type", o->embedding_type, &save->embedding},
        {"head type", o->head_type, &save->head},
    };
    pali_status status = pl_type_parse(o->type, "type", &save->vision, err);
    save->language = save->embedding = save->head = save->vision;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (status == PALI_OK && parts[i].text)
            status = pl_type_parse(parts[i].text, parts[i].what, parts[i].type, err);
    if (status == PALI_OK && !o->head_type && o->embedding_type)
        save->head = save->embedding; /* as they are one matrix */
    return status;
}

static char *describe(const char *source, const char *target, pl_container container, const pl_save_report *report, double seconds, pali_error *err)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f}", "source", source, "target", target, "format",
                               container == PL_CONTAINER_SAFETENSORS ? "hf" : pl_container_name(container), "tensors", (json_int_t)report->tensors, "parameters",
                               (json_int_t)report->parameters, "bytes", (json_int_t)report->bytes, "seconds", seconds);
    if (object && report->codec && json_object_set_new(object, "codec", json_boolean(container != PL_CONTAINER_NPZ)) != 0) {
        json_decref(object);
        object = NULL;
    }
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(object);
    if (!text)
        pl_fail_memory(err, "report", 0);
    return text;
}

static pali_status convert(const char *source, const char *target, const pali_convert_options *o, pl_save_options *save, pl_save_report *report, pali_error *err)
{
    char *path = pl_model_find(source, err);
    if (!path)
        return pl_status_of(err, PALI_MODEL);
    save->pool = pl_pool_new(o->threads, err);
    const pl_load_options load = {.tokenizer = o->tokenizer, .vision = o->vision, .lora = o->lora, .lora_count = o->lora_count, .outline = true};
    pl_paligemma *model = save->pool ? pl_paligemma_open(path, &load, err) : NULL;
    const pali_status status = model ? pl_paligemma_save(model, target, save, report, err) : pl_status_of(err, PALI_MODEL);
    pl_paligemma_close(model);
    pl_pool_free(save->pool);
    free(path);
    return status;
}

char *pali_convert(const char *source, const char *target, const pali_convert_options *options, pali_error *err)
{
    pali_convert_options o;
    pali_error own = {0};
    const double start = pl_now();
    err = err ? err : &own;
    pl_take_options(&o, sizeof o, options);
    pali_status status = pl_need(source, "pali_convert", "source", err);
    if (status == PALI_OK)
        status = pl_need(target, "pali_convert", "target", err);
    if (status != PALI_OK)
        return NULL;
    pl_save_options save = {.force = o.force, .own_tokenizer = o.tokenizer != NULL, .progress = o.progress, .progress_context = o.progress_context, .stop = o.stop, .stop_context = o.stop_context};
    pl_save_report report = {0};
    status = choose_format(o.format, target, &save.container, err);
    if (status == PALI_OK)
        status = choose_types(&o, &save, err);
    if (status == PALI_OK)
        status = choose_layout(&o, &save, err);
    if (status == PALI_OK)
        status = convert(source, target, &o, &save, &report, err);
    return status == PALI_OK ? describe(source, target, save.container, &report, pl_now() - start, err) : NULL;
}
