/* Which part of the work is this process's, when a launcher started several. */
#ifndef PALI_APP_SHARD_H
#define PALI_APP_SHARD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct shard {
    uint64_t index, count; /* from 1; count 0: nothing was said */
    const char *from;      /* "Open MPI", ...; NULL where it was an option */
} shard;

/* Reads "I/N"; false when it is no such thing. */
bool read_shard(const char *text, shard *out);

/*
 * What mpirun, srun or a PMI launcher says in the environment. Returns 0, or
 * the exit code after saying what is wrong with it.
 */
int shard_from_environment(shard *out);

/* "out.jsonl" as "out-2-of-3.jsonl"; new, freed by the caller. NULL: out of memory. */
char *shard_path(const char *path, shard of);

#endif
