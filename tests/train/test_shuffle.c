/* The order of examples: permutations, and mixtures. */
#include "train/shuffle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Every number once, whatever the count: powers of four, their neighbours, tiny ones. */
static void permutations(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 2, 3, 4, 5, 63, 64, 65, 1000, 1023, 1024, 1025, 4096, 70001};
    unsigned char *const seen = malloc(70001);
    assert_non_null(seen);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (uint64_t key = 0; key < 3; key++) {
            memset(seen, 0, counts[c]);
            for (uint64_t i = 0; i < counts[c]; i++) {
                const uint64_t to = pl_shuffle(pl_shuffle_key(7, key, c), counts[c], i);
                assert_true(to < counts[c]);
                assert_int_equal(seen[to], 0);
                seen[to] = 1;
            }
        }
    free(seen);
}

static void huge_counts(void **state)
{
    (void)state;
    static const uint64_t counts[] = {(uint64_t)1 << 40, UINT64_MAX, ((uint64_t)1 << 62) + 1};
    for (size_t c = 0; c < 3; c++)
        for (uint64_t i = 0; i < 100; i++) {
            const uint64_t a = pl_shuffle(1, counts[c], i), b = pl_shuffle(1, counts[c], counts[c] - 1 - i);
            assert_true(a < counts[c] && b < counts[c] && a != b);
        }
}

/* All 24 orders of four come up, none much more often: chi-squared of 23 degrees, below 60 but for one key set in 30,000. */
static void orders_are_even(void **state)
{
    (void)state;
    enum { TRIALS = 24000 };
    unsigned hits[256] = {0};
    for (uint64_t key = 0; key < TRIALS; key++) {
        unsigned order = 0;
        for (uint64_t i = 0; i < 4; i++)
            order = order << 2 | (unsigned)pl_shuffle(pl_shuffle_key(0, 1, key), 4, i);
        hits[order]++;
    }
    double chi = 0;
    size_t orders = 0;
    for (size_t i = 0; i < 256; i++)
        if (hits[i]) {
            orders++;
            chi += (hits[i] - TRIALS / 24.0) * (hits[i] - TRIALS / 24.0) / (TRIALS / 24.0);
        }
    print_message("chi squared %.1f\n", chi);
    assert_int_equal(orders, 24);
    assert_true(chi < 60);
}

/* Neighbours are not kept together, and two epochs have nothing in common: of 1,000 numbers about one stays where it was. */
static void epochs_differ(void **state)
{
    (void)state;
    size_t fixed = 0, neighbours = 0;
    for (uint64_t i = 0; i + 1 < 1000; i++) {
        const uint64_t a = pl_shuffle(pl_shuffle_key(3, 0, 0), 1000, i);
        fixed += a == pl_shuffle(pl_shuffle_key(3, 0, 1), 1000, i);
        neighbours += a + 1 == pl_shuffle(pl_shuffle_key(3, 0, 0), 1000, i + 1);
    }
    assert_true(fixed < 10);
    assert_true(neighbours < 10);
}

/* Picks below 3: a third each. */
static void picks(void **state)
{
    (void)state;
    size_t hits[3] = {0};
    for (uint64_t i = 0; i < 30000; i++)
        hits[pl_shuffle_pick(pl_shuffle_key(5, i, 0), 3)]++;
    for (size_t i = 0; i < 3; i++)
        assert_in_range(hits[i], 9700, 10300);
    assert_int_equal(pl_shuffle_pick(UINT64_MAX, 1), 0);
}

/* Each source's examples are counted from 0 without a gap, and after any block the shares hold to within three. */
static void mixtures(void **state)
{
    (void)state;
    static const uint32_t shares[] = {1000000, 500000, 0, 3, 250001};
    enum { SOURCES = 5, EXAMPLES = 64 * 3000 };
    double all = 0;
    for (size_t i = 0; i < SOURCES; i++)
        all += shares[i];
    for (uint64_t seed = 0; seed < 2; seed++) {
        uint64_t counts[SOURCES] = {0};
        unsigned char *const seen = calloc(SOURCES, EXAMPLES);
        assert_non_null(seen);
        for (uint64_t n = 0; n < EXAMPLES; n++) {
            const pl_mixture_draw draw = pl_mixture(seed, shares, SOURCES, n);
            assert_true(draw.source < SOURCES && draw.index < EXAMPLES);
            assert_int_equal(seen[draw.source * EXAMPLES + draw.index], 0);
            seen[draw.source * EXAMPLES + draw.index] = 1;
            counts[draw.source]++;
            if ((n + 1) % PL_MIXTURE_BLOCK == 0)
                for (size_t i = 0; i < SOURCES; i++) {
                    const double expected = (double)(n + 1) * shares[i] / all;
                    assert_true((double)counts[i] > expected - 3 && (double)counts[i] < expected + 3);
                    assert_true(counts[i] == 0 || seen[i * EXAMPLES + counts[i] - 1]);
                }
        }
        assert_int_equal(counts[2], 0);
        free(seen);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(permutations), cmocka_unit_test(huge_counts), cmocka_unit_test(orders_are_even),
        cmocka_unit_test(epochs_differ), cmocka_unit_test(picks), cmocka_unit_test(mixtures),
    };
    return cmocka_run_group_tests_name("shuffle", tests, NULL, NULL);
}
