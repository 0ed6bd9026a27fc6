/* What beam search and best-of-n have in common: hypotheses, their memory, the way in and out. */
#include "generate/search.h"

#include <stdlib.h>
#include <string.h>

static void free_hypothesis(pl_hypothesis *hypothesis)
{
    pl_kv_cache_free(&hypothesis->cache);
    free(hypothesis->tokens);
    free(hypothesis->logprobs);
    pl_evidence_free(&hypothesis->evidence);
}

void pl_search_clear(pl_search *search)
{
    for (size_t i = 0; i < search->capacity; i++)
        pl_kv_cache_clear(&search->hypotheses[i].cache);
}

void pl_search_free(pl_search *search)
{
    for (size_t i = 0; i < search->capacity; i++)
        free_hypothesis(&search->hypotheses[i]);
    free_hypothesis(&search->finished);
    free(search->hypotheses);
    free(search->next);
    free(search->chosen);
    *search = (pl_search){0};
}

static pali_status new_tokens(pl_hypothesis *hypothesis, size_t most, pali_error *err)
{
    hypothesis->tokens = pl_new_raw(most, sizeof *hypothesis->tokens, "hypotheses", err);
    hypothesis->logprobs = hypothesis->tokens ? pl_new_raw(most, sizeof *hypothesis->logprobs, "hypotheses", err) : NULL;
    return hypothesis->logprobs ? PALI_OK : PALI_MEMORY;
}

/* All blocks for `width` hypotheses of `most` tokens; the search was freed before. */
static pali_status allocate(pl_search *search, size_t width, size_t most, const pl_kv_cache *cache, pali_error *err)
{
    search->hypotheses = pl_new(width, sizeof *search->hypotheses, "hypotheses", err);
    search->next = search->hypotheses ? pl_new(width, sizeof *search->next, "hypotheses", err) : NULL;
    search->chosen = search->next ? pl_new(width, sizeof *search->chosen, "hypotheses", err) : NULL;
    if (!search->hypotheses)
        return PALI_MEMORY;
    search->capacity = width;
    search->token_capacity = most;
    for (size_t i = 0; i < width; i++)
        pl_kv_cache_init(&search->hypotheses[i].cache, cache->layers, cache->width, cache->dtype);
    pali_status status = search->chosen ? new_tokens(&search->finished, most, err) : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < width; i++)
        status = new_tokens(&search->hypotheses[i], most, err);
    return status;
}

pali_status pl_search_prepare(pl_search *search, pl_search_kind kind, size_t width, size_t most, int32_t eos, const pl_sampler *sampler, const pl_kv_cache *cache, pali_error *err)
{
    pali_status status = PALI_OK;
    pl_search_clear(search);
    if (search->capacity < width || search->token_capacity < most) {
        pl_search_free(search);
        status = allocate(search, width, most, cache, err);
    }
    for (size_t i = 0; status == PALI_OK && i < width; i++) {
        pl_hypothesis *hypothesis = &search->hypotheses[i];
        status = pl_kv_cache_reserve(&hypothesis->cache, most, err);
        hypothesis->count = 0;
        hypothesis->score = 0;
        hypothesis->index = i;
        hypothesis->rated = false;
        hypothesis->sampler = *sampler;
        hypothesis->sampler.state += i;
    }
    if (status != PALI_OK) {
        pl_search_free(search);
        return status;
    }
    search->kind = kind;
    search->width = width;
    search->most = most;
    search->eos = eos;
    search->begun = false;
    search->finished.count = 0;
    search->finished.rated = false;
    search->live = kind == PL_SEARCH_BEAMS ? 1 : width; /* the first step makes beams of one */
    return PALI_OK;
}

pali_status pl_search_rate(pl_search *search, const pl_evidence *prompt, pali_error *err)
{
    pali_status status = pl_evidence_copy(prompt, 0, search->most, &search->finished.evidence, err);
    for (size_t i = 0; status == PALI_OK && i < search->width; i++) {
        status = pl_evidence_copy(prompt, 0, search->most, &search->hypotheses[i].evidence, err);
        search->hypotheses[i].rated = true;
    }
    search->finished.rated = true;
    return status;
}

pali_status pl_search_begin(pl_search *search, pl_kv_cache *prompt, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < search->width; i++)
        status = pl_kv_cache_fork(prompt, &search->hypotheses[i].cache, err);
    search->begun = status == PALI_OK;
    return status;
}

pl_search_end pl_search_take(pl_search *search, const pl_kernels *kernels, const float *logits, const double *totals, size_t n, pl_sample_scratch scratch)
{
    return search->kind == PL_SEARCH_BEAMS ? pl_beam_take(search, logits, totals, n) : pl_best_of_take(search, kernels, logits, totals, n, scratch);
}

void pl_hypothesis_copy(const pl_hypothesis *from, pl_hypothesis *to)
{
    if (from->count) {
        memcpy(to->tokens, from->tokens, from->count * sizeof *to->tokens);
        memcpy(to->logprobs, from->logprobs, from->count * sizeof *to->logprobs);
    }
    to->count = from->count;
    to->score = from->score;
    if (from->rated)
        pl_evidence_set(&from->evidence, from->count, &to->evidence);
}

/* Of two samples the likelier one, of equal ones the first drawn. */
static bool is_better(const pl_hypothesis *a, const pl_hypothesis *b)
{
    return a->score > b->score || (a->score == b->score && a->index < b->index);
}

const pl_hypothesis *pl_search_best(const pl_search *search, pl_search_end end)
{
    /* Beams: what is live has the better score while the search goes on, so that is what a stopped one had. */
    if (search->kind == PL_SEARCH_BEAMS)
        return search->finished.count && end != PL_SEARCH_GOES_ON ? &search->finished : &search->hypotheses[0];
    /* A sample that was stopped on its way lacks the later tokens' log-probabilities: it counts only where none has ended. */
    const size_t first = search->live < search->width ? search->live : 0;
    const pl_hypothesis *best = &search->hypotheses[first];
    for (size_t i = first + 1; i < search->width; i++)
        if (is_better(&search->hypotheses[i], best))
            best = &search->hypotheses[i];
    return best;
}
