/*
 * pali bench: how fast this machine reads memory, with the access pattern of a
 * matrix-vector product: a few long streams for each thread, prefetched (how
 * many streams and how far ahead suits a processor is tried out), and how fast
 * its units multiply what lies in registers.
 */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MOST_STREAMS = 8,
    REPEATS = 5,
    LARGE_PAGE = 2 << 20,
    LEAST_BYTES = 64 << 20,
    MOST_THREADS = 4096 /* that --threads takes */
};
static const size_t area_bytes = (size_t)1 << 30; /* many times any cache; less where there is less time or memory */

/* 16 bytes, a vector of every processor; more of it makes reading from memory no faster. */
typedef uint64_t quad __attribute__((vector_size(16), may_alias));
enum { LINE = 64 / sizeof(quad) };

typedef struct reading {
    const unsigned char *data; /* [bytes], on a page */
    size_t bytes, tasks, streams, ahead;
    _Atomic uint64_t sum; /* so that the reading is not left out */
} reading;

/* `streams` parts side by side, each of so many lines of 64 bytes; inlined, so that the streams are a constant. */
static inline __attribute__((always_inline)) uint64_t read_streams(const quad *start, size_t lines, size_t streams, size_t ahead)
{
    quad sums[MOST_STREAMS] = {{0}}, sum = {0};
    for (size_t i = 0; i < lines; i++)
        for (size_t s = 0; s < streams; s++) {
            const quad *const at = start + (s * lines + i) * LINE;
            if (ahead)
                __builtin_prefetch((const unsigned char *)at + ahead);
            sums[s] += (at[0] + at[1]) + (at[2] + at[3]);
        }
    for (size_t s = 0; s < streams; s++)
        sum += sums[s];
    return sum[0] + sum[1];
}

static void read_part(void *context, size_t task, size_t thread)
{
    (void)thread;
    reading *const r = context;
    const size_t lines = r->bytes / r->tasks / r->streams / 64;
    const quad *const start = (const quad *)(const void *)r->data + task * lines * r->streams * LINE;
    r->sum += r->streams == 1 ? read_streams(start, lines, 1, r->ahead) : r->streams == 4 ? read_streams(start, lines, 4, r->ahead) : read_streams(start, lines, MOST_STREAMS, r->ahead);
}

static double time_reading(pl_pool *pool, reading r)
{
    r.tasks = pl_pool_threads(pool);
    const double start = pl_now();
    pl_pool_run(pool, r.tasks, read_part, &r);
    return pl_now() - start;
}

/* The best rate on all threads of the pool: every way is tried, then the best one again. */
static double read_rate(pl_pool *pool, const unsigned char *data, size_t bytes)
{
    static const size_t streams[] = {1, 4, MOST_STREAMS}, distances[] = {0, 1024, 4096};
    reading best = {0};
    double least = INFINITY;
    for (size_t i = 0; i < 9 + REPEATS; i++) {
        const reading r = i < 9 ? (reading){.data = data, .bytes = bytes, .streams = streams[i / 3], .ahead = distances[i % 3]} : best;
        const double time = time_reading(pool, r);
        if (time < least) {
            least = time;
            best = r;
        }
    }
    return (double)bytes / least;
}

static bench_rate measure_area(bench *b, const unsigned char *data, size_t bytes)
{
    return (bench_rate){.one = read_rate(NULL, data, bytes), .all = read_rate(b->pool, data, bytes)};
}

static pali_status measure_large_pages(bench *b, size_t bytes, pali_error *err)
{
    unsigned char *const data = aligned_alloc(LARGE_PAGE, bytes);
    if (!data)
        return pl_fail_memory(err, "memory to read", bytes);
#ifdef MADV_HUGEPAGE
    madvise(data, bytes, MADV_HUGEPAGE);
#endif
    memset(data, 0x5a, bytes);
    b->memory[BENCH_LARGE_PAGES] = measure_area(b, data, bytes);
    free(data);
    return PALI_OK;
}

/* A file without a name, of `bytes` bytes, or -1 where there is no room for one. */
static int make_file(size_t bytes)
{
    const char *const folder = getenv("TMPDIR");
    char path[4096], block[4096];
    snprintf(path, sizeof path, "%s/pali-bench-XXXXXX", folder && *folder ? folder : "/tmp");
    const int file = mkstemp(path);
    if (file < 0)
        return -1;
    unlink(path);
    memset(block, 0x5a, sizeof block);
    for (size_t at = 0; at < bytes; at += sizeof block)
        if (write(file, block, sizeof block) != (ssize_t)sizeof block) {
            close(file);
            return -1;
        }
    return file;
}

/* Weights lie in such a map; where no file can be made, this ceiling stays unknown. */
static void measure_mapped(bench *b, size_t bytes)
{
    const int file = make_file(bytes);
    if (file < 0)
        return;
    void *const data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (data != MAP_FAILED) {
        b->memory[BENCH_MAPPED] = measure_area(b, data, bytes);
        munmap(data, bytes);
    }
    close(file);
}

pali_status bench_measure_memory(bench *b, pali_error *err)
{
    const uint64_t left = bench_memory_left();
    size_t bytes = area_bytes;
    while (bytes > LEAST_BYTES && ((double)bytes > b->seconds * (double)area_bytes || bytes > left / 4))
        bytes /= 2;
    const pali_status status = measure_large_pages(b, bytes, err);
    if (status == PALI_OK)
        measure_mapped(b, bytes);
    return status;
}

typedef struct counting {
    pl_peak_fn *peak;
    size_t steps;
    double *operations; /* [tasks] */
} counting;

static void count_operations(void *context, size_t task, size_t thread)
{
    (void)thread;
    const counting *const c = context;
    float sink = 1;
    c->operations[task] = c->peak(c->steps, &sink);
}

/* The best rate of several short runs, one task a thread. */
static double unit_rate(pl_pool *pool, pl_peak_fn *peak)
{
    static double operations[MOST_THREADS];
    static const double run_seconds = 0.02;
    const size_t tasks = pl_pool_threads(pool);
    counting c = {.peak = peak, .steps = 1024, .operations = operations};
    double best = 0;
    for (size_t repeat = 0; repeat < REPEATS;) {
        const double start = pl_now();
        pl_pool_run(pool, tasks, count_operations, &c);
        const double time = pl_now() - start;
        double sum = 0;
        for (size_t i = 0; i < tasks; i++)
            sum += operations[i];
        if (sum <= 0) /* no such unit */
            return 0;
        best = sum / time > best ? sum / time : best;
        if (time < run_seconds)
            c.steps *= 2;
        else
            repeat++;
    }
    return best;
}

void bench_measure_units(bench *b)
{
    for (size_t i = 0; i < b->level_count; i++) {
        pl_peak_fn *const peaks[BENCH_UNIT_COUNT] = {
#define PEAK(name, text, kernel) [BENCH_##name] = b->levels[i]->kernel,
            BENCH_UNIT_LIST(PEAK)
#undef PEAK
        };
        for (size_t u = 0; u < BENCH_UNIT_COUNT; u++)
            b->units[i][u] = (bench_rate){.one = unit_rate(NULL, peaks[u]), .all = unit_rate(b->pool, peaks[u])};
    }
}
