/*
 * Both files are appended to at an offset that is known to end a row, and cut
 * back to it where a row cannot be written.
 */
#include "train/log.h"

#include "base/file.h"
#include "base/folder.h"
#include "train/log_events.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST = 1 << 30 }; /* bytes of a file of ours that is read again */

static pali_status fail(const char *path, int reason, pali_error *err)
{
    return pl_fail(err, PALI_FAILED, "%s: cannot write: %s", path, strerror(reason));
}

/* All of it or, when that fails, nothing. */
static pali_status append(int fd, const char *path, const pl_buffer *bytes, uint64_t *size, pali_error *err)
{
    size_t done = 0;
    int reason = 0;
    while (reason == 0 && done < bytes->length) {
        const ssize_t sent = pwrite(fd, bytes->data + done, bytes->length - done, (off_t)(*size + done));
        if (sent > 0)
            done += (size_t)sent;
        else if (sent == 0 || errno != EINTR)
            reason = sent < 0 ? errno : EIO;
    }
    if (reason) {
        if (ftruncate(fd, (off_t)*size) != 0) { /* a torn end is cut off on resuming */
        }
        return fail(path, reason, err);
    }
    *size += bytes->length;
    return PALI_OK;
}

/* ---- Opening ---------------------------------------------------------- */

static pali_status make_header(const pl_log *log, pl_buffer *text, pali_error *err)
{
    pali_status status = pl_buffer_printf(text, err, "step");
    for (size_t c = 0; status == PALI_OK && c < log->count; c++)
        status = pl_buffer_printf(text, err, ",%s", log->columns[c].name);
    return status == PALI_OK ? pl_buffer_append(text, "\n", 1, err) : status;
}

/* How many bytes of a CSV with this header are whole rows up to and with `step`; 0: it has another header. */
static size_t rows_until(const char *text, size_t size, const pl_buffer *header, uint64_t step)
{
    if (size < header->length || memcmp(text, header->data, header->length) != 0)
        return 0;
    size_t at = header->length;
    for (const char *end; at < size && (end = memchr(text + at, '\n', size - at)); at = (size_t)(end - text) + 1) {
        char *rest;
        if (strtoull(text + at, &rest, 10) > step || rest == text + at || *rest != ',')
            break;
    }
    return at;
}

static pali_status open_at(const char *path, uint64_t size, int *fd, pali_error *err)
{
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return *fd < 0 || ftruncate(*fd, (off_t)size) != 0 ? fail(path, errno, err) : PALI_OK;
}

static pali_status open_csv(pl_log *log, bool resume, uint64_t step, pali_error *err)
{
    pl_buffer header = {0};
    pali_status status = make_header(log, &header, err);
    if (status == PALI_OK && resume && pl_is_file(log->csv_path)) {
        size_t size = 0;
        char *const text = pl_file_read(log->csv_path, LARGEST, &size, PALI_FAILED, err), *const aside = pl_format(err, "%s.old", log->csv_path);
        status = text && aside ? PALI_OK : pl_status_of(err, PALI_FAILED);
        log->csv_size = status == PALI_OK ? rows_until(text, size, &header, step) : 0;
        if (status == PALI_OK && log->csv_size == 0 && size && rename(log->csv_path, aside) != 0)
            status = fail(aside, errno, err);
        free(aside);
        free(text);
    }
    if (status == PALI_OK)
        status = open_at(log->csv_path, log->csv_size, &log->csv, err);
    if (status == PALI_OK && log->csv_size == 0)
        status = append(log->csv, log->csv_path, &header, &log->csv_size, err);
    free(header.data);
    return status;
}

static pali_status open_events(pl_log *log, bool resume, uint64_t step, pali_error *err)
{
    if (resume && pl_is_file(log->events_path)) {
        pl_map map;
        const pali_status status = pl_map_open(&map, log->events_path, PALI_FAILED, err);
        if (status != PALI_OK)
            return status;
        log->events_size = pl_events_until(map.data, map.size, step);
        pl_map_close(&map);
    }
    return open_at(log->events_path, log->events_size, &log->events, err);
}

pali_status pl_log_open(pl_log *log, const char *out, const pl_log_column *columns, size_t count, bool resume, uint64_t step, pali_error *err)
{
    pali_error own = {0}, *const why = err ? err : &own;
    *log = (pl_log){.columns = columns, .count = count, .csv = -1, .events = -1};
    char *const folder = pl_path_join(out, "tensorboard", why);
    log->csv_path = pl_path_join(out, "metrics.csv", why);
    log->events_path = folder ? pl_path_join(folder, "events.out.tfevents.pali", why) : NULL;
    pali_status status = log->csv_path && log->events_path ? pl_folder_make(folder, why) : PALI_MEMORY;
    if (status == PALI_OK)
        status = open_csv(log, resume, step, why);
    if (status == PALI_OK)
        status = open_events(log, resume, step, why);
    free(folder);
    if (status != PALI_OK)
        pl_log_close(log);
    return status;
}

/* ---- Rows ------------------------------------------------------------- */

/* Nine digits give a float again; whole numbers stay whole. */
static pali_status put_number(pl_buffer *text, double value, pali_error *err)
{
    if (isnan(value))
        return PALI_OK;
    return pl_buffer_printf(text, err, floor(value) >= value && fabs(value) < 1e15 ? "%.0f" : "%.9g", value);
}

static pali_status add_row(pl_log *log, uint64_t step, const double *values, pali_error *err)
{
    pl_buffer row = {0};
    pali_status status = pl_buffer_printf(&row, err, "%llu", (unsigned long long)step);
    for (size_t c = 0; status == PALI_OK && c < log->count; c++) {
        status = pl_buffer_append(&row, ",", 1, err);
        if (status == PALI_OK)
            status = put_number(&row, values[c], err);
    }
    if (status == PALI_OK)
        status = pl_buffer_append(&row, "\n", 1, err);
    if (status == PALI_OK)
        status = append(log->csv, log->csv_path, &row, &log->csv_size, err);
    free(row.data);
    return status;
}

static pali_status add_event(pl_log *log, uint64_t step, const double *values, double wall, pali_error *err)
{
    pl_buffer record = {0};
    size_t count = 0;
    pl_scalar *const scalars = pl_new(log->count, sizeof *scalars, "events", err);
    pali_status status = scalars ? PALI_OK : PALI_MEMORY;
    for (size_t c = 0; scalars && c < log->count; c++)
        if (log->columns[c].tag && !isnan(values[c]))
            scalars[count++] = (pl_scalar){.tag = log->columns[c].tag, .value = (float)values[c]};
    if (status == PALI_OK && log->events_size == 0)
        status = pl_events_begin(&record, wall, err);
    if (status == PALI_OK && count)
        status = pl_events_scalars(&record, step, wall, scalars, count, err);
    if (status == PALI_OK && count)
        status = append(log->events, log->events_path, &record, &log->events_size, err);
    free(scalars);
    free(record.data);
    return status;
}

pali_status pl_log_row(pl_log *log, uint64_t step, const double *values, double wall, pali_error *err)
{
    const pali_status status = add_row(log, step, values, err);
    return status == PALI_OK ? add_event(log, step, values, wall, err) : status;
}

pali_status pl_log_sync(pl_log *log, pali_error *err)
{
    const struct {
        int fd;
        const char *path;
    } files[] = {{log->csv, log->csv_path}, {log->events, log->events_path}};
    for (size_t i = 0; i < 2; i++)
        if (files[i].fd >= 0 && fsync(files[i].fd) != 0 && errno != EINVAL && errno != ENOTSUP)
            return fail(files[i].path, errno, err);
    return PALI_OK;
}

void pl_log_close(pl_log *log)
{
    if (log->csv_path && log->csv >= 0)
        close(log->csv);
    if (log->csv_path && log->events >= 0)
        close(log->events);
    free(log->csv_path);
    free(log->events_path);
    *log = (pl_log){.csv = -1, .events = -1};
}

/* ---- Reading ---------------------------------------------------------- */

static size_t count_of(const char *text, char what)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == what;
    return count;
}

/* The names in the first line, which is cut into them. */
static pali_status take_names(char *line, pl_log_table *table, pali_error *err)
{
    const size_t columns = count_of(line, ',') + 1;
    table->names = pl_new(columns, sizeof *table->names, "metrics", err);
    pali_status status = table->names ? PALI_OK : PALI_MEMORY;
    for (char *name = line; status == PALI_OK && table->columns < columns;) {
        char *const comma = strchr(name, ',');
        if (comma)
            *comma = '\0';
        char *const own = pl_strdup(name, err);
        if (own)
            table->names[table->columns++] = own;
        status = own ? PALI_OK : PALI_MEMORY;
        name = comma ? comma + 1 : name;
    }
    return status;
}

/* One line; false if it has not as many fields as there are columns. */
static bool take_row(const char *line, const pl_log_table *table, double *values)
{
    for (size_t c = 0; c < table->columns; c++) {
        char *end;
        values[c] = strtod(line, &end);
        if (end == line)
            values[c] = NAN;
        if (*end != (c + 1 < table->columns ? ',' : '\0'))
            return false;
        line = end + 1;
    }
    return true;
}

pali_status pl_log_read(const char *path, pl_log_table *table, pali_error *err)
{
    size_t size, number = 1;
    *table = (pl_log_table){0};
    char *const text = pl_file_read(path, LARGEST, &size, PALI_FAILED, err);
    if (!text)
        return pl_status_of(err, PALI_FAILED);
    const size_t lines = count_of(text, '\n');
    char *line = text, *end = strchr(text, '\n');
    if (end)
        *end = '\0';
    pali_status status = end ? take_names(line, table, err) : pl_fail(err, PALI_FAILED, "%s: found no line of names, expected one", path);
    if (status == PALI_OK && !(table->values = pl_new(lines * table->columns, sizeof *table->values, "metrics", err)))
        status = PALI_MEMORY;
    while (status == PALI_OK && (line = end + 1, end = strchr(line, '\n'))) {
        *end = '\0';
        number++;
        if (take_row(line, table, table->values + table->rows * table->columns))
            table->rows++;
        else
            status = pl_fail(err, PALI_FAILED, "%s:%zu: found a row that is not %zu numbers", path, number, table->columns);
    }
    free(text);
    if (status != PALI_OK)
        pl_log_table_free(table);
    return status;
}

void pl_log_table_free(pl_log_table *table)
{
    for (size_t c = 0; c < table->columns; c++)
        free(table->names[c]);
    free(table->names);
    free(table->values);
    *table = (pl_log_table){0};
}
