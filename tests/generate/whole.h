/* The slow way to the next token, by which faster ones are checked. */
#ifndef TESTS_GENERATE_WHOLE_H
#define TESTS_GENERATE_WHOLE_H

#include "generate/timeline.h"

/*
 * The logits [vocabulary] that follow `count` tokens after the prompt of the
 * timeline that is the context, from pictures to the last row computed anew on
 * a cache of its own. The timeline is left as it was.
 */
void whole_logits(void *timeline, const int32_t *tokens, size_t count, float *logits);

#endif
