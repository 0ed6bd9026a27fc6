/*
 * What a job costs before it does anything: tasks that return at once, given
 * out right after one another, and after pauses in which the workers wait.
 * bench_pool [THREADS]: microseconds, least and median.
 */
#include "base/clock.h"
#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REPEATS = 2001 };

static void nothing(void *context, size_t task, size_t thread)
{
    (void)context;
    (void)task;
    (void)thread;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The caller is busy for so long between jobs, as with a step that is not shared out. */
static void pass(double seconds)
{
    for (const double end = pl_now() + seconds; pl_now() < end;) {
    }
}

static void measure(pl_pool *pool, double pause)
{
    static double times[REPEATS];
    const size_t repeats = pause > 1e-3 ? REPEATS / 10 : REPEATS;
    for (size_t i = 0; i < repeats; i++) {
        pass(pause);
        const double start = pl_now();
        pl_pool_run(pool, pl_pool_threads(pool), nothing, NULL);
        times[i] = (pl_now() - start) * 1e6;
    }
    qsort(times, repeats, sizeof *times, by_value);
    printf("  after %7.0f us: %8.2f %8.2f\n", pause * 1e6, times[0], times[repeats / 2]);
}

int main(int argc, char **argv)
{
    const size_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    pali_error err = {0};
    pl_pool *pool = pl_pool_new(threads, &err);
    if (!pool) {
        fprintf(stderr, "bench_pool: %s\n", err.message);
        return 1;
    }
    printf("an empty job on %zu threads, us    least   median\n", pl_pool_threads(pool));
    static const double pauses[] = {0, 10e-6, 50e-6, 500e-6, 5e-3};
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++)
        measure(pool, pauses[i]);
    pl_pool_free(pool);
    return 0;
}
