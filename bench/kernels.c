/*
 * bench_kernels [LEVEL...]: what each kernel level reaches on one thread at
 * the sizes of the model. Products with few rows (x1, x4, x8) read weights from
 * the second cache and from memory; packing takes a slice that stays in cache.
 * Best of several runs in processor time: compare levels within one run, not
 * across machines.
 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 272, WEIGHT_BYTES = 64 << 20, REPEATS = 10, SLICE = 1024 };

typedef struct bench {
    const pl_kernels *kernels;
    unsigned char *weights; /* [WEIGHT_BYTES] small finite values of any type */
    float *a, *c, *panel;   /* [ROWS * 16384], [ROWS * 64], [16384 * 64] */
    float *y;               /* [8 * 65536] */
    unsigned char *rows;    /* [ROWS * 16384 * 2] bf16 or int8 */
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

/* Products of narrow numbers as linear maps take them: a slice of k, four columns of tiles. */
static void bench_narrow(const bench *b)
{
    enum { N = 64 };
    static const size_t strides[] = {SLICE, 1152, 2048, 4304, 16384};
    const pl_kernels *const kernels = b->kernels;
    printf("  %d rows, %d columns, slices of %d, GFLOP/s:", (int)ROWS, (int)N, (int)SLICE);
    for (size_t i = 0; i < sizeof strides / sizeof strides[0]; i++) {
        const size_t stride = strides[i];
        const double flop = 2e-9 * ROWS * N * SLICE;
        double bf16, i8;
        BEST(bf16, kernels->gemm_bf16(ROWS, N, SLICE, (const uint16_t *)b->rows, stride, (const uint16_t *)b->panel, SLICE * PL_TILE_ROWS, b->c, N, false, NULL));
        BEST(i8, kernels->gemm_i8(ROWS, N, SLICE, (const int8_t *)b->rows, stride, b->a, (const int8_t *)b->panel, SLICE * PL_TILE_ROWS, b->a, b->c, N, false, NULL));
        printf("  stride %zu: bf16 %.1f, int8 %.1f", stride, flop / bf16, flop / i8);
    }
    printf("\n");
}

/* Weights in the second cache, or from memory: rows of x, GB/s of weights. */
static void bench_skinny(const bench *b, pl_dtype type, size_t k, size_t row_bytes, size_t bytes)
{
    static const size_t inputs[] = {1, 4, 8};
    const pl_kernels *const kernels = b->kernels;
    const size_t groups = bytes / row_bytes, rows = groups * pl_dtype_rows(type);
    const double size = 1e-9 * (double)(groups * row_bytes);
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        const size_t m = inputs[i];
        double floats, planes;
        BEST(floats, kernels->skinny[type](m, rows, k, b->weights, row_bytes, b->a, k, b->y, rows, false));
        printf("  x%zu %.1f", m, size / floats);
        if (kernels->skinny_i8[type] == NULL)
            continue;
        BEST(planes, kernels->skinny_i8[type](m, rows, k, b->weights, row_bytes, (const int8_t *)b->rows, k, b->a, b->y, rows, false));
        printf(" (planes %.1f)", size / planes);
    }
}

static void bench_typed(const bench *b, pl_dtype type)
{
    enum { K = 2048 };
    const pl_kernels *const kernels = b->kernels;
    const size_t columns = kernels->panel_columns, values = PL_TILE_ROWS * SLICE;
    size_t row_bytes;
    if (!pl_dtype_row_bytes(type, K, &row_bytes))
        return;
    printf("  %-10s GB/s in L2", pl_dtype_name(type));
    bench_skinny(b, type, K, row_bytes, 256 << 10);
    printf("; memory");
    bench_skinny(b, type, K, row_bytes, WEIGHT_BYTES / 4);
    double pack, bf16, i8;
    float scale[PL_TILE_ROWS];
    BEST(pack, kernels->pack[type](columns, SLICE, b->weights, row_bytes, b->panel));
    BEST(bf16, kernels->pack_bf16[type](PL_TILE_ROWS, SLICE, b->weights, row_bytes, (uint16_t *)b->panel));
    BEST(i8, kernels->pack_i8[type](PL_TILE_ROWS, SLICE, b->weights, row_bytes, (int8_t *)b->panel, scale));
    printf("; ns a value: pack %.3f  bf16 %.3f  int8 %.3f\n", pack * 1e9 / (double)(columns * SLICE), bf16 * 1e9 / (double)values, i8 * 1e9 / (double)values);
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
    printf("%s: panels of %zu columns\n", level, b->kernels->panel_columns);
    bench_gemm(b);
    bench_narrow(b);
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
        .y = malloc(sizeof(float) * 8 * 65536),
        .rows = malloc(ROWS * 16384 * 2),
    };
    int status = 5;
    if (b.weights != NULL && b.a != NULL && b.c != NULL && b.panel != NULL && b.y != NULL && b.rows != NULL) {
        memset(b.weights, 0x31, WEIGHT_BYTES);
        memset(b.rows, 0x31, ROWS * 16384 * 2);
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
    free(b.y);
    free(b.rows);
    return status;
}
