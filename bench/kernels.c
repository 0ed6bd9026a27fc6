/*
 * bench_kernels [LEVEL...]: what each kernel level reaches on one thread at
 * the sizes of the model. Weights do not fit the caches in gemv and pack, and
 * panels come one after another in gemm, as in a layer. Best of several runs
 * in processor time: compare levels within one run, not across machines.
 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 272, WEIGHT_BYTES = 64 << 20, REPEATS = 40 };

typedef struct bench {
    const pl_kernels *kernels;
    unsigned char *weights; /* [WEIGHT_BYTES] small finite values of any type */
    float *a, *c, *panel;   /* [ROWS * 16384], [ROWS * 64], [16384 * 64] */
} bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Best seconds of REPEATS runs of at least 2 ms each, per call. */
#define BEST(seconds, call)                                     \
    do {                                                        \
        (seconds) = 1e9;                                        \
        for (int run_ = 0; run_ < REPEATS; run_++) {            \
            int calls_ = 0;                                     \
            const double start_ = now();                        \
            do {                                                \
                call;                                           \
                calls_++;                                       \
            } while (now() - start_ < 0.002);                    \
            const double each_ = (now() - start_) / calls_;     \
            if (each_ < (seconds))                              \
                (seconds) = each_;                              \
        }                                                       \
    } while (0)

static void fill(float *x, size_t n)
{
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
}

static void bench_gemm(const bench *b)
{
    static const size_t widths[] = {72, 1152, 2048, 4304, 16384};
    const pl_kernels *const kernels = b->kernels;
    printf("  gemm, %d rows, GFLOP/s:", (int)ROWS);
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        const size_t k = widths[i], n = kernels->panel_columns;
        double seconds;
        BEST(seconds, kernels->gemm(ROWS, n, k, b->a, k, b->panel, b->c, n, false));
        printf("  K %zu: %.1f", k, 2e-9 * ROWS * (double)(n * k) / seconds);
    }
    printf("\n");
}

static void bench_typed(const bench *b, pl_dtype type)
{
    static const size_t widths[] = {2048, 16384};
    const pl_kernels *const kernels = b->kernels;
    printf("  %-5s", pl_dtype_name(type));
    for (size_t i = 0; i < 2; i++) {
        const size_t k = widths[i], columns = kernels->panel_columns;
        size_t row_bytes;
        if (!pl_dtype_row_bytes(type, k, &row_bytes))
            continue;
        const size_t rows = WEIGHT_BYTES / row_bytes < 16384 ? WEIGHT_BYTES / row_bytes : 16384, panels = rows / columns;
        double gemv, pack;
        BEST(gemv, kernels->skinny[type](1, rows, k, b->weights, row_bytes, b->a, 0, b->c, 0, false));
        size_t at = 0;
        BEST(pack, (kernels->pack[type](columns, k, b->weights + at * columns * row_bytes, row_bytes, b->panel), at = (at + 1) % panels));
        printf("  K %zu: gemv %.1f GB/s, pack %.1f GB/s;", k, 1e-9 * (double)(rows * row_bytes) / gemv,
            1e-9 * (double)(columns * row_bytes) / pack);
    }
    printf("\n");
}

static void bench_vectors(const bench *b)
{
    enum { N = 2048 };
    const pl_kernels *const kernels = b->kernels;
    float *const x = b->c, *const y = b->a;
    double gelu, softcap, softmax, rms, layer, arg;
    fill(x, N);
    BEST(gelu, kernels->gelu(N, x, y));
    BEST(rms, kernels->rmsnorm(N, x, x, 1, 1e-6f, y));
    BEST(layer, kernels->layernorm(N, x, x, x, 1e-6f, y));
    BEST(arg, kernels->argmax(N, x));
    BEST(softcap, kernels->softcap(N, 50, x));
    BEST(softmax, ({
        float maximum = -INFINITY, sum = 0;
        kernels->softmax_step(N, x, &maximum, &sum);
    }));
    printf("  ns a value: gelu %.2f  softcap %.2f  softmax_step %.2f  rmsnorm %.2f  layernorm %.2f  argmax %.2f\n", gelu * 1e9 / N,
        softcap * 1e9 / N, softmax * 1e9 / N, rms * 1e9 / N, layer * 1e9 / N, arg * 1e9 / N);
}

static int bench_level(bench *b, const char *level)
{
    pali_error err = {0};
    b->kernels = pl_kernels_get(level, &err);
    if (b->kernels == NULL) {
        fprintf(stderr, "bench_kernels: %s\n", err.message);
        return 2;
    }
    printf("%s: panels of %zu columns, %zu rows\n", level, b->kernels->panel_columns, b->kernels->panel_rows);
    bench_gemm(b);
    for (pl_dtype type = 0; type < PL_DTYPE_COUNT; type++)
        if (b->kernels->skinny[type] != NULL)
            bench_typed(b, type);
    bench_vectors(b);
    return 0;
}

int main(int argc, char **argv)
{
    bench b = {
        .weights = malloc(WEIGHT_BYTES),
        .a = malloc(sizeof(float) * ROWS * 16384),
        .c = malloc(sizeof(float) * ROWS * 64),
        .panel = malloc(sizeof(float) * 64 * 16384),
    };
    int status = 5;
    if (b.weights != NULL && b.a != NULL && b.c != NULL && b.panel != NULL) {
        memset(b.weights, 0x31, WEIGHT_BYTES);
        fill(b.a, (size_t)ROWS * 16384);
        fill(b.panel, 64 * 16384);
        status = 0;
        const char *const *levels = argc > 1 ? (const char *const *)argv + 1 : pl_kernel_levels();
        for (; *levels != NULL && status == 0; levels++)
            status = bench_level(&b, *levels);
    }
    free(b.weights);
    free(b.a);
    free(b.c);
    free(b.panel);
    return status;
}
