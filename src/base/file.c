/* File map, whole-file read and atomic write (POSIX). */
#include "base/file.h"

#include "base/memory.h"
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_regular(const char *path, struct stat *info, pali_status status, pali_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hold us */
    if (fd < 0) {
        pl_fail(err, status, "%s: cannot open: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(fd, info) != 0)
        pl_fail(err, status, "%s: cannot read its size: %s", path, strerror(errno));
    else if (!S_ISREG(info->st_mode))
        pl_fail(err, status, "%s: found %s, expected a regular file", path, S_ISDIR(info->st_mode) ? "a folder" : "a special file");
    else
        return fd;
    close(fd);
    return -1;
}

pali_status pl_map_open(pl_map *map, const char *path, pali_status status, pali_error *err)
{
    *map = (pl_map){0};
    struct stat info;
    const int fd = open_regular(path, &info, status, err);
    if (fd < 0)
        return status;
    map->size = (size_t)info.st_size;
    void *data = NULL;
    if (map->size) {
        data = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            const int reason = errno;
            close(fd);
            return pl_fail(err, reason == ENOMEM ? PALI_MEMORY : status, "%s: cannot map %zu bytes: %s", path, map->size, strerror(reason));
        }
    }
    close(fd);
    map->data = data;
    map->path = pl_strdup(path, err);
    if (!map->path) {
        pl_map_close(map);
        return PALI_MEMORY;
    }
    return PALI_OK;
}

void pl_map_close(pl_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    free(map->path);
    *map = (pl_map){0};
}

static void advise(const pl_map *map, size_t offset, size_t length, int advice)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (offset >= map->size)
        return;
    const size_t end = offset + pl_min(length, map->size - offset);
    const size_t begin = offset & ~(page - 1);
    madvise((void *)(uintptr_t)(map->data + begin), end - begin, advice);
}

void pl_map_will_need(const pl_map *map, size_t offset, size_t length)
{
    advise(map, offset, length, MADV_WILLNEED);
}

void pl_map_drop(const pl_map *map, size_t offset, size_t length)
{
    advise(map, offset, length, MADV_DONTNEED);
}

void pl_forget_mapped(const void *bytes, size_t length)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)bytes & ~(page - 1);
    madvise((void *)begin, (uintptr_t)bytes + length - begin, MADV_DONTNEED);
}

char *pl_file_read(const char *path, size_t limit, size_t *size, pali_status status, pali_error *err)
{
    const bool standard_input = strcmp(path, "-") == 0;
    struct stat info = {0};
    const int fd = standard_input ? STDIN_FILENO : open_regular(path, &info, status, err);
    if (fd < 0)
        return NULL;
    char *text = NULL;
    size_t used = 0, capacity = 0;
    pali_status failed;
    if ((size_t)info.st_size > limit)
        failed = pl_fail(err, status, "%s: found %zu bytes, expected at most %zu", path, (size_t)info.st_size, limit);
    else
        failed = pl_grow(&text, &capacity, (size_t)info.st_size + 2, 1, path, err);
    while (failed == PALI_OK) {
        const ssize_t got = read(fd, text + used, capacity - used - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            failed = pl_fail(err, status, "%s: cannot read: %s", path, strerror(errno));
        if (got <= 0)
            break;
        used += (size_t)got;
        if (used > limit)
            failed = pl_fail(err, status, "%s: found more bytes than the %zu expected at most", path, limit);
        else
            failed = pl_grow(&text, &capacity, used + 2, 1, path, err);
    }
    if (!standard_input)
        close(fd);
    if (failed != PALI_OK) {
        free(text);
        return NULL;
    }
    text[used] = '\0';
    *size = used;
    return text;
}

/* Everything into `to`, down to the disk where there is one; 0 or an errno. */
static int write_all(const char *to, const void *data, size_t size)
{
    FILE *file = fopen(to, "wb");
    if (!file)
        return errno;
    int reason = 0;
    if (fwrite(data, 1, size, file) != size || fflush(file) != 0)
        reason = errno;
    else if (fsync(fileno(file)) != 0 && errno != EINVAL && errno != ENOTSUP) /* a pipe has no disk */
        reason = errno;
    if (fclose(file) != 0 && reason == 0)
        reason = errno;
    return reason;
}

pali_status pl_file_write(const char *path, const void *data, size_t size, pali_error *err)
{
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) { /* a rename would put a file in a device's place */
        if (S_ISDIR(info.st_mode))
            return pl_fail(err, PALI_FAILED, "%s: cannot write: it is a folder", path);
        const int reason = write_all(path, data, size);
        return reason ? pl_fail(err, PALI_FAILED, "%s: cannot write: %s", path, strerror(reason)) : PALI_OK;
    }
    pl_output out;
    pali_status status = pl_output_open(&out, path, err);
    if (status == PALI_OK)
        status = pl_output_write(&out, data, size, err);
    if (status == PALI_OK)
        status = pl_output_commit(&out, err);
    pl_output_abandon(&out);
    return status;
}

pali_status pl_file_lock(const char *path, const char *name, const char *busy, int *lock, pali_error *err)
{
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*lock < 0)
        return pl_fail(err, PALI_FAILED, "%s: cannot write: %s", path, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return PALI_OK;
    close(*lock);
    *lock = -1;
    return pl_fail(err, PALI_FAILED, "%s: %s", name, busy);
}

bool pl_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool pl_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool pl_same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

char *pl_path_join(const char *folder, const char *name, pali_error *err)
{
    const size_t length = strlen(folder);
    const bool slash = length > 0 && folder[length - 1] == '/';
    return pl_format(err, "%s%s%s", folder, slash ? "" : "/", name);
}
