/* The colours of drawn objects, and how well two colours can be told apart. */
#ifndef PL_ANSWER_COLOUR_H
#define PL_ANSWER_COLOUR_H

#include "answer/coverage.h"

/* Colours until they come round again. */
enum { PL_COLOUR_COUNT = 14 };

/*
 * The i-th colour: the seven of Okabe and Ito (2008), chosen to be told apart
 * also by those who do not see all hues, then the same paler.
 */
pl_colour pl_colour_at(size_t i);

/* WCAG 2: relative luminance in [0, 1], and contrast ratio in [1, 21]. */
double pl_colour_luminance(pl_colour colour);
double pl_colour_contrast(pl_colour a, pl_colour b);

/* Black or white, whichever reads better on the colour; the ratio is never below 4.5. */
pl_colour pl_colour_text_on(pl_colour colour);

#endif
