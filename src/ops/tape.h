/*
 * The tape: what a forward pass leaves behind so that gradients can be taken
 * (reverse-mode differentiation). A context with a tape records; each op puts
 * down the function that is its backward, with what that needs, and backward
 * runs them from the last to the first. Gradients of activations lie in a
 * second block, found by the address of the activation: a view of a matrix has
 * the same view of its gradient. Gradients of weights are found by the address
 * of the weight's values; what is not in the list is frozen.
 *
 * What was pushed while recording stays until the tape is cleared (pl_release).
 * Memory is planned as for inference: run forward and backward once on a plan
 * arena, then give the tape a block of `gradient_peak` bytes.
 */
#ifndef PL_OPS_TAPE_H
#define PL_OPS_TAPE_H

#include "ops/context.h"

/* Something that is trained. */
typedef struct pl_parameter {
    const float *value; /* [count] f32, the address that the model's weights point to; borrowed */
    float *gradient;    /* [count] f32, added to; borrowed */
    size_t count;
} pl_parameter;

/* Adds to the gradients of an op's inputs and weights, given that of its output; runs dry on a plan arena. */
typedef void pl_backward_fn(pl_context *ctx, const void *record);

/* How much of a region (below) is kept for backward. */
typedef enum pl_keep {
    PL_KEEP_ALL,    /* everything: no work twice */
    PL_KEEP_BORDERS /* its input and output; the rest is computed again (gradient checkpointing, arXiv 1604.06174) */
} pl_keep;

typedef struct pl_tape_entry {
    pl_backward_fn *backward;
    size_t at; /* of its record in `records` */
} pl_tape_entry;

/* Where the gradient of a piece of the arena lies. */
typedef struct pl_tape_range {
    size_t value, bytes, gradient;
} pl_tape_range;

struct pl_tape {
    const pl_parameter *parameters; /* [parameter_count] borrowed, in the order of their addresses */
    size_t parameter_count;
    pl_keep keep;
    float dropout, adapter_dropout; /* rates; 0: none */
    uint64_t dropout_key;           /* masks are a function of it, the site and the element */
    uint64_t sites;                 /* places of the forward pass that have dropped values so far: the next one's number */
    bool paused;                    /* what is computed now leaves no record */
    bool inside;                    /* a region: its gradients are set to zero when backward comes to it */
    unsigned char *gradients;       /* [gradient_size] owned, 64-byte aligned; NULL while planning */
    size_t gradient_size, gradient_used, gradient_peak;
    pl_tape_entry *entries;         /* [entry_capacity] owned */
    size_t entry_count, entry_capacity;
    unsigned char *records;         /* [record_capacity] owned */
    size_t record_used, record_capacity;
    pl_tape_range *ranges;          /* [range_capacity] owned, rising */
    size_t range_count, range_capacity;
};

void pl_tape_init(pl_tape *tape);
void pl_tape_free(pl_tape *tape);

/* Room for the gradients of activations: tape->gradient_peak of a dry run. */
pali_status pl_tape_reserve(pl_tape *tape, size_t bytes, pali_error *err);

/* Forgets all records; the arena is then the caller's to release. Keeps its memory. */
void pl_tape_clear(pl_tape *tape);

/* Runs all records from the last to the first, and clears the tape. The gradients of parameters are complete then. */
void pl_tape_backward(pl_context *ctx);

/* ---- For ops ---------------------------------------------------------- */

/* True when ops must leave records. */
static inline bool pl_recording(const pl_context *ctx)
{
    return ctx->tape && !ctx->tape->paused;
}

/* Puts down `backward` with a copy of the record. Call it after the op's own pushes. */
void pl_record(pl_context *ctx, pl_backward_fn *backward, const void *record, size_t size);

/* Gives a matrix that was just pushed a gradient, of zeros. */
void pl_tape_add_value(pl_context *ctx, pl_rows rows);

/* The gradient of a matrix of activations or a view of it; data is NULL where none is wanted (what was not pushed while recording). */
pl_rows pl_gradient(const pl_context *ctx, pl_rows rows);

/* The same for a pointer into such a matrix: the gradient of the value there, or NULL. */
float *pl_gradient_at(const pl_context *ctx, const float *value);

/* The gradient of a weight by its values' address, or NULL when it is frozen. */
float *pl_parameter_gradient(const pl_context *ctx, const void *value);

/* ---- For the model ---------------------------------------------------- */

/* Gives back what was pushed since the mark, unless backward will want it. */
static inline void pl_release(pl_context *ctx, size_t mark)
{
    if (!pl_recording(ctx))
        pl_arena_release(ctx->arena, mark);
}

/* Where the next value of the size of `rows` may be put: there, or in a fresh matrix when backward will want both. */
pl_rows pl_rows_or_fresh(pl_context *ctx, pl_rows rows);

/* A matrix that no gradient is wanted for. */
pl_rows pl_constant_push(pl_context *ctx, size_t count, size_t width);

/*
 * A region: y = run(x), a stretch of the model of which no value but y is used outside. On a tape its gradients
 * take memory only while backward is in it, and its values only then, too, if tape->keep says so. `arguments`
 * [size <= PL_REGION_ARGUMENTS] bytes are copied. Regions do not nest. x and y are pushed by the caller; y may be x
 * when nothing is recorded.
 */
enum { PL_REGION_ARGUMENTS = 128 };
typedef void pl_tape_region_fn(pl_context *ctx, const void *arguments, pl_rows x, pl_rows y);
void pl_tape_region(pl_context *ctx, pl_tape_region_fn *run, const void *arguments, size_t size, pl_rows x, pl_rows y);

#endif
