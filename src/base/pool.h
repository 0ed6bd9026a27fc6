/*
 * The thread pool. One call runs a function over numbered tasks on all
 * threads; which thread takes which task does not matter to the result, as a
 * task always computes the same values in the same order.
 */
#ifndef PL_BASE_POOL_H
#define PL_BASE_POOL_H

#include "base/status.h"

typedef struct pl_pool pl_pool;

/* task: 0..tasks-1; thread: 0..threads-1, for per-thread scratch. */
typedef void pl_task_fn(void *context, size_t task, size_t thread);

enum { PL_MOST_THREADS = 4096 };

/* threads = 0: the number that is right here (pl_machine). */
pl_pool *pl_pool_new(size_t threads, pali_error *err);
void pl_pool_free(pl_pool *pool);

/*
 * Holds each thread of the pool on a core of its own as far as there are cores;
 * the first is left to the callers, whose threads are theirs. Best effort.
 */
void pl_pool_pin(pl_pool *pool);

size_t pl_pool_threads(const pl_pool *pool);

/*
 * Runs tasks 0..tasks-1 and returns when all are done. Calls from several
 * threads take turns; a task must not call it for its own pool. A NULL pool
 * runs them on the caller's thread.
 */
void pl_pool_run(pl_pool *pool, size_t tasks, pl_task_fn *run, void *context);

#endif
