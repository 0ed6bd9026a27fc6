/*
 * Best of n samples as big_vision's best-of-n has it (predict_fns.py): all are
 * drawn to their end, and the one of the highest summed log-probability, the end
 * of text included, is the answer. Log-probabilities are the model's own, of
 * temperature 1 and before any cut; sample i is what its seed draws alone.
 */
#include "generate/search.h"

#include <string.h>

/* Puts those that go on first, all in their order. */
static void part(pl_search *search)
{
    size_t count = 0, live = 0;
    for (int ended = 0; ended < 2; ended++) {
        for (size_t i = 0; i < search->width; i++) {
            const pl_hypothesis *sample = &search->hypotheses[i];
            const bool goes_on = i < search->live && sample->count < search->most && sample->tokens[sample->count - 1] != search->eos;
            if (goes_on == !ended)
                search->next[count++] = *sample;
        }
        live = ended ? live : count;
    }
    memcpy(search->hypotheses, search->next, search->width * sizeof *search->next);
    search->live = live;
}

pl_search_end pl_best_of_take(pl_search *search, const pl_kernels *kernels, const float *logits, const double *totals, size_t n, pl_sample_scratch scratch)
{
    const bool first = search->hypotheses[0].count == 0; /* all draw from the prompt's one row */
    for (size_t i = 0; i < search->live; i++) {
        const size_t row = first ? 0 : i;
        const int32_t id = pl_sample(&search->hypotheses[i].sampler, kernels, logits + row * n, n, scratch);
        pl_hypothesis_push(&search->hypotheses[i], id, (float)((double)logits[row * n + (size_t)id] - totals[row]));
    }
    part(search);
    if (search->live > 0)
        return PL_SEARCH_GOES_ON;
    const pl_hypothesis *best = pl_search_best(search, PL_SEARCH_ENDED);
    return best->tokens[best->count - 1] == search->eos ? PL_SEARCH_ENDED : PL_SEARCH_CUT_OFF;
}
