/* Checked sizes, heap blocks that fail with a message, the arena and its plan mode. */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void sizes_are_checked(void **state)
{
    (void)state;
    size_t out;
    assert_true(pl_mul(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    assert_true(pl_mul(SIZE_MAX, 0, &out) && out == 0);
    assert_true(pl_mul(3, SIZE_MAX / 3, &out) && out == SIZE_MAX / 3 * 3);
    assert_false(pl_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(pl_mul(SIZE_MAX, SIZE_MAX, &out));
    assert_true(pl_add(SIZE_MAX, 0, &out) && out == SIZE_MAX);
    assert_false(pl_add(SIZE_MAX, 1, &out));
    assert_int_equal(pl_min(2, 3), 2);
    assert_int_equal(pl_max(2, 3), 3);
    assert_int_equal(pl_round_up(0, 64), 0);
    assert_int_equal(pl_round_up(1, 64), 64);
    assert_int_equal(pl_round_up(64, 64), 64);
    assert_int_equal(pl_round_up(65, 64), 128);
}

static void heap_blocks(void **state)
{
    (void)state;
    pali_error err = {0};
    unsigned char *zeroed = pl_new(100, 3, "zeros", &err);
    assert_non_null(zeroed);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(zeroed[i], 0);
    free(zeroed);

    void *(*const makers[])(size_t, size_t, const char *, pali_error *) = {pl_new, pl_new_raw, pl_new_bulk};
    for (size_t i = 0; i < 3; i++) {
        void *empty = makers[i](0, 8, "nothing", &err);
        assert_non_null(empty);
        free(empty);
        empty = makers[i](8, 0, "nothing", &err);
        assert_non_null(empty);
        free(empty);
        err = (pali_error){0};
        assert_null(makers[i](SIZE_MAX / 2, 3, "too much", &err));
        assert_int_equal(err.status, PALI_MEMORY);
        assert_non_null(strstr(err.message, "too much: out of memory"));
        assert_null(makers[i](SIZE_MAX / 2, 3, "too much", NULL));
    }

    for (size_t bytes = (4 << 20) - 1; bytes <= (4 << 20) + 1; bytes++) { /* where large pages begin */
        unsigned char *block = pl_new_bulk(1, bytes, "bulk", &err);
        assert_non_null(block);
        memset(block, 1, bytes);
        free(block);
    }
    for (size_t bytes = 0; bytes < 200; bytes += 7) {
        unsigned char *block = pl_new_aligned(bytes, "aligned", &err);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        memset(block, 1, bytes);
        free(block);
    }
    err = (pali_error){0};
    assert_null(pl_new_aligned(SIZE_MAX - 10, "too much", &err));
    assert_int_equal(err.status, PALI_MEMORY);
}

static void strings_are_copied_and_formatted(void **state)
{
    (void)state;
    pali_error err = {0};
    char *copy = pl_strdup("patch", &err);
    assert_string_equal(copy, "patch");
    free(copy);
    copy = pl_strndup("patch", 3, &err);
    assert_string_equal(copy, "pat");
    free(copy);
    copy = pl_strndup("patch", 0, &err);
    assert_string_equal(copy, "");
    free(copy);

    char wide[3001];
    memset(wide, 'w', 3000);
    wide[3000] = '\0';
    copy = pl_format(&err, "%s/%d", wide, 42);
    assert_int_equal(strlen(copy), 3003);
    assert_string_equal(copy + 2999, "w/42");
    free(copy);
}

static void growing_keeps_what_was_there(void **state)
{
    (void)state;
    pali_error err = {0};
    uint32_t *items = NULL;
    size_t capacity = 0, moves = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        const size_t before = capacity;
        assert_int_equal(pl_grow(&items, &capacity, i + 1, sizeof *items, "items", &err), PALI_OK);
        assert_true(capacity > i);
        moves += capacity != before;
        items[i] = i;
    }
    assert_in_range(moves, 1, 14); /* doubling: the logarithm of 10,000 */
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(items[i], i);

    uint32_t *const kept = items;
    const size_t held = capacity;
    assert_int_equal(pl_grow(&items, &capacity, 5, sizeof *items, "items", &err), PALI_OK);
    assert_int_equal(pl_grow(&items, &capacity, SIZE_MAX, sizeof *items, "items", &err), PALI_MEMORY);
    assert_int_equal(pl_grow(&items, &capacity, SIZE_MAX / 2 + 2, sizeof *items, "items", &err), PALI_MEMORY);
    assert_int_equal(pl_grow(&items, &capacity, SIZE_MAX / 4, sizeof *items, "items", &err), PALI_MEMORY);
    assert_int_equal(err.status, PALI_MEMORY);
    assert_ptr_equal(items, kept); /* a failure leaves the block to its owner */
    assert_int_equal(capacity, held);
    free(items);
}

static void the_arena_is_a_stack_of_aligned_pieces(void **state)
{
    (void)state;
    pali_error err = {0};
    pl_arena arena;
    assert_int_equal(pl_arena_init(&arena, 64 * 4, "arena", &err), PALI_OK);
    assert_false(pl_arena_planning(&arena));
    unsigned char *first = pl_arena_push(&arena, 1, 1);
    const size_t mark = pl_arena_mark(&arena);
    unsigned char *second = pl_arena_push(&arena, 13, 5);
    assert_int_equal((uintptr_t)first % 64, 0);
    assert_ptr_equal(second, first + 64);
    memset(second, 1, 65);
    assert_non_null(pl_arena_push(&arena, 64, 1));
    assert_null(pl_arena_push(&arena, 1, 1)); /* full: 64 + 128 + 64 */
    assert_int_equal(arena.used, 256);
    pl_arena_release(&arena, mark);
    assert_ptr_equal(pl_arena_push(&arena, 1, 1), second);
    assert_null(pl_arena_push(&arena, SIZE_MAX, 2));
    assert_null(pl_arena_push(&arena, SIZE_MAX, 1));
    assert_null(pl_arena_push(&arena, SIZE_MAX - 63, 1));
    assert_int_equal(arena.peak, 256);
    pl_arena_free(&arena);
    assert_null(pl_arena_push(&arena, 1, 1)); /* a freed arena has nothing */
    pl_arena_free(&arena);

    assert_int_equal(pl_arena_init(&arena, SIZE_MAX - 100, "arena", &err), PALI_MEMORY);
    assert_non_null(strstr(err.message, "arena: out of memory"));
    assert_null(pl_arena_push(&arena, 1, 1)); /* and so has one that was never had */
    pl_arena_free(&arena);
}

/* A walk of pushes, marks and releases that follows only `seed`. */
static bool walk(pl_arena *arena, uint32_t seed)
{
    size_t marks[64], depth = 0;
    for (int i = 0; i < 500; i++) {
        seed = seed * 1664525u + 1013904223u;
        if (depth < 64 && (seed >> 30 || depth == 0)) {
            marks[depth++] = pl_arena_mark(arena);
            unsigned char *piece = pl_arena_push(arena, seed >> 16 & 0xff, 1 + (seed >> 8 & 7));
            if (!piece || (uintptr_t)piece % 64)
                return false;
        } else {
            depth -= 1 + (seed >> 8) % depth;
            pl_arena_release(arena, marks[depth]);
        }
    }
    pl_arena_release(arena, 0);
    return true;
}

static void a_plan_tells_exactly_what_is_needed(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 100; seed++) {
        pl_arena plan = pl_arena_plan();
        assert_true(pl_arena_planning(&plan));
        assert_true(walk(&plan, seed));
        assert_true(plan.peak > 64);

        pl_arena arena;
        assert_int_equal(pl_arena_init(&arena, plan.peak, "arena", NULL), PALI_OK);
        assert_true(walk(&arena, seed));
        assert_int_equal(arena.peak, plan.peak);
        pl_arena_free(&arena);

        assert_int_equal(pl_arena_init(&arena, plan.peak - 64, "arena", NULL), PALI_OK);
        assert_false(walk(&arena, seed)); /* one line of cache less is too little */
        pl_arena_free(&arena);
    }
}

static void a_plan_refuses_what_no_machine_has(void **state)
{
    (void)state;
    pl_arena plan = pl_arena_plan();
    assert_non_null(pl_arena_push(&plan, 0, 4));
    assert_non_null(pl_arena_push(&plan, SIZE_MAX / 4, 2));
    assert_null(pl_arena_push(&plan, SIZE_MAX / 4, 3));
    assert_null(pl_arena_push(&plan, SIZE_MAX, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(heap_blocks),
        cmocka_unit_test(strings_are_copied_and_formatted),
        cmocka_unit_test(growing_keeps_what_was_there),
        cmocka_unit_test(the_arena_is_a_stack_of_aligned_pieces),
        cmocka_unit_test(a_plan_tells_exactly_what_is_needed),
        cmocka_unit_test(a_plan_refuses_what_no_machine_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
