/*
 * Memory that runs out at the n-th call, for every n, on every way of opening:
 * always PALI_MEMORY, and nothing is left behind. The linker sends the room's
 * allocations (and, through its hooks, jansson's) to the counters below.
 * jansson reports some of its failed allocations as faults of the text, and
 * one, while it saves a token, not at all: of those only the second half holds.
 */
#include "support.h"

#include "formats/json.h"

#include <jansson.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);

static size_t calls, failing; /* the call that fails, from 1; 0 for none */
static ptrdiff_t live;        /* blocks that are held */
static bool in_jansson;       /* the failing call was one of jansson's */

static bool fails(void)
{
    return ++calls == failing;
}

static void *held(void *block)
{
    live += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : held(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : held(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    void *moved = __real_realloc(block, size);
    live += !block && moved;
    return moved;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : held(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block)
{
    live -= block != NULL;
    __real_free(block);
}

static void *jansson_malloc(size_t size)
{
    in_jansson |= calls + 1 == failing;
    return __wrap_malloc(size);
}

/* Runs one way of opening; true when it worked. Releases what it opened. */
typedef bool attempt(const char *path, pali_error *err);

static bool close_tensors(pl_tensor_file *file)
{
    pl_tensor_file_close(file);
    return file != NULL;
}

static bool try_safetensors(const char *path, pali_error *err)
{
    return close_tensors(pl_safetensors_open(path, err));
}

static bool try_folder(const char *path, pali_error *err)
{
    return close_tensors(pl_safetensors_open_folder(path, err));
}

static bool try_npz(const char *path, pali_error *err)
{
    return close_tensors(pl_npz_open(path, err));
}

static bool try_gguf(const char *path, pali_error *err)
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
    return good;
}

static bool try_json(const char *path, pali_error *err)
{
    pl_json *json = pl_json_open(path, err);
    pl_json_close(json);
    return json != NULL;
}

static void exhaust(attempt *open, const char *path)
{
    bool done = false;
    for (size_t n = 1; !done; n++) {
        pali_error err = {0};
        const ptrdiff_t before = live;
        calls = 0;
        failing = n;
        in_jansson = false;
        done = open(path, &err);
        failing = 0;
        if (live != before)
            fail_msg("%s: call %zu fails: %td blocks are left", path, n, live - before);
        if (done && calls >= n && in_jansson)
            done = false;
        if (done && calls >= n)
            fail_msg("%s: call %zu fails and nobody notices", path, n);
        if (!done && !in_jansson && err.status != PALI_MEMORY)
            fail_msg("%s: call %zu fails: found status %d \"%s\"", path, n, err.status, err.message);
        if (done)
            assert_true(n > 5);
    }
}

static void test_exhaustion(void **state)
{
    (void)state;
    exhaust(try_safetensors, DATA "types.safetensors");
    exhaust(try_safetensors, DATA "unaligned.safetensors");
    exhaust(try_folder, DATA "shards");
    exhaust(try_npz, DATA "stored.npz");
    exhaust(try_npz, DATA "deflated.npz");
    exhaust(try_npz, DATA "odd.npz");
    exhaust(try_gguf, DATA "all.gguf");
    exhaust(try_json, DATA "shards/model.safetensors.index.json");
}

int main(void)
{
    json_set_alloc_funcs(jansson_malloc, __wrap_free);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exhaustion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
