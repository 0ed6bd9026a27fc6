/*
 * An example as the model sees it, for people and for programs (pali data
 * show): tokens with ids and pieces, which of them see which, what loss is
 * taken on, what was cut off, and the pictures.
 */
#ifndef PL_TRAIN_SHOW_H
#define PL_TRAIN_SHOW_H

#include "train/microbatch.h"

typedef struct pl_show_options {
    pl_layout_options layout; /* what sees what, and what is learned */
    bool colour;              /* text for a terminal: what is learned stands out */
} pl_show_options;

/* Text of several lines, new, freed with free. */
char *pl_example_text(const pl_dataset *dataset, const pl_example *example, const pl_show_options *options, pali_error *err);

/* One JSON object on one line, new, freed with free. */
char *pl_example_json(const pl_dataset *dataset, const pl_example *example, const pl_show_options *options, pali_error *err);

#endif
