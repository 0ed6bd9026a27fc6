/* Fuzz target: any bytes as a row's "mask", in a picture of 37 x 23. */
#include "eval/truth.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *const json = json_loadb((const char *)data, size, 0, NULL);
    if (json_is_array(json) || json_is_object(json)) {
        pl_eval_mask mask = {.json = json};
        const pl_eval_row row = {.masks = &mask, .mask_count = 1};
        const pl_mask_maker maker = {.width = 37, .height = 23};
        pl_truth truth = {0};
        if (pl_truth_read(&row, &maker, &truth, NULL) == PALI_OK && (truth.objects.count != 1 || truth.masks[0].width != 37))
            abort();
        pl_truth_free(&truth);
    }
    json_decref(json);
    return 0;
}
