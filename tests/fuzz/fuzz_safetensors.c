/* Fuzz target: any bytes as a safetensors file. */
#include "formats/safetensors.h"
#include "fuzz_tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pali_error err = {0};
    walk(pl_safetensors_open_memory(data, size, "input", &err), &err);
    return 0;
}
