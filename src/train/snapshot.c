/*
 * A snapshot is made as checkpoint-<step>.tmp, under the run's lock, and gets
 * its name when everything in it is on the disk; then the links are moved, and
 * only then others go. A folder that goes is renamed first, so that no half of
 * one bears a snapshot's name.
 */
#include "train/snapshot.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/text.h"
#include "train/snapshot_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char lock_name[] = "train.lock";

/* ---- The folder of a run ---------------------------------------------- */

/* What a killed run can have left: everything of ours is made under a name that ends so. */
static bool is_left_over(const char *name)
{
    static const char *const ours[] = {"checkpoint-", "last.", "best.", "report.html.", "metrics.csv.", "recipe.yaml."};
    bool is = false;
    for (size_t i = 0; i < sizeof ours / sizeof *ours && !is; i++)
        is = pl_starts_with(name, ours[i]) && pl_ends_with(name, ".tmp");
    return is;
}

static pali_status remove_entry(const char *folder, const char *name, pali_error *err)
{
    char *const path = pl_path_join(folder, name, err);
    struct stat info;
    if (!path)
        return PALI_MEMORY;
    int reason = lstat(path, &info) != 0 ? errno : 0;
    if (!reason)
        reason = S_ISDIR(info.st_mode) ? pl_folder_remove(path) : unlink(path) == 0 ? 0 : errno;
    free(path);
    return reason && reason != ENOENT ? pl_fail(err, PALI_FAILED, "%s/%s: cannot remove: %s", folder, name, strerror(reason)) : PALI_OK;
}

static pali_status remove_left_over(void *context, const char *name, pali_error *err)
{
    return is_left_over(name) ? remove_entry(context, name, err) : PALI_OK;
}

static pali_status take_lock(pl_run_folder *folder, pali_error *err)
{
    char *const path = pl_path_join(folder->path, lock_name, err);
    const pali_status status = path ? pl_file_lock(path, folder->path, "another run is training in it; name another folder, or wait", &folder->lock, err) : PALI_MEMORY;
    free(path);
    return status;
}

pali_status pl_run_folder_open(pl_run_folder *folder, const char *path, pali_error *err)
{
    *folder = (pl_run_folder){.lock = -1, .path = pl_strdup(path, err)};
    pali_status status = folder->path ? PALI_OK : PALI_MEMORY;
    for (size_t length = folder->path ? strlen(path) : 0; length > 1 && path[length - 1] == '/'; length--)
        folder->path[length - 1] = '\0';
    if (status == PALI_OK)
        status = pl_folder_make(path, err);
    if (status == PALI_OK)
        status = take_lock(folder, err);
    if (status == PALI_OK)
        status = pl_folder_each(folder->path, remove_left_over, folder->path, err);
    if (status != PALI_OK)
        pl_run_folder_close(folder);
    return status;
}

void pl_run_folder_close(pl_run_folder *folder)
{
    if (folder->path && folder->lock >= 0)
        close(folder->lock); /* and the lock with it */
    free(folder->path);
    *folder = (pl_run_folder){.lock = -1};
}

/* ---- What is there ---------------------------------------------------- */

/* The step in "checkpoint-<step>"; false for any other name. */
static bool step_of(const char *name, uint64_t *step)
{
    char again[40];
    char *end = NULL;
    if (!pl_starts_with(name, "checkpoint-"))
        return false;
    *step = strtoull(name + strlen("checkpoint-"), &end, 10);
    snprintf(again, sizeof again, "checkpoint-%llu", (unsigned long long)*step);
    return strcmp(again, name) == 0;
}

typedef struct listing {
    const char *out;
    pl_snapshot_entry *entries;
    size_t count, capacity;
} listing;

static pali_status list_entry(void *context, const char *name, pali_error *err)
{
    listing *const list = context;
    uint64_t step;
    if (!step_of(name, &step))
        return PALI_OK;
    char *const path = pl_path_join(list->out, name, err);
    pali_status status = path ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK && pl_is_folder(path)) {
        status = pl_grow(&list->entries, &list->capacity, list->count + 1, sizeof *list->entries, "list of checkpoints", err);
        if (status == PALI_OK)
            list->entries[list->count++] = (pl_snapshot_entry){.step = step};
    }
    free(path);
    return status;
}

/* Where a link in the folder leads: a step, or false. */
static bool link_step(const char *out, const char *name, uint64_t *step)
{
    char target[64], *const path = pl_path_join(out, name, NULL);
    const ssize_t length = path ? readlink(path, target, sizeof target - 1) : -1;
    free(path);
    if (length < 0)
        return false;
    target[length] = '\0';
    return step_of(target, step);
}

static int by_step(const void *a, const void *b)
{
    const uint64_t one = ((const pl_snapshot_entry *)a)->step, two = ((const pl_snapshot_entry *)b)->step;
    return (one > two) - (one < two);
}

pali_status pl_snapshot_list(const char *out, pl_snapshot_entry **entries, size_t *count, pali_error *err)
{
    listing list = {.out = out};
    const pali_status status = pl_folder_each(out, list_entry, &list, err);
    uint64_t last = 0, best = 0;
    const bool has_last = link_step(out, "last", &last), has_best = link_step(out, "best", &best);
    if (status != PALI_OK) {
        free(list.entries);
        list = (listing){0};
    }
    if (list.count)
        qsort(list.entries, list.count, sizeof *list.entries, by_step);
    for (size_t i = 0; i < list.count; i++) {
        list.entries[i].last = has_last && list.entries[i].step == last;
        list.entries[i].best = has_best && list.entries[i].step == best;
    }
    *entries = list.entries;
    *count = list.count;
    return status;
}

/* ---- Saving ----------------------------------------------------------- */

/* The path of a snapshot, or with ".tmp" of one that is being made; new. */
static char *snapshot_path(const char *out, uint64_t step, const char *suffix, pali_error *err)
{
    return pl_format(err, "%s/checkpoint-%llu%s", out, (unsigned long long)step, suffix);
}

static pali_status write_contents(const pl_snapshot *snapshot, const char *path, pali_error *err)
{
    pali_status status = PALI_OK;
    if (snapshot->full) {
        pl_save_options options = *snapshot->full;
        pl_save_report report;
        options.container = PL_CONTAINER_SAFETENSORS;
        status = pl_paligemma_save(snapshot->model, path, &options, &report, err);
    } else if (snapshot->adapter) {
        status = pl_paligemma_save_adapter(snapshot->model, path, snapshot->adapter, NULL, err);
    } else {
        status = pl_folder_make(path, err);
    }
    if (status == PALI_OK)
        status = pl_snapshot_state_write(path, snapshot, err);
    return status;
}

typedef struct summing {
    const char *folder;
    uint64_t bytes;
} summing;

static pali_status add_size(void *context, const char *name, pali_error *err)
{
    summing *const sum = context;
    struct stat info;
    char *const path = pl_path_join(sum->folder, name, err);
    pali_status status = path ? PALI_OK : PALI_MEMORY;
    if (path && lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        summing inner = {.folder = path};
        status = pl_folder_each(path, add_size, &inner, err);
        sum->bytes += inner.bytes;
    } else if (path && S_ISREG(info.st_mode)) {
        sum->bytes += (uint64_t)info.st_size;
    }
    free(path);
    return status;
}

static pali_status make_link(const pl_run_folder *folder, const char *name, uint64_t step, pali_error *err)
{
    char target[40], *const path = pl_path_join(folder->path, name, err);
    snprintf(target, sizeof target, "checkpoint-%llu", (unsigned long long)step);
    const pali_status status = path ? pl_link_replace(path, target, err) : PALI_MEMORY;
    free(path);
    return status;
}

pali_status pl_snapshot_relink(pl_run_folder *folder, uint64_t step, bool best, pali_error *err)
{
    const pali_status status = make_link(folder, "last", step, err);
    return status == PALI_OK && best ? make_link(folder, "best", step, err) : status;
}

/* Removes one snapshot, under another name first. */
static bool remove_snapshot(const char *out, uint64_t step)
{
    char *const path = snapshot_path(out, step, "", NULL), *const aside = snapshot_path(out, step, ".old.tmp", NULL);
    const bool removed = path && aside && rename(path, aside) == 0 && pl_folder_remove(aside) == 0;
    free(aside);
    free(path);
    return removed;
}

/* What is neither linked nor among the newest `keep`, and what is of later steps. */
static size_t remove_others(const pl_run_folder *folder, const pl_snapshot *snapshot)
{
    pl_snapshot_entry *entries = NULL;
    size_t count = 0, removed = 0, newer = 0;
    if (pl_snapshot_list(folder->path, &entries, &count, NULL) != PALI_OK)
        return 0;
    for (size_t i = count; i-- > 0;) {
        const pl_snapshot_entry *const entry = &entries[i];
        const bool later = entry->step > snapshot->step;
        const bool old = snapshot->keep && !later && newer >= snapshot->keep;
        newer += !later;
        if ((later || old) && !entry->last && !entry->best)
            removed += remove_snapshot(folder->path, entry->step);
    }
    free(entries);
    return removed;
}

pali_status pl_snapshot_save(pl_run_folder *folder, const pl_snapshot *snapshot, pl_snapshot_report *report, pali_error *err)
{
    const double begin = pl_now();
    pali_error own = {0}, *const why = err ? err : &own;
    char *const made = snapshot_path(folder->path, snapshot->step, ".tmp", why), *const path = snapshot_path(folder->path, snapshot->step, "", why);
    pali_status status = made && path ? PALI_OK : PALI_MEMORY;
    summing sum = {.folder = path};
    if (status == PALI_OK) {
        pl_folder_remove(made); /* of an attempt that failed and could not be cleared away */
        status = write_contents(snapshot, made, why);
        if (status == PALI_OK)
            status = pl_folder_install(made, path, why);
        if (status != PALI_OK)
            pl_folder_remove(made);
    }
    if (status == PALI_OK)
        status = pl_snapshot_relink(folder, snapshot->step, snapshot->best, why);
    const size_t removed = status == PALI_OK ? remove_others(folder, snapshot) : 0;
    if (status == PALI_OK && report) {
        pl_folder_each(path, add_size, &sum, NULL);
        *report = (pl_snapshot_report){.bytes = sum.bytes, .seconds = pl_now() - begin, .removed = removed};
        snprintf(report->name, sizeof report->name, "checkpoint-%llu", (unsigned long long)snapshot->step);
    }
    if (status != PALI_OK && status != PALI_CANCELLED)
        pl_error_prefix(why, "checkpoint of step %llu not saved", (unsigned long long)snapshot->step);
    free(path);
    free(made);
    return status;
}

static pali_status clear_entry(void *context, const char *name, pali_error *err)
{
    const char *const out = context;
    uint64_t step;
    if (!step_of(name, &step))
        return PALI_OK;
    return remove_snapshot(out, step) ? PALI_OK : pl_fail(err, PALI_FAILED, "%s/%s: cannot remove: %s", out, name, strerror(errno));
}

pali_status pl_run_folder_clear(pl_run_folder *folder, pali_error *err)
{
    static const char *const links[] = {"last", "best"};
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < 2; i++) {
        char target[8], *const path = pl_path_join(folder->path, links[i], err);
        const bool is_link = path && readlink(path, target, sizeof target) >= 0;
        status = !path ? PALI_MEMORY : is_link ? remove_entry(folder->path, links[i], err) : PALI_OK;
        free(path);
    }
    return status == PALI_OK ? pl_folder_each(folder->path, clear_entry, folder->path, err) : status;
}

/* ---- Finding ---------------------------------------------------------- */

pali_status pl_snapshot_open(const char *path, pl_found_snapshot *found, pali_error *err)
{
    *found = (pl_found_snapshot){.path = pl_strdup(path, err)};
    const pali_status status = found->path ? pl_snapshot_state_check(path, &found->step, &found->notes, err) : PALI_MEMORY;
    if (status != PALI_OK)
        pl_found_snapshot_close(found);
    return status;
}

pali_status pl_snapshot_find(const char *out, pl_found_snapshot *found, pali_error *err)
{
    pl_snapshot_entry *entries = NULL;
    size_t count = 0, refused = 0;
    char warning[sizeof found->warning] = "";
    *found = (pl_found_snapshot){0};
    pali_status status = pl_snapshot_list(out, &entries, &count, err);
    for (size_t i = count; status == PALI_OK && i-- > 0 && !found->path;) {
        pali_error why = {0};
        char *const path = snapshot_path(out, entries[i].step, "", err);
        status = path ? pl_snapshot_open(path, found, &why) : PALI_MEMORY;
        if (status == PALI_MODEL) {
            if (refused++ == 0)
                snprintf(warning, sizeof warning, "%s", why.message);
            status = PALI_OK;
        } else if (status != PALI_OK && path) {
            pl_fail(err, status, "%s", why.message);
        }
        free(path);
    }
    free(entries);
    if (status == PALI_OK && !found->path && refused)
        status = pl_fail(err, PALI_MODEL, "%s: found %zu checkpoints, none of which is whole; the newest: %s", out, refused, warning);
    found->refused = refused;
    snprintf(found->warning, sizeof found->warning, "%s", warning);
    return status;
}

pali_status pl_snapshot_read(const pl_found_snapshot *found, const pl_state_tensor *tensors, size_t count, pali_error *err)
{
    char *const path = pl_format(err, "%s/%s/%s", found->path, PL_STATE_FOLDER, PL_STATE_TENSORS);
    const pali_status status = path ? pl_state_read(path, tensors, count, err) : PALI_MEMORY;
    free(path);
    return status;
}

void pl_found_snapshot_close(pl_found_snapshot *found)
{
    free(found->path);
    json_decref(found->notes);
    *found = (pl_found_snapshot){0};
}
