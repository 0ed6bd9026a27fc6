/*
 * Processors from /sys/devices/system/cpu (Linux, Documentation/ABI:
 * thread_siblings_list, cpu_capacity; devices/cpu_core names Intel's P-cores),
 * held against the affinity mask and cgroup quotas; memory from /proc/meminfo
 * and cgroups. On macOS from sysctl.
 */
#include "base/machine.h"

#include "base/cgroup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

/* A set of processors, as "0-3,8" has it in the system's files. */
typedef struct cpu_set {
    unsigned char has[PL_MOST_PROCESSORS];
} cpu_set;

static bool parse_set(const char *text, cpu_set *set)
{
    bool any = false;
    memset(set, 0, sizeof *set);
    for (;;) {
        char *end;
        const unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (end == text)
            return any;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long i = first; i <= last && i < PL_MOST_PROCESSORS; i++) {
            set->has[i] = 1;
            any = true;
        }
        if (*end != ',')
            return any;
        text = end + 1;
    }
}

/* The set in a file: its first line, or what follows `key` on a line. */
static bool read_set(const char *root, const char *folder, const char *name, const char *key, cpu_set *set)
{
    FILE *file = pl_system_file(root, folder, name);
    if (!file)
        return false;
    char line[4096]; /* a list of every second of 1,000 processors */
    const size_t length = strlen(key);
    bool found = false;
    while (!found && fgets(line, sizeof line, file))
        if (strncmp(line, key, length) == 0)
            found = parse_set(line + length + strspn(line + length, " \t"), set);
    fclose(file);
    return found;
}

static void keep_common(cpu_set *set, const cpu_set *other)
{
    for (size_t i = 0; i < PL_MOST_PROCESSORS; i++)
        set->has[i] &= other->has[i];
}

static size_t count_set(const cpu_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < PL_MOST_PROCESSORS; i++)
        count += set->has[i];
    return count;
}

/* The processors of the fast kind of core; all when there is one kind. */
static void keep_fast(const char *root, cpu_set *set)
{
    cpu_set fast;
    if (read_set(root, "/sys/devices/cpu_core", "cpus", "", &fast)) {
        keep_common(&fast, set);
    } else {
        uint64_t capacity[PL_MOST_PROCESSORS], greatest = 0;
        for (size_t i = 0; i < PL_MOST_PROCESSORS; i++) {
            char folder[64];
            snprintf(folder, sizeof folder, "/sys/devices/system/cpu/cpu%zu", i);
            capacity[i] = 0;
            if (!set->has[i] || !pl_system_number(root, folder, "cpu_capacity", NULL, &capacity[i]))
                continue;
            greatest = capacity[i] > greatest ? capacity[i] : greatest;
        }
        for (size_t i = 0; i < PL_MOST_PROCESSORS; i++)
            fast.has[i] = set->has[i] && capacity[i] >= greatest / 2;
    }
    if (count_set(&fast) > 0) /* else the process is held on slow cores */
        *set = fast;
}

/* The first processor of each core, in their order. */
static void list_cores(const char *root, const cpu_set *set, pl_machine *machine)
{
    cpu_set left = *set, siblings;
    for (size_t i = 0; i < PL_MOST_PROCESSORS; i++) {
        if (!left.has[i])
            continue;
        machine->places[machine->place_count++] = (uint16_t)i;
        char folder[64];
        snprintf(folder, sizeof folder, "/sys/devices/system/cpu/cpu%zu/topology", i);
        if (read_set(root, folder, "thread_siblings_list", "", &siblings))
            for (size_t j = i; j < PL_MOST_PROCESSORS; j++)
                left.has[j] &= !siblings.has[j];
    }
}

/* Without /proc and /sys: the system's own count. */
static void count_simply(pl_machine *machine)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    machine->processors = machine->threads = online > 0 ? (size_t)online : 1;
#ifdef __APPLE__
    static const char *const names[] = {"hw.perflevel0.physicalcpu", "hw.physicalcpu"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int count = 0;
        size_t size = sizeof count;
        if (sysctlbyname(names[i], &count, &size, NULL, 0) == 0 && count > 0) {
            machine->threads = pl_min((size_t)count, machine->processors);
            break;
        }
    }
#endif
}

void pl_machine_read(const char *root, pl_machine *machine)
{
    cpu_set set, online;
    *machine = (pl_machine){0};
    if (!read_set(root, "/proc/thread-self", "status", "Cpus_allowed_list:", &set)) {
        count_simply(machine);
        return;
    }
    if (read_set(root, "/sys/devices/system/cpu", "online", "", &online))
        keep_common(&set, &online);
    machine->processors = pl_max(count_set(&set), 1);
    keep_fast(root, &set);
    list_cores(root, &set, machine);
    machine->threads = pl_max(machine->place_count, 1);
    const size_t quota = pl_cgroup_processors(root);
    if (quota) {
        machine->processors = pl_min(machine->processors, quota);
        machine->threads = pl_min(machine->threads, quota);
    }
}

bool pl_machine_is_crowded(const pl_machine *machine, size_t threads, char line[160])
{
    const size_t most = machine->processors;
    if (threads <= most)
        return false;
    snprintf(line, 160, "threads: found %zu, expected at most the %zu processor%s that this process may use: they will take turns", threads, most, most == 1 ? "" : "s");
    return true;
}

void pl_memory_limit_read(const char *root, pl_memory_limit *limit)
{
    *limit = (pl_memory_limit){.left = UINT64_MAX};
    snprintf(limit->where, sizeof limit->where, "this machine");
#ifdef __APPLE__
    uint64_t bytes = 0;
    size_t size = sizeof bytes;
    if (sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0)
        limit->left = bytes;
#endif
    uint64_t kilobytes;
    if (pl_system_number(root, "/proc", "meminfo", "MemAvailable:", &kilobytes))
        limit->left = kilobytes * 1024;
    if (pl_system_number(root, "/proc", "meminfo", "SwapFree:", &kilobytes))
        limit->swap = kilobytes * 1024;
    pl_cgroup_memory group;
    pl_cgroup_memory_read(root, &group);
    limit->swap = group.swap < limit->swap ? group.swap : limit->swap;
    if (group.left < limit->left) {
        limit->left = group.left;
        snprintf(limit->where, sizeof limit->where, "%s", group.group);
    }
}
