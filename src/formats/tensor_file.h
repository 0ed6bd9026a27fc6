/*
 * Named tensors of a checkpoint, whatever its container: one or more files,
 * mapped, with a directory of names. safetensors, npz and GGUF are opened into
 * this one view, and a loader that knows names and shapes needs no more.
 *
 * Reading only. An open pl_tensor_file never changes and may be shared by
 * threads. Everything it hands out lives until pl_tensor_file_close.
 */
#ifndef PL_FORMATS_TENSOR_FILE_H
#define PL_FORMATS_TENSOR_FILE_H

#include "base/memory.h"
#include "tensor/tensor.h"

typedef struct pl_tensor_file pl_tensor_file;

typedef struct pl_named_tensor {
    const char *name;   /* UTF-8, as the file has it (npz: without ".npy") */
    const char *file;   /* path of the file that holds it */
    const char *type;   /* element type as the file spells it: "BF16", "<f4", "Q4_K" */
    /* Why the tensor cannot be used (an element type that is not supported, too
     * many axes, Fortran order); NULL when it can. With a problem, only the shape
     * of `tensor` holds (rank 0 if it has too many axes) and its data is NULL. */
    const char *problem;
    pl_tensor tensor;    /* data borrowed from the map, or from the file object */
    size_t offset, size; /* where its bytes stand in the file, as stored */
    size_t file_index;   /* of `file`, for pl_tensor_file_path */
    bool copied;         /* data is an own block: inflated, or moved to be aligned */
} pl_named_tensor;

/* NULL is allowed and does nothing. */
void pl_tensor_file_close(pl_tensor_file *file);

size_t pl_tensor_file_count(const pl_tensor_file *file);

/* Tensor i < count, in the order of the file's directory. */
const pl_named_tensor *pl_tensor_file_at(const pl_tensor_file *file, size_t i);

/* The tensor of that name, usable or not; NULL when there is none. */
const pl_named_tensor *pl_tensor_file_find(const pl_tensor_file *file, const char *name);

/*
 * The tensor of that name, ready to use. NULL with PALI_MODEL recorded when it
 * is missing or has a `problem`. In an npz its data may stand unaligned: ask
 * pl_tensor_aligned before using elements in place.
 */
const pl_tensor *pl_tensor_file_use(const pl_tensor_file *file, const char *name, pali_error *err);

/* The files behind it, at least one; bytes mapped, and bytes copied to the heap. */
size_t pl_tensor_file_paths(const pl_tensor_file *file);
const char *pl_tensor_file_path(const pl_tensor_file *file, size_t i);
size_t pl_tensor_file_bytes_mapped(const pl_tensor_file *file);
size_t pl_tensor_file_bytes_copied(const pl_tensor_file *file);

/* Tells the kernel that a mapped tensor will be read soon, or not again. */
void pl_tensor_file_will_need(const pl_tensor_file *file, const pl_named_tensor *tensor);
void pl_tensor_file_drop(const pl_tensor_file *file, const pl_named_tensor *tensor);

#endif
