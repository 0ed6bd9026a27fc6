/* The run: steps, and at their times the log, held-out loss, samples, checkpoints and the report. */
#include "train/trainer_parts.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const pl_log_column pl_train_columns[PL_TRAIN_COLUMNS] = {
    PL_TRAIN_LOG_LIST(PL_LOG_COLUMN)
};

/* True at every n-th step, and at the last. */
static bool is_due(const pl_trainer *t, uint64_t every)
{
    return t->last.step == t->plan.steps || (every > 0 && t->last.step % every == 0);
}

static pali_status log_row(pl_trainer *t, bool measured, pali_error *err)
{
    const double now = pl_now(), spent = now - t->last_logged, waited = pl_loader_waited(t->loader);
    double values[PL_TRAIN_COLUMNS];
    values[PL_COLUMN_EXAMPLES] = (double)t->last.examples;
    values[PL_COLUMN_LOSS] = t->loss_since / (double)t->steps_since;
    values[PL_COLUMN_HELD_OUT] = measured ? t->last.held_out : NAN;
    values[PL_COLUMN_RATE] = t->last.lr;
    values[PL_COLUMN_NORM] = t->last.norm;
    values[PL_COLUMN_SPEED] = (double)t->rows_since / spent;
    values[PL_COLUMN_WAITED] = (waited - t->waited_before) / spent;
    values[PL_COLUMN_SECONDS] = now - t->began;
    t->last.tokens_per_second = values[PL_COLUMN_SPEED];
    t->waited_before = waited;
    t->last_logged = now;
    t->rows_since = t->steps_since = 0;
    t->loss_since = 0;
    return pl_log_row(&t->log, t->last.step, values, (double)time(NULL), err);
}

static pali_status evaluate(pl_trainer *t, bool *best, pali_error *err)
{
    double loss = NAN;
    const pali_status status = pl_trainer_evaluate(t, &loss, err);
    t->unmeasured = status == PALI_CANCELLED;
    if (status != PALI_OK)
        return status;
    t->last.held_out = loss;
    *best = isfinite(loss) && !(loss >= t->best);
    if (*best) {
        t->best = loss;
        t->best_step = (double)t->last.step;
    }
    t->last.best = *best;
    pl_trainer_send(t, PL_TRAIN_EVALUATED, NULL, NULL);
    return PALI_OK;
}

/* What is due after a step. */
static pali_status look_after(pl_trainer *t, pali_error *err)
{
    const pl_recipe *r = t->recipe;
    const bool measured = t->held_out && is_due(t, r->eval_every), sampled = is_due(t, r->sample_every);
    bool best = false;
    pali_status status = measured ? evaluate(t, &best, err) : PALI_OK;
    if (status == PALI_OK && (measured || is_due(t, r->log_every)))
        status = log_row(t, measured, err);
    if (status == PALI_OK && sampled)
        status = pl_trainer_sample(t, err);
    const bool saved = best || is_due(t, r->save_every);
    if (status == PALI_OK && saved)
        status = pl_log_sync(&t->log, err);
    if (status == PALI_OK && saved)
        status = pl_trainer_keep(t, best, err);
    if (status == PALI_OK && r->report && (saved || sampled || measured))
        status = pl_trainer_report(t, t->last.step == t->plan.steps ? "finished" : "running", err);
    return status;
}

/* Interrupted: nothing that was done is lost. */
static pali_status stop_run(pl_trainer *t, pali_error *err)
{
    pali_error why = {0};
    pali_status status = t->last.step > t->saved_at ? pl_trainer_keep(t, false, &why) : PALI_OK;
    if (status == PALI_OK && t->recipe->report)
        status = pl_trainer_report(t, "interrupted", &why);
    if (status != PALI_OK)
        return pl_fail(err, status, "interrupted, and then: %s", why.message);
    return pl_fail(err, PALI_CANCELLED, "interrupted after step %llu; the same command goes on from there", (unsigned long long)t->last.step);
}

static pali_status make_step(pl_trainer *t, pali_error *err)
{
    const pali_status status = pl_trainer_step(t, NULL, err);
    if (status != PALI_OK)
        return status;
    const double made = (double)(t->last.step - t->begun_at);
    t->loss_since += t->last.loss;
    t->steps_since++;
    const double now = pl_now();
    if (is_due(t, t->recipe->log_every)) /* what the row of the log will say but for measuring */
        t->last.tokens_per_second = (double)t->rows_since / (now - t->last_logged);
    t->last.seconds_left = (now - t->began) / made * (double)(t->plan.steps - t->last.step);
    pl_trainer_send(t, PL_TRAIN_STEP, NULL, NULL);
    return PALI_OK;
}

pali_status pl_trainer_run(pl_trainer *t, pali_error *err)
{
    if (t->last.step >= t->plan.steps && !t->unmeasured)
        pl_trainer_tell(t, PL_TRAIN_NOTE, "all %llu steps were made before; there is nothing to do", (unsigned long long)t->plan.steps);
    while (t->unmeasured || t->last.step < t->plan.steps) {
        pali_status status = t->unmeasured ? PALI_OK : make_step(t, err);
        if (status == PALI_OK)
            status = look_after(t, err);
        if (status == PALI_CANCELLED)
            return stop_run(t, err);
        if (status == PALI_INPUT && t->last.step > t->saved_at) /* a row's fault: the weights are good, and on_bad_row=skip goes on with them */
            pl_trainer_keep(t, false, NULL);
        if (status != PALI_OK)
            return status;
    }
    return PALI_OK;
}

/* ---- The report ------------------------------------------------------- */

enum { FACTS = 9, FACT_BYTES = 300 };

/* Facts about the run into texts and list; returns how many. */
static size_t list_facts(const pl_trainer *t, char texts[FACTS][FACT_BYTES], pl_report_fact *facts)
{
    const pl_train_plan *p = &t->plan;
    char total[32], mapped[32];
    size_t n = 0;
#define FACT(label, ...) (snprintf(texts[n], FACT_BYTES, __VA_ARGS__), facts[n] = (pl_report_fact){label, texts[n]}, n++)
    FACT("model", "%s", t->recipe->model ? t->recipe->model : "from nothing");
    FACT("data", "%zu rows, %llu examples seen", p->survey.rows, (unsigned long long)t->last.examples);
    FACT("step", "%llu of %llu, %zu examples each, %zu at a time", (unsigned long long)t->last.step, (unsigned long long)p->steps, p->batch, p->micro_batch);
    FACT("trained", "%llu values in %zu tensors", (unsigned long long)p->memory.trained, t->parameters->count);
    FACT("loss", "%.6g", t->last.loss);
    if (isfinite(t->best))
        FACT("lowest held-out loss", "%.6g after step %.0f", t->best, t->best_step);
    FACT("memory", "%s, and %s of weights mapped from files", pl_bytes_text(p->total, total), pl_bytes_text(p->memory.mapped, mapped));
    FACT("processor", "%s kernels, %zu threads, pali %s", t->engine.kernels->level, pl_pool_threads(t->pool), PALI_VERSION);
    FACT("time", "%.0f s since it was started or gone on with", pl_now() - t->began);
#undef FACT
    return n;
}

static pali_status list_samples(const pl_trainer *t, pl_report_sample **list, pali_error *err)
{
    *list = pl_new(t->sample_count, sizeof **list, "samples", err);
    for (size_t i = 0; *list && i < t->sample_count; i++) {
        const pl_train_sample *s = &t->samples[i];
        (*list)[i] = (pl_report_sample){.prefix = s->prefix, .expected = s->expected, .answer = s->answer, .picture = s->picture.width ? &s->picture : NULL};
    }
    return *list ? PALI_OK : PALI_MEMORY;
}

/* The held-out loss in the row of a step, NAN: none was measured. */
static double held_out_at(const pl_log_table *rows, uint64_t step)
{
    const size_t column = PL_COLUMN_HELD_OUT + 1; /* behind the step */
    for (size_t i = rows->rows; i-- > 0 && column < rows->columns;)
        if (rows->values[i * rows->columns] == (double)step)
            return rows->values[i * rows->columns + column];
    return NAN;
}

static pali_status list_snapshots(const pl_trainer *t, pl_report_snapshot **list, char (**names)[40], size_t *count, pali_error *err)
{
    pl_snapshot_entry *entries = NULL;
    pl_log_table rows = {0};
    pali_status status = pl_log_read(t->log.csv_path, &rows, err);
    if (status == PALI_OK)
        status = pl_snapshot_list(t->recipe->out, &entries, count, err);
    if (status != PALI_OK) {
        pl_log_table_free(&rows);
        return status;
    }
    *list = pl_new(*count, sizeof **list, "checkpoints", err);
    *names = pl_new(*count, sizeof **names, "checkpoints", err);
    for (size_t i = 0; *list && *names && i < *count; i++) {
        snprintf((*names)[i], sizeof (*names)[i], "checkpoint-%llu", (unsigned long long)entries[i].step);
        (*list)[i] = (pl_report_snapshot){.name = (*names)[i], .step = entries[i].step, .score = held_out_at(&rows, entries[i].step), .last = entries[i].last, .best = entries[i].best};
    }
    free(entries);
    pl_log_table_free(&rows);
    return *list && *names ? PALI_OK : PALI_MEMORY;
}

pali_status pl_trainer_report(const pl_trainer *t, const char *state, pali_error *err)
{
    char texts[FACTS][FACT_BYTES], (*names)[40] = NULL;
    pl_report_fact facts[FACTS];
    pl_report report = {.title = t->recipe->out, .state = state, .facts = facts, .columns = pl_train_columns, .column_count = PL_TRAIN_COLUMNS, .metrics = t->log.csv_path,
                        .sample_count = t->sample_count, .samples_step = t->samples_step, .recipe = t->recipe_text};
    pl_report_sample *samples = NULL;
    pl_report_snapshot *snapshots = NULL;
    report.fact_count = list_facts(t, texts, facts);
    char *path = pl_format(err, "%s/report.html", t->recipe->out);
    pali_status status = path ? list_samples(t, &samples, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = list_snapshots(t, &snapshots, &names, &report.snapshot_count, err);
    report.samples = samples;
    report.snapshots = snapshots;
    if (status == PALI_OK)
        status = pl_report_write(&report, path, err);
    free(path);
    free(samples);
    free(snapshots);
    free(names);
    return status;
}
