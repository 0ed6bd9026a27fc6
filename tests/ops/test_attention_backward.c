/*
 * Backward of attention against the derivatives written out in double, which
 * are held against differences of the double forward: masks, soft-caps, shared
 * kv heads, fewer rows than keys, on every level, in f32 and bf16. The bits
 * depend neither on the number of threads nor on the segments beside one.
 */
#include "ops/ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct segment {
    size_t keys, rows, prefix; /* the rows are the last ones */
} segment;

typedef struct shape {
    pl_attention attention;
    segment segments[4];
    size_t count;
} shape;

/* Scales are powers of two, so that a scaled q is exact in bf16. */
static const shape shapes[] = {
    {{.heads = 2, .kv_heads = 2, .head_dim = 72, .scale = 0.125f}, {{150, 150, 150}, {37, 37, 20}}, 2},
    {{.heads = 8, .kv_heads = 1, .head_dim = 256, .scale = 0.0625f}, {{140, 140, 131}, {5, 5, 1}, {33, 6, 30}}, 3},
    {{.heads = 4, .kv_heads = 2, .head_dim = 32, .scale = 0.125f, .softcap = 3}, {{270, 270, 130}, {270, 9, 259}, {1, 1, 0}, {64, 64, 0}}, 4},
    {{.heads = 3, .kv_heads = 1, .head_dim = 24, .scale = 0.25f, .softcap = 5}, {{40, 40, 40}}, 1},
    {{.heads = 4, .kv_heads = 1, .head_dim = 40, .scale = 0.25f}, {{300, 300, 300}}, 1}, /* more blocks than one chunk takes */
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Values of one kind, in f32 and in double. */
typedef struct values {
    size_t count;
    float *f;
    double *d;
} values;

typedef struct operands {
    shape s;
    size_t rows, keys, q_width, k_width;
    values q, k, v, g; /* g: the gradient of out */
} operands;

/* Within +-2 and exact in bf16. */
static values random_values(size_t count)
{
    static uint32_t state = 5;
    values x = {.count = count, .f = malloc(count * sizeof(float)), .d = malloc(count * sizeof(double))};
    assert_true(x.f && x.d);
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525 + 1013904223;
        const float full = (float)(int32_t)state * 0x1p-30f;
        uint32_t bits;
        memcpy(&bits, &full, sizeof bits);
        bits &= 0xffff0000u;
        memcpy(&x.f[i], &bits, sizeof bits);
        x.d[i] = (double)x.f[i];
    }
    return x;
}

static void free_values(values *x)
{
    free(x->f);
    free(x->d);
}

static operands make_operands(shape s)
{
    operands o = {.s = s, .q_width = s.attention.heads * s.attention.head_dim, .k_width = s.attention.kv_heads * s.attention.head_dim};
    for (size_t i = 0; i < s.count; i++) {
        o.rows += s.segments[i].rows;
        o.keys += s.segments[i].keys;
    }
    o.q = random_values(o.rows * o.q_width);
    o.g = random_values(o.rows * o.q_width);
    o.k = random_values(o.keys * o.k_width);
    o.v = random_values(o.keys * o.k_width);
    return o;
}

static void free_operands(operands *o)
{
    free_values(&o->q);
    free_values(&o->k);
    free_values(&o->v);
    free_values(&o->g);
}

/* ---- In double -------------------------------------------------------- */

/* One head of one row: the weights of the keys it sees, and the slopes of the cap. Returns how many. */
static size_t weigh(const operands *o, size_t s, size_t r, const double *q, const double *k, double *weights, double *slopes)
{
    const pl_attention *a = &o->s.attention;
    const segment *g = &o->s.segments[s];
    const size_t own = g->keys - g->rows + r + 1, seen = own > g->prefix ? own : g->prefix;
    double sum = 0;
    for (size_t j = 0; j < seen; j++) {
        double score = 0;
        for (size_t i = 0; i < a->head_dim; i++)
            score += q[i] * k[j * o->k_width + i] * (double)a->scale;
        const double t = a->softcap > 0 ? tanh(score / (double)a->softcap) : 0;
        slopes[j] = 1 - t * t;
        weights[j] = exp(a->softcap > 0 ? (double)a->softcap * t : score);
        sum += weights[j];
    }
    for (size_t j = 0; j < seen; j++)
        weights[j] /= sum;
    return seen;
}

/* Calls `each` for every row and head with where their values begin. */
typedef void head_fn(const operands *o, size_t segment, size_t row, size_t q_at, size_t k_at, void *context);

static void each_head(const operands *o, head_fn *each, void *context)
{
    const size_t dim = o->s.attention.head_dim, group = o->s.attention.heads / o->s.attention.kv_heads;
    size_t row = 0, key = 0;
    for (size_t s = 0; s < o->s.count; s++) {
        for (size_t r = 0; r < o->s.segments[s].rows; r++, row++)
            for (size_t h = 0; h < o->s.attention.heads; h++)
                each(o, s, r, row * o->q_width + h * dim, key * o->k_width + h / group * dim, context);
        key += o->s.segments[s].keys;
    }
}

static void add_loss(const operands *o, size_t s, size_t r, size_t q_at, size_t k_at, void *context)
{
    double weights[300], slopes[300];
    const size_t seen = weigh(o, s, r, o->q.d + q_at, o->k.d + k_at, weights, slopes);
    for (size_t j = 0; j < seen; j++)
        for (size_t i = 0; i < o->s.attention.head_dim; i++)
            *(double *)context += weights[j] * o->v.d[k_at + j * o->k_width + i] * o->g.d[q_at + i];
}

typedef struct gradients {
    double *q, *k, *v;
} gradients;

static void add_gradients(const operands *o, size_t s, size_t r, size_t q_at, size_t k_at, void *context)
{
    const gradients *to = context;
    const size_t dim = o->s.attention.head_dim;
    const double *q = o->q.d + q_at, *g = o->g.d + q_at, scale = (double)o->s.attention.scale;
    double weights[300], slopes[300], d[300], mean = 0;
    const size_t seen = weigh(o, s, r, q, o->k.d + k_at, weights, slopes);
    for (size_t j = 0; j < seen; j++) {
        d[j] = 0;
        for (size_t i = 0; i < dim; i++)
            d[j] += g[i] * o->v.d[k_at + j * o->k_width + i];
        mean += weights[j] * d[j];
    }
    for (size_t j = 0; j < seen; j++) {
        const double ds = weights[j] * (d[j] - mean) * slopes[j] * scale;
        const size_t key = k_at + j * o->k_width;
        for (size_t i = 0; i < dim; i++) {
            to->v[key + i] += weights[j] * g[i];
            to->k[key + i] += ds * q[i];
            to->q[q_at + i] += ds * o->k.d[key + i];
        }
    }
}

static gradients expected_gradients(const operands *o)
{
    const gradients to = {.q = calloc(o->q.count, sizeof(double)), .k = calloc(o->k.count, sizeof(double)), .v = calloc(o->v.count, sizeof(double))};
    assert_true(to.q && to.k && to.v);
    each_head(o, add_gradients, (void *)&to);
    return to;
}

static void free_gradients(gradients *g)
{
    free(g->q);
    free(g->k);
    free(g->v);
}

/* What the other tests compare with: within 1e-7 of differences over 2e-5, whose own error is about 1e-10. */
static void test_formula(void **state)
{
    (void)state;
    const shape small = {{.heads = 4, .kv_heads = 2, .head_dim = 3, .scale = 0.5f, .softcap = 2}, {{7, 7, 4}, {9, 2, 8}}, 2};
    operands o = make_operands(small);
    gradients expected = expected_gradients(&o);
    values *const inputs[] = {&o.q, &o.k, &o.v};
    double *const found[] = {expected.q, expected.k, expected.v}, step = 1e-5;
    for (size_t n = 0; n < 3; n++)
        for (size_t i = 0; i < inputs[n]->count; i++) {
            const double value = inputs[n]->d[i];
            double above = 0, below = 0;
            inputs[n]->d[i] = value + step;
            each_head(&o, add_loss, &above);
            inputs[n]->d[i] = value - step;
            each_head(&o, add_loss, &below);
            inputs[n]->d[i] = value;
            assert_true(fabs((above - below) / (2 * step) - found[n][i]) < 1e-7);
        }
    free_gradients(&expected);
    free_operands(&o);
}

/* ---- The op ----------------------------------------------------------- */

/* Forward twice on the same inputs and backward, so that gradients are twice as large: they are added to. */
static void pass(pl_context *ctx, const operands *o, float *results[3])
{
    pl_attention_segment segments[4] = {0};
    pl_attention attention = o->s.attention;
    attention.keys = o->keys;
    const pl_rows q = pl_rows_push(ctx, o->rows, o->q_width), k = pl_rows_push(ctx, o->keys, o->k_width), v = pl_rows_push(ctx, o->keys, o->k_width);
    const pl_rows outs[2] = {pl_rows_push(ctx, o->rows, o->q_width), pl_rows_push(ctx, o->rows, o->q_width)};
    if (!pl_dry(ctx)) {
        memcpy(q.data, o->q.f, o->q.count * sizeof(float));
        memcpy(k.data, o->k.f, o->k.count * sizeof(float));
        memcpy(v.data, o->v.f, o->v.count * sizeof(float));
    }
    for (size_t n = 0; n < 2; n++) {
        for (size_t s = 0, key = 0; s < o->s.count && !pl_dry(ctx); key += o->s.segments[s++].keys) {
            const segment *g = &o->s.segments[s];
            const pl_kv_span span = {.k = k.data + key * k.width, .v = v.data + key * k.width, .dtype = PL_F32, .count = g->keys, .stride = k.width * sizeof(float)};
            segments[s] = (pl_attention_segment){.spans = {span}, .rows = g->rows, .start = g->keys - g->rows, .prefix = g->prefix};
        }
        pl_op_attention(ctx, &attention, q, segments, o->s.count, outs[n]);
        memset(segments, 0x7f, sizeof segments); /* callers use them again */
    }
    const float *const found[] = {pl_gradient(ctx, q).data, pl_gradient(ctx, k).data, pl_gradient(ctx, v).data};
    for (size_t n = 0; n < 2 && !pl_dry(ctx); n++)
        memcpy(pl_gradient(ctx, outs[n]).data, o->g.f, o->g.count * sizeof(float));
    pl_tape_backward(ctx);
    for (size_t n = 0; n < 3 && !pl_dry(ctx); n++)
        memcpy(results[n], found[n], (n ? o->k.count : o->q.count) * sizeof(float));
}

/* As a trainer does: planned, then run. */
static void run(const pl_kernels *kernels, pl_pool *pool, pl_activations activations, const operands *o, float *results[3])
{
    pl_tape tape;
    pl_arena arena = pl_arena_plan();
    pl_tape_init(&tape);
    pl_context ctx = {.kernels = kernels, .pool = pool, .arena = &arena, .tape = &tape, .activations = activations, .regime = PL_REGIME_PREFILL};
    pass(&ctx, o, NULL);
    const size_t peak = arena.peak;
    assert_int_equal(pl_arena_init(&arena, peak, "test", NULL), PALI_OK);
    assert_int_equal(pl_tape_reserve(&tape, tape.gradient_peak, NULL), PALI_OK);
    memset(arena.block, 0xff, peak); /* NaN: what is not written is not read */
    tape.paused = false;
    pass(&ctx, o, results);
    assert_false(ctx.failed);
    assert_int_equal(arena.peak, peak);
    pl_tape_free(&tape);
    pl_arena_free(&arena);
}

static void compare(const char *what, const char *level, size_t count, const float *got, const double *expected, double tolerance)
{
    double largest = 0, worst = 0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs(2 * expected[i]));
        const double error = fabs((double)got[i] - 2 * expected[i]);
        worst = error <= worst ? worst : error; /* NaN too */
    }
    if (!(worst <= tolerance * largest))
        fail_msg("%s, %s: wrong by %g of %g, expected %g of it at most", level, what, worst, largest, tolerance);
}

static float **new_results(const operands *o)
{
    float **results = malloc(3 * sizeof *results);
    for (size_t n = 0; n < 3; n++)
        results[n] = malloc((n ? o->k.count : o->q.count) * sizeof(float));
    return results;
}

static void free_results(float **results)
{
    for (size_t n = 0; n < 3; n++)
        free(results[n]);
    free(results);
}

/*
 * In f32: sums of up to 300 products and exponentials, 2^-16 of the largest at worst. In bf16: weights and gradients
 * of scores are rounded by 2^-9 of themselves, out (in delta) by as much, and sums average that out.
 */
static void test_gradients(void **state)
{
    (void)state;
    pl_pool *pool = pl_pool_new(2, NULL);
    for (size_t i = 0; i < SHAPES; i++) {
        operands o = make_operands(shapes[i]);
        gradients expected = expected_gradients(&o);
        float **results = new_results(&o);
        for (const char *const *level = pl_kernel_levels(); *level; level++)
            for (int exact = 0; exact < 2; exact++) {
                const pl_kernels *kernels = pl_kernels_get(*level, NULL);
                run(kernels, pool, exact ? PL_ACTIVATIONS_F32 : PL_ACTIVATIONS_AUTO, &o, results);
                const double tolerance = kernels->bf16_unit && !exact ? 0x1p-8 : 0x1p-16;
                compare("dq", *level, o.q.count, results[0], expected.q, tolerance);
                compare("dk", *level, o.k.count, results[1], expected.k, tolerance);
                compare("dv", *level, o.v.count, results[2], expected.v, tolerance);
            }
        free_results(results);
        free_gradients(&expected);
        free_operands(&o);
    }
    pl_pool_free(pool);
}

/* Another number of threads makes other chunks, too. */
static void test_bits(void **state)
{
    (void)state;
    pl_pool *pools[] = {NULL, pl_pool_new(2, NULL), pl_pool_new(3, NULL)};
    for (size_t i = 0; i < SHAPES; i++) {
        operands o = make_operands(shapes[i]);
        float **first = new_results(&o), **other = new_results(&o);
        for (int exact = 0; exact < 2; exact++)
            for (size_t p = 0; p < 3; p++) {
                run(pl_kernels_get(NULL, NULL), pools[p], exact ? PL_ACTIVATIONS_F32 : PL_ACTIVATIONS_AUTO, &o, p ? other : first);
                for (size_t n = 0; n < 3 && p; n++)
                    assert_memory_equal(first[n], other[n], (n ? o.k.count : o.q.count) * sizeof(float));
            }
        free_results(first);
        free_results(other);
        free_operands(&o);
    }
    for (size_t p = 0; p < 3; p++)
        pl_pool_free(pools[p]);
}

/* The first segment alone has the gradients it has beside others. */
static void test_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        operands o = make_operands(shapes[i]);
        float **all = new_results(&o), **alone = new_results(&o);
        run(pl_kernels_get(NULL, NULL), NULL, PL_ACTIVATIONS_AUTO, &o, all);
        operands one = o;
        one.s.count = 1;
        one.rows = one.s.segments[0].rows;
        one.keys = one.s.segments[0].keys;
        one.q.count = one.g.count = one.rows * one.q_width;
        one.k.count = one.v.count = one.keys * one.k_width;
        run(pl_kernels_get(NULL, NULL), NULL, PL_ACTIVATIONS_AUTO, &one, alone);
        for (size_t n = 0; n < 3; n++)
            assert_memory_equal(all[n], alone[n], (n ? one.k.count : one.q.count) * sizeof(float));
        free_results(all);
        free_results(alone);
        free_operands(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula), cmocka_unit_test(test_gradients), cmocka_unit_test(test_bits), cmocka_unit_test(test_alone)};
    return cmocka_run_group_tests_name("attention backward", tests, NULL, NULL);
}
