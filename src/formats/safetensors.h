/*
 * safetensors: a JSON header of names, types, shapes and byte ranges, then the
 * bytes. Used where they lie; only data that is not aligned to its element
 * (old writers did not pad the header) is copied, and counted.
 */
#ifndef PL_FORMATS_SAFETENSORS_H
#define PL_FORMATS_SAFETENSORS_H

#include "formats/tensor_file.h"

/* One file. NULL with PALI_MODEL or PALI_MEMORY recorded. Close with pl_tensor_file_close. */
pl_tensor_file *pl_safetensors_open(const char *path, pali_error *err);

/*
 * A folder as Hugging Face keeps them: model.safetensors, or else the shards
 * that model.safetensors.index.json names, all of which must be there.
 */
pl_tensor_file *pl_safetensors_open_folder(const char *folder, pali_error *err);

/* Bytes in memory, borrowed until close; `name` stands for the path in messages. */
pl_tensor_file *pl_safetensors_open_memory(const void *bytes, size_t size, const char *name, pali_error *err);

#endif
