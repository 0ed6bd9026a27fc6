/*
 * How likely an object of an answer is right, from what the model gave its
 * tokens, in [0, 1]:
 *
 *     confidence = (n1 n2 n3 n4)^(1/4) * product of p(label token)
 *
 * where n is, for each side of the box, the probability of all locations within
 * a quarter of the box's height or width of the chosen one (generate/evidence.h), and
 * p the probability of a token of the label. Mask tokens do not enter: among
 * 128 codes with near-synonyms a small probability says little of the mask. All
 * are the model's own, before any ban or constraint: an object that a
 * constraint forced is as unlikely as the model thought it. Of the ways tried
 * this ranks nano's boxes best (docs/MODEL.md has the figures).
 *
 * Models taught with a noise class (arXiv 2412.03555, appendix C) put their
 * judgement into the class alone: there it is the product of p(label token).
 */
#ifndef PL_ANSWER_CONFIDENCE_H
#define PL_ANSWER_CONFIDENCE_H

#include "answer/objects.h"

typedef struct pl_confidence_source {
    const pl_tokenizer *tokenizer;
    const int32_t *tokens;  /* [count], the answer's */
    const float *logprobs;  /* [count] */
    const float *near;      /* [count], generate/evidence.h */
    size_t count;
    bool by_class;          /* the label's tokens alone */
} pl_confidence_source;

/* Fills in every object's confidence; 0 for a malformed one. */
pali_status pl_confidence_rate(const pl_confidence_source *source, pl_objects *objects, pali_error *err);

/* Which objects of an answer are kept, in this order; zero keeps all. Those that stay keep their order. */
typedef struct pl_object_filter {
    double least;  /* first: confidence at least so much */
    double nms;    /* then, by falling confidence: not above this IoU with a kept one of the same label; 0: off */
    size_t most;   /* then: so many of the highest confidence; 0: all */
} pl_object_filter;

/* Needs confidences; of equal ones the earlier object is taken to be higher. */
pali_status pl_objects_filter(pl_objects *objects, const pl_object_filter *filter, pali_error *err);

#endif
