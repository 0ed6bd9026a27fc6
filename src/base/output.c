/* Streamed atomic files (POSIX). */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, MOST_ZEROS = 4096 };

static pali_status fail(const pl_output *out, int reason, pali_error *err)
{
    return pl_fail(err, PALI_FAILED, "%s: cannot write: %s", out->path, strerror(reason));
}

static void close_output(pl_output *out)
{
    if (out->fd >= 0 && out->path)
        close(out->fd);
    free(out->buffer);
    free(out->temporary);
    free(out->path);
    *out = (pl_output){.fd = -1};
}

pali_status pl_output_open(pl_output *out, const char *path, pali_error *err)
{
    *out = (pl_output){.fd = -1};
    out->path = pl_strdup(path, err);
    out->temporary = pl_format(err, "%s.%ld.%lx.tmp", path, (long)getpid(), (unsigned long)pthread_self());
    out->buffer = pl_new_raw(BUFFER, 1, "file to write", err);
    pali_status status = out->path && out->temporary && out->buffer ? PALI_OK : PALI_MEMORY;
    if (status == PALI_OK) {
        out->fd = open(out->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (out->fd < 0)
            status = fail(out, errno, err);
    }
    if (status != PALI_OK)
        close_output(out);
    return status;
}

static pali_status send(pl_output *out, const unsigned char *bytes, size_t size, pali_error *err)
{
    while (size) {
        const ssize_t sent = write(out->fd, bytes, size);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return fail(out, sent < 0 ? errno : EIO, err);
        bytes += sent;
        size -= (size_t)sent;
    }
    return PALI_OK;
}

static pali_status flush(pl_output *out, pali_error *err)
{
    const size_t used = out->used;
    out->used = 0;
    return send(out, out->buffer, used, err);
}

pali_status pl_output_write(pl_output *out, const void *bytes, size_t size, pali_error *err)
{
    out->size += size;
    if (size > BUFFER - out->used) {
        const pali_status status = flush(out, err);
        if (status != PALI_OK)
            return status;
    }
    if (size > BUFFER)
        return send(out, bytes, size, err);
    if (size)
        memcpy(out->buffer + out->used, bytes, size);
    out->used += size;
    return PALI_OK;
}

pali_status pl_output_pad(pl_output *out, size_t alignment, pali_error *err)
{
    static const unsigned char zeros[MOST_ZEROS];
    size_t missing = (size_t)(-out->size & (alignment - 1));
    pali_status status = PALI_OK;
    while (status == PALI_OK && missing) {
        const size_t step = pl_min(missing, MOST_ZEROS);
        status = pl_output_write(out, zeros, step, err);
        missing -= step;
    }
    return status;
}

pali_status pl_output_rewrite(pl_output *out, uint64_t offset, const void *bytes, size_t size, pali_error *err)
{
    const pali_status status = flush(out, err);
    if (status != PALI_OK)
        return status;
    const unsigned char *from = bytes;
    while (size) {
        const ssize_t sent = pwrite(out->fd, from, size, (off_t)offset);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return fail(out, sent < 0 ? errno : EIO, err);
        from += sent;
        offset += (uint64_t)sent;
        size -= (size_t)sent;
    }
    return PALI_OK;
}

void pl_folder_sync(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

static pali_status commit(pl_output *out, bool wait, pali_error *err)
{
    pali_status status = flush(out, err);
    if (status == PALI_OK && wait && fsync(out->fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        status = fail(out, errno, err);
    const int fd = out->fd;
    out->fd = -1;
    if (close(fd) != 0 && status == PALI_OK)
        status = fail(out, errno, err);
    if (status == PALI_OK && rename(out->temporary, out->path) != 0)
        status = fail(out, errno, err);
    if (status != PALI_OK)
        unlink(out->temporary);
    close_output(out);
    return status;
}

pali_status pl_output_commit(pl_output *out, pali_error *err)
{
    return commit(out, true, err);
}

pali_status pl_output_commit_soon(pl_output *out, pali_error *err)
{
    return commit(out, false, err);
}

void pl_output_abandon(pl_output *out)
{
    if (!out->path)
        return;
    unlink(out->temporary);
    close_output(out);
}
