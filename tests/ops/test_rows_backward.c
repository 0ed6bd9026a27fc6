/*
 * Backward of the ops that go row by row, and of the losses: gradients against
 * central differences of the op written out in double, on every level, with
 * the same bits for any number of threads; inputs and weights that no gradient
 * is wanted for.
 */
#include "ops/ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VARIABLES = 3, THREADS = 3, LOOKED_AT = 60, MOST = 8192 };

typedef enum role { ACTIVATION = 1, PARAMETER } role;

/* An input of an op that gradients are taken of, [rows, width]. */
typedef struct variable {
    role role;
    size_t rows, width;
} variable;

typedef struct op_case {
    const char *name;
    variable variables[VARIABLES];
    size_t rows, width; /* of the output; 0: the op works in place on variable 0, or is a loss */
    bool loss;          /* gradients begin in the op */
    void (*run)(pl_context *ctx, const pl_rows *in, pl_rows out);
    void (*plain)(const double *const *in, double *out); /* the output, or the loss, in double */
} op_case;

/* ---- The ops, twice --------------------------------------------------- */

enum { T = 19, D = 37, TABLE = 23, CAPTIONS = 9, HALF = 7 };

static const float EPS = 1e-2f; /* large, so that the differences see it */
static const size_t picked[T] = {3, 0, 18, 3, 3, 7, 11, 12, 0, 1, 2, 17, 16, 5, 5, 9, 8, 4, 3};
static const int32_t ids[T] = {22, 1, 1, 5, 0, 7, 9, 1, 14, 21, 22, 22, 3, 4, 6, 2, 8, 10, 1};
static const int32_t targets[T] = {0, 36, 1, 5, -1, 7, 9, 1, 14, 21, 22, 22, 3, 4, 6, 2, 8, 10, 1};
static const float target_weights[T] = {1, 0.5f, 0.25f, 0, 1, 0.3f, 1, 1, 2, 1, 1, 1, 0.1f, 1, 1, 1, 1, 1, 1};

static void run_layernorm(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    pl_op_layernorm(ctx, in[0], in[1].data, in[2].data, EPS, out);
}

static void norm_rows(size_t rows, size_t width, const double *x, const double *scale, double offset, bool centred, double *y)
{
    for (size_t t = 0; t < rows; t++, x += width, y += width) {
        double mean = 0, square = 0;
        for (size_t i = 0; i < width && centred; i++)
            mean += x[i] / (double)width;
        for (size_t i = 0; i < width; i++)
            square += (x[i] - mean) * (x[i] - mean) / (double)width;
        for (size_t i = 0; i < width; i++)
            y[i] = (x[i] - mean) / sqrt(square + (double)EPS) * (scale[i] + offset);
    }
}

static void plain_layernorm(const double *const *in, double *out)
{
    norm_rows(T, D, in[0], in[1], 0, true, out);
    for (size_t i = 0; i < T * D; i++)
        out[i] += in[2][i % D];
}

/* More rows than 64 blocks of 8. */
enum { MANY_ROWS = 1100, NARROW = 5 };
static void plain_layernorm_of_many(const double *const *in, double *out)
{
    norm_rows(MANY_ROWS, NARROW, in[0], in[1], 0, true, out);
    for (size_t i = 0; i < (size_t)MANY_ROWS * NARROW; i++)
        out[i] += in[2][i % NARROW];
}

static void run_rmsnorm(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    pl_op_rmsnorm(ctx, in[0], in[1].data, 1, EPS, out);
}

static void plain_rmsnorm(const double *const *in, double *out)
{
    norm_rows(T, D, in[0], in[1], 1, false, out);
}

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(0.797884560802865355879892 * (x + 0.044715 * x * x * x)));
}

static void run_gelu(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    pl_op_gelu(ctx, in[0], out);
}

static void plain_gelu(const double *const *in, double *out)
{
    for (size_t i = 0; i < T * D; i++)
        out[i] = gelu(in[0][i]);
}

static void run_geglu(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    pl_op_geglu(ctx, in[0], in[1], out);
}

static void plain_geglu(const double *const *in, double *out)
{
    for (size_t i = 0; i < T * D; i++)
        out[i] = gelu(in[0][i]) * in[1][i];
}

static void run_add(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    pl_op_add(ctx, in[0], in[1], out);
}

static void run_add_inplace(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    (void)out;
    pl_op_add(ctx, in[0], in[1], in[0]);
}

static void plain_add(const double *const *in, double *out)
{
    for (size_t i = 0; i < T * D; i++)
        out[i] = in[0][i] + in[1][i];
}

/* Two matrices end to end. */
static void run_copy(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    pl_op_copy(ctx, in[0], pl_rows_view(out, 0, T));
    pl_op_copy(ctx, in[1], pl_rows_view(out, T, T));
}

static void plain_copy(const double *const *in, double *out)
{
    memcpy(out, in[0], T * D * sizeof *out);
    memcpy(out + T * D, in[1], T * D * sizeof *out);
}

static void run_gather(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    pl_op_gather(ctx, in[0], picked, out);
}

static void plain_gather(const double *const *in, double *out)
{
    for (size_t t = 0; t < T; t++)
        memcpy(out + t * D, in[0] + picked[t] * D, D * sizeof *out);
}

static pl_tensor table_of(pl_rows rows)
{
    return (pl_tensor){.dtype = PL_F32, .rank = 2, .shape = {rows.count, rows.width}, .data = rows.data};
}

/* Tables outlive the op, as a model's do. */
static void run_embed(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    static _Thread_local pl_tensor table;
    table = table_of(in[0]);
    pl_op_embed(ctx, &table, ids, 3, out);
}

static void plain_embed(const double *const *in, double *out)
{
    for (size_t i = 0; i < T * D; i++)
        out[i] = 3 * in[0][(size_t)ids[i / D] * D + i % D];
}

static void run_add_table(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    (void)out;
    static _Thread_local pl_tensor table;
    table = table_of(in[1]);
    pl_op_add_table_inplace(ctx, &table, 0, pl_rows_view(in[0], 0, 10));
    pl_op_add_table_inplace(ctx, &table, 4, pl_rows_view(in[0], 10, T - 10));
}

static void plain_add_table(const double *const *in, double *out)
{
    for (size_t i = 0; i < T * D; i++)
        out[i] = in[0][i] + in[1][(i / D < 10 ? i / D : i / D - 6) * D + i % D];
}

static void run_softcap(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    (void)out;
    pl_op_softcap_inplace(ctx, 0.7f, in[0]);
}

static void plain_softcap(const double *const *in, double *out)
{
    for (size_t i = 0; i < T * D; i++)
        out[i] = (double)0.7f * tanh(in[0][i] / (double)0.7f);
}

static float cosines[T * HALF], sines[T * HALF];

static void run_rope(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    (void)out;
    pl_op_rope_inplace(ctx, cosines, sines, HALF, in[0]);
}

static void plain_rope(const double *const *in, double *out)
{
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < 4 * HALF; i++) {
            const double c = (double)cosines[t * HALF + i % HALF], s = (double)sines[t * HALF + i % HALF];
            const bool second = i % (2 * HALF) >= HALF;
            const double *x = in[0] + t * 4 * HALF + i;
            out[t * 4 * HALF + i] = second ? *x * c + x[-HALF] * s : *x * c - x[HALF] * s;
        }
}

static float mask[T * D]; /* what dropout makes of ones */

static void run_dropout(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    (void)out;
    pl_op_dropout_inplace(ctx, 0.3f, 5, in[0]);
}

static void plain_dropout(const double *const *in, double *out)
{
    for (size_t i = 0; i < T * D; i++)
        out[i] = (double)mask[i] * in[0][i];
}

static void run_normalise(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    pl_op_l2_normalise(ctx, in[0], out);
}

static void plain_normalise(const double *const *in, double *out)
{
    for (size_t t = 0; t < T; t++) {
        double square = 0;
        for (size_t i = 0; i < D; i++)
            square += in[0][t * D + i] * in[0][t * D + i];
        for (size_t i = 0; i < D; i++)
            out[t * D + i] = in[0][t * D + i] / (sqrt(square) + 1e-8);
    }
}

static void cross_entropy_of(pl_context *ctx, const pl_rows *in, float smoothing)
{
    static _Thread_local float losses[T];
    pl_op_cross_entropy(ctx, in[0], targets, target_weights, smoothing, losses);
}

static void run_cross_entropy(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    (void)out;
    cross_entropy_of(ctx, in, 0);
}

static void run_smoothed(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    (void)out;
    cross_entropy_of(ctx, in, 0.3f);
}

/* -sum of target * log softmax, id by id */
static double entropy_in_double(const double *x, size_t width, size_t target, double smoothing)
{
    double sum = 0, loss = 0;
    for (size_t i = 0; i < width; i++)
        sum += exp(x[i]);
    for (size_t i = 0; i < width; i++)
        loss -= (i == target ? 1 - smoothing : smoothing / (double)(width - 1)) * log(exp(x[i]) / sum);
    return loss;
}

static void plain_entropy(const double *x, double smoothing, double *out)
{
    *out = 0;
    for (size_t t = 0; t < T; t++)
        if (targets[t] >= 0)
            *out += (double)target_weights[t] * entropy_in_double(x + t * D, D, (size_t)targets[t], smoothing);
}

static void plain_cross_entropy(const double *const *in, double *out)
{
    plain_entropy(in[0], 0, out);
}

static void plain_smoothed(const double *const *in, double *out)
{
    plain_entropy(in[0], (double)0.3f, out);
}

/* Variable 2 holds log temperature and bias. */
static void run_contrastive(pl_context *ctx, const pl_rows *in, pl_rows out)
{
    (void)out;
    static _Thread_local float loss;
    pl_op_sigmoid_contrastive(ctx, in[0], in[1], in[2].data, in[2].data ? in[2].data + 1 : NULL, &loss);
}

static void plain_contrastive(const double *const *in, double *out)
{
    *out = 0;
    for (size_t i = 0; i < CAPTIONS; i++)
        for (size_t j = 0; j < CAPTIONS; j++) {
            double dot = 0;
            for (size_t d = 0; d < D; d++)
                dot += in[0][i * D + d] * in[1][j * D + d];
            const double logit = exp(in[2][0]) * dot + in[2][1];
            *out += log(1 + exp(i == j ? -logit : logit)) / CAPTIONS;
        }
}

static const op_case cases[] = {
    {"layernorm", {{ACTIVATION, T, D}, {PARAMETER, 1, D}, {PARAMETER, 1, D}}, T, D, false, run_layernorm, plain_layernorm},
    {"layernorm of many rows", {{ACTIVATION, MANY_ROWS, NARROW}, {PARAMETER, 1, NARROW}, {PARAMETER, 1, NARROW}}, MANY_ROWS, NARROW, false, run_layernorm, plain_layernorm_of_many},
    {"rmsnorm", {{ACTIVATION, T, D}, {PARAMETER, 1, D}}, T, D, false, run_rmsnorm, plain_rmsnorm},
    {"gelu", {{ACTIVATION, T, D}}, T, D, false, run_gelu, plain_gelu},
    {"geglu", {{ACTIVATION, T, D}, {ACTIVATION, T, D}}, T, D, false, run_geglu, plain_geglu},
    {"add", {{ACTIVATION, T, D}, {ACTIVATION, T, D}}, T, D, false, run_add, plain_add},
    {"add in place", {{ACTIVATION, T, D}, {ACTIVATION, T, D}}, 0, 0, false, run_add_inplace, plain_add},
    {"copy", {{ACTIVATION, T, D}, {ACTIVATION, T, D}}, 2 * T, D, false, run_copy, plain_copy},
    {"gather", {{ACTIVATION, T, D}}, T, D, false, run_gather, plain_gather},
    {"embed", {{PARAMETER, TABLE, D}}, T, D, false, run_embed, plain_embed},
    {"add_table_inplace", {{ACTIVATION, T, D}, {PARAMETER, TABLE, D}}, 0, 0, false, run_add_table, plain_add_table},
    {"softcap_inplace", {{ACTIVATION, T, D}}, 0, 0, false, run_softcap, plain_softcap},
    {"rope_inplace", {{ACTIVATION, T, 4 * HALF}}, 0, 0, false, run_rope, plain_rope},
    {"dropout_inplace", {{ACTIVATION, T, D}}, 0, 0, false, run_dropout, plain_dropout},
    {"l2_normalise", {{ACTIVATION, T, D}}, T, D, false, run_normalise, plain_normalise},
    {"cross_entropy", {{ACTIVATION, T, D}}, 0, 0, true, run_cross_entropy, plain_cross_entropy},
    {"cross_entropy with smoothing", {{ACTIVATION, T, D}}, 0, 0, true, run_smoothed, plain_smoothed},
    {"sigmoid_contrastive", {{ACTIVATION, CAPTIONS, D}, {ACTIVATION, CAPTIONS, D}, {PARAMETER, 1, 2}}, 0, 0, true, run_contrastive, plain_contrastive},
};
enum { CASES = sizeof cases / sizeof *cases };

/* ---- Running a case --------------------------------------------------- */

typedef struct run {
    float *gradient[VARIABLES]; /* what is there afterwards */
    bool frozen[VARIABLES];     /* no gradient is wanted */
} run;

static float values[VARIABLES][MOST], starts[VARIABLES][MOST], seeds[MOST]; /* of each variable; its gradient before; that of the output */

static size_t size_of(const variable *v)
{
    return v->rows * v->width;
}

static float random_float(void)
{
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return (float)(int32_t)state * 0x1p-31f;
}

static void fill(size_t n, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 2 * random_float();
}

/* What works in place turns a gradient into another; others add to what is there. */
static bool is_added_to(const op_case *c, size_t v)
{
    return c->loss || c->rows > 0 || v > 0;
}

/* Pushes what the op takes, on a plan arena too; gradients get what they start from. */
static void lay_out(pl_context *ctx, const op_case *c, const run *r, float *room, pl_rows in[VARIABLES], float *gradient[VARIABLES])
{
    for (size_t v = 0; v < VARIABLES && c->variables[v].role; v++) {
        const variable *var = &c->variables[v];
        if (var->role == PARAMETER) {
            in[v] = (pl_rows){room + v * MOST, var->rows, var->width};
            gradient[v] = pl_parameter_gradient(ctx, in[v].data);
            continue;
        }
        in[v] = r->frozen[v] ? pl_constant_push(ctx, var->rows, var->width) : pl_rows_push(ctx, var->rows, var->width);
        gradient[v] = pl_gradient_at(ctx, in[v].data);
        assert_int_equal(gradient[v] == NULL, r->frozen[v]);
        if (pl_dry(ctx))
            continue;
        memcpy(in[v].data, values[v], size_of(var) * sizeof(float));
        if (gradient[v])
            memcpy(gradient[v], is_added_to(c, v) ? starts[v] : seeds, size_of(var) * sizeof(float));
    }
}

/* Forward and backward once; the gradients of activations are copied to r. */
static void go(pl_context *ctx, const op_case *c, const run *r, float *room)
{
    pl_rows in[VARIABLES] = {0}, out = {0};
    float *gradient[VARIABLES] = {0};
    lay_out(ctx, c, r, room, in, gradient);
    if (c->rows > 0) {
        out = pl_rows_push(ctx, c->rows, c->width);
        if (!pl_dry(ctx))
            memcpy(pl_gradient_at(ctx, out.data), seeds, c->rows * c->width * sizeof(float));
    }
    c->run(ctx, in, out);
    pl_tape_backward(ctx);
    for (size_t v = 0; v < VARIABLES && c->variables[v].role == ACTIVATION; v++)
        if (gradient[v] && !pl_dry(ctx))
            memcpy(r->gradient[v], gradient[v], size_of(&c->variables[v]) * sizeof(float));
}

/* A case from planning to its gradients. */
static void run_case(const op_case *c, const pl_kernels *kernels, pl_pool *pool, run *r)
{
    pl_tape tape;
    pl_tape_init(&tape);
    float *const room = calloc(VARIABLES * MOST, sizeof *room);
    pl_parameter parameters[VARIABLES + 1];
    size_t count = 0;
    for (size_t v = 0; v < VARIABLES && c->variables[v].role; v++) {
        const size_t n = size_of(&c->variables[v]);
        memcpy(room + v * MOST, values[v], n * sizeof *room);
        memcpy(r->gradient[v], starts[v], n * sizeof(float));
        if (c->variables[v].role == PARAMETER && !r->frozen[v])
            parameters[count++] = (pl_parameter){room + v * MOST, r->gradient[v], n};
        if (c->run == run_contrastive && count == 1) /* the two numbers are parameters of their own */
            parameters[count++] = (pl_parameter){room + v * MOST + 1, r->gradient[v] + 1, 1};
    }
    tape.parameters = parameters;
    tape.parameter_count = count;
    tape.dropout_key = 99;
    pl_arena arena = pl_arena_plan();
    pl_context ctx = {.kernels = kernels, .pool = pool, .arena = &arena, .regime = PL_REGIME_PREFILL, .tape = &tape};
    go(&ctx, c, r, room);
    assert_false(ctx.failed);
    for (size_t v = 0; v < VARIABLES && c->variables[v].role; v++) /* a dry run touches nothing */
        assert_memory_equal(r->gradient[v], starts[v], size_of(&c->variables[v]) * sizeof(float));
    pali_error err = {0};
    const size_t peak = arena.peak;
    assert_int_equal(pl_arena_init(&arena, peak, "test", &err), PALI_OK);
    assert_int_equal(pl_tape_reserve(&tape, tape.gradient_peak, &err), PALI_OK);
    tape.paused = false;
    go(&ctx, c, r, room);
    assert_false(ctx.failed);
    assert_int_equal(arena.peak, peak);
    pl_arena_free(&arena);
    pl_tape_free(&tape);
    free(room);
}

static run new_run(void)
{
    run r = {0};
    for (size_t v = 0; v < VARIABLES; v++)
        assert_non_null(r.gradient[v] = malloc(MOST * sizeof(float)));
    return r;
}

static void free_run(run *r)
{
    for (size_t v = 0; v < VARIABLES; v++)
        free(r->gradient[v]);
}

static void make_inputs(const op_case *c)
{
    for (size_t v = 0; v < VARIABLES; v++) {
        fill(size_of(&c->variables[v]), values[v]);
        fill(size_of(&c->variables[v]), starts[v]);
    }
    fill(MOST, seeds);
}

/* ---- Against differences ---------------------------------------------- */

/* The sum of the output times its gradient, or the loss. */
static double objective(const op_case *c, const double *const *in)
{
    static double out[MOST];
    c->plain(in, out);
    if (c->loss)
        return out[0];
    const size_t n = c->rows > 0 ? c->rows * c->width : size_of(&c->variables[0]);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += out[i] * (double)seeds[i];
    return sum;
}

static double difference(const op_case *c, double *const *in, size_t v, size_t i)
{
    const double at = in[v][i], h = 1e-5;
    in[v][i] = at + h;
    const double above = objective(c, (const double *const *)in);
    in[v][i] = at - h;
    const double below = objective(c, (const double *const *)in);
    in[v][i] = at;
    return (above - below) / (2 * h);
}

static void compare(const op_case *c, const pl_kernels *kernels, const run *r)
{
    static double room[VARIABLES][MOST];
    double *in[VARIABLES];
    for (size_t v = 0; v < VARIABLES; v++) {
        in[v] = room[v];
        for (size_t i = 0; i < MOST; i++)
            room[v][i] = (double)values[v][i];
    }
    for (size_t v = 0; v < VARIABLES && c->variables[v].role; v++) {
        const size_t n = size_of(&c->variables[v]);
        for (size_t i = 0; i < n; i += 1 + n / LOOKED_AT) {
            const double expected = difference(c, in, v, i) + (is_added_to(c, v) ? (double)starts[v][i] : 0);
            /* gradients are of size 1, and sums of rows of up to 60; f32, and differences good to 1e-8 */
            const double bound = 2e-6 * fmax(1, fabs(expected)) * (c->variables[v].role == PARAMETER ? 4 : 1);
            if (!(fabs((double)r->gradient[v][i] - expected) <= bound))
                fail_msg("%s, %s: gradient %zu of variable %zu is %.9g, expected %.9g", kernels->level, c->name, i, v, (double)r->gradient[v][i], expected);
        }
    }
}

/* The gradients that are still wanted have the bits that they have when all are; nothing else moves. */
static void check_frozen(const op_case *c, const pl_kernels *kernels, const run *all)
{
    for (size_t v = 0; v < VARIABLES && c->variables[v].role; v++) {
        if (v == 0 && !is_added_to(c, 0) && c->variables[1].role)
            continue; /* the gradient that comes from behind is wanted where it is passed on */
        run r = new_run();
        r.frozen[v] = true;
        run_case(c, kernels, NULL, &r);
        for (size_t u = 0; u < VARIABLES && c->variables[u].role; u++)
            assert_memory_equal(r.gradient[u], u == v ? starts[u] : all->gradient[u], size_of(&c->variables[u]) * sizeof(float));
        free_run(&r);
    }
}

static void check_case(const op_case *c)
{
    make_inputs(c);
    for (const char *const *level = pl_kernel_levels(); *level; level++) {
        const pl_kernels *const kernels = pl_kernels_get(*level, NULL);
        run alone = new_run();
        run_case(c, kernels, NULL, &alone);
        compare(c, kernels, &alone);
        for (size_t threads = 1; threads <= THREADS; threads++) {
            pl_pool *const pool = pl_pool_new(threads, NULL);
            run r = new_run();
            run_case(c, kernels, pool, &r);
            for (size_t v = 0; v < VARIABLES && c->variables[v].role; v++)
                assert_memory_equal(r.gradient[v], alone.gradient[v], size_of(&c->variables[v]) * sizeof(float));
            free_run(&r);
            pl_pool_free(pool);
        }
        check_frozen(c, kernels, &alone);
        free_run(&alone);
    }
}

static void test_case(void **state)
{
    check_case(*state);
}

int main(void)
{
    struct CMUnitTest tests[CASES];
    for (size_t i = 0; i < T * HALF; i++) {
        cosines[i] = (float)cos((double)i);
        sines[i] = (float)sin((double)i);
    }
    pl_tape tape;
    pl_tape_init(&tape);
    tape.dropout_key = 99;
    pl_arena arena = {0};
    pl_context ctx = {.kernels = pl_kernels_get("ref", NULL), .arena = &arena, .tape = &tape};
    for (size_t i = 0; i < T * D; i++)
        mask[i] = 1;
    arena.block = (unsigned char *)mask; /* not a plan */
    tape.paused = true;
    pl_op_dropout_inplace(&ctx, 0.3f, 5, (pl_rows){mask, T, D});
    pl_tape_free(&tape);
    for (size_t i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){cases[i].name, test_case, NULL, NULL, (void *)&cases[i]};
    return _cmocka_run_group_tests("rows backward", tests, CASES, NULL, NULL);
}
