/* Fuzz target: any bytes as a mask codec, an .npz or (no checksums in the way) safetensors; one that opens must decode and encode, or say why not. */
#include "answer/mask_codec.h"
#include "formats/npz.h"
#include "formats/safetensors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pali_error err = {0};
    pl_tensor_file *file = size && data[0] == 'P' ? pl_npz_open_memory(data, size, "input", &err) : pl_safetensors_open_memory(data, size, "input", &err);
    if (!file)
        return 0;
    pl_codec *codec = pl_codec_of_tensors(file, "", &err);
    pl_tensor_file_close(file);
    if (!codec) {
        if (err.status == PALI_OK || !*err.message)
            abort();
        return 0;
    }
    static float map[PL_CODEC_SIDE * PL_CODEC_SIDE];
    uint8_t codes[PALI_MASK_TOKENS] = {1, 127};
    const pl_hands hands = {.kernels = pl_kernels_get(NULL, NULL)};
    if (pl_codec_decode_map(codec, &hands, codes, map, &err) == PALI_OK && pl_codec_encode_map(codec, &hands, map, codes, &err) == PALI_OK)
        for (size_t i = 0; i < PALI_MASK_TOKENS; i++)
            if (codes[i] >= PL_SEGMENT_CODES)
                abort();
    pl_codec_free(codec);
    return 0;
}
