/*
 * Several examples laid out as the rows of one forward pass: no padding, each
 * example a segment of its own length, [image tokens] <bos> prefix "\n" suffix.
 * The last id is only a target. Neighbours that show the same picture share
 * it: it is encoded once. What stands here is kept until backward.
 */
#ifndef PL_TRAIN_MICROBATCH_H
#define PL_TRAIN_MICROBATCH_H

#include "language/gemma.h"
#include "train/example.h"

/* What each example counts: the same; by the root of its targets; by their number. */
typedef enum pl_example_weight { PL_WEIGHT_EXAMPLE, PL_WEIGHT_ROOT, PL_WEIGHT_TOKEN } pl_example_weight;

/* What sees all of itself; what comes after sees what stands before it (arXiv 2407.07726, 3.2.1 and figure 4). */
typedef enum pl_prefix_attention { PL_ATTENTION_FULL, PL_ATTENTION_IMAGE, PL_ATTENTION_CAUSAL } pl_prefix_attention;

/* The ids [first, first + count) count `part` of what another does, in the length and the loss of an example. */
typedef struct pl_token_share {
    int32_t first, count; /* 0: none */
    float part;
} pl_token_share;

typedef struct pl_layout_options {
    size_t image_tokens; /* of a picture */
    pl_prefix_attention attention;
    bool loss_on_prefix; /* after <bos>, every token is a target */
    pl_example_weight weight; /* those of an example weigh 1 together, or the root of their number, or each of them 1 */
    pl_token_share share; /* targets that count as a part of one, not as one */
    size_t text_positions; /* not 0: texts of pairs, each of so many ids; the rest of what stands here does not count then */
    int32_t end;         /* of texts of pairs: their last id, and what fills them up */
} pl_layout_options;

typedef struct pl_microbatch {
    const pl_example *const *examples; /* [count] borrowed */
    size_t count;
    size_t rows, pictures, text, wanted; /* in all: rows, different pictures, rows of text, rows that are put out */
    size_t aimed; /* of these, with a target: only they go through the head */
    double weight;        /* the sum of what the loss is to be divided by: of the weights of all targets */
    pl_segment *segments; /* [count] owned, as are the next */
    int32_t *ids;         /* [text] */
    size_t *text_of;      /* [count] rows of text of each example */
    size_t *picture_of;   /* [count] number of each example's first picture among the different ones */
    int32_t *targets;     /* [wanted] -1: none */
    float *weights;       /* [wanted] */
    float *losses;        /* [wanted], filled by the forward pass */
    size_t segment_capacity, id_capacity, length_capacity, picture_capacity, target_capacity, weight_capacity, loss_capacity;
} pl_microbatch;

/*
 * Lays out examples; those of pairs as one loss, whose weight is 1: ids [count * text_positions] without
 * <bos>, the last of each `end` (as SigLIP's: cut off or filled up).
 * *batch is zero-initialised or was laid out before.
 */
pali_status pl_microbatch_lay(pl_microbatch *batch, const pl_layout_options *options, const pl_example *const *examples, size_t count, pali_error *err);
void pl_microbatch_free(pl_microbatch *batch);

/* The weighted sum of the losses, in double, in the order of the rows. */
double pl_microbatch_loss(const pl_microbatch *batch);

#endif
