/* What the fuzz targets of tensor containers share: everything a loader would touch. */
#ifndef TESTS_FUZZ_TENSOR_FILE_H
#define TESTS_FUZZ_TENSOR_FILE_H

#include "formats/tensor_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run, as a finding, if what must hold does not. */
static inline void demand(bool holds)
{
    if (!holds)
        abort();
}

/* Reads every byte that a file says is there, checks its promises, and closes it. */
static inline void walk(pl_tensor_file *file, const pali_error *err)
{
    if (!file) {
        demand(err->status == PALI_MODEL && *err->message);
        return;
    }
    unsigned sum = 0;
    for (size_t i = 0; i < pl_tensor_file_count(file); i++) {
        const pl_named_tensor *t = pl_tensor_file_at(file, i);
        size_t bytes = 0;
        demand(pl_tensor_file_find(file, t->name) == t);
        demand((pl_tensor_file_use(file, t->name, NULL) == NULL) == (t->problem != NULL));
        if (t->problem)
            continue;
        demand(pl_tensor_bytes(&t->tensor, &bytes));
        for (size_t k = 0; k < bytes; k++)
            sum += ((const unsigned char *)t->tensor.data)[k];
        for (size_t k = 0; t->tensor.scale && k < t->tensor.shape[0]; k++)
            sum += t->tensor.scale[k] > 0;
    }
    volatile unsigned sink = sum;
    (void)sink;
    pl_tensor_file_close(file);
}

#endif
