/* One step of a run: a batch of examples, forward and backward in micro-batches, and the optimiser. */
#include "train/trainer_parts.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Pictures of a frozen encoder ------------------------------------- */

/* Takes the encoder's rows of one picture into the example, and keeps them on disk. */
static pali_status keep_features(pl_trainer *t, pl_example_image *image, pl_rows rows, pali_error *err)
{
    const size_t bytes = rows.count * rows.width * sizeof *rows.data;
    image->features = pl_new_raw(bytes, 1, "image tokens", err);
    if (!image->features)
        return PALI_MEMORY;
    memcpy(image->features, rows.data, bytes);
    if (!t->cache)
        return PALI_OK;
    pl_feature_cache_round(t->cache, image->features); /* as they will come back */
    pali_error why = {0};
    if (!t->cache_full && pl_feature_cache_put(t->cache, &image->picture, image->features, &why) != PALI_OK) {
        pl_trainer_tell(t, PL_TRAIN_WARNING, "further image tokens are not kept on disk: %s", why.message);
        t->cache_full = true;
    }
    return PALI_OK;
}

pali_status pl_trainer_encode_missing(pl_trainer *t, pl_example **examples, size_t count, pali_error *err)
{
    const size_t tokens = pl_image_tokens(t->model), width = t->model->siglip.config.width;
    pl_context ctx = pl_trainer_context(t, NULL);
    pali_status status = PALI_OK;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < examples[i]->image_count && status == PALI_OK; k++) {
            pl_example_image *image = &examples[i]->images[k];
            if (!t->objective.features || image->features)
                continue;
            const size_t mark = pl_arena_mark(ctx.arena);
            const pl_rows rows = pl_constant_push(&ctx, tokens, width);
            pl_objective_encode(&ctx, t->model, (const float *const[]){image->pixels}, 1, rows);
            status = ctx.failed ? pl_fail_memory(err, "image tokens", t->arena.size) : keep_features(t, image, rows, err);
            pl_arena_release(ctx.arena, mark);
        }
    return status;
}

/* ---- A micro-batch ---------------------------------------------------- */

/* "file:line" of the examples, which are rows of `from`, whose losses are no numbers. */
static pali_status fail_loss(const pl_trainer *t, const pl_dataset *from, pali_error *err)
{
    const pl_microbatch *b = &t->microbatch;
    pl_buffer rows = {0};
    pali_status status = PALI_OK;
    size_t target = 0;
    for (size_t i = 0; i < b->count && status == PALI_OK; i++) {
        bool finite = true;
        for (size_t k = 0; k < pl_segment_wanted(&b->segments[i]); k++)
            finite &= isfinite(b->losses[target++]) != 0;
        const pl_example *e = b->examples[i];
        if (!finite)
            status = pl_buffer_printf(&rows, err, "%s%s:%zu", rows.length ? ", " : "", pl_dataset_path(from, e->place.source), e->line);
    }
    if (status == PALI_OK)
        status = pl_fail(err, PALI_FAILED, "step %llu: the loss is not a number; expected a finite one; rows: %s", (unsigned long long)t->last.step, rows.data ? rows.data : "");
    free(rows.data);
    return status;
}

/* The plan is for the largest examples that were seen; should one be larger, memory grows. */
static pali_status make_room(pl_trainer *t, bool learn, pali_error *err)
{
    const pl_plan_options options = pl_trainer_plan_options(t);
    size_t arena = 0, gradients = 0;
    pl_plan_microbatch(&options, t->plan.keep, &t->microbatch, &arena, learn ? &gradients : NULL);
    pali_status status = PALI_OK;
    if (arena > t->arena.size) {
        pl_arena_free(&t->arena);
        status = pl_arena_init(&t->arena, arena, "activations", err);
    }
    if (status == PALI_OK && gradients > t->tape.gradient_size)
        status = pl_tape_reserve(&t->tape, gradients, err);
    return status;
}

/* Forward, and backward if `learn`. The losses are in the micro-batch then. */
static pali_status run_microbatch(pl_trainer *t, bool learn, pali_error *err)
{
    pl_context ctx = pl_trainer_context(t, learn ? &t->tape : NULL);
    pl_objective_forward(&ctx, &t->objective, &t->microbatch);
    const bool finite = !ctx.failed && isfinite(pl_microbatch_loss(&t->microbatch));
    if (learn && finite)
        pl_tape_backward(&ctx);
    pl_tape_clear(&t->tape);
    pl_arena_release(&t->arena, 0);
    if (ctx.failed)
        return pl_fail_memory(err, "a micro-batch", t->arena.size);
    return finite ? PALI_OK : fail_loss(t, learn ? t->data : t->held_out, err);
}

static bool stopped(const pl_trainer *t)
{
    return t->options.stop && t->options.stop(t->options.context);
}

/* Masks of dropout are a function of run, step and micro-batch. */
static uint64_t dropout_key(const pl_trainer *t, size_t first)
{
    const uint64_t key[] = {t->recipe->seed, t->last.step, first};
    return pl_hash(key, sizeof key);
}

pali_status pl_trainer_losses(pl_trainer *t, pl_example **examples, size_t count, bool learn, double *sum, double *weight, pali_error *err)
{
    *sum = *weight = 0;
    for (size_t first = 0; first < count; first += t->plan.micro_batch) {
        const size_t some = pl_min(t->plan.micro_batch, count - first);
        if (stopped(t))
            return pl_fail(err, PALI_CANCELLED, "interrupted");
        pali_status status = pl_microbatch_lay(&t->microbatch, &t->layout, (const pl_example *const *)examples + first, some, err);
        if (status == PALI_OK)
            status = make_room(t, learn, err);
        if (status == PALI_OK)
            status = pl_trainer_encode_missing(t, examples + first, some, err);
        t->tape.dropout_key = dropout_key(t, first);
        if (status == PALI_OK)
            status = run_microbatch(t, learn, err);
        if (status != PALI_OK)
            return status;
        *sum += pl_microbatch_loss(&t->microbatch);
        *weight += t->microbatch.weight;
        t->rows_since += t->microbatch.rows;
    }
    return PALI_OK;
}

/* ---- A step ----------------------------------------------------------- */

/* The next examples; again those of a step that failed or was given up. */
static pali_status load_batch(pl_trainer *t, size_t *count, pali_error *err)
{
    *count = 0;
    pali_status status = t->loader && pl_loader_position(t->loader) == t->seen ? PALI_OK : pl_trainer_load_from(t, t->seen, err);
    if (status != PALI_OK)
        return status;
    for (; *count < t->plan.batch; ++*count) {
        status = pl_loader_next(t->loader, &t->examples[*count], err);
        if (status != PALI_OK || !t->examples[*count])
            return status;
    }
    return PALI_OK;
}

static pali_status move(pl_trainer *t, double weight, pali_error *err)
{
    pl_context ctx = pl_trainer_context(t, NULL);
    pl_step_report report;
    const pali_status status = pl_optimiser_step(t->optimiser, &ctx, 1 / weight, &report, err);
    if (status != PALI_OK) {
        pl_error_prefix(err, "batch from %s:%zu on", pl_dataset_path(t->data, t->examples[0]->place.source), t->examples[0]->line);
        return status;
    }
    t->last.lr = report.lr;
    t->last.norm = report.norm;
    return PALI_OK;
}

pali_status pl_trainer_step(pl_trainer *t, double *loss, pali_error *err)
{
    size_t count = 0;
    double sum = 0, weight = 0;
    pali_status status = load_batch(t, &count, err);
    if (status == PALI_OK) {
        pl_parameters_zero(t->parameters, t->pool);
        status = pl_trainer_losses(t, t->examples, count, true, &sum, &weight, err);
    }
    weight = fmax(weight, 1);
    if (status == PALI_OK)
        status = move(t, weight, err);
    for (size_t i = 0; i < t->plan.batch; i++) {
        pl_example_free(t->examples[i]);
        t->examples[i] = NULL;
    }
    if (status != PALI_OK)
        return status;
    t->seen = pl_loader_position(t->loader);
    t->last.step++;
    t->last.examples += count;
    t->last.loss = sum / weight;
    t->last.seconds = pl_now() - t->began;
    if (loss)
        *loss = t->last.loss;
    return PALI_OK;
}
