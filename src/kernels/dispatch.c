/*
 * Which kernels this processor runs. Each level names the features it needs;
 * cpuid says what the processor has and xgetbv whether the system saves the
 * wide registers; on Arm the system is asked. The tables are filled once; any thread may call.
 */
#include "kernels/levels.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef struct level {
    const char *name, *base; /* base: the level whose kernels it starts from */
    void (*fill)(pl_kernels *k);
    bool (*runs)(void);
} level;

static bool runs_ref(void)
{
    return true;
}

#if defined(__x86_64__)
/* XCR0: which register states the system saves; only to be read when OSXSAVE is set. */
static uint64_t saved_states(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* The processor has every bit of `ecx1` (leaf 1) and `ebx7` (leaf 7), and the system saves `states`. */
static bool has_features(uint32_t ecx1, uint32_t ebx7, uint64_t states)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (ecx1 | bit_OSXSAVE)) != (ecx1 | bit_OSXSAVE))
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & ebx7) != ebx7)
        return false;
    return (saved_states() & states) == states;
}

static bool runs_avx2(void)
{
    return has_features(bit_AVX | bit_FMA | bit_F16C, bit_AVX2, 0x6); /* xmm, ymm */
}

static bool runs_avx_vnni(void)
{
    enum { AVX_VNNI = 1 << 4 };
    uint32_t a, b, c, d;
    return runs_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & AVX_VNNI);
}

static bool runs_avx512(void)
{
    const uint32_t ebx7 = bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
    return has_features(bit_AVX | bit_FMA | bit_F16C, ebx7, 0xe6); /* and masks, zmm */
}

static bool runs_avx512_vnni(void)
{
    uint32_t a, b, c, d;
    return runs_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_AVX512VNNI);
}

static bool runs_avx512_bf16(void)
{
    uint32_t a, b, c, d;
    return runs_avx512_vnni() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVX512BF16);
}

/*
 * AMX: the system saves tiles and lets this process have them (Linux: on request), and a product comes out
 * right. cpuid's leaf of palettes is not asked: some hypervisors leave it empty.
 */
static bool runs_amx(void)
{
#if defined(__linux__)
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25, TILE_STATES = 3 << 17 };
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* arch_prctl */
    const uint32_t features = AMX_BF16 | AMX_TILE | AMX_INT8;
    uint32_t a, b, c, d;
    return runs_avx512_bf16() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & features) == features && (saved_states() & TILE_STATES) == TILE_STATES &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 && pl_amx_works();
#else
    return false;
#endif
}
#elif defined(__aarch64__)
/* The system says that the processor has a feature: Linux by a bit of its first or second word of them, macOS by name. */
static bool has_feature(int word, int bit, const char *name)
{
#if defined(__linux__)
    (void)name;
    return (getauxval(word == 2 ? AT_HWCAP2 : AT_HWCAP) >> bit & 1) != 0;
#elif defined(__APPLE__)
    int value = 0;
    size_t bytes = sizeof value;
    (void)word;
    (void)bit;
    return sysctlbyname(name, &value, &bytes, NULL, 0) == 0 && value != 0;
#else
    (void)word;
    (void)bit;
    (void)name;
    return false;
#endif
}

static bool runs_neon(void)
{
    return true; /* part of the architecture */
}

static bool runs_dotprod(void)
{
    return has_feature(1, 20, "hw.optional.arm.FEAT_DotProd");
}

static bool runs_i8mm(void)
{
    return runs_dotprod() && has_feature(2, 13, "hw.optional.arm.FEAT_I8MM") && has_feature(2, 14, "hw.optional.arm.FEAT_BF16");
}
#endif

#define LEVEL_ROW(name, base) {#name, #base, pl_fill_##name, runs_##name},
static const level levels[] = {PL_LEVEL_LIST(LEVEL_ROW)};
#undef LEVEL_ROW

enum { LEVELS = sizeof levels / sizeof levels[0] };

/* What this processor runs, filled by detect(). */
static pthread_once_t detected = PTHREAD_ONCE_INIT;
static bool runnable[LEVELS];
static const char *runnable_names[LEVELS + 1]; /* NULL-terminated */
static pl_kernels tables[LEVELS];

static size_t find_level(const char *name);

static void detect(void)
{
    size_t count = 0;
    for (size_t i = 0; i < LEVELS; i++) {
        runnable[i] = levels[i].runs();
        if (!runnable[i])
            continue;
        tables[i] = tables[find_level(levels[i].base)];
        tables[i].level = levels[i].name;
        levels[i].fill(&tables[i]);
        runnable_names[count++] = levels[i].name;
    }
}

/* Index of the level of that name, LEVELS if there is none. */
static size_t find_level(const char *name)
{
    size_t i = 0;
    while (i < LEVELS && strcmp(levels[i].name, name) != 0)
        i++;
    return i;
}

static const pl_kernels *fail_level(pali_error *err, const char *where, const char *name, bool all)
{
    char list[128] = "", printable[80];
    for (size_t i = 0; i < LEVELS; i++) {
        if (!all && !runnable[i])
            continue;
        if (i > 0)
            strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, levels[i].name, sizeof list - strlen(list) - 1);
    }
    pl_fail(err, PALI_USAGE, "%s: found %s, expected one of: %s", where, pl_printable(name, strlen(name), printable), list);
    return NULL;
}

const pl_kernels *pl_kernels_get(const char *name, pali_error *err)
{
    pthread_once(&detected, detect);
    if (name != NULL) {
        const size_t i = find_level(name);
        if (i == LEVELS || !runnable[i])
            return fail_level(err, "kernel level", name, false);
        return &tables[i];
    }
    size_t best = LEVELS - 1;
    const char *const cap = getenv("PALI_CPU");
    if (cap != NULL && cap[0] != '\0') {
        best = find_level(cap);
        if (best == LEVELS)
            return fail_level(err, "PALI_CPU", cap, true);
    }
    while (!runnable[best]) /* ref always does */
        best--;
    return &tables[best];
}

const char *const *pl_kernel_levels(void)
{
    pthread_once(&detected, detect);
    return runnable_names;
}
