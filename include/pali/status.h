/*
 * pali/status.h: how every call of the library says that it failed.
 *
 * Errors are values. A call that can fail either returns a pali_status or
 * returns an object and NULL on failure; both take a `pali_error *` last,
 * owned by the caller, that receives the status and one line of text naming
 * the file, the field, what was found and what was expected. NULL is allowed
 * when the caller does not want the text. The library never prints, exits or
 * aborts on input.
 */
#ifndef PALI_STATUS_H
#define PALI_STATUS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* what public headers declare is exported, nothing else */

/*
 * Every status once: X(name, value, text). The values are also the exit codes
 * of the pali command.
 */
#define PALI_STATUS_LIST(X)                          \
    X(OK, 0, "done")                                 \
    X(FAILED, 1, "failed while running")             \
    X(USAGE, 2, "wrong argument")                    \
    X(MODEL, 3, "model file unusable")               \
    X(INPUT, 4, "input unusable")                    \
    X(MEMORY, 5, "out of memory")                    \
    X(CANCELLED, 130, "interrupted")

typedef enum pali_status {
#define PALI_STATUS_ENUM(name, value, text) PALI_##name = value,
    PALI_STATUS_LIST(PALI_STATUS_ENUM)
#undef PALI_STATUS_ENUM
} pali_status;

/* What went wrong. Zero-initialise before the first use. */
typedef struct pali_error {
    pali_status status;
    char message[512]; /* one line of UTF-8 without a newline, cut to fit */
} pali_error;

/* A short English text for a status ("out of memory"); static storage. */
const char *pali_status_text(pali_status status);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
