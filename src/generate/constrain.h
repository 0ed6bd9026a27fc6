/*
 * Which constraint a question calls for: a function of the caller's, one of
 * several answers, or the grammar of detection and segmentation with labels
 * from the prompt, from a list, or free.
 */
#ifndef PL_GENERATE_CONSTRAIN_H
#define PL_GENERATE_CONSTRAIN_H

#include "generate/constraint.h"
#include "model/paligemma.h"

typedef struct pl_constrain {
    bool off;                    /* no grammar because of the prompt alone */
    pl_constraint_fn *function;  /* or NULL */
    void *function_context;
    const char *const *labels;   /* [label_count] or NULL */
    size_t label_count;
    const char *const *choices;  /* [choice_count] or NULL */
    size_t choice_count;
    size_t most_objects;         /* 0: no limit */
    const char *noise;           /* the piece of the noise class; NULL: "<noise>", where the vocabulary has it */
} pl_constrain;

/*
 * *constraint is new, or NULL when there is none to keep. PALI_USAGE when the
 * options cannot be meant together or a label or choice cannot be an answer,
 * PALI_MODEL when they ask for what the tokenizer lacks.
 */
pali_status pl_constrain_prompt(const pl_paligemma *model, const char *prompt, const pl_constrain *options, pl_constraint **constraint, pali_error *err);

#endif
