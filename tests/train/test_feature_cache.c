/* Features on disk: what comes back, what does not, and keys. */
#include "data_support.h"

#include "base/file.h"
#include "base/text.h"
#include "train/feature_cache.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TOKENS = 6, WIDTH = 10, VALUES = TOKENS * WIDTH };

static pl_feature_cache *open_cache(pl_feature_options options)
{
    options.folder = data_path("features/of/a/run");
    options.tokens = TOKENS;
    options.width = WIDTH;
    pali_error err = {0};
    pl_feature_cache *const cache = pl_feature_cache_open(&options, &err);
    if (!cache)
        fail_msg("%s", err.message);
    return cache;
}

static void fill(float rows[VALUES], uint64_t seed)
{
    for (size_t i = 0; i < VALUES; i++)
        rows[i] = (float)sin((double)(i + seed * 100)) * 30;
}

static pl_feature_picture picture_of(uint64_t i)
{
    return (pl_feature_picture){.hash = pl_hash(&i, sizeof i), .bytes = 1000 + i, .width = 640, .height = 480 + i};
}

/* Any rows come back to the bit, or rounded to bf16 as the caller can round them himself. */
static void rows_come_back(void **state)
{
    (void)state;
    for (int type = PL_FEATURE_F32; type <= PL_FEATURE_BF16; type++) {
        pl_feature_cache *const cache = open_cache((pl_feature_options){.model = 5, .made = "hf", .type = (pl_feature_type)type});
        for (uint64_t i = 0; i < 20; i++) {
            float rows[VALUES], back[VALUES];
            fill(rows, i);
            pl_feature_picture picture = picture_of(i), asked = {.hash = picture.hash, .bytes = picture.bytes};
            assert_false(pl_feature_cache_get(cache, &asked, back));
            assert_int_equal(pl_feature_cache_put(cache, &picture, rows, NULL), PALI_OK);
            assert_true(pl_feature_cache_get(cache, &asked, NULL));
            assert_true(pl_feature_cache_get(cache, &asked, back));
            assert_int_equal(asked.width, 640);
            assert_int_equal(asked.height, 480 + i);
            assert_true(type == PL_FEATURE_F32 ? memcmp(rows, back, sizeof rows) == 0 : memcmp(rows, back, sizeof rows) != 0);
            pl_feature_cache_round(cache, rows);
            assert_memory_equal(rows, back, sizeof rows);
        }
        const pl_feature_counts counts = pl_feature_cache_counts(cache);
        assert_int_equal(counts.hits, 20);
        assert_int_equal(counts.misses, 20);
        assert_int_equal(counts.written, 20);
        assert_int_equal(counts.damaged, 0);
        assert_int_equal(pl_feature_cache_bytes(cache), 64 + VALUES * (type == PL_FEATURE_F32 ? 4 : 2));
        pl_feature_cache_free(cache);
    }
}

/* Another model, preprocessing, picture, or a picture of the same hash and another length: not found. */
static void keys_are_told_apart(void **state)
{
    (void)state;
    pl_feature_cache *const cache = open_cache((pl_feature_options){.model = 1, .made = "a"}), *const model = open_cache((pl_feature_options){.model = 2, .made = "a"}),
                     *const made = open_cache((pl_feature_options){.model = 1, .made = "b"});
    float rows[VALUES];
    fill(rows, 1);
    pl_feature_picture picture = picture_of(1), longer = picture;
    longer.bytes++;
    assert_int_equal(pl_feature_cache_put(cache, &picture, rows, NULL), PALI_OK);
    assert_true(pl_feature_cache_get(cache, &picture, rows));
    assert_false(pl_feature_cache_get(model, &picture, rows));
    assert_false(pl_feature_cache_get(made, &picture, rows));
    assert_false(pl_feature_cache_get(cache, &longer, rows));
    pl_feature_cache_free(cache);
    pl_feature_cache_free(model);
    pl_feature_cache_free(made);
}

/* Every bit of a file counts, and each byte that is missing or too much; a file that is damaged is made anew. */
static void damage_is_noticed(void **state)
{
    (void)state;
    pl_feature_cache *const cache = pl_feature_cache_open(&(pl_feature_options){.folder = data_path("damaged"), .tokens = TOKENS, .width = WIDTH}, NULL);
    assert_non_null(cache);
    float rows[VALUES], back[VALUES];
    fill(rows, 3);
    pl_feature_picture picture = picture_of(3);
    assert_int_equal(pl_feature_cache_put(cache, &picture, rows, NULL), PALI_OK);
    char command[512], path[512] = "";
    snprintf(command, sizeof command, "find '%s' -name '*.rows'", data_path("damaged"));
    FILE *const found = popen(command, "r");
    assert_non_null(found);
    assert_non_null(fgets(path, sizeof path, found));
    pclose(found);
    path[strcspn(path, "\n")] = '\0';
    size_t size;
    char *const bytes = pl_file_read(path, 1 << 20, &size, PALI_INPUT, NULL);
    assert_non_null(bytes);
    assert_int_equal(size, pl_feature_cache_bytes(cache));
    size_t damaged = 0;
    for (size_t i = 0; i < size; i++, damaged++) {
        bytes[i] = (char)(bytes[i] ^ (1 << i % 8));
        assert_int_equal(pl_file_write(path, bytes, size, NULL), PALI_OK);
        assert_false(pl_feature_cache_get(cache, &picture, back));
        bytes[i] = (char)(bytes[i] ^ (1 << i % 8));
    }
    for (size_t length = 0; length <= size + 1; length += length + 1 < size ? 37 : 1) {
        if (length == size)
            continue;
        assert_int_equal(pl_file_write(path, bytes, length, NULL), PALI_OK); /* size + 1: the zero behind it */
        assert_false(pl_feature_cache_get(cache, &picture, back));
        damaged++;
    }
    assert_int_equal(pl_feature_cache_counts(cache).damaged, damaged);
    assert_int_equal(pl_feature_cache_put(cache, &picture, rows, NULL), PALI_OK);
    assert_true(pl_feature_cache_get(cache, &picture, back));
    assert_memory_equal(rows, back, sizeof rows);
    free(bytes);
    pl_feature_cache_free(cache);
}

static void folders_that_will_not_do(void **state)
{
    (void)state;
    pali_error err = {0};
    const char *const file = data_write("file", "x");
    assert_null(pl_feature_cache_open(&(pl_feature_options){.folder = file, .tokens = 1, .width = 1}, &err));
    assert_int_equal(err.status, PALI_FAILED);
    assert_non_null(strstr(err.message, "cannot make the folder"));
    assert_null(pl_feature_cache_open(&(pl_feature_options){.folder = data_path("none")}, &err));
    assert_int_equal(err.status, PALI_USAGE);
}

/* Several threads write and read the same pictures. */
static void *hammer(void *context)
{
    pl_feature_cache *const cache = context;
    for (uint64_t i = 0; i < 200; i++) {
        float rows[VALUES], back[VALUES];
        pl_feature_picture picture = picture_of(i % 10);
        fill(rows, i % 10);
        if (pl_feature_cache_put(cache, &picture, rows, NULL) != PALI_OK || !pl_feature_cache_get(cache, &picture, back) || memcmp(rows, back, sizeof rows) != 0)
            return cache;
    }
    return NULL;
}

static void threads_share_a_cache(void **state)
{
    (void)state;
    pl_feature_cache *const cache = open_cache((pl_feature_options){.model = 77});
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, cache), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    pl_feature_cache_free(cache);
}

/* Each value of an encoder, and its adapters, is part of the key; the projector is not. */
static void a_model_has_a_key(void **state)
{
    (void)state;
    enum { W = 4 };
    float matrix[W * W * 8] = {1}, vector[4 * W] = {2}, down[2 * W] = {0}, up[2 * W] = {0};
    const pl_low_rank adapter = {.a = down, .b = up, .rank = 2, .scale = 1};
    const pl_linear linear = {.weight = {.dtype = PL_F32, .rank = 2, .shape = {W, W}, .data = matrix}, .bias = vector}, adapted = {.weight = linear.weight, .bias = vector, .adapters = &adapter};
    const pl_layernorm_weights norm = {.scale = vector + W, .bias = vector + 2 * W};
    pl_siglip_block block = {.norm1 = norm, .norm2 = norm, .q = linear, .k = linear, .v = linear, .out = linear, .fc1 = linear, .fc2 = adapted};
    pl_siglip siglip = {.config = {.image_size = 28, .patch = 14, .width = W, .layers = 1, .heads = 1, .mlp = W, .eps = 1e-6f}, .patch = linear,
                        .position = {.dtype = PL_F32, .rank = 2, .shape = {W, W}, .data = matrix + W * W}, .blocks = &block, .norm = norm, .projector = linear};
    uint64_t keys[64];
    size_t count = 0;
    keys[count++] = pl_feature_model(&siglip);
    assert_int_equal(pl_feature_model(&siglip), keys[0]);
    float *const values[] = {matrix, matrix + W * W - 1, matrix + W * W + 3, vector, vector + W, vector + 3 * W - 1, down, up + 2 * W - 1};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        *values[i] += 1;
        keys[count++] = pl_feature_model(&siglip);
    }
    siglip.config.heads = 2;
    keys[count++] = pl_feature_model(&siglip);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(keys[i] != keys[j]);
    siglip.projector = (pl_linear){0};
    assert_true(pl_feature_model(&siglip) == keys[count - 1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back), cmocka_unit_test(keys_are_told_apart), cmocka_unit_test(damage_is_noticed), cmocka_unit_test(folders_that_will_not_do),
        cmocka_unit_test(threads_share_a_cache), cmocka_unit_test(a_model_has_a_key),
    };
    return cmocka_run_group_tests_name("feature cache", tests, data_begin, data_end);
}
