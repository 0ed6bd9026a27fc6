/* Asking the terminal (POSIX termios), briefly and with the keyboard left as it was. */
#include "terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { REPLY = 128, CELL_WIDTH = 8, CELL_HEIGHT = 16, TIMEOUT_MS = 300 };

static const char *variable(const char *name)
{
    const char *const value = getenv(name);
    return value ? value : "";
}

bool terminal_names_preview(pali_preview *kind)
{
    const char *const term = variable("TERM"), *const program = variable("TERM_PROGRAM");
    if (*variable("TMUX") || strncmp(term, "tmux", 4) == 0 || strncmp(term, "screen", 6) == 0)
        return false;
    if (strcmp(term, "xterm-kitty") == 0 || strcmp(term, "xterm-ghostty") == 0 || *variable("KITTY_WINDOW_ID") || strcmp(program, "ghostty") == 0)
        *kind = PALI_PREVIEW_KITTY;
    else if (strcmp(program, "iTerm.app") == 0 || strcmp(variable("LC_TERMINAL"), "iTerm2") == 0 || strcmp(program, "WezTerm") == 0)
        *kind = PALI_PREVIEW_ITERM2;
    else
        return false;
    return true;
}

bool terminal_reads_sixel(const char *reply)
{
    const char *at = strstr(reply, "\033[?");
    if (!at || !strchr(at, 'c'))
        return false;
    for (at += 3; *at >= '0' && *at <= '9';) {
        char *end;
        if (strtoul(at, &end, 10) == 4)
            return true;
        at = end + (*end == ';');
    }
    return false;
}

static long milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads until the answer's last letter, or the time is up. */
static void read_reply(int fd, int timeout_ms, char reply[REPLY])
{
    const long end = milliseconds() + timeout_ms;
    size_t used = 0;
    for (long left = timeout_ms; left > 0 && used < REPLY - 1 && !(strstr(reply, "\033[?") && strchr(strstr(reply, "\033[?"), 'c')); left = end - milliseconds()) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, (int)left) <= 0)
            break;
        const ssize_t got = read(fd, reply + used, REPLY - 1 - used);
        if (got <= 0)
            break;
        used += (size_t)got;
        reply[used] = '\0';
    }
}

bool terminal_asks_sixel(int fd, int timeout_ms)
{
    struct termios before;
    if (!isatty(fd) || tcgetpgrp(fd) != getpgrp() || tcgetattr(fd, &before) != 0)
        return false;
    /* A Ctrl-C must not leave the keyboard without its echo. */
    sigset_t all, mask;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    char reply[REPLY] = "";
    if (tcsetattr(fd, TCSANOW, &raw) == 0) {
        if (write(fd, "\033[c", 3) == 3)
            read_reply(fd, timeout_ms, reply);
        tcsetattr(fd, TCSANOW, &before);
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return terminal_reads_sixel(reply);
}

bool terminal_finds_preview(pali_preview *kind)
{
    if (!isatty(STDOUT_FILENO))
        return false;
    if (terminal_names_preview(kind))
        return true;
    const int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return false;
    *kind = PALI_PREVIEW_SIXEL;
    const bool takes = terminal_asks_sixel(fd, TIMEOUT_MS);
    close(fd);
    return takes;
}

void terminal_size(int fd, size_t *width, size_t *height)
{
    struct winsize size = {0};
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || !size.ws_col || !size.ws_row)
        size = (struct winsize){.ws_col = 80, .ws_row = 24};
    const size_t row = size.ws_ypixel ? size.ws_ypixel / size.ws_row : CELL_HEIGHT;
    *width = size.ws_xpixel ? size.ws_xpixel : (size_t)size.ws_col * CELL_WIDTH;
    *height = row * (size.ws_row > 4 ? size.ws_row - 3u : 1u); /* the answer and a prompt stay in sight */
    *height = *height ? *height : 1;
}
