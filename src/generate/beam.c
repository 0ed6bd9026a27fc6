/*
 * Beam search as big_vision's _beam_decode has it (predict_fns.py): each step
 * first ends every beam and keeps the best that ever ended, by its whole
 * log-probability, without normalising by length; then every beam is expanded by
 * its best width + 1 tokens, of which the end of text is dropped, and the best
 * expansions go on. It stops when the best beam is less likely than what ended.
 * Among equals the earlier beam comes first, then the lower id.
 */
#include "generate/search.h"

#include <math.h>
#include <string.h>

/* "End now": the beam with the end of text after it, if it is the best so far. */
static void finish_beam(pl_search *search, const pl_hypothesis *beam, const float *logits, double total)
{
    const float logprob = (float)((double)logits[search->eos] - total);
    if (!isfinite(logprob) || (search->finished.count && beam->score + (double)logprob <= search->finished.score))
        return;
    pl_hypothesis_copy(beam, &search->finished);
    pl_hypothesis_push(&search->finished, search->eos, logprob);
}

/* Puts the best `most` ids of a row, but for the end of text, into best, the first first; returns how many there are. */
static size_t take_top(const float *logits, size_t n, int32_t eos, size_t most, int32_t *best)
{
    size_t count = 0;
    for (size_t id = 0; id < n; id++) {
        if (logits[id] == -INFINITY || (int32_t)id == eos || (count == most && logits[id] <= logits[best[most - 1]]))
            continue;
        size_t at = count < most ? count++ : most - 1;
        for (; at > 0 && logits[id] > logits[best[at - 1]]; at--)
            best[at] = best[at - 1];
        best[at] = (int32_t)id;
    }
    return count;
}

/* Puts an expansion into the list of the best, which falls by score; later ones stand behind their equals. */
static void insert(pl_search *search, size_t *count, const pl_expansion *expansion)
{
    if (*count == search->width && expansion->score <= search->chosen[search->width - 1].score)
        return;
    size_t at = *count < search->width ? (*count)++ : search->width - 1;
    for (; at > 0 && expansion->score > search->chosen[at - 1].score; at--)
        search->chosen[at] = search->chosen[at - 1];
    search->chosen[at] = *expansion;
}

/* The best expansions of all beams into search->chosen; returns how many there are. */
static size_t expand(pl_search *search, const float *logits, const double *totals, size_t n)
{
    int32_t best[PL_MOST_HYPOTHESES];
    size_t count = 0;
    for (size_t parent = 0; parent < search->live; parent++, logits += n) {
        /* The best width + 1 without the end of text hold the best width that are not it, and no more can be chosen. */
        const size_t found = take_top(logits, n, search->eos, search->width, best);
        for (size_t i = 0; i < found; i++) {
            const float logprob = (float)((double)logits[best[i]] - totals[parent]);
            insert(search, &count, &(pl_expansion){.parent = parent, .token = best[i], .logprob = logprob, .score = search->hypotheses[parent].score + (double)logprob});
        }
    }
    return count;
}

/*
 * Makes the chosen expansions the beams. The first child of a beam takes over
 * its cache; a further one takes that of a beam without children, with a copy
 * of the tail: the prompt is never copied.
 */
static void succeed(pl_search *search, size_t count)
{
    size_t heir[PL_MOST_HYPOTHESES]; /* of each beam: its first child, or width */
    for (size_t i = 0; i < search->width; i++)
        heir[i] = search->width;
    for (size_t i = count; i-- > 0;)
        heir[search->chosen[i].parent] = i;
    for (size_t i = 0; i < search->width; i++)
        if (heir[i] < search->width)
            search->next[heir[i]] = search->hypotheses[i];
    size_t spare = 0;
    for (size_t i = 0; i < search->width; i++) {
        const bool is_child = i < count;
        if (is_child && heir[search->chosen[i].parent] == i)
            continue;
        while (heir[spare] < search->width)
            spare++;
        search->next[i] = search->hypotheses[spare++];
        if (is_child) {
            const pl_hypothesis *elder = &search->next[heir[search->chosen[i].parent]];
            pl_hypothesis_copy(elder, &search->next[i]);
            pl_kv_cache_copy_tail(&elder->cache, &search->next[i].cache);
        }
    }
    for (size_t i = 0; i < count; i++)
        pl_hypothesis_push(&search->next[i], search->chosen[i].token, search->chosen[i].logprob);
    memcpy(search->hypotheses, search->next, search->width * sizeof *search->next);
    search->live = count;
}

pl_search_end pl_beam_take(pl_search *search, const float *logits, const double *totals, size_t n)
{
    for (size_t i = 0; i < search->live; i++)
        finish_beam(search, &search->hypotheses[i], logits + i * n, totals[i]);
    const size_t count = expand(search, logits, totals, n);
    const bool finished = search->finished.count > 0;
    if (count == 0) /* only where tokens are constrained */
        return PL_SEARCH_ENDED;
    succeed(search, count);
    if (finished && search->hypotheses[0].score < search->finished.score)
        return PL_SEARCH_ENDED;
    return search->hypotheses[0].count == search->most ? PL_SEARCH_CUT_OFF : PL_SEARCH_GOES_ON;
}
