/*
 * The head of a safetensors file, byte for byte as the format's own library
 * writes it: by decreasing width of elements, then by name.
 */
#ifndef PL_FORMATS_SAFETENSORS_WRITE_H
#define PL_FORMATS_SAFETENSORS_WRITE_H

#include "base/text.h"
#include "tensor/tensor.h"

typedef struct pl_saved_tensor {
    const char *name;
    pl_dtype dtype; /* F32, BF16 or F16 */
    size_t shape[PL_MAX_RANK], rank, bytes;
} pl_saved_tensor;

/* Which of two stands first: negative, 0 or positive. */
int pl_safetensors_order(const pl_saved_tensor *a, const pl_saved_tensor *b);

/* An entry of __metadata__; the value becomes a JSON string, whose bytes that are no UTF-8 become U+FFFD. */
typedef struct pl_saved_note {
    const char *key, *value;
} pl_saved_note;

/*
 * Appends the head of a file with these tensors, in this order; their data
 * follow without gaps. `notes` [note_count] stand behind "format": "pt".
 */
pali_status pl_safetensors_head(const pl_saved_tensor *const *tensors, size_t count, const pl_saved_note *notes, size_t note_count, pl_buffer *head, pali_error *err);

#endif
