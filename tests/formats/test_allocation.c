/*
 * Memory that runs out at the n-th call, for every n, on every way of opening:
 * always PALI_MEMORY, and nothing is left behind.
 */
#include "support.h"

#include "exhaust.h"
#include "formats/json.h"

static pali_status close_tensors(pl_tensor_file *file, const pali_error *err)
{
    pl_tensor_file_close(file);
    return file ? PALI_OK : err->status;
}

static pali_status try_safetensors(const void *path, pali_error *err)
{
    return close_tensors(pl_safetensors_open(path, err), err);
}

static pali_status try_folder(const void *path, pali_error *err)
{
    return close_tensors(pl_safetensors_open_folder(path, err), err);
}

static pali_status try_npz(const void *path, pali_error *err)
{
    return close_tensors(pl_npz_open(path, err), err);
}

static pali_status try_gguf(const void *path, pali_error *err)
{
    pl_tensor_file *file = pl_gguf_open(path, err);
    pl_gguf_string *strings = NULL;
    float *floats = NULL;
    int32_t *ints = NULL;
    size_t count;
    const bool good = file && pl_gguf_get_strings(file, "strings", &strings, &count, err) == PALI_OK &&
        pl_gguf_get_f32s(file, "f32s", &floats, &count, err) == PALI_OK && pl_gguf_get_i32s(file, "i32s", &ints, &count, err) == PALI_OK;
    free(strings);
    free(floats);
    free(ints);
    pl_tensor_file_close(file);
    return good ? PALI_OK : err->status;
}

static pali_status try_json(const void *path, pali_error *err)
{
    pl_json *json = pl_json_open(path, err);
    pl_json_close(json);
    return json ? PALI_OK : err->status;
}

static void test_exhaustion(void **state)
{
    (void)state;
    exhaust(DATA "types.safetensors", try_safetensors, DATA "types.safetensors", PALI_OK);
    exhaust(DATA "unaligned.safetensors", try_safetensors, DATA "unaligned.safetensors", PALI_OK);
    exhaust(DATA "shards", try_folder, DATA "shards", PALI_OK);
    exhaust(DATA "stored.npz", try_npz, DATA "stored.npz", PALI_OK);
    exhaust(DATA "deflated.npz", try_npz, DATA "deflated.npz", PALI_OK);
    exhaust(DATA "odd.npz", try_npz, DATA "odd.npz", PALI_OK);
    exhaust(DATA "all.gguf", try_gguf, DATA "all.gguf", PALI_OK);
    exhaust(DATA "shards/model.safetensors.index.json", try_json, DATA "shards/model.safetensors.index.json", PALI_OK);
}

int main(void)
{
    exhaust_jansson();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exhaustion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
