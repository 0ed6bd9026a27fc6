/* pali_rows: what pali data show prints. */
#include "api/handles.h"

#include "train/example.h"
#include "train/show.h"
#include "train/trainer.h"

#include <pali/train.h>
#include <stdlib.h>

struct pali_rows {
    pl_recipe recipe;
    pl_trainer *run;        /* opened no further than to its rows */
    const pl_dataset *data; /* the run's */
    pl_show_options show;
};

static pali_status open_rows(pali_rows *rows, const char *recipe, const char *const *settings, size_t count, const pali_rows_options *o, pali_error *err)
{
    const pali_status status = pl_recipe_open(&rows->recipe, recipe, settings, count, err);
    if (status != PALI_OK)
        return status;
    if (rows->recipe.codec)
        return pl_fail(err, PALI_USAGE, "codec: its rows are masks, expected those of a model");
    const pl_trainer_options options = {.dry_run = true, .rows_only = true};
    rows->run = pl_trainer_open(&rows->recipe, &options, err);
    if (!rows->run)
        return pl_status_of(err, PALI_FAILED);
    rows->data = pl_trainer_dataset(rows->run, o->validation);
    if (!rows->data)
        return pl_fail(err, PALI_USAGE, "validation is missing, expected held-out rows");
    rows->show = pl_trainer_show(rows->run);
    rows->show.colour = o->colour;
    return PALI_OK;
}

pali_rows *pali_rows_open(const char *recipe, const char *const *settings, size_t count, const pali_rows_options *options, pali_error *err)
{
    pali_rows_options o;
    pl_take_options(&o, sizeof o, options);
    if (count > 0 && pl_need(settings, "pali_rows_open", "settings", err) != PALI_OK)
        return NULL;
    pali_rows *const rows = pl_new(1, sizeof *rows, "rows", err);
    if (!rows)
        return NULL;
    if (open_rows(rows, recipe, settings, count, &o, err) == PALI_OK)
        return rows;
    pali_rows_free(rows);
    return NULL;
}

void pali_rows_free(pali_rows *rows)
{
    if (!rows)
        return;
    pl_trainer_free(rows->run);
    pl_recipe_close(&rows->recipe);
    free(rows);
}

uint64_t pali_rows_count(const pali_rows *rows)
{
    return rows ? pl_dataset_epoch(rows->data) : 0;
}

typedef char *render(const pl_dataset *dataset, const pl_example *example, const pl_show_options *options, pali_error *err);

static char *show(pali_rows *rows, uint64_t n, render *as, const char *call, pali_error *err)
{
    if (pl_need(rows, call, "rows", err) != PALI_OK)
        return NULL;
    pl_example *const example = pl_example_read(rows->data, pl_dataset_place(rows->data, n), NULL, false, err);
    char *const text = example ? as(rows->data, example, &rows->show, err) : NULL;
    pl_example_free(example);
    return text;
}

char *pali_rows_show(pali_rows *rows, uint64_t n, pali_error *err)
{
    return show(rows, n, pl_example_text, "pali_rows_show", err);
}

char *pali_rows_json(pali_rows *rows, uint64_t n, pali_error *err)
{
    return show(rows, n, pl_example_json, "pali_rows_json", err);
}
