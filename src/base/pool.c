/*
 * Thread pool. A job is open while it has tasks left; a worker that comes in
 * time joins it and takes task numbers from one counter, and the caller, who
 * works too, waits for those that joined and for nobody else. So a worker that
 * sleeps or was put off its processor delays nothing but its own help.
 *
 * The next job of a forward pass comes right after the last one: who waits
 * spins first, for a bounded time, not a count, so that a thread which lost
 * its processor meanwhile finds its time over and sleeps. More threads than
 * processors never spin: they would hold up those that have work.
 */
#include "base/pool.h"

#include "base/clock.h"
#include "base/machine.h"
#include "base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SPIN_SECONDS 100e-6 /* about twice what it takes to wake a sleeper */

enum { CACHE_LINE = 64, PAUSES = 16 /* between looks at the clock */ };

/* The state of the job in one word: its number, whether it is open, how many workers are in it. */
#define WORKERS UINT64_C(0xffff)
#define OPEN UINT64_C(0x10000)
#define JOB UINT64_C(0x20000)
#define JOB_MASK (~(JOB - 1))

typedef struct worker {
    pl_pool *pool;
    size_t index;
    pthread_t thread;
} worker;

struct pl_pool {
    size_t threads;  /* the caller counts as one */
    worker *workers; /* [threads - 1] */
    size_t started;
    size_t useful;   /* workers that can run beside the caller */
    double spin;     /* seconds */

    pthread_mutex_t turn; /* held by the caller whose job runs */
    pthread_mutex_t lock; /* guards sleeping and waking */
    pthread_cond_t wake, done;
    atomic_size_t sleepers;    /* workers that wait for `wake`, or are about to */
    atomic_bool caller_sleeps; /* likewise for `done` */
    atomic_bool stop;
    atomic_int caller_on;      /* its processor when the job began */

    /* The job: written by the caller before it is opened. */
    pl_task_fn *run;
    void *context;
    size_t tasks;
    unsigned char apart1[CACHE_LINE];
    atomic_uint_least64_t state; /* who waits reads it all the time */
    unsigned char apart2[CACHE_LINE];
    atomic_size_t next;
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

/* A worker waits for another job than the one it has seen, the caller for the last worker to leave. */
static bool is_over(uint64_t state, bool for_job, uint64_t seen)
{
    return for_job ? (state & JOB_MASK) != seen : (state & WORKERS) == 0;
}

/* The processor that this thread is on, or -1. */
static int this_processor(void)
{
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

/*
 * Spins until the wait is over or its time is; true in the first case. A worker
 * that was woken onto its caller's processor sleeps, else the caller stands still.
 */
static bool spin(const pl_pool *pool, bool for_job, uint64_t seen)
{
    if (is_over(atomic_load_explicit(&pool->state, memory_order_acquire), for_job, seen))
        return true;
    if (pool->spin <= 0)
        return false;
    for (const double end = pl_now() + pool->spin; pl_now() < end;) {
        const int here = for_job ? this_processor() : -1;
        if (here >= 0 && here == atomic_load_explicit(&pool->caller_on, memory_order_relaxed))
            return false;
        for (int i = 0; i < PAUSES; i++) {
            relax();
            if (is_over(atomic_load_explicit(&pool->state, memory_order_acquire), for_job, seen))
                return true;
        }
    }
    return false;
}

/*
 * Sleepers count themselves before they look at the state again, and who
 * changes the state looks for sleepers after it, both in the one order of
 * sequentially consistent operations: one of the two sees the other. Both write
 * by exchanges, though stores would do: qemu for Arm on x86 lets a store pass
 * the load after it.
 */
static void wait_for_job(pl_pool *pool, uint64_t seen)
{
    if (spin(pool, true, seen))
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!is_over(atomic_load(&pool->state), true, seen))
        pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_for_workers(pl_pool *pool)
{
    if (spin(pool, false, 0))
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_exchange(&pool->caller_sleeps, true);
    while (!is_over(atomic_load(&pool->state), false, 0))
        pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}

/* Enters the job that is open, if one is; *seen becomes the number of the job found. */
static bool join(pl_pool *pool, uint64_t *seen)
{
    uint64_t state = atomic_load(&pool->state);
    while (state & OPEN)
        if (atomic_compare_exchange_weak(&pool->state, &state, state + 1))
            break;
    *seen = state & JOB_MASK;
    return state & OPEN;
}

static void leave(pl_pool *pool)
{
    const uint64_t before = atomic_fetch_sub(&pool->state, 1);
    if ((before & WORKERS) != 1 || !atomic_load(&pool->caller_sleeps))
        return;
    pthread_mutex_lock(&pool->lock); /* the caller waits now, or sees the state */
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_signal(&pool->done);
}

static void *work(void *argument)
{
    worker *self = argument;
    pl_pool *pool = self->pool;
    uint64_t seen = 0;
    for (;;) {
        wait_for_job(pool, seen);
        if (!join(pool, &seen)) {
            if (atomic_load(&pool->stop)) /* looked at after the state, which changes after it */
                return NULL;
            continue;
        }
        take_tasks(pool, self->index);
        leave(pool);
    }
}

/* Wakes as many sleepers as are wanted. */
static void wake(pl_pool *pool, size_t wanted)
{
    const size_t sleepers = atomic_load(&pool->sleepers);
    if (sleepers == 0)
        return;
    pthread_mutex_lock(&pool->lock); /* they wait now, or see the state */
    pthread_mutex_unlock(&pool->lock);
    if (wanted >= sleepers)
        pthread_cond_broadcast(&pool->wake);
    else
        for (size_t i = 0; i < wanted; i++)
            pthread_cond_signal(&pool->wake);
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
    atomic_store_explicit(&pool->caller_on, this_processor(), memory_order_relaxed);
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_exchange(&pool->state, (atomic_load_explicit(&pool->state, memory_order_relaxed) & JOB_MASK) + JOB + OPEN);
    wake(pool, pl_min(tasks - 1, pool->useful));
    take_tasks(pool, 0);
    atomic_fetch_and(&pool->state, ~OPEN);
    wait_for_workers(pool);
    pthread_mutex_unlock(&pool->turn);
}

/* Threads that the pool starts beside its caller. */
static pali_status start_workers(pl_pool *pool, pali_error *err)
{
    for (; pool->started + 1 < pool->threads; pool->started++) {
        worker *w = &pool->workers[pool->started];
        *w = (worker){.pool = pool, .index = pool->started + 1};
        if (pthread_create(&w->thread, NULL, work, w) != 0)
            return pl_fail(err, PALI_MEMORY, "thread pool: cannot start thread %zu of %zu", pool->started + 2, pool->threads);
    }
    return PALI_OK;
}

pl_pool *pl_pool_new(size_t threads, pali_error *err)
{
    pl_machine machine;
    pl_machine_read("", &machine);
    if (threads == 0)
        threads = machine.threads;
    if (threads > PL_MOST_THREADS) {
        pl_fail(err, PALI_USAGE, "threads: found %zu, expected at most %d", threads, PL_MOST_THREADS);
        return NULL;
    }
    pl_pool *pool = pl_new(1, sizeof *pool, "thread pool", err);
    if (!pool)
        return NULL;
    pool->threads = threads;
    pool->useful = pl_max(pl_min(threads, machine.processors), 2) - 1;
    pool->spin = threads <= machine.processors ? SPIN_SECONDS : 0;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->workers = pl_new(threads, sizeof *pool->workers, "thread pool", err);
    if (pool->workers && start_workers(pool, err) == PALI_OK)
        return pool;
    pl_pool_free(pool);
    return NULL;
}

void pl_pool_pin(pl_pool *pool)
{
#ifdef __linux__
    pl_machine machine;
    pl_machine_read("", &machine);
    for (size_t i = 0; i < pool->started && machine.place_count > 0; i++) {
        const size_t place = machine.places[pool->workers[i].index % machine.place_count];
        cpu_set_t *set = CPU_ALLOC(place + 1);
        const size_t size = CPU_ALLOC_SIZE(place + 1);
        if (!set)
            return;
        CPU_ZERO_S(size, set);
        CPU_SET_S(place, size, set);
        pthread_setaffinity_np(pool->workers[i].thread, size, set);
        CPU_FREE(set);
    }
#else
    (void)pool;
#endif
}

void pl_pool_free(pl_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, true);
    atomic_fetch_add(&pool->state, JOB);
    wake(pool, pool->threads);
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
