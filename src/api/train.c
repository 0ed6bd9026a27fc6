/* pali_trainer: a recipe and the run that it makes, of a model or of a mask codec, told in public words. */
#include "api/handles.h"

#include "train/codec_run.h"
#include "train/trainer.h"

#include <pali/train.h>
#include <stdlib.h>
#include <string.h>

struct pali_trainer {
    pl_recipe recipe;
    char *text; /* of the recipe, owned */
    pali_train_options options;
    pl_trainer *run;     /* of a model, or */
    pl_codec_run *codec; /* of a mask codec; the other is NULL */
};

_Static_assert((int)PALI_TRAIN_NOTE == (int)PL_TRAIN_NOTE && (int)PALI_TRAIN_SAVED == (int)PL_TRAIN_SAVED, "the kinds of events are the same");

static void pass_on(void *context, const pl_train_event *event)
{
    const pali_trainer *const t = context;
    const pali_train_event told = {
        .kind = (pali_train_event_kind)event->kind,
        .text = event->text,
        .prefix = event->prefix,
        .expected = event->expected,
        .step = event->step,
        .steps = event->steps,
        .examples = event->examples,
        .loss = event->loss,
        .held_out = event->held_out,
        .learning_rate = event->lr,
        .gradient_norm = event->norm,
        .tokens_per_second = event->tokens_per_second,
        .seconds = event->seconds,
        .seconds_left = event->seconds_left,
        .best = event->best,
        .logged = event->kind == PL_TRAIN_STEP && (event->step % t->recipe.log_every == 0 || event->step == event->steps),
    };
    t->options.listen(t->options.listen_context, &told);
}

static bool ask(void *context)
{
    const pali_trainer *const t = context;
    return t->options.stop(t->options.stop_context);
}

static pali_status open_run(pali_trainer *t, const char *recipe, const char *const *settings, size_t count, pali_error *err)
{
    pali_status status = pl_recipe_open(&t->recipe, recipe, settings, count, err);
    if (status != PALI_OK)
        return status;
    pl_buffer text = {0};
    status = pl_recipe_write(&t->recipe, &text, err);
    t->text = text.data;
    if (status != PALI_OK)
        return status;
    const pl_trainer_options options = {
        .listen = t->options.listen ? pass_on : NULL,
        .stop = t->options.stop ? ask : NULL,
        .context = t,
        .dry_run = t->options.dry_run,
        .threads = t->options.threads || t->recipe.threads ? t->options.threads : t->options.usual_threads,
    };
    if (t->recipe.codec)
        t->codec = pl_codec_run_open(&t->recipe, &options, err);
    else
        t->run = pl_trainer_open(&t->recipe, &options, err);
    return t->run || t->codec ? PALI_OK : pl_status_of(err, PALI_FAILED);
}

pali_trainer *pali_trainer_new(const char *recipe, const char *const *settings, size_t count, const pali_train_options *options, pali_error *err)
{
    if (count > 0 && pl_need(settings, "pali_trainer_new", "settings", err) != PALI_OK)
        return NULL;
    pali_trainer *const t = pl_new(1, sizeof *t, "trainer", err);
    if (!t)
        return NULL;
    pl_take_options(&t->options, sizeof t->options, options);
    if (open_run(t, recipe, settings, count, err) == PALI_OK)
        return t;
    pali_trainer_free(t);
    return NULL;
}

void pali_trainer_free(pali_trainer *trainer)
{
    if (!trainer)
        return;
    pl_trainer_free(trainer->run);
    pl_codec_run_free(trainer->codec);
    pl_recipe_close(&trainer->recipe);
    free(trainer->text);
    free(trainer);
}

/* PALI_USAGE where there is no trainer, or one that cannot move. */
static pali_status need_run(const pali_trainer *trainer, const char *call, pali_error *err)
{
    const pali_status status = pl_need(trainer, call, "trainer", err);
    if (status == PALI_OK && trainer->options.dry_run)
        return pl_fail(err, PALI_USAGE, "%s: the trainer is a dry run, expected one that can make steps", call);
    return status;
}

pali_status pali_trainer_run(pali_trainer *trainer, pali_error *err)
{
    const pali_status status = need_run(trainer, "pali_trainer_run", err);
    if (status != PALI_OK)
        return status;
    return trainer->codec ? pl_codec_run_all(trainer->codec, err) : pl_trainer_run(trainer->run, err);
}

pali_status pali_trainer_step(pali_trainer *trainer, double *loss, pali_error *err)
{
    const pali_status status = need_run(trainer, "pali_trainer_step", err);
    if (status != PALI_OK)
        return status;
    return trainer->codec ? pl_codec_run_step(trainer->codec, loss, err) : pl_trainer_step(trainer->run, loss, err);
}

pali_status pali_trainer_evaluate(pali_trainer *trainer, double *loss, pali_error *err)
{
    pali_status status = need_run(trainer, "pali_trainer_evaluate", err);
    if (status == PALI_OK)
        status = pl_need(loss, "pali_trainer_evaluate", "loss", err);
    if (status != PALI_OK)
        return status;
    return trainer->codec ? pl_codec_run_evaluate(trainer->codec, loss, err) : pl_trainer_evaluate(trainer->run, loss, err);
}

pali_status pali_trainer_save(pali_trainer *trainer, pali_error *err)
{
    const pali_status status = need_run(trainer, "pali_trainer_save", err);
    if (status != PALI_OK)
        return status;
    return trainer->codec ? pl_codec_run_save(trainer->codec, err) : pl_trainer_save(trainer->run, err);
}

/* ---- What it will be -------------------------------------------------- */

static pali_train_plan plan_of_model(const pl_trainer *run)
{
    const pl_train_plan *const p = pl_trainer_plan(run);
    return (pali_train_plan){
        .steps = p->steps,
        .done = pl_trainer_steps(run),
        .examples = p->examples,
        .batch = p->batch,
        .micro_batch = p->micro_batch,
        .trained = p->memory.trained,
        .truncated = p->survey.truncated,
        .surveyed = p->survey.texts,
        .longest = p->survey.ids_most,
        .values = p->memory.values + p->memory.adapters,
        .gradients = p->memory.gradients,
        .state = p->memory.state,
        .activations = p->activations + p->activation_gradients,
        .frozen = p->memory.copied,
        .mapped = p->memory.mapped,
        .total = p->total,
        .limit = p->limit,
        .recomputes = p->keep == PL_KEEP_BORDERS,
    };
}

static pali_train_plan plan_of_codec(const pl_codec_run *run)
{
    const pl_codec_plan p = pl_codec_run_plan(run);
    return (pali_train_plan){.steps = p.steps, .done = p.done, .examples = p.masks, .batch = p.batch, .micro_batch = p.batch, .trained = p.trained,
                             .values = p.trained * sizeof(float), .gradients = p.trained * sizeof(float), .state = 2 * p.trained * sizeof(float), .activations = p.activations,
                             .total = p.total};
}

pali_status pali_trainer_plan(const pali_trainer *trainer, pali_train_plan *plan, pali_error *err)
{
    pali_status status = pl_need(trainer, "pali_trainer_plan", "trainer", err);
    if (status == PALI_OK)
        status = pl_need(plan, "pali_trainer_plan", "plan", err);
    if (status != PALI_OK)
        return status;
    const size_t size = plan->size ? plan->size : sizeof *plan; /* of the caller's version */
    const pali_train_plan told = trainer->codec ? plan_of_codec(trainer->codec) : plan_of_model(trainer->run);
    memcpy(plan, &told, pl_min(size, sizeof told));
    plan->size = size;
    return PALI_OK;
}

char *pali_trainer_describe(const pali_trainer *trainer, pali_error *err)
{
    if (pl_need(trainer, "pali_trainer_describe", "trainer", err) != PALI_OK)
        return NULL;
    if (trainer->codec)
        return pl_codec_run_describe(trainer->codec, err);
    return pl_train_plan_text(pl_trainer_plan(trainer->run), pl_trainer_parameters(trainer->run), err);
}

const char *pali_trainer_recipe(const pali_trainer *trainer)
{
    return trainer ? trainer->text : NULL;
}
