/* A folder of its own for each test program, files in it, and whole files read back. */
#ifndef TESTS_BATCH_SUPPORT_H
#define TESTS_BATCH_SUPPORT_H

#include <pali/batch.h>

#define PICTURES "tests/data/tiny/"

/* Set-up and tear-down of a group: the folder, and the paths of rows and output in it. */
int make_folder(void **state);
int remove_folder(void **state);
extern char rows_path[64], output_path[64], notes_path[64];

/* "FOLDER/name"; static storage, overwritten by the next call. */
const char *in_folder(const char *name);

void write_text(const char *path, const char *text);
void write_bytes(const char *path, const char *bytes, size_t size);

/* The whole file, NUL-terminated; "" when there is none. New. */
char *read_text(const char *path, size_t *size);

/* Neither output nor notes. */
void forget_output(void);

/* `count` rows about two pictures of the tiny models, some wrong; new. */
char *mixed_rows(size_t count);

/* Runs; fails the test unless it is PALI_OK. */
pali_batch_report run_batch(pali_model *model, const pali_batch_options *options);

#endif
