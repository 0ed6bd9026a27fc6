/* What a run looks at besides its own loss: held-out loss, and answers to a few rows. */
#include "train/trainer_parts.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Held-out loss ---------------------------------------------------- */

static pali_status measure(pl_trainer *t, pl_loader *loader, double *loss, pali_error *err)
{
    double sum = 0, weight = 0;
    for (bool more = true; more;) {
        size_t count = 0;
        pali_status status = PALI_OK;
        while (status == PALI_OK && more && count < t->plan.batch) {
            status = pl_loader_next(loader, &t->examples[count], err);
            more = status == PALI_OK && t->examples[count];
            count += more;
        }
        double some = 0, of = 0;
        if (status == PALI_OK)
            status = pl_trainer_losses(t, t->examples, count, false, &some, &of, err);
        for (size_t i = 0; i < t->plan.batch; i++) {
            pl_example_free(t->examples[i]);
            t->examples[i] = NULL;
        }
        if (status != PALI_OK)
            return status;
        sum += some;
        weight += of;
    }
    *loss = weight > 0 ? sum / weight : NAN;
    return PALI_OK;
}

pali_status pl_trainer_evaluate(pl_trainer *t, double *loss, pali_error *err)
{
    if (!t->held_out)
        return pl_fail(err, PALI_USAGE, "validation: found no held-out rows, expected a JSONL file");
    const size_t rows = pl_dataset_epoch(t->held_out), most = t->recipe->eval_examples ? pl_min(rows, t->recipe->eval_examples) : rows;
    const pl_loader_options options = {.end = most, .workers = pl_trainer_workers(t), .stop_on_bad = false, .cache = t->cache,
                                       .on_bad = t->told_held_out ? NULL : pl_trainer_tell_bad_row, .on_bad_context = t};
    pl_loader *loader = pl_loader_new(t->held_out, &options, err);
    if (!loader)
        return PALI_MEMORY;
    t->told_held_out = true;
    const uint64_t rows_since = t->rows_since;
    const double began = pl_now();
    const pali_status status = measure(t, loader, loss, err);
    pl_loader_free(loader);
    t->rows_since = rows_since; /* the speed of training leaves measuring out */
    t->last_logged += pl_now() - began;
    return status;
}

/* ---- Answers ---------------------------------------------------------- */

static pali_status answer(pl_trainer *t, const pl_example *example, pl_train_sample *sample, pali_error *err)
{
    pl_timeline line;
    const pl_question question = {.max_tokens = pl_max(16, 2 * example->count)};
    const pl_image *const pictures[] = {&sample->picture};
    pl_timeline_init(&line, &t->engine, 0);
    pali_status status = pl_timeline_set_images(&line, pictures, 1, err);
    if (status == PALI_OK)
        status = pl_timeline_prompt(&line, example->prefix, &question, err);
    while (status == PALI_OK && line.phase != PL_PHASE_DONE) {
        pl_timeline *const one = &line;
        status = pl_step(&one, 1, err);
    }
    if (status == PALI_OK && !(sample->answer = pl_format(err, "%s", line.text.data ? line.text.data : "")))
        status = PALI_MEMORY;
    pl_timeline_free(&line);
    return status;
}

static pali_status sample_row(pl_trainer *t, const pl_dataset *rows, size_t i, pl_train_sample *sample, pali_error *err)
{
    pl_example *example = pl_example_read(rows, pl_dataset_place(rows, i), NULL, false, err);
    pali_status status = example ? PALI_OK : pl_status_of(err, PALI_INPUT);
    if (status == PALI_OK && example->image_count == 1) {
        status = pl_image_open(example->images[0].path, &sample->picture, err);
        sample->prefix = pl_format(err, "%s", example->prefix);
        sample->expected = pl_format(err, "%s", example->suffix);
        if (status == PALI_OK && (!sample->prefix || !sample->expected))
            status = PALI_MEMORY;
        if (status == PALI_OK)
            status = answer(t, example, sample, err);
    }
    pl_example_free(example);
    return status;
}

static void free_sample(pl_train_sample *sample)
{
    free(sample->prefix);
    free(sample->expected);
    free(sample->answer);
    pl_image_free(&sample->picture);
    *sample = (pl_train_sample){0};
}

void pl_trainer_free_samples(pl_trainer *t)
{
    for (size_t i = 0; i < t->sample_count; i++)
        free_sample(&t->samples[i]);
    free(t->samples);
    t->samples = NULL;
    t->sample_count = 0;
}

pali_status pl_trainer_sample(pl_trainer *t, pali_error *err)
{
    const pl_dataset *rows = t->held_out ? t->held_out : t->data;
    const size_t count = pl_min(t->recipe->samples, pl_dataset_epoch(rows));
    const double began = pl_now();
    pl_trainer_free_samples(t);
    if (count == 0 || !pl_objective_traits_of(t->objective.kind)->answers)
        return PALI_OK;
    t->samples = pl_new(count, sizeof *t->samples, "samples", err);
    if (!t->samples)
        return PALI_MEMORY;
    for (size_t i = 0; i < count; i++) {
        pl_train_sample *sample = &t->samples[t->sample_count];
        pali_error why = {0};
        const pali_status status = sample_row(t, rows, i, sample, &why);
        if (status == PALI_MEMORY) {
            free_sample(sample);
            return pl_fail(err, status, "%s", why.message);
        }
        if (status != PALI_OK || !sample->answer) { /* a row that cannot be used was told of when it came up, or shows no picture or several */
            free_sample(sample);
            continue;
        }
        t->sample_count++;
        pl_trainer_send(t, PL_TRAIN_SAMPLE, sample->answer, sample);
    }
    t->samples_step = t->last.step;
    t->last_logged += pl_now() - began;
    return PALI_OK;
}
