/* Errors, notes and the progress bar (standard error); JSON (standard output). */
#include "say.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Colour is for terminals, and for those who have not refused it (no-color.org). */
static bool has_colour(void)
{
    const char *const refused = getenv("NO_COLOR"), *const terminal = getenv("TERM");
    return isatty(STDERR_FILENO) && !(refused && *refused) && !(terminal && strcmp(terminal, "dumb") == 0);
}

/* One line whatever the user's words hold: control characters become spaces. */
static void say_line(const char *colour, const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    for (unsigned char *c = (unsigned char *)text; c && *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = ' ';
    const bool coloured = has_colour();
    fflush(stdout);
    fprintf(stderr, "%spali:%s %s\n", coloured ? colour : "", coloured ? "\033[0m" : "", text ? text : "out of memory");
    free(text);
}

int fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_line("\033[31m", format, args);
    va_end(args);
    return code;
}

int fail_usage(const command *of, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail(PALI_USAGE, "%s (see 'pali help%s%s')", text, of ? " " : "", of ? of->name : "");
}

int fail_error(const pali_error *err)
{
    const int code = err->status == PALI_OK ? PALI_FAILED : (int)err->status;
    return fail(code, "%s", err->message[0] ? err->message : pali_status_text((pali_status)code));
}

void note(const settings *given, const char *format, ...)
{
    if (given->quiet)
        return;
    va_list args;
    va_start(args, format);
    say_line("\033[2m", format, args);
    va_end(args);
}

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uint64_t peak_memory(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#ifdef __APPLE__
    return (uint64_t)usage.ru_maxrss;
#else
    return (uint64_t)usage.ru_maxrss * 1024;
#endif
}

progress progress_start(const settings *given, const char *what, bool is_bytes)
{
    return (progress){.what = what, .is_bytes = is_bytes, .enabled = !given->quiet && isatty(STDERR_FILENO), .started = now()};
}

const char *time_text(double seconds, char text[48])
{
    const double most = 99.0 * 24 * 3600; /* also what is not a number of seconds at all */
    const unsigned long all = seconds >= 0 && seconds < most ? (unsigned long)(seconds + 0.5) : (unsigned long)most;
    if (all < 60)
        snprintf(text, 48, "%lu s", all);
    else if (all < 3600)
        snprintf(text, 48, "%lu min %02lu s", all / 60, all % 60);
    else
        snprintf(text, 48, "%lu h %02lu min", all / 3600, all / 60 % 60);
    return text;
}

/* How fast it went so far, and how long it will take at that. */
static void print_rate(const progress *bar, double seconds, uint64_t done, uint64_t total)
{
    if (done <= bar->first || done >= total)
        return;
    const double rate = (double)(done - bar->first) / seconds;
    char left[48];
    if (bar->is_bytes)
        fprintf(stderr, ", %.2f GB/s", rate / 1e9);
    else if (rate >= 1)
        fprintf(stderr, ", %.1f a second", rate);
    else
        fprintf(stderr, ", %.1f s each", 1 / rate);
    fprintf(stderr, ", %s left", time_text((double)(total - done) / rate, left));
}

void progress_update(void *context, uint64_t done, uint64_t total)
{
    progress *const bar = context;
    const double time = now();
    if (!bar->begun) {
        bar->begun = true;
        bar->first = done;
        bar->started = time;
    }
    if (!bar->enabled || total == 0 || time - bar->started < 0.3 || time - bar->drawn < 0.1)
        return;
    enum { WIDTH = 30 };
    const double part = done < total ? (double)done / (double)total : 1;
    const int full = (int)(part * WIDTH);
    fprintf(stderr, "\r\033[K%s [%.*s%*s] %3.0f%%", bar->what, full, "##############################", WIDTH - full, "", 100 * part);
    if (bar->is_bytes)
        fprintf(stderr, " of %.1f GB", (double)total / 1e9);
    else
        fprintf(stderr, " %llu of %llu", (unsigned long long)done, (unsigned long long)total);
    print_rate(bar, time - bar->started, done, total);
    fflush(stderr);
    bar->shown = true;
    bar->drawn = time;
}

void progress_end(progress *bar)
{
    if (bar->shown)
        fputs("\r\033[K", stderr);
    bar->shown = false;
}

int finish_output(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    /* A reader that has gone away is no error worth a message. */
    if (errno == EPIPE)
        return code ? code : PALI_FAILED;
    return fail(PALI_FAILED, "standard output: %s", errno ? strerror(errno) : "not everything could be written");
}

/* Bytes of the UTF-8 character at c, or 0 when there is none. */
static size_t utf8_length(const char *c)
{
    const unsigned char lead = (unsigned char)c[0];
    const size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < length; i++)
        if (((unsigned char)c[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char *const clean = malloc(3 * strlen(text) + 1);
    if (!clean)
        return NULL;
    char *out = clean;
    while (*text) {
        const size_t length = utf8_length(text);
        json_t *const probe = length ? json_stringn(text, length) : NULL; /* also refuses surrogates and overlong forms */
        memcpy(out, probe ? text : "\xef\xbf\xbd", probe ? length : 3);
        out += probe ? length : 3;
        text += probe ? length : 1;
        json_decref(probe);
    }
    *out = '\0';
    string = json_string(clean);
    free(clean);
    return string;
}

json_t *json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

int print_json(json_t *object)
{
    char *const text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!text)
        return fail(PALI_MEMORY, "JSON: out of memory");
    puts(text);
    free(text);
    return 0;
}
