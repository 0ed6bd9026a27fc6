/* The thread pool: every task exactly once, on threads of its own, for many callers. */
#include "base/pool.h"
#include "base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_THREADS = 64, FEW_THREADS = 8, MOST_TASKS = 1000 };

typedef struct tally {
    atomic_uint runs[MOST_TASKS];
    unsigned plain[MOST_TASKS]; /* written by the task, read by the caller: must be visible without atomics */
    atomic_bool inside[MOST_THREADS];
    atomic_uint wrong;
    size_t threads;
} tally;

static void count_task(void *context, size_t task, size_t thread)
{
    tally *t = context;
    if (task >= MOST_TASKS || thread >= t->threads) {
        atomic_fetch_add(&t->wrong, 1);
        return;
    }
    if (atomic_exchange(&t->inside[thread], true)) /* per-thread scratch would be shared */
        atomic_fetch_add(&t->wrong, 1);
    atomic_fetch_add(&t->runs[task], 1);
    t->plain[task]++;
    atomic_store(&t->inside[thread], false);
}

static void run_and_check(pl_pool *pool, size_t tasks)
{
    static tally t;
    memset(&t, 0, sizeof t);
    t.threads = pl_pool_threads(pool);
    pl_pool_run(pool, tasks, count_task, &t);
    assert_int_equal(atomic_load(&t.wrong), 0);
    for (size_t i = 0; i < MOST_TASKS; i++)
        if (atomic_load(&t.runs[i]) != (i < tasks) || t.plain[i] != (i < tasks))
            fail_msg("%zu tasks: task %zu ran %u times", tasks, i, atomic_load(&t.runs[i]));
}

static void every_task_runs_once(void **state)
{
    (void)state;
    pali_error err = {0};
    for (size_t threads = 1; threads <= FEW_THREADS; threads++) {
        pl_pool *pool = pl_pool_new(threads, &err);
        assert_non_null(pool);
        assert_int_equal(pl_pool_threads(pool), threads);
        for (size_t tasks = 0; tasks <= MOST_TASKS; tasks += tasks < 20 ? 1 : tasks < 100 ? 16 : 150)
            run_and_check(pool, tasks);
        run_and_check(pool, MOST_TASKS);
        pl_pool_free(pool);
    }
}

static void no_pool_is_the_callers_thread(void **state)
{
    (void)state;
    assert_int_equal(pl_pool_threads(NULL), 1);
    for (size_t tasks = 0; tasks < 10; tasks++)
        run_and_check(NULL, tasks);
    pl_pool_free(NULL);
}

/* Jobs both right after each other and after the workers went to sleep. */
static void jobs_follow_each_other(void **state)
{
    (void)state;
    pl_pool *pool = pl_pool_new(4, NULL);
    for (size_t i = 0; i < 3000; i++)
        run_and_check(pool, 2 + i % 7);
    for (size_t i = 0; i < 20; i++) {
        usleep(2000);
        run_and_check(pool, 5);
    }
    pl_pool_free(pool);
}

typedef struct slow_job {
    size_t written[8];
    atomic_size_t helped; /* tasks that workers took */
} slow_job;

/* Workers take longer than the caller. */
static void write_late(void *context, size_t task, size_t thread)
{
    slow_job *job = context;
    atomic_fetch_add(&job->helped, thread > 0);
    usleep(thread > 0 ? 3000 : 500);
    job->written[task] = task + 1;
}

/* Workers that have gone to sleep are woken, and what they took is done when the call returns. */
static void sleepers_help_and_are_waited_for(void **state)
{
    (void)state;
    pl_pool *pool = pl_pool_new(3, NULL);
    size_t helped = 0;
    for (size_t i = 0; i < 20; i++) {
        usleep(3000);
        slow_job job = {0};
        pl_pool_run(pool, 8, write_late, &job);
        for (size_t task = 0; task < 8; task++)
            assert_int_equal(job.written[task], task + 1);
        helped += i > 0 ? atomic_load(&job.helped) : 0;
    }
    assert_true(helped > 0);
    pl_pool_free(pool);
}

static void note_place(void *context, size_t task, size_t thread)
{
    (void)thread;
    ((size_t *)context)[task] = task * task;
}

typedef struct caller {
    pl_pool *pool;
    pthread_t thread;
    bool good;
} caller;

static void *call_often(void *argument)
{
    caller *c = argument;
    c->good = true;
    for (size_t i = 0; i < 300; i++) {
        size_t places[37] = {0};
        const size_t tasks = i % 37;
        pl_pool_run(c->pool, tasks, note_place, places);
        for (size_t task = 0; task < 37; task++)
            c->good = c->good && places[task] == (task < tasks ? task * task : 0);
    }
    return NULL;
}

static void callers_take_turns(void **state)
{
    (void)state;
    pl_pool *pool = pl_pool_new(3, NULL);
    caller callers[6];
    for (size_t i = 0; i < 6; i++) {
        callers[i] = (caller){.pool = pool};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].good);
    }
    pl_pool_free(pool);
}

static void pools_come_and_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < 200; i++) {
        pl_pool *pool = pl_pool_new(1 + i % FEW_THREADS, NULL);
        assert_non_null(pool);
        if (i % 3)
            run_and_check(pool, i % 11);
        pl_pool_free(pool); /* also one that never worked */
    }
}

#ifdef __linux__
static void note_processors(void *context, size_t task, size_t thread)
{
    (void)task;
    cpu_set_t set;
    if (thread > 0 && sched_getaffinity(0, sizeof set, &set) == 0)
        atomic_store(&((atomic_int *)context)[thread], CPU_COUNT(&set));
    usleep(1000); /* so that no thread takes them all */
}

/* Pinned workers stand on one processor each; the caller keeps its own. */
static void workers_can_be_pinned(void **state)
{
    (void)state;
    atomic_int found[4] = {0};
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    pl_pool *pool = pl_pool_new(4, NULL);
    pl_pool_pin(pool);
    pl_pool_run(pool, 100, note_processors, found);
    pl_pool_free(pool);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    int pinned = 0;
    for (size_t i = 1; i < 4; i++) {
        assert_in_range(atomic_load(&found[i]), 0, 1);
        pinned += atomic_load(&found[i]);
    }
    assert_true(pinned > 0);
}
#endif

static void many_threads_share_few_tasks(void **state)
{
    (void)state;
    pl_pool *pool = pl_pool_new(64, NULL);
    assert_non_null(pool);
    for (size_t i = 0; i < 200; i++)
        run_and_check(pool, 3);
    pl_pool_free(pool);
}

static void too_many_threads_are_refused(void **state)
{
    (void)state;
    pali_error err = {0};
    assert_null(pl_pool_new(PL_MOST_THREADS + 1, &err));
    assert_int_equal(err.status, PALI_USAGE);
    assert_string_equal(err.message, "threads: found 4097, expected at most 4096");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(no_pool_is_the_callers_thread),
        cmocka_unit_test(jobs_follow_each_other),
        cmocka_unit_test(sleepers_help_and_are_waited_for),
        cmocka_unit_test(callers_take_turns),
        cmocka_unit_test(pools_come_and_go),
#ifdef __linux__
        cmocka_unit_test(workers_can_be_pinned),
#endif
        cmocka_unit_test(many_threads_share_few_tasks),
        cmocka_unit_test(too_many_threads_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
