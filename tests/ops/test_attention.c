/*
 * Attention over two spans of keys, masks and soft-caps, of every type that a
 * cache has, on every level: against a softmax in double of the stored values.
 * A segment's bits depend neither on the number of threads nor on the segments
 * beside it.
 */
#include "ops/ops.h"
#include "tensor/quantise.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEGMENTS = 4, MOST_KEYS = 320 };

/* Keys of the shared span and of the own one, whose last `rows` are the queries' positions. Two neighbours share theirs. */
static const struct {
    size_t shared, own, rows, prefix;
} sizes[SEGMENTS] = {{0, 150, 150, 150}, {257, 41, 40, 260}, {257, 9, 2, 259}, {5, 1, 1, 3}};

typedef struct shape {
    pl_attention attention;
    pl_dtype dtype;
} shape;

typedef struct operands {
    shape shape;
    size_t width, row_bytes; /* of keys */
    unsigned char *k, *v;    /* [MOST_KEYS] rows of the type */
    float *k_values, *v_values, *q; /* what the rows stand for; q [rows, heads * head_dim] */
    size_t rows;
} operands;

/* Within +-2 and exact in bf16, so that only sums and softmax round. */
static float random_value(void)
{
    static uint32_t state = 11;
    state = state * 1664525 + 1013904223;
    return pl_bf16_to_f32(pl_f32_to_bf16((float)(int32_t)state * 0x1p-30f));
}

static void make_rows(const operands *o, unsigned char *stored, float *values)
{
    for (size_t r = 0; r < MOST_KEYS; r++) {
        float *row = values + r * o->width;
        for (size_t i = 0; i < o->width; i++)
            row[i] = random_value();
        assert_true(pl_quantise_row(o->shape.dtype, o->width, row, stored + r * o->row_bytes));
        pl_read_row(o->shape.dtype, stored + r * o->row_bytes, o->row_bytes, 0, 0, o->width, row);
    }
}

static operands make_operands(shape s)
{
    operands o = {.shape = s, .width = s.attention.kv_heads * s.attention.head_dim};
    const size_t q_width = s.attention.heads * s.attention.head_dim;
    assert_true(pl_dtype_row_bytes(s.dtype, o.width, &o.row_bytes));
    for (size_t i = 0; i < SEGMENTS; i++)
        o.rows += sizes[i].rows;
    o.k = malloc(MOST_KEYS * o.row_bytes);
    o.v = malloc(MOST_KEYS * o.row_bytes);
    o.k_values = malloc(MOST_KEYS * o.width * sizeof(float));
    o.v_values = malloc(MOST_KEYS * o.width * sizeof(float));
    o.q = malloc(o.rows * q_width * sizeof(float));
    make_rows(&o, o.k, o.k_values);
    make_rows(&o, o.v, o.v_values);
    for (size_t i = 0; i < o.rows * q_width; i++)
        o.q[i] = random_value();
    return o;
}

static void free_operands(operands *o)
{
    free(o->k);
    free(o->v);
    free(o->k_values);
    free(o->v_values);
    free(o->q);
}

/* All segments look at the same rows: the shared span at the first of them, the own one at those that follow. */
static pl_attention_segment segment_of(const operands *o, size_t i)
{
    const size_t shared = sizes[i].shared, at = shared * o->row_bytes;
    pl_attention_segment s = {.rows = sizes[i].rows, .start = shared + sizes[i].own - sizes[i].rows, .prefix = sizes[i].prefix};
    if (shared)
        s.spans[0] = (pl_kv_span){.k = o->k, .v = o->v, .dtype = o->shape.dtype, .count = shared, .stride = o->row_bytes};
    s.spans[1] = (pl_kv_span){.k = o->k + at, .v = o->v + at, .dtype = o->shape.dtype, .count = sizes[i].own, .stride = o->row_bytes};
    return s;
}

/* Segments first .. first+count, planned first, as the op is used. */
static void run(pl_context ctx, const operands *o, size_t first, size_t count, float *q, float *result)
{
    pl_attention attention = o->shape.attention;
    pl_attention_segment segments[SEGMENTS];
    pl_arena plan = pl_arena_plan(), arena;
    pali_error err = {0};
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        segments[i] = segment_of(o, first + i);
        if (i == 0 || segments[i].spans[0].count != segments[i - 1].spans[0].count)
            attention.keys += segments[i].spans[0].count;
        attention.keys += segments[i].spans[1].count;
        rows += segments[i].rows;
    }
    const size_t width = attention.heads * attention.head_dim;
    const pl_rows in = {.data = q, .count = rows, .width = width}, out = {.data = result, .count = rows, .width = width};
    ctx.arena = &plan;
    pl_op_attention(&ctx, &attention, in, NULL, count, out);
    assert_int_equal(pl_arena_init(&arena, plan.peak, "test", &err), PALI_OK);
    ctx.arena = &arena;
    pl_op_attention(&ctx, &attention, in, segments, count, out);
    assert_false(ctx.failed);
    pl_arena_free(&arena);
}

/* One head of one row; returns the sum of the largest score's terms' sizes. */
static double expect(const operands *o, size_t segment, size_t row, size_t head, const float *q, double *expected)
{
    const pl_attention *a = &o->shape.attention;
    const size_t at = head / (a->heads / a->kv_heads) * a->head_dim, keys = sizes[segment].shared + sizes[segment].own;
    const size_t own = keys - sizes[segment].rows + row + 1, seen = own > sizes[segment].prefix ? own : sizes[segment].prefix;
    double weights[MOST_KEYS], sum = 0, most_terms = 0;
    memset(expected, 0, a->head_dim * sizeof *expected);
    for (size_t j = 0; j < seen; j++) {
        double score = 0, terms = 0;
        for (size_t i = 0; i < a->head_dim; i++) {
            const double term = (double)q[i] * (double)o->k_values[j * o->width + at + i] * (double)a->scale;
            score += term;
            terms += fabs(term);
        }
        most_terms = fmax(most_terms, terms);
        weights[j] = exp(a->softcap > 0 ? (double)a->softcap * tanh(score / (double)a->softcap) : score);
        sum += weights[j];
    }
    for (size_t j = 0; j < seen; j++)
        for (size_t i = 0; i < a->head_dim; i++)
            expected[i] += weights[j] / sum * (double)o->v_values[j * o->width + at + i];
    return most_terms;
}

/*
 * In floats, sums and exponentials round: 2^-16 of values up to 2. In bf16 so do the weights, by 2^-9 each; and
 * keys and values of a cache in q8_0, by which a score moves as far as 2^-9 of its terms and the result twice that.
 */
static void check_values(const operands *o, bool narrow, const float *got, const char *level)
{
    const pl_attention *a = &o->shape.attention;
    double expected[256];
    for (size_t s = 0, at = 0; s < SEGMENTS; at += sizes[s++].rows) {
        for (size_t r = 0; r < sizes[s].rows; r += sizes[s].rows > 50 ? 7 : 1) {
            for (size_t h = 0; h < a->heads; h++) {
                const size_t place = ((at + r) * a->heads + h) * a->head_dim;
                const double terms = expect(o, s, r, h, o->q + place, expected);
                const double most = !narrow ? 0x1p-15 : 0x1p-8 + (o->shape.dtype == PL_Q8_0 ? 2 * (2 * 0x1p-9 * terms + 0x1p-9) : 0);
                for (size_t i = 0; i < a->head_dim; i++)
                    if (!(fabs((double)got[place + i] - expected[i]) <= most))
                        fail_msg("%s, %s cache%s: segment %zu, row %zu, head %zu, value %zu is %g, expected %g, bound %g", level, pl_dtype_name(o->shape.dtype),
                                 narrow ? ", bf16" : "", s, r, h, i, (double)got[place + i], expected[i], most);
            }
        }
    }
}

static void check(const pl_kernels *kernels, pl_activations activations, pl_regime regime, pl_pool *pool, shape s)
{
    operands o = make_operands(s);
    const size_t width = s.attention.heads * s.attention.head_dim, bytes = o.rows * width * sizeof(float);
    float *got = malloc(bytes), *again = malloc(bytes);
    const pl_context ctx = {.kernels = kernels, .pool = pool, .activations = activations, .regime = regime};
    run(ctx, &o, 0, SEGMENTS, o.q, got);
    check_values(&o, kernels->bf16_unit && activations == PL_ACTIVATIONS_AUTO && regime == PL_REGIME_PREFILL, got, kernels->level);
    pl_context alone = ctx;
    alone.pool = NULL;
    for (size_t i = 0, at = 0; i < SEGMENTS; at += sizes[i++].rows)
        run(alone, &o, i, 1, o.q + at * width, again + at * width);
    assert_memory_equal(got, again, bytes);
    free(again);
    free(got);
    free_operands(&o);
}

static void test_attention(void **state)
{
    (void)state;
    static const shape shapes[] = { /* scales are powers of two, so that q stays exact */
        {{.heads = 2, .kv_heads = 2, .head_dim = 72, .scale = 0.125f}, PL_F32},
        {{.heads = 4, .kv_heads = 1, .head_dim = 256, .scale = 0.0625f}, PL_BF16},
        {{.heads = 4, .kv_heads = 2, .head_dim = 32, .scale = 0.125f, .softcap = 3}, PL_Q8_0},
        {{.heads = 3, .kv_heads = 1, .head_dim = 24, .scale = 0.25f, .softcap = 3}, PL_F32},
    };
    pl_pool *pool = pl_pool_new(3, NULL);
    for (const char *const *level = pl_kernel_levels(); *level; level++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const pl_kernels *kernels = pl_kernels_get(*level, NULL);
            check(kernels, PL_ACTIVATIONS_AUTO, PL_REGIME_PREFILL, pool, shapes[i]);
            check(kernels, PL_ACTIVATIONS_AUTO, PL_REGIME_DECODE, pool, shapes[i]);
            check(kernels, PL_ACTIVATIONS_F32, PL_REGIME_PREFILL, pool, shapes[i]);
        }
    pl_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention)};
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
