/* Sizes and shapes of tensors. */
#include "tensor/tensor.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

bool pl_tensor_count(const pl_tensor *tensor, size_t *count)
{
    size_t product = 1;
    bool fits = true;
    *count = 0;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] == 0) /* empty, however large the other axes */
            return true;
        fits = fits && pl_mul(product, tensor->shape[i], &product);
    }
    if (fits)
        *count = product;
    return fits;
}

bool pl_shape_bytes(pl_dtype dtype, const size_t *shape, size_t rank, size_t *bytes)
{
    const size_t group = pl_dtype_rows(dtype);
    if (!pl_dtype_row_bytes(dtype, rank ? shape[rank - 1] : 1, bytes))
        return false;
    if (group > 1)
        return rank == 2 && pl_mul(*bytes, shape[0] / group + (shape[0] % group != 0), bytes);
    for (size_t i = 0; i + 1 < rank; i++)
        if (!pl_mul(*bytes, shape[i], bytes))
            return false;
    return true;
}

bool pl_tensor_bytes(const pl_tensor *tensor, size_t *bytes)
{
    return pl_shape_bytes(tensor->dtype, tensor->shape, tensor->rank, bytes);
}

bool pl_tensor_aligned(const pl_tensor *tensor)
{
    /* Quantised blocks and tiles are read byte- or halfword-wise: two bytes suffice. */
    const size_t need = pl_dtype_block(tensor->dtype) > 1 ? 2 : pl_dtype_bytes(tensor->dtype);
    return (uintptr_t)tensor->data % need == 0;
}

const char *pl_shape_text(const size_t *shape, size_t rank, char buf[96])
{
    size_t used = (size_t)snprintf(buf, 96, "[");
    for (size_t i = 0; i < rank && used < 90; i++)
        used += (size_t)snprintf(buf + used, 96 - used, "%s%zu", i ? ", " : "", shape[i]);
    snprintf(buf + pl_min(used, 94), 96 - pl_min(used, 94), "]");
    return buf;
}

const void *pl_tensor_row(const pl_tensor *tensor, size_t row)
{
    size_t bytes = 0;
    pl_dtype_row_bytes(tensor->dtype, tensor->shape[1], &bytes);
    return (const unsigned char *)tensor->data + row / pl_dtype_rows(tensor->dtype) * bytes;
}
