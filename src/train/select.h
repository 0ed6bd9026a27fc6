/*
 * Which weights a list of patterns means: words for parts and kinds, and
 * regular expressions for canonical names. Inside the room only.
 */
#ifndef PL_TRAIN_SELECT_H
#define PL_TRAIN_SELECT_H

#include "base/pattern.h"
#include "model/weights.h"

/*
 * Patterns name weights. Words: all, vision, projector, language; attention,
 * mlp, norms, biases, embeddings (of tokens), positions, head (an output
 * matrix of its own), lora (the matrices of adapters). Words with a point
 * between them are for what all of them name: language.attention. Anything
 * else is a POSIX extended regular expression that must match the whole
 * canonical name: "text[.]layers[.][0-3][.].*".
 */
typedef struct pl_patterns {
    const char *const *items; /* [count] borrowed */
    size_t count;
} pl_patterns;

/* What patterns are held against. */
typedef struct pl_subject {
    const pl_weight *weight; /* of an adapter: the one that it is on; NULL: none of the model, which no word but all names */
    const char *name;        /* canonical */
    bool adapter;
} pl_subject;

typedef struct pl_selection {
    const char *what;          /* the field, for messages; borrowed */
    pl_patterns patterns;
    struct pl_name_pattern *matchers; /* [patterns.count] owned */
} pl_selection;

/* Is it words, with points between them? */
bool pl_is_word_pattern(const char *pattern);

/* PALI_USAGE for what is neither words nor a regular expression. Free in any case. */
pali_status pl_selection_init(pl_selection *selection, pl_patterns patterns, const char *what, pali_error *err);
void pl_selection_free(pl_selection *selection);

/* Does any pattern name it? All that do are noted. */
bool pl_selection_names(pl_selection *selection, const pl_subject *subject);

/* PALI_USAGE when a pattern has named nothing so far. `among` says what there was: "weights". */
pali_status pl_selection_check(const pl_selection *selection, const char *among, pali_error *err);

#endif
