/*
 * Memory that runs out at the n-th call, for every n. The linker sends the
 * allocations of what is linked to the counters in exhaust.c (pali_exhaust_test
 * in cmake/PaliRooms.cmake).
 */
#ifndef TESTS_EXHAUST_H
#define TESTS_EXHAUST_H

#include "base/status.h"

/* Does something, releases all that it made, and says how it went. */
typedef pali_status exhaust_fn(const void *context, pali_error *err);

/*
 * Runs it with the first, second, ... allocation failing until none fails any
 * more: each time PALI_MEMORY must come back and no block be left; without a
 * failing call, `last`.
 */
void exhaust(const char *name, exhaust_fn *run, const void *context, pali_status last);

/*
 * From here on jansson's own allocations take part too. It reports some that
 * fail as faults of the text, some not at all, and stops the program on one (a
 * token it could not save), so this is for short texts, and only the blocks
 * left behind are checked then.
 */
void exhaust_jansson(void);

/* From here on jansson's blocks are counted, but do not fail: for what frees texts that jansson made. */
void count_jansson(void);

#endif
