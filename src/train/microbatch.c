/* The layout of a micro-batch: segments, ids, targets and their weights. */
#include "train/microbatch.h"

#include <stdlib.h>
#include <string.h>

/* Rows at which something is to be predicted: from the newline on, or from <bos> on. One at least, with no weight then. */
static size_t targets_of(const pl_layout_options *options, const pl_example *example)
{
    const size_t inputs = example->count - 1;
    const size_t targets = options->loss_on_prefix ? inputs : example->count - pl_min(example->prefix_count, example->count);
    return pl_min(targets, inputs);
}

static pali_status make_room(pl_microbatch *b, pali_error *err)
{
    pali_status status = pl_grow(&b->segments, &b->segment_capacity, b->count, sizeof *b->segments, "a micro-batch", err);
    if (status == PALI_OK)
        status = pl_grow(&b->text_of, &b->length_capacity, b->count, sizeof *b->text_of, "a micro-batch", err);
    if (status == PALI_OK)
        status = pl_grow(&b->ids, &b->id_capacity, b->text, sizeof *b->ids, "a micro-batch", err);
    if (status == PALI_OK)
        status = pl_grow(&b->targets, &b->target_capacity, b->wanted, sizeof *b->targets, "a micro-batch", err);
    if (status == PALI_OK)
        status = pl_grow(&b->weights, &b->weight_capacity, b->wanted, sizeof *b->weights, "a micro-batch", err);
    if (status == PALI_OK)
        status = pl_grow(&b->losses, &b->loss_capacity, b->wanted, sizeof *b->losses, "a micro-batch", err);
    return status;
}

pali_status pl_microbatch_lay(pl_microbatch *b, const pl_layout_options *options, const pl_example *const *examples, size_t count, pali_error *err)
{
    b->examples = examples;
    b->count = count;
    b->rows = b->pictures = b->text = b->wanted = 0;
    b->weight = 0;
    for (size_t i = 0; i < count; i++) {
        b->pictures += examples[i]->image_count;
        b->text += examples[i]->count - 1;
        b->wanted += pl_max(1, targets_of(options, examples[i]));
    }
    b->rows = b->pictures * options->image_tokens + b->text;
    const pali_status status = make_room(b, err);
    if (status != PALI_OK)
        return status;
    size_t text = 0, wanted = 0;
    for (size_t i = 0; i < count; i++) {
        const pl_example *e = examples[i];
        const size_t inputs = e->count - 1, image = e->image_count * options->image_tokens, targets = targets_of(options, e), rows = pl_max(1, targets);
        const size_t prefix = options->attention == PL_ATTENTION_FULL ? image + pl_min(e->prefix_count, inputs) : options->attention == PL_ATTENTION_IMAGE ? image : 0;
        b->segments[i] = (pl_segment){.rows = image + inputs, .prefix = prefix, .wanted = rows};
        b->text_of[i] = inputs;
        memcpy(b->ids + text, e->ids, inputs * sizeof *b->ids);
        memcpy(b->targets + wanted, e->ids + e->count - rows, rows * sizeof *b->targets);
        for (size_t k = 0; k < rows; k++)
            b->weights[wanted + k] = targets == 0 ? 0 : options->token_mean ? 1 : 1.0f / (float)targets;
        b->weight += options->token_mean ? (double)targets : 1;
        text += inputs;
        wanted += rows;
    }
    return PALI_OK;
}

void pl_microbatch_free(pl_microbatch *b)
{
    free(b->segments);
    free(b->ids);
    free(b->text_of);
    free(b->targets);
    free(b->weights);
    free(b->losses);
    *b = (pl_microbatch){0};
}

double pl_microbatch_loss(const pl_microbatch *b)
{
    double sum = 0;
    for (size_t i = 0; i < b->wanted; i++)
        sum += (double)b->weights[i] * (double)b->losses[i];
    return sum;
}
