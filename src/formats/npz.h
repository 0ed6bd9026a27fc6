/*
 * NumPy's .npz, in which big_vision releases its checkpoints: a zip archive of
 * .npy arrays, one a tensor. Stored arrays are used where they lie, deflated
 * ones are inflated into own blocks, and counted.
 */
#ifndef PL_FORMATS_NPZ_H
#define PL_FORMATS_NPZ_H

#include "formats/tensor_file.h"

/*
 * NULL with PALI_MODEL or PALI_MEMORY recorded. Close with
 * pl_tensor_file_close. Names are the members' without ".npy", so a prefix
 * such as "params/" stays. Stored data is not moved to be aligned, since most
 * of these tensors are transposed on loading anyway: ask pl_tensor_aligned.
 */
pl_tensor_file *pl_npz_open(const char *path, pali_error *err);

/* Bytes in memory, borrowed until close; `name` stands for the path in messages. */
pl_tensor_file *pl_npz_open_memory(const void *bytes, size_t size, const char *name, pali_error *err);

#endif
