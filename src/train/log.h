/*
 * The numbers of a run, a row at a time, as OUT/metrics.csv and as TensorBoard
 * events in OUT/tensorboard/. A run that is resumed goes on in both after the
 * last row of the step it resumes from.
 */
#ifndef PL_TRAIN_LOG_H
#define PL_TRAIN_LOG_H

#include "base/text.h"

typedef struct pl_log_column {
    const char *name;  /* in the CSV: "loss"; letters, digits, _ . - / */
    const char *tag;   /* in TensorBoard: "train/loss"; NULL: not there */
    const char *chart; /* of the HTML report: columns with one title share axes; NULL: not there */
    bool log_scale;    /* of that chart */
} pl_log_column;

/* Columns are listed once, as X(field, name, tag, chart, log_scale); with this for X the list is an array. */
#define PL_LOG_COLUMN(field, column, event, title, logarithmic) {.name = column, .tag = event, .chart = title, .log_scale = logarithmic},

typedef struct pl_log {
    char *csv_path, *events_path;  /* owned */
    const pl_log_column *columns;  /* [count], borrowed */
    size_t count;
    int csv, events;               /* file descriptors, -1: none */
    uint64_t csv_size, events_size;
} pl_log;

/*
 * Opens the log of a run in the folder `out`. `resume` false: anew, what is there is replaced;
 * true: rows and events after `step` are cut off, and a torn end with them.
 * A CSV with other columns is set aside as metrics.csv.old.
 */
pali_status pl_log_open(pl_log *log, const char *out, const pl_log_column *columns, size_t count, bool resume, uint64_t step, pali_error *err);

/* One row: values [count], NAN where there is none. Steps do not fall. `wall` is seconds since 1970, for TensorBoard. */
pali_status pl_log_row(pl_log *log, uint64_t step, const double *values, double wall, pali_error *err);

/* Brings rows to the disk. */
pali_status pl_log_sync(pl_log *log, pali_error *err);
void pl_log_close(pl_log *log);

/* The rows of a CSV that pl_log_row wrote: series of one column. */
typedef struct pl_log_table {
    char **names;   /* [columns] owned; the first is "step" */
    double *values; /* [rows, columns] owned, NAN where there is none */
    size_t rows, columns;
} pl_log_table;

pali_status pl_log_read(const char *path, pl_log_table *table, pali_error *err);
void pl_log_table_free(pl_log_table *table);

#endif
