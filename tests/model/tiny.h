/*
 * The tiny checkpoints of tests/data/tiny and what published implementations
 * computed from them (tools/goldens/README.md says what each golden is).
 */
#ifndef TESTS_MODEL_TINY_H
#define TESTS_MODEL_TINY_H

#include "formats/tensor_file.h"
#include "generate/timeline.h"

#define TINY "tests/data/tiny/"

/* Fails the running test with the message unless status is PALI_OK. */
void expect_ok(pali_status status, const pali_error *err);

/* A model with one timeline, all levels and options by choice. */
typedef struct tiny_model {
    pl_paligemma *model;
    pl_engine engine;
    pl_timeline timeline;
} tiny_model;

void tiny_open(tiny_model *tiny, const char *path, const pl_load_options *options, const char *level, size_t threads);
void tiny_close(tiny_model *tiny);

/* Sets pictures of tests/data/tiny by letter: "a", "ab". */
void tiny_images(tiny_model *tiny, const char *letters);

/* Asks greedily for `most` tokens, with log-probabilities. */
void tiny_ask(tiny_model *tiny, const char *prompt, size_t most);

/* max|a-b| / max|b| over n values. */
double relative_error(const float *a, const float *b, size_t n);

/* A tensor of a golden file, as its values and their number; the test fails when it is missing. */
const void *golden_values(const pl_tensor_file *file, const char *name, size_t *count);

#endif
