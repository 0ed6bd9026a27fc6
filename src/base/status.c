/* Status texts and the one place where error messages are written. */
#include "base/status.h"

#include "base/text.h"

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

/* C0 and C1 control characters, which move a terminal's cursor or do worse. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/*
 * Messages are one line of UTF-8: what a file or a user put into them may not
 * be, and the cut to size may have split a character.
 */
static void one_line(char *message)
{
    const size_t length = strlen(message);
    size_t out = 0, step;
    for (size_t i = 0; i < length; i += step) {
        uint32_t code;
        bool valid;
        step = pl_utf8_read(message + i, length - i, &code, &valid);
        if (valid && !is_control(code)) {
            memmove(message + out, message + i, step);
            out += step;
        } else {
            message[out++] = valid ? ' ' : '?';
        }
    }
    message[out] = '\0';
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
    size_t out = 0, in = 0;
    buf[out++] = '\'';
    while (in < length) {
        uint32_t code;
        bool valid;
        const size_t step = pl_utf8_read(text + in, length - in, &code, &valid);
        if (in + step > most)
            break;
        if (valid && !is_control(code)) {
            memcpy(buf + out, text + in, step);
            out += step;
        } else {
            buf[out++] = '?';
        }
        in += step;
    }
    if (in < length) {
        memcpy(buf + out, "...", 3);
        out += 3;
    }
    buf[out++] = '\'';
    buf[out] = '\0';
    return buf;
}
