/*
 * The grammar of detection and segmentation as a constraint:
 *
 *     answer := "" | object (" ; " object)*     object := LOC x4 [SEG x16] " " label
 *
 * with y2 > y1 and x2 > x1, no box with the same label twice, labels from a
 * list or free. What no object completes within the tokens that are left is
 * never begun: so an answer is well-formed at its end, cut off or not.
 * (big_vision segmentation.py; arXiv 2412.03555, appendix C, for noise.)
 */
#ifndef PL_GENERATE_GRAMMAR_H
#define PL_GENERATE_GRAMMAR_H

#include "generate/constraint.h"
#include "generate/label_text.h"

/* One label of a list: what stands behind a box, in tokens. */
typedef struct pl_label_tokens {
    size_t last_at, last_count; /* in ids: " label", at the end of an answer */
    size_t more_at, more_count; /* " label ; ", before another object */
} pl_label_tokens;

typedef struct pl_grammar_options {
    int32_t location, segment; /* ids of <loc0000> and <seg000> */
    int bins, codes;           /* how many of each */
    size_t segments;           /* of an object: 16, or 0 for boxes alone */
    int32_t eos;
    const int32_t *ids;            /* tokens of labels, copied */
    size_t id_count;
    const pl_label_tokens *labels; /* [label_count], copied; no text twice, none with ";" */
    size_t label_count;            /* 0: free labels */
    size_t most_objects;           /* 0: as many as fit */
    bool all_objects;              /* no end before most_objects, while one more is possible */
} pl_grammar_options;

/*
 * New. With free labels it takes over *text, also on failure; else text is
 * NULL. It is lenient as set by the caller.
 */
pl_constraint *pl_constraint_of_grammar(const pl_grammar_options *options, pl_label_text *text, pali_error *err);

#endif
