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

static pali_status make_largest(largest *l, const pl_train_plan *plan, size_t image_tokens, size_t count, pali_error *err)
{
    l->example = (pl_example){.count = plan->most_ids, .prefix_count = 1, .image_count = plan->most_pictures};
    l->example.ids = pl_new(plan->most_ids, sizeof *l->example.ids, "the plan", err);
    l->list = pl_new(count, sizeof *l->list, "the plan", err);
    if (!l->example.ids || !l->list)
        return PALI_MEMORY;
    if (plan->survey.patches && !(l->example.patches = pl_new(plan->most_pictures * image_tokens, sizeof *l->example.patches, "the plan", err))) /* zeros: a target at each */
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++)
        l->list[i] = &l->example;
    return PALI_OK;
}

static void free_largest(largest *l)
{
    free(l->example.ids);
    free(l->example.patches);
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
    pali_status status = make_largest(&l, plan, options->layout->image_tokens, count, err);
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

/* The parts of the memory of a run, once: X(what it is, bytes). */
#define PART_LIST(X)                                       \
    X("trained weights", m->values)                        \
    X("adapters", m->adapters)                             \
    X("frozen weights that are copied", m->copied)         \
    X("gradients", m->gradients)                           \
    X("optimizer", m->state)                               \
    X("activations", p->activations)                       \
    X("gradients of activations", p->activation_gradients) \
    X("pictures that wait", p->examples_ahead)

/* "trained weights 14.4 MB, gradients ...": what is not nothing. */
static pali_status append_parts(const pl_train_plan *p, pl_buffer *text, pali_error *err)
{
    const pl_training_memory *m = &p->memory;
    const char *before = "";
    char size[32];
#define APPEND_PART(what, bytes)                                                                                       \
    if ((bytes) > 0) {                                                                                                 \
        if (pl_buffer_printf(text, err, "%s%s %s", before, what, pl_bytes_text(bytes, size)) != PALI_OK)               \
            return PALI_MEMORY;                                                                                        \
        before = ", ";                                                                                                 \
    }
    PART_LIST(APPEND_PART)
#undef APPEND_PART
    return PALI_OK;
}

/* What would make it fit. */
static pali_status append_advice(const pl_train_plan *p, const pl_plan_options *options, pl_buffer *text, pali_error *err)
{
    const pl_training_memory *m = &p->memory;
    char size[32];
    pali_status status = PALI_OK;
    if (m->state + m->gradients > p->total / 3)
        status = pl_buffer_printf(text, err, "; lora.rank=8, or fewer parts in `train`, saves most of gradients and optimizer");
    if (status == PALI_OK && m->copied > 0)
        status = pl_buffer_printf(text, err, "; a model converted to its type beforehand is mapped, not copied (%s)", pl_bytes_text(m->copied, size));
    if (status == PALI_OK && options->keep == PL_KEEP_ALL)
        status = pl_buffer_printf(text, err, "; checkpointing=layers keeps less of the activations");
    if (status == PALI_OK && options->whole_batch)
        status = pl_buffer_printf(text, err, "; a smaller batch, whose examples are computed together");
    else if (status == PALI_OK && p->micro_batch > 1)
        status = pl_buffer_printf(text, err, "; micro_batch=1 computes one example at a time");
    return status;
}

static pali_status fail_room(const pl_train_plan *plan, const pl_plan_options *options, pali_error *err)
{
    pl_buffer text = {0};
    char needed[32], limit[32];
    pali_status status = pl_buffer_printf(&text, err, "training needs %s, %s allows %s: ", pl_bytes_text(plan->total, needed), plan->where, pl_bytes_text(plan->limit, limit));
    if (status == PALI_OK)
        status = append_parts(plan, &text, err);
    if (status == PALI_OK)
        status = append_advice(plan, options, &text, err);
    if (status == PALI_OK)
        status = pl_fail(err, PALI_MEMORY, "%s", text.data);
    free(text.data);
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

/* `most` or fewer, so that a batch is cut into equal parts, or nearly: 16 of 14 at most are 8 and 8. */
static size_t even_part(size_t batch, size_t most)
{
    const size_t parts = (batch + most - 1) / most;
    return (batch + parts - 1) / parts;
}

pali_status pl_train_plan_make(pl_train_plan *plan, const pl_plan_options *options, pali_error *err)
{
    read_limit(plan, options->max_memory);
    const size_t most = even_part(plan->batch, pl_max(1, pl_min(plan->batch, ROWS_ENOUGH / pl_max(1, example_rows(plan, options)))));
    static const pl_keep keeps[] = {PL_KEEP_ALL, PL_KEEP_BORDERS};
    for (size_t k = 0; k < 2; k++) {
        if (options->keep >= 0 && keeps[k] != (pl_keep)options->keep)
            continue;
        for (size_t count = options->whole_batch ? plan->batch : options->micro_batch ? pl_min(options->micro_batch, plan->batch) : most;; count = even_part(plan->batch, count / 2)) {
            const pali_status status = try_size(plan, options, count, keeps[k], err);
            if (status != PALI_OK)
                return status;
            if (plan->total <= plan->limit)
                return PALI_OK;
            if (count == 1 || options->micro_batch || options->whole_batch)
                break;
        }
    }
    return fail_room(plan, options, err);
}

/* What there is to learn from, and in which steps. */
static pali_status append_steps(const pl_train_plan *p, const pl_parameters *parameters, pl_buffer *text, pali_error *err)
{
    const pl_data_survey *d = &p->survey;
    pali_status status = pl_buffer_printf(text, err, "data      %zu rows", d->rows);
    if (status == PALI_OK && d->bad > 0)
        status = pl_buffer_printf(text, err, ", of which %zu cannot be used", d->bad);
    if (status == PALI_OK)
        status = pl_buffer_printf(text, err, "; %.1f tokens of text on average, %zu at most, %zu of %zu answers are cut off\n", d->ids_mean, d->ids_most, d->truncated, d->texts);
    if (status == PALI_OK)
        status = pl_buffer_printf(text, err, "steps     %llu of %zu examples, %zu at a time\n", (unsigned long long)p->steps, p->batch, p->micro_batch);
    if (status == PALI_OK)
        status = pl_buffer_printf(text, err, "trained   %llu values in %zu tensors\n", (unsigned long long)p->memory.trained, parameters->count);
    return status;
}

/* What the run will write. */
static pali_status append_disk(const pl_train_plan *p, pl_buffer *text, pali_error *err)
{
    char each[32], room[32], cache[32];
    pali_status status = pl_buffer_printf(text, err, "disk      %s a checkpoint, %zu at a time", pl_bytes_text(p->checkpoint, each), p->checkpoints);
    if (status == PALI_OK && p->cache > 0)
        status = pl_buffer_printf(text, err, "; %s of image tokens at most (cache_features=false: none)", pl_bytes_text(p->cache, cache));
    if (status == PALI_OK && p->room < UINT64_MAX)
        status = pl_buffer_printf(text, err, "; %s are free", pl_bytes_text(p->room, room));
    return status == PALI_OK ? pl_buffer_printf(text, err, "\n") : status;
}

char *pl_train_plan_text(const pl_train_plan *plan, const pl_parameters *parameters, pali_error *err)
{
    pl_buffer text = {0};
    char total[32], limit[32], mapped[32];
    pali_status status = append_steps(plan, parameters, &text, err);
    if (status == PALI_OK)
        status = pl_buffer_printf(&text, err, "memory    %s of %s (%s)", pl_bytes_text(plan->total, total), pl_bytes_text(plan->limit, limit), plan->where);
    if (status == PALI_OK && plan->memory.mapped > 0)
        status = pl_buffer_printf(&text, err, "; besides, %s of weights are mapped from files", pl_bytes_text(plan->memory.mapped, mapped));
    if (status == PALI_OK)
        status = pl_buffer_printf(&text, err, "\n          ");
    if (status == PALI_OK)
        status = append_parts(plan, &text, err);
    if (status == PALI_OK)
        status = pl_buffer_printf(&text, err, "\n          %s for backward\n", plan->keep == PL_KEEP_ALL ? "activations are kept" : "activations of a layer are computed again");
    if (status == PALI_OK)
        status = append_disk(plan, &text, err);
    if (status == PALI_OK)
        return text.data;
    free(text.data);
    return NULL;
}
