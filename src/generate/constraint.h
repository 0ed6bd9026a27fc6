/*
 * What may come next: a constraint is a function of the tokens so far, without
 * any state, so that forks and beams of a question share one. A step asks it
 * before the model runs, because the rows of the output matrix that cannot win
 * need not be multiplied.
 */
#ifndef PL_GENERATE_CONSTRAINT_H
#define PL_GENERATE_CONSTRAINT_H

#include "language/gemma.h"

#include <stdatomic.h>

/* A set of ids: ranges that rise and do not touch, once settled. Zero-initialise; free ranges. */
typedef struct pl_allowed {
    pl_id_range *ranges; /* [count] owned */
    size_t count, capacity;
} pl_allowed;

/* Adds ids, in any order and more than once; pl_allowed_settle brings the ranges in order. */
pali_status pl_allow(pl_allowed *allowed, int32_t first, int32_t end, pali_error *err);
void pl_allowed_settle(pl_allowed *allowed);

/* Of a settled set: how many ids, and whether it holds one. */
size_t pl_allowed_ids(const pl_allowed *allowed);
bool pl_allowed_has(const pl_allowed *allowed, int32_t id);

/* The highest value among ids that the settled set `beyond` holds, `allowed` does not and nobody bans; -infinity where there is none. */
float pl_allowed_highest_beyond(const pl_allowed *allowed, const pl_allowed *beyond, const unsigned char *banned, const float *values, size_t n);

/* Makes values [n] of ids outside the settled set -infinity. */
void pl_allowed_mask(const pl_allowed *allowed, float *values, size_t n);

/* The tokens so far: the start that the answer was given, if any, then what was made. */
typedef struct pl_history {
    const int32_t *start;  /* [start_count] */
    const int32_t *tokens; /* [count] */
    size_t start_count, count;
    size_t left; /* how many more may be made, 1 or more */
} pl_history;

static inline size_t pl_history_count(const pl_history *history)
{
    return history->start_count + history->count;
}
static inline int32_t pl_history_at(const pl_history *history, size_t i)
{
    return i < history->start_count ? history->start[i] : history->tokens[i - history->start_count];
}

typedef struct pl_constraint pl_constraint;

/* Adds the ids that may come next; none when the tokens so far are not what it would have allowed. */
typedef pali_status pl_allow_fn(const pl_constraint *constraint, const pl_history *history, pl_allowed *allowed, pali_error *err);
typedef void pl_constraint_free_fn(pl_constraint *constraint); /* frees what it is the beginning of */

struct pl_constraint {
    atomic_size_t references;
    const char *name; /* in messages; static storage */
    bool whole;       /* an answer that max_tokens ends is whole too */
    bool noise;       /* objects are told from noise by their class alone */
    bool bounded;     /* what may come depends on how many tokens are left */
    bool lenient;     /* where it cannot be kept from the start on it is lifted, and that is no error */
    pl_allow_fn *allow;
    pl_constraint_free_fn *free;
};

/* A kind of constraint begins with a pl_constraint; this fills it in, with one reference. */
void pl_constraint_init(pl_constraint *constraint, const char *name, pl_allow_fn *allow, pl_constraint_free_fn *release);

/* One more reference, or one fewer; NULL allowed. */
pl_constraint *pl_constraint_keep(pl_constraint *constraint);
void pl_constraint_release(pl_constraint *constraint);

/*
 * Fills *allowed anew, settled. PALI_FAILED, naming the constraint, when it is
 * empty but for ids that are banned, [vocabulary] 1 where an id is.
 */
pali_status pl_constraint_next(const pl_constraint *constraint, const pl_history *history, const unsigned char *banned, size_t vocabulary, pl_allowed *allowed, pali_error *err);

/* The caller's own: fills allowed [vocabulary], zeros before, with 1 where an id may come next; false ends the answer with an error. */
typedef bool pl_constraint_fn(void *context, const int32_t *tokens, size_t count, unsigned char *allowed, size_t vocabulary);

/* New; released with pl_constraint_release. */
pl_constraint *pl_constraint_of_function(pl_constraint_fn *function, void *context, size_t vocabulary, pali_error *err);

/* One of several token sequences, then `eos`: offsets [count+1] into ids, all copied. New. */
pl_constraint *pl_constraint_of_sequences(const int32_t *ids, const size_t *offsets, size_t count, int32_t eos, pali_error *err);

#endif
