/* Launchers tell each process its number and how many there are; no MPI library is needed to listen. */
#include "shard.h"

#include "options.h"
#include "say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool read_shard(const char *text, shard *out)
{
    char index[24];
    const size_t length = strcspn(text, "/");
    if (text[length] != '/' || length >= sizeof index)
        return false;
    memcpy(index, text, length);
    index[length] = '\0';
    return read_count(text + length + 1, 1, UINT32_MAX, &out->count) && read_count(index, 1, out->count, &out->index);
}

static const char *variable(const char *name)
{
    const char *const value = getenv(name);
    return value && *value ? value : NULL;
}

/*
 * A batch script of Slurm's has the variables of its first task already, but
 * is not one of many: only srun makes those, and says so.
 */
static bool in_batch_script(void)
{
    return variable("SLURM_JOB_ID") && !variable("SLURM_STEP_ID");
}

int shard_from_environment(shard *out)
{
    static const struct {
        const char *from, *rank, *size;
    } launchers[] = {
        {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
        {"PMI", "PMI_RANK", "PMI_SIZE"},
        {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
        {"Slurm", "SLURM_PROCID", "SLURM_NTASKS"},
    };
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const char *const rank = variable(launchers[i].rank), *const size = variable(launchers[i].size);
        if (!rank || !size || (strcmp(launchers[i].from, "Slurm") == 0 && in_batch_script()))
            continue;
        uint64_t index, count;
        if (!read_count(size, 1, UINT32_MAX, &count) || !read_count(rank, 0, count - 1, &index))
            return fail(PALI_USAGE, "%s and %s: found '%s' and '%s', expected a number and how many there are; --shard 1/1 takes all rows", launchers[i].rank, launchers[i].size, rank, size);
        *out = (shard){.index = index + 1, .count = count, .from = launchers[i].from};
        return 0;
    }
    return 0;
}

char *shard_path(const char *path, shard of)
{
    const char *const slash = strrchr(path, '/'), *const name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    if (!dot || dot == name)
        dot = name + strlen(name);
    char *whole = NULL;
    if (asprintf(&whole, "%.*s-%llu-of-%llu%s", (int)(dot - path), path, (unsigned long long)of.index, (unsigned long long)of.count, dot) < 0)
        return NULL;
    return whole;
}
