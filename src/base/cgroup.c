/*
 * Control groups (Linux, Documentation/admin-guide/cgroup-v1 and cgroup-v2):
 * /proc/self/cgroup names the group, /proc/self/mountinfo where its tree is
 * mounted and from which group on. Limits hold for all groups below, so every
 * folder from the group's own up to the mount is read; files that are not
 * there limit nothing.
 */
#include "base/cgroup.h"

#include <inttypes.h>
#include <string.h>

enum { LINE = 4096 };

#define NO_LIMIT (UINT64_MAX / 4) /* version 1 has a number near the greatest for "none" */

FILE *pl_system_file(const char *root, const char *folder, const char *name)
{
    char path[3 * LINE];
    const int length = snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
    return length > 0 && (size_t)length < sizeof path ? fopen(path, "r") : NULL;
}

bool pl_system_number(const char *root, const char *folder, const char *name, const char *key, uint64_t *value)
{
    FILE *file = pl_system_file(root, folder, name);
    if (!file)
        return false;
    char line[256];
    const size_t length = key ? strlen(key) : 0;
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        if (key && (strncmp(line, key, length) != 0 || line[length] != ' '))
            continue;
        found = sscanf(line + length, "%" SCNu64, value) == 1 && !strchr(line, '-'); /* -1 is version 1's "none" */
        if (!key)
            break;
    }
    fclose(file);
    return found;
}

/* True when `word` is one of a comma-separated list. */
static bool lists(const char *list, const char *word)
{
    const size_t length = strlen(word);
    while (*list) {
        const size_t item = strcspn(list, ",\n");
        if (item == length && strncmp(list, word, length) == 0)
            return true;
        list += item + (list[item] != '\0');
    }
    return false;
}

/* The path of the process's group in the tree of a controller ("": version 2). */
static bool find_group(const char *root, const char *controller, char group[LINE])
{
    FILE *file = pl_system_file(root, "/proc/self", "cgroup");
    char line[LINE];
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) { /* number:controllers:path */
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        found = *controller ? lists(controllers + 1, controller) : controllers[1] == '\0';
        if (found)
            snprintf(group, LINE, "%s", path);
    }
    if (file)
        fclose(file);
    return found;
}

/* Where the controller's tree is mounted, and the group that stands there. */
static bool find_mount(const char *root, const char *controller, char mount[LINE], char top[LINE])
{
    FILE *file = pl_system_file(root, "/proc/self", "mountinfo");
    char line[2 * LINE];
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) { /* id parent device root mount options... - type source options */
        char type[32], options[LINE];
        const char *rest = strstr(line, " - ");
        if (!rest || sscanf(rest, " - %31s %*s %4095s", type, options) != 2 || sscanf(line, "%*s %*s %*s %4095s %4095s", top, mount) != 2)
            continue;
        found = *controller ? strcmp(type, "cgroup") == 0 && lists(options, controller) : strcmp(type, "cgroup2") == 0;
    }
    if (file)
        fclose(file);
    return found;
}

/* A walk from the process's own group upwards; version 2 has one tree for all. */
typedef struct walk {
    const char *root;
    size_t least;          /* length of the mount's path */
    char folder[2 * LINE]; /* where it stands */
} walk;

static bool start(walk *w, const char *root, const char *controller)
{
    char group[LINE], top[LINE], mount[LINE];
    if (!find_group(root, controller, group) || !find_mount(root, controller, mount, top))
        return false;
    /* In a container the mount may begin at the container's group, or the group may be named from there already. */
    const size_t shared = strcmp(top, "/") == 0 ? 0 : strlen(top);
    const char *inside = strncmp(group, top, shared) == 0 && (group[shared] == '/' || group[shared] == '\0') ? group + shared : "";
    *w = (walk){.root = root, .least = strlen(mount)};
    snprintf(w->folder, sizeof w->folder, "%s%s", mount, strcmp(inside, "/") == 0 ? "" : inside);
    return true;
}

static bool go_up(walk *w)
{
    char *slash = strrchr(w->folder, '/');
    if (!slash || (size_t)(slash - w->folder) < w->least)
        return false;
    *slash = '\0';
    return true;
}

static void count_processors(const char *root, const char *controller, double *least)
{
    walk w;
    for (bool more = start(&w, root, controller); more; more = go_up(&w)) {
        uint64_t quota = 0, period = 0;
        if (*controller) {
            if (!pl_system_number(root, w.folder, "cpu.cfs_quota_us", NULL, &quota) || !pl_system_number(root, w.folder, "cpu.cfs_period_us", NULL, &period))
                continue;
        } else {
            FILE *file = pl_system_file(root, w.folder, "cpu.max");
            const int numbers = file ? fscanf(file, "%" SCNu64 " %" SCNu64, &quota, &period) : 0;
            if (file)
                fclose(file);
            if (numbers != 2)
                continue;
        }
        if (quota && period && (*least <= 0 || (double)quota / (double)period < *least))
            *least = (double)quota / (double)period;
    }
}

size_t pl_cgroup_processors(const char *root)
{
    double least = 0;
    count_processors(root, "", &least);
    count_processors(root, "cpu", &least);
    const size_t whole = (size_t)least;
    return whole + ((double)whole < least);
}

/* The names that the two versions have for the same things. */
typedef struct memory_files {
    const char *controller, *limit, *usage, *swap;
    const char *reclaimable[3];
} memory_files;

static void limit_memory(const char *root, const memory_files *names, pl_cgroup_memory *memory)
{
    walk w;
    for (bool more = start(&w, root, names->controller); more; more = go_up(&w)) {
        uint64_t limit, used = 0, swap;
        if (names->swap && pl_system_number(root, w.folder, names->swap, NULL, &swap) && swap < memory->swap)
            memory->swap = swap;
        if (!pl_system_number(root, w.folder, names->limit, NULL, &limit) || limit > NO_LIMIT)
            continue;
        pl_system_number(root, w.folder, names->usage, NULL, &used);
        for (size_t i = 0; i < 3; i++) {
            uint64_t bytes = 0;
            if (pl_system_number(root, w.folder, "memory.stat", names->reclaimable[i], &bytes))
                used -= bytes < used ? bytes : used;
        }
        const uint64_t left = limit > used ? limit - used : 0;
        if (left >= memory->left)
            continue;
        memory->left = left;
        snprintf(memory->group, sizeof memory->group, "%.160s/%s", w.folder, names->limit);
    }
}

void pl_cgroup_memory_read(const char *root, pl_cgroup_memory *memory)
{
    static const memory_files versions[] = {
        {"", "memory.max", "memory.current", "memory.swap.max", {"active_file", "inactive_file", "slab_reclaimable"}},
        {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", NULL, {"total_active_file", "total_inactive_file", "total_slab_reclaimable"}},
    };
    *memory = (pl_cgroup_memory){.left = UINT64_MAX, .swap = UINT64_MAX};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        limit_memory(root, &versions[i], memory);
}
