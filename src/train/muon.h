/*
 * Muon's direction for a matrix: the momentum with its singular values brought
 * to about one, by five steps of a Newton-Schulz iteration, which takes
 * products only (Jordan et al. 2024; arXiv 2502.16982). Inside the room only.
 */
#ifndef PL_TRAIN_MUON_H
#define PL_TRAIN_MUON_H

#include "ops/context.h"
#include "train/trained.h"

/* A hidden matrix and its state. */
typedef struct pl_muon_matrix {
    const pl_trained *tensor;
    float *momentum; /* [rows, columns] f32, owned by the optimiser */
} pl_muon_matrix;

typedef struct pl_muon_step {
    float scale;    /* of gradients */
    float momentum;
    float rate;     /* times 0.2 sqrt(max(rows, columns)): the size of AdamW's steps */
    float decay;    /* of values */
} pl_muon_step;

/* Bytes of scratch for pl_muon_run on so many threads. */
size_t pl_muon_bytes(const pl_context *ctx, const pl_muon_matrix *matrices, size_t count);

/*
 * One step of every matrix, steps [count] its own; scratch is 64-byte aligned, of pl_muon_bytes for the
 * same matrices and threads. Small matrices are a task each, large ones are cut among all threads.
 */
void pl_muon_run(const pl_context *ctx, const pl_muon_matrix *matrices, const pl_muon_step *steps, size_t count, unsigned char *scratch);

#endif
