/*
 * The label-leak test: a token of an answer is changed, and nothing that stands
 * before it may change by a bit. It catches what would make a loss fall to
 * nothing and teach nothing: a mask that lets answers be seen.
 */
#include "train/trainer_parts.h"

#include <stdlib.h>
#include <string.h>

/* Hidden rows at every row of text, in the arena. */
static pl_rows hidden_rows(pl_context *ctx, const pl_trainer *t, const pl_microbatch *batch)
{
    const pl_rows hidden = pl_constant_push(ctx, batch->wanted, t->model->gemma.config.width);
    pl_objective_hidden(ctx, &t->objective, batch, hidden);
    return hidden;
}

/* Compares the rows before text position `at` of the only example. */
static pali_status compare(pl_trainer *t, pl_example *example, size_t at, pali_error *err)
{
    pl_layout_options layout = t->layout;
    layout.loss_on_prefix = true; /* the rows of all text are put out */
    const pl_example *const one[] = {example};
    pl_context ctx = pl_trainer_context(t, NULL);
    pali_status status = pl_microbatch_lay(&t->microbatch, &layout, one, 1, err);
    if (status != PALI_OK)
        return status;
    const pl_rows before = hidden_rows(&ctx, t, &t->microbatch);
    const int32_t id = t->microbatch.ids[at];
    t->microbatch.ids[at] = id > 0 ? id - 1 : id + 1;
    const pl_rows after = hidden_rows(&ctx, t, &t->microbatch);
    const bool same = ctx.failed || memcmp(before.data, after.data, at * before.width * sizeof(float)) == 0;
    const bool heard = ctx.failed || memcmp(before.data, after.data, (at + 1) * before.width * sizeof(float)) != 0;
    pl_arena_release(&t->arena, 0);
    if (ctx.failed)
        return pl_fail_memory(err, "the leak test", t->arena.size);
    if (!same)
        return pl_fail(err, PALI_FAILED, "leak test: changing token %zu of the answer of %s:%zu changed what stands before it; expected nothing before it to change", at,
                       pl_dataset_path(t->data, example->place.source), example->line);
    return heard ? PALI_OK : pl_fail(err, PALI_FAILED, "leak test: changing token %zu of %s:%zu changed nothing at all", at, pl_dataset_path(t->data, example->place.source), example->line);
}

/* The first few rows with an answer of more than one token. */
pali_status pl_trainer_check_leaks(pl_trainer *t, pali_error *err)
{
    enum { TRIED = 32, CHECKED = 2 };
    size_t checked = 0;
    pali_status status = PALI_OK;
    for (uint64_t n = 0; n < TRIED && checked < CHECKED && status == PALI_OK; n++) {
        pali_error why = {0};
        pl_example *example = pl_example_read(t->data, pl_dataset_place(t->data, n), t->cache, true, &why);
        if (!example)
            continue; /* bad rows are told of, or end the run, when their turn comes */
        if (example->count >= example->prefix_count + 2) {
            status = pl_trainer_encode_missing(t, &example, 1, err);
            if (status == PALI_OK)
                status = compare(t, example, example->prefix_count + (example->count - example->prefix_count - 2) / 2, err);
            checked++;
        }
        pl_example_free(example);
    }
    return status;
}
