/* The handler only calls what a signal handler may call. */
#include "interrupt.h"

#include <signal.h>
#include <unistd.h>

static pali_session *volatile watched;
static volatile sig_atomic_t seen, caught, only_first;

static void on_interrupt(int number)
{
    (void)number;
    pali_session *const session = watched;
    if (caught ? only_first && seen : !session || seen)
        _exit(PALI_CANCELLED);
    seen = 1;
    if (session)
        pali_session_cancel(session);
}

static void install_for(int number)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART}, before;
    /* Who starts a program with Ctrl-C ignored (a shell, in the background) means it. */
    if (sigaction(number, NULL, &before) != 0 || before.sa_handler == SIG_IGN)
        return;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void install(void)
{
    install_for(SIGINT);
}

void interrupt_watch(pali_session *session)
{
    seen = 0;
    watched = session;
    install();
}

void interrupt_catch(void)
{
    seen = 0;
    caught = 1;
    install();
}

void interrupt_catch_first(void)
{
    only_first = 1;
    interrupt_catch();
    install_for(SIGTERM);
}

bool interrupted(void)
{
    return seen;
}
