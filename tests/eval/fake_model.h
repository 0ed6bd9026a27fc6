/*
 * The calls of pali.h that pali_eval makes, answered from a table, so that the
 * metrics can be tested without a model. Pictures are files of any content;
 * one whose name holds "broken" cannot be decoded.
 */
#ifndef PALI_TESTS_EVAL_FAKE_MODEL_H
#define PALI_TESTS_EVAL_FAKE_MODEL_H

#include <pali/pali.h>

enum { FAKE_OBJECTS = 4, FAKE_WIDTH = 64, FAKE_HEIGHT = 32 };

typedef struct fake_answer {
    const char *prompt, *answer; /* answer NULL: the call fails */
    pali_finish finish;
    double confidences[FAKE_OBJECTS]; /* of the objects in its text; 0: none */
    double text_score; /* its probability; 0: none */
} fake_answer;

struct pali_model {
    const fake_answer *answers; /* ended by one without a prompt */
    size_t sessions;            /* open ones */
    size_t encoded;             /* calls that encoded pictures */
    size_t images;              /* pictures of the last such call */
    size_t max_tokens;          /* of the last question */
    bool rating;                /* likewise: was confidence asked for */
    size_t largest_step;        /* most sessions that took a step together */
    const char *codec;          /* file of its mask codec; NULL: it has none */
};

#endif
