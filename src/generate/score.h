/* How likely given answers are. */
#ifndef PL_GENERATE_SCORE_H
#define PL_GENERATE_SCORE_H

#include "generate/timeline.h"

typedef struct pl_score_options {
    bool no_end;  /* leave the end of text after each candidate out */
    bool special; /* of the prompt, as in pl_question */
} pl_score_options;

/* The log-probabilities of the candidates' tokens, end to end. */
typedef struct pl_scores {
    float *logprobs; /* [first[n]], owned */
    size_t *first;   /* [n + 1], owned: where those of each candidate begin */
} pl_scores;

/*
 * log p(candidate, end of text | pictures, prompt) of n candidates, which see
 * the prompt and not each other. A candidate's numbers do not depend, to the
 * last bit, on the others nor on how many there are. The timeline's question is
 * abandoned. PALI_INPUT for a candidate without tokens or too long. Release
 * with pl_scores_free.
 */
pali_status pl_score(pl_timeline *timeline, const char *prompt, const char *const *candidates, size_t n, const pl_score_options *options, pl_scores *scores, pali_error *err);

void pl_scores_free(pl_scores *scores);

#endif
