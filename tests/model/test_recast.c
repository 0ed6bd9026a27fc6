/*
 * Weights of one type as another: tiles hold the values of the rows that they
 * are made of, a layout changes no bit, errors stay below half a step of each
 * type, and threads change nothing.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/recast.h"
#include "model/tiny.h"
#include "tensor/quantise.h"

enum { ROWS = 37, COLUMNS = 96, COUNT = ROWS * COLUMNS }; /* no whole groups of rows, no whole tiles of 64 */

static const pl_dtype types[] = {PL_F32, PL_BF16, PL_F16, PL_Q8_0, PL_Q4_0, PL_BF16_TILES, PL_Q8_TILES, PL_Q8_0_TILES, PL_Q4_0_TILES};
enum { TYPES = sizeof types / sizeof *types };

typedef struct matrix {
    pl_tensor tensor;
    size_t bytes;
    float scale[ROWS];
} matrix;

static void fill(float *values)
{
    for (size_t i = 0; i < COUNT; i++)
        values[i] = sinf((float)i * 1.7f) * (1 + (float)(i % 13));
}

static void recast(const pl_tensor *from, pl_dtype type, const pl_low_rank *adapters, pl_pool *pool, matrix *to)
{
    pali_error err = {0};
    *to = (matrix){.tensor = {.dtype = type, .rank = 2, .shape = {from->shape[0], from->shape[1]}}};
    assert_true(pl_tensor_bytes(&to->tensor, &to->bytes));
    void *data = malloc(to->bytes);
    const pl_recast wish = {.from = from, .type = type, .adapters = adapters, .file = "file", .name = "name"};
    expect_ok(pl_recast_rows(&wish, pool, 0, from->shape[0], data, to->scale, &err), &err);
    to->tensor.data = data;
    to->tensor.scale = type == PL_Q8_TILES ? to->scale : NULL;
}

static void release(matrix *m)
{
    free((void *)(uintptr_t)m->tensor.data);
}

static void read_matrix(const matrix *m, float *values)
{
    size_t row_bytes;
    assert_true(pl_dtype_row_bytes(m->tensor.dtype, COLUMNS, &row_bytes));
    for (size_t r = 0; r < ROWS; r++) {
        pl_read_row(m->tensor.dtype, m->tensor.data, row_bytes, r, 0, COLUMNS, values + r * COLUMNS);
        for (size_t k = 0; m->tensor.scale && k < COLUMNS; k++)
            values[r * COLUMNS + k] *= m->scale[r];
    }
}

/* Half a step of the type where the largest of what shares a scale is `most`; q4_0's steps end at 7/8 on one side. */
static float allowed(pl_dtype type, float value, float most)
{
    switch (pl_dtype_untiled(type)) {
    case PL_F32:
        return 0;
    case PL_BF16:
        return fabsf(value) * 0x1p-8f;
    case PL_F16:
        return fabsf(value) * 0x1p-11f;
    case PL_Q4_0:
        return most / 8 * 1.001f;
    default: /* a step of most / 127; q8_0's scale itself is rounded to 11 bits */
        return most / 127 * 0.5f + most * 0x1p-11f;
    }
}

static void test_values(void **state)
{
    (void)state;
    static float source[COUNT], values[COUNT], of_rows[COUNT];
    fill(source);
    const pl_tensor from = {.dtype = PL_F32, .rank = 2, .shape = {ROWS, COLUMNS}, .data = source};
    for (size_t t = 0; t < TYPES; t++) {
        matrix m;
        recast(&from, types[t], NULL, NULL, &m);
        read_matrix(&m, values);
        for (size_t i = 0; i < COUNT; i++)
            if (!(fabsf(values[i] - source[i]) <= allowed(types[t], source[i], 13)))
                fail_msg("%s: value %zu: found %g, expected %g", pl_dtype_name(types[t]), i, (double)values[i], (double)source[i]);
        if (pl_dtype_is_tiled(types[t]) && types[t] != PL_Q8_TILES) {
            matrix rows;
            recast(&from, pl_dtype_untiled(types[t]), NULL, NULL, &rows);
            read_matrix(&rows, of_rows);
            assert_memory_equal(values, of_rows, sizeof values);
            release(&rows);
        }
        release(&m);
    }
}

/* From tiles to rows and back, with several threads: the same bytes. */
static void test_layouts(void **state)
{
    (void)state;
    static float source[COUNT];
    pali_error err = {0};
    fill(source);
    pl_pool *pool = pl_pool_new(3, &err);
    const pl_tensor from = {.dtype = PL_F32, .rank = 2, .shape = {ROWS, COLUMNS}, .data = source};
    for (size_t t = 0; t < TYPES; t++) {
        const pl_dtype plain = types[t] == PL_Q8_TILES ? PL_Q8_TILES : pl_dtype_untiled(types[t]);
        matrix tiles, rows, again;
        recast(&from, types[t], NULL, NULL, &tiles);
        recast(&tiles.tensor, plain, NULL, pool, &rows);
        recast(&rows.tensor, types[t], NULL, pool, &again);
        assert_int_equal(tiles.bytes, again.bytes);
        assert_memory_equal(tiles.tensor.data, again.tensor.data, tiles.bytes);
        assert_memory_equal(tiles.scale, again.scale, sizeof tiles.scale);
        release(&tiles);
        release(&rows);
        release(&again);
    }
    pl_pool_free(pool);
}

/* W + scale * B A, summed in f32 and rounded once. */
static void test_adapters(void **state)
{
    (void)state;
    static float source[COUNT], values[COUNT], a[2 * COLUMNS], b[2 * ROWS];
    fill(source);
    for (size_t i = 0; i < 2 * COLUMNS; i++)
        a[i] = cosf((float)i);
    for (size_t i = 0; i < 2 * ROWS; i++)
        b[i] = sinf((float)i * 0.3f);
    const pl_tensor from = {.dtype = PL_F32, .rank = 2, .shape = {ROWS, COLUMNS}, .data = source};
    const pl_low_rank second = {.a = a, .b = b, .rank = 1, .scale = -1}, change = {.a = a, .b = b, .rank = 2, .scale = 0.5f, .next = &second};
    matrix m;
    recast(&from, PL_F32, &change, NULL, &m);
    read_matrix(&m, values);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t k = 0; k < COLUMNS; k++) {
            const double low = 0.5 * ((double)b[2 * r] * (double)a[k] + (double)b[2 * r + 1] * (double)a[COLUMNS + k]) - (double)b[r] * (double)a[k];
            const double expected = (double)source[r * COLUMNS + k] + low;
            assert_true(fabs((double)values[r * COLUMNS + k] - expected) < 4e-6); /* four roundings of values below 16 */
        }
    release(&m);
}

static void test_refused(void **state)
{
    (void)state;
    float source[32] = {1, INFINITY};
    unsigned char out[64];
    pali_error err = {0};
    const pl_tensor from = {.dtype = PL_F32, .rank = 2, .shape = {1, 32}, .data = source};
    const pl_recast wish = {.from = &from, .type = PL_Q8_0, .file = "weights.npz", .name = "a/b"};
    assert_int_equal(pl_recast_rows(&wish, NULL, 0, 1, out, NULL, &err), PALI_MODEL);
    assert_string_equal(err.message, "weights.npz: tensor a/b: found values that are not finite or too large for q8_0, expected none");
    pl_dtype type;
    assert_int_equal(pl_type_parse("q5_0", "type", &type, &err), PALI_USAGE);
    assert_non_null(strstr(err.message, "type: found 'q5_0', expected f32, bf16, f16, q8_0, q4_0 or q8"));
}

/* What a type does to tiny matrices: positions stay floats in a quantised model, odd widths become bf16, the head follows the embedding. */
static void test_load_types(void **state)
{
    (void)state;
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1", &(pl_load_options){.type = "q4_0"}, NULL, 2);
    const pl_paligemma *m = tiny.model;
    assert_int_equal(m->siglip.position.dtype, PL_F32);
    assert_int_equal(m->siglip.patch.weight.dtype, PL_BF16); /* 588 is no multiple of 32 */
    assert_int_equal(pl_dtype_untiled(m->gemma.layers[0].down.weight.dtype), PL_Q4_0);
    assert_true(m->gemma.head.weight.data == m->gemma.embedding.data);
    tiny_close(&tiny);
    tiny_open(&tiny, TINY "pg1", &(pl_load_options){.type = "q8"}, NULL, 2);
    assert_int_equal(tiny.model->siglip.patch.weight.dtype, PL_Q8_TILES);
    assert_true(tiny.model->gemma.head.weight.scale && tiny.model->gemma.head.weight.scale == tiny.model->gemma.embedding.scale);
    tiny_close(&tiny);
}

/* nano's log-probabilities of one answer stay near those of its own bf16 weights. */
static void test_load_answers(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        float allowed; /* a few times what was measured */
    } wishes[] = {{"f32", 1e-6f}, {"f16", 1e-6f}, {"q8_0", 0.004f}, {"q8", 0.004f}, {"q4_0", 0.06f}};
    enum { MOST = 6 };
    float expected[MOST] = {0};
    size_t count = 0;
    pali_error err = {0};
    pl_image picture;
    const pl_image *const seen = &picture;
    expect_ok(pl_image_open("tests/data/nano/000000.jpg", &picture, &err), &err);
    for (size_t i = 0; i <= sizeof wishes / sizeof *wishes; i++) {
        tiny_model nano;
        tiny_open(&nano, "models/nano", &(pl_load_options){.type = i ? wishes[i - 1].type : NULL}, NULL, 2);
        expect_ok(pl_timeline_set_images(&nano.timeline, &seen, 1, &err), &err);
        tiny_ask(&nano, "caption en", MOST);
        count = i ? count : nano.timeline.tokens.count;
        assert_true(count >= 1 && nano.timeline.tokens.count == count);
        float worst = 0;
        for (size_t t = 0; t < count; t++)
            worst = fmaxf(worst, fabsf(nano.timeline.logprobs[t] - expected[t]));
        if (i == 0)
            memcpy(expected, nano.timeline.logprobs, count * sizeof *expected);
        else if (!(worst <= wishes[i - 1].allowed))
            fail_msg("%s: a log-probability is off by %g, expected at most %g", wishes[i - 1].type, (double)worst, (double)wishes[i - 1].allowed);
        if (i)
            print_message("%s: log-probabilities of %zu tokens are off by %.2g at most\n", wishes[i - 1].type, count, (double)worst);
        tiny_close(&nano);
    }
    pl_image_free(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_adapters),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_load_types),
        cmocka_unit_test(test_load_answers),
    };
    return cmocka_run_group_tests_name("recast", tests, NULL, NULL);
}
