/*
 * Several examples laid out as the rows of one forward pass: no padding, each
 * example a segment of its own length, [image tokens] <bos> prefix "\n" suffix.
 * The last id is only a target. What stands here is kept until backward.
 */
#ifndef PL_TRAIN_MICROBATCH_H
#define PL_TRAIN_MICROBATCH_H

#include "language/gemma.h"
#include "train/example.h"

/* What sees all of itself; what comes after sees what stands before it (arXiv 2407.07726, 3.2.1 and figure 4). */
typedef enum pl_prefix_attention { PL_ATTENTION_FULL, PL_ATTENTION_IMAGE, PL_ATTENTION_CAUSAL } pl_prefix_attention;

typedef struct pl_layout_options {
    size_t image_tokens; /* of a picture */
    pl_prefix_attention attention;
    bool loss_on_prefix; /* after <bos>, every token is a target */
    bool token_mean;     /* each target weighs 1; else those of an example weigh 1 together */
} pl_layout_options;

typedef struct pl_microbatch {
    const pl_example *const *examples; /* [count] borrowed */
    size_t count;
    size_t rows, pictures, text, wanted; /* in all: rows, pictures, rows of text, rows that a target is predicted at */
    double weight;        /* the sum of what the loss is to be divided by: examples, or targets */
    pl_segment *segments; /* [count] owned, as are the next */
    int32_t *ids;         /* [text] */
    size_t *text_of;      /* [count] rows of text of each example */
    int32_t *targets;     /* [wanted] */
    float *weights;       /* [wanted] */
    float *losses;        /* [wanted], filled by the forward pass */
    size_t segment_capacity, id_capacity, length_capacity, target_capacity, weight_capacity, loss_capacity;
} pl_microbatch;

/* Lays out examples; *batch is zero-initialised or was laid out before. */
pali_status pl_microbatch_lay(pl_microbatch *batch, const pl_layout_options *options, const pl_example *const *examples, size_t count, pali_error *err);
void pl_microbatch_free(pl_microbatch *batch);

/* The weighted sum of the losses, in double, in the order of the rows. */
double pl_microbatch_loss(const pl_microbatch *batch);

#endif
