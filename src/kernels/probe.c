/*
 * Choosing between rivals by their time, not by their name: bf16 products have
 * twice the rate of f32 on some processors and half of it on others.
 */
#include "base/clock.h"
#include "kernels/levels.h"

enum { M = 24, N = 32, K = 512, RUNS = 7 };

/* Operands of both products: zeros will do, no processor here minds the values. */
typedef struct operands {
    _Alignas(64) float a[M * K];
    _Alignas(64) float panel[N * K];
    _Alignas(64) float c[M * PL_PANEL_MAX];
} operands;

static void run_f32(const pl_kernels *k, operands *o)
{
    for (size_t j = 0; j < N; j += k->panel_columns) {
        const size_t n = N - j < k->panel_columns ? N - j : k->panel_columns;
        k->gemm(M, n, K, o->a, K, o->panel + j * K, o->c + j, PL_PANEL_MAX, false);
    }
}

static void run_bf16(const pl_kernels *k, operands *o)
{
    const uint16_t *a = (const uint16_t *)(const void *)o->a, *tiles = (const uint16_t *)(const void *)o->panel;
    k->gemm_bf16(M, N, K, a, K, tiles, K * PL_TILE_ROWS, o->c, PL_PANEL_MAX, false, NULL);
}

/* The shortest of some runs, in seconds: others on the machine only add. */
static double shortest(void (*run)(const pl_kernels *k, operands *o), const pl_kernels *k, operands *o)
{
    double best = 1e9;
    for (size_t i = 0; i < RUNS; i++) {
        const double start = pl_now();
        run(k, o);
        const double took = pl_now() - start;
        best = took < best ? took : best;
    }
    return best;
}

bool pl_bf16_is_faster(const pl_kernels *k)
{
    static operands o; /* called once, before any other thread has the table */
    return shortest(run_bf16, k, &o) < 0.8 * shortest(run_f32, k, &o);
}
