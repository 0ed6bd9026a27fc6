/* What a checkpoint holds, as JSON (for `pali inspect`). */
#ifndef PL_MODEL_INSPECT_H
#define PL_MODEL_INSPECT_H

#include "base/status.h"

typedef struct pl_inspect_options {
    const char *tokenizer, *vision; /* as in pali_model_options */
    bool check, tensors;
} pl_inspect_options;

/* New, NUL-terminated, released with free(); NULL when the files cannot be opened at all. */
char *pl_model_inspect(const char *path, const pl_inspect_options *options, pali_error *err);

#endif
