/*
 * Free labels in the grammar, on a vocabulary of a few pieces, some of which
 * reach over the end of a label: whatever the constraint lets through is
 * well-formed text, it never comes to a dead end, and with tokens enough it
 * lets through all that is well-formed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "generate/grammar.h"

#define SPACE "\xe2\x96\x81"

enum { EOS = 1, LOCATION = 2, BINS = 3, FIRST_TEXT = 5, LONGEST = 32 };

/* A piece with a noise class, one with a newline and one that is a tag are no labels. */
static const char *const pieces[] = {"<unk>", "<eos>", "<loc0000>", "<loc0001>", "<loc0002>", SPACE, "a", (SPACE "a"), ";", (SPACE ";"), (SPACE "a" SPACE ";"),
                                     (SPACE ";" SPACE), ("b" SPACE), "noise", "a\n", "<b>"};
enum { PIECES = sizeof pieces / sizeof *pieces, NOISE = 13, LAST_TEXT = 12 };

typedef struct fixture {
    pl_tokenizer *tokenizer;
    pl_constraint *constraint;
    unsigned char banned[PIECES];
} fixture;

static int set_up(void **state)
{
    static fixture f;
    float scores[PIECES];
    int32_t types[PIECES];
    pali_error err = {0};
    for (int i = 0; i < PIECES; i++) {
        scores[i] = (float)-i;
        types[i] = i == 0 ? PL_PIECE_UNKNOWN : i == EOS ? PL_PIECE_CONTROL : i < FIRST_TEXT ? PL_PIECE_USER_DEFINED : PL_PIECE_NORMAL;
    }
    const pl_vocabulary_arrays arrays = {.count = PIECES, .pieces = pieces, .scores = scores, .types = types, .bos = -1, .eos = EOS, .pad = -1, .unk = 0};
    pl_vocabulary v;
    if (pl_vocabulary_from_arrays(&v, &arrays, "toy", &err) != PALI_OK || !(f.tokenizer = pl_tokenizer_new(&v, &err)))
        fail_msg("%s", err.message);
    unsigned char no_labels[PIECES] = {[NOISE] = 1};
    pl_label_text text;
    assert_int_equal(pl_label_text_init(&text, f.tokenizer, no_labels, PIECES, &err), PALI_OK);
    const pl_grammar_options options = {.location = LOCATION, .bins = BINS, .segment = -1, .eos = EOS};
    f.constraint = pl_constraint_of_grammar(&options, &text, &err);
    *state = &f;
    return f.constraint ? 0 : 1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    pl_constraint_release(f->constraint);
    pl_tokenizer_free(f->tokenizer);
    return 0;
}

/* ---- The definition, on text ----------------------------------------- */

static size_t words(const char *text)
{
    size_t at = 0;
    while (text[at] == ' ' && (text[at + 1] == 'a' || text[at + 1] == 'b')) {
        at++;
        at += strspn(text + at, "ab");
    }
    return at;
}

/* An object each: four locations with area, words, and " ; " but for the last; none twice. */
static bool is_answer(const int32_t *ids, size_t count)
{
    char seen[8][64];
    size_t objects = 0;
    for (size_t i = 0; i < count; objects++) {
        int sides[4];
        char text[64] = "", *out = text;
        for (size_t s = 0; s < 4; s++, i++) {
            if (i >= count || ids[i] < LOCATION || ids[i] >= LOCATION + BINS)
                return false;
            sides[s] = ids[i] - LOCATION;
        }
        if (sides[2] <= sides[0] || sides[3] <= sides[1])
            return false;
        for (; i < count && ids[i] >= FIRST_TEXT; i++)
            for (const char *at = pieces[ids[i]]; *at; at += strncmp(at, SPACE, 3) == 0 ? 3 : 1)
                *out++ = strncmp(at, SPACE, 3) == 0 ? ' ' : *at;
        *out = '\0';
        const size_t label = words(text);
        if (label == 0 || strcmp(text + label, i < count ? " ; " : "") != 0)
            return false;
        snprintf(seen[objects], sizeof seen[objects], "%d %d %d %d%.*s", sides[0], sides[1], sides[2], sides[3], (int)label, text);
        for (size_t j = 0; j < objects; j++)
            if (strcmp(seen[j], seen[objects]) == 0)
                return false;
    }
    return true;
}

/* ---- The constraint -------------------------------------------------- */

static size_t answers;

/* Every way from these tokens on ends, and in an answer. */
static void follow(const fixture *f, int32_t *ids, size_t count, size_t longest)
{
    if (count == longest) {
        assert_true(is_answer(ids, count));
        answers++;
        return;
    }
    pl_allowed allowed = {0};
    pali_error err = {0};
    const pl_history history = {.tokens = ids, .count = count, .left = longest - count};
    if (pl_constraint_next(f->constraint, &history, f->banned, PIECES, &allowed, &err) != PALI_OK)
        fail_msg("%zu of %zu tokens, the last %d: %s", count, longest, count ? (int)ids[count - 1] : -1, err.message);
    for (int32_t id = 0; id < PIECES; id++) {
        if (!pl_allowed_has(&allowed, id))
            continue;
        if (id == EOS) {
            assert_true(is_answer(ids, count));
            answers++;
            continue;
        }
        ids[count] = id;
        follow(f, ids, count + 1, longest);
    }
    free(allowed.ranges);
}

static void test_no_dead_end(void **state)
{
    int32_t ids[LONGEST];
    for (size_t longest = 1; longest <= 8; longest++) {
        answers = 0;
        follow(*state, ids, 0, longest);
        assert_true(longest < 5 ? answers == 1 : answers > 9); /* empty alone where no object fits */
    }
}

/* The same with a first object there already, whose box comes again: every length that is left. Its label is of so many words. */
static void test_same_box_of(const fixture *f, size_t label)
{
    int32_t ids[LONGEST] = {LOCATION + 1, LOCATION + 1, LOCATION + 2, LOCATION + 2};
    size_t count = 4;
    for (size_t i = 0; i < label; i++)
        ids[count++] = 7;
    ids[count++] = 11;
    ids[count++] = LOCATION + 1;
    ids[count++] = LOCATION + 1;
    for (size_t longest = count + 3; longest <= count + 6; longest++) {
        answers = 0;
        const pl_history history = {.tokens = ids, .count = count, .left = longest - count};
        pl_allowed allowed = {0};
        assert_int_equal(f->constraint->allow(f->constraint, &history, &allowed, NULL), PALI_OK);
        free(allowed.ranges);
        if (longest > count + 3) /* with one token for a label the box would be a dead end, so it is not begun */
            follow(f, ids, count, longest);
        else
            assert_int_equal(allowed.count, 0);
    }
}

static void test_same_box(void **state)
{
    test_same_box_of(*state, 1);
    test_same_box_of(*state, 2);
}

/* Does the constraint let all of this through, and the end after it? */
static bool is_let_through(const fixture *f, const int32_t *ids, size_t count)
{
    pl_allowed allowed = {0};
    bool through = true;
    for (size_t i = 0; i <= count && through; i++) {
        const pl_history history = {.tokens = ids, .count = i, .left = LONGEST - i};
        through = pl_constraint_next(f->constraint, &history, f->banned, PIECES, &allowed, NULL) == PALI_OK && pl_allowed_has(&allowed, i < count ? ids[i] : EOS);
    }
    free(allowed.ranges);
    return through;
}

/* All label texts of up to four pieces, then perhaps an object with the same box or another: allowed just where well-formed. */
static void test_all(void **state)
{
    static const int32_t boxes[][4] = {{2, 2, 3, 3}, {2, 3, 4, 4}};
    enum { TEXTS = LAST_TEXT - FIRST_TEXT + 1 };
    size_t good = 0;
    for (size_t count = 1; count <= 4; count++) {
        size_t all = 1;
        for (size_t i = 0; i < count; i++)
            all *= TEXTS;
        for (size_t n = 0; n < all; n++)
            for (size_t box = 0; box < 3; box++) {
                int32_t ids[LONGEST];
                size_t length = 4, rest = n;
                memcpy(ids, boxes[0], sizeof boxes[0]);
                for (size_t i = 0; i < count; i++, rest /= TEXTS)
                    ids[length++] = (int32_t)(FIRST_TEXT + rest % TEXTS);
                if (box < 2) {
                    memcpy(ids + length, boxes[box], sizeof boxes[box]);
                    length += 4;
                    ids[length++] = 7;
                }
                const bool expected = is_answer(ids, length);
                good += expected;
                if (is_let_through(*state, ids, length) != expected)
                    fail_msg("%zu text tokens, number %zu, box %zu: expected %s", count, n, box, expected ? "to be let through" : "not to be");
            }
    }
    assert_true(good > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_dead_end), cmocka_unit_test(test_same_box), cmocka_unit_test(test_all)};
    return cmocka_run_group_tests_name("labels", tests, set_up, tear_down);
}
