/*
 * Beam search as the reference's description has it, word for word and without
 * thought of speed: lists of tokens, every distribution asked for anew, every
 * candidate of a step sorted. `logits` gives those that follow a list of tokens.
 */
#ifndef TESTS_GENERATE_LITERAL_H
#define TESTS_GENERATE_LITERAL_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "generate/sampler.h"

enum { LITERAL_MOST = 40 /* tokens */, LITERAL_BEAMS = 8 };

typedef void literal_logits(void *context, const int32_t *tokens, size_t count, float *logits);

typedef struct literal_model {
    literal_logits *logits;
    void *context;
    size_t vocabulary;
    int32_t eos;
    const unsigned char *banned; /* [vocabulary] */
} literal_model;

typedef struct literal_list {
    int32_t tokens[LITERAL_MOST];
    size_t count;
    double score;
} literal_list;

typedef struct literal_candidate {
    literal_list list;
    size_t place; /* in the order they were made, by which equals stand */
} literal_candidate;

static inline int literal_order(const void *a, const void *b)
{
    const literal_candidate *x = a, *y = b;
    return x->list.score > y->list.score ? -1 : x->list.score < y->list.score ? 1 : x->place < y->place ? -1 : x->place > y->place;
}

static inline literal_list literal_append(const literal_list *list, int32_t token, float logprob)
{
    literal_list longer = *list;
    longer.tokens[longer.count++] = token;
    longer.score += (double)logprob;
    return longer;
}

/* The answer; *cut is set when `most` tokens ended the search, *margin is the least difference that decided anything. */
static inline literal_list literal_beam_search(const literal_model *model, size_t width, size_t most, bool *cut, double *margin)
{
    const size_t n = model->vocabulary;
    float *logits = malloc(n * sizeof *logits);
    literal_candidate *row = malloc(n * sizeof *row), *all = malloc(width * (width + 1) * sizeof *all);
    literal_list beams[LITERAL_BEAMS] = {{.count = 0}}, finished = {.count = 0};
    size_t live = 1;
    *cut = true;
    *margin = INFINITY;
    for (size_t step = 0; step < most; step++) {
        size_t made = 0;
        for (size_t b = 0; b < live; b++) {
            model->logits(model->context, beams[b].tokens, beams[b].count, logits);
            const double total = pl_log_sum_exp(logits, n);
            /* (1) end now */
            const literal_list ended = literal_append(&beams[b], model->eos, (float)((double)logits[model->eos] - total));
            if (finished.count)
                *margin = fmin(*margin, fabs(ended.score - finished.score));
            if (finished.count == 0 || ended.score > finished.score)
                finished = ended;
            /* (2) the best width + 1 */
            for (size_t id = 0; id < n; id++) {
                const float logprob = (float)((double)logits[id] - total);
                row[id] = (literal_candidate){.list = literal_append(&beams[b], (int32_t)id, model->banned[id] ? -INFINITY : logprob), .place = id};
            }
            qsort(row, n, sizeof *row, literal_order);
            for (size_t i = 0; i <= width && i < n; i++) {
                all[made] = row[i];
                if (row[i].list.tokens[row[i].list.count - 1] == model->eos)
                    all[made].list.score = -INFINITY;
                all[made].place = made;
                made++;
            }
        }
        qsort(all, made, sizeof *all, literal_order);
        live = 0;
        for (size_t i = 0; i < width && i < made && all[i].list.score > -INFINITY; i++)
            beams[live++] = all[i].list;
        if (live < made)
            *margin = fmin(*margin, fabs(all[live - 1].list.score - all[live].list.score));
        /* (3) stop */
        *margin = fmin(*margin, fabs(beams[0].score - finished.score));
        if (beams[0].score < finished.score) {
            *cut = false;
            break;
        }
    }
    free(logits);
    free(row);
    free(all);
    return finished;
}

#endif
