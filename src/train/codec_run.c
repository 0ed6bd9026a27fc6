/* Between the recipe and the mask codec's trainer. */
#include "train/codec_run.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "train/codec_record.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pl_codec_run {
    const pl_recipe *recipe;
    pl_trainer_options options;
    pl_codec_options codec;
    pl_mask_source *sources; /* [data, then validation] owned */
    pl_pool *pool;           /* owned */
    pl_codec_trainer *trainer;
    pl_codec_report last;    /* of the last step */
    pl_codec_record record;
    double begin;            /* of this process's part, seconds */
    uint64_t first_step;     /* of it */
    double held_out;         /* loss, NAN: not measured yet */
    int lock;                /* of the codec's file, -1: none */
};

/* ---- The recipe -------------------------------------------------------- */

static pali_status read_widths(const pl_recipe_words *words, pl_codec_widths *widths, pali_error *err)
{
    size_t *const to[] = {&widths->channels[0], &widths->channels[1], &widths->channels[2], &widths->channels[3], &widths->code};
    const size_t count = sizeof to / sizeof *to;
    if (words->count == 0)
        return PALI_OK;
    if (words->count != count)
        return pl_fail(err, PALI_USAGE, "codec_widths: found %zu numbers, expected %zu: channels of four steps, and values of a code", words->count, count);
    for (size_t i = 0; i < count; i++) {
        char *end;
        const unsigned long value = strtoul(words->items[i], &end, 10);
        if (*end || end == words->items[i] || words->items[i][0] == '-' || value < 1 || value > 4096)
            return pl_fail(err, PALI_USAGE, "codec_widths: found '%s', expected whole numbers from 1 to 4096", words->items[i]);
        *to[i] = value;
    }
    return PALI_OK;
}

static void take_sources(const pl_recipe_sources *from, pl_mask_source *to)
{
    for (size_t i = 0; i < from->count; i++)
        to[i] = (pl_mask_source){.path = from->items[i].path, .images = from->items[i].images, .skip = from->items[i].skip, .limit = from->items[i].limit};
}

/* Steps come later where they are told in epochs: they take the number of masks. */
static pali_status take_recipe(pl_codec_run *run, pali_error *err)
{
    const pl_recipe *r = run->recipe;
    pl_codec_options *o = &run->codec;
    *o = pl_codec_options_default();
    run->sources = pl_new(r->data.count + r->validation.count, sizeof *run->sources, "sources of masks", err);
    if (!run->sources)
        return PALI_MEMORY;
    take_sources(&r->data, run->sources);
    take_sources(&r->validation, run->sources + r->data.count);
    o->data = run->sources;
    o->data_count = r->data.count;
    o->validation = run->sources + r->data.count;
    o->validation_count = r->validation.count;
    o->validation_limit = r->eval_examples;
    o->skip_bad = strcmp(r->on_bad_row, "skip") == 0;
    o->out = r->codec;
    o->fresh = strcmp(r->resume, "never") == 0;
    o->begin = r->mask_codec;
    o->seed = r->seed;
    o->batch = r->batch;
    o->steps = r->steps;
    o->epochs = r->epochs;
    pl_optimiser_kind kind;
    pali_status status = pl_optimiser_parse(r->optimizer, "optimizer", &kind, err);
    if (status == PALI_OK)
        status = pl_schedule_parse(r->schedule, "schedule", &o->rate.schedule.kind, err);
    if (status != PALI_OK)
        return status;
    o->optimiser = (pl_optimiser_options){.kind = kind, .beta1 = r->beta1, .beta2 = r->beta2, .eps = r->eps, .momentum = r->momentum, .clip = r->clip};
    o->rate.lr = r->lr;
    o->rate.weight_decay = r->weight_decay;
    o->biases_decay = strcmp(r->decay, "all") == 0;
    o->rate.schedule.timescale = r->timescale;
    o->warmup = r->warmup;
    return read_widths(&r->codec_widths, &o->widths, err);
}

static void tell(pl_codec_run *run, pl_train_event event)
{
    event.steps = run->codec.steps;
    event.step = run->trainer ? pl_codec_trainer_steps(run->trainer) : 0;
    event.examples = event.step * run->codec.batch;
    event.tokens_per_second = NAN;
    event.held_out = run->held_out;
    event.seconds = pl_now() - run->begin;
    event.seconds_left = event.step > run->first_step ? event.seconds / (double)(event.step - run->first_step) * (double)(event.steps - event.step) : NAN;
    if (run->options.listen)
        run->options.listen(run->options.context, &event);
}

static void tell_bad_masks(pl_codec_run *run, const char *which, const pl_mask_pool *masks)
{
    char text[640];
    snprintf(text, sizeof text, "%zu %smasks cannot be used; the first: %s", masks->bad, which, masks->first_bad);
    if (masks->bad > 0)
        tell(run, (pl_train_event){.kind = PL_TRAIN_WARNING, .text = text, .loss = NAN, .lr = NAN, .norm = NAN});
}

/* One run at a time writes a codec. */
static pali_status take_lock(pl_codec_run *run, pali_error *err)
{
    char *path = pl_format(err, "%s.lock", run->recipe->codec);
    const pali_status status = path ? pl_file_lock(path, run->recipe->codec, "another run is teaching it; name another file, or wait", &run->lock, err) : PALI_MEMORY;
    free(path);
    return status;
}

/* What is there is not replaced unasked: a codec that is not gone on with, or anything that is no codec. */
static pali_status check_place(const pl_recipe *r, pali_error *err)
{
    if (pl_is_folder(r->codec))
        return pl_fail(err, PALI_USAGE, "codec: %s: found a folder, expected the name of a file to write", r->codec);
    char *state = pl_format(err, "%s.state", r->codec);
    if (!state)
        return PALI_MEMORY;
    const bool there = pl_is_file(r->codec) || pl_is_file(state), goes_on = strcmp(r->resume, "never") != 0 && pl_is_file(state);
    free(state);
    return !there || goes_on || r->force ? PALI_OK : pl_fail(err, PALI_USAGE, "codec: %s: found a codec, expected no such file; force=true replaces it", r->codec);
}

/* The folder of the file, now: what is learned must not be lost when it is first saved. */
static pali_status make_folder_of(const char *path, pali_error *err)
{
    const char *const slash = strrchr(path, '/');
    char *folder = slash ? pl_strndup(path, (size_t)(slash - path) + (slash == path), err) : pl_strdup(".", err);
    pali_status status = folder ? pl_folder_make(folder, err) : PALI_MEMORY;
    if (status == PALI_OK && access(folder, W_OK) != 0)
        status = pl_fail(err, PALI_FAILED, "codec: %s: cannot be written to: %s", folder, strerror(errno));
    free(folder);
    return status;
}

pl_codec_run *pl_codec_run_open(const pl_recipe *recipe, const pl_trainer_options *options, pali_error *err)
{
    pl_codec_run *run = pl_new(1, sizeof *run, "training of the mask codec", err);
    if (!run)
        return NULL;
    *run = (pl_codec_run){.recipe = recipe, .options = *options, .begin = pl_now(), .held_out = NAN, .lock = -1};
    pali_status status = take_recipe(run, err);
    if (status == PALI_OK)
        status = check_place(recipe, err);
    if (status == PALI_OK && !options->dry_run)
        status = make_folder_of(recipe->codec, err);
    if (status == PALI_OK && !options->dry_run)
        status = take_lock(run, err);
    if (status == PALI_OK) {
        run->codec.hands.kernels = pl_kernels_get(NULL, err);
        run->pool = run->codec.hands.kernels ? pl_pool_new(options->threads ? options->threads : recipe->threads, err) : NULL;
        run->codec.hands.pool = run->pool;
        status = run->pool ? PALI_OK : pl_status_of(err, PALI_MEMORY);
    }
    run->trainer = status == PALI_OK ? pl_codec_trainer_open(&run->codec, err) : NULL;
    if (!run->trainer) {
        pl_codec_run_free(run);
        return NULL;
    }
    run->codec.steps = pl_codec_trainer_total(run->trainer);
    run->first_step = pl_codec_trainer_steps(run->trainer);
    if (run->first_step == 0 && strcmp(recipe->resume, "must") == 0)
        status = pl_fail(err, PALI_USAGE, "resume: must, but found no run to go on with beside %s", recipe->codec);
    if (status == PALI_OK && !options->dry_run)
        status = pl_codec_record_open(&run->record, recipe, run->trainer, err);
    if (status != PALI_OK) {
        pl_codec_run_free(run);
        return NULL;
    }
    tell_bad_masks(run, "", pl_codec_trainer_masks(run->trainer));
    tell_bad_masks(run, "held-out ", pl_codec_trainer_held_out(run->trainer));
    return run;
}

void pl_codec_run_free(pl_codec_run *run)
{
    if (!run)
        return;
    pl_codec_record_close(&run->record);
    if (run->lock >= 0)
        close(run->lock);
    pl_codec_trainer_free(run->trainer);
    pl_pool_free(run->pool);
    free(run->sources);
    free(run);
}

/* ---- What it will be --------------------------------------------------- */

pl_codec_plan pl_codec_run_plan(const pl_codec_run *run)
{
    const uint64_t trained = pl_codec_trainer_trained(run->trainer), masks = pl_codec_trainer_masks(run->trainer)->count, held_out = pl_codec_trainer_held_out(run->trainer)->count;
    return (pl_codec_plan){
        .steps = run->codec.steps,
        .done = pl_codec_trainer_steps(run->trainer),
        .masks = masks,
        .held_out = held_out,
        .trained = trained,
        .batch = run->codec.batch,
        .activations = pl_codec_trainer_bytes(run->trainer),
        .total = pl_codec_trainer_bytes(run->trainer) + (masks + held_out) * PL_CODEC_MAP + 4 * trained * sizeof(float),
    };
}

char *pl_codec_run_describe(const pl_codec_run *run, pali_error *err)
{
    const pl_codec_plan p = pl_codec_run_plan(run);
    char done[64] = "";
    if (p.done > 0)
        snprintf(done, sizeof done, ", of which %llu are made", (unsigned long long)p.done);
    return pl_format(err, "mask codec  %s, %llu parameters\nmasks       %llu, each once; %llu held out\nsteps       %llu of %zu masks%s\nmemory      %.0f MB\n", run->codec.out,
                     (unsigned long long)p.trained, (unsigned long long)p.masks, (unsigned long long)p.held_out, (unsigned long long)p.steps, p.batch, done, (double)p.total * 1e-6);
}

/* ---- The run ----------------------------------------------------------- */

pali_status pl_codec_run_step(pl_codec_run *run, double *loss, pali_error *err)
{
    const pl_codec_report *found = &run->last;
    const pali_status status = pl_codec_trainer_step(run->trainer, &run->last, err);
    if (status != PALI_OK)
        return status;
    if (loss)
        *loss = found->loss;
    tell(run, (pl_train_event){.kind = PL_TRAIN_STEP, .loss = found->loss, .lr = found->lr, .norm = found->norm});
    return PALI_OK;
}

pali_status pl_codec_run_evaluate(pl_codec_run *run, double *loss, pali_error *err)
{
    const double before = pl_codec_trainer_best(run->trainer);
    double overlap;
    const pali_status status = pl_codec_trainer_evaluate(run->trainer, &overlap, err);
    if (status != PALI_OK)
        return status;
    char text[96];
    const bool best = pl_codec_trainer_best(run->trainer) > before;
    run->held_out = 1 - overlap;
    if (loss)
        *loss = run->held_out;
    snprintf(text, sizeof text, "held-out masks come back with a mean overlap of %.4f", overlap);
    tell(run, (pl_train_event){.kind = PL_TRAIN_EVALUATED, .text = text, .loss = NAN, .lr = NAN, .norm = NAN, .best = best});
    tell(run, (pl_train_event){.kind = PL_TRAIN_NOTE, .text = text, .loss = NAN, .lr = NAN, .norm = NAN});
    return PALI_OK;
}

pali_status pl_codec_run_save(pl_codec_run *run, pali_error *err)
{
    const pali_status status = pl_codec_trainer_save(run->trainer, err);
    if (status == PALI_OK)
        tell(run, (pl_train_event){.kind = PL_TRAIN_SAVED, .text = run->codec.out, .loss = NAN, .lr = NAN, .norm = NAN});
    return status;
}

static bool due(const pl_codec_run *run, uint64_t every)
{
    const uint64_t step = pl_codec_trainer_steps(run->trainer);
    return step == run->codec.steps || (every > 0 && step % every == 0);
}

/* The rows first: what a killed run goes on from has all of its own. */
static pali_status keep(pl_codec_run *run, const char *state, pali_error *err)
{
    const double began = pl_now();
    pali_status status = pl_codec_record_sync(&run->record, err);
    if (status == PALI_OK)
        status = pl_codec_run_save(run, err);
    if (status == PALI_OK)
        status = pl_codec_record_report(&run->record, run->trainer, state, err);
    pl_codec_record_pause(&run->record, pl_now() - began);
    return status;
}

/* What is due after a step. */
static pali_status look_after(pl_codec_run *run, pali_error *err)
{
    const pl_recipe *r = run->recipe;
    const bool measured = r->validation.count && due(run, r->eval_every);
    const double began = pl_now();
    double held_out = NAN;
    pali_status status = measured ? pl_codec_run_evaluate(run, &held_out, err) : PALI_OK;
    pl_codec_record_pause(&run->record, pl_now() - began);
    if (status == PALI_OK && (measured || due(run, r->log_every)))
        status = pl_codec_record_row(&run->record, &run->last, held_out, err);
    if (status == PALI_OK && due(run, r->save_every))
        status = keep(run, pl_codec_trainer_steps(run->trainer) == run->codec.steps ? "finished" : "running", err);
    return status;
}

pali_status pl_codec_run_all(pl_codec_run *run, pali_error *err)
{
    if (pl_codec_trainer_steps(run->trainer) >= run->codec.steps) {
        char text[96];
        snprintf(text, sizeof text, "all %llu steps were made before", (unsigned long long)run->codec.steps);
        tell(run, (pl_train_event){.kind = PL_TRAIN_NOTE, .text = text, .loss = NAN, .lr = NAN, .norm = NAN});
        return keep(run, "finished", err); /* it may have been killed between its state and its file */
    }
    while (pl_codec_trainer_steps(run->trainer) < run->codec.steps) {
        if (run->options.stop && run->options.stop(run->options.context)) {
            const pali_status saved = keep(run, "interrupted", err);
            return saved == PALI_OK ? pl_fail(err, PALI_CANCELLED, "interrupted after step %llu; the same command goes on from there", (unsigned long long)pl_codec_trainer_steps(run->trainer)) : saved;
        }
        pali_status status = pl_codec_run_step(run, NULL, err);
        if (status == PALI_OK)
            status = look_after(run, err);
        if (status != PALI_OK)
            return status;
    }
    return PALI_OK;
}
