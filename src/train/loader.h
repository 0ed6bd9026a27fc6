/*
 * Examples in the order of the run, read by threads of their own ahead of the
 * model: rows parsed and tokenized, pictures decoded and resized, features
 * fetched from the cache. A bounded number of them waits, bounded in bytes too.
 */
#ifndef PL_TRAIN_LOADER_H
#define PL_TRAIN_LOADER_H

#include "train/example.h"

/* Told of each bad row that is passed over, in order, from the thread that calls pl_loader_next. */
typedef void pl_bad_row_fn(void *context, pl_place place, const pali_error *why);

typedef struct pl_loader_options {
    uint64_t first;   /* example to begin with: what pl_loader_position said when the run was saved */
    uint64_t end;     /* stop before this one; 0: never */
    size_t workers;   /* threads that read; 0: none, then pl_loader_next does */
    size_t ahead;     /* examples that wait at most; 0: 32 */
    size_t bytes;     /* no further one is begun while so many bytes of pixels wait; 0: 256 MiB */
    bool stop_on_bad; /* a bad row ends the run; else it is passed over and counted */
    pl_feature_cache *cache; /* borrowed; NULL: none */
    pl_bad_row_fn *on_bad;          /* NULL: nobody listens */
    void *on_bad_context;
} pl_loader_options;

typedef struct pl_loader pl_loader;

/* The dataset is borrowed. A thread that cannot be started is done without. Free at any time, also while examples are being read. */
pl_loader *pl_loader_new(const pl_dataset *dataset, const pl_loader_options *options, pali_error *err);
void pl_loader_free(pl_loader *loader);

/*
 * The next example, the caller's to free with pl_example_free; NULL with PALI_OK
 * at the end. Bad rows before it have been passed over: which examples come,
 * and in which order, does not depend on workers. PALI_INPUT for a bad row
 * with stop_on_bad, or when no row of a whole epoch was good.
 */
pali_status pl_loader_next(pl_loader *loader, pl_example **example, pali_error *err);

/* The place after the last example that was given out, to be saved for resuming. */
uint64_t pl_loader_position(const pl_loader *loader);

/* Bad rows passed over by this loader. */
uint64_t pl_loader_skipped(const pl_loader *loader);

/* Seconds that pl_loader_next had to wait, in all: near nothing when the model never waits. */
double pl_loader_waited(const pl_loader *loader);

#endif
