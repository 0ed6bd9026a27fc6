/*
 * Operations on matrices of activations, over all threads of the context. Every
 * op writes to an output that the caller pushed and leaves its inputs as they
 * are, unless its name ends in _inplace. Results do not depend on the number of
 * threads: each value is computed in one order, however work is cut into tasks.
 *
 * On a tape an op leaves its backward, and what it was given must stay as it is
 * until then: inputs and outputs (so y is x only in _inplace ops, and in add),
 * weights, ids and lists of rows.
 */
#ifndef PL_OPS_OPS_H
#define PL_OPS_OPS_H

#include "ops/tape.h"

/*
 * A low-rank change to a weight (LoRA, arXiv 2106.09685): W + scale * B A,
 * applied beside the weight, which stays as it is.
 */
typedef struct pl_low_rank {
    const float *a; /* [rank, in], owned by the model */
    const float *b; /* [out, rank], owned by the model */
    size_t rank;
    float scale;
    const struct pl_low_rank *next; /* another one on the same weight, or NULL */
} pl_low_rank;

/* The weights of an affine map y = W x + bias. */
typedef struct pl_linear {
    pl_tensor weight;     /* [out, in] of any float dtype, borrowed */
    const float *bias;    /* [out] or NULL */
    const pl_low_rank *adapters; /* or NULL */
} pl_linear;

/* y [T, out] = x [T, in] W^T + bias, with adapters. */
void pl_op_linear(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows y);

/* The same, then: y = gelu_tanh(y); y += add [T, out], which may be y; y = cap * tanh(y / cap) unless cap is 0. */
void pl_op_linear_gelu(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows y);
void pl_op_linear_add(pl_context *ctx, const pl_linear *linear, pl_rows x, pl_rows add, pl_rows y);
void pl_op_linear_softcap(pl_context *ctx, const pl_linear *linear, float cap, pl_rows x, pl_rows y);

/*
 * Some of the outputs of pl_op_linear_softcap, the same to the last bit: y [T, n] are those from `first` on,
 * a multiple of PL_OUTPUT_STEP, as n is unless it reaches to the last one.
 */
enum { PL_OUTPUT_STEP = 64 };
void pl_op_linear_softcap_part(pl_context *ctx, const pl_linear *linear, float cap, pl_rows x, size_t first, pl_rows y);

/* y = gelu_tanh(gate(x)) * up(x). */
void pl_op_linear_geglu(pl_context *ctx, const pl_linear *gate, const pl_linear *up, pl_rows x, pl_rows y);

/* y = (x - mean) / sqrt(variance + eps) * scale + bias, row by row. */
void pl_op_layernorm(pl_context *ctx, pl_rows x, const float *scale, const float *bias, float eps, pl_rows y);

/* y = x / sqrt(mean(x^2) + eps) * (offset + scale), row by row; y may be x (as for gelu). */
void pl_op_rmsnorm(pl_context *ctx, pl_rows x, const float *scale, float offset, float eps, pl_rows y);

/* y = gelu_tanh(x); y may be x (its backward needs x, so training passes another). */
void pl_op_gelu(pl_context *ctx, pl_rows x, pl_rows y);

/* y = gelu_tanh(gate) * up; y may be gate or up. */
void pl_op_geglu(pl_context *ctx, pl_rows gate, pl_rows up, pl_rows y);

/* y = x; y is mostly a view of something larger. */
void pl_op_copy(pl_context *ctx, pl_rows x, pl_rows y);

/* y = a + b; y may be a. */
void pl_op_add(pl_context *ctx, pl_rows a, pl_rows b, pl_rows y);

/* x += table[first + t] for row t; table is a weight of any float dtype. */
void pl_op_add_table_inplace(pl_context *ctx, const pl_tensor *table, size_t first, pl_rows x);

/* y[t] = table[ids[t]] * scale. ids are valid rows of the table [V, D]. */
void pl_op_embed(pl_context *ctx, const pl_tensor *table, const int32_t *ids, float scale, pl_rows y);

/* y[t] = x[rows[t]] for rows [y.count]; a row may come more than once. */
void pl_op_gather(pl_context *ctx, pl_rows x, const size_t *rows, pl_rows y);

/* x = cap * tanh(x / cap). */
void pl_op_softcap_inplace(pl_context *ctx, float cap, pl_rows x);

/*
 * Angles of the rotary embedding: cosine and sine [T, half] for positions[T],
 * theta = position * base^(-i/half), in f32 as the published code has it.
 */
void pl_op_rope_angles(pl_context *ctx, const uint32_t *positions, size_t count, size_t half, float base, float *cosine, float *sine);

/* Rotates each of the row's width/(2*half) heads by the row's angle. */
void pl_op_rope_inplace(pl_context *ctx, const float *cosine, const float *sine, size_t half, pl_rows x);

/*
 * Keys and values of consecutive positions: [count, kv_heads*head_dim] of a type
 * whose blocks divide head_dim, rows `stride` bytes apart.
 */
typedef struct pl_kv_span {
    const void *k, *v;
    pl_dtype dtype;
    size_t count, stride;
} pl_kv_span;

/*
 * Query rows that attend to one sequence: the shared part first, then the own
 * tail. Row r stands at position start + r and sees the positions below
 * max(prefix, start + r + 1), as far as the spans reach.
 */
typedef struct pl_attention_segment {
    pl_kv_span spans[2];
    size_t rows, start, prefix;
} pl_attention_segment;

typedef struct pl_attention {
    size_t heads, kv_heads, head_dim;
    float scale;   /* of q k^T */
    float softcap; /* cap * tanh(score / cap) before the mask; 0: none */
    size_t keys;   /* of all segments' spans together, one that neighbours share counted once, or more: what room is planned for */
} pl_attention;

/*
 * out [T, heads*head_dim] = softmax(q k^T) v per head, for the rows of all
 * segments end to end; query head h reads kv head h / (heads / kv_heads).
 * Scores exist only for a block of rows and keys at a time (streamed softmax,
 * Milakov & Gimelshein 2018; Dao et al. 2022). On a plan arena segments are not read.
 */
void pl_op_attention(pl_context *ctx, const pl_attention *attention, pl_rows q, const pl_attention_segment *segments, size_t count, pl_rows out);

/* ---- For training ----------------------------------------------------- */

/*
 * Each value of x is set to zero with probability `rate` < 1, or divided by 1 - rate, wherever the context has a tape. Which
 * ones follows from the tape's dropout_key, the site (a number for each place in the model) and the place in x.
 */
void pl_op_dropout_inplace(pl_context *ctx, float rate, uint64_t site, pl_rows x);

/*
 * losses[t] = cross-entropy of softmax(logits[t]) and a distribution that gives 1 - smoothing to targets[t] and the rest evenly to
 * all other ids (big_vision, utils.softmax_xent); 0 where the target is negative. Gradients begin here: backward adds
 * those of sum of weights[t] * losses[t]. targets, weights [T] are kept until then.
 */
void pl_op_cross_entropy(pl_context *ctx, pl_rows logits, const int32_t *targets, const float *weights, float smoothing, float *losses);

/*
 * A run of ids that mean neighbouring places: the target of one is a Gaussian over those near it, `width` ids wide, cut
 * off at three deviations; what would lie outside of the run is the outermost's. Width 0: the target alone.
 */
typedef struct pl_spread {
    int32_t first, count;
    float width;
} pl_spread;

/* The same, but that 1 - smoothing is spread over neighbours where the target is of that run. */
void pl_op_cross_entropy_spread(pl_context *ctx, pl_rows logits, const int32_t *targets, const float *weights, float smoothing, const pl_spread *spread, float *losses);

/* y = x / (|x| + 1e-8), row by row (big_vision, models/proj/image_text/two_towers.py). */
void pl_op_l2_normalise(pl_context *ctx, pl_rows x, pl_rows y);

/*
 * SigLIP's loss (arXiv 2303.15343, algorithm 1) of n pictures and n texts, rows [n, D] of length 1, row i of one belonging to row
 * i of the other: the sum over all pairs of -log sigmoid(+-(exp(*log_temperature) x.y + *bias)), over n. Products in f32. Its
 * backward begins here, too; gradients of the two parameters are found by their addresses.
 */
void pl_op_sigmoid_contrastive(pl_context *ctx, pl_rows images, pl_rows texts, const float *log_temperature, const float *bias, float *loss);

#endif
