/*
 * The language model: Gemma 1 and Gemma 2 decoders in any size, over rows of
 * several sequences at once.
 */
#ifndef PL_LANGUAGE_GEMMA_H
#define PL_LANGUAGE_GEMMA_H

#include "language/kv_cache.h"
#include "ops/ops.h"

typedef struct pl_gemma_config {
    size_t width, layers, heads, kv_heads, head_dim, mlp, vocabulary;
    bool post_norms;         /* Gemma 2: norms after attention and MLP too */
    float eps;               /* of RMSNorm */
    float norm_offset;       /* added to norm weights: 1 as released, 0 where a file holds 1 + w */
    float rope_base;
    float query_scale;       /* of q k^T */
    float attention_softcap; /* 0: none */
    float final_softcap;     /* 0: none */
} pl_gemma_config;

typedef struct pl_gemma_layer {
    const float *attention_norm;      /* [width] */
    const float *attention_post_norm; /* [width], Gemma 2 */
    const float *mlp_norm;            /* [width] */
    const float *mlp_post_norm;       /* [width], Gemma 2 */
    pl_linear q, k, v, o;             /* [heads*head_dim, width], [kv_heads*head_dim, width] twice, [width, heads*head_dim] */
    pl_linear gate, up, down;         /* [mlp, width] twice, [width, mlp] */
} pl_gemma_layer;

typedef struct pl_gemma {
    pl_gemma_config config;
    pl_tensor embedding;    /* [vocabulary, width] */
    pl_linear head;         /* [vocabulary, width]: the embedding itself, unless a checkpoint unties it */
    pl_gemma_layer *layers; /* [layers] */
    const float *norm;      /* [width] */
} pl_gemma;

/*
 * Rows of one sequence in a batch: they come after the positions that its cache
 * holds, and see the positions below `prefix` and those up to their own (prefix
 * language model, arXiv 2407.07726, 3.2.1).
 */
typedef struct pl_segment {
    pl_kv_cache *cache; /* has room for the rows; NULL: nothing stands before them and nothing comes after */
    size_t rows;
    size_t prefix;
    size_t wanted; /* of the rows, how many of the last ones are to be put out; 0: all */
} pl_segment;

/* Rows that a segment puts out. */
static inline size_t pl_segment_wanted(const pl_segment *segment)
{
    return segment->wanted ? segment->wanted : segment->rows;
}

/* y [T, width] = embeddings of ids, scaled by sqrt(width). */
void pl_gemma_embed(pl_context *ctx, const pl_gemma *gemma, const int32_t *ids, pl_rows y);

/*
 * Runs the rows x [sum of rows, width] of all segments through the decoder and
 * the last norm: out [sum of wanted rows, width]. x is overwritten. The caches
 * receive the rows' keys and values and count them. Rows that nobody wants leave
 * off once the last layer has their keys and values. On a tape x stays, the
 * segments have no caches, and are kept by the caller until backward.
 */
void pl_gemma_forward_inplace(pl_context *ctx, const pl_gemma *gemma, pl_rows x, const pl_segment *segments, size_t count, pl_rows out);

/* logits [T, vocabulary] of hidden rows, with the final soft-cap. */
void pl_gemma_logits(pl_context *ctx, const pl_gemma *gemma, pl_rows hidden, pl_rows logits);

/* Ids first..end-1. */
typedef struct pl_id_range {
    int32_t first, end;
} pl_id_range;

/*
 * The logits of some ids only, the same to the last bit; ranges [count] rise
 * and do not overlap. Other logits are left as they are. A few more rows of
 * the head are multiplied: whole blocks of outputs.
 */
void pl_gemma_logits_of(pl_context *ctx, const pl_gemma *gemma, pl_rows hidden, const pl_id_range *ranges, size_t count, pl_rows logits);

/* How many outputs pl_gemma_logits_of computes for these ranges. */
size_t pl_gemma_logits_cost(const pl_gemma *gemma, const pl_id_range *ranges, size_t count);

#endif
