/*
 * Appending with a memory: notes are written before the first line, lines at
 * an offset that is known to end one, under a lock of the system's that goes
 * with the process that holds it.
 */
#include "batch/output.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t most_notes = (size_t)1 << 20; /* bytes */
static const double sync_seconds = 1;             /* at most so often */

static pali_status fail_write(const pl_batch_output *out, int reason, pali_error *err)
{
    return pl_fail(err, PALI_FAILED, "%s: cannot write: %s", out->path, strerror(reason));
}

/* Opens or makes the file, and holds it against other runs. */
static pali_status open_file(pl_batch_output *out, pali_error *err)
{
    struct stat info;
    if (stat(out->path, &info) == 0 && !S_ISREG(info.st_mode))
        return pl_fail(err, PALI_USAGE, "%s: found %s, expected a file to write to", out->path, S_ISDIR(info.st_mode) ? "a folder" : "a special file");
    out->fd = open(out->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (out->fd < 0)
        return fail_write(out, errno, err);
    /* A file system without locks (some clusters have such) is used all the same. */
    if (flock(out->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return pl_fail(err, PALI_FAILED, "%s: another run is writing to it", out->path);
    if (fstat(out->fd, &info) != 0)
        return fail_write(out, errno, err);
    out->size = (uint64_t)info.st_size;
    return PALI_OK;
}

/* A value as a message shows it. */
static const char *shown(const json_t *value, char buf[80])
{
    char *const text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    const char *const printable = pl_printable(text ? text : "nothing", text ? strlen(text) : 7, buf);
    free(text);
    return printable;
}

/* The first key whose values differ, as "model.bytes", and the values; the objects differ. */
static void find_difference(const json_t **before, const json_t **now, pl_buffer *path)
{
    while (json_is_object(*before) && json_is_object(*now)) {
        const json_t *a = NULL, *b = NULL;
        const char *key, *found = NULL;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)*now, key, value) {
            if (!found && !json_equal(value, json_object_get(*before, key)))
                found = key;
        }
        json_object_foreach((json_t *)(uintptr_t)*before, key, value) {
            if (!found && !json_object_get(*now, key))
                found = key;
        }
        if (!found)
            return;
        a = json_object_get(*before, found);
        b = json_object_get(*now, found);
        pl_buffer_printf(path, NULL, "%s%s", path->length ? "." : "", found);
        *before = a;
        *now = b;
    }
}

static pali_status fail_difference(const char *path, const json_t *before, const json_t *now, pali_error *err)
{
    char left[80], right[80];
    pl_buffer what = {0};
    find_difference(&before, &now, &what);
    const pali_status status = pl_fail(err, PALI_USAGE, "%s: an earlier run began it with %s %s, expected what this one has, %s; name another output, or force a new beginning", path,
                                       what.data ? what.data : "settings", shown(before, left), shown(now, right));
    free(what.data);
    return status;
}

/* Reads the notes of an earlier run; *notes stays NULL where there are none. */
static pali_status read_notes(const char *path, json_t **notes, pali_error *err)
{
    if (access(path, F_OK) != 0)
        return PALI_OK;
    size_t size;
    char *const text = pl_file_read(path, most_notes, &size, PALI_FAILED, err);
    if (!text)
        return pl_status_of(err, PALI_FAILED);
    *notes = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    return json_object_get(*notes, "pali batch") ? PALI_OK : pl_fail(err, PALI_USAGE, "%s: found no notes of an earlier run, expected them or no such file", path);
}

static pali_status write_notes(const pl_batch_output *out, const char *path, const json_t *notes, pali_error *err)
{
    if (ftruncate(out->fd, 0) != 0)
        return fail_write(out, errno, err);
    char *const text = json_dumps(notes, JSON_INDENT(2));
    if (!text)
        return pl_fail_memory(err, path, 0);
    pl_buffer whole = {0};
    pali_status status = pl_buffer_printf(&whole, err, "%s\n", text);
    if (status == PALI_OK)
        status = pl_file_write(path, whole.data, whole.length, err);
    free(whole.data);
    free(text);
    return status;
}

static pali_status check_line(pl_batch_output *out, const pl_output_claim *claim, const char *text, size_t length, pali_error *err)
{
    json_error_t error;
    json_t *const line = json_loadb(text, length, 0, &error);
    pali_status status = line ? claim->check(claim->context, out->lines, line, err) : pl_fail(err, PALI_USAGE, "found no JSON");
    if (status == PALI_OK && json_object_get(line, "error")) {
        if (out->failed++ == 0)
            out->first_failed = (size_t)json_integer_value(json_object_get(line, "row"));
    }
    json_decref(line);
    out->lines++;
    if (status != PALI_OK)
        pl_error_prefix(err, "%s:%zu", out->path, out->lines);
    return status;
}

/* Checks the whole lines of `text` and takes them from its front. */
static pali_status take_lines(pl_batch_output *out, const pl_output_claim *claim, pl_buffer *text, uint64_t *whole, pali_error *err)
{
    size_t at = 0;
    pali_status status = PALI_OK;
    for (const char *end; status == PALI_OK && text->data && (end = memchr(text->data + at, '\n', text->length - at));) {
        const size_t length = (size_t)(end - text->data) + 1 - at;
        status = check_line(out, claim, text->data + at, length, err);
        at += length;
    }
    *whole += at;
    if (at)
        memmove(text->data, text->data + at, text->length - at);
    text->length -= at;
    return status;
}

/* Goes through what is there; what follows the last whole line is cut off. */
static pali_status check_lines(pl_batch_output *out, const pl_output_claim *claim, pali_error *err)
{
    enum { CHUNK = 1 << 16 };
    pl_buffer text = {0};
    char *const chunk = pl_new_raw(CHUNK, 1, "lines of an earlier run", err);
    pali_status status = chunk ? PALI_OK : PALI_MEMORY;
    uint64_t whole = 0, at = 0;
    while (status == PALI_OK && at < out->size) {
        const ssize_t got = pread(out->fd, chunk, CHUNK, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            status = pl_fail(err, PALI_FAILED, "%s: cannot read: %s", out->path, got < 0 ? strerror(errno) : "it became shorter");
            break;
        }
        at += (uint64_t)got;
        status = pl_buffer_append(&text, chunk, (size_t)got, err);
        if (status == PALI_OK)
            status = take_lines(out, claim, &text, &whole, err);
    }
    free(text.data);
    free(chunk);
    if (status == PALI_OK && whole < out->size && ftruncate(out->fd, (off_t)whole) != 0)
        status = fail_write(out, errno, err);
    out->size = whole;
    return status;
}

/* Decides between going on, beginning, and refusing. */
static pali_status claim_file(pl_batch_output *out, const char *notes_path, const pl_output_claim *claim, pali_error *err)
{
    json_t *before = NULL;
    pali_status status = read_notes(notes_path, &before, err);
    if (status == PALI_OK && !before && out->size > 0)
        status = pl_fail(err, PALI_USAGE, "%s: there is such a file, and no %s beside it that says a batch wrote it; nothing is written over it", out->path, notes_path);
    const bool goes_on = before && json_equal(before, claim->notes);
    if (status == PALI_OK && before && !claim->force && (goes_on || out->size > 0)) {
        status = goes_on ? check_lines(out, claim, err) : fail_difference(out->path, before, claim->notes, err);
    } else if (status == PALI_OK) { /* nothing is there to be gone on with, or to be lost */
        status = write_notes(out, notes_path, claim->notes, err);
        out->size = 0;
    }
    json_decref(before);
    return status;
}

pali_status pl_batch_output_open(pl_batch_output *out, const pl_output_claim *claim, pali_error *err)
{
    *out = (pl_batch_output){.fd = -1, .path = pl_strdup(claim->path, err)};
    char *const notes_path = pl_format(err, "%s.run", claim->path);
    const bool existed = access(claim->path, F_OK) == 0;
    pali_status status = out->path && notes_path ? open_file(out, err) : PALI_MEMORY;
    if (status == PALI_OK) {
        status = claim_file(out, notes_path, claim, err);
        if (status != PALI_OK && !existed)
            unlink(claim->path);
    }
    free(notes_path);
    if (status != PALI_OK)
        pl_batch_output_close(out);
    return status;
}

pali_status pl_batch_output_add(pl_batch_output *out, const char *line, pali_error *err)
{
    return pl_buffer_printf(&out->fresh, err, "%s\n", line);
}

static int write_at(int fd, const char *bytes, size_t size, uint64_t offset)
{
    while (size) {
        const ssize_t sent = pwrite(fd, bytes, size, (off_t)offset);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return sent < 0 ? errno : EIO;
        bytes += sent;
        offset += (uint64_t)sent;
        size -= (size_t)sent;
    }
    return 0;
}

pali_status pl_batch_output_flush(pl_batch_output *out, bool last, pali_error *err)
{
    int reason = write_at(out->fd, out->fresh.data, out->fresh.length, out->size);
    const double now = pl_now();
    if (!reason && (last || now - out->synced >= sync_seconds)) {
        if (fsync(out->fd) != 0 && errno != EINVAL && errno != ENOTSUP)
            reason = errno;
        out->synced = now;
    }
    if (reason) {
        if (ftruncate(out->fd, (off_t)out->size) != 0) { /* the next run cuts a torn line off itself */
        }
        return pl_fail(err, PALI_FAILED, "%s: cannot write: %s; the rows in it are whole, and another run goes on after them", out->path, strerror(reason));
    }
    out->size += out->fresh.length;
    out->fresh.length = 0;
    return PALI_OK;
}

void pl_batch_output_close(pl_batch_output *out)
{
    if (out->path && out->fd >= 0)
        close(out->fd); /* and the lock with it */
    free(out->path);
    free(out->fresh.data);
    *out = (pl_batch_output){.fd = -1};
}
