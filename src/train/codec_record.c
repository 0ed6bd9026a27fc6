/* A row for each line of the log; maps and what comes back of them as pictures of the report. */
#include "train/codec_record.h"

#include "base/clock.h"
#include "base/file.h"
#include "train/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Columns of the log: X(field, name in the CSV, tag in TensorBoard, chart of the report, logarithmic). */
#define COLUMN_LIST(X)                                                                            \
    X(MASKS, "masks", NULL, NULL, false)                                                          \
    X(LOSS, "loss", "train/loss", "Mean squared error of maps", true)                             \
    X(COMMITMENT, "commitment", "train/commitment", "Mean squared distance to the codes", true)   \
    X(HELD_OUT, "held_out_loss", "held_out/loss", "One less the overlap of held-out masks", true) \
    X(RATE, "lr", "train/lr", "Learning rate", false)                                             \
    X(NORM, "grad_norm", "train/grad_norm", "Norm of gradients", true)                            \
    X(CODES, "codes", "train/codes", "Codes in use", false)                                       \
    X(RESTARTED, "restarted", "train/restarted", NULL, false)                                     \
    X(SPEED, "masks_per_second", "speed/masks_per_second", "Masks a second", false)               \
    X(SECONDS, "seconds", NULL, NULL, false)

enum {
#define COLUMN_ENUM(field, ...) COLUMN_##field,
    COLUMN_LIST(COLUMN_ENUM)
#undef COLUMN_ENUM
    COLUMNS
};

static const pl_log_column columns[COLUMNS] = {
    COLUMN_LIST(PL_LOG_COLUMN)
};

/* ---- The folder -------------------------------------------------------- */

char *pl_codec_record_in(const char *out)
{
    pl_recipe recipe = {0};
    char *path = pl_format(NULL, "%s/recipe.yaml", out), *codec = NULL;
    if (path && pl_is_file(path) && pl_recipe_open(&recipe, path, NULL, 0, NULL) == PALI_OK && recipe.codec)
        codec = pl_strdup(recipe.codec, NULL);
    pl_recipe_close(&recipe);
    free(path);
    return codec;
}

/* Another run has a recipe and a log of its own there. */
static pali_status refuse_others(const pl_recipe *recipe, pali_error *err)
{
    pl_snapshot_entry *entries = NULL;
    size_t count = 0;
    char *codec = pl_codec_record_in(recipe->out);
    pali_status status = pl_snapshot_list(recipe->out, &entries, &count, err);
    if (status == PALI_OK && count > 0)
        status = pl_fail(err, PALI_USAGE, "%s: found the run of a model, expected another folder for the codec's", recipe->out);
    else if (status == PALI_OK && codec && strcmp(codec, recipe->codec) != 0)
        status = pl_fail(err, PALI_USAGE, "%s: found the record of a run that teaches %s, expected another folder for %s", recipe->out, codec, recipe->codec);
    free(entries);
    free(codec);
    return status;
}

static pali_status write_recipe(pl_codec_record *record, pali_error *err)
{
    record->recipe_text = pl_recipe_text(record->recipe, err);
    return record->recipe_text ? pl_recipe_keep(record->recipe->out, record->recipe_text, err) : PALI_MEMORY;
}

pali_status pl_codec_record_open(pl_codec_record *record, const pl_recipe *recipe, const pl_codec_trainer *trainer, pali_error *err)
{
    const uint64_t step = pl_codec_trainer_steps(trainer);
    const double now = pl_now();
    *record = (pl_codec_record){.folder.lock = -1, .log = {.csv = -1, .events = -1}, .began = now, .last_row = now, .first_step = step, .last_step = step};
    if (!recipe->out)
        return PALI_OK;
    record->recipe = recipe;
    pali_status status = pl_run_folder_open(&record->folder, recipe->out, err);
    if (status == PALI_OK)
        status = refuse_others(recipe, err);
    if (status == PALI_OK)
        status = pl_log_open(&record->log, recipe->out, columns, COLUMNS, step > 0, step, err);
    return status == PALI_OK ? write_recipe(record, err) : status;
}

void pl_codec_record_close(pl_codec_record *record)
{
    if (!record->recipe)
        return;
    pl_log_close(&record->log);
    pl_run_folder_close(&record->folder);
    free(record->recipe_text);
}

void pl_codec_record_pause(pl_codec_record *record, double seconds)
{
    record->last_row += seconds;
}

/* ---- Rows -------------------------------------------------------------- */

pali_status pl_codec_record_row(pl_codec_record *record, const pl_codec_report *found, double held_out, pali_error *err)
{
    const double now = pl_now();
    double values[COLUMNS];
    if (!record->recipe)
        return PALI_OK;
    const double batch = (double)record->recipe->batch;
    values[COLUMN_MASKS] = (double)found->step * batch;
    values[COLUMN_LOSS] = found->loss;
    values[COLUMN_COMMITMENT] = found->commitment;
    values[COLUMN_HELD_OUT] = held_out;
    values[COLUMN_RATE] = found->lr;
    values[COLUMN_NORM] = found->norm;
    values[COLUMN_CODES] = (double)found->codes;
    values[COLUMN_RESTARTED] = (double)found->restarted;
    values[COLUMN_SPEED] = (double)(found->step - record->last_step) * batch / (now - record->last_row);
    values[COLUMN_SECONDS] = now - record->began;
    record->last_row = now;
    record->last_step = found->step;
    return pl_log_row(&record->log, found->step, values, (double)time(NULL), err);
}

pali_status pl_codec_record_sync(pl_codec_record *record, pali_error *err)
{
    return record->recipe ? pl_log_sync(&record->log, err) : PALI_OK;
}

/* ---- The report -------------------------------------------------------- */

enum { FACTS = 7, FACT_BYTES = 300, MOST_SAMPLES = 32, GAP = 4, PAIR = 2 * PL_CODEC_SIDE + GAP };

static size_t list_facts(const pl_codec_record *record, const pl_codec_trainer *trainer, char texts[FACTS][FACT_BYTES], pl_report_fact *facts)
{
    const uint64_t step = pl_codec_trainer_steps(trainer);
    size_t n = 0;
#define FACT(label, ...) (snprintf(texts[n], FACT_BYTES, __VA_ARGS__), facts[n] = (pl_report_fact){label, texts[n]}, n++)
    FACT("mask codec", "%s", record->recipe->codec);
    FACT("data", "%zu masks, %zu held out", pl_codec_trainer_masks(trainer)->count, pl_codec_trainer_held_out(trainer)->count);
    FACT("step", "%llu of %llu, %zu masks each", (unsigned long long)step, (unsigned long long)pl_codec_trainer_total(trainer), record->recipe->batch);
    FACT("trained", "%llu values", (unsigned long long)pl_codec_trainer_trained(trainer));
    if (pl_codec_trainer_best(trainer) > 0)
        FACT("best overlap of held-out masks", "%.4f", pl_codec_trainer_best(trainer));
    FACT("program", "pali %s", PALI_VERSION);
    FACT("time", "%.0f s for %llu steps", pl_now() - record->began, (unsigned long long)(step - record->first_step));
#undef FACT
    return n;
}

/* Two maps side by side, with a rule between, in grey. */
static void draw_pair(const uint8_t *truth, const uint8_t *back, pl_image *picture)
{
    for (size_t y = 0; y < PL_CODEC_SIDE; y++)
        for (size_t x = 0; x < PAIR; x++) {
            const bool first = x < PL_CODEC_SIDE, second = x >= PL_CODEC_SIDE + GAP;
            const uint8_t value = first ? truth[y * PL_CODEC_SIDE + x] : second ? back[y * PL_CODEC_SIDE + x - PL_CODEC_SIDE - GAP] : 128;
            memset(picture->rgb + (y * PAIR + x) * 3, value, 3);
        }
}

typedef struct pairs {
    uint8_t back[MOST_SAMPLES * PL_CODEC_MAP];
    unsigned char rgb[MOST_SAMPLES][PL_CODEC_SIDE * PAIR * 3];
    double overlaps[MOST_SAMPLES];
    char scores[MOST_SAMPLES][64];
    pl_image pictures[MOST_SAMPLES];
    pl_report_sample samples[MOST_SAMPLES];
} pairs;

static pali_status show_masks(pl_codec_trainer *trainer, pairs *p, size_t count, pali_error *err)
{
    const pl_mask_pool *held_out = pl_codec_trainer_held_out(trainer);
    const pali_status status = pl_codec_trainer_show(trainer, count, p->back, p->overlaps, err);
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        p->pictures[i] = (pl_image){.width = PAIR, .height = PL_CODEC_SIDE, .rgb = p->rgb[i]};
        draw_pair(held_out->maps + i * PL_CODEC_MAP, p->back + i * PL_CODEC_MAP, &p->pictures[i]);
        snprintf(p->scores[i], sizeof p->scores[i], "%.3f overlap (IoU) of a mask with what comes back", p->overlaps[i]);
        p->samples[i] = (pl_report_sample){.score = p->scores[i], .picture = &p->pictures[i]};
    }
    return status;
}

pali_status pl_codec_record_report(pl_codec_record *record, pl_codec_trainer *trainer, const char *state, pali_error *err)
{
    if (!record->recipe || !record->recipe->report)
        return PALI_OK;
    const size_t count = pl_min(pl_min(record->recipe->samples, MOST_SAMPLES), pl_codec_trainer_held_out(trainer)->count);
    char texts[FACTS][FACT_BYTES];
    pl_report_fact facts[FACTS];
    pl_report report = {.title = record->recipe->out, .state = state, .facts = facts, .columns = columns, .column_count = COLUMNS, .metrics = record->log.csv_path,
                        .sample_count = count, .samples_step = pl_codec_trainer_steps(trainer), .recipe = record->recipe_text};
    report.fact_count = list_facts(record, trainer, texts, facts);
    pairs *p = pl_new(1, sizeof *p, "samples of the report", err);
    char *path = p ? pl_format(err, "%s/report.html", record->recipe->out) : NULL;
    pali_status status = path ? show_masks(trainer, p, count, err) : PALI_MEMORY;
    if (status == PALI_OK) {
        report.samples = p->samples;
        status = pl_report_write(&report, path, err);
    }
    free(path);
    free(p);
    return status;
}
