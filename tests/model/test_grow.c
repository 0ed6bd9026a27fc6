/*
 * New tokens: cut out of any text under the next ids; other rows of the
 * embedding keep their bits in every type; saved and opened they are the same.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/folder.h"
#include "model/save.h"
#include "model/tiny.h"

enum { KNOWN = 1537, ROWS = 1600 }; /* pieces and rows of the tiny models */

static const char *const three[] = {"<obj>", "\xcf\x80-\xe2\x82\xac", "new york"};

/* Row r of an embedding as floats. */
static void read_row(const pl_tensor *matrix, size_t r, float *values)
{
    size_t row_bytes;
    assert_true(pl_dtype_row_bytes(matrix->dtype, matrix->shape[1], &row_bytes));
    pl_read_row(matrix->dtype, matrix->data, row_bytes, r, 0, matrix->shape[1], values);
    for (size_t i = 0; matrix->scale && i < matrix->shape[1]; i++)
        values[i] *= matrix->scale[r];
}

static void compare_rows(const pl_tensor *old, const pl_tensor *grown, size_t first, size_t count)
{
    float *a = malloc(old->shape[1] * sizeof *a), *b = malloc(old->shape[1] * sizeof *b);
    double square = 0;
    size_t fresh = 0;
    assert_non_null(a);
    assert_non_null(b);
    for (size_t r = 0; r < grown->shape[0]; r++) {
        read_row(grown, r, b);
        const bool is_new = r >= old->shape[0] || (r >= first && r < first + count);
        if (!is_new) {
            read_row(old, r, a);
            assert_memory_equal(a, b, old->shape[1] * sizeof *a);
            continue;
        }
        for (size_t i = 0; i < old->shape[1]; i++)
            square += (double)b[i] * (double)b[i];
        fresh += old->shape[1];
    }
    /* The deviation of n values is known to 1 / sqrt(2 n): four such, and what 4 bits round. */
    assert_true(fabs(sqrt(square / (double)fresh) / 0.02 - 1) < 4 / sqrt(2 * (double)fresh) + 0.05);
    free(a);
    free(b);
}

static int32_t only_id(const pl_tokenizer *tokenizer, const char *text)
{
    pl_ids ids = {0};
    pali_error err = {0};
    expect_ok(pl_tokenizer_encode(tokenizer, text, strlen(text), PL_TEXT_USER, &ids, &err), &err);
    const int32_t id = ids.count == 1 ? ids.data[0] : -1;
    pl_ids_free(&ids);
    return id;
}

static void every_type(void **state)
{
    (void)state;
    static const struct {
        const char *path, *type;
    } cases[] = {{TINY "pg1", NULL}, {TINY "pg1", "bf16"}, {TINY "pg1", "f16"}, {TINY "pg2", "q8_0"}, {TINY "pg1", "q4_0"}, {TINY "pg1", "q8"}, {TINY "pg1-q8_0.gguf", NULL}, {TINY "pg2.gguf", NULL}};
    const char *many[70];
    char names[70][16];
    for (size_t i = 0; i < 70; i++) {
        snprintf(names[i], sizeof names[i], "<extra%zu>", i);
        many[i] = names[i];
    }
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int large = 0; large < 2; large++) {
            const pl_load_options options = {.type = cases[c].type};
            const size_t count = large ? 70 : 3;
            tiny_model before, after;
            pali_error err = {0};
            tiny_open(&before, cases[c].path, &options, NULL, 1);
            tiny_open(&after, cases[c].path, &options, NULL, 1);
            pl_paligemma *model = after.model;
            const size_t first = pl_tokenizer_count(model->tokenizer), rows = before.model->config.text.vocabulary;
            expect_ok(pl_paligemma_add_tokens(model, large ? many : three, count, 9, &err), &err);
            const size_t grown = first + count > rows ? (first + count + 63) / 64 * 64 : rows; /* a GGUF has a piece for every row */
            assert_int_equal(model->config.text.vocabulary, grown);
            assert_int_equal(model->gemma.config.vocabulary, grown);
            assert_int_equal(model->gemma.embedding.shape[0], grown);
            assert_int_equal(model->gemma.embedding.dtype, before.model->gemma.embedding.dtype);
            assert_ptr_equal(model->gemma.head.weight.data, model->gemma.embedding.data);
            compare_rows(&before.model->gemma.embedding, &model->gemma.embedding, first, count);
            for (size_t i = 0; i < count; i++) {
                assert_int_equal(only_id(model->tokenizer, (large ? many : three)[i]), first + i);
                assert_false(model->banned[first + i]);
            }
            assert_true(first + count == grown || model->banned[first + count]);
            tiny_images(&after, "a");
            tiny_ask(&after, "caption <obj> en", 4);
            assert_true(isfinite(after.timeline.logprobs[0]));
            tiny_close(&before);
            tiny_close(&after);
        }
}

static void saved_and_opened(void **state)
{
    (void)state;
    char folder[] = "/tmp/pali-grow-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model", folder);
    pali_error err = {0};
    tiny_model grown, opened;
    tiny_open(&grown, TINY "pg1", NULL, NULL, 1);
    char *many[70];
    for (size_t i = 0; i < 70; i++) {
        many[i] = malloc(16);
        snprintf(many[i], 16, "<extra%zu>", i);
    }
    expect_ok(pl_paligemma_add_tokens(grown.model, (const char *const *)many, 70, 9, &err), &err);
    const pl_save_options options = {.container = PL_CONTAINER_SAFETENSORS, .vision = PL_DTYPE_COUNT, .language = PL_DTYPE_COUNT, .embedding = PL_DTYPE_COUNT, .head = PL_DTYPE_COUNT, .own_tokenizer = true};
    pl_save_report report;
    expect_ok(pl_paligemma_save(grown.model, path, &options, &report, &err), &err);
    tiny_open(&opened, path, NULL, NULL, 1);
    assert_int_equal(opened.model->config.text.vocabulary, ROWS + 64);
    assert_int_equal(only_id(opened.model->tokenizer, "<extra69>"), KNOWN + 69);
    assert_int_equal(opened.model->gemma.embedding.dtype, PL_F32);
    assert_memory_equal(opened.model->gemma.embedding.data, grown.model->gemma.embedding.data, (ROWS + 64) * 32 * sizeof(float));
    tiny_close(&grown);
    tiny_close(&opened);
    for (size_t i = 0; i < 70; i++)
        free(many[i]);
    assert_int_equal(pl_folder_remove(folder), 0);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *piece, *message;
    } cases[] = {{"<loc0012>", "new_tokens: found '<loc0012>', which the tokenizer has as"}, {"", "new_tokens: piece 1537: found 0 bytes"}, {"\xff", "is not UTF-8"}};
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1", NULL, NULL, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pali_error err = {0};
        assert_int_not_equal(pl_paligemma_add_tokens(tiny.model, &cases[i].piece, 1, 0, &err), PALI_OK);
        if (!strstr(err.message, cases[i].message))
            fail_msg("found \"%s\"", err.message);
        assert_int_equal(pl_tokenizer_count(tiny.model->tokenizer), KNOWN);
    }
    static const char *const twice[] = {"<a>", "<a>"};
    pali_error err = {0};
    assert_int_not_equal(pl_paligemma_add_tokens(tiny.model, twice, 2, 0, &err), PALI_OK);
    assert_non_null(strstr(err.message, "'<a>' stands already at id 1537"));
    tiny_close(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_type), cmocka_unit_test(saved_and_opened), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
