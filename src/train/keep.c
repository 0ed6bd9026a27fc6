/*
 * Checkpoints of a run, and going on from one: values, moments and where in the
 * data the run stands, all to the bit; and the recipe, so that no run goes on
 * as another one.
 */
#include "train/trainer_parts.h"

#include "base/file.h"
#include "train/codec_record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- What is kept ----------------------------------------------------- */

static void free_tensors(pl_state_tensor *list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        free((char *)list[i].name);
    free(list);
}

/* Values and the optimiser's state; `count` tensors, new, released with free_tensors. */
static pl_state_tensor *list_tensors(const pl_trainer *t, size_t *count, pali_error *err)
{
    const pl_parameters *p = t->parameters;
    const size_t state = pl_optimiser_tensor_count(t->optimiser);
    pl_state_tensor *list = pl_new(p->count + state, sizeof *list, "state", err);
    pali_status status = list ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; i < p->count && status == PALI_OK; i++) {
        const pl_trained *tensor = &p->tensors[i];
        list[i] = (pl_state_tensor){.name = pl_format(err, "master/%s", tensor->name), .values = tensor->value, .rows = tensor->rows, .columns = tensor->columns};
        status = list[i].name ? PALI_OK : PALI_MEMORY;
    }
    for (size_t i = 0; i < state && status == PALI_OK; i++) {
        const pl_optimiser_tensor tensor = pl_optimiser_tensor_at(t->optimiser, i);
        list[p->count + i] = (pl_state_tensor){.name = pl_format(err, "optimizer/%s", tensor.name), .values = tensor.data, .rows = tensor.rows, .columns = tensor.columns};
        status = list[p->count + i].name ? PALI_OK : PALI_MEMORY;
    }
    *count = p->count + state;
    if (status == PALI_OK)
        return list;
    free_tensors(list, *count);
    return NULL;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *make_notes(const pl_trainer *t, pali_error *err)
{
    char *identity = pl_dataset_identity(t->data, err), *held_out = t->held_out ? pl_dataset_identity(t->held_out, err) : pl_strdup("", err);
    json_t *notes = identity && held_out ? json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:b, s:o, s:o, s:o}", "recipe", t->recipe_text, "position", (json_int_t)t->seen, "examples", (json_int_t)t->last.examples,
                                         "micro_batch", (json_int_t)t->plan.micro_batch, "data", identity, "held_out_data", held_out, "kernels", t->engine.kernels->level, "best", number_or_null(t->best), "best_step",
                                         number_or_null(t->best_step), "held_out", number_or_null(t->last.held_out), "loss_since", number_or_null(t->loss_since),
                                         "steps_since", (json_int_t)t->steps_since, "unmeasured", (int)t->unmeasured,
                                         "loss", number_or_null(t->last.loss), "lr", number_or_null(t->last.lr), "norm", number_or_null(t->last.norm))
                             : NULL;
    if (!notes && pl_status_of(err, PALI_OK) == PALI_OK)
        pl_fail_memory(err, "notes of a checkpoint", 0);
    free(identity);
    free(held_out);
    return notes;
}

/* ---- Saving ----------------------------------------------------------- */

/* Is it in the list? */
static bool has_whole(const pl_whole_module *list, size_t count, const pl_weight *weight)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].weight == weight)
            return true;
    return false;
}

/* Trained weights that are no adapters go with an adapter as whole modules, and the rows of new tokens, trained or not. */
static pl_whole_module *list_whole(const pl_trainer *t, size_t *count, pali_error *err)
{
    const pl_parameters *p = t->parameters;
    pl_whole_module *list = pl_new(p->count + 2, sizeof *list, "modules", err);
    *count = 0;
    for (size_t i = 0; list && i < p->count; i++)
        if (p->origins[i].weight && !p->origins[i].low_rank)
            list[(*count)++] = (pl_whole_module){.weight = p->origins[i].weight, .layer = p->origins[i].layer};
    if (!list || !t->model->extended)
        return list;
    for (const pl_weight *w = pl_weights; w < pl_weights + pl_weight_count; w++)
        if (w->rows == PL_DIM_VOCABULARY && !has_whole(list, *count, w))
            list[(*count)++] = (pl_whole_module){.weight = w};
    if (!pl_head_is_tied(t->model) && !has_whole(list, *count, &pl_head_weight))
        list[(*count)++] = (pl_whole_module){.weight = &pl_head_weight};
    return list;
}

/* The type of weights in checkpoints: as asked, or as the model's were; quantised ones cannot be gone on with, so bf16. */
static pl_dtype saved_type(const pl_trainer *t)
{
    static const pl_dtype types[] = {PL_F32, PL_BF16, PL_F16};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (t->recipe->save_type ? pl_says(t->recipe->save_type, pl_dtype_name(types[i])) : t->stored == types[i])
            return types[i];
    return PL_BF16;
}

/* Weights that are no numbers must not take the place of good ones. */
static pali_status check_finite(const pl_trainer *t, pali_error *err)
{
    for (size_t i = 0; i < t->parameters->count; i++) {
        const pl_trained *tensor = &t->parameters->tensors[i];
        if (!t->engine.kernels->all_finite(tensor->count, tensor->value))
            return pl_fail(err, PALI_FAILED, "step %llu: tensor '%s' is not finite any more: nothing is saved", (unsigned long long)t->last.step, tensor->name);
    }
    return PALI_OK;
}

/* Only adapters, and what is trained beside them, are saved. */
static bool adapts(const pl_recipe *r)
{
    return r->lora_rank > 0 || r->lora_adapter;
}

pali_status pl_trainer_keep(pl_trainer *t, bool best, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    if (check_finite(t, err) != PALI_OK)
        return PALI_FAILED;
    const pl_dtype type = saved_type(t);
    const pl_save_options full = {.container = PL_CONTAINER_SAFETENSORS, .vision = type, .language = type, .embedding = type, .head = type,
                                  .own_tokenizer = r->tokenizer != NULL, .pool = t->pool};
    pl_adapter_save_options adapter = {.keys = pl_says(r->adapter_layout, "old") ? PL_ADAPTER_KEYS_OLD : PL_ADAPTER_KEYS_NEW, .alpha = r->lora_alpha > 0 ? r->lora_alpha : (double)r->lora_rank,
                                       .rank_stabilised = r->lora_rslora, .dropout = r->lora_dropout, .tokenizer = t->model->extended,
                                       .base = r->model && !pl_is_folder(r->model) && !pl_is_file(r->model) ? r->model : NULL /* names are the same elsewhere */};
    size_t count = 0;
    pl_whole_module *whole = list_whole(t, &adapter.whole_count, err);
    pl_state_tensor *tensors = whole ? list_tensors(t, &count, err) : NULL;
    json_t *notes = tensors ? make_notes(t, err) : NULL;
    pali_status status = notes ? PALI_OK : pl_status_of(err, PALI_MEMORY);
    pl_snapshot_report report;
    adapter.whole = whole;
    if (status == PALI_OK) {
        const pl_snapshot snapshot = {.step = t->last.step, .model = t->model, .full = adapts(r) ? NULL : &full, .adapter = adapts(r) ? &adapter : NULL, .tensors = tensors, .count = count,
                                      .notes = notes, .best = best, .keep = r->keep_checkpoints};
        status = pl_snapshot_save(&t->folder, &snapshot, &report, err);
    }
    json_decref(notes);
    free_tensors(tensors, count);
    free(whole);
    if (status == PALI_OK) {
        t->saved_at = t->last.step;
        t->last.best = best;
        pl_trainer_tell(t, PL_TRAIN_SAVED, "%s/%s", r->out, report.name);
    }
    return status;
}

uint64_t pl_trainer_checkpoint_bytes(const pl_trainer *t, const pl_training_memory *memory)
{
    const uint64_t values = memory->trained * sizeof(float), weights = adapts(t->recipe) ? values : memory->mapped + memory->copied + memory->trained * pl_dtype_bytes(saved_type(t));
    return weights + values + memory->state;
}

pali_status pl_trainer_save(pl_trainer *t, pali_error *err)
{
    return pl_trainer_keep(t, false, err);
}

/* ---- Going on --------------------------------------------------------- */

static const char *note(const pl_trainer *t, const char *name)
{
    const char *text = json_string_value(json_object_get(t->found.notes, name));
    return text ? text : "";
}

/* Refuses, or tells of, a recipe that is not the one that the run began with. */
static pali_status check_recipe(const pl_trainer *t, pali_error *err)
{
    const char *text = note(t, "recipe");
    pl_recipe before = {0};
    pl_buffer difference = {0};
    size_t count = 0;
    pali_status status = pl_recipe_parse(&before, text, strlen(text), t->found.path, NULL, NULL, 0, err);
    if (status == PALI_OK)
        status = pl_recipe_difference(&before, t->recipe, false, &difference, &count, err);
    if (status == PALI_OK && count > 0 && !t->recipe->force)
        status = pl_fail(err, PALI_USAGE, "%s: the run was begun with another recipe; force=true goes on with this one, resume=never and force=true begin anew: %s", t->found.path, difference.data);
    else if (status == PALI_OK && count > 0)
        pl_trainer_tell(t, PL_TRAIN_WARNING, "the recipe is another one than before: %s", difference.data);
    free(difference.data);
    pl_recipe_close(&before);
    return status;
}

pali_status pl_trainer_find(pl_trainer *t, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    pali_status status = t->options.dry_run ? PALI_OK : pl_run_folder_open(&t->folder, r->out, err);
    if (status == PALI_OK)
        status = pl_snapshot_find(r->out, &t->found, err);
    if (status != PALI_OK)
        return status;
    if (t->found.warning[0])
        pl_trainer_tell(t, PL_TRAIN_WARNING, "%s", t->found.warning);
    char *codec = t->found.path ? NULL : pl_codec_record_in(r->out);
    if (codec)
        status = pl_fail(err, PALI_USAGE, "%s: found the record of a run that teaches the mask codec %s, expected another folder", r->out, codec);
    free(codec);
    if (status != PALI_OK)
        return status;
    if (!t->found.path)
        return pl_says(r->resume, "must") ? pl_fail(err, PALI_INPUT, "%s: found no checkpoint, expected one to go on from (resume=must)", r->out) : PALI_OK;
    if (!pl_says(r->resume, "never"))
        return check_recipe(t, err);
    if (!r->force)
        return pl_fail(err, PALI_USAGE, "%s: found a run, expected an empty folder (resume=never); force=true replaces it", r->out);
    pl_found_snapshot_close(&t->found);
    t->replaces = true; /* not before this run is known to begin */
    return PALI_OK;
}

pali_status pl_trainer_take_folder(pl_trainer *t, pali_error *err)
{
    const pali_status status = t->replaces ? pl_run_folder_clear(&t->folder, err) : PALI_OK;
    return status == PALI_OK ? pl_recipe_keep(t->recipe->out, t->recipe_text, err) : status;
}

static double number_of(const pl_trainer *t, const char *name)
{
    const json_t *value = json_object_get(t->found.notes, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* A loss on other held-out rows is no mark to beat. */
static pali_status forget_other_best(pl_trainer *t, pali_error *err)
{
    pali_error why = {0};
    if (!t->held_out || pl_dataset_check(t->held_out, note(t, "held_out_data"), &why) == PALI_OK)
        return PALI_OK;
    if (why.status != PALI_INPUT)
        return pl_fail(err, why.status, "%s", why.message);
    if (isfinite(t->best))
        pl_trainer_tell(t, PL_TRAIN_WARNING, "the held-out rows are others than before: the lowest loss so far is that of the new ones");
    t->best = t->best_step = t->last.held_out = NAN;
    return PALI_OK;
}

pali_status pl_trainer_restore(pl_trainer *t, pali_error *err)
{
    if (!t->found.path)
        return PALI_OK;
    pali_status status = t->recipe->force ? PALI_OK : pl_dataset_check(t->data, note(t, "data"), err);
    if (status != PALI_OK) {
        pl_error_prefix(err, "%s", t->found.path);
        return status;
    }
    if (strcmp(note(t, "kernels"), t->engine.kernels->level) != 0)
        pl_trainer_tell(t, PL_TRAIN_WARNING, "the run was computed by %s kernels before, and is by %s ones from here on: its last bits may differ from a run at one stretch", note(t, "kernels"),
                        t->engine.kernels->level);
    size_t count = 0;
    pl_state_tensor *tensors = list_tensors(t, &count, err);
    status = tensors ? pl_snapshot_read(&t->found, tensors, count, err) : PALI_MEMORY;
    free_tensors(tensors, count);
    if (status != PALI_OK)
        return status;
    pl_optimiser_set_steps(t->optimiser, t->found.step);
    t->last.step = t->begun_at = t->saved_at = t->found.step;
    t->seen = (uint64_t)json_integer_value(json_object_get(t->found.notes, "position"));
    t->last.examples = (uint64_t)json_integer_value(json_object_get(t->found.notes, "examples"));
    t->best = number_of(t, "best");
    t->best_step = number_of(t, "best_step");
    t->last.held_out = number_of(t, "held_out");
    t->loss_since = number_of(t, "loss_since"); /* so that the next line of the log is what it would have been */
    t->last.loss = number_of(t, "loss");
    t->last.lr = number_of(t, "lr");
    t->last.norm = number_of(t, "norm");
    t->steps_since = (uint64_t)json_integer_value(json_object_get(t->found.notes, "steps_since"));
    t->unmeasured = json_is_true(json_object_get(t->found.notes, "unmeasured"));
    t->resumed = true;
    status = forget_other_best(t, err);
    if (status != PALI_OK)
        return status;
    status = pl_snapshot_relink(&t->folder, t->found.step, t->best_step >= (double)t->found.step, err);
    if (status != PALI_OK)
        return status;
    pl_trainer_tell(t, PL_TRAIN_NOTE, "goes on from %s", t->found.path);
    return PALI_OK;
}
