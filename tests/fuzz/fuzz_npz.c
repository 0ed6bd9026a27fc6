/* Fuzz target: any bytes as an .npz archive. */
#include "formats/npz.h"
#include "fuzz_tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pali_error err = {0};
    walk(pl_npz_open_memory(data, size, "input", &err), &err);
    return 0;
}
