/*
 * What the command says beside its answers: errors, notes and progress, all on
 * standard error, each one line.
 */
#ifndef PALI_APP_SAY_H
#define PALI_APP_SAY_H

#include "command.h"

#include <pali/pali.h>

#include <jansson.h>

/* Prints "pali: message" and returns `code`, so that a failing function ends in `return fail(...)`. */
__attribute__((format(printf, 2, 3))) int fail(int code, const char *format, ...);

/* A wrong command line: the message and where to read on; returns PALI_USAGE. `of` may be NULL. */
__attribute__((format(printf, 2, 3))) int fail_usage(const command *of, const char *format, ...);

/* The library's message; returns its status as exit code. */
int fail_error(const pali_error *err);

/* One line that is no error; not with --quiet. */
__attribute__((format(printf, 2, 3))) void note(const settings *given, const char *format, ...);

/*
 * A bar that is drawn on a terminal only, and only when the work takes a
 * while; with the rate so far, and from that the time that is left.
 */
typedef struct progress {
    const char *what; /* "loading" */
    bool is_bytes;
    bool enabled, shown, begun;
    double started, drawn; /* seconds */
    uint64_t first;        /* what was done already at the first update: not to this run's credit */
} progress;

progress progress_start(const settings *given, const char *what, bool is_bytes);
pali_progress_fn progress_update; /* its context is the progress */
void progress_end(progress *bar);

/* Seconds for people: "4 min 05 s". Writes into text and returns it. */
const char *time_text(double seconds, char text[48]);

/* Seconds on a clock that only goes forward. */
double now(void);

/* The most bytes that were resident so far; 0 where the system does not tell. */
uint64_t peak_memory(void);

/* Flushes standard output; returns `code`, or PALI_FAILED when what was written did not arrive. */
int finish_output(int code);

/* `text` as a JSON string; bytes that are not UTF-8 become U+FFFD. */
json_t *json_text(const char *text);

/* A JSON number, or null when x is not finite. */
json_t *json_number(double x);

/* Prints one object on one line and releases it; returns the exit code. finish_output tells whether it arrived. */
int print_json(json_t *object);

#endif
