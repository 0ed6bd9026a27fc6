/*
 * The tiny checkpoints that other rooms stand on: every container opens, is
 * usable tensor by tensor, and shapes agree where two containers hold one model.
 */
#include "support.h"

#define TINY "tests/data/tiny/"

static pl_tensor_file *open_tiny(const char *name)
{
    char path[200];
    pali_error err = {0};
    snprintf(path, sizeof path, TINY "%s", name);
    const char *dot = strrchr(name, '.');
    pl_tensor_file *file = !dot ? pl_safetensors_open_folder(path, &err)
        : strcmp(dot, ".npz") == 0 ? pl_npz_open(path, &err)
        : strcmp(dot, ".gguf") == 0 ? pl_gguf_open(path, &err)
                                    : pl_safetensors_open(path, &err);
    if (!file)
        fail_msg("%s", err.message);
    return file;
}

static void test_open(void **state)
{
    (void)state;
    static const char *const names[] = {"pg1", "pg1-defaults", "pg1-bf16-sharded", "pg1-f16-new-names", "pg2", "pg1.npz", "pg2.bf16.npz", "pg1.gguf",
        "pg1-q8_0.gguf", "pg1-text.gguf", "pg1-mmproj.gguf", "pg2.gguf", "pg2-text.gguf", "pg2-mmproj.gguf"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        pl_tensor_file *file = open_tiny(names[i]);
        assert_true(pl_tensor_file_count(file) >= 20);
        for (size_t t = 0; t < pl_tensor_file_count(file); t++) {
            const pl_named_tensor *named = pl_tensor_file_at(file, t);
            size_t count;
            if (named->problem)
                fail_msg("%s: %s: %s", names[i], named->name, named->problem);
            assert_true(pl_tensor_count(&named->tensor, &count));
            for (size_t k = 0; pl_dtype_block(named->tensor.dtype) == 1 && k < count; k++) {
                const double value = element(&named->tensor, k);
                assert_true(value - value == 0); /* finite */
            }
        }
        pl_tensor_file_close(file);
    }
}

/* One model in two containers: a vector that is stored as it is in both. */
static void test_same_values(void **state)
{
    (void)state;
    pl_tensor_file *folder = open_tiny("pg1"), *archive = open_tiny("pg1.npz"), *single = open_tiny("pg1.gguf");
    const pl_tensor *a = pl_tensor_file_use(folder, "vision_tower.vision_model.post_layernorm.weight", NULL);
    const pl_tensor *b = pl_tensor_file_use(archive, "params/img/Transformer/encoder_norm/scale", NULL);
    const pl_tensor *c = pl_tensor_file_use(single, "v.post_ln.weight", NULL);
    assert_true(a && b && c && a->shape[0] == b->shape[0] && a->shape[0] == c->shape[0]);
    for (size_t i = 0; i < a->shape[0]; i++) {
        assert_true(element(a, i) == element(b, i));
        assert_true(element(a, i) == element(c, i));
    }
    pl_tensor_file_close(folder);
    pl_tensor_file_close(archive);
    pl_tensor_file_close(single);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_open), cmocka_unit_test(test_same_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
