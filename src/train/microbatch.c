/* The layout of a micro-batch: segments, ids, targets and their weights. */
#include "train/microbatch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of text at which something is to be predicted: from the newline on, or from <bos> on. */
static size_t text_targets(const pl_layout_options *options, const pl_example *example)
{
    const size_t inputs = example->count - 1;
    if (example->patches)
        return 0;
    const size_t targets = options->loss_on_prefix ? inputs : example->count - pl_min(example->prefix_count, example->count);
    return pl_min(targets, inputs);
}

/* Rows that are put out: those of text with a target, one at least (it has no weight then); all where patches have targets. */
static size_t wanted_of(const pl_layout_options *options, const pl_example *example)
{
    return example->patches ? example->image_count * options->image_tokens + example->count - 1 : pl_max(1, text_targets(options, example));
}

/* By the bytes of their files, as the cache of image tokens knows them. */
static bool same_picture(const pl_feature_picture *a, const pl_feature_picture *b)
{
    return a->bytes > 0 && a->bytes == b->bytes && a->hash == b->hash && a->width == b->width && a->height == b->height;
}

/* Do two examples show the same pictures? Those of a plan have none in fact, only their number. */
static bool same_pictures(const pl_example *a, const pl_example *b)
{
    bool same = a->image_count == b->image_count && a->images && b->images;
    for (size_t i = 0; same && i < a->image_count; i++)
        same = same_picture(&a->images[i].picture, &b->images[i].picture);
    return same;
}

static pali_status make_room(pl_microbatch *b, pali_error *err)
{
    pali_status status = pl_grow(&b->segments, &b->segment_capacity, b->count, sizeof *b->segments, "a micro-batch", err);
    if (status == PALI_OK)
        status = pl_grow(&b->text_of, &b->length_capacity, b->count, sizeof *b->text_of, "a micro-batch", err);
    if (status == PALI_OK)
        status = pl_grow(&b->picture_of, &b->picture_capacity, b->count, sizeof *b->picture_of, "a micro-batch", err);
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

/* What a target counts: as one, or as the part of one that its kind is given. */
static double count_of(const pl_layout_options *options, int32_t target)
{
    const pl_token_share *const share = &options->share;
    return target < 0 ? 0 : target >= share->first && target - share->first < share->count ? (double)share->part : 1;
}

/* What a target that counts as one weighs where they count `sum` together. */
static double weight_of(const pl_layout_options *options, double sum)
{
    return sum == 0 ? 0 : options->weight == PL_WEIGHT_TOKEN ? 1 : options->weight == PL_WEIGHT_ROOT ? 1 / sqrt(sum) : 1 / sum;
}

/* What they weigh together, of what the loss is divided by. An example without targets counts as one where all count the same. */
static double share_of(const pl_layout_options *options, double sum)
{
    return options->weight == PL_WEIGHT_TOKEN ? sum : options->weight == PL_WEIGHT_ROOT ? sqrt(sum) : 1;
}

/* Targets of the rows that an example puts out, into targets and weights [wanted]; returns what they count together. */
static double lay_targets(const pl_layout_options *options, const pl_example *e, size_t wanted, int32_t *targets, float *weights)
{
    const size_t text = text_targets(options, e), patches = e->patches ? e->image_count * options->image_tokens : 0;
    const bool learns = e->patches || text > 0;
    double sum = 0;
    for (size_t k = 0; k < wanted; k++) {
        targets[k] = !e->patches ? e->ids[e->count - wanted + k] : k < patches ? e->patches[k] : -1;
        sum += learns ? count_of(options, targets[k]) : 0;
    }
    const double weight = weight_of(options, sum);
    for (size_t k = 0; k < wanted; k++)
        weights[k] = (float)(weight * count_of(options, targets[k]));
    return sum;
}

static void count_rows(pl_microbatch *b, const pl_layout_options *options)
{
    b->rows = b->pictures = b->text = b->wanted = 0;
    for (size_t i = 0; i < b->count; i++) {
        const pl_example *e = b->examples[i];
        b->pictures += i > 0 && same_pictures(e, b->examples[i - 1]) ? 0 : e->image_count;
        const size_t text = options->text_positions ? options->text_positions : e->count - 1;
        b->text += text;
        b->rows += e->image_count * options->image_tokens + text;
        b->wanted += options->text_positions ? 1 : wanted_of(options, e);
    }
}

/* Pairs: the loss of all examples together stands in the place of each one's, and weighs once. */
static void lay_pair(pl_microbatch *b, const pl_layout_options *options, size_t i)
{
    const pl_example *e = b->examples[i];
    const size_t positions = options->text_positions, begin = pl_min(e->prefix_count, e->count), length = pl_min(e->count - begin, positions - 1);
    int32_t *ids = b->ids + i * positions;
    memcpy(ids, e->ids + begin, length * sizeof *ids);
    for (size_t k = length; k < positions; k++)
        ids[k] = options->end;
    b->segments[i] = (pl_segment){.rows = positions, .wanted = 1};
    b->text_of[i] = positions;
    b->targets[i] = -1;
    b->weights[i] = i == 0;
}

/* Segment, ids and targets of one example, which begin at these places. */
static void lay_example(pl_microbatch *b, const pl_layout_options *options, size_t i, size_t text, size_t wanted)
{
    const pl_example *e = b->examples[i];
    const size_t inputs = e->count - 1, image = e->image_count * options->image_tokens, rows = wanted_of(options, e);
    const size_t prefix = options->attention == PL_ATTENTION_FULL ? image + pl_min(e->prefix_count, inputs) : options->attention == PL_ATTENTION_IMAGE ? image : 0;
    b->segments[i] = (pl_segment){.rows = image + inputs, .prefix = prefix, .wanted = rows};
    b->text_of[i] = inputs;
    memcpy(b->ids + text, e->ids, inputs * sizeof *b->ids);
    b->weight += share_of(options, lay_targets(options, e, rows, b->targets + wanted, b->weights + wanted));
    for (size_t k = wanted; k < wanted + rows; k++)
        b->aimed += b->targets[k] >= 0;
}

pali_status pl_microbatch_lay(pl_microbatch *b, const pl_layout_options *options, const pl_example *const *examples, size_t count, pali_error *err)
{
    const bool pairs = options->text_positions > 0;
    b->examples = examples;
    b->count = count;
    b->weight = pairs;
    b->aimed = 0;
    count_rows(b, options);
    const pali_status status = make_room(b, err);
    if (status != PALI_OK)
        return status;
    size_t text = 0, wanted = 0, picture = 0;
    for (size_t i = 0; i < count; i++) {
        const bool shared = i > 0 && same_pictures(examples[i], examples[i - 1]);
        b->picture_of[i] = shared ? b->picture_of[i - 1] : picture;
        picture += shared ? 0 : examples[i]->image_count;
        if (pairs)
            lay_pair(b, options, i);
        else
            lay_example(b, options, i, text, wanted);
        text += b->text_of[i];
        wanted += b->segments[i].wanted;
    }
    return PALI_OK;
}

void pl_microbatch_free(pl_microbatch *b)
{
    free(b->segments);
    free(b->ids);
    free(b->text_of);
    free(b->picture_of);
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
