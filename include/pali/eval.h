/*
 * pali/eval.h: measure a model on examples. Public, not yet frozen.
 */
#ifndef PALI_EVAL_H
#define PALI_EVAL_H

#include <pali/pali.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct pali_eval_options {
    size_t size;
    size_t limit;            /* rows at most; 0: all */
    size_t max_tokens;       /* 0: 256 */
    bool likelihood;         /* also the log-likelihood of the expected suffix */
    const char *predictions; /* JSONL file to write, whole or not at all; NULL: none */
    pali_progress_fn *progress; /* rows done and in all */
    void *progress_context;
} pali_eval_options;

/*
 * Runs every row of a JSONL file {"image": path or [paths], "prefix": text,
 * "suffix": text or [alternatives]} (paths relative to the file) and returns
 * the metrics as one JSON object (new, freed with pali_free): exact match over
 * all rows and per kind of prompt (its first word), mean box IoU and AP50 over
 * rows whose suffix holds boxes or whose prompt begins with detect or segment,
 * mean log-likelihood a row and a token when asked for. All rows are checked
 * before the first is run; one that cannot be used stops with an error that
 * names its line.
 */
char *pali_eval(pali_model *model, const char *rows_path, const pali_eval_options *options, pali_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
