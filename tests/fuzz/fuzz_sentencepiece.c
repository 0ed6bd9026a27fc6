/* Fuzz target: any bytes as a tokenizer.model, then texts through what opens. */
#include "formats/sentencepiece.h"

#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_vocabulary v;
    pali_error err = {0};
    const pali_status status = pl_sentencepiece_parse(&v, data, size, "input", &err);
    MUST(status == PALI_OK || status == PALI_MODEL);
    if (status == PALI_OK && size % 2)
        MUST(pl_vocabulary_add_locations(&v, &err) == PALI_OK);
    if (status == PALI_OK)
        check_vocabulary(&v, data, size);
    return 0;
}
