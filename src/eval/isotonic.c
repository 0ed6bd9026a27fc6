/* Pool adjacent violators, in whole numbers where it compares; and measures of calibration. */
#include "eval/isotonic.h"

#include <math.h>
#include <stdlib.h>

enum { BINS = 10 };

pali_status pl_samples_add(pl_samples *samples, pl_sample sample, pali_error *err)
{
    if (isnan(sample.score))
        return PALI_OK;
    const pali_status status = pl_grow(&samples->items, &samples->capacity, samples->count + 1, sizeof *samples->items, "samples", err);
    sample.score = fmin(sample.score, 1); /* a probability that rounding has raised */
    if (status == PALI_OK)
        samples->items[samples->count++] = sample;
    return status;
}

static int by_score(const void *a, const void *b)
{
    const double first = ((const pl_sample *)a)->score, second = ((const pl_sample *)b)->score;
    return first < second ? -1 : first > second;
}

void pl_samples_sort(pl_samples *samples)
{
    if (samples->count)
        qsort(samples->items, samples->count, sizeof *samples->items, by_score);
}

/* The end of the samples that have the score of the one at `from`. */
static size_t tie_end(const pl_sample *sorted, size_t count, size_t from)
{
    size_t end = from + 1;
    while (end < count && sorted[end].score <= sorted[from].score)
        end++;
    return end;
}

/* Does the share of right ones not rise from a to b? */
static bool violates(const pl_block *a, const pl_block *b)
{
    return (double)a->right * (double)b->count >= (double)b->right * (double)a->count;
}

pali_status pl_isotonic_blocks(const pl_sample *sorted, size_t count, pl_block **blocks, size_t *block_count, pali_error *err)
{
    pl_block *const stack = pl_new(count, sizeof *stack, "blocks", err);
    if (!stack)
        return PALI_MEMORY;
    size_t used = 0;
    for (size_t i = 0; i < count;) {
        pl_block block = {0};
        for (const size_t end = tie_end(sorted, count, i); i < end; i++) {
            block.score += sorted[i].score;
            block.count++;
            block.right += sorted[i].right;
        }
        for (; used && violates(&stack[used - 1], &block); used--) {
            block.score += stack[used - 1].score;
            block.count += stack[used - 1].count;
            block.right += stack[used - 1].right;
        }
        stack[used++] = block;
    }
    *blocks = stack;
    *block_count = used;
    return PALI_OK;
}

pali_status pl_isotonic_fit(const pl_sample *sorted, size_t count, pl_curve_point **points, size_t *point_count, pali_error *err)
{
    pl_block *blocks = NULL;
    size_t used = 0;
    pali_status status = pl_isotonic_blocks(sorted, count, &blocks, &used, err);
    pl_curve_point *const curve = status == PALI_OK ? pl_new(used, sizeof *curve, "calibration", err) : NULL;
    if (curve) {
        size_t made = 0;
        for (size_t i = 0; i < used; i++) {
            const pl_block b = blocks[i];
            const double share = ((double)b.right + 0.5) / ((double)b.count + 1), score = b.score / (double)b.count;
            if (made && score <= curve[made - 1].score) /* as close as rounding */
                continue;
            curve[made] = (pl_curve_point){
                .score = score,
                .probability = made ? fmax(share, curve[made - 1].probability) : share, /* a small block beside a large one may fall back */
            };
            made++;
        }
        *points = curve;
        *point_count = made;
    } else {
        status = PALI_MEMORY;
    }
    free(blocks);
    return status;
}

pl_reliability pl_reliability_of(const pl_sample *sorted, size_t count)
{
    pl_reliability r = {.samples = count, .mean_score = count ? 0 : (double)NAN, .ece = count ? 0 : (double)NAN, .brier = count ? 0 : (double)NAN};
    double score = 0, outcome = 0, gaps = 0; /* of the bin */
    size_t bin = 0;
    for (size_t i = 0; i < count;) {
        const size_t first = i, end = tie_end(sorted, count, i);
        size_t right = 0;
        for (size_t k = first; k < end; k++)
            right += sorted[k].right;
        const double mean = (double)right / (double)(end - first);
        r.right += right;
        for (; i < end; i++) {
            score += sorted[i].score;
            outcome += mean;
            r.mean_score += sorted[i].score / (double)count;
            const double miss = sorted[i].score - (double)sorted[i].right;
            r.brier += miss * miss / (double)count;
            for (; bin < BINS && (i + 1) * BINS >= (bin + 1) * count; bin++) { /* the bin's last sample */
                gaps += fabs(score - outcome);
                score = outcome = 0;
            }
        }
    }
    if (count)
        r.ece = gaps / (double)count;
    return r;
}
