/* Renames do the work: within a folder they happen at once or not at all (POSIX). */
#include "base/folder.h"

#include "base/file.h"
#include "base/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static pali_status fail(const char *path, const char *what, int reason, pali_error *err)
{
    return pl_fail(err, PALI_FAILED, "%s: cannot %s: %s", path, what, strerror(reason));
}

pali_status pl_folder_make(const char *path, pali_error *err)
{
    char *const part = pl_strdup(path, err);
    int reason = 0;
    if (!part)
        return PALI_MEMORY;
    for (char *at = part + 1; reason == 0 && *part && *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST) {
            const int why = errno;
            reason = pl_is_folder(part) ? 0 : why;
        }
        *at = '/';
    }
    if (reason == 0 && mkdir(path, 0777) != 0) {
        const int why = errno; /* looking for the folder would write over it */
        reason = pl_is_folder(path) ? 0 : why;
    }
    free(part);
    return reason ? fail(path, "make the folder", reason, err) : PALI_OK;
}

uint64_t pl_folder_room(const char *path)
{
    struct statvfs room;
    char *const at = pl_strdup(path, NULL);
    if (!at)
        return UINT64_MAX;
    int found = statvfs(at, &room);
    for (char *slash; found != 0 && errno == ENOENT && (slash = strrchr(at, '/')) && slash > at; found = statvfs(at, &room))
        *slash = '\0';
    if (found != 0 && errno == ENOENT)
        found = statvfs(*path == '/' ? "/" : ".", &room);
    free(at);
    return found == 0 ? (uint64_t)room.f_bavail * room.f_frsize : UINT64_MAX;
}

int pl_folder_remove(const char *path)
{
    DIR *const entries = opendir(path);
    int reason = entries ? 0 : errno;
    for (const struct dirent *e; entries && (e = readdir(entries));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        struct stat info;
        char *const entry = pl_path_join(path, e->d_name, NULL);
        int failed = !entry ? ENOMEM : lstat(entry, &info) != 0 ? errno : 0;
        if (!failed)
            failed = S_ISDIR(info.st_mode) ? pl_folder_remove(entry) : unlink(entry) == 0 ? 0 : errno;
        reason = reason ? reason : failed;
        free(entry);
    }
    if (entries)
        closedir(entries);
    return rmdir(path) == 0 ? 0 : reason ? reason : errno;
}

pali_status pl_folder_each(const char *path, pali_status (*use)(void *context, const char *name, pali_error *err), void *context, pali_error *err)
{
    DIR *const entries = opendir(path);
    if (!entries)
        return errno == ENOENT ? PALI_OK : fail(path, "read the folder", errno, err);
    pali_status status = PALI_OK;
    for (const struct dirent *e; status == PALI_OK && (e = readdir(entries));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            status = use(context, e->d_name, err);
    closedir(entries);
    return status;
}

/* Exchanges two names at once; false where the system cannot. */
static bool exchange(const char *a, const char *b)
{
#if defined(RENAME_EXCHANGE)
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
#elif defined(RENAME_SWAP)
    return renamex_np(a, b, RENAME_SWAP) == 0;
#else
    (void)a, (void)b;
    return false;
#endif
}

/* The folder that `path` stands in, new: known before a name is changed, so that the change can be brought to the disk. */
static char *parent_of(const char *path, pali_error *err)
{
    const char *const slash = strrchr(path, '/');
    return slash ? pl_strndup(path, slash == path ? 1 : (size_t)(slash - path), err) : pl_strdup(".", err);
}

pali_status pl_folder_install(const char *made, const char *path, pali_error *err)
{
    char *const parent = parent_of(path, err), *const aside = parent ? pl_format(err, "%s.old.tmp", path) : NULL;
    int reason = 0;
    if (!aside) {
        free(parent);
        return PALI_MEMORY;
    }
    pl_folder_sync(made);
    if (!pl_is_folder(path)) {
        reason = rename(made, path) == 0 ? 0 : errno;
    } else if (exchange(made, path)) {
        pl_folder_remove(made); /* is the old one now */
    } else {
        pl_folder_remove(aside); /* of a process that was killed here */
        reason = rename(path, aside) != 0 ? errno : rename(made, path) == 0 ? 0 : errno;
        if (reason == 0)
            pl_folder_remove(aside);
        else
            rename(aside, path);
    }
    if (reason == 0)
        pl_folder_sync(parent);
    free(aside);
    free(parent);
    return reason ? fail(path, "write", reason, err) : PALI_OK;
}

pali_status pl_link_replace(const char *path, const char *target, pali_error *err)
{
    char *const parent = parent_of(path, err), *const made = parent ? pl_format(err, "%s.%ld.tmp", path, (long)getpid()) : NULL;
    if (!made) {
        free(parent);
        return PALI_MEMORY;
    }
    unlink(made);
    int reason = symlink(target, made) == 0 ? 0 : errno;
    if (reason == 0 && rename(made, path) != 0) {
        reason = errno;
        unlink(made);
    }
    if (reason == 0)
        pl_folder_sync(parent);
    free(made);
    free(parent);
    return reason ? fail(path, "make the link", reason, err) : PALI_OK;
}
