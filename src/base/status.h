/*
 * Failing with a reason: fills a caller's pali_error and returns the status,
 * so that a failing function ends in `return pl_fail(err, PALI_MODEL, ...)`.
 */
#ifndef PL_BASE_STATUS_H
#define PL_BASE_STATUS_H

#include <pali/status.h>

#include <stdbool.h>

/* Records status and message in *err (which may be NULL); returns status. */
__attribute__((format(printf, 3, 4))) pali_status pl_fail(pali_error *err, pali_status status, const char *format, ...);

/* The status recorded in *err, or `otherwise` where nothing is (or err is NULL): for callees that return NULL. */
static inline pali_status pl_status_of(const pali_error *err, pali_status otherwise)
{
    return err && err->status != PALI_OK ? err->status : otherwise;
}

/* Out of memory while making `what`, of so many bytes (0: unknown). */
pali_status pl_fail_memory(pali_error *err, const char *what, size_t bytes);

/* Puts "prefix: " before the message of an error that is already recorded. */
__attribute__((format(printf, 2, 3))) void pl_error_prefix(pali_error *err, const char *format, ...);

/*
 * A name found in a file, made safe to print: quotes it, replaces control
 * characters and what is not UTF-8, cuts it between characters at 60 bytes at
 * most. Writes into buf and returns buf.
 */
const char *pl_printable(const char *text, size_t length, char buf[80]);

#endif
