/*
 * Thread pool: workers wait for a job, then take task numbers from one atomic
 * counter. They spin for some microseconds before they sleep, because the next
 * job of a forward pass comes right after the last one.
 */
#include "base/pool.h"

#include "base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPINS = 2000 };

typedef struct worker {
    pl_pool *pool;
    size_t index;
    pthread_t thread;
} worker;

struct pl_pool {
    size_t threads;  /* the caller counts as one */
    worker *workers; /* [threads - 1] */
    size_t started;

    pthread_mutex_t turn; /* held by the caller whose job runs */
    pthread_mutex_t lock; /* guards sleeping and waking */
    pthread_cond_t wake, done;

    /* The job: written by the caller before `generation` rises. */
    pl_task_fn *run;
    void *context;
    size_t tasks;
    atomic_size_t next;
    atomic_size_t busy;     /* workers that have not left the job yet */
    atomic_uint generation; /* the job's number */
    atomic_bool stop;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_tasks(pl_pool *pool, size_t thread)
{
    for (;;) {
        const size_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (task >= pool->tasks)
            return;
        pool->run(pool->context, task, thread);
    }
}

/* Returns when the generation differs from `seen`: the new generation. */
static unsigned wait_for_job(pl_pool *pool, unsigned seen)
{
    unsigned now;
    for (int i = 0; i < SPINS; i++) {
        now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen)
            return now;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    while ((now = atomic_load_explicit(&pool->generation, memory_order_acquire)) == seen)
        pthread_cond_wait(&pool->wake, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return now;
}

static void *work(void *argument)
{
    worker *self = argument;
    pl_pool *pool = self->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_job(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        take_tasks(pool, self->index);
        if (atomic_fetch_sub_explicit(&pool->busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

static void announce(pl_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_until_done(pl_pool *pool)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->busy, memory_order_acquire) == 0)
            return;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load_explicit(&pool->busy, memory_order_acquire) != 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void pl_pool_run(pl_pool *pool, size_t tasks, pl_task_fn *run, void *context)
{
    if (!pool || pool->threads == 1 || tasks <= 1) {
        for (size_t task = 0; task < tasks; task++)
            run(context, task, 0);
        return;
    }
    pthread_mutex_lock(&pool->turn);
    pool->run = run;
    pool->context = context;
    pool->tasks = tasks;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->busy, pool->threads - 1, memory_order_relaxed);
    announce(pool);
    take_tasks(pool, 0);
    wait_until_done(pool);
    pthread_mutex_unlock(&pool->turn);
}

pl_pool *pl_pool_new(size_t threads, pali_error *err)
{
    if (threads == 0)
        threads = pl_processors();
    pl_pool *pool = pl_new(1, sizeof *pool, "thread pool", err);
    if (!pool)
        return NULL;
    pool->threads = threads;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->workers = pl_new(threads, sizeof *pool->workers, "thread pool", err);
    if (!pool->workers) {
        pl_pool_free(pool);
        return NULL;
    }
    for (; pool->started + 1 < threads; pool->started++) {
        worker *w = &pool->workers[pool->started];
        *w = (worker){.pool = pool, .index = pool->started + 1};
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            pl_fail(err, PALI_MEMORY, "thread pool: cannot start thread %zu of %zu", pool->started + 2, threads);
            pl_pool_free(pool);
            return NULL;
        }
    }
    return pool;
}

void pl_pool_free(pl_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, true);
    announce(pool);
    for (size_t i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->turn);
    free(pool->workers);
    free(pool);
}

size_t pl_pool_threads(const pl_pool *pool)
{
    return pool ? pool->threads : 1;
}

/* The processors a cgroup's quota pays for, rounded up; 0 when there is none. */
static size_t cgroup_processors(void)
{
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    double quota = 0, period = 0;
    if (file) {
        if (fscanf(file, "%lf %lf", &quota, &period) != 2)
            quota = 0;
        fclose(file);
    }
    return quota > 0 && period > 0 ? (size_t)((quota + period - 1) / period) : 0;
}

size_t pl_processors(void)
{
    size_t count = 0;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = (size_t)CPU_COUNT(&set);
#endif
    if (count == 0) {
        const long online = sysconf(_SC_NPROCESSORS_ONLN);
        count = online > 0 ? (size_t)online : 1;
    }
    const size_t quota = cgroup_processors();
    return quota && quota < count ? quota : count;
}
