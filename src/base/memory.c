/* Heap helpers and the arena. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, LARGE_PAGE = 2 << 20 };

void *pl_new(size_t count, size_t size, const char *what, pali_error *err)
{
    void *block = calloc(count ? count : 1, size ? size : 1);
    if (!block)
        pl_fail_memory(err, what, count * size);
    return block;
}

void *pl_new_raw(size_t count, size_t size, const char *what, pali_error *err)
{
    size_t bytes;
    void *block = pl_mul(count, size, &bytes) ? malloc(bytes ? bytes : 1) : NULL;
    if (!block)
        pl_fail_memory(err, what, count * size);
    return block;
}

void *pl_new_bulk(size_t count, size_t size, const char *what, pali_error *err)
{
#ifdef MADV_HUGEPAGE
    size_t bytes;
    if (pl_mul(count, size, &bytes) && bytes >= 2 * (size_t)LARGE_PAGE && bytes <= SIZE_MAX - LARGE_PAGE) {
        void *block = aligned_alloc(LARGE_PAGE, pl_round_up(bytes, LARGE_PAGE));
        if (block)
            madvise(block, pl_round_up(bytes, LARGE_PAGE), MADV_HUGEPAGE); /* refused: small pages, as ever */
        else
            pl_fail_memory(err, what, bytes);
        return block;
    }
#endif
    return pl_new_raw(count, size, what, err);
}

void *pl_new_aligned(size_t bytes, const char *what, pali_error *err)
{
    void *block = NULL;
    if (bytes <= SIZE_MAX - ALIGNMENT)
        block = aligned_alloc(ALIGNMENT, pl_round_up(bytes ? bytes : 1, ALIGNMENT));
    if (!block)
        pl_fail_memory(err, what, bytes);
    return block;
}

char *pl_strdup(const char *text, pali_error *err)
{
    return pl_strndup(text, strlen(text), err);
}

char *pl_strndup(const char *text, size_t length, pali_error *err)
{
    char *copy = pl_new_raw(length + 1, 1, "string", err);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *pl_format(pali_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = NULL;
    if (length < 0)
        pl_fail(err, PALI_FAILED, "text: cannot be formatted");
    else
        text = pl_new_raw((size_t)length + 1, 1, "string", err);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

pali_status pl_grow(void *items, size_t *capacity, size_t need, size_t size, const char *what, pali_error *err)
{
    if (need <= *capacity)
        return PALI_OK;
    size_t wanted = *capacity ? *capacity : 8, bytes;
    while (wanted < need && pl_mul(wanted, 2, &wanted)) {
    }
    void *block;
    memcpy(&block, items, sizeof block);
    void *larger = wanted >= need && pl_mul(wanted, size, &bytes) ? realloc(block, bytes) : NULL;
    if (!larger)
        return pl_fail_memory(err, what, need);
    memcpy(items, &larger, sizeof larger);
    *capacity = wanted;
    return PALI_OK;
}

pali_status pl_arena_init(pl_arena *arena, size_t bytes, const char *what, pali_error *err)
{
    *arena = (pl_arena){0}; /* refuses every push, should the block not be had */
    unsigned char *block = pl_new_aligned(bytes, what, err);
    if (!block)
        return PALI_MEMORY;
    *arena = (pl_arena){.block = block, .size = pl_round_up(bytes ? bytes : 1, ALIGNMENT)};
    return PALI_OK;
}

pl_arena pl_arena_plan(void)
{
    return (pl_arena){.size = SIZE_MAX};
}

void pl_arena_free(pl_arena *arena)
{
    free(arena->block);
    *arena = (pl_arena){0};
}

void *pl_arena_push(pl_arena *arena, size_t count, size_t size)
{
    size_t bytes, end;
    if (!pl_mul(count, size, &bytes) || !pl_add(bytes, ALIGNMENT - 1, &bytes))
        return NULL;
    bytes &= ~(size_t)(ALIGNMENT - 1);
    if (!pl_add(arena->used, bytes, &end) || end > arena->size)
        return NULL;
    unsigned char *piece = (unsigned char *)((uintptr_t)arena->block + arena->used + (arena->block ? 0 : ALIGNMENT));
    arena->used = end;
    arena->peak = pl_max(arena->peak, end);
    return piece;
}
