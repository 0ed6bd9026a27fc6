/*
 * Vectors from inside the model: against transformers' hidden states and image
 * features; pooled, normalised, stacked; written and read back in every form.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <pali/pali.h>

#include "base/file.h"
#include "formats/npy.h"
#include "formats/npz.h"
#include "formats/safetensors.h"
#include "generate/embed.h"
#include "model/tiny.h"

#define PROMPT "caption en"

typedef struct fixture {
    pali_model *models[2];
    pali_session *sessions[2];
    pali_image *a, *b;
    pl_tensor_file *golden;
} fixture;

static const char *const names[2] = {"pg1", "pg2"};

static int open_models(void **state)
{
    static fixture f;
    pali_error err = {0};
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, TINY "%s", names[i]);
        f.models[i] = pali_model_open(path, &(pali_model_options){.threads = 2, .preprocess = "hf:pillow13", .activations = "f32"}, &err);
        f.sessions[i] = f.models[i] ? pali_session_new(f.models[i], NULL, &err) : NULL;
        if (!f.sessions[i])
            return -1;
    }
    f.a = pali_image_open(TINY "a.png", &err);
    f.b = pali_image_open(TINY "b.png", &err);
    f.golden = pl_safetensors_open(TINY "scores.safetensors", &err);
    *state = &f;
    return f.a && f.b && f.golden ? 0 : -1;
}

static int close_models(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < 2; i++) {
        pali_session_free(f->sessions[i]);
        pali_model_free(f->models[i]);
    }
    pali_image_free(f->a);
    pali_image_free(f->b);
    pl_tensor_file_close(f->golden);
    return 0;
}

static pali_embedding *embed(pali_session *session, pali_image *const *images, size_t count, const char *prompt, pali_embed_options options)
{
    pali_error err = {0};
    pali_embedding *embedding = pali_embed(session, images, count, prompt, &options, &err);
    if (!embedding)
        fail_msg("%s", err.message);
    return embedding;
}

static size_t floats_of(const pali_embedding_tensor *tensor)
{
    size_t count = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

static void check_golden(const fixture *f, size_t model, const pali_embedding *embedding, size_t i)
{
    char name[64];
    size_t count = 0;
    const pali_embedding_tensor tensor = pali_embedding_at(embedding, i);
    snprintf(name, sizeof name, "%s.%s", names[model], tensor.name);
    const float *expected = golden_values(f->golden, name, &count);
    const pl_tensor *golden = pl_tensor_file_use(f->golden, name, NULL);
    assert_int_equal(tensor.rank, 2);
    assert_int_equal(tensor.shape[0], golden->shape[0]);
    assert_int_equal(tensor.shape[1], golden->shape[1]);
    const double error = relative_error(tensor.data, expected, count), allowed = model == 1 && strncmp(tensor.name, "hidden", 6) == 0 ? 4e-5 : 1e-5;
    if (!(error <= allowed)) /* as in test_golden.c, with its reasons */
        fail_msg("%s: relative error %.2g, expected at most %.2g", name, error, allowed);
}

static void test_golden(void **state)
{
    const fixture *f = *state;
    for (size_t m = 0; m < 2; m++) {
        static const int32_t all[] = {0, 1, 2, 3}, ends[] = {-1, 0};
        const size_t last = m == 0 ? 2 : 3;
        pali_embedding *siglip = embed(f->sessions[m], &f->a, 1, NULL, (pali_embed_options){.what = PALI_EMBED_SIGLIP});
        pali_embedding *projector = embed(f->sessions[m], &f->a, 1, NULL, (pali_embed_options){.what = PALI_EMBED_PROJECTOR});
        pali_embedding *hidden = embed(f->sessions[m], &f->a, 1, PROMPT, (pali_embed_options){.what = PALI_EMBED_HIDDEN, .layers = all, .layer_count = last + 1});
        pali_embedding *some = embed(f->sessions[m], &f->a, 1, PROMPT, (pali_embed_options){.what = PALI_EMBED_HIDDEN, .layers = ends, .layer_count = 2});
        pali_embedding *only = embed(f->sessions[m], &f->a, 1, PROMPT, (pali_embed_options){.what = PALI_EMBED_HIDDEN});
        check_golden(f, m, siglip, 0);
        check_golden(f, m, projector, 0);
        assert_int_equal(pali_embedding_count(hidden), last + 1);
        for (size_t i = 0; i <= last; i++)
            check_golden(f, m, hidden, i);
        char name[32];
        snprintf(name, sizeof name, "hidden.%zu", last);
        assert_string_equal(pali_embedding_at(some, 0).name, name);
        assert_string_equal(pali_embedding_at(some, 1).name, "hidden.0");
        assert_string_equal(pali_embedding_at(only, 0).name, name);
        const pali_embedding_tensor x = pali_embedding_at(hidden, last), y = pali_embedding_at(only, 0), z = pali_embedding_at(some, 0);
        assert_memory_equal(x.data, y.data, floats_of(&x) * sizeof(float));
        assert_memory_equal(x.data, z.data, floats_of(&x) * sizeof(float));
        pali_embedding *const made[] = {siglip, projector, hidden, some, only};
        for (size_t i = 0; i < sizeof made / sizeof *made; i++)
            pali_embedding_free(made[i]);
    }
}

/* Means and lengths, of pictures and of hidden rows. */
static void test_pooled(void **state)
{
    const fixture *f = *state;
    for (size_t way = 0; way < 8; way++) {
        const bool hidden = way & 1, pool = way & 2, normalise = way & 4;
        const pali_embed_options plain = {.what = hidden ? PALI_EMBED_HIDDEN : PALI_EMBED_SIGLIP};
        pali_embed_options options = plain;
        options.pool = pool;
        options.normalise = normalise;
        pali_embedding *rows = embed(f->sessions[1], &f->b, 1, PROMPT, plain), *found = embed(f->sessions[1], &f->b, 1, PROMPT, options);
        const pali_embedding_tensor x = pali_embedding_at(rows, 0), y = pali_embedding_at(found, 0);
        const size_t count = x.shape[0], width = x.shape[1];
        assert_int_equal(y.rank, pool ? 1 : 2);
        assert_int_equal(y.shape[y.rank - 1], width);
        for (size_t r = 0; r < (pool ? 1 : count); r++) {
            double vector[64], length = 0;
            for (size_t i = 0; i < width; i++) {
                vector[i] = pool ? 0 : (double)x.data[r * width + i];
                for (size_t k = 0; pool && k < count; k++)
                    vector[i] += (double)x.data[k * width + i] / (double)count;
                length += vector[i] * vector[i];
            }
            for (size_t i = 0; i < width; i++)
                assert_true(fabs((double)y.data[r * width + i] - vector[i] / (normalise ? sqrt(length) : 1)) <= 1e-6 * sqrt(length));
        }
        pali_embedding_free(rows);
        pali_embedding_free(found);
    }
}

/* Pictures in one call and one after the other; a question of two pictures is one item. */
static void test_stacked(void **state)
{
    const fixture *f = *state;
    pali_error err = {0};
    pali_image *const both[2] = {f->a, f->b};
    const pali_embed_options options = {.what = PALI_EMBED_PROJECTOR};
    pali_embedding *together = embed(f->sessions[0], both, 2, NULL, options), *first = embed(f->sessions[0], &f->a, 1, NULL, options);
    pali_embedding *second = embed(f->sessions[0], &f->b, 1, NULL, options);
    assert_int_equal(pali_embedding_append(first, second, &err), PALI_OK);
    assert_int_equal(pali_embedding_append(first, together, &err), PALI_OK);
    const pali_embedding_tensor x = pali_embedding_at(first, 0), y = pali_embedding_at(together, 0);
    assert_int_equal(pali_embedding_items(first), 4);
    assert_int_equal(x.rank, 3);
    assert_int_equal(x.shape[0], 4);
    assert_int_equal(x.shape[1], 16);
    assert_int_equal(y.shape[0], 2);
    assert_memory_equal(x.data, y.data, floats_of(&y) * sizeof(float));
    assert_memory_equal(x.data + floats_of(&y), y.data, floats_of(&y) * sizeof(float));
    pali_embedding *pair = embed(f->sessions[0], both, 2, PROMPT, (pali_embed_options){.what = PALI_EMBED_HIDDEN});
    assert_int_equal(pali_embedding_items(pair), 1);
    assert_int_equal(pali_embedding_at(pair, 0).shape[0], 2 * 16 + 7);
    assert_int_equal(pali_embedding_append(first, pair, &err), PALI_USAGE);
    assert_int_equal(pali_embedding_append(first, first, &err), PALI_USAGE);
    pali_embedding *pooled = embed(f->sessions[0], &f->a, 1, NULL, (pali_embed_options){.what = PALI_EMBED_PROJECTOR, .pool = true});
    assert_int_equal(pali_embedding_append(first, pooled, &err), PALI_USAGE);
    pali_embedding *longer = embed(f->sessions[0], &f->a, 1, "answer en what is this?", (pali_embed_options){.what = PALI_EMBED_HIDDEN});
    assert_int_equal(pali_embedding_append(pair, longer, &err), PALI_USAGE);
    assert_int_equal(pali_embedding_items(first), 4);
    pali_embedding *const made[] = {together, first, second, pair, pooled, longer};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        pali_embedding_free(made[i]);
    /* The session has the pictures: a question needs no new ones. */
    pali_answer *answer = pali_ask(f->sessions[0], NULL, 0, PROMPT, &(pali_ask_options){.max_tokens = 2}, &err);
    assert_non_null(answer);
    pali_answer_free(answer);
}

static const char *file_named(const char *ending)
{
    static char path[96];
    snprintf(path, sizeof path, "/tmp/pali-embed-%ld%s", (long)getpid(), ending);
    return path;
}

static void save(const pali_embedding *embedding, const char *path, const char *type)
{
    pali_error err = {0};
    if (pali_embedding_check(path, type, pali_embedding_count(embedding), &err) != PALI_OK || pali_embedding_save(embedding, path, type, &err) != PALI_OK)
        fail_msg("%s", err.message);
}

/* The tensor that a file holds under the name, of the type, with the embedding's values rounded to it. */
static void check_tensor(const pl_tensor_file *file, const pali_embedding_tensor *x, pl_dtype dtype)
{
    pali_error err = {0};
    const pl_tensor *tensor = pl_tensor_file_use(file, x->name, &err);
    if (!tensor)
        fail_msg("%s", err.message);
    assert_int_equal(tensor->rank, x->rank);
    for (size_t i = 0; i < x->rank; i++)
        assert_int_equal(tensor->shape[i], x->shape[i]);
    assert_int_equal(tensor->dtype, dtype);
    for (size_t i = 0; i < floats_of(x); i++) {
        const uint16_t *narrow = tensor->data;
        if (dtype == PL_F32)
            assert_memory_equal((const float *)tensor->data + i, x->data + i, sizeof(float));
        else
            assert_int_equal(narrow[i], dtype == PL_F16 ? pl_f32_to_f16(x->data[i]) : pl_f32_to_bf16(x->data[i]));
    }
}

static void test_saved(void **state)
{
    const fixture *f = *state;
    pali_error err = {0};
    static const int32_t layers[] = {3, 0, 2};
    static const struct {
        const char *ending, *type;
        pl_dtype dtype;
    } ways[] = {{".npz", NULL, PL_F32}, {".npz", "f16", PL_F16}, {".safetensors", "f32", PL_F32}, {".safetensors", "bf16", PL_BF16}, {".safetensors", "f16", PL_F16}};
    pali_embedding *three = embed(f->sessions[1], &f->a, 1, "say \"a\"\n\\ \xff", (pali_embed_options){.what = PALI_EMBED_HIDDEN, .layers = layers, .layer_count = 3});
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        const char *path = file_named(ways[w].ending);
        save(three, path, ways[w].type);
        pl_tensor_file *file = ways[w].ending[1] == 'n' ? pl_npz_open(path, &err) : pl_safetensors_open(path, &err);
        if (!file)
            fail_msg("%s", err.message);
        assert_int_equal(pl_tensor_file_count(file), 3);
        for (size_t i = 0; i < 3; i++) {
            const pali_embedding_tensor x = pali_embedding_at(three, i);
            check_tensor(file, &x, ways[w].dtype);
        }
        pl_tensor_file_close(file);
        unlink(path);
    }
    save(three, file_named(".safetensors"), NULL);
    size_t size = 0;
    char *bytes = pl_file_read(file_named(".safetensors"), 1 << 20, &size, PALI_INPUT, &err);
    assert_non_null(bytes);
    assert_non_null(strstr(bytes + 8, "\"pali.what\":\"hidden\",\"pali.pool\":\"none\",\"pali.normalised\":\"false\",\"pali.prompt\":\"say \\u0022a\\u0022\\u000a\\u005c \\ufffd\"}"));
    free(bytes);
    unlink(file_named(".safetensors"));
    pali_embedding_free(three);
}

static void test_npy(void **state)
{
    const fixture *f = *state;
    pali_error err = {0};
    pali_image *const both[2] = {f->a, f->b};
    for (size_t items = 1; items <= 2; items++) {
        const char *path = file_named(".npy");
        size_t size = 0;
        pl_npy npy;
        pali_embedding *one = embed(f->sessions[0], both, items, NULL, (pali_embed_options){.what = PALI_EMBED_SIGLIP, .pool = true});
        const pali_embedding_tensor x = pali_embedding_at(one, 0);
        save(one, path, NULL);
        char *bytes = pl_file_read(path, 1 << 20, &size, PALI_INPUT, &err);
        assert_non_null(bytes);
        assert_int_equal(pl_npy_read(&npy, (const unsigned char *)bytes, size, path, &err), PALI_OK);
        assert_null(npy.problem);
        assert_int_equal(npy.rank, items);
        assert_int_equal(npy.shape[items - 1], x.shape[items - 1]);
        assert_int_equal(size, npy.header + floats_of(&x) * sizeof(float));
        assert_memory_equal(bytes + npy.header, x.data, floats_of(&x) * sizeof(float));
        free(bytes);
        unlink(path);
        pali_embedding_free(one);
    }
}

static void refuse(const fixture *f, const char *prompt, pali_embed_options options, const char *words)
{
    pali_error err = {0};
    assert_null(pali_embed(f->sessions[0], &f->a, 1, prompt, &options, &err));
    assert_int_equal(err.status, PALI_USAGE);
    if (!strstr(err.message, words))
        fail_msg("found \"%s\", expected it to hold \"%s\"", err.message, words);
}

static void refuse_file(const char *path, const char *type, size_t tensors, pali_status status, const char *words)
{
    pali_error err = {0};
    assert_int_equal(pali_embedding_check(path, type, tensors, &err), status);
    if (!strstr(err.message, words))
        fail_msg("found \"%s\", expected it to hold \"%s\"", err.message, words);
}

static void test_refused(void **state)
{
    const fixture *f = *state;
    pali_error err = {0};
    static const int32_t beyond[] = {3}, before[] = {-4}, twice[] = {2, -1};
    refuse(f, PROMPT, (pali_embed_options){.what = PALI_EMBED_HIDDEN, .layers = beyond, .layer_count = 1}, "found 3, expected 0");
    refuse(f, PROMPT, (pali_embed_options){.what = PALI_EMBED_HIDDEN, .layers = before, .layer_count = 1}, "found -4");
    refuse(f, PROMPT, (pali_embed_options){.what = PALI_EMBED_HIDDEN, .layers = twice, .layer_count = 2}, "layer 2 twice");
    refuse(f, PROMPT, (pali_embed_options){.what = PALI_EMBED_SIGLIP, .layers = twice, .layer_count = 2}, "without hidden states");
    refuse(f, NULL, (pali_embed_options){.what = PALI_EMBED_HIDDEN}, "prompt");
    refuse(f, PROMPT, (pali_embed_options){.what = PALI_EMBED_HIDDEN, .layer_count = 1}, "layers");
    refuse(f, PROMPT, (pali_embed_options){.what = (pali_embed_what)9}, "found 9 for what");
    assert_null(pali_embed(f->sessions[0], &f->a, 0, NULL, NULL, &err));
    assert_int_equal(err.status, PALI_USAGE);
    refuse_file("out.npy", NULL, 2, PALI_USAGE, "found 2 tensors, expected one");
    refuse_file("out.npy", "bf16", 1, PALI_USAGE, "bf16");
    refuse_file("out.npz", "bf16", 1, PALI_USAGE, "bf16");
    refuse_file("out.bin", NULL, 1, PALI_USAGE, "out.bin: found a name without a known ending");
    refuse_file("out.npz", "f64", 1, PALI_USAGE, "found f64");
    refuse_file("/nowhere/out.npz", NULL, 1, PALI_FAILED, "/nowhere/out.npz: cannot write");
    pali_embedding_free(NULL);
}

/* What f16 does not hold is refused, and no file is left. */
static void test_beyond_f16(void **state)
{
    (void)state;
    pali_error err = {0};
    float values[4] = {1, 2, 1e6f, 3};
    pl_embedded tensor = {.name = "projector", .data = values, .rows = 2, .width = 2};
    const pl_embedding e = {.what = PL_EMBED_PROJECTOR, .items = 1, .tensors = &tensor, .count = 1};
    for (pl_embed_file file = PL_EMBED_NPY; file <= PL_EMBED_SAFETENSORS; file++) {
        const char *path = file_named(".any");
        assert_int_equal(pl_embedding_save(&e, path, file, PL_F16, &err), PALI_FAILED);
        assert_non_null(strstr(err.message, "beyond the range of f16"));
        assert_int_not_equal(access(path, F_OK), 0);
        assert_int_equal(pl_embedding_save(&e, path, file, PL_F32, &err), PALI_OK);
        assert_int_equal(unlink(path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_pooled), cmocka_unit_test(test_stacked), cmocka_unit_test(test_saved),
        cmocka_unit_test(test_npy), cmocka_unit_test(test_refused), cmocka_unit_test(test_beyond_f16),
    };
    return cmocka_run_group_tests_name("generate: embeddings", tests, open_models, close_models);
}
