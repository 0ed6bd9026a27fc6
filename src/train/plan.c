/*
 * The plan of a run's memory. A few sizes of micro-batch are tried dry, from
 * the most rows that still gain speed downwards, first keeping everything for
 * backward, then only the borders of layers.
 */
#include "train/plan.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_ENOUGH = 2048 /* a product of more rows is not faster */ };

/* The largest examples that the data can hold, without anything in them. */
typedef struct largest {
    pl_example example;
    const pl_example **list; /* [count], all the same */
} largest;

static pali_status make_largest(largest *l, const pl_train_plan *plan, size_t count, pali_error *err)
{
    l->example = (pl_example){.count = plan->most_ids, .prefix_count = 1, .image_count = plan->most_pictures};
    l->example.ids = pl_new(plan->most_ids, sizeof *l->example.ids, "the plan", err);
    l->list = pl_new(count, sizeof *l->list, "the plan", err);
    if (!l->example.ids || !l->list)
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++)
        l->list[i] = &l->example;
    return PALI_OK;
}

static void free_largest(largest *l)
{
    free(l->example.ids);
    free(l->list);
}

void pl_plan_microbatch(const pl_plan_options *options, pl_keep keep, pl_microbatch *batch, size_t *arena, size_t *gradients)
{
    const pl_objective *o = options->objective;
    pl_arena plan = pl_arena_plan();
    pl_tape tape;
    pl_tape_init(&tape);
    pl_context ctx = options->context;
    ctx.arena = &plan;
    if (o->features && batch->pictures > 0) { /* pictures that the cache has not are encoded before */
        const pl_rows features = pl_constant_push(&ctx, batch->pictures * pl_image_tokens(o->model), o->model->siglip.config.width);
        pl_objective_encode(&ctx, o->model, NULL, batch->pictures, features);
        pl_arena_release(&plan, 0);
    }
    if (gradients) {
        tape.parameters = options->parameters->list;
        tape.parameter_count = options->parameters->count;
        tape.keep = keep;
        tape.dropout = options->dropout;
        tape.adapter_dropout = options->adapter_dropout;
        ctx.tape = &tape;
    }
    pl_objective_forward(&ctx, o, batch);
    if (gradients) {
        pl_tape_backward(&ctx);
        *gradients = tape.gradient_peak;
    }
    *arena = ctx.failed ? SIZE_MAX : plan.peak;
    pl_tape_free(&tape);
}

/* Activations of micro-batches of so many examples. */
static pali_status try_size(pl_train_plan *plan, const pl_plan_options *options, size_t count, pl_keep keep, pali_error *err)
{
    largest l = {0};
    pl_microbatch batch = {0};
    size_t arena = 0, gradients = 0;
    pali_status status = make_largest(&l, plan, count, err);
    if (status == PALI_OK)
        status = pl_microbatch_lay(&batch, options->layout, l.list, count, err);
    if (status == PALI_OK) {
        pl_plan_microbatch(options, keep, &batch, &arena, &gradients);
        plan->micro_batch = count;
        plan->keep = keep;
        plan->activations = arena;
        plan->activation_gradients = gradients;
        if (arena == SIZE_MAX)
            status = pl_fail_memory(err, "a micro-batch", arena);
    }
    const pl_training_memory *m = &plan->memory;
    plan->total = m->values + m->adapters + m->gradients + m->state + m->copied + plan->activations + plan->activation_gradients + plan->examples_ahead;
    pl_microbatch_free(&batch);
    free_largest(&l);
    return status;
}

static size_t example_rows(const pl_train_plan *plan, const pl_plan_options *options)
{
    return plan->most_pictures * options->layout->image_tokens + plan->most_ids - 1;
}

static double gb(uint64_t bytes)
{
    return (double)bytes / 1e9;
}

static pali_status fail_room(const pl_train_plan *plan, const pl_plan_options *options, pali_error *err)
{
    pl_buffer advice = {0};
    const pl_training_memory *m = &plan->memory;
    pali_status status = PALI_OK;
    if (m->state + m->gradients > plan->total / 3)
        status = pl_buffer_printf(&advice, err, "; lora.rank=8, or fewer parts in `train`, would save most of the %.2f GB of gradients and optimizer state", gb(m->state + m->gradients));
    if (status == PALI_OK && m->copied > 0)
        status = pl_buffer_printf(&advice, err, "; a model file converted to its type beforehand would be mapped, not copied (%.2f GB)", gb(m->copied));
    if (status == PALI_OK && options->keep == PL_KEEP_ALL)
        status = pl_buffer_printf(&advice, err, "; checkpointing=layers keeps less of %.2f GB of activations", gb(plan->activations));
    if (status == PALI_OK && plan->micro_batch > 1)
        status = pl_buffer_printf(&advice, err, "; micro_batch=1 computes one example at a time");
    if (status == PALI_OK)
        status = pl_fail(err, PALI_MEMORY, "training needs %.2f GB (%s allows %.2f GB): weights %.2f, gradients %.2f, optimizer %.2f, activations %.2f%s", gb(plan->total), plan->where,
                         gb(plan->limit), gb(m->values + m->adapters + m->copied), gb(m->gradients), gb(m->state), gb(plan->activations + plan->activation_gradients),
                         advice.data ? advice.data : "");
    free(advice.data);
    return status;
}

static void read_limit(pl_train_plan *plan, uint64_t max_memory)
{
    pl_memory_limit limit;
    pl_memory_limit_read("", &limit);
    plan->limit = limit.left;
    snprintf(plan->where, sizeof plan->where, "%s", limit.where);
    if (max_memory > 0 && max_memory < plan->limit) {
        plan->limit = max_memory;
        snprintf(plan->where, sizeof plan->where, "max_memory");
    }
}

pali_status pl_train_plan_make(pl_train_plan *plan, const pl_plan_options *options, pali_error *err)
{
    read_limit(plan, options->max_memory);
    const size_t most = pl_max(1, pl_min(plan->batch, ROWS_ENOUGH / pl_max(1, example_rows(plan, options))));
    static const pl_keep keeps[] = {PL_KEEP_ALL, PL_KEEP_BORDERS};
    for (size_t k = 0; k < 2; k++) {
        if (options->keep >= 0 && keeps[k] != (pl_keep)options->keep)
            continue;
        for (size_t count = options->micro_batch ? pl_min(options->micro_batch, plan->batch) : most;; count /= 2) {
            const pali_status status = try_size(plan, options, count, keeps[k], err);
            if (status != PALI_OK)
                return status;
            if (plan->total <= plan->limit)
                return PALI_OK;
            if (count == 1 || options->micro_batch)
                break;
        }
    }
    return fail_room(plan, options, err);
}

char *pl_train_plan_text(const pl_train_plan *plan, const pl_parameters *parameters, pali_error *err)
{
    pl_buffer text = {0};
    const pl_training_memory *m = &plan->memory;
    pali_status status = pl_buffer_printf(&text, err, "data         %zu rows, %zu pictures at most in one; %.1f tokens of text on average, %zu at most, %zu of %zu rows are cut off\n", plan->survey.rows,
                                          plan->most_pictures, plan->survey.ids_mean, plan->survey.ids_most, plan->survey.truncated, plan->survey.texts);
    if (status == PALI_OK)
        status = pl_buffer_printf(&text, err, "steps        %llu of %zu examples, %zu at a time\n", (unsigned long long)plan->steps, plan->batch, plan->micro_batch);
    if (status == PALI_OK)
        status = pl_buffer_printf(&text, err, "trained      %llu values in %zu tensors\n", (unsigned long long)m->trained, parameters->count);
    if (status == PALI_OK)
        status = pl_buffer_printf(&text, err,
                                  "memory       %.2f GB of %.2f (%s), and %.2f of weights mapped from files:\n"
                                  "             trained weights %.2f, adapters %.2f, other weights copied %.2f, gradients %.2f, optimizer %.2f,\n"
                                  "             activations %.2f and their gradients %.2f (%s), pictures ahead %.2f\n",
                                  gb(plan->total), gb(plan->limit), plan->where, gb(m->mapped), gb(m->values), gb(m->adapters), gb(m->copied), gb(m->gradients), gb(m->state),
                                  gb(plan->activations), gb(plan->activation_gradients), plan->keep == PL_KEEP_ALL ? "all are kept" : "layers are computed again", gb(plan->examples_ahead));
    if (status == PALI_OK)
        return text.data;
    free(text.data);
    return NULL;
}
