/* The index of a JSONL file: read in pieces, a line at a time. */
#include "train/row_index.h"

#include "base/text.h"
#include "formats/jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

/* What is being read: bytes from `start` of the file on, of which a line may still lack its end. */
typedef struct reader {
    char *text;      /* [used] owned */
    size_t used, capacity;
    uint64_t start;
    uint64_t line;   /* the number of the line at the front */
    size_t skip, limit;
} reader;

static pali_status open_file(pl_row_index *index, const char *path, pali_error *err)
{
    index->fd = -1;
    index->path = pl_strdup(path, err);
    if (!index->path)
        return PALI_MEMORY;
    struct stat info;
    index->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hold us */
    if (index->fd < 0 || fstat(index->fd, &info) != 0)
        return pl_fail(err, PALI_INPUT, "%s: cannot open: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return pl_fail(err, PALI_INPUT, "%s: found %s, expected a regular file, as rows are read when their turn comes", path, S_ISDIR(info.st_mode) ? "a folder" : "a special file");
    return PALI_OK;
}

/* One line, without its newline. */
static pali_status add_line(pl_row_index *index, const reader *from, const char *text, size_t length, uint64_t start, pali_error *err)
{
    if (start == 0 && length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* the mark that some editors put first */
        text += 3;
        length -= 3;
        start += 3;
    }
    if (pl_jsonl_blank(text, length))
        return PALI_OK;
    if (length > PL_ROW_MOST_BYTES || from->line > UINT32_MAX)
        return pl_fail(err, PALI_INPUT, "%s:%llu: found %s, expected rows of at most %d bytes", index->path, (unsigned long long)from->line,
                       from->line > UINT32_MAX ? "too many lines" : "a longer line", PL_ROW_MOST_BYTES);
    const uint64_t hash = pl_hash(text, length);
    index->hash = (index->hash ^ hash) * 0x100000001b3u; /* as FNV-1a goes on, a row at a time */
    const uint64_t place = index->all++;
    if (place < from->skip || (from->limit && place - from->skip >= from->limit))
        return PALI_OK;
    const pali_status status = pl_grow(&index->rows, &index->capacity, index->count + 1, sizeof *index->rows, "index of rows", err);
    if (status == PALI_OK)
        index->rows[index->count++] = (pl_row_entry){.start = start, .length = (uint32_t)length, .hash = (uint32_t)(hash ^ hash >> 32), .line = (uint32_t)from->line};
    return status;
}

/* Every whole line that has been read, and at the end of the file the last one too. */
static pali_status take_lines(pl_row_index *index, reader *from, bool end, pali_error *err)
{
    size_t at = 0;
    pali_status status = PALI_OK;
    while (status == PALI_OK && at < from->used) {
        const char *const newline = memchr(from->text + at, '\n', from->used - at);
        if (!newline && !end)
            break;
        const size_t length = newline ? (size_t)(newline - from->text) - at : from->used - at;
        status = add_line(index, from, from->text + at, length, from->start + at, err);
        from->line++;
        at += length + (newline != NULL);
    }
    memmove(from->text, from->text + at, from->used - at);
    from->used -= at;
    from->start += at;
    return status;
}

static pali_status read_all(pl_row_index *index, reader *from, pali_error *err)
{
    for (;;) {
        pali_status status = pl_grow(&from->text, &from->capacity, from->used + PIECE, 1, "rows", err);
        if (status != PALI_OK)
            return status;
        const ssize_t got = read(index->fd, from->text + from->used, PIECE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pl_fail(err, PALI_INPUT, "%s: cannot read: %s", index->path, strerror(errno));
        from->used += (size_t)got;
        index->size += (uint64_t)got;
        status = take_lines(index, from, got == 0, err);
        if (status != PALI_OK || got == 0)
            return status;
        if (from->used > PL_ROW_MOST_BYTES)
            return pl_fail(err, PALI_INPUT, "%s:%llu: found a longer line, expected rows of at most %d bytes", index->path, (unsigned long long)from->line, PL_ROW_MOST_BYTES);
    }
}

pali_status pl_row_index_open(pl_row_index *index, const char *path, size_t skip, size_t limit, pali_error *err)
{
    *index = (pl_row_index){.hash = 0xcbf29ce484222325u};
    reader from = {.line = 1, .skip = skip, .limit = limit};
    pali_status status = open_file(index, path, err);
    if (status == PALI_OK)
        status = read_all(index, &from, err);
    free(from.text);
    if (status == PALI_OK && index->count == 0)
        status = index->all ? pl_fail(err, PALI_INPUT, "%s: found %llu rows, expected more than the %zu to be left out", path, (unsigned long long)index->all, skip)
                            : pl_fail(err, PALI_INPUT, "%s: there are no rows", path);
    return status;
}

void pl_row_index_close(pl_row_index *index)
{
    if (index->path && index->fd >= 0)
        close(index->fd);
    free(index->path);
    free(index->rows);
    *index = (pl_row_index){.fd = -1};
}

char *pl_row_index_read(const pl_row_index *index, size_t row, size_t *length, pali_error *err)
{
    const pl_row_entry *const entry = &index->rows[row];
    char *const text = pl_new_raw((size_t)entry->length + 1, 1, "row", err);
    if (!text)
        return NULL;
    size_t used = 0;
    while (used < entry->length) {
        const ssize_t got = pread(index->fd, text + used, entry->length - used, (off_t)(entry->start + used));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            pl_fail(err, PALI_FAILED, "%s:%u: cannot read: %s", index->path, entry->line, strerror(errno));
            free(text);
            return NULL;
        }
        if (got == 0)
            break;
        used += (size_t)got;
    }
    const uint64_t hash = pl_hash(text, used);
    if (used < entry->length || (uint32_t)(hash ^ hash >> 32) != entry->hash) {
        pl_fail(err, PALI_FAILED, "%s:%u: %s since the file was opened; expected it to stay as it is while it is read", index->path, entry->line,
                used < entry->length ? "the file has become shorter" : "the row has changed");
        free(text);
        return NULL;
    }
    text[used] = '\0';
    *length = used;
    return text;
}
