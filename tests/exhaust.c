/* The allocation functions that the linker puts before libc's, and the loop over n. */
#include "exhaust.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);

static atomic_size_t calls;   /* since the round began */
static size_t failing;        /* the call that fails, from 1; 0: none */
static atomic_ptrdiff_t live; /* blocks that are held */
static bool in_jansson;       /* the failing call was one of jansson's */

static bool fails(void)
{
    return atomic_fetch_add(&calls, 1) + 1 == failing;
}

static void *held(void *block)
{
    if (block)
        atomic_fetch_add(&live, 1);
    return block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : held(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : held(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    void *moved = __real_realloc(block, size);
    return block ? moved : held(moved);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : held(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block)
{
    if (block)
        atomic_fetch_sub(&live, 1);
    __real_free(block);
}

static void *jansson_malloc(size_t size)
{
    in_jansson |= atomic_load(&calls) + 1 == failing;
    return __wrap_malloc(size);
}

void exhaust_jansson(void)
{
    json_set_alloc_funcs(jansson_malloc, __wrap_free);
}

static void *jansson_counted(size_t size)
{
    return held(__real_malloc(size));
}

void count_jansson(void)
{
    json_set_alloc_funcs(jansson_counted, __wrap_free);
}

void exhaust(const char *name, exhaust_fn *run, const void *context, pali_status last)
{
    for (size_t n = 1;; n++) {
        pali_error err = {0};
        const ptrdiff_t before = atomic_load(&live);
        atomic_store(&calls, 0);
        failing = n;
        in_jansson = false;
        const pali_status status = run(context, &err);
        failing = 0;
        if (atomic_load(&live) != before)
            fail_msg("%s: allocation %zu fails: %td blocks are left", name, n, atomic_load(&live) - before);
        if (atomic_load(&calls) < n) {
            if (status != last)
                fail_msg("%s: found status %d (%s) with all memory there, expected %d", name, (int)status, err.message, (int)last);
            assert_true(n > 2);
            print_message("%s: %zu allocations\n", name, n - 1);
            return;
        }
        if (!in_jansson && status != PALI_MEMORY)
            fail_msg("%s: allocation %zu fails: found status %d (%s), expected out of memory", name, n, (int)status, err.message);
        if (!in_jansson && err.status != PALI_MEMORY)
            fail_msg("%s: allocation %zu fails: found error %d (%s), expected out of memory", name, n, (int)err.status, err.message);
    }
}
