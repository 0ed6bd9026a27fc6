/*
 * Moves trained tensors by their gradients: clipping by the global norm, then
 * Adam as the reference has it (big_vision: optax.py), AdamW and SGD as PyTorch
 * has them, or Muon for hidden matrices with AdamW for the rest. Values and
 * state are f32. Results are the same to the bit for any number of threads.
 */
#ifndef PL_TRAIN_OPTIMISER_H
#define PL_TRAIN_OPTIMISER_H

#include "ops/context.h"
#include "train/schedule.h"
#include "train/trained.h"

/* Once: X(name, text, f32 values of state for each value). */
#define PL_OPTIMISER_LIST(X) \
    X(ADAM, "adam", 2)       \
    X(ADAMW, "adamw", 2)     \
    X(SGD, "sgd", 1)         \
    X(MUON, "muon", 2)

typedef enum pl_optimiser_kind {
#define PL_OPTIMISER_ENUM(name, text, state) PL_OPTIMISER_##name,
    PL_OPTIMISER_LIST(PL_OPTIMISER_ENUM)
#undef PL_OPTIMISER_ENUM
} pl_optimiser_kind;

/* The kind called that; PALI_USAGE, with the names, for any other. */
pali_status pl_optimiser_parse(const char *text, const char *what, pl_optimiser_kind *kind, pali_error *err);

/* How fast a group of tensors moves at step t: r = schedule(t). */
typedef struct pl_rate_group {
    double lr;           /* times r */
    double weight_decay; /* adam: times r but not lr; adamw, muon: times lr and r; sgd: added to the gradient */
    pl_schedule schedule;
} pl_rate_group;

/*
 * m, v: means of gradients and their squares, corrected for their start at 0.
 *     adam   p -= r (lr m / (sqrt(v) + eps) + wd p)
 *     adamw  p -= r lr (m / (sqrt(v) + eps) + wd p)
 *     sgd    p -= r lr b,  b = momentum b + gradient + wd p
 *     muon   p -= r lr (0.2 sqrt(max(rows, columns)) U + wd p), U the nearest half-orthogonal matrix to the
 *            momentum (arXiv 2502.16982), for hidden matrices; all others as adamw
 */
typedef struct pl_optimiser_options {
    pl_optimiser_kind kind;
    double beta1, beta2, eps;
    double momentum; /* of sgd and muon */
    double clip;     /* most that the norm of all gradients may be; 0: no limit */
} pl_optimiser_options;

/* What is usual: betas 0.9 and 0.999, eps 1e-8, clip 1; momentum 0, for Muon 0.95. */
pl_optimiser_options pl_optimiser_defaults(pl_optimiser_kind kind);

typedef struct pl_optimiser pl_optimiser;

/* What one step did. */
typedef struct pl_step_report {
    double norm;  /* of all gradients together, after gradient_scale and before clipping */
    double lr;    /* of the first group, with its schedule */
    double moved; /* by what gradients were multiplied: gradient_scale, and clipping */
} pl_step_report;

/*
 * State for the tensors, zeros; no step made. tensors [count] and groups
 * [group_count] are borrowed and stay where they are; values and gradients may be moved before the first step.
 * Free with pl_optimiser_free.
 */
pl_optimiser *pl_optimiser_new(const pl_optimiser_options *options, const pl_trained *tensors, size_t count, const pl_rate_group *groups, size_t group_count, pali_error *err);
void pl_optimiser_free(pl_optimiser *optimiser);

/*
 * One step with the gradients times gradient_scale. PALI_FAILED when their
 * norm is not finite: nothing has been changed then, and the message names a
 * tensor. ctx gives kernels, threads and the numbers that products of Muon
 * take: bf16 where it is faster, unless activations are F32; its arena is not
 * used. Gradients are left as they are.
 */
pali_status pl_optimiser_step(pl_optimiser *optimiser, const pl_context *ctx, double gradient_scale, pl_step_report *report, pali_error *err);

/* Steps made so far; the schedule is at this step. */
uint64_t pl_optimiser_steps(const pl_optimiser *optimiser);
void pl_optimiser_set_steps(pl_optimiser *optimiser, uint64_t steps);

/* A tensor of the state, to be saved and to be loaded into. */
typedef struct pl_optimiser_tensor {
    char name[208];       /* that of the trained tensor and ".mean", ".square" or ".momentum" */
    float *data;          /* [rows, columns] f32, owned by the optimiser */
    size_t rows, columns; /* of the trained tensor */
} pl_optimiser_tensor;

size_t pl_optimiser_tensor_count(const pl_optimiser *optimiser);
pl_optimiser_tensor pl_optimiser_tensor_at(const pl_optimiser *optimiser, size_t index);

/* Bytes of state for these tensors, before there is an optimiser. */
uint64_t pl_optimiser_bytes(const pl_optimiser_options *options, const pl_trained *tensors, size_t count);

/* Bytes that a step takes besides: room for Muon's products, on the context's threads; held from the first step on. */
pali_status pl_optimiser_scratch(const pl_optimiser_options *options, const pl_trained *tensors, size_t count, const pl_context *ctx, uint64_t *bytes, pali_error *err);

#endif
