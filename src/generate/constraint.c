/* Sets of ids, and the two plain constraints: a function of the caller's, and a list of answers. */
#include "generate/constraint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

pali_status pl_allow(pl_allowed *allowed, int32_t first, int32_t end, pali_error *err)
{
    if (first >= end)
        return PALI_OK;
    pl_id_range *const last = allowed->count ? &allowed->ranges[allowed->count - 1] : NULL;
    if (last && last->end == first) {
        last->end = end;
        return PALI_OK;
    }
    const pali_status status = pl_grow(&allowed->ranges, &allowed->capacity, allowed->count + 1, sizeof *allowed->ranges, "allowed tokens", err);
    if (status == PALI_OK)
        allowed->ranges[allowed->count++] = (pl_id_range){first, end};
    return status;
}

static int by_first(const void *a, const void *b)
{
    const pl_id_range *const x = a, *const y = b;
    return (x->first > y->first) - (x->first < y->first);
}

void pl_allowed_settle(pl_allowed *allowed)
{
    if (allowed->count == 0)
        return;
    qsort(allowed->ranges, allowed->count, sizeof *allowed->ranges, by_first);
    size_t kept = 0;
    for (size_t i = 1; i < allowed->count; i++) {
        const pl_id_range range = allowed->ranges[i];
        if (range.first > allowed->ranges[kept].end)
            allowed->ranges[++kept] = range;
        else if (range.end > allowed->ranges[kept].end)
            allowed->ranges[kept].end = range.end;
    }
    allowed->count = kept + 1;
}

size_t pl_allowed_ids(const pl_allowed *allowed)
{
    size_t ids = 0;
    for (size_t i = 0; i < allowed->count; i++)
        ids += (size_t)(allowed->ranges[i].end - allowed->ranges[i].first);
    return ids;
}

bool pl_allowed_has(const pl_allowed *allowed, int32_t id)
{
    for (size_t i = 0; i < allowed->count && allowed->ranges[i].first <= id; i++)
        if (id < allowed->ranges[i].end)
            return true;
    return false;
}

float pl_allowed_highest_beyond(const pl_allowed *allowed, const pl_allowed *beyond, const unsigned char *banned, const float *values, size_t n)
{
    float highest = -INFINITY;
    size_t at = 0; /* the first range of allowed that does not end before id */
    for (size_t i = 0; i < beyond->count; i++)
        for (int32_t id = beyond->ranges[i].first; id < beyond->ranges[i].end && (size_t)id < n; id++) {
            while (at < allowed->count && allowed->ranges[at].end <= id)
                at++;
            const bool is_allowed = at < allowed->count && allowed->ranges[at].first <= id;
            if (!is_allowed && !banned[id])
                highest = fmaxf(highest, values[id]);
        }
    return highest;
}

void pl_allowed_mask(const pl_allowed *allowed, float *values, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i <= allowed->count; i++) {
        const size_t first = i < allowed->count ? pl_min((size_t)allowed->ranges[i].first, n) : n;
        for (; at < first; at++)
            values[at] = -INFINITY;
        at = i < allowed->count ? pl_min((size_t)allowed->ranges[i].end, n) : n;
    }
}

void pl_constraint_init(pl_constraint *constraint, const char *name, pl_allow_fn *allow, pl_constraint_free_fn *release)
{
    atomic_init(&constraint->references, 1);
    constraint->name = name;
    constraint->whole = constraint->noise = constraint->bounded = constraint->lenient = false;
    constraint->allow = allow;
    constraint->free = release;
}

pl_constraint *pl_constraint_keep(pl_constraint *constraint)
{
    if (constraint)
        atomic_fetch_add(&constraint->references, 1);
    return constraint;
}

void pl_constraint_release(pl_constraint *constraint)
{
    if (constraint && atomic_fetch_sub(&constraint->references, 1) == 1)
        constraint->free(constraint);
}

/* Is there an id that may win? */
static bool has_winner(const pl_allowed *allowed, const unsigned char *banned, size_t vocabulary)
{
    for (size_t i = 0; i < allowed->count; i++)
        for (int32_t id = allowed->ranges[i].first; id < allowed->ranges[i].end; id++)
            if ((size_t)id < vocabulary && !banned[id])
                return true;
    return false;
}

pali_status pl_constraint_next(const pl_constraint *constraint, const pl_history *history, const unsigned char *banned, size_t vocabulary, pl_allowed *allowed, pali_error *err)
{
    allowed->count = 0;
    const pali_status status = constraint->allow(constraint, history, allowed, err);
    if (status != PALI_OK)
        return status;
    pl_allowed_settle(allowed);
    if (!has_winner(allowed, banned, vocabulary))
        return pl_fail(err, PALI_FAILED, "%s: found no token that may follow the %zu so far with %zu more to make, expected at least one", constraint->name, pl_history_count(history),
                       history->left);
    return PALI_OK;
}

/* ---- A function of the caller's -------------------------------------- */

typedef struct function_constraint {
    pl_constraint base;
    pl_constraint_fn *function;
    void *context;
    size_t vocabulary;
} function_constraint;

static pali_status allow_by_function(const pl_constraint *constraint, const pl_history *history, pl_allowed *allowed, pali_error *err)
{
    const function_constraint *const own = (const function_constraint *)constraint;
    unsigned char *const flags = pl_new(own->vocabulary, 1, "allowed tokens", err);
    if (!flags)
        return PALI_MEMORY;
    pali_status status = PALI_OK;
    if (!own->function(own->context, history->tokens, history->count, flags, own->vocabulary))
        status = pl_fail(err, PALI_FAILED, "constraint: the function gave up after %zu tokens", history->count);
    for (size_t id = 0, first = 0; status == PALI_OK && id <= own->vocabulary; id++) {
        if (id < own->vocabulary && flags[id])
            continue;
        status = pl_allow(allowed, (int32_t)first, (int32_t)id, err);
        first = id + 1;
    }
    free(flags);
    return status;
}

static void free_function(pl_constraint *constraint)
{
    free(constraint);
}

pl_constraint *pl_constraint_of_function(pl_constraint_fn *function, void *context, size_t vocabulary, pali_error *err)
{
    function_constraint *const own = pl_new(1, sizeof *own, "constraint", err);
    if (!own)
        return NULL;
    pl_constraint_init(&own->base, "constraint", allow_by_function, free_function);
    own->function = function;
    own->context = context;
    own->vocabulary = vocabulary;
    return &own->base;
}

/* ---- One of several answers ------------------------------------------ */

typedef struct sequences_constraint {
    pl_constraint base;
    int32_t *ids;    /* owned: the sequences end to end */
    size_t *offsets; /* [count+1] owned */
    size_t count;
    int32_t eos;
} sequences_constraint;

/* Do the tokens so far begin this sequence? */
static bool begins(const pl_history *history, const int32_t *ids, size_t length)
{
    const size_t made = pl_history_count(history);
    if (made > length)
        return false;
    for (size_t i = 0; i < made; i++)
        if (pl_history_at(history, i) != ids[i])
            return false;
    return true;
}

/*
 * An answer that no longer fits into the tokens that are left is not begun. The
 * end of text after it need not fit: what is cut off there is whole.
 */
static pali_status allow_sequences(const pl_constraint *constraint, const pl_history *history, pl_allowed *allowed, pali_error *err)
{
    const sequences_constraint *const own = (const sequences_constraint *)constraint;
    const size_t made = pl_history_count(history);
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < own->count; i++) {
        const int32_t *const ids = own->ids + own->offsets[i];
        const size_t length = own->offsets[i + 1] - own->offsets[i];
        if (!begins(history, ids, length) || length - made > history->left)
            continue;
        const int32_t next = made < length ? ids[made] : own->eos;
        status = pl_allow(allowed, next, next + 1, err);
    }
    return status;
}

static void free_sequences(pl_constraint *constraint)
{
    sequences_constraint *const own = (sequences_constraint *)constraint;
    free(own->ids);
    free(own->offsets);
    free(own);
}

pl_constraint *pl_constraint_of_sequences(const int32_t *ids, const size_t *offsets, size_t count, int32_t eos, pali_error *err)
{
    sequences_constraint *const own = pl_new(1, sizeof *own, "choices", err);
    if (!own)
        return NULL;
    pl_constraint_init(&own->base, "choices", allow_sequences, free_sequences);
    own->base.bounded = true;
    own->base.whole = true;
    own->ids = pl_new(offsets[count], sizeof *own->ids, "choices", err);
    own->offsets = pl_new(count + 1, sizeof *own->offsets, "choices", err);
    own->count = count;
    own->eos = eos;
    if (!own->ids || !own->offsets) {
        free_sequences(&own->base);
        return NULL;
    }
    if (offsets[count])
        memcpy(own->ids, ids, offsets[count] * sizeof *own->ids);
    memcpy(own->offsets, offsets, (count + 1) * sizeof *own->offsets);
    return &own->base;
}
