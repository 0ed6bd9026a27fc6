/*
 * Memory: checked sizes, heap blocks that fail with a message, and the arena
 * (one block, pushed and released like a stack) that the hot paths live in.
 */
#ifndef PL_BASE_MEMORY_H
#define PL_BASE_MEMORY_H

#include "base/status.h"

#include <stdint.h>

/* *out = a*b (or a+b); false when it does not fit in size_t. */
static inline bool pl_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool pl_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline size_t pl_min(size_t a, size_t b)
{
    return a < b ? a : b;
}
static inline size_t pl_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* x rounded up to a multiple of `step`, a power of two. */
static inline size_t pl_round_up(size_t x, size_t step)
{
    return (x + step - 1) & ~(step - 1);
}

/*
 * Heap blocks of count*size bytes; NULL on failure with PALI_MEMORY recorded,
 * naming `what`. A block of zero bytes is never NULL. Released with free().
 */
void *pl_new(size_t count, size_t size, const char *what, pali_error *err);  /* zeroed */
void *pl_new_raw(size_t count, size_t size, const char *what, pali_error *err); /* not zeroed */
void *pl_new_aligned(size_t bytes, const char *what, pali_error *err); /* 64-byte aligned, not zeroed */
void *pl_new_bulk(size_t count, size_t size, const char *what, pali_error *err); /* not zeroed; in large pages where it has many, and the system them */
char *pl_strdup(const char *text, pali_error *err);
char *pl_strndup(const char *text, size_t length, pali_error *err);
__attribute__((format(printf, 2, 3))) char *pl_format(pali_error *err, const char *format, ...);

/*
 * Grows *items (of `size` bytes each) so that it holds at least `need`;
 * *capacity is kept beside it. Doubles, so that pushing is cheap.
 */
pali_status pl_grow(void *items, size_t *capacity, size_t need, size_t size, const char *what, pali_error *err);

/*
 * An arena hands out 64-byte aligned pieces of one block; mark and release
 * give them back in reverse order. In plan mode it has no block: pushes return
 * NULL-based fake addresses that must not be touched, and only `peak` counts;
 * a forward pass run on a plan arena tells how large the real one must be.
 */
typedef struct pl_arena {
    unsigned char *block; /* owned; NULL in plan mode */
    size_t size;          /* bytes in block; SIZE_MAX in plan mode */
    size_t used, peak;
} pl_arena;

pali_status pl_arena_init(pl_arena *arena, size_t bytes, const char *what, pali_error *err);
pl_arena pl_arena_plan(void);
void pl_arena_free(pl_arena *arena);
static inline bool pl_arena_planning(const pl_arena *arena)
{
    return arena->block == NULL;
}

/* count*size bytes, or NULL when the block is too small (a planning defect). */
void *pl_arena_push(pl_arena *arena, size_t count, size_t size);
static inline size_t pl_arena_mark(const pl_arena *arena)
{
    return arena->used;
}
static inline void pl_arena_release(pl_arena *arena, size_t mark)
{
    arena->used = mark;
}

#endif
