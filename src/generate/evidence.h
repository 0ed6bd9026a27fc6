/*
 * How sure the model was, token by token, under its own distribution, before
 * any ban or constraint. The probability of the very bin of a location says
 * little, since neighbouring bins share it; so a box keeps the distributions of
 * its four sides until it is whole, and then, for each, the mass of all bins
 * within a quarter of the box's height or width of the one that was chosen.
 */
#ifndef PL_GENERATE_EVIDENCE_H
#define PL_GENERATE_EVIDENCE_H

#include "generate/constraint.h"

enum { PL_BOX_SIDES = 4 };

typedef struct pl_evidence {
    float *near;            /* [capacity] owned: of each token; of those that are no side of a whole box, its probability */
    size_t capacity;
    float *sides;           /* [4, bins] owned: probabilities of the locations; a side's row is filled before it is chosen */
    size_t side_capacity;
    int chosen[PL_BOX_SIDES];
    size_t run, given;      /* sides there are of the box in the making, and how many of them were given */
    int32_t location;       /* id of <loc0000> */
    int bins;               /* 0: the vocabulary has none */
} pl_evidence;

/* Room for `most` tokens behind a history without any. Zero-initialise; release with pl_evidence_free. */
pali_status pl_evidence_prepare(pl_evidence *evidence, const pl_history *history, size_t most, int32_t location, int bins, pali_error *err);
void pl_evidence_free(pl_evidence *evidence);

/* Before token `index` is chosen: its logits [vocabulary], and the log of the sum of their exponentials. */
void pl_evidence_see(pl_evidence *evidence, const float *logits, double total);

/* Token `index` is `id`, of that log-probability. */
void pl_evidence_take(pl_evidence *evidence, size_t index, int32_t id, double logprob);

/* Makes *to, which has room, a second account of the same `count` tokens that goes on by itself. */
void pl_evidence_set(const pl_evidence *from, size_t count, pl_evidence *to);

/* The same, with room for `most` tokens. */
pali_status pl_evidence_copy(const pl_evidence *from, size_t count, size_t most, pl_evidence *to, pali_error *err);

#endif
