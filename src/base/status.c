/* Status texts and the one place where error messages are written. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *pali_status_text(pali_status status)
{
    switch (status) {
#define STATUS_CASE(name, value, text) \
    case PALI_##name:                  \
        return text;
        PALI_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown status";
}

/* Messages are one line: what a file or a user put into them may not be. */
static void one_line(char *message)
{
    for (unsigned char *c = (unsigned char *)message; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

pali_status pl_fail(pali_error *err, pali_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        one_line(err->message);
    }
    return status;
}

pali_status pl_fail_memory(pali_error *err, const char *what, size_t bytes)
{
    if (bytes)
        return pl_fail(err, PALI_MEMORY, "%s: out of memory (%zu bytes wanted)", what, bytes);
    return pl_fail(err, PALI_MEMORY, "%s: out of memory", what);
}

void pl_error_prefix(pali_error *err, const char *format, ...)
{
    if (!err)
        return;
    char text[2 * sizeof err->message];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(text, sizeof err->message, format, args);
    va_end(args);
    if (length < 0)
        return;
    const size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, ": %s", err->message);
    text[sizeof err->message - 1] = '\0';
    memcpy(err->message, text, strlen(text) + 1);
    one_line(err->message);
}

const char *pl_printable(const char *text, size_t length, char buf[80])
{
    const size_t most = 60;
    size_t out = 0;
    buf[out++] = '\'';
    for (size_t i = 0; i < length && i < most; i++) {
        const unsigned char c = (unsigned char)text[i];
        buf[out++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    if (length > most) {
        memcpy(buf + out, "...", 3);
        out += 3;
    }
    buf[out++] = '\'';
    buf[out] = '\0';
    return buf;
}
