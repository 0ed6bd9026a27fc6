/* The handler only calls what a signal handler may call. */
#include "interrupt.h"

#include <signal.h>
#include <unistd.h>

static pali_session *volatile watched;
static volatile sig_atomic_t seen;

static void on_interrupt(int number)
{
    (void)number;
    pali_session *const session = watched;
    if (!session || seen)
        _exit(PALI_CANCELLED);
    seen = 1;
    pali_session_cancel(session);
}

void interrupt_watch(pali_session *session)
{
    seen = 0;
    watched = session;
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART}, before;
    /* Who starts a program with Ctrl-C ignored (a shell, in the background) means it. */
    if (sigaction(SIGINT, NULL, &before) != 0 || before.sa_handler == SIG_IGN)
        return;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

bool interrupted(void)
{
    return seen;
}
