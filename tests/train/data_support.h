/* A folder of a test's own with rows and pictures in it, and datasets over nano's tokenizer. */
#ifndef TESTS_TRAIN_DATA_SUPPORT_H
#define TESTS_TRAIN_DATA_SUPPORT_H

#include "train/dataset.h"

/* Set-up and tear-down of a group: the folder, the tokenizer. */
int data_begin(void **state);
int data_end(void **state);

extern const pl_tokenizer *data_tokenizer;

/* "FOLDER/name"; static storage, overwritten by the eighth call after. */
const char *data_path(const char *name);

/* Writes a file of the folder; returns its path as data_path does. */
const char *data_write(const char *name, const char *text);

/* Copies a file of the repository into it. */
const char *data_copy(const char *from, const char *name);

/* `count` rows {"image": "a.png", "prefix": "caption en", "suffix": "NAME 0"}, ... in a file of that name, and the picture. */
const char *data_rows(const char *name, size_t count);

/* Options over the given sources: nano's tokenizer, pictures of 28 pixels. */
pl_data_options data_options(const pl_data_source *sources, size_t count);

/* Opens; fails the test where that fails. */
pl_dataset *data_open(const pl_data_options *options);

#endif
