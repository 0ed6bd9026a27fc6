/*
 * The texts of a row: its prompt, and of the answers that it has the one whose
 * turn it is. From the fields "prefix" (or "prompt") and "suffix" (a text or a
 * list, also as "suffixes"), from templates, or from the row's objects.
 */
#ifndef PL_TRAIN_ROW_TEXT_H
#define PL_TRAIN_ROW_TEXT_H

#include "train/dataset.h"
#include "train/object_text.h"

typedef struct pl_row_text {
    char *prefix, *suffix; /* owned */
    size_t alternative, alternatives; /* which of how many answers */
} pl_row_text;

#define PL_ROW_ITS_TURN SIZE_MAX

/*
 * The texts with that alternative, or with the one whose turn it is
 * (PL_ROW_ITS_TURN). PALI_INPUT names the field. `scene` tells sizes and the
 * codec; its prefix is filled in here. Zero-initialise; release with pl_row_text_free, also after a
 * failure.
 */
pali_status pl_row_text_read(const pl_dataset *dataset, pl_place place, const json_t *row, pl_scene *scene, size_t alternative, pl_row_text *text, pali_error *err);
void pl_row_text_free(pl_row_text *text);

/* Which of `count` answers a visit takes; a pure function. */
size_t pl_row_choose(uint64_t seed, pl_data_choice choice, pl_place place, size_t count);

#endif
