/*
 * Ctrl-C: the first one, while a session answers, stops the answer after the
 * current token; any other ends the program at once.
 */
#ifndef PALI_APP_INTERRUPT_H
#define PALI_APP_INTERRUPT_H

#include <pali/pali.h>

/* From here on Ctrl-C stops this session's answer; NULL: it ends the program again. */
void interrupt_watch(pali_session *session);

/* True when Ctrl-C came since the session was watched. */
bool interrupted(void);

#endif
