/* pali_score, pali_score_many: how likely given answers are. */
#include "api/handles.h"

#include "generate/score.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_CANDIDATES = 1000000 };

static double sum_of(const float *logprobs, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)logprobs[i];
    return sum;
}

pali_status pali_score(pali_session *session, const char *prompt, const char *suffix, double *total, size_t *count, float **logprobs, pali_error *err)
{
    pali_status status = pl_need(session, "pali_score", "session", err);
    if (status == PALI_OK)
        status = pl_need(prompt, "pali_score", "prompt", err);
    if (status == PALI_OK)
        status = pl_need(suffix, "pali_score", "suffix", err);
    pl_scores scores = {0};
    if (status == PALI_OK)
        status = pl_score(&session->timeline, prompt, &suffix, 1, NULL, &scores, err);
    if (status != PALI_OK)
        return status;
    if (total)
        *total = sum_of(scores.logprobs, scores.first[1]);
    if (count)
        *count = scores.first[1];
    if (logprobs) {
        *logprobs = scores.logprobs;
        scores.logprobs = NULL;
    }
    pl_scores_free(&scores);
    return PALI_OK;
}

/* A candidate on its way to its rank. */
typedef struct ranked {
    double key;
    size_t index;
} ranked;

static int by_key(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->key > y->key ? -1 : x->key < y->key ? 1 : x->index < y->index ? -1 : x->index > y->index;
}

/* Ranks, and probabilities as a softmax over the candidates. */
static pali_status rank(pali_scored *out, size_t n, bool by_mean, pali_error *err)
{
    ranked *order = pl_new(n, sizeof *order, "score", err);
    if (!order)
        return PALI_MEMORY;
    for (size_t i = 0; i < n; i++)
        order[i] = (ranked){.key = by_mean ? out[i].mean : out[i].total, .index = i};
    qsort(order, n, sizeof *order, by_key);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp(order[i].key - order[0].key);
    for (size_t i = 0; i < n; i++) {
        out[order[i].index].rank = i;
        out[order[i].index].probability = exp(order[i].key - order[0].key) / sum;
    }
    free(order);
    return PALI_OK;
}

pali_status pali_score_many(pali_session *session, const char *prompt, const char *const *candidates, size_t n, const pali_score_options *options, pali_scored *out, pali_error *err)
{
    static const char call[] = "pali_score_many";
    pali_score_options o;
    pl_take_options(&o, sizeof o, options);
    pali_status status = pl_need(session, call, "session", err);
    if (status == PALI_OK)
        status = pl_need(prompt, call, "prompt", err);
    if (status == PALI_OK)
        status = pl_need(candidates, call, "candidates", err);
    if (status == PALI_OK)
        status = pl_need(out, call, "out", err);
    if (status == PALI_OK && (n == 0 || n > MOST_CANDIDATES))
        status = pl_fail(err, PALI_USAGE, "%s: found %zu candidates, expected 1 to %d", call, n, MOST_CANDIDATES);
    for (size_t i = 0; status == PALI_OK && i < n; i++)
        status = pl_need(candidates[i], call, "a candidate", err);
    pl_scores scores = {0};
    if (status == PALI_OK)
        status = pl_score(&session->timeline, prompt, candidates, n, &(pl_score_options){.no_end = o.no_eos, .special = o.special}, &scores, err);
    if (status != PALI_OK)
        return status;
    for (size_t i = 0; i < n; i++) {
        const size_t tokens = scores.first[i + 1] - scores.first[i];
        const double total = sum_of(scores.logprobs + scores.first[i], tokens);
        out[i] = (pali_scored){.total = total, .mean = total / (double)tokens, .tokens = tokens};
    }
    pl_scores_free(&scores);
    return rank(out, n, o.by_mean, err);
}
