/* Fuzz target: any bytes as a GGUF file; every key through every getter. */
#include "formats/gguf.h"
#include "fuzz_tensor_file.h"

#include <stdio.h>

static void ask(const pl_tensor_file *file, const char *key)
{
    uint64_t integer;
    float number;
    bool flag;
    pl_gguf_string string = {"", 0}, *strings;
    float *numbers;
    int32_t *integers;
    size_t count;
    demand(pl_gguf_has(file, key));
    (void)pl_gguf_get_u64(file, key, &integer, NULL);
    (void)pl_gguf_get_f32(file, key, &number, NULL);
    (void)pl_gguf_get_bool(file, key, &flag, NULL);
    (void)pl_gguf_get_string(file, key, &string, NULL);
    (void)pl_gguf_string_is(string, "gemma");
    (void)pl_gguf_get_strings(file, key, &strings, &count, NULL);
    for (size_t i = 0; i < count; i++)
        (void)pl_gguf_string_is(strings[i], "<bos>");
    free(strings);
    (void)pl_gguf_get_f32s(file, key, &numbers, &count, NULL);
    free(numbers);
    (void)pl_gguf_get_i32s(file, key, &integers, &count, NULL);
    free(integers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pali_error err = {0};
    pl_tensor_file *file = pl_gguf_open_memory(data, size, "input", &err);
    for (size_t i = 0; file && i < pl_gguf_key_count(file); i++) {
        char text[100], key[256];
        const pl_gguf_string name = pl_gguf_key(file, i);
        demand(*pl_gguf_describe(file, i, text));
        if (name.length >= sizeof key)
            continue;
        memcpy(key, name.text, name.length);
        key[name.length] = '\0';
        ask(file, key);
    }
    walk(file, &err);
    return 0;
}
