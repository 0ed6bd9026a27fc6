/*
 * Schedules as big_vision has them: every kind is multiplied by the warm-up,
 * and those with an end count their progress from the end of the warm-up.
 */
#include "train/schedule.h"


#include <math.h>
#include <string.h>

static const char *const names[] = {
#define SCHEDULE_NAME(name, text, what) text,
    PL_SCHEDULE_LIST(SCHEDULE_NAME)
#undef SCHEDULE_NAME
};

pali_status pl_schedule_parse(const char *text, const char *what, pl_schedule_kind *kind, pali_error *err)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *kind = (pl_schedule_kind)i;
            return PALI_OK;
        }
    char found[80];
    return pl_fail(err, PALI_USAGE, "%s: found %s, expected cosine, rsqrt, linear or constant", what, pl_printable(text, strlen(text), found));
}

uint64_t pl_schedule_steps(double epochs, uint64_t examples, uint64_t batch)
{
    const double steps = nearbyint(epochs * (double)examples / (double)(batch ? batch : 1)); /* ties to even, as the reference rounds */
    return steps < 1 ? 1 : steps < 0x1p62 ? (uint64_t)steps : (uint64_t)1 << 62;
}

uint64_t pl_schedule_warmup(double warmup, uint64_t total)
{
    if (!(warmup > 0))
        return 0;
    const double steps = nearbyint(warmup < 1 ? warmup * (double)total : warmup);
    return steps < 1 ? 1 : steps < 0x1p62 ? (uint64_t)steps : (uint64_t)1 << 62;
}

double pl_schedule_at(const pl_schedule *schedule, uint64_t step)
{
    const double pi = 3.14159265358979323846;
    const double warmup = (double)schedule->warmup, since = (double)step - warmup, left = (double)schedule->total - warmup;
    const double rise = schedule->warmup ? fmin(1, (double)step / warmup) : 1;
    const double progress = since <= 0 ? 0 : left > since ? since / left : 1;
    const double timescale = schedule->timescale > 0 ? schedule->timescale : 10000;
    switch (schedule->kind) {
    case PL_SCHEDULE_COSINE:
        return 0.5 * (1 + cos(pi * progress)) * rise;
    case PL_SCHEDULE_RSQRT:
        return rise / sqrt(1 + fmax(since, 0) / timescale);
    case PL_SCHEDULE_LINEAR:
        return (1 - progress) * rise;
    case PL_SCHEDULE_CONSTANT:
        return rise;
    }
    return 0;
}
