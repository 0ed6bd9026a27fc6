/* Buffers at the edge of memory, random values and comparisons; see check.h. */
#include "kernels/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const kernel_check kernel_checks[CHECKS] = {
#define ENTRY(name, entry) {#name, check_##name, offsetof(pl_kernels, entry), sizeof(((pl_kernels *)NULL)->entry)},
#define CHECK(type, name) ENTRY(name, name)
    PL_KERNEL_LIST(CHECK) PL_TYPED_KERNEL_LIST(CHECK) ENTRY(exp, softmax_step)
#undef CHECK
#undef ENTRY
};

bool is_same_kernel(const kernel_check *check, const pl_kernels *a, const pl_kernels *b)
{
    return memcmp((const char *)a + check->at, (const char *)b + check->at, check->bytes) == 0;
}

static uint64_t random_state;

/* Each check has the same numbers whatever ran before it: bounds on sums are such as chance seldom, not never, exceeds. */
static void run_check(void **state)
{
    const subject *const s = *state;
    random_state = 1;
    s->check(&s->kernels);
}

static int free_buffers(void **state)
{
    (void)state;
    edge_free_all();
    return 0;
}

struct CMUnitTest test_of(subject *s, const pl_kernels *kernels, const kernel_check *check)
{
    *s = (subject){.kernels = *kernels, .check = check->check};
    snprintf(s->name, sizeof s->name, "%s %s", kernels->level, check->name);
    return (struct CMUnitTest){s->name, run_check, NULL, free_buffers, s};
}

const size_t lengths[] = {1, 2, 3, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 36, 47, 64, 72, 256, 588, 1152, 4304};
const size_t length_count = sizeof lengths / sizeof lengths[0];

enum { MAPS_MAX = 256 };

static struct {
    void *start;
    size_t bytes;
} maps[MAPS_MAX];
static size_t map_count;

/* Readable bytes to leave behind a buffer: none, but for an emulator that does not mask its masked loads. */
static size_t slack(void)
{
    const char *const text = getenv("PALI_TEST_SLACK");
    return text != NULL ? (size_t)strtoul(text, NULL, 10) : 0;
}

void *edge_bytes(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), held = bytes + slack(), usable = (held + page - 1) / page * page;
    unsigned char *const start = mmap(NULL, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || map_count == MAPS_MAX || mprotect(start + usable, page, PROT_NONE) != 0) {
        fprintf(stderr, "no test memory\n");
        abort();
    }
    maps[map_count].start = start;
    maps[map_count++].bytes = usable + page;
    return start + usable - held;
}

void edge_free_all(void)
{
    while (map_count > 0) {
        map_count--;
        munmap(maps[map_count].start, maps[map_count].bytes);
    }
}

uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) << 1 | (uint32_t)(random_state >> 63);
}

float random_float(void)
{
    return (float)(int32_t)random_bits() * 0x1p-31f;
}

float *edge_floats(size_t n)
{
    float *const x = edge_bytes(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = random_float();
    return x;
}

float *edge_copy(size_t n, const float *x)
{
    float *const copy = edge_bytes(n * sizeof *copy);
    memcpy(copy, x, n * sizeof *copy);
    return copy;
}

static void put_f16(unsigned char *to, float x)
{
    const uint16_t half = pl_f32_to_f16(x);
    memcpy(to, &half, sizeof half);
}

/* Codes and group scales of a block may be any bits; its f16 scales must be finite. */
static void random_block(pl_dtype type, unsigned char *block)
{
    const size_t bytes = pl_dtype_bytes(type);
    const float x = random_float();
    const uint16_t bf16 = pl_f32_to_bf16(x);
    for (size_t i = 0; i < bytes; i++)
        block[i] = (unsigned char)(random_bits() >> 24);
    switch (type) {
    case PL_F32: memcpy(block, &x, sizeof x); break;
    case PL_BF16: memcpy(block, &bf16, sizeof bf16); break;
    case PL_F16: put_f16(block, x); break;
    case PL_Q8_0:
    case PL_Q4_0: put_f16(block, x / 16); break;
    case PL_Q4_K:
    case PL_Q5_K:
        put_f16(block, x / 256);
        put_f16(block + 2, random_float() / 64);
        break;
    case PL_Q6_K: put_f16(block + 208, x / 1024); break;
    case PL_BF16_TILES:
        for (size_t i = 0; i < bytes; i += 2) {
            const uint16_t value = pl_f32_to_bf16(random_float());
            memcpy(block + i, &value, sizeof value);
        }
        break;
    case PL_Q8_TILES: break;
    case PL_Q8_0_TILES:
    case PL_Q4_0_TILES:
        for (size_t i = 0; i < 2 * PL_TILE_ROWS; i++)
            put_f16(block + 2 * i, random_float() / 16);
        break;
    default: fail_msg("no random weights of type %s", pl_dtype_name(type));
    }
}

unsigned char *random_weights(pl_dtype type, size_t rows, size_t row_bytes)
{
    unsigned char *const w = edge_bytes(rows * row_bytes);
    for (size_t i = 0; i < rows * row_bytes; i += pl_dtype_bytes(type))
        random_block(type, w + i);
    return w;
}

void assert_same(const pl_kernels *k, const char *what, size_t n, const float *got, const float *expected)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, expected + i, sizeof *got) != 0 && !(isnan(got[i]) && isnan(expected[i])))
            fail_msg("%s %s: [%zu] is %.9g (%a), expected %.9g (%a)", k->level, what, i, (double)got[i], (double)got[i],
                (double)expected[i], (double)expected[i]);
}

void assert_near(const pl_kernels *k, const char *what, size_t at, double got, double expected, double bound)
{
    if (got == expected || (isnan(got) && isnan(expected)))
        return;
    if (!(fabs(got - expected) <= bound))
        fail_msg("%s %s: [%zu] is %.9g, expected %.9g, difference %.3g, bound %.3g", k->level, what, at, got, expected,
            got - expected, bound);
}

void note_error(const pl_kernels *k, const char *what, double error)
{
    if (getenv("PALI_TEST_VERBOSE") != NULL)
        fprintf(stderr, "max error, %s %s: %.3g\n", k->level, what, error);
}
