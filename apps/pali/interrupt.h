/*
 * Ctrl-C: the first one, while a session answers, stops the answer after the
 * current token; any other ends the program at once, unless it is caught.
 */
#ifndef PALI_APP_INTERRUPT_H
#define PALI_APP_INTERRUPT_H

#include <pali/pali.h>

/* From here on Ctrl-C stops this session's answer; NULL: it ends the program again. */
void interrupt_watch(pali_session *session);

/* From here on Ctrl-C is only noted, for work that asks `interrupted` now and then and cleans up. */
void interrupt_catch(void);

/* The same for the first Ctrl-C, and for being asked to end (SIGTERM); another ends the program at once. */
void interrupt_catch_first(void);

/* True when Ctrl-C came since then, or since the session was watched. */
bool interrupted(void);

#endif
