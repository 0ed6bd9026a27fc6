/*
 * Items made ahead of whoever takes them, in order: threads of their own fill
 * a bounded ring of places, bounded in bytes too, and the items come out in
 * the order of their numbers however many threads there are.
 */
#ifndef PL_BASE_PREFETCH_H
#define PL_BASE_PREFETCH_H

#include "base/memory.h"

typedef struct pl_prefetch_options {
    size_t item_size;    /* of an item, which begins as zeros */
    bool (*begin)(void *context, uint64_t i, void *item);   /* in order, one at a time; false: there is nothing to load. NULL: always load */
    size_t (*load)(void *context, uint64_t i, void *item);  /* the slow part, several at a time; returns the bytes that the item holds */
    void (*drop)(void *item); /* releases what an item that nobody took holds, also one of zeros */
    void *context;
    uint64_t first, end; /* items first .. end - 1 */
    size_t threads;      /* that load; 0: none, then pl_prefetch_take does */
    size_t most;         /* items that wait, at least one */
    size_t bytes;        /* no further item is begun while so many bytes wait */
} pl_prefetch_options;

typedef struct pl_prefetch pl_prefetch;

/* Begins. A thread that cannot be started is done without. End with pl_prefetch_free, at any time: items that are being loaded are finished first. */
pl_prefetch *pl_prefetch_new(const pl_prefetch_options *options, pali_error *err);
void pl_prefetch_free(pl_prefetch *prefetch);

/* Copies the next item to *item, whose it is from then on, when it is there. Not to be called more often than there are items. */
void pl_prefetch_take(pl_prefetch *prefetch, void *item);

#endif
