/*
 * Whether a model fits in the memory that is left, before any work is done:
 * what must be held refuses, what is mapped from files only warns.
 */
#ifndef PL_GENERATE_FIT_H
#define PL_GENERATE_FIT_H

#include "base/machine.h"
#include "generate/timeline.h"

/* Bytes. Own memory is what no file stands behind. */
typedef struct pl_fit {
    uint64_t mapped;   /* weights used where they lie */
    uint64_t weights;  /* weights that are turned or converted: own */
    uint64_t question; /* tokenizer, and one picture's question from pixels to the last token: own */
    uint64_t alone;    /* the same on one thread */
    const char *remedy; /* what would make `weights` small, or NULL */
} pl_fit;

/* What `engine` takes; its model may be planned only (pl_load_options.check). */
pl_fit pl_fit_plan(const pl_engine *engine, const char *remedy);

/*
 * PALI_MEMORY, with what would fit, when the own memory is more than is left.
 * Else, when the mapped weights cannot stay beside it, a line in `warning`.
 */
pali_status pl_fit_check(const pl_fit *fit, const pl_memory_limit *limit, char warning[400], pali_error *err);

#endif
