/*
 * The grammar of objects against its definition: for toy vocabularies every
 * answer that the definition knows is written out, and what the constraint
 * allows after each beginning must be exactly what goes on to one of these. So
 * there is no dead end, nothing malformed, and nothing well-formed left out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "generate/grammar.h"

enum { LOCATION = 2, SEGMENT = 8, EOS = 1, ALPHABET = 24, SIDES = 4, MOST_LABELS = 3 };

/* Labels "a", "ab" (whose tokens begin as those of "a" do) and one that is other tokens when another object follows. */
static const int32_t label_ids[] = {12, 12, 16, 17, 12, 13, 12, 13, 16, 17, 14, 15, 17};
static const pl_label_tokens labels[MOST_LABELS] = {
    {.last_at = 0, .last_count = 1, .more_at = 1, .more_count = 3},
    {.last_at = 4, .last_count = 2, .more_at = 6, .more_count = 4},
    {.last_at = 10, .last_count = 1, .more_at = 11, .more_count = 2},
};

/* ---- The definition -------------------------------------------------- */

typedef struct node {
    int32_t next[ALPHABET]; /* 0: none */
} node;

typedef struct language {
    int bins, codes;
    size_t segments, label_count, most_objects, longest; /* longest: max_tokens */
    node *nodes;
    size_t count, capacity;
    int made[64][5]; /* box and label of the objects in the answer being written */
    size_t answers;
} language;

static void grow(language *l)
{
    if (l->count < l->capacity)
        return;
    l->capacity = l->capacity ? 2 * l->capacity : 1024;
    l->nodes = realloc(l->nodes, l->capacity * sizeof *l->nodes);
    assert_non_null(l->nodes);
}

static void keep(language *l, const int32_t *ids, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (!l->nodes[at].next[ids[i]]) {
            grow(l);
            l->nodes[l->count] = (node){{0}};
            l->nodes[at].next[ids[i]] = (int32_t)l->count++;
        }
        at = (size_t)l->nodes[at].next[ids[i]];
    }
    l->answers++;
}

static bool is_new(const language *l, size_t made, const int object[5])
{
    for (size_t i = 0; i < made; i++)
        if (memcmp(l->made[i], object, sizeof l->made[i]) == 0)
            return false;
    return true;
}

static void write_objects(language *l, int32_t *ids, size_t count, size_t made);

/* The object with its box and its masks, and each label that has not been: as the last one, and before others. */
static void write_labels(language *l, int32_t *ids, size_t count, size_t made, const int box[SIDES])
{
    for (size_t i = 0; i < l->label_count; i++) {
        const pl_label_tokens *label = &labels[i];
        const int object[5] = {box[0], box[1], box[2], box[3], (int)i};
        if (!is_new(l, made, object))
            continue;
        memcpy(l->made[made], object, sizeof object);
        const size_t end = count + label->last_count;
        if (end <= l->longest) {
            memcpy(ids + count, label_ids + label->last_at, label->last_count * sizeof *ids);
            ids[end] = EOS;
            keep(l, ids, end < l->longest ? end + 1 : end); /* cut off where the end of text no longer fits, and whole */
        }
        if (count + label->more_count < l->longest && (!l->most_objects || made + 1 < l->most_objects)) {
            memcpy(ids + count, label_ids + label->more_at, label->more_count * sizeof *ids);
            write_objects(l, ids, count + label->more_count, made + 1);
        }
    }
}

static void write_masks(language *l, int32_t *ids, size_t count, size_t made, const int box[SIDES], size_t segments)
{
    if (segments == l->segments) {
        write_labels(l, ids, count, made, box);
        return;
    }
    for (int code = 0; code < l->codes; code++) {
        ids[count] = SEGMENT + code;
        write_masks(l, ids, count + 1, made, box, segments + 1);
    }
}

static void write_objects(language *l, int32_t *ids, size_t count, size_t made)
{
    if (count + SIDES + l->segments + 1 > l->longest)
        return;
    for (int y1 = 0; y1 < l->bins; y1++)
        for (int x1 = 0; x1 < l->bins; x1++)
            for (int y2 = y1 + 1; y2 < l->bins; y2++)
                for (int x2 = x1 + 1; x2 < l->bins; x2++) {
                    const int box[SIDES] = {y1, x1, y2, x2};
                    for (size_t i = 0; i < SIDES; i++)
                        ids[count + i] = LOCATION + box[i];
                    write_masks(l, ids, count + SIDES, made, box, 0);
                }
}

static void write_language(language *l)
{
    int32_t ids[128];
    grow(l);
    l->nodes[0] = (node){{0}};
    l->count = 1;
    l->answers = 0;
    ids[0] = EOS;
    keep(l, ids, 1);
    write_objects(l, ids, 0, 0);
}

/* ---- The constraint -------------------------------------------------- */

static const unsigned char none_banned[ALPHABET];

/* Every beginning of an answer: what may follow is what the definition has. */
static void compare(const language *l, const pl_constraint *constraint, int32_t *ids, size_t count, size_t at)
{
    const pl_history history = {.tokens = ids, .count = count, .left = l->longest - count};
    pl_allowed allowed = {0};
    pali_error err = {0};
    if (pl_constraint_next(constraint, &history, none_banned, ALPHABET, &allowed, &err) != PALI_OK)
        fail_msg("%s", err.message);
    for (int32_t id = 0; id < ALPHABET; id++) {
        const size_t next = (size_t)l->nodes[at].next[id];
        if (pl_allowed_has(&allowed, id) == (next != 0))
            continue;
        fprintf(stderr, "after");
        for (size_t i = 0; i < count; i++)
            fprintf(stderr, " %d", (int)ids[i]);
        fail_msg("of %zu: %d is %s, expected the contrary", l->longest, (int)id, next ? "not allowed" : "allowed");
    }
    free(allowed.ranges);
    for (int32_t id = 0; id < ALPHABET; id++) {
        const size_t next = (size_t)l->nodes[at].next[id];
        if (!next || id == EOS || count + 1 == l->longest)
            continue;
        ids[count] = id;
        compare(l, constraint, ids, count + 1, next);
    }
}

static size_t check(int bins, size_t segments, size_t label_count, size_t most_objects, size_t longest)
{
    language l = {.bins = bins, .codes = 2, .segments = segments, .label_count = label_count, .most_objects = most_objects, .longest = longest};
    write_language(&l);
    const pl_grammar_options options = {.location = LOCATION, .segment = SEGMENT, .bins = bins, .codes = 2, .segments = segments, .eos = EOS, .ids = label_ids,
                                        .id_count = sizeof label_ids / sizeof *label_ids, .labels = labels, .label_count = label_count, .most_objects = most_objects};
    pl_constraint *constraint = pl_constraint_of_grammar(&options, NULL, NULL);
    assert_non_null(constraint);
    int32_t ids[128];
    compare(&l, constraint, ids, 0, 0);
    pl_constraint_release(constraint);
    free(l.nodes);
    return l.answers;
}

/* One box: the labels run out, and with them the objects. */
static void test_one_box(void **state)
{
    (void)state;
    for (size_t longest = 1; longest <= 30; longest++)
        for (size_t count = 1; count <= MOST_LABELS; count++)
            check(2, 0, count, 0, longest);
    assert_int_equal(check(2, 0, 1, 0, 30), 1 + 1);
    assert_int_equal(check(2, 0, 2, 0, 30), 1 + 2 + 2);
    assert_int_equal(check(2, 0, 3, 0, 30), 1 + 3 + 6 + 6);
}

/* Nine boxes: those with some sides run out before the others. */
static void test_few_boxes(void **state)
{
    (void)state;
    for (size_t longest = 1; longest <= 20; longest++)
        for (size_t count = 1; count <= MOST_LABELS; count++)
            check(3, 0, count, 0, longest);
    assert_int_equal(check(3, 0, 1, 0, 27), 1 + 9 + 9 * 8 + 9 * 8 * 7 + 9 * 8 * 7 * 6);
}

static void test_masks(void **state)
{
    (void)state;
    for (size_t longest = 1; longest <= 18; longest++)
        check(2, 2, 2, 0, longest);
    check(3, 1, 1, 0, 16);
}

static void test_most_objects(void **state)
{
    (void)state;
    for (size_t longest = 1; longest <= 20; longest++)
        check(3, 0, 2, 2, longest);
    assert_int_equal(check(3, 0, 1, 1, 20), 1 + 9);
    check(4, 0, 2, 2, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_box), cmocka_unit_test(test_few_boxes), cmocka_unit_test(test_masks), cmocka_unit_test(test_most_objects)};
    return cmocka_run_group_tests_name("grammar", tests, NULL, NULL);
}
