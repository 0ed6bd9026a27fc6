/*
 * Named matrices of f32 to a safetensors file and back, to the bit: master
 * weights and the optimiser's moments, as a snapshot keeps them.
 */
#ifndef PL_TRAIN_STATE_H
#define PL_TRAIN_STATE_H

#include "base/memory.h"

typedef struct pl_state_tensor {
    const char *name;     /* unique in the list: "master/text.layers.0.self_attn.q_proj.weight"; borrowed */
    float *values;        /* [rows, columns] f32, borrowed; written by reading */
    size_t rows, columns; /* a vector: columns 1 or 0 */
} pl_state_tensor;

/* Writes the file, whole or not at all, and brings it to the disk; its size and CRC-32C are stored. */
pali_status pl_state_write(const char *path, const pl_state_tensor *tensors, size_t count, uint64_t *bytes, uint32_t *checksum, pali_error *err);

/*
 * Reads every tensor of the list. The file must hold these and no others, in
 * these shapes: PALI_MODEL naming file, tensor, found and expected; values may
 * have been overwritten then.
 */
pali_status pl_state_read(const char *path, const pl_state_tensor *tensors, size_t count, pali_error *err);

#endif
