/*
 * Tensors in a type or layout of ours: ggml's tools see int8, and keys say
 * what it is. For the tensor NAME:
 *
 *   pali.tensor.NAME.type    "bf16", "q8_0", "q4_0" or "q8"
 *   pali.tensor.NAME.layout  "tiles" (docs/KERNELS.md)
 *   pali.tensor.NAME.shape   [rows, columns]
 *
 * and for q8 the tensor NAME.scale, f32 [rows].
 */
#ifndef PL_FORMATS_GGUF_LAYOUT_H
#define PL_FORMATS_GGUF_LAYOUT_H

#include "formats/gguf_write.h"
#include "formats/tensor_build.h"

#define PL_GGUF_SCALE_SUFFIX ".scale"

/* What keys said of a tensor; its entry borrows from it. */
typedef struct pl_gguf_meaning {
    size_t shape[2];
    char problem[200];
} pl_gguf_meaning;

/*
 * Reads such keys of a tensor whose bytes are known, and makes the entry what
 * they say: the tiled type and its shape, or a problem, where this build does
 * not know the type or the layout. Entries without such keys stay as they are.
 */
pali_status pl_gguf_read_meaning(const pl_tensor_file *file, pl_tensor_entry *entry, pl_gguf_meaning *meaning, pali_error *err);

/* Gives each q8 tensor the scales of its rows; after pl_tensor_file_finish. */
pali_status pl_gguf_join_scales(pl_tensor_file *file, pali_error *err);

/* Declares a matrix of a tiled type: its tensor, keys, and for q8 its scales, whose data follow. */
void pl_gguf_declare_tiles(pl_gguf_writer *w, const char *name, pl_dtype dtype, const size_t shape[2], pali_error *err);

#endif
