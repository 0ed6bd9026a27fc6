/* Time spent. */
#ifndef PL_BASE_CLOCK_H
#define PL_BASE_CLOCK_H

/* Seconds on a clock that only moves forward. */
double pl_now(void);

#endif
