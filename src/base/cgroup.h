/*
 * What the control groups of this process allow it: processors and memory, the
 * least over its own group and all that it stands in, versions 1 and 2.
 * `root` stands before every path that is read: "" outside tests.
 */
#ifndef PL_BASE_CGROUP_H
#define PL_BASE_CGROUP_H

#include "base/memory.h"

#include <stdio.h>

/* The processors that the quotas pay for, rounded up; 0 when there is none. */
size_t pl_cgroup_processors(const char *root);

/* Memory that a group may still take. UINT64_MAX: as much as there is. */
typedef struct pl_cgroup_memory {
    uint64_t left;   /* its limit less what it holds and cannot give back (file pages can be) */
    uint64_t swap;   /* that it may put into swap space */
    char group[192]; /* the file of the limit that binds, as read; "" when there is none */
} pl_cgroup_memory;

void pl_cgroup_memory_read(const char *root, pl_cgroup_memory *memory);

/* Opens root + folder + name for reading; NULL when there is none. */
FILE *pl_system_file(const char *root, const char *folder, const char *name);

/*
 * A number of a system's text file: its first, or with `key` the one that
 * follows the line's first word `key`. False when it is not there ("max").
 */
bool pl_system_number(const char *root, const char *folder, const char *name, const char *key, uint64_t *value);

#endif
