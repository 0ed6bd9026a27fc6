/*
 * What the machine lends this process: processors, the right number of threads,
 * and memory. `root` stands before every path that is read: "" outside tests.
 */
#ifndef PL_BASE_MACHINE_H
#define PL_BASE_MACHINE_H

#include "base/memory.h"

enum { PL_MOST_PROCESSORS = 4096 };

typedef struct pl_machine {
    size_t processors; /* that can run at a time: affinity, online, cgroup quotas */
    size_t threads;    /* the default: one for each fast core of them */
    /* The fast cores, a processor of each, for pinning; none where the system does not tell. */
    uint16_t places[PL_MOST_PROCESSORS];
    size_t place_count;
} pl_machine;

/*
 * Of a core's hardware threads one is counted: they share the units that
 * products keep busy. Of two kinds of cores the fast kind is counted (Intel's
 * P-cores; on arm those of at least half the greatest capacity): a job ends
 * when its last task does, and a slow core would finish it late.
 */
void pl_machine_read(const char *root, pl_machine *machine);

/* A line for the user in case there are more threads than processors to run them; false: there are not. */
bool pl_machine_is_crowded(const pl_machine *machine, size_t threads, char line[160]);

/* Memory that this process may take now; UINT64_MAX where the system does not tell. */
typedef struct pl_memory_limit {
    uint64_t left;   /* without swapping; pages of files count as free */
    uint64_t swap;   /* beyond it */
    char where[192]; /* what limits: a cgroup's file, or "this machine" */
} pl_memory_limit;

void pl_memory_limit_read(const char *root, pl_memory_limit *limit);

#endif
