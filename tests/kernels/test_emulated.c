/*
 * Kernels of instruction sets that the processor at hand may not have, from
 * the same source with its instructions replaced: AMX by plain C
 * (tile_emulation.h), AVX-VNNI by AVX-512's form of it. What such a level adds is checked as test_kernels.c
 * checks those that run.
 */
#include "kernels/check.h"

/* A level under a name that does not meet that of the real one, and the level whose instructions the rest of it takes: X(name, base). */
#define EMULATED_LIST(X)          \
    X(avx_vnni_evex, avx512_vnni) \
    X(amx_emulated, avx512_bf16)

#define FILL(name, base) void pl_fill_##name(pl_kernels *k);
EMULATED_LIST(FILL)
#undef FILL
bool pl_amx_emulated_works(void);

enum { LEVELS_MAX = 4, OWN_TESTS = 1 };

static void test_amx_proves_itself(void **state)
{
    (void)state;
    if (pl_kernels_get("avx512_bf16", NULL) == NULL)
        skip();
    assert_true(pl_amx_emulated_works());
}

int main(void)
{
    static const struct {
        const char *name, *base;
        void (*fill)(pl_kernels *k);
    } levels[] = {
#define LEVEL(name, base) {#name, #base, pl_fill_##name},
        EMULATED_LIST(LEVEL)
#undef LEVEL
    };
    static subject subjects[LEVELS_MAX * CHECKS];
    static struct CMUnitTest tests[OWN_TESTS + LEVELS_MAX * CHECKS] = {cmocka_unit_test(test_amx_proves_itself)};
    size_t count = 0;
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        const pl_kernels *const base = pl_kernels_get(levels[l].base, NULL);
        if (base == NULL)
            continue;
        pl_kernels own = *base;
        own.level = levels[l].name;
        levels[l].fill(&own);
        for (size_t i = 0; i < CHECKS; i++)
            if (!is_same_kernel(&kernel_checks[i], &own, base)) {
                tests[OWN_TESTS + count] = test_of(&subjects[count], &own, &kernel_checks[i]);
                count++;
            }
    }
    return _cmocka_run_group_tests("emulated", tests, OWN_TESTS + count, NULL, NULL);
}
