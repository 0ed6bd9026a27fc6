/*
 * Several continuations of one prompt at a time: beam search, and the best of n
 * samples, as big_vision's decoding functions have them (predict_fns.py). Every
 * hypothesis has a KV cache that shares the prompt's positions and a tail of
 * its own; all that go on are rows of one decoding pass.
 */
#ifndef PL_GENERATE_SEARCH_H
#define PL_GENERATE_SEARCH_H

#include "generate/evidence.h"
#include "generate/sampler.h"
#include "language/kv_cache.h"

enum { PL_MOST_HYPOTHESES = 256 };

typedef struct pl_hypothesis {
    pl_kv_cache cache;  /* the prompt, shared, and all tokens but the last */
    int32_t *tokens;    /* [most], owned */
    float *logprobs;    /* [most], owned: before the ban, as reported for answers */
    size_t count;
    double score;       /* sum of logprobs */
    pl_sampler sampler; /* best of n */
    size_t index;       /* best of n: which sample it is */
    bool rated;
    pl_evidence evidence; /* where it is rated: of its tokens, with room for [most] */
} pl_hypothesis;

typedef enum pl_search_kind { PL_SEARCH_NONE, PL_SEARCH_BEAMS, PL_SEARCH_BEST_OF } pl_search_kind;

typedef struct pl_search {
    pl_search_kind kind;
    size_t width, most;         /* hypotheses; tokens of each */
    int32_t eos;
    size_t live;                /* the first so many go on, the others have ended (best of n) or are spare (beams) */
    bool begun;                 /* the prompt's cache has been forked */
    pl_hypothesis *hypotheses;  /* [capacity], owned; beams stand by falling score */
    pl_hypothesis *next;        /* [capacity], owned: for a new order */
    struct pl_expansion *chosen; /* [capacity], owned */
    pl_hypothesis finished;     /* beams: the best that has ended, without a cache; count 0: none */
    size_t capacity, token_capacity;
} pl_search;

/* How a search stands after a step. */
typedef enum pl_search_end {
    PL_SEARCH_GOES_ON,
    PL_SEARCH_ENDED,  /* the answer is one that ended */
    PL_SEARCH_CUT_OFF /* the limit of tokens ended it */
} pl_search_end;

/*
 * Makes room for `width` hypotheses of `most` tokens; `cache` is the prompt's
 * and says what caches are like. What is allocated here is all that is. Sample
 * i of best-of-n draws with seed sampler->state + i.
 */
pali_status pl_search_prepare(pl_search *search, pl_search_kind kind, size_t width, size_t most, int32_t eos, const pl_sampler *sampler, const pl_kv_cache *cache, pali_error *err);

/* Lets every hypothesis keep evidence, going on from that of the prompt; after pl_search_prepare. */
pali_status pl_search_rate(pl_search *search, const pl_evidence *prompt, pali_error *err);

/* Lets all hypotheses go on from a prompt that has been prefilled. */
pali_status pl_search_begin(pl_search *search, pl_kv_cache *prompt, pali_error *err);

/*
 * One token further. logits [rows, n], -infinity where a token may not be
 * chosen, of the one row of the prompt when no hypothesis has a token yet, else
 * of each live hypothesis; log-probabilities are logit - totals[row].
 */
pl_search_end pl_search_take(pl_search *search, const pl_kernels *kernels, const float *logits, const double *totals, size_t n, pl_sample_scratch scratch);

/* The answer once the search has ended, or been stopped. */
const pl_hypothesis *pl_search_best(const pl_search *search, pl_search_end end);

/* Lets go of the prompt that hypotheses share; keeps the room. */
void pl_search_clear(pl_search *search);

void pl_search_free(pl_search *search);

/* For this folder: one step of beam search (beam.c) and of best-of-n (best_of.c). */
pl_search_end pl_beam_take(pl_search *search, const float *logits, const double *totals, size_t n);
pl_search_end pl_best_of_take(pl_search *search, const pl_kernels *kernels, const float *logits, const double *totals, size_t n, pl_sample_scratch scratch);

/* A token that may follow hypothesis `parent`. */
typedef struct pl_expansion {
    size_t parent;
    int32_t token;
    float logprob;
    double score; /* of the hypothesis with the token */
} pl_expansion;

/* Appends a token. */
static inline void pl_hypothesis_push(pl_hypothesis *hypothesis, int32_t token, float logprob)
{
    if (hypothesis->rated)
        pl_evidence_take(&hypothesis->evidence, hypothesis->count, token, (double)logprob);
    hypothesis->tokens[hypothesis->count] = token;
    hypothesis->logprobs[hypothesis->count++] = logprob;
    hypothesis->score += (double)logprob;
}

/* Copies tokens, log-probabilities, score and evidence. */
void pl_hypothesis_copy(const pl_hypothesis *from, pl_hypothesis *to);

#endif
